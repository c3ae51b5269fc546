//! What a topic asks of a batch: size, timestamps, keys, compression. Looks into the records. Runs on the connection's core.
//!
//! Invariant: a batch that needs no change keeps its bytes, without a copy.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::codec::{CodecError, Compression, CompressionLevels, compress, decompress};
use super::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, TRANSACTIONAL_MASK, TimestampType, put, put_crc};
use super::records::{Record, RecordError, Records};
use super::valid::ValidBatch;

/// A topic's configs, as far as they concern batches.
#[derive(Clone, Copy, Debug)]
pub struct TopicRules {
    /// `max.message.bytes`, of a batch that is compressed anew; one as it was sent is
    /// [checked](super::WholeBatch::check) before.
    pub max_message_bytes: usize,
    /// `compression.type`; `None` keeps the producer's.
    pub compression: Option<Compression>,
    pub levels: CompressionLevels,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms` and `.after.max.ms`.
    pub before_max_ms: i64,
    pub after_max_ms: i64,
    /// A compacted topic takes no records without a key.
    pub needs_keys: bool,
    /// A batch may decompress to this many bytes.
    pub decompressed_bytes_max: usize,
}

/// Why a topic refuses a batch. The number is the error code that Kafka 4.3 gives.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RuleFailure {
    /// (10)
    #[error("The record batch of {bytes} bytes is larger than max.message.bytes, which is {max}")]
    TooLarge { bytes: usize, max: usize },
    /// (32)
    #[error("One or more records have been rejected due to invalid timestamp")]
    Timestamp,
    /// (87)
    #[error("One or more records have been rejected")]
    Record,
    /// (87)
    #[error("{0}")]
    Malformed(RecordError),
    /// A limit of ours (87).
    #[error("more than {max} bytes when decompressed")]
    TooLargeDecompressed { max: usize },
    /// (-1)
    #[error("{what}")]
    Decompression { what: String },
}

/// Most records of a batch that are named where it is refused: what tells of more would take far more than the batch.
const NAMED_MAX: usize = 1000;

/// A refusal, with the records that caused it, the first [`NAMED_MAX`]: index in the batch and message (KIP-467).
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{failure}")]
pub struct RuleError {
    pub failure: RuleFailure,
    pub records: Vec<(i32, String)>,
}

impl From<RuleFailure> for RuleError {
    fn from(failure: RuleFailure) -> RuleError {
        RuleError { failure, records: Vec::new() }
    }
}

impl From<CodecError> for RuleError {
    fn from(error: CodecError) -> RuleError {
        match error {
            CodecError::TooLarge { max } => RuleFailure::TooLargeDecompressed { max }.into(),
            CodecError::Unknown { .. } | CodecError::Damaged(_) => {
                RuleFailure::Decompression { what: error.to_string() }.into()
            }
        }
    }
}

impl From<RecordError> for RuleError {
    fn from(error: RecordError) -> RuleError {
        RuleFailure::Malformed(error).into()
    }
}

thread_local! {
    /// Decompressed records of the batch at hand; kept so that it need not be made anew for each batch.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// A larger scratch is given back after use.
const SCRATCH_KEPT_BYTES: usize = 4 << 20;

/// Checks a batch by its topic's rules, and rewrites it where they say so.
pub fn apply(batch: ValidBatch, rules: &TopicRules, now_ms: i64) -> Result<ValidBatch, RuleError> {
    SCRATCH.with_borrow_mut(|scratch| {
        let outcome = apply_with(batch, rules, now_ms, scratch);
        if scratch.capacity() > SCRATCH_KEPT_BYTES {
            *scratch = Vec::new();
        }
        outcome
    })
}

fn apply_with(
    batch: ValidBatch,
    rules: &TopicRules,
    now_ms: i64,
    scratch: &mut Vec<u8>,
) -> Result<ValidBatch, RuleError> {
    let log_append = rules.timestamp_type == TimestampType::LogAppend;
    let plain: &[u8] = match batch.codec() {
        Compression::None => batch.payload(),
        codec => {
            decompress(codec, batch.payload(), rules.decompressed_bytes_max, scratch)?;
            scratch
        }
    };
    let max_timestamp = check_records(&batch, plain, rules, now_ms)?;
    let wanted_max = if log_append { now_ms } else { max_timestamp };
    let codec = rules.compression.unwrap_or(batch.codec());
    let keeps_time =
        batch.header().max_timestamp == wanted_max && batch.header().timestamp_type() == rules.timestamp_type;
    let checked = if codec == batch.codec() && keeps_time {
        batch
    } else {
        let payload: PayloadSource<'_> =
            if codec == batch.codec() { PayloadSource::AsSent(batch.payload()) } else { PayloadSource::Plain(plain) };
        rewrite(&batch, payload, codec, rules, wanted_max, if log_append { now_ms } else { -1 })?
    };
    let bytes = checked.bytes().len();
    if bytes > rules.max_message_bytes {
        return Err(RuleFailure::TooLarge { bytes, max: rules.max_message_bytes }.into());
    }
    Ok(checked)
}

/// Walks over all records once; returns their largest timestamp.
fn check_records(batch: &ValidBatch, plain: &[u8], rules: &TopicRules, now_ms: i64) -> Result<i64, RuleError> {
    let header = batch.header();
    let create = rules.timestamp_type == TimestampType::Create;
    // Nobody but the broker sets the mark. Off a record with a time of its own it is taken again, where such times count.
    let is_marked = header.timestamp_type() == TimestampType::LogAppend;
    let mut max_timestamp = -1;
    let mut count = 0;
    let mut refused: Vec<(i32, String)> = Vec::new();
    let mut refuse = |record: &Record<'_>, why: &dyn Fn() -> String| {
        if refused.len() < NAMED_MAX {
            refused.push((record.offset_delta, why()));
        }
    };
    // As in Kafka, one record whose time is wrong makes it the time's failure, whatever is wrong with the others.
    let mut failure = RuleFailure::Record;
    for record in Records::new(plain, header.record_count) {
        let record = record?;
        count += 1;
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        if rules.needs_keys && record.key.is_none() {
            refuse(&record, &|| "Compacted topic cannot accept message without key.".to_owned());
        } else if create && timestamp != -1 {
            if !in_bounds(timestamp, now_ms, rules) {
                failure = RuleFailure::Timestamp;
                refuse(&record, &|| out_of_bounds(timestamp, record.offset_delta, now_ms, rules));
            }
        } else if is_marked {
            failure = RuleFailure::Timestamp;
            refuse(&record, &|| "Only the broker gives a message its LogAppendTime.".to_owned());
        }
    }
    if count != header.record_count {
        return Err(RecordError::Count { count: header.record_count, left: 0 }.into());
    }
    if !refused.is_empty() {
        return Err(RuleError { failure, records: refused });
    }
    Ok(max_timestamp)
}

fn out_of_bounds(timestamp: i64, offset: i32, now_ms: i64, rules: &TopicRules) -> String {
    let (min, max) = (now_ms.saturating_sub(rules.before_max_ms), now_ms.saturating_add(rules.after_max_ms));
    format!(
        "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within [{min}, {max}]"
    )
}

fn in_bounds(timestamp: i64, now_ms: i64, rules: &TopicRules) -> bool {
    timestamp >= now_ms.saturating_sub(rules.before_max_ms) && timestamp <= now_ms.saturating_add(rules.after_max_ms)
}

enum PayloadSource<'a> {
    /// Copied as it is.
    AsSent(&'a [u8]),
    /// Uncompressed records, to be compressed.
    Plain(&'a [u8]),
}

fn rewrite(
    batch: &ValidBatch,
    payload: PayloadSource<'_>,
    codec: Compression,
    rules: &TopicRules,
    max_timestamp: i64,
    log_append_time_ms: i64,
) -> Result<ValidBatch, RuleError> {
    let mut bytes = Vec::with_capacity(batch.bytes().len());
    bytes.extend_from_slice(batch.bytes().get(..HEADER_BYTES).unwrap_or_default());
    // Of a batch that it makes anew, Kafka keeps no attributes that it does not know.
    let kept_attributes = match payload {
        PayloadSource::AsSent(sent) => {
            bytes.extend_from_slice(sent);
            !0x0f
        }
        PayloadSource::Plain(plain) => {
            compress(codec, rules.levels, plain, &mut bytes)?;
            TRANSACTIONAL_MASK
        }
    };
    let Ok(length) = i32::try_from(bytes.len() - LOG_OVERHEAD_BYTES) else {
        return Err(RuleFailure::TooLarge { bytes: bytes.len(), max: rules.max_message_bytes }.into());
    };
    let time_bit = if rules.timestamp_type == TimestampType::LogAppend { 0x08 } else { 0 };
    let attributes = (batch.header().attributes & kept_attributes) | codec.code() | time_bit;
    let mut out = BytesMut::from(Bytes::from(bytes));
    put(&mut out, 8, &length.to_be_bytes());
    put(&mut out, 21, &attributes.to_be_bytes());
    put(&mut out, 35, &max_timestamp.to_be_bytes());
    put_crc(&mut out);
    let bytes = out.freeze();
    let header = BatchHeader::parse(&bytes).map_err(|e| RuleFailure::Decompression { what: e.to_string() })?;
    Ok(ValidBatch::rewritten(bytes, header, codec, log_append_time_ms))
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, NewRecord};
    use super::*;

    #[test]
    fn attributes_that_nobody_knows_stay_with_a_batch_only_as_long_as_its_records_are_not_compressed_anew() {
        let mut builder = BatchBuilder::new(1000);
        builder.push(&NewRecord { timestamp_ms: 1000, value: Some(b"value"), ..NewRecord::default() });
        let mut out = BytesMut::from(builder.finish().expect("built"));
        put(&mut out, 21, &0x4050i16.to_be_bytes());
        put_crc(&mut out);
        let sent = ValidBatch::parse(out.freeze()).expect("a batch");
        let attributes = |compression, timestamp_type| {
            let rules = TopicRules {
                max_message_bytes: 1 << 20,
                compression,
                levels: CompressionLevels::default(),
                timestamp_type,
                before_max_ms: i64::MAX,
                after_max_ms: i64::MAX,
                needs_keys: false,
                decompressed_bytes_max: 1 << 20,
            };
            apply(sent.clone(), &rules, 5).expect("taken").header().attributes
        };
        assert_eq!(attributes(None, TimestampType::Create), 0x4050);
        assert_eq!(attributes(None, TimestampType::LogAppend), 0x4058);
        assert_eq!(attributes(Some(Compression::Gzip), TimestampType::Create), 0x11);
    }
}
