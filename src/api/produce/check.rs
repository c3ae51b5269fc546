//! The checks of a batch before it goes to its partition's owner, with the topic's config. Connection's core; pure.
//! Invariant: what passes can be appended byte for byte, but for base offset and leader epoch.

use bytes::Bytes;
use shards::batch::{BatchError, ValidBatch};
use shards::catalog::TopicConfig;

use crate::wire::{ErrorCode, Str};

/// What the checks depend on beside the topic.
pub(super) struct Rules {
    /// Of the request.
    pub version: i16,
    pub wall_ms: i64,
}

/// Why a partition's batch was not appended.
#[derive(Debug)]
pub(super) struct Refused {
    pub code: ErrorCode,
    pub message: Option<Str>,
    /// Index in the batch and text of the records that made it fail.
    pub records: Vec<(i32, Option<Str>)>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused { code, message: None, records: Vec::new() }
    }
}

/// The partition's one batch, as it goes into the log.
pub(super) fn check(records: Option<Bytes>, _config: &TopicConfig, _rules: &Rules) -> Result<ValidBatch, Refused> {
    let records = records.unwrap_or_default();
    ValidBatch::parse(records).map_err(|e| refused(&e))
}

fn refused(e: &BatchError) -> Refused {
    Refused { code: ErrorCode::CorruptMessage, message: Some(Str::from(e.to_string())), records: Vec::new() }
}
