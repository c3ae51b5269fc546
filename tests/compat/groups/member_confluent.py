"""A member of a group by confluent-kafka; see driver.py."""

import sys
import threading

from confluent_kafka import Consumer, TopicPartition

bootstrap, group, topic, instance, strategy = sys.argv[1:]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

settings = {
    "bootstrap.servers": bootstrap,
    "group.id": group,
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
}
if strategy == "consumer":
    settings["group.protocol"] = "consumer"
else:
    # With the consumer protocol these are the broker's.
    settings["session.timeout.ms"] = 6000
    settings["heartbeat.interval.ms"] = 500
    settings["partition.assignment.strategy"] = "cooperative-sticky" if strategy == "cooperative" else "range"
incremental = strategy != "range"
if instance != "-":
    settings["group.instance.id"] = instance
consumer = Consumer(settings)
had = set()


def tell():
    print("assigned", ",".join(str(one) for one in sorted(had)), flush=True)


def assigned(consumer, partitions):
    added = [one.partition for one in partitions]
    if incremental:
        consumer.incremental_assign(partitions)
    else:
        consumer.assign(partitions)
        had.clear()
    had.update(added)
    tell()


def revoked(consumer, partitions):
    if incremental:
        consumer.incremental_unassign(partitions)
    else:
        consumer.unassign()
    had.difference_update(one.partition for one in partitions)
    tell()


consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
while not ended.is_set():
    message = consumer.poll(0.2)
    if message is None or message.error():
        continue
    print("read", message.partition(), message.offset(), flush=True)
    following = TopicPartition(topic, message.partition(), message.offset() + 1)
    try:
        consumer.commit(offsets=[following], asynchronous=False)
    except Exception as error:  # a rebalance has it read again; whoever has the partition then commits
        print("not committed:", error, file=sys.stderr)
    else:
        print("committed", following.partition, following.offset, flush=True)
consumer.close()
