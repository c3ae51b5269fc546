//! What a client changes and asks about topics. Blocking.

use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use crate::wire::messages::delete_topics::DeleteTopicsRequest;
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::{ErrorCode, Str};

/// How long the broker may take to do it, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// Where a partition is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    Beginning,
    /// After the last record that a reader of committed records may see.
    End,
    /// The first record that is not older, in milliseconds since 1970.
    Timestamp(i64),
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
    let timestamp = match at {
        OffsetAt::Beginning => -2,
        OffsetAt::End => -1,
        OffsetAt::Timestamp(ms) => ms,
    };
    cluster.retrying(|cluster| {
        let leader = cluster.leader(topic, partition)?;
        let partitions =
            vec![ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() }];
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: 1,
            topics: vec![ListOffsetsTopic { name: topic.into(), partitions }],
            timeout_ms: TIMEOUT_MS,
        };
        let reply = match cluster.call(leader, request)? {
            Response::ListOffsets(reply) => reply,
            other => return Err(unasked("the leader", &other)),
        };
        let found = reply.topics.first().and_then(|topic| topic.partitions.first());
        match found.map(|found| (found.error_code, found.offset)) {
            Some((ErrorCode::None, offset)) => Ok(Some(offset).filter(|offset| *offset >= 0)),
            Some((code, _)) => Err(ClientError::refused(format!("offsets of {topic}-{partition}"), code)),
            None => Err(ClientError::NoLeader { topic: topic.to_owned(), partition }),
        }
    })
}
