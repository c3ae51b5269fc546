//! The offsets that a group has stored: what they are, storing others in its place, and removing them. Blocking.
//!
//! Invariant: offsets are stored from outside only for groups without members, as the broker sees to it.

use std::collections::BTreeMap;

use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use super::groups::describe_group;
use crate::wire::messages::offset_commit::OffsetCommitResponsePartition;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use crate::wire::messages::{ApiKey, Response};
use crate::wire::{ErrorCode, Str};

/// From this version on OffsetFetch asks about several groups at once (KIP-709).
const SEVERAL_GROUPS: i16 = 8;

/// A topic and one of its partitions.
pub type TopicPartition = (String, i32);

/// Who stores offsets: nobody in particular, or a member of the group in one of its generations.
#[derive(Clone, Copy, Debug)]
pub struct Committer<'a> {
    pub member: &'a str,
    pub generation: i32,
}

impl Committer<'static> {
    pub const OUTSIDE: Committer<'static> = Committer { member: "", generation: -1 };
}

/// The stored offset of every partition that has one.
pub fn committed_offsets(cluster: &mut Cluster, group: &str) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    Ok(committed_offsets_of(cluster, &[group])?.remove(group).unwrap_or_default())
}

/// The same of several groups, by name, with one request to each coordinator where it takes that.
pub fn committed_offsets_of(
    cluster: &mut Cluster,
    groups: &[&str],
) -> Result<BTreeMap<String, BTreeMap<TopicPartition, i64>>, ClientError> {
    cluster.retrying(|cluster| {
        let mut committed = BTreeMap::new();
        for (coordinator, groups) in cluster.coordinators(groups)? {
            if cluster.version(coordinator, ApiKey::OffsetFetch)? < SEVERAL_GROUPS {
                for group in groups {
                    committed.insert(group.to_owned(), fetch_offsets(cluster, coordinator, group)?);
                }
            } else {
                fetch_offsets_of(cluster, coordinator, &groups, &mut committed)?;
            }
        }
        Ok(committed)
    })
}

/// All groups at once.
fn fetch_offsets_of(
    cluster: &mut Cluster,
    coordinator: i32,
    groups: &[&str],
    committed: &mut BTreeMap<String, BTreeMap<TopicPartition, i64>>,
) -> Result<(), ClientError> {
    let one = |group: &&str| OffsetFetchRequestGroup { group_id: (*group).into(), topics: None, ..Default::default() };
    let groups = groups.iter().map(one).collect();
    let request = OffsetFetchRequest { topics: Some(Vec::new()), groups, ..Default::default() };
    let reply = match cluster.call(coordinator, request)? {
        Response::OffsetFetch(reply) => reply,
        other => return Err(unasked("the coordinator", &other)),
    };
    if reply.error_code != ErrorCode::None {
        return Err(ClientError::refused("the offsets of groups", reply.error_code));
    }
    for group in reply.groups {
        if group.error_code != ErrorCode::None {
            return Err(refused_of(&group.group_id, group.error_code));
        }
        let stored = group.topics.into_iter().flat_map(|topic| {
            let of = topic.name;
            topic.partitions.into_iter().map(move |p| (of.clone(), p.partition_index, p.committed_offset, p.error_code))
        });
        committed.insert(group.group_id.to_string(), taken(stored)?);
    }
    Ok(())
}

/// The only way with a broker that takes one group at a time.
fn fetch_offsets(
    cluster: &mut Cluster,
    coordinator: i32,
    group: &str,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let request = OffsetFetchRequest { group_id: group.into(), topics: None, ..Default::default() };
    let reply = match cluster.call(coordinator, request)? {
        Response::OffsetFetch(reply) => reply,
        other => return Err(unasked("the coordinator", &other)),
    };
    if reply.error_code != ErrorCode::None {
        return Err(refused_of(group, reply.error_code));
    }
    let stored = reply.topics.into_iter().flat_map(|topic| {
        let of = topic.name;
        topic.partitions.into_iter().map(move |p| (of.clone(), p.partition_index, p.committed_offset, p.error_code))
    });
    taken(stored)
}

