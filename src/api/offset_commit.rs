//! OffsetCommit (key 8): stores offsets for a group. Runs on the connection's core; the group's coordinator answers when
//! they are durable. Invariant: the reply has the request's topics and partitions, in its order; those that do not exist
//! fail alone.

use std::future::Future;

use shards::catalog::Topic;
use shards::group::{Commit, CommitOffset, GroupReply, GroupRequest};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{member, unasked};
use super::table::Served;
use super::topics;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use crate::wire::{ErrorCode, Str};

/// From this version on topics are told by id.
const BY_ID: i16 = 10;
/// From this version on clients know what a missing group is.
const KNOWS_MISSING_GROUP: i16 = 9;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: OffsetCommitRequest,
) -> impl Future<Output = Served<OffsetCommitResponse>> + use<> {
    let by_id = ctx.version >= BY_ID;
    let mut offsets = Vec::new();
    let mut replies = Vec::with_capacity(request.topics.len());
    {
        let catalog = ctx.core.shards.catalog();
        for topic in &request.topics {
            let found = topics::find(&catalog, by_id, &topic.name, topic.topic_id);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let mut reply =
                    OffsetCommitResponsePartition { partition_index: asked.partition_index, ..Default::default() };
                match (found, topics::partition(found, asked.partition_index)) {
                    (Ok(known), Ok(_)) => offsets.push(offset(known, asked)),
                    (_, Err(code)) | (Err(code), _) => reply.error_code = code,
                }
                partitions.push(reply);
            }
            // As Kafka: a topic that is there is told of with its partitions only.
            if partitions.is_empty() && found.is_ok() {
                continue;
            }
            let (name, topic_id) = (Str::from(topic.name.as_str()), topic.topic_id);
            replies.push(OffsetCommitResponseTopic { name, topic_id, partitions });
        }
    }
    let instance = request.group_instance_id.as_ref();
    let generation = request.generation_id_or_member_epoch;
    let commit = Commit {
        member: member(&request.group_id, &request.member_id, instance, generation),
        retention_ms: (request.retention_time_ms != -1).then_some(request.retention_time_ms),
        offsets,
        knows_missing_group: ctx.version >= KNOWS_MISSING_GROUP,
    };
    // Without a partition that exists there is nothing to ask.
    let asked = (!commit.offsets.is_empty()).then(|| ctx.core.shards.ask_group(GroupRequest::Commit(commit)));
    async move {
        let answers = match asked {
            None => Ok(Vec::new()),
            Some(asked) => match asked.await {
                Ok(GroupReply::Committed(answers)) => answers,
                Ok(other) => Err(unasked(&other)),
                Err(error) => Err(error),
            },
        };
        let asked = replies.iter_mut().flat_map(|topic| &mut topic.partitions);
        let asked = asked.filter(|partition| partition.error_code == ErrorCode::None);
        match answers {
            Err(error) => asked.for_each(|partition| partition.error_code = group_error(error)),
            Ok(answers) => {
                for (partition, answer) in asked.zip(answers) {
                    partition.error_code = answer.map_or_else(group_error, |()| ErrorCode::None);
                }
            }
        }
        OffsetCommitResponse { topics: replies, ..Default::default() }.into()
    }
}

/// The id is stored however the topic was told: if it is deleted, its offsets are not those of the next one with its name.
fn offset(topic: &Topic, asked: &OffsetCommitRequestPartition) -> CommitOffset {
    CommitOffset {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: asked.committed_metadata.as_deref().unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use shards::catalog::{Catalog, CatalogSettings};

    use super::*;

    #[test]
    fn an_offset_is_stored_with_its_topics_id_however_the_topic_was_told() {
        let catalog = Catalog::new(CatalogSettings::new("cluster", 1));
        let topic = catalog.metadata_topic();
        let stored = offset(topic, &OffsetCommitRequestPartition::default());
        assert_eq!((stored.topic, stored.topic_id), (topic.name.clone(), topic.id));
    }
}
