//! Where the logs of many partitions begin and end, of whatever topics. Blocking.
//!
//! Invariant: one request to each leader tells of all its partitions, or of [some](PARTITIONS_AT_ONCE) of very many.

use std::collections::{BTreeMap, BTreeSet};

use super::admin::{OffsetAt, TIMEOUT_MS};
use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use super::offsets::TopicPartition;
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::messages::{Request, Response};
use crate::wire::{ErrorCode, Str};

/// Partitions that are asked about at once.
const PARTITIONS_AT_ONCE: usize = 10_000;

/// What a reader of committed records may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    pub first: i64,
    /// Behind the last one.
    pub end: i64,
}

/// Those of these partitions that are there and that somebody leads.
pub fn log_ranges(
    cluster: &mut Cluster,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, LogRange>, ClientError> {
    let all: Vec<&TopicPartition> = partitions.iter().collect();
    let mut ranges = BTreeMap::new();
    for some in all.chunks(PARTITIONS_AT_ONCE) {
        ranges.extend(cluster.retrying(|cluster| ranges_of(cluster, some))?);
    }
    Ok(ranges)
}

fn ranges_of(
    cluster: &mut Cluster,
    partitions: &[&TopicPartition],
) -> Result<BTreeMap<TopicPartition, LogRange>, ClientError> {
    let by_leader = by_leader(cluster, partitions)?;
    let firsts = ask_leaders(cluster, &by_leader, OffsetAt::Beginning)?;
    let ends = ask_leaders(cluster, &by_leader, OffsetAt::End)?;
    let range = |(partition, end): (TopicPartition, i64)| {
        let first = *firsts.get(&partition)?;
        Some((partition, LogRange { first, end }))
    };
    Ok(ends.into_iter().filter_map(range).collect())
}

/// Topics and partitions by leader; without those that nobody leads, or that are gone.
type ByLeader<'a> = BTreeMap<i32, BTreeMap<&'a str, Vec<i32>>>;

fn by_leader<'a>(cluster: &mut Cluster, partitions: &[&'a TopicPartition]) -> Result<ByLeader<'a>, ClientError> {
    let names: BTreeSet<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let topics = cluster.topics_anew(&names)?;
    let mut by_leader = ByLeader::new();
    for (topic, partition) in partitions {
        let known = topics.get(topic).map_or(&[][..], |info| &info.partitions);
        let place = known.binary_search_by_key(partition, |known| known.index).ok();
        let Some(found) = place.and_then(|place| known.get(place)).filter(|found| found.leader >= 0) else { continue };
        by_leader.entry(found.leader).or_default().entry(topic).or_default().push(*partition);
    }
    Ok(by_leader)
}

fn ask_leaders(
    cluster: &mut Cluster,
    by_leader: &ByLeader<'_>,
    at: OffsetAt,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let requests = by_leader.iter().map(|(leader, topics)| (*leader, request(topics, at))).collect();
    let mut offsets = BTreeMap::new();
    for reply in cluster.call_each(requests) {
        let reply = match reply? {
            Response::ListOffsets(reply) => reply,
            other => return Err(unasked("the leader", &other)),
        };
        for topic in reply.topics {
            for part in topic.partitions {
                match part.error_code {
                    ErrorCode::None => {
                        offsets.insert((topic.name.to_string(), part.partition_index), part.offset);
                    }
                    // It went meanwhile.
                    ErrorCode::UnknownTopicOrPartition => {}
                    code => {
                        let what = format!("offsets of {}-{}", topic.name, part.partition_index);
                        return Err(ClientError::refused(what, code));
                    }
                }
            }
        }
    }
    Ok(offsets)
}

fn request(topics: &BTreeMap<&str, Vec<i32>>, at: OffsetAt) -> Request {
    let part = |partition_index: &i32| ListOffsetsPartition {
        partition_index: *partition_index,
        timestamp: at.timestamp(),
        ..Default::default()
    };
    let topic = |(name, partitions): (&&str, &Vec<i32>)| ListOffsetsTopic {
        name: Str::from(*name),
        partitions: partitions.iter().map(part).collect(),
    };
    let topics = topics.iter().map(topic).collect();
    ListOffsetsRequest { replica_id: -1, isolation_level: 1, topics, timeout_ms: TIMEOUT_MS }.into()
}
