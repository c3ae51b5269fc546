//! AlterPartitionReassignments (key 45) and ListPartitionReassignments (key 46). Connection's core; reads the applied
//! catalog. Invariant: with one broker there is nowhere to move to, so no move is ever under way.

use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::Catalog;

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve_alter(
    ctx: &RequestContext<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> impl Future<Output = Served<AlterPartitionReassignmentsResponse>> + use<> {
    let catalog = ctx.core.shards.catalog();
    let node_id = ctx.core.settings.node_id;
    let responses = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.as_str().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let (error_code, why) = reassigned(&catalog, node_id, &topic.name, asked);
                ReassignablePartitionResponse {
                    partition_index: asked.partition_index,
                    error_code,
                    error_message: why.map(Str::from),
                }
            })
            .collect(),
    });
    let reply = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses: responses.collect(),
        ..Default::default()
    };
    std::future::ready(reply.into())
}

fn reassigned(
    catalog: &Catalog,
    node_id: i32,
    name: &str,
    asked: &ReassignablePartition,
) -> (ErrorCode, Option<String>) {
    let Some(topic) = catalog.topic(name) else {
        return (ErrorCode::UnknownTopicOrPartition, Some(format!("Unable to find a topic named {name}.")));
    };
    let index = asked.partition_index;
    if topic.partition(index).is_none() {
        return (ErrorCode::UnknownTopicOrPartition, Some(format!("Unable to find partition {name}-{index}.")));
    }
    let Some(replicas) = &asked.replicas else {
        return (ErrorCode::NoReassignmentInProgress, Some("No partition reassignment is in progress.".into()));
    };
    match assignment_error(node_id, replicas) {
        Some(why) => (ErrorCode::InvalidReplicaAssignment, Some(why)),
        // The partition is there already.
        None => (ErrorCode::None, None),
    }
}

fn assignment_error(node_id: i32, replicas: &[i32]) -> Option<String> {
    if replicas.is_empty() {
        return Some("The manual partition assignment includes an empty replica list.".into());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut seen = HashSet::new();
    sorted.into_iter().find_map(|broker| {
        if broker != node_id {
            Some(format!("The manual partition assignment includes broker {broker}, but no such broker is registered."))
        } else if !seen.insert(broker) {
            Some(format!("The manual partition assignment includes the broker {broker} more than once."))
        } else {
            None
        }
    })
}

pub(super) fn serve_list(
    _ctx: &RequestContext<'_>,
    _request: ListPartitionReassignmentsRequest,
) -> impl Future<Output = Served<ListPartitionReassignmentsResponse>> + use<> {
    std::future::ready(ListPartitionReassignmentsResponse::default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_broker_once_is_an_assignment() {
        assert_eq!(assignment_error(1, &[1]), None);
        for (replicas, why) in [(&[][..], "empty replica list"), (&[1, 1], "more than once"), (&[1, 2], "broker 2")] {
            assert!(assignment_error(1, replicas).is_some_and(|told| told.contains(why)), "{replicas:?}");
        }
    }
}
