//! The bytes of a consumer group's records, as Kafka 4.3 writes them. Owning core only; pure.
//!
//! Invariant: what is written is read back the same.

use std::sync::Arc;

use bytes::Bytes;

use super::super::format::{RecordError, read_value, shared, text, versioned};
use super::super::record::GroupRecord;
use super::record::{
    ClassicSaid, ConsumerRecord, Current, GroupEpoch, MemberSaid, MemberState, Owned, Parts, ResolvedRegex, TargetEpoch,
};
use crate::codec::{EncodeError, Message, Reader};
use crate::message;

message! {
    ConsumerGroupMetadataKey, key 3, versions 3..=3, flexible 4..;
    group: str,
}

message! {
    ConsumerGroupMetadataValue, versions 0..=0, flexible 0..;
    epoch: i32,
    metadata_hash: i64 (0.., tag 0),
}

message! {
    ConsumerGroupMemberMetadataKey, key 5, versions 5..=5, flexible 6..;
    group: str,
    member: str,
}

message! {
    ConsumerGroupMemberMetadataValue, versions 0..=0, flexible 0..;
    instance_id: str (0.., null 0..),
    rack_id: str (0.., null 0..),
    client_id: str,
    client_host: str,
    subscribed_topic_names: [str],
    subscribed_topic_regex: str (0.., null 0..),
    rebalance_timeout_ms: i32 (0.., or -1),
    server_assignor: str (0.., null 0..),
    classic_member_metadata: ClassicMemberMetadata {
        session_timeout_ms: i32,
        supported_protocols: [ClassicProtocol] {
            name: str,
            metadata: bytes,
        },
    } (0.., null 0.., or None, tag 0),
}

message! {
    ConsumerGroupTargetAssignmentMetadataKey, key 6, versions 6..=6, flexible 7..;
    group: str,
}

message! {
    ConsumerGroupTargetAssignmentMetadataValue, versions 0..=0, flexible 0..;
    assignment_epoch: i32,
    assignment_timestamp: i64 (0.., tag 0, ignorable),
}

message! {
    ConsumerGroupTargetAssignmentMemberKey, key 7, versions 7..=7, flexible 8..;
    group: str,
    member: str,
}

message! {
    ConsumerGroupTargetAssignmentMemberValue, versions 0..=0, flexible 0..;
    topic_partitions: [TargetTopic] {
        topic_id: topic_id,
        partitions: [i32],
    },
}

message! {
    ConsumerGroupCurrentMemberAssignmentKey, key 8, versions 8..=8, flexible 9..;
    group: str,
    member: str,
}

message! {
    ConsumerGroupCurrentMemberAssignmentValue, versions 0..=0, flexible 0..;
    member_epoch: i32,
    previous_member_epoch: i32,
    state: i8,
    assigned_partitions: [CurrentTopic] {
        topic_id: topic_id,
        partitions: [i32],
        /// As many as partitions; null in records of older brokers.
        assignment_epochs: [i32] (0.., null 0.., or None, tag 0),
    },
    partitions_pending_revocation: [CurrentTopic],
}

message! {
    ConsumerGroupRegularExpressionKey, key 16, versions 16..=16, flexible 17..;
    group: str,
    regular_expression: str,
}

message! {
    ConsumerGroupRegularExpressionValue, versions 0..=0, flexible 0..;
    topics: [str],
    version: i64,
    timestamp: i64,
}

/// Of every value that is written.
const VERSION: i16 = 0;

/// Key and value of one group's record.
pub fn encode(group: &str, record: &ConsumerRecord) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    fn write<K: Message, V: Message>(key: &K, value: Option<V>) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        Ok((versioned(key, K::KEY)?, value.map(|value| versioned(&value, VERSION)).transpose()?))
    }
    let group = text(group);
    match record {
        ConsumerRecord::Epoch(value) => write(&ConsumerGroupMetadataKey { group }, value.map(epoch_value)),
        ConsumerRecord::Member { member, value } => {
            let key = ConsumerGroupMemberMetadataKey { group, member: text(member) };
            write(&key, value.as_ref().map(member_value))
        }
        ConsumerRecord::TargetEpoch(value) => {
            let key = ConsumerGroupTargetAssignmentMetadataKey { group };
            let value = value.map(|target| ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: target.epoch,
                assignment_timestamp: target.at_ms,
            });
            write(&key, value)
        }
        ConsumerRecord::Target { member, value } => {
            let key = ConsumerGroupTargetAssignmentMemberKey { group, member: text(member) };
            write(&key, value.as_ref().map(target_value))
        }
        ConsumerRecord::Current { member, value } => {
            let key = ConsumerGroupCurrentMemberAssignmentKey { group, member: text(member) };
            write(&key, value.as_ref().map(current_value))
        }
        ConsumerRecord::Regex { regex, value } => {
            let key = ConsumerGroupRegularExpressionKey { group, regular_expression: text(regex) };
            let value = value.as_ref().map(|resolved| ConsumerGroupRegularExpressionValue {
                topics: resolved.topics.iter().map(|topic| text(topic)).collect(),
                version: resolved.version,
                timestamp: resolved.at_ms,
            });
            write(&key, value)
        }
    }
}

