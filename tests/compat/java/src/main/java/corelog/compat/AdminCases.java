package corelog.compat;

import static corelog.compat.Cluster.STEP_SECONDS;
import static corelog.compat.Cluster.check;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.NoReassignmentInProgressException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What the admin client asks of a broker, beside topics. */
final class AdminCases {
    static void add(Report report) {
        report.add("delete-records", "records before an offset are deleted", AdminCases::deleteRecords);
        report.add("describe-cluster", "the cluster is described", AdminCases::describeCluster);
        report.add("describe-configs incremental-configs", "a topic's configs are described and altered", AdminCases::topicConfigs);
        report.add("describe-configs incremental-configs", "a broker's configs are described, set and unset", AdminCases::brokerConfigs);
        report.add("list-configs", "the resources that have configs are listed", AdminCases::listConfigs);
        report.add("log-dirs move-replica", "log directories are described, and a replica stays in its own", AdminCases::logDirs);
        report.add("describe-partitions", "partitions are described page by page", AdminCases::describePartitions);
        report.add("elect", "an election is not needed", AdminCases::elect);
        report.add("reassign list-reassignments", "a partition is assigned to where it is; nothing moves", AdminCases::reassign);
        report.add("quorum", "the quorum is described", AdminCases::quorum);
        report.add("features", "features are told", AdminCases::features);
        report.add("acls", "ACLs are off", AdminCases::acls);
        report.add("quotas", "no quota is described", AdminCases::quotas);
        report.add("scram", "no credential is described", AdminCases::scram);
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(STEP_SECONDS, TimeUnit.SECONDS);
    }

    private static void refused(Class<? extends Exception> expected, KafkaFuture<?> future) throws Exception {
        try {
            get(future);
        } catch (ExecutionException failure) {
            check(expected.isInstance(failure.getCause()), failure.getCause() + ", not " + expected.getSimpleName());
            return;
        }
        throw new AssertionError("no " + expected.getSimpleName());
    }

    /** A topic of one partition with a hundred records. */
    private static TopicPartition filled(Cluster cluster, String name) throws Exception {
        String topic = cluster.create(name, 1);
        byte[] value = new byte[100];
        cluster.produce(Collections.nCopies(100, new ProducerRecord<>(topic, 0, null, value)));
        return new TopicPartition(topic, 0);
    }

    private static Node broker(Cluster cluster) throws Exception {
        Collection<Node> nodes = get(cluster.admin.describeCluster().nodes());
        check(nodes.size() == 1, "nodes " + nodes);
        return nodes.iterator().next();
    }

