//! One topic as the catalog holds it. Every core; read on the hot path, changed only by `apply`.
//!
//! Invariant: partition indexes are 0 to `partitions` - 1, without a gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::TopicConfig;
use super::name::is_internal_topic;
use crate::types::{LeaderEpoch, PartitionId, TopicId};

#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// Number of partitions.
    pub partitions: i32,
    /// What was set for this topic, as it was given.
    pub overrides: BTreeMap<String, String>,
    /// What is in force: the overrides on top of the broker's defaults. Shared by topics without overrides.
    pub config: Arc<TopicConfig>,
    /// The run in which the topic was made.
    pub made_in_run: u32,
}

impl Topic {
    /// Only the broker itself writes to it.
    pub fn is_internal(&self) -> bool {
        is_internal_topic(&self.name)
    }

    /// `None` when there is no such partition.
    pub fn partition(&self, index: i32) -> Option<PartitionId> {
        (0..self.partitions).contains(&index).then_some(PartitionId { topic: self.id, index })
    }

    pub fn partition_ids(&self) -> impl ExactSizeIterator<Item = PartitionId> + use<> {
        let topic = self.id;
        (0..self.partitions).map(move |index| PartitionId { topic, index })
    }
}

/// Where one partition lives, for Metadata and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionView<'a> {
    pub id: PartitionId,
    pub leader: i32,
    pub leader_epoch: LeaderEpoch,
    pub replicas: &'a [i32],
    /// Replicas that are in sync; all of them on one node.
    pub isr: &'a [i32],
}
