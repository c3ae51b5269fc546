"""A member of a group by kafka-python; see driver.py."""

import sys
import threading

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

bootstrap, group, topic, instance, strategy = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()


def tell(has):
    print("assigned", ",".join(str(one.partition) for one in sorted(has)), flush=True)


class Tell(ConsumerRebalanceListener):
    # A cooperative member is told of what came and went, not of all that it has.
    def on_partitions_assigned(self, assigned):
        tell(consumer.assignment())

    def on_partitions_revoked(self, revoked):
        if strategy == "cooperative":
            tell(consumer.assignment() - set(revoked))


consumer = KafkaConsumer(
    bootstrap_servers=bootstrap,
    group_id=group,
    group_instance_id=None if instance == "-" else instance,
    session_timeout_ms=6000,
    heartbeat_interval_ms=500,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    partition_assignment_strategy=[CooperativeStickyAssignor if strategy == "cooperative" else RangePartitionAssignor],
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
