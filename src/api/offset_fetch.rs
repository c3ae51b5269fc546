//! OffsetFetch (key 9): stored offsets of one group, from version 8 on of several. Runs on the connection's core; each
//! group's coordinator answers. Invariant: the reply has the request's groups, topics and partitions, in its order.

use std::future::Future;
use std::rc::Rc;

use shards::catalog::Catalog;
use shards::group::{FetchTopic, GroupError, GroupReply, GroupRequest, StoredOffset, TopicOffsets};
use shards::router::Answer;
use shards::types::TopicId;

use super::errors::group_error;
use super::groups::{kept, unasked};
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use super::{ApiCore, RequestContext};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{ErrorCode, Str};

/// The first version with an error of the whole request, and with null for all topics.
const GROUP_ERROR: i16 = 2;
/// From this version on several groups are asked for.
const SEVERAL: i16 = 8;
/// From this version on topics are told by id.
const BY_ID: i16 = 10;

/// A group that is asked for.
struct Asked {
    group: Str,
    /// Topics in the order asked, and whether there is such a topic, for otherwise it is not asked for; `None` for all.
    topics: Option<Vec<(OffsetFetchRequestTopics, bool)>>,
    answer: Answer<Result<GroupReply, GroupError>>,
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: OffsetFetchRequest,
) -> impl Future<Output = Served<OffsetFetchResponse>> + use<> {
    let version = ctx.version;
    let groups = if version >= SEVERAL { request.groups } else { vec![one_group(&request)] };
    let mut groups = groups.into_iter();
    // The first takes its place in its coordinator's order now. The others come one after the other: a group may be named
    // any number of times.
    let first = groups.next().map(|group| ask(ctx.core, version, &group));
    let told = tell_all(ctx.core.clone(), version, first, groups, LongReply::of::<OffsetFetchResponse>(ctx));
    let asked_flat = request.topics;
    async move {
        match told.await {
            Ok((told, alone)) if version < SEVERAL => told.within(flat(version, alone.unwrap_or_default(), asked_flat)),
            Ok((told, _)) => told.within(OffsetFetchResponse::default()),
            Err(why) => why.close(),
        }
    }
}

/// All groups, or the one of before version 8.
async fn tell_all(
    core: Rc<ApiCore>,
    version: i16,
    first: Option<Asked>,
    mut groups: impl Iterator<Item = OffsetFetchRequestGroup>,
    mut told: LongReply<OffsetFetchResponseGroup>,
) -> Result<(LongReply<OffsetFetchResponseGroup>, Option<OffsetFetchResponseGroup>), NoReply> {
    let mut next = first;
    while let Some(Asked { group, topics, answer }) = next {
        let offsets = match answer.await {
            Ok(GroupReply::Offsets(offsets)) => offsets,
            Ok(other) => Err(unasked(&other)),
            Err(error) => Err(error),
        };
        let group = match offsets {
            Ok(offsets) => {
                told.room(offsets.iter().map(told_bytes).sum()).await?;
                let topics = tell(&core.shards.catalog(), version, topics, offsets);
                OffsetFetchResponseGroup { group_id: group, topics, ..Default::default() }
            }
            Err(error) => {
                OffsetFetchResponseGroup { group_id: group, error_code: group_error(error), ..Default::default() }
            }
        };
        if version < SEVERAL {
            return Ok((told, Some(group)));
        }
        told.push(group).await?;
        next = groups.next().map(|group| ask(&core, version, &group));
    }
    Ok((told, None))
}

/// About what a topic takes in the reply, before it is encoded and after.
fn told_bytes(topic: &TopicOffsets) -> usize {
    let texts = topic.partitions.iter().flat_map(|(_, stored)| stored).map(|stored| stored.metadata.len());
    let partitions = topic.partitions.len() * size_of::<OffsetFetchResponsePartitions>();
    2 * (topic.name.len() + texts.sum::<usize>() + partitions)
}

/// The request of before version 8 in the form of later ones.
fn one_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let topic = |topic: &OffsetFetchRequestTopic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            partition_indexes: topic.partition_indexes.clone(),
            ..Default::default()
        };
        topics.iter().map(topic).collect()
    });
    OffsetFetchRequestGroup { group_id: request.group_id.clone(), topics, ..Default::default() }
}

fn ask(core: &ApiCore, version: i16, group: &OffsetFetchRequestGroup) -> Asked {
    let by_id = version >= BY_ID;
    let catalog = core.shards.catalog();
    let known = |topic: &OffsetFetchRequestTopics| {
        let name = if by_id { catalog.topic_by_id(topic.topic_id)?.name.clone() } else { kept(&topic.name) };
        Some(FetchTopic { name, id: topic.topic_id, partitions: topic.partition_indexes.clone() })
    };
    let owned = |topic: &OffsetFetchRequestTopics| {
        (OffsetFetchRequestTopics { name: topic.name.as_str().into(), ..topic.clone() }, known(topic).is_some())
    };
    let asked = group.topics.as_ref().map(|topics| topics.iter().map(owned).collect());
    let topics = group.topics.as_ref().map(|topics| topics.iter().filter_map(known).collect());
    drop(catalog);
    let member = match &group.member_id {
        None if group.member_epoch < 0 => None,
        id => Some((id.as_ref().map(kept).unwrap_or_default(), group.member_epoch)),
    };
    let fetch = GroupRequest::FetchOffsets { group: kept(&group.group_id), topics, member };
    Asked { group: group.group_id.as_str().into(), topics: asked, answer: core.shards.ask_group(fetch) }
}

