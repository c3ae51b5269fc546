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


def configs_of(cluster, kind, name, config_filter="all"):
    described = cluster.admin.describe_configs([ConfigResource(kind, name)], config_filter=config_filter)
    return {key: entry["value"] for key, entry in described[kind.lower()][name].items()}


@case("describe-configs alter-configs incremental-configs", "a topic's configs are described, altered, reset, replaced")
def topic_configs(cluster):
    topic = cluster.create("configs", retention_ms="3600000")

    def shown():
        configs = configs_of(cluster, "TOPIC", topic)
        return configs["retention.ms"], configs["segment.bytes"], configs["cleanup.policy"]

    def alter(incremental, **configs):
        resource = ConfigResource("TOPIC", topic, {key.replace("_", "."): value for key, value in configs.items()})
        return cluster.admin.alter_configs([resource], incremental=incremental)["topic"][topic]

    assert shown() == ("3600000", "1073741824", "delete"), shown()
    assert configs_of(cluster, "TOPIC", topic, "modified").keys() == {"retention.ms"}
    assert "InvalidConfiguration" in alter(True, segment_bytes="-1")
    assert alter(True, segment_bytes="2097152", cleanup_policy=(AlterConfigOp.APPEND, "compact")) == "OK"
    assert shown() == ("3600000", "2097152", "delete,compact"), shown()
    assert alter(True, cleanup_policy=(AlterConfigOp.SUBTRACT, "delete"), segment_bytes=(AlterConfigOp.DELETE, None)) == "OK"
    assert shown() == ("3600000", "1073741824", "compact"), shown()
    assert alter(False, segment_bytes="4194304") == "OK"
    # This client keeps what is set when it replaces all.
    assert shown() == ("3600000", "4194304", "compact"), shown()


@case("describe-configs incremental-configs", "a broker's configs are described, set and unset")
def broker_configs(cluster):
    broker = str(cluster.admin.describe_cluster()["brokers"][0]["broker_id"])
    before = configs_of(cluster, "BROKER", broker)
    assert "num.partitions" in before and "log.retention.ms" in before, sorted(before)
    key = "log.retention.ms"

    def alter(op, value):
        resource = ConfigResource("BROKER", broker, {key: (op, value)})
        return cluster.admin.alter_configs([resource], raise_on_unknown=False)["broker"][broker]

    assert alter(AlterConfigOp.SET, "7200000") == "OK"
    until("7200000", lambda: configs_of(cluster, "BROKER", broker)[key])
    assert alter(AlterConfigOp.DELETE, None) == "OK"
    until(before[key], lambda: configs_of(cluster, "BROKER", broker)[key])


@case("list-configs", "the resources that have configs are listed")
def list_configs(cluster):
    topic = cluster.create("listed")
    assert topic in cluster.admin.list_config_resources([ConfigResourceType.TOPIC])["topic"]
    everything = cluster.admin.list_config_resources()
    assert topic in everything["topic"] and everything["broker"], everything


@case("log-dirs move-replica", "log directories are described, and a replica stays in its own")
def log_dirs(cluster):
    topic = cluster.create("log-dirs")
    cluster.produce(topic, sent_by(100))
    [of_broker] = cluster.admin.describe_log_dirs({topic: [0]})
    [found] = [each for each in of_broker["log_dirs"] if each["topics"]]
    assert found["topics"][0]["partitions"][0]["partition_size"] > 0, found
    replica = (topic, 0, of_broker["broker"])
    assert list(cluster.admin.alter_replica_log_dirs({replica: found["log_dir"]}).values()) == [errors.NoError]
    moved = cluster.admin.alter_replica_log_dirs({replica: "/no/such/dir"})
    assert [error.errno for error in moved.values()] == [57], moved  # LOG_DIR_NOT_FOUND


@case("describe-partitions", "partitions are described page by page")
def describe_partitions(cluster):
    topic = cluster.create("pages", 5)
    first = cluster.admin.describe_topic_partitions([topic], response_partition_limit=3)
    assert [each["partition_index"] for each in first["topics"][0]["partitions"]] == [0, 1, 2], first
    assert first["next_cursor"] == {"topic_name": topic, "partition_index": 3}, first
    rest = cluster.admin.describe_topic_partitions([topic], cursor=first["next_cursor"])
    assert [each["partition_index"] for each in rest["topics"][0]["partitions"]] == [3, 4], rest
    assert rest["next_cursor"] is None, rest


@case("elect", "an election is not needed")
def elect(cluster):
    topic = cluster.create("elect")
    for kind in (0, 1):
        answer = cluster.admin.elect_leaders(kind, {topic: [0]})
        codes = [part.error_code for each in answer.replica_election_results for part in each.partition_result]
        assert codes == [errors.ElectionNotNeededError.errno], codes


@case("reassign list-reassignments", "a partition is assigned to where it is; nothing moves")
def reassign(cluster):
    topic = cluster.create("reassign")
    source = TopicPartition(topic, 0)
    broker = cluster.admin.describe_cluster()["brokers"][0]["broker_id"]
    assert cluster.admin.alter_partition_reassignments({source: [broker]}) == {source: None}
    away = cluster.admin.alter_partition_reassignments({source: [broker + 1]})[source]
    assert away.errno == errors.InvalidReplicationAssignmentError.errno, away
    cancelled = cluster.admin.alter_partition_reassignments({source: None})[source]
    assert cancelled.errno == 85, cancelled  # NO_REASSIGNMENT_IN_PROGRESS
    assert cluster.admin.list_partition_reassignments({topic: [0]}) == {}


@case("quorum", "the quorum is described")
def quorum(cluster):
    shown = cluster.admin.describe_metadata_quorum()
    [topic] = shown["topics"]
    [partition] = topic["partitions"]
    assert partition["error"] is None and topic["topic_name"] == "__cluster_metadata", shown
    assert [each["replica_id"] for each in partition["current_voters"]] == [partition["leader_id"]], shown


@case("features", "versions and features are told")
def features(cluster):
    shown = cluster.admin.describe_features()
    assert shown["metadata.version"]["finalized"], shown


@case("acls", "ACLs are off")
def acls(cluster):
    pattern = ResourcePattern(ResourceType.TOPIC, "a")
    acl = ACL("User:one", "*", ACLOperation.READ, ACLPermissionType.ALLOW, pattern)
    every = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    some = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, every)
    refused(errors.SecurityDisabledError, lambda: cluster.admin.describe_acls(some))
    assert cluster.admin.create_acls([acl])["failed"] == [errors.SecurityDisabledError]
    [deleted] = cluster.admin.delete_acls([some])
    assert any(part is errors.SecurityDisabledError for part in deleted), deleted


@case("scram", "no credential is described")
def scram(cluster):
    assert cluster.admin.describe_user_scram_credentials() == {}
    [nobody] = cluster.admin.describe_user_scram_credentials(["nobody"]).values()
    assert nobody["error"], nobody


main(__doc__, Cluster)
