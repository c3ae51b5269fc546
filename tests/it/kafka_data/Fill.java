// Fills a Kafka of one node with what `corelog log import` must carry over. Two steps, with a restart of Kafka between them, so
// that there are two leader epochs: `java -cp 'LIBS/*' Fill.java HOST:PORT first|second`.

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.serialization.*;

public class Fill {
    static String at;
    /** A fixed time, so that what is asked by time has an answer that does not move: 2026-11-01. */
    static final long EPOCH_MS = 1793491200000L;

    public static void main(String[] args) throws Exception {
        at = args[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", at))) {
            if (args[1].equals("first")) first(admin); else second(admin);
        }
    }

    static void first(Admin admin) throws Exception {
        create(admin, "orders", 3, Map.of("retention.ms", "-1", "max.message.bytes", "200000"));
        create(admin, "codecs", 1, Map.of());
        create(admin, "appended", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        create(admin, "trimmed", 2, Map.of("segment.ms", "300", "segment.jitter.ms", "0"));
        create(admin, "latest-1.by_key", 1, Map.of("cleanup.policy", "compact", "segment.ms", "300",
            "segment.jitter.ms", "0", "min.cleanable.dirty.ratio", "0.01", "max.compaction.lag.ms", "500"));
        create(admin, "gone", 2, Map.of("retention.ms", "1234567"));
        create(admin, "again", 3, Map.of("retention.ms", "7654321"));
        create(admin, "paid", 1, Map.of());
        create(admin, "empty", 4, Map.of());

        numbers("orders", 0, 10);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) codec(codec);
        try (var producer = producer(Map.of())) {
            for (int n = 0; n < 5; n++) producer.send(new ProducerRecord<>("appended", null, "k" + n, "v" + n)).get();
        }
        for (int n = 0; n < 4; n++) {
            numbers("trimmed", n * 5, n * 5 + 5);
            for (String value : List.of("a", "b", "c"))
                one("latest-1.by_key", value, value + n);
            Thread.sleep(400);
        }
        one("latest-1.by_key", "b", null);
        Thread.sleep(400);
        one("latest-1.by_key", "z", "the last one stays active");
        numbers("gone", 0, 6);
        numbers("again", 0, 6);
        admin.alterConsumerGroupOffsets("of-the-gone", Map.of(new TopicPartition("gone", 0), new OffsetAndMetadata(2),
            new TopicPartition("orders", 0), new OffsetAndMetadata(3))).all().get();
        admin.deleteTopics(List.of("gone", "again")).all().get();
        admin.deleteRecords(Map.of(new TopicPartition("trimmed", 0), RecordsToDelete.beforeOffset(7),
            new TopicPartition("trimmed", 1), RecordsToDelete.beforeOffset(-1))).all().get();
        paid("first", 2);

        var topic = new ConfigResource(ConfigResource.Type.BROKER, "");
        var broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        var group = new ConfigResource(ConfigResource.Type.GROUP, "new-readers");
        admin.incrementalAlterConfigs(Map.of(
            topic, List.of(set("log.retention.ms", "-1"), set("background.threads", "11")),
            broker, List.of(set("log.cleaner.threads", "2")),
            group, List.of(set("consumer.session.timeout.ms", "50000")))).all().get();
        admin.alterClientQuotas(List.of(new ClientQuotaAlteration(new ClientQuotaEntity(Map.of("client-id", "greedy")),
            List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e9))))).all().get();
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice",
            new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all().get();

        read("old-readers", "classic", 4);
        read("new-readers", "consumer", 7);
        admin.alterConsumerGroupOffsets("no-readers", Map.of(
            new TopicPartition("orders", 1), new OffsetAndMetadata(2, Optional.of(0), "by hand: \u00e4"),
            new TopicPartition("codecs", 0), new OffsetAndMetadata(17))).all().get();
    }

    static void second(Admin admin) throws Exception {
        create(admin, "again", 1, Map.of("retention.bytes", "1000000000"));
        numbers("orders", 100, 110);
        numbers("again", 50, 53);
        paid("second", 1);
        read("old-readers", "classic", 2);
        // The cleaner runs every half second; its result is what is recorded.
        for (int n = 0; n < 60; n++) {
            if (count("latest-1.by_key") <= 4) return;
            one("latest-1.by_key", "z", "try " + n);
            Thread.sleep(1000);
        }
        throw new IllegalStateException("not compacted: " + count("latest-1.by_key"));
    }

    static AlterConfigOp set(String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
    }

    static void create(Admin admin, String name, int partitions, Map<String, String> configs) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all().get();
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        var settings = new HashMap<String, Object>(Map.of("bootstrap.servers", at, "linger.ms", 20));
        settings.putAll(more);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    /** To every partition of the topic, from an idempotent producer. */
    static void numbers(String topic, int from, int to) throws Exception {
        try (var producer = producer(Map.of())) {
            for (var partition : producer.partitionsFor(topic)) {
                for (int n = from; n < to; n++)
                    producer.send(new ProducerRecord<>(topic, partition.partition(), EPOCH_MS + n, null, "" + n));
                producer.flush();
            }
        }
    }

    static void one(String topic, String key, String value) throws Exception {
        try (var producer = producer(Map.of("enable.idempotence", false))) {
            producer.send(new ProducerRecord<>(topic, key, value)).get();
        }
    }

    /** A batch with keys, null keys, null values and headers. */
    static void codec(String codec) throws Exception {
        try (var producer = producer(Map.of("compression.type", codec))) {
            for (int n = 0; n < 6; n++) {
                String key = n % 3 == 0 ? null : codec + n, value = n == 5 ? null : (codec + " ").repeat(20) + n;
                var record = new ProducerRecord<>("codecs", 0, EPOCH_MS + n, key, value);
                record.headers().add("codec", codec.getBytes()).add(new RecordHeader("none", (byte[]) null));
                producer.send(record);
            }
        }
    }

    /** Committed transactions, each with an offset of a group. */
    static void paid(String what, int times) throws Exception {
        try (var producer = producer(Map.of("transactional.id", "till"))) {
            producer.initTransactions();
            for (int n = 0; n < times; n++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("paid", what, what + n));
                producer.sendOffsetsToTransaction(Map.of(new TopicPartition("orders", 2), new OffsetAndMetadata(5 + n)),
                    new ConsumerGroupMetadata("exact"));
                producer.commitTransaction();
            }
        }
    }

    /** A group whose one member reads so many records of `orders`, commits and leaves. */
    static void read(String group, String protocol, int count) {
        var settings = Map.<String, Object>of("bootstrap.servers", at, "group.id", group, "group.protocol", protocol,
            "auto.offset.reset", "earliest", "enable.auto.commit", false, "max.poll.records", count);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("orders"));
            int read = 0;
            while (read < count) read += consumer.poll(Duration.ofMillis(200)).count();
            var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
            for (var partition : consumer.assignment())
                offsets.put(partition, new OffsetAndMetadata(consumer.position(partition), Optional.of(0), "read by " + group));
            consumer.commitSync(offsets);
        }
    }

    static int count(String topic) {
        var settings = Map.<String, Object>of("bootstrap.servers", at);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            var partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            int found = 0;
            while (consumer.position(partition) < end) found += consumer.poll(Duration.ofMillis(200)).count();
            return found;
        }
    }
}