/// Topic, partition, offset and error of each; -1 where none is stored.
fn taken(
    stored: impl Iterator<Item = (Str, i32, i64, ErrorCode)>,
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    stored
        .filter(|(_, _, offset, code)| *offset >= 0 || *code != ErrorCode::None)
        .map(|(topic, partition, offset, code)| match code {
            ErrorCode::None => Ok(((topic.to_string(), partition), offset)),
            code => Err(refused(&topic, partition, code)),
        })
        .collect()
}

/// Stores these offsets for a group.
pub fn commit_offsets(
    cluster: &mut Cluster,
    group: &str,
    committer: Committer<'_>,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<(), ClientError> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition_index), committed_offset) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: *committed_offset,
            committed_metadata: Some(Str::default()),
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
        name: name.into(),
        partitions,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: committer.generation,
        member_id: committer.member.into(),
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    };
    cluster.retrying(|cluster| {
        let reply = match cluster.call_coordinator(group, request.clone())? {
            Response::OffsetCommit(reply) => reply,
            other => return Err(unasked("the coordinator", &other)),
        };
        let parts = reply.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (&topic.name, part)));
        let wrong: Vec<_> = parts.filter(|(_, part)| part.error_code != ErrorCode::None).collect();
        let Some((_, first)) = wrong.first() else { return Ok(()) };
        let name = |(topic, part): &(&Str, &OffsetCommitResponsePartition)| match part.error_code {
            code if code == first.error_code => format!("{topic}-{}", part.partition_index),
            other => format!("{topic}-{} ({other})", part.partition_index),
        };
        let names: Vec<String> = wrong.iter().map(name).collect();
        Err(ClientError::refused(format!("the stored offsets of {}", names.join(", ")), first.error_code))
    })
}

/// Whether offsets could be stored for a group from outside: an error as the broker would answer it to the attempt.
pub fn check_commit(cluster: &mut Cluster, group: &str) -> Result<(), ClientError> {
    match describe_group(cluster, group) {
        Ok(info) if info.members.is_empty() => Ok(()),
        Ok(_) => Err(ClientError::refused(format!("the offsets of group \"{group}\""), ErrorCode::UnknownMemberId)),
        // It would be made.
        Err(ClientError::NoGroup { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Removes the stored offsets of these partitions. The group may have members, but none that reads these topics.
pub fn delete_offsets(cluster: &mut Cluster, group: &str, partitions: &[TopicPartition]) -> Result<(), ClientError> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, partition_index) in partitions {
        let partition = OffsetDeleteRequestPartition { partition_index: *partition_index };
        topics.entry(topic).or_default().push(partition);
    }
    let topic = |(name, partitions): (&str, Vec<OffsetDeleteRequestPartition>)| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions,
    };
    let request = OffsetDeleteRequest { group_id: group.into(), topics: topics.into_iter().map(topic).collect() };
    cluster.retrying(|cluster| {
        let reply = match cluster.call_coordinator(group, request.clone())? {
            Response::OffsetDelete(reply) => reply,
            other => return Err(unasked("the coordinator", &other)),
        };
        match reply.error_code {
            ErrorCode::None => {}
            ErrorCode::GroupIdNotFound => return Err(ClientError::NoGroup { group: group.to_owned() }),
            code => return Err(ClientError::refused(format!("the offsets of group \"{group}\""), code)),
        }
        for topic in &reply.topics {
            let wrong = topic.partitions.iter().find(|partition| partition.error_code != ErrorCode::None);
            if let Some(partition) = wrong {
                return Err(refused(&topic.name, partition.partition_index, partition.error_code));
            }
        }
        Ok(())
    })
}

fn refused(topic: &str, partition: i32, code: ErrorCode) -> ClientError {
    ClientError::refused(format!("the stored offset of {topic}-{partition}"), code)
}

fn refused_of(group: &str, code: ErrorCode) -> ClientError {
    ClientError::refused(format!("the offsets of group \"{group}\""), code)
}
