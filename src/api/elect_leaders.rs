//! ElectLeaders (key 43). Connection's core; reads the applied catalog.
//! Invariant: with one broker each partition has its preferred leader, so no election is ever needed.

use std::future::Future;

use shards::catalog::Catalog;

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, TopicPartitions,
};
use crate::wire::{ErrorCode, Str};

/// Election types: preferred, unclean.
const ELECTION_TYPES: [i8; 2] = [0, 1];

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ElectLeadersRequest,
) -> impl Future<Output = Served<ElectLeadersResponse>> + use<> {
    std::future::ready(elected(&ctx.core.shards.catalog(), &request).into())
}

fn elected(catalog: &Catalog, request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let kind = request.election_type;
    // Kafka looks at the type for each partition asked: without one there is no error.
    let asks_none = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    if !ELECTION_TYPES.contains(&kind) && !asks_none {
        return unknown_type(kind, request.topic_partitions.as_deref().unwrap_or_default());
    }
    let results = match &request.topic_partitions {
        // Of all partitions, those that have the leader they should are not told.
        None => catalog.topics().map(|topic| result(&topic.name, Vec::new())).collect(),
        Some(asked) => asked
            .iter()
            .map(|asked| {
                let partitions = asked.partitions.iter().map(|index| partition(catalog, &asked.topic, *index));
                result(&asked.topic, partitions.collect())
            })
            .collect(),
    };
    ElectLeadersResponse { replica_election_results: results, ..Default::default() }
}

fn unknown_type(kind: i8, asked: &[TopicPartitions]) -> ElectLeadersResponse {
    let error_code = ErrorCode::InvalidRequest;
    let refused = |index: &i32| PartitionResult {
        partition_id: *index,
        error_code,
        error_message: Some(format!("Unknown election type {kind}").into()),
    };
    let results = asked.iter().map(|asked| result(&asked.topic, asked.partitions.iter().map(refused).collect()));
    ElectLeadersResponse { error_code, replica_election_results: results.collect(), ..Default::default() }
}

fn result(topic: &str, partition_result: Vec<PartitionResult>) -> ReplicaElectionResult {
    ReplicaElectionResult { topic: topic.into(), partition_result }
}

fn partition(catalog: &Catalog, name: &str, index: i32) -> PartitionResult {
    let (error_code, why): (_, Str) = match catalog.topic(name) {
        None => (ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}").into()),
        Some(topic) if topic.partition(index).is_none() => {
            (ErrorCode::UnknownTopicOrPartition, format!("No such partition as {name}-{index}").into())
        }
        Some(_) => (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.".into()),
    };
    PartitionResult { partition_id: index, error_code, error_message: Some(why) }
}
