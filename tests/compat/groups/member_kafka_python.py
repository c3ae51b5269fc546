"""A member of a group by kafka-python; see driver.py."""

import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.coordinator.assignors.range import RangePartitionAssignor

bootstrap, group, topic, instance, _ = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()


class Tell(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        print("assigned", ",".join(str(one.partition) for one in sorted(assigned)), flush=True)

    def on_partitions_revoked(self, revoked):
        pass


consumer = KafkaConsumer(
    bootstrap_servers=bootstrap,
    group_id=group,
    group_instance_id=None if instance == "-" else instance,
    session_timeout_ms=6000,
    heartbeat_interval_ms=500,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    partition_assignment_strategy=[RangePartitionAssignor],
)
consumer.subscribe([topic], listener=Tell())
while not ended.is_set():
    for source, messages in consumer.poll(timeout_ms=200, max_records=1).items():
        for message in messages:
            print("read", message.partition, message.offset, flush=True)
            try:
                consumer.commit({source: OffsetAndMetadata(message.offset + 1, "", -1)})
            except Exception as error:  # a rebalance has it read again; whoever has the partition then commits
                print("not committed:", error, file=sys.stderr)
            else:
                print("committed", message.partition, message.offset + 1, flush=True)
consumer.close()
