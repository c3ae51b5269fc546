//! OffsetForLeaderEpoch (key 23): where an epoch ends, so that a reader finds where its log parts from ours.
//! Runs on the connection's core; each partition's owner looks. Invariant: the reply has the request's order.

use std::future::Future;

use shards::request::{EpochEnd, EpochPart, ReadError};
use shards::types::{LeaderEpoch, TopicId};

use super::RequestContext;
use super::errors::read_error;
use super::table::Served;
use super::topics;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: OffsetForLeaderEpochRequest,
) -> impl Future<Output = Served<OffsetForLeaderEpochResponse>> + use<> {
    let mut parts = Vec::new();
    // Replies in order; those without an error take the answers one after the other.
    let mut replies = Vec::with_capacity(request.topics.len());
    {
        let catalog = ctx.core.shards.catalog();
        for topic in &request.topics {
            let found = topics::find(&catalog, false, &topic.topic, TopicId::ZERO);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let mut reply = EpochEndOffset { partition: asked.partition, ..Default::default() };
                match topics::partition(found, asked.partition) {
                    Err(code) => reply.error_code = code,
                    Ok(partition) => parts.push(EpochPart {
                        partition,
                        epoch: LeaderEpoch(asked.leader_epoch),
                        current_epoch: topics::epoch_told(asked.current_leader_epoch),
                    }),
                }
                partitions.push(reply);
            }
            replies.push(OffsetForLeaderTopicResult { topic: topic.topic.as_str().into(), partitions });
        }
    }
    let shards = ctx.core.shards.clone();
    async move {
        if !parts.is_empty() {
            // Now, not in the first stage: what was appended before this request is in the log by now.
            let ends = shards.epoch_ends(parts).await;
            let asked = replies.iter_mut().flat_map(|topic| &mut topic.partitions);
            let asked = asked.filter(|reply| reply.error_code == crate::wire::ErrorCode::None);
            for (reply, end) in asked.zip(ends) {
                answer(reply, end);
            }
        }
        OffsetForLeaderEpochResponse { topics: replies, ..Default::default() }.into()
    }
}

fn answer(reply: &mut EpochEndOffset, end: Result<EpochEnd, ReadError>) {
    match end {
        Ok(end) => {
            reply.leader_epoch = end.epoch.0;
            reply.end_offset = end.end.0;
        }
        Err(e) => reply.error_code = read_error(&e),
    }
}
