//! The records of a consumer group (KIP-848) and what they hold. Plain values.
//!
//! Invariant: each is one of Kafka's; `None` is a tombstone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::super::memory::TOPIC;
use crate::types::TopicId;

/// Partitions by topic; no topic without a partition.
pub type Parts = BTreeMap<TopicId, BTreeSet<i32>>;

/// Partitions and the epoch at which the member got each; no topic without a partition.
pub type Owned = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// One record of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerRecord {
    /// ConsumerGroupMetadata: the group and its epoch.
    Epoch(Option<GroupEpoch>),
    /// ConsumerGroupMemberMetadata: who a member is and what it reads.
    Member { member: Arc<str>, value: Option<MemberSaid> },
    /// ConsumerGroupTargetAssignmentMetadata: of which epoch the target assignment is.
    TargetEpoch(Option<TargetEpoch>),
    /// ConsumerGroupTargetAssignmentMember: what a member is to read.
    Target { member: Arc<str>, value: Option<Parts> },
    /// ConsumerGroupCurrentMemberAssignment: what a member may read now.
    Current { member: Arc<str>, value: Option<Current> },
    /// ConsumerGroupRegularExpression: the topics that an expression stands for.
    Regex { regex: Arc<str>, value: Option<ResolvedRegex> },
}

impl ConsumerRecord {
    pub fn is_tombstone(&self) -> bool {
        match self {
            ConsumerRecord::Epoch(value) => value.is_none(),
            ConsumerRecord::TargetEpoch(value) => value.is_none(),
            ConsumerRecord::Member { value, .. } => value.is_none(),
            ConsumerRecord::Target { value, .. } => value.is_none(),
            ConsumerRecord::Current { value, .. } => value.is_none(),
            ConsumerRecord::Regex { value, .. } => value.is_none(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEpoch {
    pub epoch: i32,
    /// Of the topics that are read and their partitions; 0 for none.
    pub metadata_hash: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetEpoch {
    pub epoch: i32,
    /// When it was computed, by the wall clock; 0 in records of older brokers.
    pub at_ms: i64,
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSaid {
    pub instance: Option<Arc<str>>,
    pub rack: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub topics: BTreeSet<Arc<str>>,
    /// Read besides `topics`; an empty one is none.
    pub regex: Option<Arc<str>>,
    /// Milliseconds that it may take to give partitions up; -1 before it said.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it would like.
    pub assignor: Option<Arc<str>>,
    /// Of a member that speaks the classic protocol.
    pub classic: Option<ClassicSaid>,
}

/// What a member of the classic protocol said in its JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicSaid {
    pub session_timeout_ms: i32,
    pub protocols: Vec<(Arc<str>, Bytes)>,
}

/// Where a member stands on its way to the target assignment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// -2: a static member that is away for a short while.
    pub epoch: i32,
    pub previous_epoch: i32,
    pub state: MemberState,
    pub assigned: Owned,
    /// To be given up; nobody else gets these before the member says that it did.
    pub revoking: Owned,
}

/// Kafka's states of a member; the number is the record's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it shall have.
    #[default]
    Stable,
    /// It must give something up before it gets anything.
    UnrevokedPartitions,
    /// Others have not given up yet what it shall have.
    UnreleasedPartitions,
    /// Of a later release.
    Unknown,
}

/// The topics that match an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRegex {
    pub topics: BTreeSet<Arc<str>>,
    /// Of the topics, when it was resolved.
    pub version: i64,
    /// Wall clock, in milliseconds.
    pub at_ms: i64,
}

impl ResolvedRegex {
    /// What it holds, about.
    pub fn bytes(&self) -> usize {
        self.topics.iter().map(|topic| TOPIC + topic.len()).sum()
    }
}
