"""kafka-python against a broker, case by case: suite_kafka_python.py --bootstrap HOST:PORT [--only PART]."""

import time

import kafka.errors as errors
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    AlterConfigOp,
    ConfigResource,
    ConfigResourceType,
    KafkaAdminClient,
    OffsetSpec,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ACLResourcePatternType,
)

from records import CODECS, MANY, STEP_SECONDS, T0_MS, Names, check_same, keyed, noise, plain, until
from report import case, main


class Cluster:
    """A broker to test."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.name = Names("kafka-python").of
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create(self, topic, partitions=1, **configs):
        name = self.name(topic)
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        asked = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}}
        self.admin.create_topics(asked, wait_for_metadata=True)
        return name

    def producer(self, **settings):
        return KafkaProducer(bootstrap_servers=self.bootstrap, **settings)

    def produce(self, topic, records, partition=0, **settings):
        """Sends the records in order; gives each one's offset, or its error's class."""
        with self.producer(**settings) as producer:
            futures = [
                producer.send(topic, value, key, headers, partition, timestamp)
                for key, value, headers, timestamp in records
            ]
            producer.flush(STEP_SECONDS)
            return [type(f.exception) if f.failed() else f.get(STEP_SECONDS).offset for f in futures]

    def consumer(self, *partitions):
        """A consumer of these (topic, partition), which never joins a group."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=2_000_000,
        )
        consumer.assign([TopicPartition(*partition) for partition in partitions])
        return consumer

    def read(self, topic, count, partition=0, offset=0):
        with self.consumer((topic, partition)) as consumer:
            consumer.seek(TopicPartition(topic, partition), offset)
            return parts(take(consumer, count))


def take(consumer, count):
    """The next `count` messages."""
    messages, deadline = [], time.monotonic() + STEP_SECONDS
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} messages came"
        for of_partition in consumer.poll(timeout_ms=200, max_records=count - len(messages)).values():
            messages += of_partition
    return messages


def parts(messages):
    return [(m.offset, m.key, m.value, list(m.headers)) for m in messages]


def sent_by(count, seed=0):
    """This client sends no null headers."""
    return keyed(count, seed, null_header=False)


def round_trip(cluster, topic, sent, **settings):
    acks = cluster.produce(topic, sent, **settings)
    assert acks == list(range(len(sent))), f"acked at {acks!r:.300}"
    check_same(sent, cluster.read(topic, len(sent)))


def refused(error, ask):
    try:
        answer = ask()
    except error:
        return
    raise AssertionError(f"{answer!r}, not {error.__name__}")


@case("create", "topics are made, shown, refused twice, deleted")
def topics(cluster):
    topic = cluster.create("life", 3, segment_bytes="1048576")
    [shown] = cluster.admin.describe_topics([topic])
    assert len(shown["partitions"]) == 3 and topic in cluster.admin.list_topics(), shown
    refused(errors.TopicAlreadyExistsError, lambda: cluster.create("life", 3))
    refused(errors.InvalidConfigurationError, lambda: cluster.create("bad", segment_bytes="many"))
    name = cluster.name("validated")
    cluster.admin.create_topics({name: {"num_partitions": 2}}, validate_only=True)
    assert name not in cluster.admin.list_topics(), "validate_only made a topic"
    cluster.admin.delete_topics([topic])
    until(False, lambda: topic in cluster.admin.list_topics())
    refused(errors.UnknownTopicOrPartitionError, lambda: cluster.admin.delete_topics([topic]))


@case("grow", "a topic grows and its new partitions take records")
def grow(cluster):
    topic = cluster.create("grow", 2)
    cluster.admin.create_partitions({topic: 5})
    until(5, lambda: len(cluster.admin.describe_topics([topic])[0]["partitions"]))
    sent = sent_by(10)
    cluster.produce(topic, sent, partition=4)
    check_same(sent, cluster.read(topic, 10, partition=4))
    refused(errors.InvalidPartitionsError, lambda: cluster.admin.create_partitions({topic: 3}))


@case("by-use", "producing to an unknown topic makes it")
def made_by_use(cluster):
    round_trip(cluster, cluster.name("made-by-use"), sent_by(5))


def codec_case(codec):
    @case(codec, f"records with keys and headers in {codec} come back as sent")
    def run(cluster):
        topic = cluster.create(f"codec-{codec}")
        round_trip(cluster, topic, sent_by(500), compression_type=None if codec == "none" else codec, linger_ms=20)


for each in CODECS:
    codec_case(each)


@case("idempotent", "idempotent records are acked once each, in order")
def idempotent(cluster):
    topic = cluster.create("idempotent")
    round_trip(cluster, topic, sent_by(400), enable_idempotence=True, batch_size=600, linger_ms=0)


@case("empty", "empty values, null values and null keys stay apart")
def empty(cluster):
    some = [None, b"", b"x"]
    # This client sends no record that has neither key nor value.
    sent = [plain(value, key) for key in some for value in some if (key, value) != (None, None)]
    round_trip(cluster, cluster.create("empty"), sent)


@case("large", "records of 950,000 bytes come back as sent")
def large(cluster):
    topic = cluster.create("large")
    round_trip(cluster, topic, [plain(noise(seed, 950_000)) for seed in range(8)], max_request_size=2_000_000)


