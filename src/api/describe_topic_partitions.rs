//! DescribeTopicPartitions (key 75): topics and their partitions, page by page (KIP-966). Connection's core; reads the
//! applied catalog. Invariant: topics come sorted by name, so that a cursor means the same on the next page.

use std::collections::BTreeSet;
use std::future::Future;

use shards::catalog::{Catalog, Topic, check_topic_name};
use shards::types::TopicId;

use super::RequestContext;
use super::metadata::TOPIC_OPERATIONS;
use super::table::Served;
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{ErrorCode, Str};

/// Most partitions of one page, whatever is asked for (`max.request.partition.size.limit`).
const PAGE_PARTITIONS_MAX: i32 = 2000;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeTopicPartitionsRequest,
) -> impl Future<Output = Served<DescribeTopicPartitionsResponse>> + use<> {
    std::future::ready(page(&ctx.core.shards.catalog(), &request).into())
}

fn page(catalog: &Catalog, request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let cursor = request.cursor.as_ref();
    if cursor.is_some_and(|cursor| cursor.partition_index < 0) {
        let refused = request.topics.iter().map(|topic| failed(&topic.name, ErrorCode::InvalidRequest, TopicId::ZERO));
        return DescribeTopicPartitionsResponse { topics: refused.collect(), ..Default::default() };
    }
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> = if all {
        catalog.topics().map(|topic| &*topic.name).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.as_str()).collect()
    };
    let mut left = usize::try_from(request.response_partition_limit.clamp(1, PAGE_PARTITIONS_MAX)).unwrap_or(1);
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
            let code = match check_topic_name(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            reply.topics.push(failed(name, code, TopicId::ZERO));
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

fn failed(name: &str, error_code: ErrorCode, topic_id: TopicId) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic { error_code, name: Some(Str::from(name)), topic_id, ..Default::default() }
}
