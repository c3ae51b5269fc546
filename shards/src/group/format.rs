//! The bytes of `__consumer_offsets` records, as Kafka 4.3 writes them: keys begin with their type, values with their
//! version. Owning core only; pure.
//!
//! Invariant: what is written is read back the same. A record of a kind that this release does not know is told apart from
//! a damaged one: Kafka skips the former at a load, and so do we.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::consumer;
use super::record::{ClassicRecord, GroupRecord, MemberRecord, StoredOffset};
use crate::codec::{DecodeError, EncodeError, Message, Reader, Str, Writer};
use crate::message;

message! {
    OffsetCommitKey, key 1, versions 0..=1, flexible 2..;
    group: str,
    topic: str,
    partition: i32,
}

message! {
    OffsetCommitValue, versions 0..=4, flexible 4..;
    offset: i64,
    leader_epoch: i32 (3.., or -1, ignorable),
    metadata: str,
    commit_timestamp: i64,
    expire_timestamp: i64 (1..=1, or -1, ignorable),
    topic_id: topic_id (4.., tag 0, ignorable),
}

message! {
    GroupMetadataKey, key 2, versions 2..=2, flexible 3..;
    group: str,
}

message! {
    GroupMetadataValue, versions 0..=4, flexible 4..;
    protocol_type: str,
    generation: i32,
    protocol: str (0.., null 0..),
    leader: str (0.., null 0..),
    current_state_timestamp: i64 (2.., or -1, ignorable),
    members: [MemberMetadata] {
        member_id: str,
        group_instance_id: str (3.., null 3.., or None, ignorable),
        client_id: str,
        client_host: str,
        rebalance_timeout: i32 (1.., or -1, ignorable),
        session_timeout: i32,
        subscription: bytes,
        assignment: bytes,
    },
}

/// Kafka's newest that every broker since 3.5 reads.
const OFFSET_VERSION: i16 = 4;
/// The only one that carries an expiry of its own.
const OFFSET_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_VERSION: i16 = 3;

/// Why bytes are no record that the coordinator may act on.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("a record without a key")]
    NoKey,
    #[error("a key of type {kind} is damaged: {error}")]
    Key { kind: i16, error: DecodeError },
    #[error("the value of a key of type {kind} is damaged: {error}")]
    Value { kind: i16, error: DecodeError },
}

impl GroupRecord {
    /// Key and value. Fails only for text over 32,767 bytes, which no request can bring in, and the ids that the coordinator
    /// makes of it are not longer.
    pub fn encode(&self) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        match self {
            GroupRecord::Offset { group, topic, partition, value } => {
                let key = OffsetCommitKey { group: text(group), topic: text(topic), partition: *partition };
                Ok((versioned(&key, OffsetCommitKey::KEY)?, value.as_ref().map(offset_value).transpose()?))
            }
            GroupRecord::Classic { group, value } => {
                let key = GroupMetadataKey { group: text(group) };
                Ok((versioned(&key, GroupMetadataKey::KEY)?, value.as_ref().map(group_value).transpose()?))
            }
            GroupRecord::Consumer { group, record } => consumer::encode(group, record),
        }
    }

    /// `Ok(None)`: a kind of record that this release has no use for.
    pub fn decode(key: Option<&Bytes>, value: Option<&Bytes>) -> Result<Option<GroupRecord>, RecordError> {
        let key = key.ok_or(RecordError::NoKey)?;
        let mut reader = Reader::new(key);
        let kind = reader.i16().map_err(|error| RecordError::Key { kind: -1, error })?;
        let damaged = |error| RecordError::Key { kind, error };
        match kind {
            // 0 is how brokers before 0.9 wrote the same.
            0 | 1 => {
                let key = OffsetCommitKey::decode(&mut reader, kind).map_err(damaged)?;
                let value = value.map(|bytes| read_value(kind, bytes)).transpose()?;
                Ok(Some(GroupRecord::Offset {
                    group: shared(&key.group),
                    topic: shared(&key.topic),
                    partition: key.partition,
                    value: value.map(stored_offset),
                }))
            }
            2 => {
                let key = GroupMetadataKey::decode(&mut reader, kind).map_err(damaged)?;
                let value = value.map(|bytes| read_value(kind, bytes)).transpose()?;
                Ok(Some(GroupRecord::Classic { group: shared(&key.group), value: value.map(classic_record) }))
            }
            _ => consumer::decode(kind, &mut reader, value),
        }
    }
}

pub(super) fn versioned<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::default();
    writer.i16(version);
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

pub(super) fn read_value<M: Message>(kind: i16, bytes: &Bytes) -> Result<M, RecordError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16().map_err(|error| RecordError::Value { kind, error })?;
    M::decode(&mut reader, version).map_err(|error| RecordError::Value { kind, error })
}

fn offset_value(stored: &StoredOffset) -> Result<Bytes, EncodeError> {
    let value = OffsetCommitValue {
        offset: stored.offset,
        leader_epoch: stored.leader_epoch,
        metadata: text(&stored.metadata),
        commit_timestamp: stored.committed_ms,
        expire_timestamp: stored.expires_ms.unwrap_or(-1),
        topic_id: stored.topic_id,
    };
    versioned(&value, if stored.expires_ms.is_some() { OFFSET_VERSION_WITH_EXPIRY } else { OFFSET_VERSION })
}

fn stored_offset(value: OffsetCommitValue) -> StoredOffset {
    StoredOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.as_str().into(),
        committed_ms: value.commit_timestamp,
        expires_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
        topic_id: value.topic_id,
    }
}

fn group_value(record: &ClassicRecord) -> Result<Bytes, EncodeError> {
    let members = record.members.iter().map(|member| MemberMetadata {
        member_id: text(&member.id),
        group_instance_id: member.instance_id.as_deref().map(text),
        client_id: text(&member.client_id),
        client_host: text(&member.client_host),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    });
    let value = GroupMetadataValue {
        protocol_type: text(record.protocol_type.as_deref().unwrap_or_default()),
        generation: record.generation,
        protocol: record.protocol.as_deref().map(text),
        leader: record.leader.as_deref().map(text),
        current_state_timestamp: record.since_ms.unwrap_or(-1),
        members: members.collect(),
    };
    versioned(&value, GROUP_VERSION)
}

fn classic_record(value: GroupMetadataValue) -> ClassicRecord {
    let members = value.members.iter().map(|member| MemberRecord {
        id: shared(&member.member_id),
        instance_id: member.group_instance_id.as_ref().map(shared),
        client_id: shared(&member.client_id),
        client_host: shared(&member.client_host),
        // Version 0 had one time-out for both.
        rebalance_timeout_ms: match member.rebalance_timeout {
            -1 => member.session_timeout,
            given => given,
        },
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    });
    ClassicRecord {
        protocol_type: (!value.protocol_type.is_empty()).then(|| shared(&value.protocol_type)),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(shared),
        leader: value.leader.as_ref().map(shared),
        since_ms: (value.current_state_timestamp != -1).then_some(value.current_state_timestamp),
        members: members.collect(),
    }
}

pub(super) fn text(text: &str) -> Str {
    Str::from(text)
}

/// An own copy: a slice would keep the whole batch in memory.
pub(super) fn shared(text: &Str) -> Arc<str> {
    text.as_str().into()
}
