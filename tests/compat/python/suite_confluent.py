"""confluent-kafka against a broker, case by case: suite_confluent.py --bootstrap HOST:PORT [--only PART]."""

import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    ElectionType,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

from records import CODECS, MANY, STEP_SECONDS, T0_MS, Names, check_same, keyed, noise, plain, until
from report import case, main


class Cluster:
    """A broker to test."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.name = Names("confluent").of
        self.admin = AdminClient(self.config())

    def config(self, **settings):
        base = {"bootstrap.servers": self.bootstrap, "broker.address.family": "v4"}
        return base | {key.replace("_", "."): value for key, value in settings.items()}

    def create(self, topic, partitions=1, **config):
        name = self.name(topic)
        config = {key.replace("_", "."): value for key, value in config.items()}
        asked = NewTopic(name, partitions, 1, config=config)
        self.admin.create_topics([asked], request_timeout=STEP_SECONDS)[name].result()
        return name

    def partitions(self, topic):
        """The number of partitions in metadata, None without such a topic."""
        shown = self.admin.list_topics(timeout=STEP_SECONDS).topics.get(topic)
        return len(shown.partitions) if shown is not None and shown.error is None else None

    def produce(self, topic, records, partition=0, **settings):
        """Sends (key, value, headers, timestamp) in order; gives each one's offset or error code."""
        acks = [None] * len(records)
        producer = Producer(self.config(**settings))
        for at, (key, value, headers, timestamp) in enumerate(records):

            def told(error, message, at=at):
                acks[at] = error.code() if error else message.offset()

            stamp = {} if timestamp is None else {"timestamp": timestamp}
            producer.produce(topic, value, key, partition, on_delivery=told, headers=headers, **stamp)
            producer.poll(0)
        left = producer.flush(STEP_SECONDS)
        assert left == 0, f"{left} records without an ack"
        return acks

    def consumer(self, *partitions):
        """A consumer of these (topic, partition, offset), which never joins a group."""
        consumer = Consumer(
            self.config(group_id="assigned", enable_auto_commit=False, auto_offset_reset="error")
        )
        if partitions:
            consumer.assign([TopicPartition(*partition) for partition in partitions])
        return consumer

    def read(self, topic, count, partition=0, offset=OFFSET_BEGINNING):
        consumer = self.consumer((topic, partition, offset))
        try:
            return parts(take(consumer, count))
        finally:
            consumer.close()


# A group coordinator is not needed to read by assignment; the client may report its absence all the same.
PASSING = {
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError._WAIT_COORD,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
}


def take(consumer, count):
    """The next `count` messages."""
    messages, deadline = [], time.monotonic() + STEP_SECONDS
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count} messages came"
        message = consumer.poll(0.2)
        if message is None or (message.error() and message.error().code() in PASSING):
            continue
        assert not message.error(), message.error()
        messages.append(message)
    return messages


def parts(messages):
    return [(m.offset(), m.key(), m.value(), m.headers() or []) for m in messages]


def round_trip(cluster, topic, sent, **settings):
    acks = cluster.produce(topic, sent, **settings)
    assert acks == list(range(len(sent))), f"acked at {acks!r:.300}"
    check_same(sent, cluster.read(topic, len(sent)))


def error_of(ask):
    """The error code that `ask` raises, None if it succeeds."""
    try:
        ask()
    except KafkaException as failure:
        return failure.args[0].code()
    return None


@case("create", "topics are made, shown, refused twice, deleted")
def topics(cluster):
    topic = cluster.create("life", 3, segment_bytes="1048576")
    until(3, lambda: cluster.partitions(topic))
    assert error_of(lambda: cluster.create("life", 3)) == KafkaError.TOPIC_ALREADY_EXISTS
    cluster.admin.delete_topics([topic])[topic].result()
    until(None, lambda: cluster.partitions(topic))
    again = error_of(lambda: cluster.admin.delete_topics([topic])[topic].result())
    assert again == KafkaError.UNKNOWN_TOPIC_OR_PART, again


