"""A member of a group by aiokafka; see driver.py."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

bootstrap, group, topic, instance, _ = sys.argv[1:]


class Tell(ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned):
        print("assigned", ",".join(str(one.partition) for one in sorted(assigned)), flush=True)

    async def on_partitions_revoked(self, revoked):
        pass


async def run():
    consumer = AIOKafkaConsumer(
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
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await consumer.start()
    while not ended.done():
        for source, messages in (await consumer.getmany(timeout_ms=200, max_records=1)).items():
            for message in messages:
                print("read", message.partition, message.offset, flush=True)
                try:
                    await consumer.commit({source: message.offset + 1})
                except Exception as error:  # a rebalance has it read again; whoever has the partition then commits
                    print("not committed:", error, file=sys.stderr)
                else:
                    print("committed", message.partition, message.offset + 1, flush=True)
    await consumer.stop()


asyncio.run(run())
