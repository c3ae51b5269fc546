//! The admin APIs against two real shards in a simulated world: configs, pages of partitions, sizes, and what one broker
//! has nothing of.

use super::*;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use crate::wire::messages::create_acls::{AclCreation, CreateAclsRequest};
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult};
use crate::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use crate::wire::messages::describe_quorum::{DescribeQuorumRequest, PartitionAsked, TopicAsked};
use crate::wire::messages::describe_topic_partitions::{DescribeTopicPartitionsRequest, TopicRequest};
use crate::wire::messages::describe_user_scram_credentials::{DescribeUserScramCredentialsRequest, UserName};
use crate::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::messages::list_config_resources::ListConfigResourcesRequest;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn describe(client: &mut Client, resource_type: i8, name: &str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource { resource_type, resource_name: name.into(), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, ..Default::default() };
    ask!(client, DescribeConfigs, request, 4).results.remove(0)
}

/// Changes one config: 0 sets, 1 deletes.
async fn alter(client: &mut Client, resource: (i8, &str), key: &str, op: i8, value: Option<&str>) -> ErrorCode {
    let config = AlterableConfig { name: key.into(), config_operation: op, value: value.map(Into::into) };
    let (resource_type, name) = resource;
    let resource = AlterConfigsResource { resource_type, resource_name: name.into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    ask!(client, IncrementalAlterConfigs, request, 1).responses.remove(0).error_code
}

#[test]
fn a_config_of_a_topic_is_set_described_with_its_sources_and_deleted() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        assert_eq!(alter(&mut client, (TOPIC, "a"), "retention.ms", 0, Some("5")).await, ErrorCode::None);
        let described = describe(&mut client, TOPIC, "a").await;
        let find = |result: &DescribeConfigsResult| {
            let found = result.configs.iter().find(|config| config.name == *"retention.ms").expect("a topic config");
            let synonyms = found.synonyms.iter().map(|s| (s.name.to_string(), s.source)).collect::<Vec<_>>();
            (found.value.as_deref().map(str::to_owned), found.config_source, synonyms)
        };
        assert_eq!(find(&described), (Some("5".into()), 1, vec![("retention.ms".into(), 1)]));
        assert_eq!(alter(&mut client, (TOPIC, "a"), "retention.ms", 1, None).await, ErrorCode::None);
        assert_eq!(find(&describe(&mut client, TOPIC, "a").await), (Some("604800000".into()), 5, vec![]));
    });
}

#[test]
fn what_cannot_be_altered_is_refused_with_kafkas_code() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let unknown = alter(&mut client, (TOPIC, "nowhere"), "retention.ms", 0, Some("5")).await;
        assert_eq!(unknown, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        assert_eq!(alter(&mut client, (TOPIC, "a"), "retention.ms", 2, Some("5")).await, ErrorCode::InvalidConfig);
        // Kafka stumbles over an operation that it does not know.
        assert_eq!(alter(&mut client, (TOPIC, "a"), "retention.ms", 9, Some("5")).await, ErrorCode::UnknownServerError);
        assert_eq!(alter(&mut client, (BROKER, "1"), "cores", 0, Some("1")).await, ErrorCode::InvalidRequest);
        assert_eq!(alter(&mut client, (99, "x"), "y", 0, Some("1")).await, ErrorCode::InvalidRequest);
        assert_eq!(describe(&mut client, BROKER, "7").await.error_code, ErrorCode::InvalidRequest);
        assert_eq!(describe(&mut client, TOPIC, "nowhere").await.error_code, ErrorCode::UnknownTopicOrPartition);
    });
}

#[test]
fn partitions_come_in_pages_that_a_cursor_joins() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        for (name, partitions) in [("b", 3), ("a", 2)] {
            assert_eq!(create(&mut client, name, partitions).await, ErrorCode::None);
        }
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let topics = Vec::new();
            let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 2, cursor };
            let page = ask!(client, DescribeTopicPartitions, request, 0);
            for topic in &page.topics {
                let name = topic.name.as_deref().unwrap_or_default();
                seen.extend(topic.partitions.iter().map(|p| format!("{name}-{}", p.partition_index)));
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a-0", "a-1", "b-0", "b-1", "b-2"]);
        let topics = ["nowhere", "no/where"].map(|name| TopicRequest { name: name.into() }).to_vec();
        let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
        let codes = ask!(client, DescribeTopicPartitions, request, 0).topics.into_iter().map(|topic| topic.error_code);
        let expected = [ErrorCode::InvalidTopicException, ErrorCode::UnknownTopicOrPartition];
        assert_eq!(codes.collect::<Vec<_>>(), expected);
    });
}