@case("grow", "a topic grows and its new partitions take records")
def grow(cluster):
    topic = cluster.create("grow", 2)
    cluster.admin.create_partitions([NewPartitions(topic, 5)])[topic].result()
    until(5, lambda: cluster.partitions(topic))
    sent = keyed(10)
    cluster.produce(topic, sent, partition=4)
    check_same(sent, cluster.read(topic, 10, partition=4))
    code = error_of(lambda: cluster.admin.create_partitions([NewPartitions(topic, 3)])[topic].result())
    assert code == KafkaError.INVALID_PARTITIONS, code


@case("create", "validate_only makes nothing")
def validate_only(cluster):
    name = cluster.name("validated")
    cluster.admin.create_topics([NewTopic(name, 2, 1)], validate_only=True)[name].result()
    assert cluster.partitions(name) is None
    bad = NewTopic(name, 2, 1, config={"segment.bytes": "many"})
    code = error_of(lambda: cluster.admin.create_topics([bad], validate_only=True)[name].result())
    assert code == KafkaError.INVALID_CONFIG, code


@case("by-use", "producing to an unknown topic makes it")
def made_by_use(cluster):
    topic = cluster.name("made-by-use")
    round_trip(cluster, topic, keyed(5))


def codec_case(codec):
    @case(codec, f"records with keys and headers in {codec} come back as sent")
    def run(cluster):
        topic = cluster.create(f"codec-{codec}")
        round_trip(cluster, topic, keyed(500), compression_type=codec, linger_ms=20)


for each in CODECS:
    codec_case(each)


@case("idempotent", "idempotent records are acked once each, in order")
def idempotent(cluster):
    topic = cluster.create("idempotent")
    round_trip(cluster, topic, keyed(2_000), enable_idempotence=True, batch_num_messages=7, linger_ms=0)


@case("empty", "empty values, null values and null keys stay apart")
def empty(cluster):
    topic = cluster.create("empty")
    some = [None, b"", b"x"]
    round_trip(cluster, topic, [plain(value, key) for key in some for value in some])


@case("empty", "a tombstone on a compacted topic is kept; a record without a key is refused there")
def tombstone(cluster):
    topic = cluster.create("tombstone", cleanup_policy="compact")
    round_trip(cluster, topic, [plain(b"v", b"k"), plain(None, b"k")])
    assert cluster.produce(topic, [plain(b"v")]) == [KafkaError.INVALID_RECORD]


@case("large", "records of 950,000 bytes come back as sent")
def large(cluster):
    topic = cluster.create("large")
    sent = [plain(noise(seed, 950_000)) for seed in range(8)]
    round_trip(cluster, topic, sent, message_max_bytes=2_000_000)


@case("too-large", "a record over max.message.bytes is refused, and the next one is taken")
def too_large(cluster):
    topic = cluster.create("too-large", max_message_bytes="100000")
    sent = [plain(noise(1, size)) for size in (90_000, 100_001, 10)]
    acks = cluster.produce(topic, sent, message_max_bytes=2_000_000, batch_num_messages=1)
    assert acks == [0, KafkaError.MSG_SIZE_TOO_LARGE, 1], acks


@case("earliest", "reading starts at the earliest")
def read_earliest(cluster):
    topic = cluster.create("earliest")
    sent = keyed(50)
    cluster.produce(topic, sent)
    check_same(sent, cluster.read(topic, 50, offset=OFFSET_BEGINNING))


@case("offset", "reading starts at an offset")
def read_offset(cluster):
    topic = cluster.create("offset")
    sent = keyed(100)
    cluster.produce(topic, sent, batch_num_messages=9)
    check_same(sent[41:], cluster.read(topic, 59, offset=41), 41)


