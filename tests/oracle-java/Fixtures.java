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
import java.util.UUID;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.apache.kafka.common.message.DescribeLogDirsRequestData;
import org.apache.kafka.common.message.DescribeLogDirsRequestDataJsonConverter;
import org.apache.kafka.common.message.DescribeLogDirsResponseData;
import org.apache.kafka.common.message.DescribeLogDirsResponseDataJsonConverter;
import org.apache.kafka.common.message.ListOffsetsRequestData;
import org.apache.kafka.common.message.ListOffsetsRequestDataJsonConverter;
import org.apache.kafka.common.message.ListOffsetsResponseData;
import org.apache.kafka.common.message.ListOffsetsResponseDataJsonConverter;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestDataJsonConverter;
import org.apache.kafka.common.message.OffsetCommitResponseData;
import org.apache.kafka.common.message.OffsetCommitResponseDataJsonConverter;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchRequestDataJsonConverter;
import org.apache.kafka.common.message.OffsetFetchResponseData;
import org.apache.kafka.common.message.OffsetFetchResponseDataJsonConverter;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

public class Fixtures {
    static final int SAMPLES = 25;
    static final Pattern TOPIC_ID = Pattern.compile("\"topicId\":\"([^\"]*)\"");
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
            OffsetCommitRequestData commitRequest = offsetCommitRequest();
            print("OffsetCommitRequest", commitRequest, 10, OffsetCommitRequestDataJsonConverter.write(commitRequest, (short) 10));
            OffsetCommitResponseData commitResponse = offsetCommitResponse();
            print("OffsetCommitResponse", commitResponse, 10, OffsetCommitResponseDataJsonConverter.write(commitResponse, (short) 10));
            OffsetFetchRequestData fetchRequest = offsetFetchRequest();
            print("OffsetFetchRequest", fetchRequest, 10, OffsetFetchRequestDataJsonConverter.write(fetchRequest, (short) 10));
            OffsetFetchResponseData fetchResponse = offsetFetchResponse();
            print("OffsetFetchResponse", fetchResponse, 10, OffsetFetchResponseDataJsonConverter.write(fetchResponse, (short) 10));
        }
    }

    static void print(String name, Message message, int version, JsonNode json) {
        ByteBufferAccessor bytes = MessageUtil.toByteBufferAccessor(message, (short) version);
        byte[] array = new byte[bytes.buffer().remaining()];
        bytes.buffer().get(array);
        // A UUID as the hexadecimal digits that it is, not in Kafka's base64.
        String fields = TOPIC_ID.matcher(json.toString()).replaceAll(match -> {
            Uuid id = Uuid.fromString(match.group(1));
            UUID plain = new UUID(id.getMostSignificantBits(), id.getLeastSignificantBits());
            return "\"topicId\":" + plain;
        });
        System.out.println(name + " " + version + " " + HexFormat.of().formatHex(array) + " " + fields);
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

    static OffsetCommitRequestData offsetCommitRequest() {
        return new OffsetCommitRequestData()
            .setGroupId(text())
            .setGenerationIdOrMemberEpoch(int32())
            .setMemberId(text())
            .setGroupInstanceId(RANDOM.nextBoolean() ? null : text())
            .setTopics(some(() -> new OffsetCommitRequestData.OffsetCommitRequestTopic()
                .setTopicId(uuid())
                .setPartitions(some(() -> new OffsetCommitRequestData.OffsetCommitRequestPartition()
                    .setPartitionIndex(int32())
                    .setCommittedOffset(int64())
                    .setCommittedLeaderEpoch(int32())
                    .setCommittedMetadata(RANDOM.nextBoolean() ? null : text())))));
    }

    static OffsetCommitResponseData offsetCommitResponse() {
        return new OffsetCommitResponseData()
            .setThrottleTimeMs(int32())
            .setTopics(some(() -> new OffsetCommitResponseData.OffsetCommitResponseTopic()
                .setTopicId(uuid())
                .setPartitions(some(() -> new OffsetCommitResponseData.OffsetCommitResponsePartition()
                    .setPartitionIndex(int32())
                    .setErrorCode(int16())))));
    }

    static OffsetFetchRequestData offsetFetchRequest() {
        return new OffsetFetchRequestData()
            .setRequireStable(RANDOM.nextBoolean())
            .setGroups(some(() -> new OffsetFetchRequestData.OffsetFetchRequestGroup()
                .setGroupId(text())
                .setMemberId(RANDOM.nextBoolean() ? null : text())
                .setMemberEpoch(int32())
                .setTopics(RANDOM.nextInt(4) == 0 ? null : some(() -> new OffsetFetchRequestData.OffsetFetchRequestTopics()
                    .setTopicId(uuid())
                    .setPartitionIndexes(some(Fixtures::int32))))));
    }

    static OffsetFetchResponseData offsetFetchResponse() {
        return new OffsetFetchResponseData()
            .setThrottleTimeMs(int32())
            .setGroups(some(() -> new OffsetFetchResponseData.OffsetFetchResponseGroup()
                .setGroupId(text())
                .setErrorCode(int16())
                .setTopics(some(() -> new OffsetFetchResponseData.OffsetFetchResponseTopics()
                    .setTopicId(uuid())
                    .setPartitions(some(() -> new OffsetFetchResponseData.OffsetFetchResponsePartitions()
                        .setPartitionIndex(int32())
                        .setCommittedOffset(int64())
                        .setCommittedLeaderEpoch(int32())
                        .setMetadata(RANDOM.nextBoolean() ? null : text())
                        .setErrorCode(int16())))))));
    }

    static Uuid uuid() {
        return new Uuid(RANDOM.nextLong(), RANDOM.nextLong());
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
