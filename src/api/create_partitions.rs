//! CreatePartitions (key 37): grows topics. Runs on the connection's core; shard 0 decides, every core applies.

use std::future::Future;

use shards::catalog::{CatalogCommand, CatalogError, CatalogReply, MorePartitions};

use super::RequestContext;
use super::errors::catalog_error_told;
use super::table::Served;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: CreatePartitionsRequest,
) -> impl Future<Output = Served<CreatePartitionsResponse>> + use<> {
    let names: Vec<Str> = request.topics.iter().map(|topic| topic.name.as_str().into()).collect();
    let topics = request.topics.iter().map(more).collect();
    let command = CatalogCommand::CreatePartitions { topics, validate_only: request.validate_only };
    let change = ctx.core.shards.change(command);
    async move {
        let change = change.await;
        let mut results: Vec<CreatePartitionsTopicResult> = Vec::with_capacity(names.len());
        let told = |name: Str, (error_code, error_message): (ErrorCode, Option<Str>)| CreatePartitionsTopicResult {
            name,
            error_code,
            error_message,
        };
        match change {
            Ok(CatalogReply::PartitionsCreated(outcomes)) => {
                results.extend(names.into_iter().zip(outcomes).map(|(name, outcome)| {
                    told(name, outcome.as_ref().map_or_else(refused, |()| (ErrorCode::None, None)))
                }));
            }
            Ok(_) => results.extend(names.into_iter().map(|name| told(name, (ErrorCode::UnknownServerError, None)))),
            Err(e) => results.extend(names.into_iter().map(|name| told(name, catalog_error_told(&e)))),
        }
        // A topic named twice failed as a whole and is told once, as Kafka does.
        let mut seen = hashbrown::HashSet::new();
        results.retain(|result| seen.insert(result.name.clone()));
        CreatePartitionsResponse { results, ..Default::default() }.into()
    }
}

/// An unknown topic goes without a text, as in Kafka.
fn refused(e: &CatalogError) -> (ErrorCode, Option<Str>) {
    match e {
        CatalogError::UnknownTopic { .. } => (ErrorCode::UnknownTopicOrPartition, None),
        e => catalog_error_told(e),
    }
}

fn more(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref();
    MorePartitions {
        name: topic.name.to_string(),
        count: topic.count,
        assignments: assignments.map(|given| given.iter().map(|brokers| brokers.broker_ids.clone()).collect()),
    }
}
