// Writes messages with Kafka's own classes, one a line: name, version, bytes in hex, and the fields as JSON. They are
// for the versions that the crate `kafka-protocol` lacks. Not part of any build: its output is in the repository.
//
//   CP='DIR/*'   (a directory with kafka-clients 4.3.1 and jackson-databind from Maven Central)
//   javac -cp "$CP" -d /tmp Fixtures.java
//   java -cp "$CP:/tmp" Fixtures > ../it/oracle/fixtures/java.txt

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import org.apache.kafka.common.message.DescribeLogDirsRequestData;
import org.apache.kafka.common.message.DescribeLogDirsRequestDataJsonConverter;
import org.apache.kafka.common.message.DescribeLogDirsResponseData;
import org.apache.kafka.common.message.DescribeLogDirsResponseDataJsonConverter;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsRequestDataJsonConverter;
import org.apache.kafka.common.message.ListOffsetsResponseData;
import org.apache.kafka.common.message.ListOffsetsResponseDataJsonConverter;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

public class Fixtures {
    static final int SAMPLES = 25;
    static final Random RANDOM = new Random(11);

    public static void main(String[] args) {
        for (int i = 0; i < SAMPLES; i++) {
            ListOffsetsRequestData listRequest = listOffsetsRequest();
            print("ListOffsetsRequest", listRequest, 11, ListOffsetsRequestDataJsonConverter.write(listRequest, (short) 11));
            ListOffsetsResponseData listResponse = listOffsetsResponse();
            print("ListOffsetsResponse", listResponse, 11, ListOffsetsResponseDataJsonConverter.write(listResponse, (short) 11));
            DescribeLogDirsRequestData dirsRequest = describeLogDirsRequest();
            print("DescribeLogDirsRequest", dirsRequest, 5, DescribeLogDirsRequestDataJsonConverter.write(dirsRequest, (short) 5));
            DescribeLogDirsResponseData dirsResponse = describeLogDirsResponse();
            print("DescribeLogDirsResponse", dirsResponse, 5, DescribeLogDirsResponseDataJsonConverter.write(dirsResponse, (short) 5));
        }
    }

    static void print(String name, Message message, int version, JsonNode json) {
        ByteBufferAccessor bytes = MessageUtil.toByteBufferAccessor(message, (short) version);
        byte[] array = new byte[bytes.buffer().remaining()];
        bytes.buffer().get(array);
        System.out.println(name + " " + version + " " + HexFormat.of().formatHex(array) + " " + json);
    }

    static ListOffsetsRequestData listOffsetsRequest() {
        return new ListOffsetsRequestData()
            .setReplicaId(int32())
            .setIsolationLevel(int8())
            .setTimeoutMs(int32())
            .setTopics(some(() -> new ListOffsetsRequestData.ListOffsetsTopic()
                .setName(text())
                .setPartitions(some(() -> new ListOffsetsRequestData.ListOffsetsPartition()
                    .setPartitionIndex(int32())
                    .setCurrentLeaderEpoch(int32())
                    .setTimestamp(int64())))));
    }

    static ListOffsetsResponseData listOffsetsResponse() {
        return new ListOffsetsResponseData()
            .setThrottleTimeMs(int32())
            .setTopics(some(() -> new ListOffsetsResponseData.ListOffsetsTopicResponse()
                .setName(text())
                .setPartitions(some(() -> new ListOffsetsResponseData.ListOffsetsPartitionResponse()
                    .setPartitionIndex(int32())
                    .setErrorCode(int16())
                    .setTimestamp(int64())
                    .setOffset(int64())
                    .setLeaderEpoch(int32())))));
    }

    static DescribeLogDirsRequestData describeLogDirsRequest() {
        DescribeLogDirsRequestData request = new DescribeLogDirsRequestData();
        if (RANDOM.nextInt(4) == 0) {
            return request.setTopics(null);
        }
        some(() -> new DescribeLogDirsRequestData.DescribableLogDirTopic()
            .setTopic(text() + request.topics().size())
            .setPartitions(some(Fixtures::int32))).forEach(request.topics()::add);
        return request;
    }

    static DescribeLogDirsResponseData describeLogDirsResponse() {
        return new DescribeLogDirsResponseData()
            .setThrottleTimeMs(int32())
            .setErrorCode(int16())
            .setResults(some(() -> new DescribeLogDirsResponseData.DescribeLogDirsResult()
                .setErrorCode(int16())
                .setLogDir(text())
                .setTotalBytes(int64())
                .setUsableBytes(int64())
                .setIsCordoned(RANDOM.nextBoolean())
                .setTopics(some(() -> new DescribeLogDirsResponseData.DescribeLogDirsTopic()
                    .setName(text())
                    .setPartitions(some(() -> new DescribeLogDirsResponseData.DescribeLogDirsPartition()
                        .setPartitionIndex(int32())
                        .setPartitionSize(int64())
                        .setOffsetLag(int64())
                        .setIsFutureKey(RANDOM.nextBoolean())))))));
    }

    static <T> List<T> some(Supplier<T> make) {
        List<T> list = new ArrayList<>();
        for (int left = RANDOM.nextInt(4); left > 0; left--) {
            list.add(make.get());
        }
        return list;
    }

    static String text() {
        StringBuilder text = new StringBuilder();
        for (int left = RANDOM.nextInt(16) == 0 ? RANDOM.nextInt(200) : RANDOM.nextInt(6); left > 0; left--) {
            text.append("aZ0.-_".charAt(RANDOM.nextInt(6)));
        }
        return text.toString();
    }

    static byte int8() {
        return (byte) RANDOM.nextInt();
    }

    static short int16() {
        return (short) RANDOM.nextInt();
    }

    static int int32() {
        return RANDOM.nextInt(4) == 0 ? -1 : RANDOM.nextInt();
    }

    static long int64() {
        return RANDOM.nextInt(4) == 0 ? -1 : RANDOM.nextLong();
    }
}
