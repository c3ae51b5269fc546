//! DeleteRecords (key 21): moves the log start of partitions forward. Runs on the connection's core; each partition's owner
//! does the work. Invariant: the reply has the request's topics and partitions, in its order.

use std::future::Future;

use shards::catalog::Topic;
use shards::request::Upto;
use shards::types::{Offset, TopicId};

use super::RequestContext;
use super::errors::read_error;
use super::table::Served;
use super::topics;
use crate::wire::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DeleteRecordsRequest,
) -> impl Future<Output = Served<DeleteRecordsResponse>> + use<> {
    let mut parts = Vec::new();
    // Results in order; those without an error take the answers one after the other.
    let mut topics = Vec::with_capacity(request.topics.len());
    {
        let catalog = ctx.core.shards.catalog();
        for topic in &request.topics {
            let found = topics::find(&catalog, false, &topic.name, TopicId::ZERO);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let partition_index = asked.partition_index;
                let mut result =
                    DeleteRecordsPartitionResult { partition_index, low_watermark: -1, ..Default::default() };
                // In Kafka's order: a partition that there is not is told before what forbids to cut the topic's.
                let partition = topics::partition(found, partition_index);
                match partition
                    .and_then(|partition| found.and_then(not_internal).and_then(deletable).map(|()| partition))
                {
                    Ok(partition) => parts.push((partition, upto(asked.offset))),
                    Err(code) => result.error_code = code,
                }
                partitions.push(result);
            }
            if partitions.is_empty() {
                continue;
            }
            topics.push(DeleteRecordsTopicResult { name: topic.name.as_str().into(), partitions });
        }
    }
    let shards = ctx.core.shards.clone();
    async move {
        if !parts.is_empty() {
            // Now, not in the first stage: the high watermark is above what was appended before this request.
            let answers = shards.move_log_start(parts).await;
            let asked = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            let asked = asked.filter(|result| result.error_code == ErrorCode::None);
            for (result, answer) in asked.zip(answers) {
                match answer {
                    Ok(start) => result.low_watermark = start.0,
                    Err(e) => result.error_code = read_error(&e),
                }
            }
        }
        DeleteRecordsResponse { topics, ..Default::default() }.into()
    }
}

/// `-1` on the wire means "up to the high watermark".
fn upto(offset: i64) -> Upto {
    if offset == -1 { Upto::HighWatermark } else { Upto::Offset(Offset(offset)) }
}

/// Clients may not cut a log that the broker needs.
fn not_internal(topic: &Topic) -> Result<&Topic, ErrorCode> {
    if topic.is_internal() { Err(ErrorCode::InvalidTopicException) } else { Ok(topic) }
}

/// Nor one whose policy never deletes.
fn deletable(topic: &Topic) -> Result<(), ErrorCode> {
    let policy = topic.config.cleanup_policy;
    if policy.compact && !policy.delete { Err(ErrorCode::PolicyViolation) } else { Ok(()) }
}
