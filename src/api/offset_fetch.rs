//! OffsetFetch (key 9): stored offsets of one group, from version 8 on of several. Runs on the connection's core; each
//! group's coordinator answers. Invariant: the reply has the request's groups, topics and partitions, in its order.

use std::future::Future;

use shards::catalog::Catalog;
use shards::group::{FetchTopic, GroupError, GroupReply, GroupRequest, StoredOffset, TopicOffsets};
use shards::router::{Answer, Shards};
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

/// Most that these take encoded beside texts and lists: a group, a topic, a partition.
const GROUP_BYTES: usize = 16;
const TOPIC_BYTES: usize = 28;
const PARTITION_BYTES: usize = 22;

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
    let (several, topics) = (LongReply::of::<OffsetFetchResponse>(ctx), LongReply::of::<OffsetFetchResponse>(ctx));
    let (core, asked_flat) = (ctx.core.clone(), request.topics);
    async move {
        // One after the other, as a group may be named any number of times; and none before this reply's turn, as answers lie in
        // memory until they are told.
        let first = groups.next().map(|group| ask(&core, version, &group));
        let told = match first {
            Some(asked) if version < SEVERAL => tell_alone(&core.shards, version, asked, asked_flat, topics).await,
            first => tell_all(&core, version, first, groups, several).await,
        };
        told.unwrap_or_else(NoReply::close)
    }
}

/// All groups.
async fn tell_all(
    core: &ApiCore,
    version: i16,
    first: Option<Asked>,
    mut groups: impl Iterator<Item = OffsetFetchRequestGroup>,
    mut told: LongReply<OffsetFetchResponseGroup>,
) -> Result<Served<OffsetFetchResponse>, NoReply> {
    let mut next = first;
    while let Some(Asked { group, topics, answer }) = next {
        match answered(answer).await {
            Ok(offsets) => tell_group(&core.shards, version, group, topics, offsets, &mut told).await?,
            Err(error_code) => {
                told.push(OffsetFetchResponseGroup { group_id: group, error_code, ..Default::default() }).await?
            }
        }
        next = groups.next().map(|group| ask(core, version, &group));
    }
    Ok(told.within(OffsetFetchResponse::default()))
}

/// Once there is memory for it.
async fn tell_group(
    shards: &Shards,
    version: i16,
    group_id: Str,
    asked: Option<Vec<(OffsetFetchRequestTopics, bool)>>,
    offsets: Vec<TopicOffsets>,
    told: &mut LongReply<OffsetFetchResponseGroup>,
) -> Result<(), NoReply> {
    told.room(told_bytes(&group_id, asked.as_deref(), &offsets), held_bytes(&offsets)).await?;
    let mut topics = told.inner();
    for topic in tell(shards, version, asked, offsets) {
        let mut partitions = topics.within();
        topic.partitions().try_for_each(|partition| partitions.push(&partition))?;
        let around = OffsetFetchResponseTopics { name: topic.name, topic_id: topic.id, ..Default::default() };
        topics.push_with(&around, partitions.finish())?;
    }
    told.push_with(OffsetFetchResponseGroup { group_id, ..Default::default() }, topics.finish()).await
}

/// The one group of before version 8. Version 1 has no place for an error but the partitions.
async fn tell_alone(
    shards: &Shards,
    version: i16,
    Asked { group, topics, answer }: Asked,
    asked: Option<Vec<OffsetFetchRequestTopic>>,
    mut told: LongReply<OffsetFetchResponseTopic>,
) -> Result<Served<OffsetFetchResponse>, NoReply> {
    match answered(answer).await {
        Ok(offsets) => {
            told.room(told_bytes(&group, topics.as_deref(), &offsets), held_bytes(&offsets)).await?;
            for topic in tell(shards, version, topics, offsets) {
                let mut partitions = told.inner();
                topic.partitions().try_for_each(|partition| partitions.push(&flat(partition)))?;
                told.add(&OffsetFetchResponseTopic { name: topic.name, ..Default::default() }, partitions.finish())?;
                told.turn().await;
            }
        }
        Err(error_code) if version >= GROUP_ERROR => {
            return Ok(OffsetFetchResponse { error_code, ..Default::default() }.into());
        }
        Err(error_code) => {
            for topic in asked.unwrap_or_default() {
                told.push(failed(&topic, error_code)).await?;
            }
        }
    }
    told.settle().await?;
    Ok(told.within(OffsetFetchResponse::default()))
}