/// The topics of one group's answer. A topic whose id nobody knows was not asked for, and fails here.
fn tell(
    catalog: &Catalog,
    version: i16,
    asked: Option<Vec<(OffsetFetchRequestTopics, bool)>>,
    offsets: Vec<TopicOffsets>,
) -> Vec<OffsetFetchResponseTopics> {
    let Some(asked) = asked else {
        return offsets.iter().filter_map(|topic| tell_any(catalog, version, topic)).collect();
    };
    let mut offsets = offsets.into_iter();
    let topics = asked.into_iter().map(|(topic, is_there)| {
        let answer = if is_there { offsets.next() } else { None };
        let partitions = match answer {
            Some(answer) => {
                answer.partitions.iter().map(|(index, stored)| partition(*index, stored.as_ref())).collect()
            }
            None => topic.partition_indexes.iter().map(|index| unknown_topic(*index)).collect(),
        };
        OffsetFetchResponseTopics { name: topic.name, topic_id: topic.topic_id, partitions }
    });
    topics.collect()
}

/// One of all topics of a group; a version that has ids cannot tell of a topic that is gone.
fn tell_any(catalog: &Catalog, version: i16, topic: &TopicOffsets) -> Option<OffsetFetchResponseTopics> {
    let topic_id = if version >= BY_ID { catalog.topic(&topic.name)?.id } else { TopicId::ZERO };
    let partitions = topic.partitions.iter().map(|(index, stored)| partition(*index, stored.as_ref()));
    Some(OffsetFetchResponseTopics { name: Str::from(&*topic.name), topic_id, partitions: partitions.collect() })
}

fn partition(partition_index: i32, stored: Option<&StoredOffset>) -> OffsetFetchResponsePartitions {
    match stored {
        Some(stored) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: stored.offset,
            committed_leader_epoch: stored.leader_epoch,
            metadata: Some(Str::from(&*stored.metadata)),
            ..Default::default()
        },
        None => OffsetFetchResponsePartitions { partition_index, committed_offset: -1, ..Default::default() },
    }
}

fn unknown_topic(index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions { error_code: ErrorCode::UnknownTopicId, ..partition(index, None) }
}

/// One group in the form of before version 8. Version 1 has no place for an error but the partitions.
fn flat(
    version: i16,
    group: OffsetFetchResponseGroup,
    asked: Option<Vec<OffsetFetchRequestTopic>>,
) -> OffsetFetchResponse {
    if group.error_code != ErrorCode::None {
        if version >= GROUP_ERROR {
            return OffsetFetchResponse { error_code: group.error_code, ..Default::default() };
        }
        let topics = asked.unwrap_or_default().into_iter().map(|topic| OffsetFetchResponseTopic {
            name: topic.name.as_str().into(),
            partitions: topic.partition_indexes.iter().map(|index| failed(*index, group.error_code)).collect(),
        });
        return OffsetFetchResponse { topics: topics.collect(), ..Default::default() };
    }
    let topics = group.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|one| OffsetFetchResponsePartition {
                partition_index: one.partition_index,
                committed_offset: one.committed_offset,
                committed_leader_epoch: one.committed_leader_epoch,
                metadata: one.metadata,
                error_code: one.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), ..Default::default() }
}

fn failed(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition { partition_index, committed_offset: -1, error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_groups_from_version_2_on_and_the_partitions_before() {
        let group =
            || OffsetFetchResponseGroup { error_code: ErrorCode::CoordinatorLoadInProgress, ..Default::default() };
        let asked = || Some(vec![OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![3] }]);
        let old = flat(1, group(), asked());
        let told = &old.topics[0].partitions[0];
        assert_eq!((told.partition_index, told.committed_offset), (3, -1));
        assert_eq!(told.error_code, ErrorCode::CoordinatorLoadInProgress);
        let new = flat(2, group(), asked());
        assert_eq!((new.error_code, new.topics.len()), (ErrorCode::CoordinatorLoadInProgress, 0));
    }

    #[test]
    fn no_offset_is_minus_one_without_an_error() {
        let told = partition(4, None);
        assert_eq!((told.committed_offset, told.committed_leader_epoch), (-1, -1));
        assert_eq!((told.metadata.as_deref(), told.error_code), (Some(""), ErrorCode::None));
    }
}
