//! What can go wrong between a client and a broker. Plain values; each text says what to do next.

use std::io;

use thiserror::Error;

use crate::wire::{DecodeError, EncodeError, ErrorCode};

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("no broker answers at {address}: {source}; start one with `corelog dev`, or name another with --bootstrap")]
    Unreachable { address: String, source: io::Error },
    #[error(
        "the broker at {bootstrap} tells its clients to connect to {address}, and nothing answers there: {source}; set its \
         advertised.listeners to an address that this machine can reach"
    )]
    ToldUnreachable { address: String, bootstrap: String, source: io::Error },
    #[error("the connection to {address} broke: {source}; try again, and look at the broker's log if it goes on")]
    Broken { address: String, source: io::Error },
    #[error(
        "what answers at {address} is no Kafka broker, or one that this client cannot read: {what}; check the port, and that \
         the listener is PLAINTEXT"
    )]
    NotKafka { address: String, what: String },
    #[error(
        "the broker serves {api} in versions {theirs_min} to {theirs_max}, and this client needs {ours_min} to {ours_max}; \
         use a broker or a corelog that is as new as the other"
    )]
    NoCommonVersion { api: &'static str, theirs_min: i16, theirs_max: i16, ours_min: i16, ours_max: i16 },
    #[error(
        "the broker does not serve {api}; this command needs one that does, and `corelog cluster --apis` lists what is served"
    )]
    NotServed { api: &'static str },
    #[error("{what}: {code}{}{}", said(.message), advice(*.code, .message.as_deref()))]
    Refused { what: String, code: ErrorCode, message: Option<String> },
    #[error(
        "\"{topic}\" is a topic of the broker's own and takes no records of clients ({}); choose another topic",
        ErrorCode::InvalidTopicException
    )]
    OwnTopic { topic: String },
    #[error("there is no topic \"{topic}\"; make it with `corelog topic create {topic} --partitions N`")]
    NoTopic { topic: String },
    #[error("there is no group \"{group}\"; `corelog group list` names those there are")]
    NoGroup { group: String },
    #[error("topic \"{topic}\" has no partition {partition}; its partitions are 0 to {last}")]
    NoPartition { topic: String, partition: i32, last: i32 },
    #[error("{topic}-{partition} has no leader that could be reached; try again when the broker is up")]
    NoLeader { topic: String, partition: i32 },
    #[error(
        "offset {asked} of {topic}-{partition} is not there; it has {first} to {end}: choose one of these, beginning or end"
    )]
    OutOfRange { topic: String, partition: i32, asked: i64, first: i64, end: i64 },
    #[error(
        "{topic}-{partition} holds bytes at offset {offset} that are no records: {what}; read on behind them with --from"
    )]
    Damaged { topic: String, partition: i32, offset: i64, what: String },
    #[error(
        "group \"{group}\" went on without this member, which had taken too long, so what it read last is not stored as read \
         and comes again; take the output faster, or less of it at once with --count"
    )]
    NotStored { group: String },
    #[error("the records cannot be compressed: {0}; choose another --compression")]
    Compress(#[from] shards::batch::CodecError),
    #[error("the request cannot be written: {0}; ask for less at once")]
    Encode(#[from] EncodeError),
}

fn said(message: &Option<String>) -> String {
    let text = message.as_ref().map(|text| text.trim_end_matches('.')).filter(|text| !text.is_empty());
    text.map_or_else(String::new, |text| format!(": {text}"))
}

/// What to do about a refusal, where the broker's own words do not say it.
fn advice(code: ErrorCode, message: Option<&str>) -> &'static str {
    let says = |words| message.is_some_and(|text| text.contains(words));
    match code {
        ErrorCode::TopicAlreadyExists => "; choose another name, or change the topic with `corelog topic alter`",
        ErrorCode::InvalidTopicException if says("collides") => "; choose another name",
        ErrorCode::InvalidTopicException => "; a name has letters, digits, `.`, `_` and `-`, and at most 249 of them",
        ErrorCode::InvalidPartitions => "; a topic only grows: ask for more than it has",
        ErrorCode::InvalidReplicationFactor => "; ask for at most as many replicas as `corelog cluster` shows brokers",
        ErrorCode::InvalidConfig => "; `corelog config explain KEY` tells what a key takes",
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            "; send less at once, or raise the topic's max.message.bytes with `corelog topic config set`"
        }
        ErrorCode::PolicyViolation => "; ask for less, or have the broker's limits raised",
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed => "; ask the cluster's operator for the right to do this",
        ErrorCode::InvalidRecord if says("without key") => {
            "; give every record a key (--key, --key-separator), or take `compact` out of the topic's cleanup.policy"
        }
        ErrorCode::InvalidRecord => "; `corelog topic config show` lists what the topic asks of records",
        ErrorCode::InvalidTimestamp => "; give the record a time nearer to now, or widen the topic's limits for it",
        ErrorCode::UnsupportedVersion => "; the broker is older than this needs",
        ErrorCode::UnknownServerError => "; the broker's log says why",
        ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId => {
            "; the group has members: stop its consumers, and wait for their session time-out if one was killed"
        }
        ErrorCode::GroupSubscribedToTopic => "; a member of the group reads that topic: stop it first",
        ErrorCode::InvalidGroupId => "; a group's name is not empty",
        ErrorCode::KafkaStorageError => "; look at the broker's log and at its disk",
        code if is_passing(code) => "; try again in a moment",
        _ => "",
    }
}

impl ClientError {
    pub(super) fn refused(what: impl Into<String>, code: ErrorCode) -> ClientError {
        ClientError::Refused { what: what.into(), code, message: None }
    }

    /// Another try may succeed: leadership moved, or the connection broke.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            ClientError::Broken { .. }
            | ClientError::Unreachable { .. }
            | ClientError::ToldUnreachable { .. }
            | ClientError::NoLeader { .. } => true,
            ClientError::Refused { code, .. } => is_passing(*code),
            _ => false,
        }
    }
}

/// Errors of one partition that go away by themselves. What a full disk gets is among them: space comes back.
pub(super) fn is_passing(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::LeaderNotAvailable
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::RequestTimedOut
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NotController
            | ErrorCode::KafkaStorageError
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::ThrottlingQuotaExceeded
    )
}

/// What a decode error says of the peer.
pub(super) fn not_kafka(address: &str, error: DecodeError) -> ClientError {
    ClientError::NotKafka { address: address.to_owned(), what: error.to_string() }
}
