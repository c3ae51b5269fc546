//! ListOffsets (key 2): offsets by timestamp or by sentinel. Runs on the connection's core; each partition's owner looks.
//! Invariant: the reply has the request's partitions, in its order; one named twice fails and is told once.

use std::future::Future;

use hashbrown::HashSet;
use shards::request::{Isolation, ListPart, Listed, OffsetAt, ReadError};
use shards::types::{LeaderEpoch, Offset, TopicId};

use super::RequestContext;
use super::errors::read_error;
use super::table::Served;
use super::topics;
use crate::wire::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

/// What a partition of the request comes to.
enum Ask {
    Failed(ErrorCode),
    Offset(ListPart),
    /// Asked only for its errors: without tiers there is no offset to tell.
    Tiered(ListPart),
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ListOffsetsRequest,
) -> impl Future<Output = Served<ListOffsetsResponse>> + use<> {
    let isolation = isolation(request.isolation_level);
    let twice = named_twice(&request);
    let mut told = HashSet::new();
    let mut parts = Vec::new();
    let mut replies = Vec::with_capacity(request.topics.len());
    let mut asks = Vec::new();
    {
        let catalog = ctx.core.shards.catalog();
        for topic in &request.topics {
            let found = topics::find(&catalog, false, &topic.name, TopicId::ZERO);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let key = (topic.name.as_str(), asked.partition_index);
                let is_twice = twice.contains(&key);
                if is_twice && !told.insert(key) {
                    continue;
                }
                partitions.push(unanswered(asked));
                let ask = match topics::partition(found, asked.partition_index) {
                    _ if is_twice => Ask::Failed(ErrorCode::InvalidRequest),
                    _ if !is_of_version(ctx.version, asked.timestamp) => Ask::Failed(ErrorCode::UnsupportedVersion),
                    Err(code) => Ask::Failed(code),
                    Ok(partition) => {
                        let current_epoch = topics::epoch_told(asked.current_leader_epoch);
                        let part = |at| ListPart { partition, at, isolation, current_epoch };
                        ask(asked.timestamp, part)
                    }
                };
                if let Ask::Offset(part) | Ask::Tiered(part) = ask {
                    parts.push(part);
                }
                asks.push(ask);
            }
            if partitions.is_empty() {
                continue;
            }
            replies.push(ListOffsetsTopicResponse { name: topic.name.as_str().into(), partitions });
        }
    }
    let (version, shards) = (ctx.version, ctx.core.shards.clone());
    async move {
        // Now, not in the first stage: what was appended before this request, acked or not, is in the log by now.
        let answers = match parts.is_empty() {
            true => Vec::new(),
            false => shards.list_offsets(parts).await,
        };
        let mut answers = answers.into_iter();
        let partitions = replies.iter_mut().flat_map(|topic| &mut topic.partitions);
        for (reply, ask) in partitions.zip(asks) {
            match ask {
                Ask::Failed(code) => reply.error_code = code,
                Ask::Offset(_) => answer(version, reply, next(&mut answers)),
                Ask::Tiered(_) => answer(version, reply, next(&mut answers).map(|_| NO_OFFSET)),
            }
        }
        ListOffsetsResponse { topics: replies, ..Default::default() }.into()
    }
}

/// What no record qualifies for.
const NO_OFFSET: Listed = Listed { offset: Offset::UNKNOWN, timestamp_ms: -1, epoch: LeaderEpoch(-1) };

