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
    #[error("what answers at {address} is no Kafka broker, or one that this client cannot read: {what}")]
    NotKafka { address: String, what: String },
    #[error(
        "the broker serves {api} in versions {theirs_min} to {theirs_max}, and this client needs {ours_min} to {ours_max}"
    )]
    NoCommonVersion { api: &'static str, theirs_min: i16, theirs_max: i16, ours_min: i16, ours_max: i16 },
    #[error("the broker does not serve {api}")]
    NotServed { api: &'static str },
    #[error("{what}: {code}{}", said(.message))]
    Refused { what: String, code: ErrorCode, message: Option<String> },
    #[error("there is no topic \"{topic}\"; make it with `corelog topic create {topic} --partitions N`")]
    NoTopic { topic: String },
    #[error("topic \"{topic}\" has no partition {partition}; its partitions are 0 to {last}")]
    NoPartition { topic: String, partition: i32, last: i32 },
    #[error("{topic}-{partition} has no leader that could be reached; try again when the broker is up")]
    NoLeader { topic: String, partition: i32 },
    #[error("offset {asked} of {topic}-{partition} is not there; it has {first} to {end}")]
    OutOfRange { topic: String, partition: i32, asked: i64, first: i64, end: i64 },
    #[error("{topic}-{partition} holds bytes at offset {offset} that are no records: {what}")]
    Damaged { topic: String, partition: i32, offset: i64, what: String },
    #[error("the records cannot be compressed: {0}")]
    Compress(#[from] shards::batch::CodecError),
    #[error("the request cannot be written: {0}")]
    Encode(#[from] EncodeError),
}

fn said(message: &Option<String>) -> String {
    message.as_ref().filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!(": {text}"))
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
fn is_passing(code: ErrorCode) -> bool {
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
