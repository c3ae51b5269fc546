//! What a client changes and asks about topics. Blocking.

use std::collections::BTreeMap;

use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::messages::delete_topics::DeleteTopicsRequest;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use crate::wire::{ErrorCode, Str};

/// How long the broker may take to do it, in milliseconds.
pub(super) const TIMEOUT_MS: i32 = 30_000;

/// Where a partition is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    Beginning,
    /// After the last record that a reader of committed records may see.
    End,
    /// The first record that is not older, in milliseconds since 1970.
    Timestamp(i64),
}

impl OffsetAt {
    /// As ListOffsets has it.
    pub(super) fn timestamp(self) -> i64 {
        match self {
            OffsetAt::Beginning => -2,
            OffsetAt::End => -1,
            OffsetAt::Timestamp(ms) => ms,
        }
    }
}

/// Makes a topic; -1 leaves a number to the broker.
pub fn create_topic(
    cluster: &mut Cluster,
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &[(String, String)],
) -> Result<(), ClientError> {
    let config = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let reply = match cluster.call_controller(request)? {
        Response::CreateTopics(reply) => reply,
        other => return Err(unasked("the controller", &other)),
    };
    let results = reply.topics.into_iter().map(|topic| (topic.error_code, topic.error_message));
    outcome(&format!("topic \"{name}\" was not made"), results)
}

pub fn delete_topic(cluster: &mut Cluster, name: &str) -> Result<(), ClientError> {
    let request = DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: TIMEOUT_MS, ..Default::default() };
    let reply = match cluster.call_controller(request)? {
        Response::DeleteTopics(reply) => reply,
        other => return Err(unasked("the controller", &other)),
    };
    let mut results = reply.responses.into_iter().map(|topic| (topic.error_code, topic.error_message)).peekable();
    if results.peek().is_some_and(|(code, _)| *code == ErrorCode::UnknownTopicOrPartition) {
        return Err(ClientError::NoTopic { topic: name.to_owned() });
    }
    outcome(&format!("topic \"{name}\" was not deleted"), results)
}

/// Grows a topic to `count` partitions.
pub fn create_partitions(cluster: &mut Cluster, name: &str, count: i32) -> Result<(), ClientError> {
    let topic = CreatePartitionsTopic { name: name.into(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
    let reply = match cluster.call_controller(request)? {
        Response::CreatePartitions(reply) => reply,
        other => return Err(unasked("the controller", &other)),
    };
    let mut results = reply.results.into_iter().map(|topic| (topic.error_code, topic.error_message)).peekable();
    if results.peek().is_some_and(|(code, _)| *code == ErrorCode::UnknownTopicOrPartition) {
        return Err(ClientError::NoTopic { topic: name.to_owned() });
    }
    outcome(&format!("topic \"{name}\" was not grown"), results)
}

pub(super) fn outcome(
    what: &str,
    mut results: impl Iterator<Item = (ErrorCode, Option<Str>)>,
) -> Result<(), ClientError> {
    match results.next() {
        Some((ErrorCode::None, _)) => Ok(()),
        Some((code, message)) => {
            Err(ClientError::Refused { what: what.to_owned(), code, message: message.map(|text| text.to_string()) })
        }
        None => Err(ClientError::refused(what, ErrorCode::UnknownServerError)),
    }
}

/// An offset of one partition. `None`: no record is as young as the timestamp.
pub fn offset_at(cluster: &mut Cluster, topic: &str, partition: i32, at: OffsetAt) -> Result<Option<i64>, ClientError> {
    Ok(offsets_at(cluster, topic, &[partition], at)?.get(&partition).copied().flatten())
}

/// The offset of each of these partitions, each named once, with one request to each leader.
pub fn offsets_at(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    at: OffsetAt,
) -> Result<BTreeMap<i32, Option<i64>>, ClientError> {
    cluster.retrying(|cluster| {
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in cluster.leaders(topic, partitions)? {
            offsets.extend(ask_leader(cluster, leader, topic, &partitions, at)?);
        }
        match partitions.iter().find(|partition| !offsets.contains_key(*partition)) {
            None => Ok(offsets),
            Some(&partition) => Err(ClientError::NoLeader { topic: topic.to_owned(), partition }),
        }
    })
}

fn ask_leader(
    cluster: &mut Cluster,
    leader: i32,
    topic: &str,
    partitions: &[i32],
    at: OffsetAt,
) -> Result<Vec<(i32, Option<i64>)>, ClientError> {
    let timestamp = at.timestamp();
    let part = |&partition_index: &i32| ListOffsetsPartition { partition_index, timestamp, ..Default::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        topics: vec![ListOffsetsTopic { name: topic.into(), partitions: partitions.iter().map(part).collect() }],
        timeout_ms: TIMEOUT_MS,
    };
    let reply = match cluster.call(leader, request)? {
        Response::ListOffsets(reply) => reply,
        other => return Err(unasked("the leader", &other)),
    };
    let parts = reply.topics.into_iter().flat_map(|topic| topic.partitions);
    let offset = |part: ListOffsetsPartitionResponse| match part.error_code {
        ErrorCode::None => Ok((part.partition_index, Some(part.offset).filter(|offset| *offset >= 0))),
        code => Err(ClientError::refused(format!("offsets of {topic}-{}", part.partition_index), code)),
    };
    parts.map(offset).collect()
}
