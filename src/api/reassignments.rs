//! AlterPartitionReassignments (key 45) and ListPartitionReassignments (key 46). Connection's core; reads the applied
//! catalog. Invariant: with one broker there is nowhere to move to, so no move is ever under way.

use std::future::Future;

use shards::catalog::Catalog;

use super::RequestContext;
use super::errors::catalog_error_told;
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
    let responses = request.topics.iter().map(|topic| ReassignableTopicResponse {
        name: topic.name.as_str().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| {
                let (error_code, error_message) = reassigned(&catalog, &topic.name, asked);
                ReassignablePartitionResponse { partition_index: asked.partition_index, error_code, error_message }
            })
            .collect(),
    });
    let reply = AlterPartitionReassignmentsResponse {
        // Kafka's message is only null where there was something to do.
        error_message: request.topics.is_empty().then(Str::default),
        // Kafka answers before it has looked at this.
        allow_replication_factor_change: request.allow_replication_factor_change || request.topics.is_empty(),
        responses: responses.collect(),
        ..Default::default()
    };
    std::future::ready(reply.into())
}

fn reassigned(catalog: &Catalog, name: &str, asked: &ReassignablePartition) -> (ErrorCode, Option<Str>) {
    let Some(topic) = catalog.topic(name) else {
        return (ErrorCode::UnknownTopicOrPartition, Some(format!("Unable to find a topic named {name}.").into()));
    };
    let index = asked.partition_index;
    if topic.partition(index).is_none() {
        return (ErrorCode::UnknownTopicOrPartition, Some(format!("Unable to find partition {name}:{index}.").into()));
    }
    let Some(replicas) = &asked.replicas else {
        return (ErrorCode::NoReassignmentInProgress, None);
    };
    match catalog.check_replicas(replicas) {
        Err(e) => catalog_error_told(&e),
        // The partition is there already.
        Ok(()) => (ErrorCode::None, None),
    }
}

pub(super) fn serve_list(
    _ctx: &RequestContext<'_>,
    _request: ListPartitionReassignmentsRequest,
) -> impl Future<Output = Served<ListPartitionReassignmentsResponse>> + use<> {
    std::future::ready(ListPartitionReassignmentsResponse { error_message: None, ..Default::default() }.into())
}