@case("timestamp", "reading starts at a timestamp")
def read_timestamp(cluster):
    topic = cluster.create("timestamp")
    sent = [plain(bytes([at]), timestamp=T0_MS + at * 1000) for at in range(100)]
    cluster.produce(topic, sent, batch_num_messages=9)
    consumer = cluster.consumer()
    [found] = consumer.offsets_for_times([TopicPartition(topic, 0, T0_MS + 70_001)], timeout=STEP_SECONDS)
    assert found.offset == 71, found
    [beyond] = consumer.offsets_for_times([TopicPartition(topic, 0, T0_MS + 100_000)], timeout=STEP_SECONDS)
    assert beyond.offset == OFFSET_END, beyond
    consumer.assign([TopicPartition(topic, 0, found.offset)])
    read = take(consumer, 29)
    check_same(sent[71:], parts(read), 71)
    assert read[0].timestamp()[1] == T0_MS + 71_000, read[0].timestamp()
    consumer.close()


@case("latest", "reading from the latest sees only what comes after")
def read_latest(cluster):
    topic = cluster.create("latest")
    cluster.produce(topic, keyed(10))
    consumer = cluster.consumer((topic, 0, OFFSET_END))
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        early = consumer.poll(0.1)
        assert early is None or early.error().code() in PASSING, "an old record came"
    later = keyed(5, seed=1)
    cluster.produce(topic, later)
    check_same(later, parts(take(consumer, 5)), 10)
    consumer.close()


@case("list-offsets", "list_offsets gives the earliest, the latest, by timestamp and of the highest timestamp")
def list_offsets(cluster):
    topic = cluster.create("list")
    stamps = [50, 10, 90, 20, 40]
    cluster.produce(topic, [plain(b"x", timestamp=T0_MS + at) for at in stamps], batch_num_messages=1)
    partition = TopicPartition(topic, 0)

    def listed(spec):
        asked = cluster.admin.list_offsets(
            {partition: spec}, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=STEP_SECONDS
        )
        return asked[partition].result().offset

    assert listed(OffsetSpec.earliest()) == 0
    assert listed(OffsetSpec.latest()) == 5
    assert listed(OffsetSpec.for_timestamp(T0_MS + 60)) == 2
    assert listed(OffsetSpec.max_timestamp()) == 2


@case("many", "1,000 partitions are made, written and read")
def many(cluster):
    topic = cluster.create("many", MANY)
    until(MANY, lambda: cluster.partitions(topic))
    producer, failed = Producer(cluster.config(enable_idempotence=True)), []
    for number in range(3):
        for partition in range(MANY):
            value = f"{partition}:{number}".encode()
            producer.produce(topic, value, partition=partition, on_delivery=lambda e, _: e and failed.append(e))
        producer.poll(0)
    assert producer.flush(STEP_SECONDS) == 0 and not failed, failed[:3]
    consumer = cluster.consumer(*((topic, partition, OFFSET_BEGINNING) for partition in range(MANY)))
    following = [0] * MANY
    for message in take(consumer, 3 * MANY):
        partition = message.partition()
        expected = (following[partition], f"{partition}:{following[partition]}".encode())
        assert (message.offset(), message.value()) == expected, expected
        following[partition] += 1
    consumer.close()
    cluster.admin.delete_topics([topic])[topic].result()


@case("idempotent", "four producers at once keep their order in a partition")
def order(cluster):
    topic = cluster.create("order")
    producers = [Producer(cluster.config(enable_idempotence=True, linger_ms=1)) for _ in range(4)]
    for n in range(500):
        for number, producer in enumerate(producers):
            producer.produce(topic, str(n).encode(), bytes([number]), 0)
            producer.poll(0)
    assert sum(producer.flush(STEP_SECONDS) for producer in producers) == 0
    following = [0] * 4
    for message in take(consumer := cluster.consumer((topic, 0, 0)), 2_000):
        number = message.key()[0]
        assert int(message.value()) == following[number], f"producer {number}: {message.value()}"
        following[number] += 1
    consumer.close()


@case("delete-records", "records before an offset are deleted")
def delete_records(cluster):
    topic = cluster.create("delete-records")
    sent = keyed(100)
    cluster.produce(topic, sent)

    def delete(offset):
        source = TopicPartition(topic, 0, offset)
        return cluster.admin.delete_records([source])[source].result().low_watermark

    assert delete(40) == 40
    check_same(sent[40:], cluster.read(topic, 60), 40)
    assert error_of(lambda: delete(101)) == KafkaError.OFFSET_OUT_OF_RANGE


