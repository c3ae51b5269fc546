package corelog.compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A broker to test, topic names that no other run uses, and what the cases do with them. */
final class Cluster implements AutoCloseable {
    static final long STEP_SECONDS = 60;

    private final String bootstrap;
    private final String run = Long.toHexString(System.currentTimeMillis());
    final Admin admin;

    Cluster(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(settings());
    }

    @Override
    public void close() {
        admin.close();
    }

    String name(String topic) {
        return "java-" + topic + "-" + run;
    }

    String create(String topic, int partitions, String... config) throws Exception {
        NewTopic asked = new NewTopic(name(topic), partitions, (short) 1).configs(pairs(config));
        admin.createTopics(List.of(asked)).all().get(STEP_SECONDS, TimeUnit.SECONDS);
        return name(topic);
    }

    KafkaProducer<byte[], byte[]> producer(String... config) {
        Properties settings = settings();
        settings.putAll(pairs(config));
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A consumer for assign(): without a group. */
    KafkaConsumer<byte[], byte[]> consumer(String... config) {
        Properties settings = settings();
        settings.put("auto.offset.reset", "none");
        settings.put("enable.auto.commit", "false");
        settings.putAll(pairs(config));
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** Sends all in order and gives their offsets; the first refusal is thrown. */
    List<Long> produce(List<ProducerRecord<byte[], byte[]>> records, String... config) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(config)) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> record : records) {
                acks.add(producer.send(record));
            }
            List<Long> offsets = new ArrayList<>();
            for (Future<RecordMetadata> ack : acks) {
                offsets.add(ack.get(STEP_SECONDS, TimeUnit.SECONDS).offset());
            }
            return offsets;
        }
    }

    /** Reads count records of one partition, from an offset on. */
    List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, long from, int count) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            TopicPartition source = new TopicPartition(topic, partition);
            consumer.assign(List.of(source));
            consumer.seek(source, from);
            return take(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(STEP_SECONDS);
        while (records.size() < count) {
            check(System.nanoTime() < deadline, records.size() + " of " + count + " records came");
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    /** Every offset is the one that follows, and every part of the record is what was sent. */
    static void checkSame(List<ProducerRecord<byte[], byte[]>> sent, List<ConsumerRecord<byte[], byte[]>> read, long first) {
        check(sent.size() == read.size(), sent.size() + " sent, " + read.size() + " read");
        for (int at = 0; at < sent.size(); at++) {
            ProducerRecord<byte[], byte[]> record = sent.get(at);
            ConsumerRecord<byte[], byte[]> found = read.get(at);
            check(found.offset() == first + at, "offset " + found.offset() + " where " + (first + at) + " comes next");
            check(Arrays.equals(record.key(), found.key()), "offset " + found.offset() + ": another key");
            check(Arrays.equals(record.value(), found.value()), "offset " + found.offset() + ": another value");
            Header[] headers = record.headers().toArray();
            check(Arrays.equals(headers, found.headers().toArray()), "offset " + found.offset() + ": other headers");
        }
    }

    static void check(boolean right, String why) {
        if (!right) {
            throw new AssertionError(why);
        }
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(STEP_SECONDS);
        while (!condition.holds()) {
            check(System.nanoTime() < deadline, "still not: " + what);
            Thread.sleep(20);
        }
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("reconnect.backoff.ms", "20");
        return settings;
    }

    private static Map<String, String> pairs(String... config) {
        Map<String, String> pairs = new java.util.HashMap<>();
        for (int at = 0; at < config.length; at += 2) {
            pairs.put(config[at], config[at + 1]);
        }
        return pairs;
    }
}
