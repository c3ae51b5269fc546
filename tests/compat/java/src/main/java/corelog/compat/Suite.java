package corelog.compat;

import static corelog.compat.Cluster.STEP_SECONDS;
import static corelog.compat.Cluster.await;
import static corelog.compat.Cluster.check;
import static corelog.compat.Cluster.checkSame;
import static corelog.compat.Cluster.take;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.record.TimestampType;

/** Kafka's own client against a broker, case by case: Suite --bootstrap HOST:PORT [--only PART]. */
public final class Suite {
    private static final long T0_MS = 1_600_000_000_000L;

    private static void cases(Report report) {
        report.add("create grow", "topics are made, described, refused twice, grown, deleted", Suite::topics);
        report.add("create", "a topic made again has another id and is empty", Suite::madeAgain);
        report.add("create", "bad names, counts and configs are refused", Suite::refused);
        report.add("by-use", "producing to an unknown topic makes it", cluster -> roundTrip(cluster, cluster.name("made-by-use"), 5));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            report.add(codec, "records with keys and headers in " + codec + " come back as sent", cluster -> {
                String topic = cluster.create("codec-" + codec, 1);
                roundTrip(cluster, topic, 500, "compression.type", codec, "linger.ms", "20");
            });
        }
        report.add("idempotent", "idempotent records are acked once each, in order", cluster -> roundTrip(
                cluster, cluster.create("idempotent", 1), 3_000, "enable.idempotence", "true", "batch.size", "600", "linger.ms", "0"));
        report.add("none", "records of a producer that is not idempotent are acked too", cluster -> roundTrip(
                cluster, cluster.create("plain", 1), 300, "enable.idempotence", "false", "acks", "1"));
        report.add("empty", "empty values, null values and null keys stay apart", Suite::empty);
        report.add("large", "records of 950,000 bytes come back as sent", Suite::large);
        report.add("too-large", "a record over max.message.bytes is refused, and the next one is taken", Suite::tooLarge);
        report.add("earliest latest offset timestamp", "reading starts at the beginning, at an offset, at a time, at the end", Suite::readFrom);
        report.add("offset", "an offset beyond the end is out of range", Suite::outOfRange);
        report.add("list-offsets", "listOffsets gives the earliest, the latest, by time and of the highest timestamp", Suite::listOffsets);
        report.add("timestamp", "LogAppendTime sets the broker's timestamp", Suite::appendTime);
        report.add("many", "1,000 partitions are made, written and read", Suite::many);
        report.add("many", "one fetch session reads many partitions while some are paused", Suite::session);
        AdminCases.add(report);
    }

    public static void main(String[] args) {
        String bootstrap = System.getenv("BOOTSTRAP");
        String only = "";
        for (int at = 0; at + 1 < args.length; at += 2) {
            switch (args[at]) {
                case "--bootstrap" -> bootstrap = args[at + 1];
                case "--only" -> only = args[at + 1];
                default -> throw new IllegalArgumentException(args[at]);
            }
        }
        if (bootstrap == null) {
            throw new IllegalArgumentException("--bootstrap HOST:PORT or BOOTSTRAP is needed");
        }
        Report report = new Report(only);
        cases(report);
        boolean good;
        try (Cluster cluster = new Cluster(bootstrap)) {
            good = report.run(cluster);
        }
        System.exit(good ? 0 : 1);
    }

    private static void topics(Cluster cluster) throws Exception {
        String topic = cluster.create("life", 3, "segment.bytes", "1048576");
        check(describe(cluster, topic).partitions().size() == 3, "not three partitions");
        throwsCause(TopicExistsException.class, () -> cluster.create("life", 3));
        cluster.admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get(STEP_SECONDS, TimeUnit.SECONDS);
        await("five partitions", () -> describe(cluster, topic).partitions().size() == 5);
        List<ProducerRecord<byte[], byte[]>> sent = keyed(topic, 4, 10);
        cluster.produce(sent);
        checkSame(sent, cluster.read(topic, 4, 0, 10), 0);
        delete(cluster, topic);
        await("no such topic", () -> !cluster.admin.listTopics().names().get(STEP_SECONDS, TimeUnit.SECONDS).contains(topic));
        throwsCause(UnknownTopicOrPartitionException.class, () -> delete(cluster, topic));
    }

    private static void madeAgain(Cluster cluster) throws Exception {
        String topic = cluster.create("again", 1);
        cluster.produce(keyed(topic, 0, 10));
        Uuid first = describe(cluster, topic).topicId();
        delete(cluster, topic);
        cluster.create("again", 1);
        await("the topic", () -> cluster.admin.listTopics().names().get(STEP_SECONDS, TimeUnit.SECONDS).contains(topic));
        Uuid second = describe(cluster, topic).topicId();
        check(!first.equals(second) && !second.equals(Uuid.ZERO_UUID), "ids " + first + " and " + second);
        roundTrip(cluster, topic, 3);
    }

    private static void refused(Cluster cluster) throws Exception {
        throwsCause(InvalidTopicException.class, () -> tryCreate(cluster, "../up", 1, Map.of()));
        throwsCause(InvalidTopicException.class, () -> tryCreate(cluster, "x".repeat(250), 1, Map.of()));
        throwsCause(InvalidPartitionsException.class, () -> tryCreate(cluster, cluster.name("none"), 0, Map.of()));
        throwsCause(InvalidConfigurationException.class,
                () -> tryCreate(cluster, cluster.name("bad"), 1, Map.of("segment.bytes", "many")));
        NewTopic validated = new NewTopic(cluster.name("validated"), 1, (short) 1);
        cluster.admin.createTopics(List.of(validated), new CreateTopicsOptions().validateOnly(true)).all().get();
        check(!cluster.admin.listTopics().names().get().contains(validated.name()), "validateOnly made a topic");
    }

    private static void empty(Cluster cluster) throws Exception {
        String topic = cluster.create("empty", 1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        byte[][] some = {null, {}, {'x'}};
        for (byte[] key : some) {
            for (byte[] value : some) {
                sent.add(new ProducerRecord<>(topic, 0, key, value));
            }
        }
        roundTrip(cluster, topic, sent);
    }

    private static void large(Cluster cluster) throws Exception {
        String topic = cluster.create("large", 1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int seed = 0; seed < 8; seed++) {
            sent.add(new ProducerRecord<>(topic, 0, null, noise(seed, 950_000)));
        }
        roundTrip(cluster, topic, sent);
    }

    private static void tooLarge(Cluster cluster) throws Exception {
        String topic = cluster.create("too-large", 1, "max.message.bytes", "100000");
        throwsCause(RecordTooLargeException.class, () -> cluster.produce(List.of(new ProducerRecord<>(topic, 0, null, noise(1, 100_001)))));
        // The Java client splits a batch that is too large and sends its parts: a batch of small records passes in the end.
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int seed = 0; seed < 6; seed++) {
            sent.add(new ProducerRecord<>(topic, 0, null, noise(seed, 40_000)));
        }
        roundTrip(cluster, topic, sent, "batch.size", "400000", "linger.ms", "200");
    }

    private static void readFrom(Cluster cluster) throws Exception {
        String topic = cluster.create("from", 1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int at = 0; at < 100; at++) {
            sent.add(new ProducerRecord<>(topic, 0, T0_MS + at * 1000L, null, new byte[] {(byte) at}));
        }
        cluster.produce(sent, "batch.size", "200");
        checkSame(sent.subList(41, 100), cluster.read(topic, 0, 41, 59), 41);
        TopicPartition source = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer()) {
            consumer.assign(List.of(source));
            consumer.seekToBeginning(List.of(source));
            checkSame(sent, take(consumer, 100), 0);
            var found = consumer.offsetsForTimes(Map.of(source, T0_MS + 70_001)).get(source);
            check(found.offset() == 71 && found.timestamp() == T0_MS + 71_000, "found " + found);
            check(consumer.offsetsForTimes(Map.of(source, T0_MS + 99_001)).get(source) == null, "found one after the last");
            check(consumer.beginningOffsets(List.of(source)).get(source) == 0, "the beginning is not 0");
            check(consumer.endOffsets(List.of(source)).get(source) == 100, "the end is not 100");
            consumer.seekToEnd(List.of(source));
            check(consumer.position(source) == 100, "the position is not the end");
            check(consumer.poll(Duration.ofMillis(500)).isEmpty(), "an old record came");
            List<ProducerRecord<byte[], byte[]>> later = keyed(topic, 0, 5);
            cluster.produce(later);
            checkSame(later, take(consumer, 5), 100);
        }
    }

    private static void outOfRange(Cluster cluster) throws Exception {
        String topic = cluster.create("out-of-range", 1);
        cluster.produce(keyed(topic, 0, 3));
        try {
            cluster.read(topic, 0, 100, 1);
        } catch (OffsetOutOfRangeException expected) {
            return;
        }
        throw new AssertionError("no error");
    }

    private static void listOffsets(Cluster cluster) throws Exception {
        String topic = cluster.create("list", 1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (long at : new long[] {50, 10, 90, 20, 40}) {
            sent.add(new ProducerRecord<>(topic, 0, T0_MS + at, null, new byte[] {1}));
        }
        cluster.produce(sent, "batch.size", "0");
        TopicPartition source = new TopicPartition(topic, 0);
        Map<OffsetSpec, Long> expected = new LinkedHashMap<>();
        expected.put(OffsetSpec.earliest(), 0L);
        expected.put(OffsetSpec.latest(), 5L);
        expected.put(OffsetSpec.forTimestamp(T0_MS + 60), 2L);
        expected.put(OffsetSpec.forTimestamp(T0_MS + 91), -1L);
        expected.put(OffsetSpec.maxTimestamp(), 2L);
        expected.put(OffsetSpec.earliestLocal(), 0L);
        expected.put(OffsetSpec.latestTiered(), -1L);
        for (Map.Entry<OffsetSpec, Long> each : expected.entrySet()) {
            long found = cluster.admin.listOffsets(Map.of(source, each.getKey())).partitionResult(source)
                    .get(STEP_SECONDS, TimeUnit.SECONDS).offset();
            check(found == each.getValue(), each.getKey().getClass().getSimpleName() + ": " + found + ", not " + each.getValue());
        }
    }

    private static void appendTime(Cluster cluster) throws Exception {
        String topic = cluster.create("append-time", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        cluster.produce(List.of(new ProducerRecord<>(topic, 0, T0_MS, null, new byte[] {1})));
        ConsumerRecord<byte[], byte[]> read = cluster.read(topic, 0, 0, 1).get(0);
        check(read.timestampType() == TimestampType.LOG_APPEND_TIME, "type " + read.timestampType());
        check(read.timestamp() >= before && read.timestamp() < before + 60_000, read.timestamp() + ", sent at " + before);
    }

    private static void many(Cluster cluster) throws Exception {
        String topic = cluster.create("many", 1_000);
        await("1,000 partitions", () -> describe(cluster, topic).partitions().size() == 1_000);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        for (int round = 0; round < 3; round++) {
            for (int partition = 0; partition < 1_000; partition++) {
                sent.add(new ProducerRecord<>(topic, partition, null, bytes(partition + ":" + round)));
            }
        }
        cluster.produce(sent);
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer()) {
            List<TopicPartition> all = IntStream.range(0, 1_000).mapToObj(p -> new TopicPartition(topic, p)).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            int[] next = new int[1_000];
            for (ConsumerRecord<byte[], byte[]> record : take(consumer, 3_000)) {
                int round = next[record.partition()]++;
                String value = new String(record.value(), StandardCharsets.UTF_8);
                check(record.offset() == round && value.equals(record.partition() + ":" + round), record + ", not round " + round);
            }
        }
        delete(cluster, topic);
    }

    private static void session(Cluster cluster) throws Exception {
        String topic = cluster.create("session", 8);
        List<TopicPartition> all = IntStream.range(0, 8).mapToObj(p -> new TopicPartition(topic, p)).toList();
        try (KafkaConsumer<byte[], byte[]> consumer = cluster.consumer("fetch.max.wait.ms", "100")) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long[] next = new long[8];
            for (int round = 0; round < 20; round++) {
                List<TopicPartition> quiet = all.subList(0, round % 8);
                consumer.pause(quiet);
                List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
                for (int partition = 0; partition < 8; partition++) {
                    sent.addAll(keyed(topic, partition, 3));
                }
                cluster.produce(sent);
                consumer.poll(Duration.ofMillis(50)).forEach(record -> checkNext(next, record));
                consumer.resume(quiet);
            }
            while (LongStream.of(next).sum() < 20 * 8 * 3) {
                take(consumer, 1).forEach(record -> checkNext(next, record));
            }
        }
    }

    private static void checkNext(long[] next, ConsumerRecord<byte[], byte[]> record) {
        long expected = next[record.partition()]++;
        check(record.offset() == expected, record.partition() + " gave " + record.offset() + ", not " + expected);
    }

    private static void roundTrip(Cluster cluster, String topic, int count, String... config) throws Exception {
        roundTrip(cluster, topic, keyed(topic, 0, count), config);
    }

    private static void roundTrip(Cluster cluster, String topic, List<ProducerRecord<byte[], byte[]>> sent, String... config)
            throws Exception {
        List<Long> offsets = cluster.produce(sent, config);
        check(offsets.equals(LongStream.range(0, sent.size()).boxed().toList()), "acked at " + offsets);
        checkSame(sent, cluster.read(topic, 0, 0, sent.size()), 0);
    }

    /** Records with keys and headers; half of each value is noise. */
    private static List<ProducerRecord<byte[], byte[]>> keyed(String topic, int partition, int count) {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int at = 0; at < count; at++) {
            byte[] value = noise(at, 20 + at % 900);
            java.util.Arrays.fill(value, 0, value.length / 2, (byte) 'a');
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, partition, bytes("key-" + at), value);
            record.headers().add("at", bytes(Integer.toString(at))).add("none", null).add("at", new byte[0]);
            records.add(record);
        }
        return records;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] noise(long seed, int length) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static TopicDescription describe(Cluster cluster, String topic) throws Exception {
        return cluster.admin.describeTopics(List.of(topic)).allTopicNames().get(STEP_SECONDS, TimeUnit.SECONDS).get(topic);
    }

    private static void delete(Cluster cluster, String topic) throws Exception {
        cluster.admin.deleteTopics(List.of(topic)).all().get(STEP_SECONDS, TimeUnit.SECONDS);
    }

    private static void tryCreate(Cluster cluster, String name, int partitions, Map<String, String> config) throws Exception {
        NewTopic topic = new NewTopic(name, partitions, (short) 1).configs(config);
        cluster.admin.createTopics(List.of(topic)).all().get(STEP_SECONDS, TimeUnit.SECONDS);
    }

    private interface Step {
        void run() throws Exception;
    }

    private static void throwsCause(Class<? extends Exception> expected, Step step) throws Exception {
        try {
            step.run();
        } catch (ExecutionException failure) {
            check(expected.isInstance(failure.getCause()), failure.getCause() + ", not " + expected.getSimpleName());
            return;
        }
        throw new AssertionError("no " + expected.getSimpleName());
    }

    private Suite() {}
}