/// The record whose key goes on after its type `kind`; `None` if that is no record of a consumer group.
pub fn decode(kind: i16, key: &mut Reader<'_>, value: Option<&Bytes>) -> Result<Option<GroupRecord>, RecordError> {
    fn read<K: Message, V: Message>(
        kind: i16,
        key: &mut Reader<'_>,
        value: Option<&Bytes>,
    ) -> Result<(K, Option<V>), RecordError> {
        let key = K::decode(key, kind).map_err(|error| RecordError::Key { kind, error })?;
        Ok((key, value.map(|bytes| read_value(kind, bytes)).transpose()?))
    }
    let (group, record) = match kind {
        3 => {
            let (key, value): (ConsumerGroupMetadataKey, Option<ConsumerGroupMetadataValue>) = read(kind, key, value)?;
            let epoch = |value: ConsumerGroupMetadataValue| GroupEpoch {
                epoch: value.epoch,
                metadata_hash: value.metadata_hash,
            };
            (key.group, ConsumerRecord::Epoch(value.map(epoch)))
        }
        5 => {
            let (key, value): (ConsumerGroupMemberMetadataKey, Option<_>) = read(kind, key, value)?;
            (key.group, ConsumerRecord::Member { member: shared(&key.member), value: value.map(member_said) })
        }
        6 => {
            let (key, value): (ConsumerGroupTargetAssignmentMetadataKey, Option<_>) = read(kind, key, value)?;
            let target = |value: ConsumerGroupTargetAssignmentMetadataValue| TargetEpoch {
                epoch: value.assignment_epoch,
                at_ms: value.assignment_timestamp,
            };
            (key.group, ConsumerRecord::TargetEpoch(value.map(target)))
        }
        7 => {
            let (key, value): (ConsumerGroupTargetAssignmentMemberKey, Option<_>) = read(kind, key, value)?;
            (key.group, ConsumerRecord::Target { member: shared(&key.member), value: value.map(target) })
        }
        8 => {
            let (key, value): (ConsumerGroupCurrentMemberAssignmentKey, Option<_>) = read(kind, key, value)?;
            (key.group, ConsumerRecord::Current { member: shared(&key.member), value: value.map(current) })
        }
        16 => {
            let (key, value): (ConsumerGroupRegularExpressionKey, Option<_>) = read(kind, key, value)?;
            let resolved = |value: ConsumerGroupRegularExpressionValue| ResolvedRegex {
                topics: value.topics.iter().map(shared).collect(),
                version: value.version,
                at_ms: value.timestamp,
            };
            let regex = shared(&key.regular_expression);
            (key.group, ConsumerRecord::Regex { regex, value: value.map(resolved) })
        }
        _ => return Ok(None),
    };
    Ok(Some(GroupRecord::Consumer { group: shared(&group), record }))
}

fn epoch_value(group: GroupEpoch) -> ConsumerGroupMetadataValue {
    ConsumerGroupMetadataValue { epoch: group.epoch, metadata_hash: group.metadata_hash }
}

fn member_value(said: &MemberSaid) -> ConsumerGroupMemberMetadataValue {
    let classic = |classic: &ClassicSaid| ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic
            .protocols
            .iter()
            .map(|(name, said)| ClassicProtocol { name: text(name), metadata: said.clone() })
            .collect(),
    };
    ConsumerGroupMemberMetadataValue {
        instance_id: said.instance.as_deref().map(text),
        rack_id: said.rack.as_deref().map(text),
        client_id: text(&said.client_id),
        client_host: text(&said.client_host),
        subscribed_topic_names: said.topics.iter().map(|topic| text(topic)).collect(),
        subscribed_topic_regex: said.regex.as_deref().map(text),
        rebalance_timeout_ms: said.rebalance_timeout_ms,
        server_assignor: said.assignor.as_deref().map(text),
        classic_member_metadata: said.classic.as_ref().map(classic),
    }
}

