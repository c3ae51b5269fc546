//! The records of `__consumer_offsets`, as the coordinator sees them. Plain values.
//!
//! Invariant: each is one of Kafka's; `None` is a tombstone.

use std::sync::Arc;

use bytes::Bytes;

use super::consumer::ConsumerRecord;
use crate::types::TopicId;

/// One record of a `__consumer_offsets` partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRecord {
    /// OffsetCommit: where a group stands in a partition.
    Offset { group: Arc<str>, topic: Arc<str>, partition: i32, value: Option<StoredOffset> },
    /// GroupMetadata: a generation of a classic group.
    Classic { group: Arc<str>, value: Option<ClassicRecord> },
    /// One of the several kinds of records of a consumer group.
    Consumer { group: Arc<str>, record: ConsumerRecord },
}

impl GroupRecord {
    /// The group that it is of.
    pub fn group(&self) -> &Arc<str> {
        match self {
            GroupRecord::Offset { group, .. }
            | GroupRecord::Classic { group, .. }
            | GroupRecord::Consumer { group, .. } => group,
        }
    }
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOffset {
    pub offset: i64,
    /// Of the last record that was read; -1 when the client did not say.
    pub leader_epoch: i32,
    /// Shared, as it may be long and be told many times.
    pub metadata: Arc<str>,
    /// Wall clock, in milliseconds; this and the next.
    pub committed_ms: i64,
    /// Set only by clients that ask for a retention of their own (OffsetCommit 2 to 4).
    pub expires_ms: Option<i64>,
    /// Zero where the record has no place for it, and in those of older brokers that were told a name only.
    pub topic_id: TopicId,
}

/// A generation of a classic group: without members the group is empty, with members it is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicRecord {
    /// `None` for a group that nobody joined yet.
    pub protocol_type: Option<Arc<str>>,
    pub generation: i32,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<Arc<str>>,
    /// When the group came into this state, by the wall clock; `None` in records of old brokers.
    pub since_ms: Option<i64>,
    pub members: Vec<MemberRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What the member said for the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}
