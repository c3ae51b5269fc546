//! OffsetDelete (key 47): removes stored offsets of topics that the group does not read. Runs on the connection's core; the
//! group's coordinator answers. Invariant: the reply has the request's partitions, in its order.

use std::future::Future;

use shards::group::{GroupReply, GroupRequest};
use shards::types::TopicId;

use super::RequestContext;
use super::errors::group_error;
use super::groups::{check_id, kept, unasked};
use super::table::Served;
use super::topics;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: OffsetDeleteRequest,
) -> impl Future<Output = Served<OffsetDeleteResponse>> + use<> {
    let mut known = Vec::new();
    let mut replies = Vec::with_capacity(request.topics.len());
    {
        let catalog = ctx.core.shards.catalog();
        for topic in &request.topics {
            let found = topics::find(&catalog, false, &topic.name, TopicId::ZERO);
            let mut there = Vec::new();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let partition_index = asked.partition_index;
                let error_code = topics::partition(found, partition_index).err().unwrap_or(ErrorCode::None);
                if error_code == ErrorCode::None {
                    there.push(partition_index);
                }
                partitions.push(OffsetDeleteResponsePartition { partition_index, error_code });
            }
            // As Kafka: a topic that is there is told of with its partitions only.
            if partitions.is_empty() && found.is_ok() {
                continue;
            }
            if !there.is_empty() {
                known.push((kept(&topic.name), there));
            }
            replies.push(OffsetDeleteResponseTopic { name: Str::from(topic.name.as_str()), partitions });
        }
    }
    let delete = GroupRequest::DeleteOffsets { group: kept(&request.group_id), topics: known };
    let asked = check_id(&request.group_id).map(|()| ctx.core.shards.ask_group(delete));
    async move {
        let answers = match asked {
            Err(code) => Err(code),
            Ok(asked) => match asked.await {
                Ok(GroupReply::OffsetsDeleted(answers)) => answers.map_err(group_error),
                Ok(other) => Err(group_error(unasked(&other))),
                Err(error) => Err(group_error(error)),
            },
        };
        let reply = match answers {
            Err(error_code) => OffsetDeleteResponse { error_code, ..Default::default() },
            Ok(answers) => {
                let asked = replies.iter_mut().flat_map(|topic| &mut topic.partitions);
                let asked = asked.filter(|partition| partition.error_code == ErrorCode::None);
                for (partition, answer) in asked.zip(answers) {
                    partition.error_code = answer.map_or_else(group_error, |()| ErrorCode::None);
                }
                OffsetDeleteResponse { topics: replies, ..Default::default() }
            }
        };
        reply.into()
    }
}