pub(super) fn isolation(level: i8) -> Isolation {
    // As Kafka: 1 is read committed, anything else is not.
    if level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

/// Sentinels came one by one; one that is newer than the request's version is an error of that partition.
fn is_of_version(version: i16, timestamp: i64) -> bool {
    match timestamp {
        -1 | -2 | 0.. => true,
        -3 => version >= 7,
        -4 => version >= 8,
        -5 => version >= 9,
        -6 => version >= 11,
        i64::MIN..-6 => false,
    }
}

fn ask(timestamp: i64, part: impl FnOnce(OffsetAt) -> ListPart) -> Ask {
    match timestamp {
        -1 => Ask::Offset(part(OffsetAt::Latest)),
        -3 => Ask::Offset(part(OffsetAt::MaxTimestamp)),
        // All of the log is local.
        -2 | -4 => Ask::Offset(part(OffsetAt::Earliest)),
        i64::MIN..0 => Ask::Tiered(part(OffsetAt::Earliest)),
        at => Ask::Offset(part(OffsetAt::Timestamp(at))),
    }
}

fn named_twice(request: &ListOffsetsRequest) -> HashSet<(&str, i32)> {
    let mut seen = HashSet::new();
    let all = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(move |partition| (topic.name.as_str(), partition.partition_index))
    });
    all.filter(|key| !seen.insert(*key)).collect()
}

fn unanswered(asked: &ListOffsetsPartition) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse { partition_index: asked.partition_index, ..Default::default() }
}

fn next(answers: &mut impl Iterator<Item = Result<Listed, ReadError>>) -> Result<Listed, ReadError> {
    // The shards answer every part that was asked.
    answers.next().unwrap_or(Err(ReadError::Stopping))
}

fn answer(version: i16, reply: &mut ListOffsetsPartitionResponse, answer: Result<Listed, ReadError>) {
    match answer {
        Ok(listed) => {
            reply.offset = listed.offset.0;
            reply.timestamp = listed.timestamp_ms;
            // Only version 4 and later have the field.
            if version >= 4 {
                reply.leader_epoch = listed.epoch.0;
            }
        }
        Err(e) => reply.error_code = read_error(&e),
    }
}

#[cfg(test)]
mod tests {
    use shards::types::PartitionId;

    use super::*;
    use crate::wire::messages::list_offsets::ListOffsetsTopic;

    fn asked(timestamp: i64) -> Ask {
        let partition = PartitionId { topic: TopicId::METADATA, index: 0 };
        ask(timestamp, |at| ListPart { partition, at, isolation: Isolation::ReadCommitted, current_epoch: None })
    }

    #[test]
    fn a_sentinel_newer_than_the_version_is_told_from_one_of_it() {
        for (sentinel, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert!(!is_of_version(since - 1, sentinel) || since == 1, "{sentinel}");
            assert!(is_of_version(since, sentinel), "{sentinel}");
        }
        assert!(is_of_version(1, 0) && !is_of_version(11, -7) && !is_of_version(11, i64::MIN));
    }

    #[test]
    fn sentinels_ask_for_what_they_mean() {
        let at = |timestamp| match asked(timestamp) {
            Ask::Offset(part) => part.at,
            Ask::Failed(_) | Ask::Tiered(_) => panic!("an offset is asked"),
        };
        assert_eq!([-1, -2].map(at), [OffsetAt::Latest, OffsetAt::Earliest]);
        assert_eq!([-3, -4].map(at), [OffsetAt::MaxTimestamp, OffsetAt::Earliest]);
        assert_eq!(at(0), OffsetAt::Timestamp(0));
        assert!([-5, -6].map(asked).iter().all(|ask| matches!(ask, Ask::Tiered(_))));
    }

    #[test]
    fn a_partition_named_twice_is_found_whether_in_one_topic_entry_or_two() {
        let topic = |partitions: &[i32]| ListOffsetsTopic {
            name: "t".into(),
            partitions: partitions
                .iter()
                .map(|index| ListOffsetsPartition { partition_index: *index, ..Default::default() })
                .collect(),
        };
        let request = ListOffsetsRequest { topics: vec![topic(&[0, 1, 1]), topic(&[2, 0])], ..Default::default() };
        let twice = named_twice(&request);
        assert!(twice.contains(&("t", 0)) && twice.contains(&("t", 1)) && !twice.contains(&("t", 2)));
    }
}