# This client describes topics and the cluster with Metadata and DescribeCluster.
@case("create describe-cluster", "topics and the cluster are described")
def describe(cluster):
    topic = cluster.create("described", 3)
    shown = cluster.admin.describe_topics(TopicCollection([topic]))[topic].result()
    assert len(shown.partitions) == 3 and shown.topic_id, shown
    of_cluster = cluster.admin.describe_cluster().result()
    [node] = of_cluster.nodes
    assert f"{node.host}:{node.port}" == cluster.bootstrap and of_cluster.controller.id == node.id, node


def configs_of(cluster, kind, name):
    resource = ConfigResource(kind, name)
    return {key: each.value for key, each in cluster.admin.describe_configs([resource])[resource].result().items()}


@case("describe-configs alter-configs incremental-configs", "a topic's configs are described, altered and replaced")
def topic_configs(cluster):
    topic = cluster.create("configs", retention_ms="3600000")

    def shown():
        configs = configs_of(cluster, ConfigResource.Type.TOPIC, topic)
        return configs["retention.ms"], configs["segment.bytes"], configs["cleanup.policy"]

    def alter(*entries):
        entries = [ConfigEntry(name, value, incremental_operation=op) for name, op, value in entries]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        return cluster.admin.incremental_alter_configs([resource])[resource].result()

    assert shown() == ("3600000", "1073741824", "delete"), shown()
    wrong = error_of(lambda: alter(("segment.bytes", AlterConfigOpType.SET, "-1")))
    assert wrong == KafkaError.INVALID_CONFIG, wrong
    alter(("segment.bytes", AlterConfigOpType.SET, "2097152"), ("cleanup.policy", AlterConfigOpType.APPEND, "compact"))
    assert shown() == ("3600000", "2097152", "delete,compact"), shown()
    alter(("segment.bytes", AlterConfigOpType.DELETE, None), ("cleanup.policy", AlterConfigOpType.SUBTRACT, "delete"))
    assert shown() == ("3600000", "1073741824", "compact"), shown()
    whole = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"segment.bytes": "4194304"})
    cluster.admin.alter_configs([whole])[whole].result()
    assert shown() == ("604800000", "4194304", "delete"), shown()


@case("describe-configs", "a broker's configs are described")
def broker_configs(cluster):
    [broker] = cluster.admin.list_topics(timeout=STEP_SECONDS).brokers
    configs = configs_of(cluster, ConfigResource.Type.BROKER, str(broker))
    assert "num.partitions" in configs and "log.retention.ms" in configs, sorted(configs)


@case("elect", "an election is not needed")
def elect(cluster):
    source = TopicPartition(cluster.create("elect"), 0)
    for kind in (ElectionType.PREFERRED, ElectionType.UNCLEAN):
        answer = cluster.admin.elect_leaders(kind, [source]).result()
        assert answer[source].code() == KafkaError.ELECTION_NOT_NEEDED, answer


@case("acls", "ACLs are off")
def acls(cluster):
    what = (ResourceType.TOPIC, "a", ResourcePatternType.LITERAL, "User:one", "*")
    acl = AclBinding(*what, AclOperation.READ, AclPermissionType.ALLOW)
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    for answer in (cluster.admin.create_acls([acl])[acl], cluster.admin.delete_acls([every])[every]):
        assert error_of(answer.result) == KafkaError.SECURITY_DISABLED
    # Here the client keeps the error to itself.
    assert cluster.admin.describe_acls(every).result() == []


@case("scram", "no credential is described")
def scram(cluster):
    assert cluster.admin.describe_user_scram_credentials().result() == {}
    nobody = cluster.admin.describe_user_scram_credentials(["nobody"])["nobody"]
    assert error_of(nobody.result) == KafkaError.RESOURCE_NOT_FOUND


main(__doc__, Cluster)