@case("too-large", "a record over max.message.bytes is refused, and the next one is taken")
def too_large(cluster):
    topic = cluster.create("too-large", max_message_bytes="100000")
    acks = [cluster.produce(topic, [plain(noise(1, size))])[0] for size in (90_000, 100_001, 10)]
    assert acks == [0, errors.MessageSizeTooLargeError, 1], acks


@case("earliest", "reading starts at the earliest")
def read_earliest(cluster):
    topic = cluster.create("earliest")
    sent = sent_by(50)
    cluster.produce(topic, sent)
    with cluster.consumer((topic, 0)) as consumer:
        consumer.seek_to_beginning()
        check_same(sent, parts(take(consumer, 50)))


@case("latest", "reading from the latest sees only what comes after")
def read_latest(cluster):
    topic = cluster.create("latest")
    cluster.produce(topic, sent_by(10))
    with cluster.consumer((topic, 0)) as consumer:
        consumer.seek_to_end()
        assert not consumer.poll(timeout_ms=500), "an old record came"
        later = sent_by(5, seed=1)
        cluster.produce(topic, later)
        check_same(later, parts(take(consumer, 5)), 10)


@case("offset", "reading starts at an offset; one beyond the end is out of range")
def read_offset(cluster):
    topic = cluster.create("offset")
    sent = sent_by(100)
    cluster.produce(topic, sent, batch_size=600)
    check_same(sent[41:], cluster.read(topic, 59, offset=41), 41)
    refused(errors.OffsetOutOfRangeError, lambda: cluster.read(topic, 1, offset=1_000))


@case("timestamp", "reading starts at a timestamp")
def read_timestamp(cluster):
    topic = cluster.create("timestamp")
    sent = [plain(bytes([at]), timestamp=T0_MS + at * 1000) for at in range(100)]
    cluster.produce(topic, sent, batch_size=200)
    source = TopicPartition(topic, 0)
    with cluster.consumer((topic, 0)) as consumer:
        found = consumer.offsets_for_times({source: T0_MS + 70_001})[source]
        assert (found.offset, found.timestamp) == (71, T0_MS + 71_000), found
        assert consumer.offsets_for_times({source: T0_MS + 100_000})[source] is None
        consumer.seek(source, found.offset)
        check_same(sent[71:], parts(take(consumer, 29)), 71)


@case("list-offsets", "offsets are listed by kind")
def list_offsets(cluster):
    topic = cluster.create("list")
    cluster.produce(topic, [plain(b"x", timestamp=T0_MS + at) for at in (50, 10, 90, 20, 40)], batch_size=0)
    source = TopicPartition(topic, 0)
    expected = {
        OffsetSpec.EARLIEST: 0,
        OffsetSpec.LATEST: 5,
        OffsetSpec.MAX_TIMESTAMP: 2,
        OffsetSpec.EARLIEST_LOCAL: 0,
        OffsetSpec.LATEST_TIERED: -1,
        T0_MS + 60: 2,
        T0_MS + 91: -1,
    }
    for spec, offset in expected.items():
        found = cluster.admin.list_partition_offsets({source: spec})[source].offset
        assert found == offset, f"{spec}: {found}, not {offset}"
    with cluster.consumer((topic, 0)) as consumer:
        assert consumer.beginning_offsets([source]) == {source: 0}
        assert consumer.end_offsets([source]) == {source: 5}


@case("many", "1,000 partitions are made, written and read")
def many(cluster):
    topic = cluster.create("many", MANY)
    with cluster.producer(enable_idempotence=True) as producer:
        for number in range(3):
            for partition in range(MANY):
                producer.send(topic, f"{partition}:{number}".encode(), partition=partition)
        producer.flush(STEP_SECONDS)
    following = [0] * MANY
    with cluster.consumer(*((topic, partition) for partition in range(MANY))) as consumer:
        consumer.seek_to_beginning()
        for message in take(consumer, 3 * MANY):
            number = following[message.partition]
            expected = (number, f"{message.partition}:{number}".encode())
            assert (message.offset, message.value) == expected, expected
            following[message.partition] += 1
    cluster.admin.delete_topics([topic])


@case("delete-records", "records before an offset are deleted")
def delete_records(cluster):
    topic = cluster.create("delete-records")
    sent = sent_by(100)
    cluster.produce(topic, sent)
    source = TopicPartition(topic, 0)
    answer = cluster.admin.delete_records({source: 40})
    assert answer[source]["low_watermark"] == 40, answer
    check_same(sent[40:], cluster.read(topic, 60, offset=40), 40)
    refused(errors.OffsetOutOfRangeError, lambda: cluster.read(topic, 1, offset=39))
    refused(errors.OffsetOutOfRangeError, lambda: cluster.admin.delete_records({source: 101}))


@case("describe-cluster", "the cluster is described")
def describe_cluster(cluster):
    shown = cluster.admin.describe_cluster()
    [broker] = shown["brokers"]
    host, port = cluster.bootstrap.split(":")
    assert (broker["host"], broker["port"]) == (host, int(port)), shown
    assert shown["cluster_id"] and shown["controller_id"] == broker["broker_id"], shown


main(__doc__, Cluster)
