package corelog.compat;

import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group; see tests/compat/groups/driver.py. */
final class GroupMember implements ConsumerRebalanceListener {
    private final TreeSet<Integer> has = new TreeSet<>();

    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", args[1]);
        if (!args[3].equals("-")) {
            settings.put("group.instance.id", args[3]);
        }
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("max.poll.records", "1");
        if (args[4].equals("consumer")) {
            settings.put("group.protocol", "consumer");
        } else {
            // With the consumer protocol these are the broker's.
            settings.put("session.timeout.ms", "6000");
            settings.put("heartbeat.interval.ms", "500");
            Class<?> assignor = args[4].equals("cooperative") ? CooperativeStickyAssignor.class : RangeAssignor.class;
            settings.put("partition.assignment.strategy", assignor.getName());
        }
        Thread ended = new Thread(GroupMember::readStdin);
        ended.setDaemon(true);
        ended.start();
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            consumer.subscribe(List.of(args[2]), new GroupMember());
            while (ended.isAlive()) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    read(consumer, record);
                }
            }
        }
    }

    private static void read(KafkaConsumer<byte[], byte[]> consumer, ConsumerRecord<byte[], byte[]> record) {
        System.out.println("read " + record.partition() + " " + record.offset());
        TopicPartition source = new TopicPartition(record.topic(), record.partition());
        long following = record.offset() + 1;
        try {
            consumer.commitSync(Map.of(source, new OffsetAndMetadata(following)));
        } catch (KafkaException error) {
            // A rebalance has it read again; whoever has the partition then commits.
            System.err.println("not committed: " + error.getMessage());
            return;
        }
        System.out.println("committed " + record.partition() + " " + following);
    }

    private static void readStdin() {
        try {
            System.in.transferTo(java.io.OutputStream.nullOutputStream());
        } catch (IOException error) {
            System.err.println("stdin: " + error);
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> gained) {
        gained.forEach(one -> has.add(one.partition()));
        tell();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> lost) {
        lost.forEach(one -> has.remove(one.partition()));
        tell();
    }

    private void tell() {
        System.out.println("assigned " + has.stream().map(String::valueOf).collect(Collectors.joining(",")));
    }
}