fn member_said(value: ConsumerGroupMemberMetadataValue) -> MemberSaid {
    let classic = |classic: ClassicMemberMetadata| ClassicSaid {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic
            .supported_protocols
            .iter()
            .map(|protocol| (shared(&protocol.name), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
    };
    let own = |text: Option<crate::codec::Str>| -> Option<Arc<str>> { text.as_ref().map(shared) };
    MemberSaid {
        instance: own(value.instance_id),
        rack: own(value.rack_id),
        client_id: shared(&value.client_id),
        client_host: shared(&value.client_host),
        topics: value.subscribed_topic_names.iter().map(shared).collect(),
        regex: own(value.subscribed_topic_regex),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: own(value.server_assignor),
        classic: value.classic_member_metadata.map(classic),
    }
}

fn target_value(parts: &Parts) -> ConsumerGroupTargetAssignmentMemberValue {
    let topic = |(id, indexes): (&_, &std::collections::BTreeSet<i32>)| TargetTopic {
        topic_id: *id,
        partitions: indexes.iter().copied().collect(),
    };
    ConsumerGroupTargetAssignmentMemberValue { topic_partitions: parts.iter().map(topic).collect() }
}

fn target(value: ConsumerGroupTargetAssignmentMemberValue) -> Parts {
    let topics = value.topic_partitions.into_iter().filter(|topic| !topic.partitions.is_empty());
    topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}

fn current_value(current: &Current) -> ConsumerGroupCurrentMemberAssignmentValue {
    let topics = |owned: &Owned| {
        let topic = |(id, epochs): (&_, &std::collections::BTreeMap<i32, i32>)| CurrentTopic {
            topic_id: *id,
            partitions: epochs.keys().copied().collect(),
            assignment_epochs: Some(epochs.values().copied().collect()),
        };
        owned.iter().map(topic).collect()
    };
    ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: match current.state {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        },
        assigned_partitions: topics(&current.assigned),
        partitions_pending_revocation: topics(&current.revoking),
    }
}

fn current(value: ConsumerGroupCurrentMemberAssignmentValue) -> Current {
    let epoch = value.member_epoch;
    let owned = |topics: Vec<CurrentTopic>| -> Owned {
        let topics = topics.into_iter().filter(|topic| !topic.partitions.is_empty());
        let one = |topic: CurrentTopic| {
            let epochs = topic.assignment_epochs.unwrap_or_default();
            // Before 4.3 the epoch of each was not kept: the member's own fences least.
            let epochs = epochs.into_iter().chain(std::iter::repeat(epoch));
            (topic.topic_id, topic.partitions.into_iter().zip(epochs).collect())
        };
        topics.map(one).collect()
    };
    Current {
        epoch,
        previous_epoch: value.previous_member_epoch,
        state: match value.state {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        },
        assigned: owned(value.assigned_partitions),
        revoking: owned(value.partitions_pending_revocation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kafka 4.3.1 writes a member that is no classic one: a tag, and in it that there is nothing.
    #[test]
    fn a_member_that_kafka_has_written_is_read() {
        let key = b"\x00\x05\x00\x01g\x00\x02id";
        let value = b"\0\0\0\0\x02c\x0b/127.0.0.1\x02\x07orders\x01\x00\x04\x93\xe0\0\x01\0\x01\0";
        let [key, value] = [&key[..], &value[..]].map(Bytes::copy_from_slice);
        let read = GroupRecord::decode(Some(&key), Some(&value)).expect("it is whole");
        let Some(GroupRecord::Consumer { group, record: ConsumerRecord::Member { member, value: Some(said) } }) = read
        else {
            panic!("a member: {read:?}");
        };
        assert_eq!((&*group, &*member, said.rebalance_timeout_ms), ("g", "id", 300_000));
        assert_eq!(said.topics.iter().map(|topic| &**topic).collect::<Vec<_>>(), ["orders"]);
        assert!(said.classic.is_none());
    }
}
