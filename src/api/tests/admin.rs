//! The admin APIs against two real shards in a simulated world: pages of partitions, sizes, and what one broker
//! has nothing of.

use super::*;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use crate::wire::messages::create_acls::{AclCreation, CreateAclsRequest};
use crate::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use crate::wire::messages::describe_quorum::{DescribeQuorumRequest, PartitionAsked, TopicAsked};
use crate::wire::messages::describe_topic_partitions::{Cursor, DescribeTopicPartitionsRequest, TopicRequest};
use crate::wire::messages::describe_user_scram_credentials::{DescribeUserScramCredentialsRequest, UserName};
use crate::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};

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
        // Of the last one: a cursor to a topic that is not asked for, before the first partition, and no name at all.
        let cases = [("a", "b", 0, 42), ("a", "a", -1, 42), ("a", "a", 9, 0), ("", "", 0, 17)];
        for (name, topic_name, partition_index, code) in cases {
            let cursor = Some(Cursor { topic_name: topic_name.into(), partition_index });
            let topics = vec![TopicRequest { name: name.into() }];
            let request = DescribeTopicPartitionsRequest { topics, cursor, ..Default::default() };
            let told = ask!(client, DescribeTopicPartitions, request, 0).topics.remove(0);
            assert_eq!((told.error_code.code(), told.partitions.len()), (code, 0), "{name} {topic_name}");
        }
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

        let rule = AclCreation { resource_type: 2, operation: 3, permission_type: 3, ..Default::default() };
        let request = CreateAclsRequest { creations: vec![rule] };
        assert_eq!(ask!(client, CreateAcls, request, 3).results[0].error_code, ErrorCode::SecurityDisabled);
        let users = ["u", "v", "v"].map(|name| UserName { name: name.into() }).to_vec();
        let request = DescribeUserScramCredentialsRequest { users: Some(users) };
        let results = ask!(client, DescribeUserScramCredentials, request, 0).results;
        let codes: Vec<ErrorCode> = results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [ErrorCode::ResourceNotFound, ErrorCode::DuplicateResource]);
    });
}

#[test]
fn an_access_rule_of_an_unknown_kind_closes_the_connection() {
    with_broker(|rt, addr| async move {
        let client = &mut Client::connect(&rt, addr).await;
        let request = CreateAclsRequest { creations: vec![AclCreation::default()] };
        assert!(client.send(&crate::listen::test_client::frame(request.into(), 3, 1)).await);
        assert_eq!(client.correlation_id().await, None);
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
        for version in [0, 1] {
            let reply = ask!(client, DescribeQuorum, quorum("__cluster_metadata"), version);
            assert_eq!((reply.topics.len(), reply.nodes.len()), (1, 0), "version {version}");
        }
        let mut reply = ask!(client, DescribeQuorum, quorum("__cluster_metadata"), 2);
        let partition = reply.topics.remove(0).partitions.remove(0);
        assert!(partition.high_watermark > 0);
        assert_eq!((partition.leader_id, partition.current_voters[0].log_end_offset), (1, partition.high_watermark));
        let mut refused = ask!(client, DescribeQuorum, quorum("a"), 2);
        let code = refused.topics.remove(0).partitions.remove(0).error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
    });
}
