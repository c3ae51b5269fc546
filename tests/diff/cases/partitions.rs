//! What is asked of partitions and replicas: DescribeTopicPartitions, DescribeLogDirs, AlterReplicaLogDirs, ElectLeaders,
//! the reassignments, DescribeQuorum.

use corelog::wire::Str;
use corelog::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use corelog::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use corelog::wire::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use corelog::wire::messages::describe_quorum::{DescribeQuorumRequest, PartitionAsked, TopicAsked};
use corelog::wire::messages::describe_topic_partitions::{Cursor, DescribeTopicPartitionsRequest, TopicRequest};
use corelog::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};
use corelog::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

use crate::case::{Case, case};
use crate::world::TIMEOUT_MS;

pub fn cases() -> Vec<Case> {
    let mut cases = of_pages();
    cases.extend(of_log_dirs());
    cases.extend(of_leaders());
    cases.extend(of_quorum());
    cases
}

fn pages(names: &[Str], limit: i32, cursor: Option<(&Str, i32)>) -> DescribeTopicPartitionsRequest {
    let topics = names.iter().map(|name| TopicRequest { name: name.clone() }).collect();
    let cursor = cursor.map(|(name, partition_index)| Cursor { topic_name: name.clone(), partition_index });
    DescribeTopicPartitionsRequest { topics, response_partition_limit: limit, cursor }
}

fn of_pages() -> Vec<Case> {
    vec![
        case("pages: some topics, all topics, an unknown one", 0..=0, |w, v| {
            let (a, b, unknown) = (w.topic("a", 2), w.topic("b", 1), w.name("unknown"));
            w.ask(pages(&[b, unknown, a], 2000, None), v);
            w.ask(pages(&[], 2000, None), v);
        }),
        case("pages: limits", 0..=0, |w, v| {
            let (a, b) = (w.topic("a", 3), w.topic("b", 2));
            for limit in [1, 2, 3, 4, 5, 0, -1] {
                w.ask(pages(&[a.clone(), b.clone()], limit, None), v);
            }
        }),
        case("pages: cursors", 0..=0, |w, v| {
            let (a, b) = (w.topic("a", 3), w.topic("b", 2));
            let (before, between, after) = (w.name(""), w.name("aa"), w.name("c"));
            for at in [(&a, 0), (&a, 2), (&a, 3), (&a, -1), (&b, 1), (&before, 0), (&between, 1), (&after, 0)] {
                w.ask(pages(&[a.clone(), b.clone()], 2000, Some(at)), v);
            }
        }),
        case("pages: names that no topic can have, and one twice", 0..=0, |w, v| {
            w.ask(pages(&["".into(), "a b".into()], 2000, None), v);
            w.ask(pages(&["".into(), "a b".into()], 2000, Some((&"".into(), 0))), v);
            let a = w.topic("a", 1);
            w.ask(pages(&[a.clone(), a], 2000, None), v);
        }),
    ]
}

fn dirs(topics: Option<Vec<(Str, Vec<i32>)>>) -> DescribeLogDirsRequest {
    let topic = |(topic, partitions)| DescribableLogDirTopic { topic, partitions };
    DescribeLogDirsRequest { topics: topics.map(|topics| topics.into_iter().map(topic).collect()) }
}

fn of_log_dirs() -> Vec<Case> {
    vec![
        case("log directories: some partitions", 1..=5, |w, v| {
            let topic = w.topic("a", 2);
            w.ask(dirs(Some(vec![(topic, vec![0, 1])])), v);
        }),
        case("log directories: all partitions", 1..=5, |w, v| {
            w.topic("a", 2);
            w.ask(dirs(None), v);
        }),
        case("log directories: unknown partitions, none", 1..=5, |w, v| {
            let (topic, unknown) = (w.topic("a", 1), w.name("unknown"));
            w.ask(dirs(Some(vec![(topic, vec![7])])), v);
            w.ask(dirs(Some(vec![(unknown, vec![0])])), v);
            w.ask(dirs(Some(vec![])), v);
        }),
        case("replicas moved to a directory that there is not", 1..=2, |w, v| {
            let (name, unknown) = (w.topic("a", 1), w.name("unknown"));
            for path in ["/no/such/directory", "not/absolute", ""] {
                let topic = |name: &Str, partitions: &[i32]| AlterReplicaLogDirTopic {
                    name: name.clone(),
                    partitions: partitions.to_vec(),
                };
                let topics = vec![topic(&name, &[0, 7]), topic(&unknown, &[0])];
                w.ask(AlterReplicaLogDirsRequest { dirs: vec![AlterReplicaLogDir { path: path.into(), topics }] }, v);
            }
            w.ask(AlterReplicaLogDirsRequest::default(), v);
        }),
    ]
}

