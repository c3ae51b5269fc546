"""aiokafka against a broker, case by case: suite_aiokafka.py --bootstrap HOST:PORT [--only PART]."""

import asyncio
from contextlib import asynccontextmanager

import aiokafka.errors as errors
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from records import CODECS, MANY, STEP_SECONDS, T0_MS, Names, check_same, keyed, noise, plain
from report import case, main


class Cluster:
    """A broker to test. Each case has an event loop and clients of its own."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.name = Names("aiokafka").of

    @asynccontextmanager
    async def admin(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def create(self, topic, partitions=1, **configs):
        name = self.name(topic)
        configs = {key.replace("_", "."): value for key, value in configs.items()}
        async with self.admin() as admin:
            checked(await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)]))
        return name

    async def produce(self, topic, records, partition=0, **settings):
        """Sends the records in order; gives each one's offset, or its error's class."""
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, **settings) as producer:
            futures = []
            for key, value, headers, timestamp in records:
                sent = await producer.send(topic, value, key, partition, timestamp, headers)
                futures.append(sent)
            acks = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), STEP_SECONDS)
            return [type(ack) if isinstance(ack, Exception) else ack.offset for ack in acks]

    @asynccontextmanager
    async def consumer(self, *partitions):
        """A consumer of these (topic, partition), which never joins a group."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=2_000_000,
        ) as consumer:
            consumer.assign([TopicPartition(*partition) for partition in partitions])
            yield consumer

    async def read(self, topic, count, partition=0, offset=0):
        async with self.consumer((topic, partition)) as consumer:
            consumer.seek(TopicPartition(topic, partition), offset)
            return parts(await take(consumer, count))


def checked(response):
    """The answer of an admin call; the first error in it is raised."""
    answers = getattr(response, "topic_errors", None) or getattr(response, "topic_error_codes", [])
    for _, code, *_ in answers:
        if code:
            raise errors.for_code(code)
    return response


async def take(consumer, count):
    """The next `count` messages."""
    messages = []
    async with asyncio.timeout(STEP_SECONDS):
        while len(messages) < count:
            for of_partition in (await consumer.getmany(timeout_ms=200, max_records=count - len(messages))).values():
                messages += of_partition
    return messages


def parts(messages):
    return [(m.offset, m.key, m.value, list(m.headers)) for m in messages]


async def round_trip(cluster, topic, sent, **settings):
    acks = await cluster.produce(topic, sent, **settings)
    assert acks == list(range(len(sent))), f"acked at {acks!r:.300}"
    check_same(sent, await cluster.read(topic, len(sent)))


async def refused(error, asked):
    try:
        answer = await asked
    except error:
        return
    raise AssertionError(f"{answer!r}, not {error.__name__}")


async def until(expected, ask):
    async with asyncio.timeout(STEP_SECONDS):
        while await ask() != expected:
            await asyncio.sleep(0.02)


@case("create", "topics are made, shown, refused twice, deleted")
async def topics(cluster):
    topic = await cluster.create("life", 3, segment_bytes="1048576")
    async with cluster.admin() as admin:
        [shown] = await admin.describe_topics([topic])
        assert len(shown["partitions"]) == 3 and topic in await admin.list_topics(), shown
        await refused(errors.TopicAlreadyExistsError, cluster.create("life", 3))
        await refused(errors.InvalidConfigurationError, cluster.create("bad", segment_bytes="many"))
        name = cluster.name("validated")
        checked(await admin.create_topics([NewTopic(name, 2, 1)], validate_only=True))
        assert name not in await admin.list_topics(), "validate_only made a topic"
        checked(await admin.delete_topics([topic]))

        async def there():
            return topic in await admin.list_topics()

        await until(False, there)
        [answer] = (await admin.delete_topics([topic])).topic_error_codes
        assert answer[1] == errors.UnknownTopicOrPartitionError.errno, answer


@case("grow", "a topic grows and its new partitions take records")
async def grow(cluster):
    topic = await cluster.create("grow", 2)
    async with cluster.admin() as admin:
        checked(await admin.create_partitions({topic: NewPartitions(5)}))

        async def count():
            return len((await admin.describe_topics([topic]))[0]["partitions"])

        await until(5, count)
        await refused(errors.InvalidPartitionsError, admin.create_partitions({topic: NewPartitions(3)}))
    sent = keyed(10)
    await cluster.produce(topic, sent, partition=4)
    check_same(sent, await cluster.read(topic, 10, partition=4))


@case("by-use", "producing to an unknown topic makes it")
async def made_by_use(cluster):
    await round_trip(cluster, cluster.name("made-by-use"), keyed(5))


def codec_case(codec):
    @case(codec, f"records with keys and headers in {codec} come back as sent")
    async def run(cluster):
        topic = await cluster.create(f"codec-{codec}")
        compression = None if codec == "none" else codec
        await round_trip(cluster, topic, keyed(500), compression_type=compression, linger_ms=20)


for each in CODECS:
    codec_case(each)


@case("idempotent", "idempotent records are acked once each, in order")
async def idempotent(cluster):
    topic = await cluster.create("idempotent")
    await round_trip(cluster, topic, keyed(1_000), enable_idempotence=True, max_batch_size=700)


@case("empty", "empty values, null values and null keys stay apart")
async def empty(cluster):
    some = [None, b"", b"x"]
    # This client sends no record that has neither key nor value.
    sent = [plain(value, key) for key in some for value in some if (key, value) != (None, None)]
    await round_trip(cluster, await cluster.create("empty"), sent)


