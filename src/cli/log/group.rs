//! Records of `__consumer_offsets`, as a dump shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use shards::group::{ClassicRecord, ConsumerRecord, GroupRecord, Parts};
use shards::types::TopicId;

use super::batches::owned;

/// The kind of a record and what it says; a value of null is a tombstone.
pub fn decoded(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(&'static str, Map<String, Value>), String> {
    let (key, value) = (key.map(owned), value.map(owned));
    let record = GroupRecord::decode(key.as_ref(), value.as_ref()).map_err(|e| e.to_string())?;
    let record = record.ok_or_else(|| "a kind of record that this release has no use for".to_owned())?;
    let (kind, parts) = told(&record);
    match parts {
        Value::Object(parts) => Ok((kind, parts)),
        other => unreachable!("the parts of a record are an object: {other}"),
    }
}

fn told(record: &GroupRecord) -> (&'static str, Value) {
    match record {
        GroupRecord::Offset { group, topic, partition, value } => {
            let value = value.as_ref().map(|stored| {
                json!({
                    "offset": stored.offset,
                    "leader_epoch": (stored.leader_epoch >= 0).then_some(stored.leader_epoch),
                    "metadata": &*stored.metadata,
                    "committed": stored.committed_ms,
                    "expires": stored.expires_ms,
                    "topic_id": (stored.topic_id != TopicId::ZERO).then(|| stored.topic_id.to_string()),
                })
            });
            ("offset", parts(&[("group", group), ("topic", topic)], &[("partition", json!(partition)), said(value)]))
        }
        GroupRecord::Classic { group, value } => {
            ("classic_group", parts(&[("group", group)], &[said(value.as_ref().map(generation))]))
        }
        GroupRecord::Consumer { group, record } => consumer(group, record),
    }
}

fn generation(record: &ClassicRecord) -> Value {
    let members = record.members.iter().map(|member| {
        json!({
            "member": *member.id, "instance": member.instance_id.as_deref(), "client": *member.client_id,
            "host": *member.client_host, "rebalance_timeout_ms": member.rebalance_timeout_ms,
            "session_timeout_ms": member.session_timeout_ms, "subscription_bytes": member.subscription.len(),
            "assignment_bytes": member.assignment.len(),
        })
    });
    json!({
        "protocol_type": record.protocol_type.as_deref(), "generation": record.generation,
        "protocol": record.protocol.as_deref(), "leader": record.leader.as_deref(), "since": record.since_ms,
        "members": members.collect::<Value>(),
    })
}

fn consumer(group: &str, record: &ConsumerRecord) -> (&'static str, Value) {
    let of = |value| parts(&[("group", group)], &[said(value)]);
    let of_member = |member: &str, value| parts(&[("group", group), ("member", member)], &[said(value)]);
    match record {
        ConsumerRecord::Epoch(value) => (
            "group_epoch",
            of(value.map(|value| json!({ "epoch": value.epoch, "metadata_hash": value.metadata_hash }))),
        ),
        ConsumerRecord::TargetEpoch(value) => {
            ("target_epoch", of(value.map(|value| json!({ "epoch": value.epoch, "at": value.at_ms }))))
        }
        ConsumerRecord::Member { member, value } => {
            let value = value.as_ref().map(|said| {
                json!({
                    "instance": said.instance.as_deref(), "rack": said.rack.as_deref(), "client": *said.client_id,
                    "host": *said.client_host,
                    "topics": said.topics.iter().map(|topic| Value::from(&**topic)).collect::<Value>(),
                    "regex": said.regex.as_deref(), "rebalance_timeout_ms": said.rebalance_timeout_ms,
                    "assignor": said.assignor.as_deref(), "classic": said.classic.is_some(),
                })
            });
            ("member", of_member(member, value))
        }
        ConsumerRecord::Target { member, value } => ("target", of_member(member, value.as_ref().map(topics))),
        ConsumerRecord::Current { member, value } => {
            let value = value.as_ref().map(|current| {
                json!({
                    "epoch": current.epoch, "previous_epoch": current.previous_epoch,
                    "state": format!("{:?}", current.state), "assigned": owned_parts(&current.assigned),
                    "revoking": owned_parts(&current.revoking),
                })
            });
            ("current", of_member(member, value))
        }
        ConsumerRecord::Regex { regex, value } => {
            let value = value.as_ref().map(|resolved| {
                json!({
                    "topics": resolved.topics.iter().map(|topic| Value::from(&**topic)).collect::<Value>(),
                    "version": resolved.version, "at": resolved.at_ms,
                })
            });
            ("regex", parts(&[("group", group), ("regex", regex)], &[said(value)]))
        }
    }
}

/// A tombstone says so.
fn said(value: Option<Value>) -> (&'static str, Value) {
    value.map_or(("deleted", true.into()), |value| ("value", value))
}

fn parts(names: &[(&str, &str)], values: &[(&str, Value)]) -> Value {
    let names = names.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text)));
    names.chain(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect::<Map<_, _>>().into()
}

fn topics(parts: &Parts) -> Value {
    parts.iter().map(|(topic, partitions)| (topic.to_string(), json!(partitions))).collect::<Map<_, _>>().into()
}

/// Without the epoch at which the member got each.
fn owned_parts(parts: &BTreeMap<TopicId, BTreeMap<i32, i32>>) -> Value {
    let named =
        parts.iter().map(|(topic, partitions)| (topic.to_string(), json!(partitions.keys().collect::<Vec<_>>())));
    named.collect::<Map<_, _>>().into()
}