fn elect(election_type: i8, topics: Option<Vec<(Str, Vec<i32>)>>) -> ElectLeadersRequest {
    let topic = |(topic, partitions)| TopicPartitions { topic, partitions };
    let topic_partitions = topics.map(|topics| topics.into_iter().map(topic).collect());
    ElectLeadersRequest { election_type, topic_partitions, timeout_ms: TIMEOUT_MS }
}

fn reassign(name: Str, partitions: &[(i32, Option<&[i32]>)]) -> AlterPartitionReassignmentsRequest {
    let partition = |&(partition_index, replicas): &(i32, Option<&[i32]>)| ReassignablePartition {
        partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    let topics = vec![ReassignableTopic { name, partitions: partitions.iter().map(partition).collect() }];
    AlterPartitionReassignmentsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() }
}

fn of_leaders() -> Vec<Case> {
    vec![
        case("elections: of partitions that have their leader", 0..=2, |w, v| {
            let topic = w.topic("a", 2);
            let types: &[i8] = if v == 0 { &[0] } else { &[0, 1] };
            for election_type in types {
                w.ask(elect(*election_type, Some(vec![(topic.clone(), vec![0, 1])])), v);
            }
        }),
        case("elections: unknown partitions and topics, none, all", 0..=2, |w, v| {
            let (topic, unknown) = (w.topic("a", 1), w.name("unknown"));
            w.ask(elect(0, Some(vec![(topic, vec![7, 0]), (unknown, vec![0])])), v);
            w.ask(elect(0, Some(vec![])), v);
            w.ask(elect(0, None), v);
        }),
        case("elections: types that there are not", 1..=2, |w, v| {
            let topic = w.topic("a", 1);
            for election_type in [2, -1] {
                w.ask(elect(election_type, Some(vec![(topic.clone(), vec![0])])), v);
                w.ask(elect(election_type, Some(vec![])), v);
                w.ask(elect(election_type, None), v);
            }
        }),
        case("reassignments: to where they are, and cancelled where there is none", 0..=1, |w, v| {
            let topic = w.topic("a", 2);
            w.ask(reassign(topic.clone(), &[(0, Some(&[1]))]), v);
            w.ask(reassign(topic, &[(0, None), (1, None)]), v);
        }),
        case("reassignments: replicas that there cannot be", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            for replicas in [&[][..], &[9], &[1, 1], &[1, 9], &[-1]] {
                w.ask(reassign(topic.clone(), &[(0, Some(replicas))]), v);
            }
        }),
        case("reassignments: unknown partitions and topics, none", 0..=1, |w, v| {
            let (topic, unknown) = (w.topic("a", 1), w.name("unknown"));
            w.ask(reassign(topic, &[(7, Some(&[1])), (-1, None)]), v);
            w.ask(reassign(unknown, &[(0, Some(&[1])), (1, None)]), v);
            let allowed: &[bool] = if v == 0 { &[true] } else { &[true, false] };
            for &allow_replication_factor_change in allowed {
                let none = AlterPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, ..Default::default() };
                w.ask(AlterPartitionReassignmentsRequest { allow_replication_factor_change, ..none }, v);
            }
        }),
        case("reassignments under way: there are none", 0..=0, |w, v| {
            let (topic, unknown) = (w.topic("a", 1), w.name("unknown"));
            w.ask(ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: None }, v);
            for (name, partitions) in [(topic, vec![0, 7]), (unknown, vec![0])] {
                let topics = Some(vec![ListPartitionReassignmentsTopics { name, partition_indexes: partitions }]);
                w.ask(ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics }, v);
            }
            w.ask(ListPartitionReassignmentsRequest { timeout_ms: TIMEOUT_MS, topics: Some(vec![]) }, v);
        }),
    ]
}

fn quorum(topics: &[(&str, &[i32])]) -> DescribeQuorumRequest {
    let topic = |(name, partitions): &(&str, &[i32])| TopicAsked {
        topic_name: Str::from(*name),
        partitions: partitions.iter().map(|&partition_index| PartitionAsked { partition_index }).collect(),
    };
    DescribeQuorumRequest { topics: topics.iter().map(topic).collect() }
}

fn of_quorum() -> Vec<Case> {
    vec![
        case("quorum: of the metadata log", 0..=2, |w, v| {
            w.ask(quorum(&[("__cluster_metadata", &[0])]), v);
        }),
        case("quorum: of other partitions and topics, of none", 0..=2, |w, v| {
            for asked in [
                &[("__cluster_metadata", &[1][..])][..],
                &[("__cluster_metadata", &[0, 1])],
                &[("other", &[0])],
                &[("__cluster_metadata", &[0]), ("other", &[0])],
                &[("__cluster_metadata", &[])],
                &[],
            ] {
                w.ask(quorum(asked), v);
            }
        }),
    ]
}