async fn answered(answer: Answer<Result<GroupReply, GroupError>>) -> Result<Vec<TopicOffsets>, ErrorCode> {
    let offsets = match answer.await {
        Ok(GroupReply::Offsets(offsets)) => offsets,
        Ok(other) => Err(unasked(&other)),
        Err(error) => Err(error),
    };
    offsets.map_err(group_error)
}

/// What a group takes in the reply, at most.
fn told_bytes(group: &Str, asked: Option<&[(OffsetFetchRequestTopics, bool)]>, offsets: &[TopicOffsets]) -> usize {
    let topic = |name: usize, partitions: usize| TOPIC_BYTES + name + partitions * PARTITION_BYTES;
    let topics: usize = match asked {
        Some(asked) => asked.iter().map(|(asked, _)| topic(asked.name.len(), asked.partition_indexes.len())).sum(),
        None => offsets.iter().map(|told| topic(told.name.len(), told.partitions.len())).sum(),
    };
    let stored = offsets.iter().flat_map(|topic| &topic.partitions).filter_map(|(_, stored)| stored.as_ref());
    GROUP_BYTES + group.len() + topics + stored.map(|stored| stored.metadata.len()).sum::<usize>()
}

/// What an answer itself takes. Its texts are the group's.
fn held_bytes(offsets: &[TopicOffsets]) -> usize {
    size_of_val(offsets) + offsets.iter().map(|topic| size_of_val(&topic.partitions[..])).sum::<usize>()
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

/// A topic, and what is told of its partitions.
struct Told {
    name: Str,
    /// Zero in versions that have none.
    id: TopicId,
    partitions: Partitions,
}

enum Partitions {
    Stored(Vec<(i32, Option<StoredOffset>)>),
    /// Nobody knows the topic's id.
    Unknown(Vec<i32>),
}

impl Told {
    fn partitions(&self) -> impl Iterator<Item = OffsetFetchResponsePartitions> {
        let (stored, unknown) = match &self.partitions {
            Partitions::Stored(stored) => (&stored[..], &[][..]),
            Partitions::Unknown(indexes) => (&[][..], &indexes[..]),
        };
        let stored = stored.iter().map(|(index, stored)| partition(*index, stored.as_ref()));
        stored.chain(unknown.iter().map(|index| unknown_topic(*index)))
    }
}

/// The topics of one group's answer. A topic whose id nobody knows was not asked for, and fails here.
fn tell(
    shards: &Shards,
    version: i16,
    asked: Option<Vec<(OffsetFetchRequestTopics, bool)>>,
    offsets: Vec<TopicOffsets>,
) -> impl Iterator<Item = Told> {
    let all = asked.is_none();
    let mut offsets = offsets.into_iter();
    let mut asked = asked.unwrap_or_default().into_iter();
    std::iter::from_fn(move || {
        if all {
            return offsets.find_map(|topic| tell_any(&shards.catalog(), version, topic));
        }
        let (topic, is_there) = asked.next()?;
        let answer = if is_there { offsets.next() } else { None };
        let partitions = match answer {
            Some(answer) => Partitions::Stored(answer.partitions),
            None => Partitions::Unknown(topic.partition_indexes),
        };
        Some(Told { name: topic.name, id: topic.topic_id, partitions })
    })
}

/// One of all topics of a group; a version that has ids cannot tell of a topic that is gone.
fn tell_any(catalog: &Catalog, version: i16, topic: TopicOffsets) -> Option<Told> {
    let id = if version >= BY_ID { catalog.topic(&topic.name)?.id } else { TopicId::ZERO };
    Some(Told { name: Str::from(&*topic.name), id, partitions: Partitions::Stored(topic.partitions) })
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

/// In the form of before version 8.
fn flat(told: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition {
        partition_index: told.partition_index,
        committed_offset: told.committed_offset,
        committed_leader_epoch: told.committed_leader_epoch,
        metadata: told.metadata,
        error_code: told.error_code,
    }
}

/// A topic of a group that failed.
fn failed(topic: &OffsetFetchRequestTopic, error_code: ErrorCode) -> OffsetFetchResponseTopic {
    let of = |index: &i32| OffsetFetchResponsePartition { error_code, ..flat(partition(*index, None)) };
    OffsetFetchResponseTopic { name: topic.name.clone(), partitions: topic.partition_indexes.iter().map(of).collect() }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use shards::catalog::CatalogSettings;

    use super::super::tests::shards_of;
    use super::*;

    /// Offsets with a hundred bytes of metadata each, and one that is not stored.
    fn offsets(topics: usize, partitions: i32) -> Vec<TopicOffsets> {
        let stored = StoredOffset {
            offset: 7,
            leader_epoch: 1,
            metadata: "m".repeat(100).into(),
            committed_ms: 0,
            expires_ms: None,
            topic_id: TopicId::ZERO,
        };
        let partitions: Vec<_> = (0..partitions).map(|index| (index, (index > 0).then(|| stored.clone()))).collect();
        let of = |topic| TopicOffsets {
            name: format!("t{topic}").into(),
            id: TopicId::ZERO,
            partitions: partitions.clone(),
        };
        (0..topics).map(of).collect()
    }

    #[test]
    fn a_group_takes_about_as_much_as_was_asked_for() {
        let shards = shards_of(Catalog::new(CatalogSettings::new("c", 1)));
        let asked = |topics| {
            let of = |is_there| {
                let name = if is_there { "t" } else { "elsewhere" };
                let partition_indexes = (0..50).collect();
                (OffsetFetchRequestTopics { name: name.into(), partition_indexes, ..Default::default() }, is_there)
            };
            vec![of(true); topics].into_iter().chain([of(false)]).collect::<Vec<_>>()
        };
        for (version, topics) in (8..=10).flat_map(|version| [(version, 0), (version, 40)]) {
            let offsets = offsets(topics, 50);
            let all = if version < BY_ID { None } else { Some(asked(topics)) };
            for asked in [all, Some(asked(topics))] {
                let most = told_bytes(&"g".into(), asked.as_deref(), &offsets);
                let mut told = LongReply::lent::<OffsetFetchResponse>(version, 4 << 20);
                let group = tell_group(&shards, version, "g".into(), asked, offsets.clone(), &mut told);
                block_on(group).expect("there is memory");
                let bytes = told.bytes();
                assert!(bytes <= most && most < bytes + bytes / 8 + 64, "version {version}: {bytes} bytes, not {most}");
            }
        }
    }

    #[test]
    fn a_large_group_is_not_encoded_before_there_is_memory_for_it() {
        let shards = shards_of(Catalog::new(CatalogSettings::new("c", 1)));
        let mut told = LongReply::lent::<OffsetFetchResponse>(8, 1 << 20);
        let group = tell_group(&shards, 8, "g".into(), None, offsets(100, 200), &mut told);
        assert!(matches!(block_on(group), Err(NoReply::NoMemory { .. })) && told.bytes() == 0, "{}", told.bytes());
    }

    #[test]
    fn the_one_group_of_before_version_8_lets_others_run_between_its_topics() {
        let shards = shards_of(Catalog::new(CatalogSettings::new("c", 1)));
        let (told, turns) = LongReply::counted::<OffsetFetchResponse>(7, 4 << 20);
        let answer = Box::pin(std::future::ready(Ok(GroupReply::Offsets(Ok(offsets(100, 50))))));
        let asked = Asked { group: "g".into(), topics: None, answer };
        let told = block_on(tell_alone(&shards, 7, asked, None, told)).map_err(|why| why.to_string());
        assert!(matches!(told, Ok(Served::Lent(..))));
        assert!(turns.get() > 20, "{} turns in half a megabyte", turns.get());
    }

    #[test]
    fn a_topic_of_a_group_that_failed_tells_its_error_with_each_partition() {
        let asked = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![3] };
        let told = failed(&asked, ErrorCode::CoordinatorLoadInProgress);
        let partition = &told.partitions[0];
        assert_eq!((partition.partition_index, partition.committed_offset), (3, -1));
        assert_eq!(partition.error_code, ErrorCode::CoordinatorLoadInProgress);
    }

    #[test]
    fn no_offset_is_minus_one_without_an_error() {
        let told = partition(4, None);
        assert_eq!((told.committed_offset, told.committed_leader_epoch), (-1, -1));
        assert_eq!((told.metadata.as_deref(), told.error_code), (Some(""), ErrorCode::None));
    }
}