@case("large", "records of 950,000 bytes come back as sent")
async def large(cluster):
    topic = await cluster.create("large")
    sent = [plain(noise(seed, 950_000)) for seed in range(8)]
    await round_trip(cluster, topic, sent, max_request_size=2_000_000)


@case("too-large", "a record over max.message.bytes is refused, and the next one is taken")
async def too_large(cluster):
    topic = await cluster.create("too-large", max_message_bytes="100000")
    acks = [(await cluster.produce(topic, [plain(noise(1, size))]))[0] for size in (90_000, 100_001, 10)]
    assert acks == [0, errors.MessageSizeTooLargeError, 1], acks


@case("earliest", "reading starts at the earliest")
async def read_earliest(cluster):
    topic = await cluster.create("earliest")
    sent = keyed(50)
    await cluster.produce(topic, sent)
    async with cluster.consumer((topic, 0)) as consumer:
        await consumer.seek_to_beginning()
        check_same(sent, parts(await take(consumer, 50)))


@case("latest", "reading from the latest sees only what comes after")
async def read_latest(cluster):
    topic = await cluster.create("latest")
    await cluster.produce(topic, keyed(10))
    async with cluster.consumer((topic, 0)) as consumer:
        await consumer.seek_to_end()
        assert not await consumer.getmany(timeout_ms=500), "an old record came"
        later = keyed(5, seed=1)
        await cluster.produce(topic, later)
        check_same(later, parts(await take(consumer, 5)), 10)


@case("offset", "reading starts at an offset; one beyond the end is out of range")
async def read_offset(cluster):
    topic = await cluster.create("offset")
    sent = keyed(100)
    await cluster.produce(topic, sent, max_batch_size=700)
    check_same(sent[41:], await cluster.read(topic, 59, offset=41), 41)
    await refused(errors.OffsetOutOfRangeError, cluster.read(topic, 1, offset=1_000))


@case("timestamp", "reading starts at a timestamp")
async def read_timestamp(cluster):
    topic = await cluster.create("timestamp")
    sent = [plain(bytes([at]), timestamp=T0_MS + at * 1000) for at in range(100)]
    await cluster.produce(topic, sent, max_batch_size=200)
    source = TopicPartition(topic, 0)
    async with cluster.consumer((topic, 0)) as consumer:
        found = (await consumer.offsets_for_times({source: T0_MS + 70_001}))[source]
        assert (found.offset, found.timestamp) == (71, T0_MS + 71_000), found
        assert (await consumer.offsets_for_times({source: T0_MS + 100_000}))[source] is None
        consumer.seek(source, found.offset)
        check_same(sent[71:], parts(await take(consumer, 29)), 71)


@case("list-offsets", "the beginning and the end are told")
async def list_offsets(cluster):
    topic = await cluster.create("list")
    await cluster.produce(topic, keyed(5))
    source = TopicPartition(topic, 0)
    async with cluster.consumer((topic, 0)) as consumer:
        assert await consumer.beginning_offsets([source]) == {source: 0}
        assert await consumer.end_offsets([source]) == {source: 5}


@case("many", "1,000 partitions are made, written and read")
async def many(cluster):
    topic = await cluster.create("many", MANY)
    async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, enable_idempotence=True) as producer:
        for number in range(3):
            for partition in range(MANY):
                await producer.send(topic, f"{partition}:{number}".encode(), partition=partition)
        await asyncio.wait_for(producer.flush(), STEP_SECONDS)
    following = [0] * MANY
    async with cluster.consumer(*((topic, partition) for partition in range(MANY))) as consumer:
        await consumer.seek_to_beginning()
        for message in await take(consumer, 3 * MANY):
            number = following[message.partition]
            expected = (number, f"{message.partition}:{number}".encode())
            assert (message.offset, message.value) == expected, expected
            following[message.partition] += 1
    async with cluster.admin() as admin:
        checked(await admin.delete_topics([topic]))


@case("delete-records", "records before an offset are deleted")
async def delete_records(cluster):
    topic = await cluster.create("delete-records")
    sent = keyed(100)
    await cluster.produce(topic, sent)
    source = TopicPartition(topic, 0)
    async with cluster.admin() as admin:
        assert await admin.delete_records({source: RecordsToDelete(40)}) == {source: 40}
        check_same(sent[40:], await cluster.read(topic, 60, offset=40), 40)
        await refused(errors.OffsetOutOfRangeError, admin.delete_records({source: RecordsToDelete(101)}))
    await refused(errors.OffsetOutOfRangeError, cluster.read(topic, 1, offset=39))


# This client's describe_cluster() is a Metadata request.
@case("create", "the broker is described")
async def describe_cluster(cluster):
    async with cluster.admin() as admin:
        shown = await admin.describe_cluster()
    [broker] = shown["brokers"]
    assert f"{broker['host']}:{broker['port']}" == cluster.bootstrap, shown


@case("describe-configs alter-configs", "a topic's configs are described and replaced")
async def configs(cluster):
    topic = await cluster.create("configs", retention_ms="3600000")

    async def shown(admin):
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        [(code, message, _, _, entries)] = answer.resources
        assert code == 0, message
        return {entry[0]: entry[1] for entry in entries}

    async with cluster.admin() as admin:
        before = await shown(admin)
        assert (before["retention.ms"], before["cleanup.policy"]) == ("3600000", "delete"), before
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "2097152"})
        [answer] = await admin.alter_configs([wanted])
        assert answer.resources[0][0] == 0, answer
        after = await shown(admin)
        assert (after["retention.ms"], after["segment.bytes"]) == ("604800000", "2097152"), after


main(__doc__, Cluster, lambda run, cluster: asyncio.run(run(cluster)))
