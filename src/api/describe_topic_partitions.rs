//! DescribeTopicPartitions (key 75): topics and their partitions, page by page (KIP-966). Connection's core; reads the
//! applied catalog. Invariant: topics come sorted by name, so that a cursor means the same on the next page.

use std::collections::BTreeSet;
use std::future::Future;

use shards::catalog::{Catalog, METADATA_TOPIC, Topic, check_topic_name, is_internal_topic};

use super::RequestContext;
use super::metadata::TOPIC_OPERATIONS;
use super::table::Served;
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeTopicPartitionsRequest,
) -> impl Future<Output = Served<DescribeTopicPartitionsResponse>> + use<> {
    let page_partitions_max = ctx.core.settings.page_partitions_max;
    std::future::ready(page(&ctx.core.shards.catalog(), &request, page_partitions_max).into())
}

fn page(
    catalog: &Catalog,
    request: &DescribeTopicPartitionsRequest,
    page_partitions_max: i32,
) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref();
    let refused = |code| DescribeTopicPartitionsResponse {
        topics: request.topics.iter().map(|topic| failed(&topic.name, code)).collect(),
        ..Default::default()
    };
    let all = request.topics.is_empty();
    let strays = |cursor: &Cursor| {
        cursor.partition_index < 0 || !all && request.topics.iter().all(|topic| topic.name != cursor.topic_name)
    };
    if cursor.is_some_and(strays) {
        return refused(ErrorCode::InvalidRequest);
    }
    let names: BTreeSet<&str> = if all {
        catalog.topics().map(|topic| &*topic.name).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.as_str()).collect()
    };
    if names.contains("") && cursor.is_none() {
        // Kafka trips over a topic without a name.
        return refused(ErrorCode::UnknownServerError);
    }
    let mut left = usize::try_from(request.response_partition_limit.clamp(1, page_partitions_max)).unwrap_or(1);
    let mut reply = DescribeTopicPartitionsResponse::default();
    for name in names {
        if cursor.is_some_and(|cursor| name < cursor.topic_name.as_str()) {
            continue;
        }
        if left == 0 {
            reply.next_cursor = Some(Cursor { topic_name: name.into(), partition_index: 0 });
            break;
        }
        let Some(topic) = catalog.topic(name) else {
            reply.topics.push(missing(name));
            continue;
        };
        let first = cursor.filter(|cursor| cursor.topic_name == *name).map_or(0, |cursor| cursor.partition_index);
        let (partitions, next) = some_partitions(catalog, topic, first, left);
        left -= partitions.len();
        reply.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.into()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions,
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..Default::default()
        });
        if let Some(partition_index) = next {
            reply.next_cursor = Some(Cursor { topic_name: name.into(), partition_index });
            break;
        }
    }
    reply
}

/// At most `max` partitions from `first` on, and where the next page goes on.
fn some_partitions(
    catalog: &Catalog,
    topic: &Topic,
    first: i32,
    max: usize,
) -> (Vec<DescribeTopicPartitionsResponsePartition>, Option<i32>) {
    let mut rest = topic.partition_ids().filter(|id| id.index >= first);
    let page = rest.by_ref().take(max).filter_map(|id| catalog.partition(topic, id.index));
    let page = page.map(|view| DescribeTopicPartitionsResponsePartition {
        partition_index: view.id.index,
        leader_id: view.leader,
        leader_epoch: view.leader_epoch.0,
        replica_nodes: view.replicas.to_vec(),
        isr_nodes: view.isr.to_vec(),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..Default::default()
    });
    let page = page.collect();
    (page, rest.next().map(|id| id.index))
}

/// A name that no topic has. What may be done with it is told all the same, and whether it would be the broker's own.
fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match check_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        is_internal: is_internal_topic(name) && name != METADATA_TOPIC,
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..failed(name, code)
    }
}

fn failed(name: &str, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic { error_code, name: Some(Str::from(name)), ..Default::default() }
}