    private static void deleteRecords(Cluster cluster) throws Exception {
        TopicPartition source = filled(cluster, "delete-records");
        Admin admin = cluster.admin;
        var deleted = admin.deleteRecords(Map.of(source, RecordsToDelete.beforeOffset(40))).lowWatermarks().get(source);
        check(get(deleted).lowWatermark() == 40, "not 40");
        check(cluster.read(source.topic(), 0, 40, 60).get(0).offset() == 40, "reading does not start at 40");
        refused(OffsetOutOfRangeException.class, admin.deleteRecords(Map.of(source, RecordsToDelete.beforeOffset(101))).all());
        var all = admin.deleteRecords(Map.of(source, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(source);
        check(get(all).lowWatermark() == 100, "not the end");
    }

    private static void describeCluster(Cluster cluster) throws Exception {
        var described = cluster.admin.describeCluster();
        check(get(described.controller()).id() == broker(cluster).id(), "another controller");
        check(!get(described.clusterId()).isEmpty(), "no cluster id");
        check(get(described.authorizedOperations()) == null, "operations that were not asked for");
    }

    private static Config configs(Cluster cluster, ConfigResource resource) throws Exception {
        DescribeConfigsOptions whole = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return get(cluster.admin.describeConfigs(List.of(resource), whole).all()).get(resource);
    }

    private static KafkaFuture<Void> alter(Cluster cluster, ConfigResource resource, OpType op, String name, String value) {
        AlterConfigOp ask = new AlterConfigOp(new ConfigEntry(name, value), op);
        return cluster.admin.incrementalAlterConfigs(Map.of(resource, List.of(ask))).all();
    }

    private static void topicConfigs(Cluster cluster) throws Exception {
        String topic = cluster.create("configs", 1, "retention.ms", "3600000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry set = configs(cluster, resource).get("retention.ms");
        check(set.value().equals("3600000"), "retention.ms is " + set);
        check(set.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "its source is " + set.source());
        check(set.type() == ConfigEntry.ConfigType.LONG && !set.documentation().isEmpty(), "its type or its text: " + set);
        check(set.synonyms().size() == 1, "its synonyms: " + set.synonyms());
        ConfigEntry byDefault = configs(cluster, resource).get("max.message.bytes");
        check(byDefault.isDefault() && byDefault.synonyms().get(0).name().equals("message.max.bytes"), "the broker's: " + byDefault);
        refused(InvalidConfigurationException.class, alter(cluster, resource, OpType.SET, "segment.bytes", "-1"));
        get(alter(cluster, resource, OpType.SET, "segment.bytes", "2097152"));
        get(alter(cluster, resource, OpType.APPEND, "cleanup.policy", "compact"));
        get(alter(cluster, resource, OpType.DELETE, "retention.ms", null));
        Config after = configs(cluster, resource);
        check(after.get("segment.bytes").value().equals("2097152"), after.get("segment.bytes").toString());
        check(after.get("cleanup.policy").value().equals("delete,compact"), after.get("cleanup.policy").toString());
        check(after.get("retention.ms").isDefault(), after.get("retention.ms").toString());
    }

    private static void brokerConfigs(Cluster cluster) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, broker(cluster).idString());
        String key = "log.retention.ms";
        String before = configs(cluster, resource).get(key).value();
        get(alter(cluster, resource, OpType.SET, key, "7200000"));
        Cluster.await("the new value", () -> "7200000".equals(configs(cluster, resource).get(key).value()));
        get(alter(cluster, resource, OpType.DELETE, key, null));
        Cluster.await("the old value", () -> Objects.equals(configs(cluster, resource).get(key).value(), before));
    }

    private static void listConfigs(Cluster cluster) throws Exception {
        String topic = cluster.create("listed", 1);
        Set<ConfigResource> all = Set.copyOf(get(cluster.admin.listConfigResources().all()));
        check(all.contains(new ConfigResource(ConfigResource.Type.TOPIC, topic)), "no topic among " + all);
        check(all.contains(new ConfigResource(ConfigResource.Type.BROKER, broker(cluster).idString())), "no broker among " + all);
    }

    private static void logDirs(Cluster cluster) throws Exception {
        TopicPartition source = filled(cluster, "log-dirs");
        int broker = broker(cluster).id();
        Map<String, LogDirDescription> dirs = get(cluster.admin.describeLogDirs(List.of(broker)).allDescriptions()).get(broker);
        String dir = dirs.entrySet().stream().filter(each -> each.getValue().replicaInfos().containsKey(source))
                .map(Map.Entry::getKey).findFirst().orElseThrow(() -> new AssertionError("in no directory of " + dirs));
        check(dirs.get(dir).replicaInfos().get(source).size() > 0, "no bytes");
        check(dirs.get(dir).totalBytes().orElse(0) > 0, "no size of the volume");
        TopicPartitionReplica replica = new TopicPartitionReplica(source.topic(), 0, broker);
        get(cluster.admin.alterReplicaLogDirs(Map.of(replica, dir)).all());
        refused(LogDirNotFoundException.class, cluster.admin.alterReplicaLogDirs(Map.of(replica, "/no/such/dir")).all());
        check(get(cluster.admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica).getCurrentReplicaLogDir().equals(dir),
                "the replica is elsewhere");
    }

    /** The client asks for the next page by the cursor of the last one. */
    private static void describePartitions(Cluster cluster) throws Exception {
        String topic = cluster.create("pages", 25);
        DescribeTopicsOptions pages = new DescribeTopicsOptions().partitionSizeLimitPerResponse(10);
        var described = get(cluster.admin.describeTopics(List.of(topic), pages).allTopicNames()).get(topic);
        check(described.partitions().size() == 25, described.partitions().size() + " partitions");
        check(described.partitions().get(24).partition() == 24, "another order");
    }

    private static void elect(Cluster cluster) throws Exception {
        TopicPartition source = new TopicPartition(cluster.create("elect", 1), 0);
        for (ElectionType kind : ElectionType.values()) {
            Optional<Throwable> error = get(cluster.admin.electLeaders(kind, Set.of(source)).partitions()).get(source);
            check(error.orElse(null) instanceof ElectionNotNeededException, kind + ": " + error);
        }
    }

    private static void reassign(Cluster cluster) throws Exception {
        TopicPartition source = new TopicPartition(cluster.create("reassign", 1), 0);
        int broker = broker(cluster).id();
        Admin admin = cluster.admin;
        get(admin.alterPartitionReassignments(Map.of(source, Optional.of(new NewPartitionReassignment(List.of(broker))))).all());
        refused(InvalidReplicaAssignmentException.class, admin.alterPartitionReassignments(
                Map.of(source, Optional.of(new NewPartitionReassignment(List.of(broker + 1))))).all());
        refused(NoReassignmentInProgressException.class, admin.alterPartitionReassignments(Map.of(source, Optional.empty())).all());
        check(get(admin.listPartitionReassignments(Set.of(source)).reassignments()).isEmpty(), "something moves");
    }

    private static void quorum(Cluster cluster) throws Exception {
        QuorumInfo quorum = get(cluster.admin.describeMetadataQuorum().quorumInfo());
        Set<Integer> voters = quorum.voters().stream().map(QuorumInfo.ReplicaState::replicaId).collect(Collectors.toSet());
        check(voters.equals(Set.of(quorum.leaderId())), "voters " + voters);
        check(quorum.highWatermark() > 0 && quorum.leaderEpoch() >= 0, quorum.toString());
    }

    private static void features(Cluster cluster) throws Exception {
        var features = get(cluster.admin.describeFeatures().featureMetadata()).finalizedFeatures();
        check(features.containsKey("metadata.version"), "features " + features);
    }

    private static void acls(Cluster cluster) throws Exception {
        AclBinding acl = new AclBinding(new ResourcePattern(ResourceType.TOPIC, "a", PatternType.LITERAL),
                new AccessControlEntry("User:one", "*", AclOperation.READ, AclPermissionType.ALLOW));
        refused(SecurityDisabledException.class, cluster.admin.createAcls(List.of(acl)).all());
        refused(SecurityDisabledException.class, cluster.admin.describeAcls(AclBindingFilter.ANY).values());
        refused(SecurityDisabledException.class, cluster.admin.deleteAcls(List.of(AclBindingFilter.ANY)).all());
    }

    private static void quotas(Cluster cluster) throws Exception {
        check(get(cluster.admin.describeClientQuotas(ClientQuotaFilter.all()).entities()).isEmpty(), "there are quotas");
    }

    private static void scram(Cluster cluster) throws Exception {
        check(get(cluster.admin.describeUserScramCredentials().all()).isEmpty(), "there are credentials");
        refused(ResourceNotFoundException.class, cluster.admin.describeUserScramCredentials(List.of("nobody")).description("nobody"));
    }

    private AdminCases() {}
}