#[test]
fn sizes_are_told_by_partition_and_replicas_stay_where_they_are() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "a", 2).await, ErrorCode::None);
        let one = batch(&["one"]);
        let size = one.len() as i64;
        produce(&mut client, "a", vec![(1, one)]).await;
        let dirs = ask!(client, DescribeLogDirs, DescribeLogDirsRequest { topics: None }, 4).results;
        let sizes: Vec<i64> = dirs[0].topics[0].partitions.iter().map(|p| p.partition_size).collect();
        assert_eq!((dirs.len(), sizes), (1, vec![0, size]));
        for (path, expected) in [("/broker", ErrorCode::None), ("/elsewhere", ErrorCode::LogDirNotFound)] {
            let topics = vec![AlterReplicaLogDirTopic { name: "a".into(), partitions: vec![0] }];
            let dirs = vec![AlterReplicaLogDir { path: path.into(), topics }];
            let moved = ask!(client, AlterReplicaLogDirs, AlterReplicaLogDirsRequest { dirs }, 2).results.remove(0);
            assert_eq!(moved.partitions[0].error_code, expected, "{path}");
        }
    });
}

#[test]
fn one_broker_elects_and_moves_nothing_and_has_no_rules_and_no_users() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        let topic_partitions = Some(vec![TopicPartitions { topic: "a".into(), partitions: vec![0, 7] }]);
        let request = ElectLeadersRequest { topic_partitions, ..Default::default() };
        let elected = ask!(client, ElectLeaders, request, 2).replica_election_results.remove(0).partition_result;
        let codes: Vec<ErrorCode> = elected.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [ErrorCode::ElectionNotNeeded, ErrorCode::UnknownTopicOrPartition]);

        let partition = |replicas| ReassignablePartition { partition_index: 0, replicas };
        let partitions = vec![partition(None), partition(Some(vec![1])), partition(Some(vec![2]))];
        let topics = vec![ReassignableTopic { name: "a".into(), partitions }];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let moved = ask!(client, AlterPartitionReassignments, request, 1).responses.remove(0).partitions;
        let codes: Vec<ErrorCode> = moved.iter().map(|result| result.error_code).collect();
        let expected = [ErrorCode::NoReassignmentInProgress, ErrorCode::None, ErrorCode::InvalidReplicaAssignment];
        assert_eq!(codes, expected);

        let request = CreateAclsRequest { creations: vec![AclCreation::default()] };
        assert_eq!(ask!(client, CreateAcls, request, 3).results[0].error_code, ErrorCode::SecurityDisabled);
        let users = ["u", "v", "v"].map(|name| UserName { name: name.into() }).to_vec();
        let request = DescribeUserScramCredentialsRequest { users: Some(users) };
        let results = ask!(client, DescribeUserScramCredentials, request, 0).results;
        let codes: Vec<ErrorCode> = results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [ErrorCode::ResourceNotFound, ErrorCode::DuplicateResource]);
    });
}

#[test]
fn the_metadata_log_has_one_voter_that_is_at_its_end() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        let quorum = |name: &str| DescribeQuorumRequest {
            topics: vec![TopicAsked {
                topic_name: name.into(),
                partitions: vec![PartitionAsked { partition_index: 0 }],
            }],
        };
        let mut reply = ask!(client, DescribeQuorum, quorum("__cluster_metadata"), 2);
        let partition = reply.topics.remove(0).partitions.remove(0);
        assert!(partition.high_watermark > 0);
        assert_eq!((partition.leader_id, partition.current_voters[0].log_end_offset), (1, partition.high_watermark));
        let mut refused = ask!(client, DescribeQuorum, quorum("a"), 2);
        let code = refused.topics.remove(0).partitions.remove(0).error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
    });
}

#[test]
fn what_has_configs_is_listed_by_type() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        for (version, asked, expected) in
            [(0, vec![], vec![]), (1, vec![TOPIC], vec!["a"]), (1, vec![], vec!["1", "1", "a"])]
        {
            let request = ListConfigResourcesRequest { resource_types: asked };
            let reply = ask!(client, ListConfigResources, request, version);
            let names: Vec<String> = reply.config_resources.iter().map(|r| r.resource_name.to_string()).collect();
            assert_eq!(names, expected);
        }
        let request = ListConfigResourcesRequest { resource_types: vec![77] };
        assert_eq!(ask!(client, ListConfigResources, request, 1).error_code, ErrorCode::UnsupportedVersion);
    });
}
