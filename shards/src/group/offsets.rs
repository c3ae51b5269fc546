//! The offsets that a group has stored: what every kind of group has. Owning core only; pure.
//!
//! Invariant: no topic without a partition in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::memory;
use super::record::{GroupRecord, StoredOffset};
use super::request::{Commit, CommitOffset, FetchTopic, GroupError, TopicOffsets};
use super::settings::GroupSettings;
use crate::catalog::Catalog;
use crate::types::TopicId;

/// Topic and partition → where the group stands.
#[derive(Debug, Default, PartialEq)]
pub struct Offsets {
    topics: BTreeMap<Arc<str>, BTreeMap<i32, StoredOffset>>,
    /// What they hold, about.
    bytes: usize,
}

/// From when on an offset's retention counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryFrom {
    /// The group reads what it stored: nothing expires.
    Never,
    Commit,
    /// The group has been empty since then, by the wall clock.
    Empty(i64),
}

impl Offsets {
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<&StoredOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    /// The one way by which offsets change.
    pub fn apply(&mut self, topic: &Arc<str>, partition: i32, value: Option<&StoredOffset>) {
        match value {
            Some(value) => {
                let before = self.topics.entry(topic.clone()).or_default().insert(partition, value.clone());
                self.bytes += memory::of_offset(value);
                self.bytes -= before.as_ref().map_or(0, memory::of_offset);
            }
            None => {
                let Some(partitions) = self.topics.get_mut(topic) else { return };
                let before = partitions.remove(&partition);
                self.bytes -= before.as_ref().map_or(0, memory::of_offset);
                if partitions.is_empty() {
                    self.topics.remove(topic);
                }
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a fetch is told. An offset of a topic that was made anew under its old name says nothing of the new one.
    pub fn fetch(&self, asked: Option<&[FetchTopic]>, catalog: &Catalog) -> Vec<TopicOffsets> {
        let id_now = |name: &str| catalog.topic(name).map_or(TopicId::ZERO, |topic| topic.id);
        let Some(asked) = asked else {
            let all = self.topics.iter().map(|(name, partitions)| {
                let now = id_now(name);
                let of_it = partitions.iter().filter(|(_, stored)| is_of(stored, now));
                TopicOffsets {
                    name: name.clone(),
                    id: TopicId::ZERO,
                    partitions: of_it.map(|(index, stored)| (*index, Some(stored.clone()))).collect(),
                }
            });
            return all.filter(|topic| !topic.partitions.is_empty()).collect();
        };
        let told = asked.iter().map(|topic| {
            let now = id_now(&topic.name);
            let tell = |index: &i32| {
                let stored = self.get(&topic.name, *index);
                (*index, stored.filter(|stored| is_of(stored, topic.id) && is_of(stored, now)).cloned())
            };
            let partitions = topic.partitions.iter().map(tell).collect();
            TopicOffsets { name: topic.name.clone(), id: topic.id, partitions }
        });
        told.collect()
    }

    /// Tombstones of the partitions asked that have an offset.
    pub fn tombstones(&self, group: &Arc<str>, topic: &str, partitions: &[i32]) -> Vec<GroupRecord> {
        let Some((topic, stored)) = self.topics.get_key_value(topic) else { return Vec::new() };
        let asked = partitions.iter().filter(|index| stored.contains_key(*index));
        asked.map(|index| tombstone(group, topic, *index)).collect()
    }

    /// Tombstones of all offsets.
    pub fn all_tombstones(&self, group: &Arc<str>) -> Vec<GroupRecord> {
        let all = self.topics.iter();
        all.flat_map(|(topic, stored)| stored.keys().map(move |index| tombstone(group, topic, *index))).collect()
    }

    /// Tombstones of the offsets in some topics, those that are meant.
    pub fn tombstones_of<'a>(
        &'a self,
        group: &'a Arc<str>,
        topics: &'a BTreeSet<Arc<str>>,
        is_meant: impl Fn(&Arc<str>, i32) -> bool + 'a,
    ) -> impl Iterator<Item = GroupRecord> + 'a {
        // Through the fewer of both: many topics may be gone, and a group may have offsets in many.
        let names: Vec<&Arc<str>> = if topics.len() < self.topics.len() {
            topics.iter().filter(|name| self.topics.contains_key(*name)).collect()
        } else {
            self.topics.keys().filter(|name| topics.contains(*name)).collect()
        };
        let stored = names.into_iter().filter_map(|name| Some((name, self.topics.get(name)?)));
        let all = stored.flat_map(|(name, stored)| stored.keys().map(move |index| (name, *index)));
        all.filter(move |(name, index)| is_meant(name, *index)).map(|(name, index)| tombstone(group, name, index))
    }

    /// Tombstones of what is older than its retention; topics that the group reads are spared.
    pub fn expired(
        &self,
        group: &Arc<str>,
        from: ExpiryFrom,
        is_read: impl Fn(&str) -> bool,
        settings: &GroupSettings,
        wall_ms: i64,
    ) -> Vec<GroupRecord> {
        if from == ExpiryFrom::Never {
            return Vec::new();
        }
        let is_expired = |stored: &StoredOffset| match (stored.expires_ms, from) {
            (Some(at), _) => at <= wall_ms,
            (None, ExpiryFrom::Empty(since_ms)) => wall_ms.saturating_sub(since_ms) >= settings.offsets_retention_ms,
            (None, _) => wall_ms.saturating_sub(stored.committed_ms) >= settings.offsets_retention_ms,
        };
        let topics = self.topics.iter().filter(|(topic, _)| !is_read(topic));
        let all = topics.flat_map(|(topic, stored)| stored.iter().map(move |(index, stored)| (topic, *index, stored)));
        let expired = all.filter(|(_, _, stored)| is_expired(stored));
        expired.map(|(topic, index, _)| tombstone(group, topic, index)).collect()
    }
}

/// Whether an offset is of the topic with this id, as far as both are known.
fn is_of(stored: &StoredOffset, id: TopicId) -> bool {
    stored.topic_id == id || stored.topic_id == TopicId::ZERO || id == TopicId::ZERO
}

fn tombstone(group: &Arc<str>, topic: &Arc<str>, partition: i32) -> GroupRecord {
    GroupRecord::Offset { group: group.clone(), topic: topic.clone(), partition, value: None }
}

/// The records of a commit that is allowed, and the answer of each of its offsets.
pub fn commit(
    commit: &Commit,
    settings: &GroupSettings,
    wall_ms: i64,
) -> (Vec<GroupRecord>, Vec<Result<(), GroupError>>) {
    let mut records = Vec::with_capacity(commit.offsets.len());
    let expires_ms = commit.retention_ms.map(|retention_ms| wall_ms.saturating_add(retention_ms));
    let results = commit.offsets.iter().map(|one| {
        if is_longer(&one.metadata, settings.offset_metadata_units_max) {
            return Err(GroupError::MetadataTooLarge);
        }
        records.push(record(&commit.member.group, one, wall_ms, expires_ms));
        Ok(())
    });
    let results = results.collect();
    (records, results)
}

fn record(group: &Arc<str>, one: &CommitOffset, committed_ms: i64, expires_ms: Option<i64>) -> GroupRecord {
    let value = StoredOffset {
        offset: one.offset,
        // The version that carries an expiry has no place for an epoch and an id; nor have the requests that ask for one.
        leader_epoch: if expires_ms.is_some() { -1 } else { one.leader_epoch },
        metadata: one.metadata.clone(),
        committed_ms,
        expires_ms,
        topic_id: if expires_ms.is_some() { TopicId::ZERO } else { one.topic_id },
    };
    GroupRecord::Offset { group: group.clone(), topic: one.topic.clone(), partition: one.partition, value: Some(value) }
}

/// Whether a text has more than `max` UTF-16 units, which is how Kafka counts.
fn is_longer(text: &str, max: usize) -> bool {
    text.len() > max && text.encode_utf16().count() > max
}
