//! The checks of a batch before it goes to its partition's owner, with the topic's config. Connection's core; pure.
//! Invariant: what passes can be appended byte for byte, but for base offset and leader epoch.

use bytes::Bytes;
use shards::batch::{
    BatchError, Compression, CompressionLevels, RuleError, RuleFailure, TimestampType, TopicRules, ValidBatch,
    WholeBatch, apply,
};
use shards::catalog::{TopicConfig, config};
use shards::request::AppendError;
use shards::router::oneshot::oneshot;

use super::super::Work;
use super::super::errors::append_error;
use crate::wire::{ErrorCode, Str};

/// zstd came with this version of Produce.
const ZSTD_VERSION_MIN: i16 = 7;
/// Records of so many bytes are looked into on the core, in about a millisecond; more of them beside it.
const PLAIN_BYTES: usize = 1 << 20;
/// And so many are compressed there by a codec that is slow.
const SLOW_BYTES: usize = 64 << 10;

/// What the checks depend on beside the topic.
pub(super) struct Rules {
    /// Of the request; this and the next.
    pub version: i16,
    pub acks: i16,
    /// Its topics have ids instead of names.
    pub by_id: bool,
    pub wall_ms: i64,
    pub decompressed_bytes_max: usize,
    /// A transaction of nobody: no request without a transactional id may write one, and nothing else with it.
    pub is_forbidden: bool,
}

/// Why a partition's batch was not appended.
#[derive(Debug)]
pub(super) struct Refused {
    pub code: ErrorCode,
    pub message: Option<Str>,
    /// Index in the batch and text of the records that made it fail.
    pub records: Vec<(i32, Option<Str>)>,
    /// Only the log would find it: whatever keeps the batch from the log is told instead.
    pub is_of_log: bool,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused { code, message: None, records: Vec::new(), is_of_log: false }
    }
}

/// The partition's one batch, by itself, in a topic with this config. Null records are empty ones: Kafka never answers those.
pub(super) fn parse(records: Option<Bytes>, config: &TopicConfig, rules: &Rules) -> Result<ValidBatch, Refused> {
    let batch = WholeBatch::parse(records.unwrap_or_default()).map_err(|e| malformed(&e))?;
    if batch.header().compression_code() == Compression::Zstd.code() && rules.version < ZSTD_VERSION_MIN {
        return Err(ErrorCode::UnsupportedCompressionType.into());
    }
    batch.check(bytes_max(config)).map_err(|e| malformed(&e))
}

/// The batch as it goes into the log of a topic with these rules. `beside` has work done that takes longer than a task may.
pub(super) async fn conform(
    beside: impl FnOnce(Work),
    batch: ValidBatch,
    topic: &TopicRules,
    wall_ms: i64,
) -> Result<ValidBatch, Refused> {
    if !is_long(&batch, topic) {
        let at_once = TopicRules { decompressed_bytes_max: topic.decompressed_bytes_max.min(PLAIN_BYTES), ..*topic };
        let applied = apply(batch.clone(), &at_once, wall_ms);
        let is_larger = |e: &RuleError| matches!(e.failure, RuleFailure::TooLargeDecompressed { max } if max < topic.decompressed_bytes_max);
        if !applied.as_ref().is_err_and(is_larger) {
            return applied.map_err(|e| against_rules(&e));
        }
    }
    let (reply, asked) = oneshot();
    let topic = *topic;
    beside(Box::new(move || reply.send(apply(batch, &topic, wall_ms))));
    match asked.await {
        Some(applied) => applied.map_err(|e| against_rules(&e)),
        None => Err(append_error(&AppendError::Stopping).into()),
    }
}

/// Whether that takes longer than a task may run, as far as can be told from the batch as it was sent.
fn is_long(batch: &ValidBatch, topic: &TopicRules) -> bool {
    let is_compressed_anew = topic.compression.is_some_and(|codec| codec != batch.codec() && codec.is_slow());
    batch.payload().len() > if is_compressed_anew { SLOW_BYTES } else { PLAIN_BYTES }
}

pub(super) fn topic_rules(config: &TopicConfig, rules: &Rules) -> TopicRules {
    TopicRules {
        max_message_bytes: bytes_max(config),
        compression: match config.compression() {
            config::Compression::Producer => None,
            config::Compression::Uncompressed => Some(Compression::None),
            config::Compression::Gzip(_) => Some(Compression::Gzip),
            config::Compression::Snappy => Some(Compression::Snappy),
            config::Compression::Lz4(_) => Some(Compression::Lz4),
            config::Compression::Zstd(_) => Some(Compression::Zstd),
        },
        levels: CompressionLevels { gzip: config.compression_gzip_level, zstd: config.compression_zstd_level },
        timestamp_type: match config.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::Create,
            config::TimestampType::LogAppendTime => TimestampType::LogAppend,
        },
        before_max_ms: config.timestamp_before_max_ms,
        after_max_ms: config.timestamp_after_max_ms,
        needs_keys: config.cleanup_policy.compact,
        decompressed_bytes_max: rules.decompressed_bytes_max,
    }
}

fn bytes_max(config: &TopicConfig) -> usize {
    usize::try_from(config.max_message_bytes).unwrap_or(0)
}

fn malformed(e: &BatchError) -> Refused {
    let code = match e {
        BatchError::UnknownMagic { .. } | BatchError::Length { .. } | BatchError::Checksum { .. } => {
            ErrorCode::CorruptMessage
        }
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        // Kafka's decompressor throws; and a client does not send the batch again, as it would after CORRUPT_MESSAGE.
        BatchError::Compression { .. } => ErrorCode::UnknownServerError,
        BatchError::Empty
        | BatchError::Truncated { .. }
        | BatchError::Several
        | BatchError::OldMagic { .. }
        | BatchError::BaseOffset { .. }
        | BatchError::Counts { .. }
        | BatchError::Control
        | BatchError::Sequence { .. } => ErrorCode::InvalidRecord,
    };
    let is_of_log = matches!(
        e,
        BatchError::Checksum { .. }
            | BatchError::BaseOffset { .. }
            | BatchError::TooLarge { .. }
            | BatchError::Counts { .. }
            | BatchError::Control
            | BatchError::Sequence { .. }
    );
    Refused { code, message: Some(Str::from(e.to_string())), records: Vec::new(), is_of_log }
}

fn against_rules(e: &RuleError) -> Refused {
    let code = match e.failure {
        RuleFailure::TooLarge { .. } => ErrorCode::MessageTooLarge,
        RuleFailure::Timestamp => ErrorCode::InvalidTimestamp,
        RuleFailure::Record | RuleFailure::Malformed(_) | RuleFailure::TooLargeDecompressed { .. } => {
            ErrorCode::InvalidRecord
        }
        RuleFailure::Decompression { .. } => ErrorCode::UnknownServerError,
    };
    let records = e.records.iter().map(|(index, text)| (*index, Some(Str::from(text.as_str()))));
    Refused { code, message: Some(Str::from(e.to_string())), records: records.collect(), is_of_log: true }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use futures_lite::future::block_on;
    use shards::batch::crc::crc32c;
    use shards::batch::{BatchBuilder, CRC_FROM, NewRecord};
    use shards::catalog::TopicDefaults;

    use super::*;

    const NOW_MS: i64 = 1_780_000_000_000;

    fn config(overrides: &[(&str, &str)]) -> TopicConfig {
        let overrides: BTreeMap<String, String> =
            overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        TopicDefaults::default().validate(&overrides).expect("good values")
    }

    fn batch(timestamp_ms: i64, key: Option<&[u8]>) -> Bytes {
        let mut builder = BatchBuilder::new(timestamp_ms);
        builder.push(&NewRecord { timestamp_ms, key, value: Some(b"value"), ..NewRecord::default() });
        builder.finish().expect("built")
    }

    fn rules() -> Rules {
        let decompressed_bytes_max = 4 << 20;
        Rules { version: 9, acks: -1, by_id: false, wall_ms: NOW_MS, decompressed_bytes_max, is_forbidden: false }
    }

    fn outcome(records: Option<Bytes>, overrides: &[(&str, &str)]) -> Result<ValidBatch, Refused> {
        let rules = rules();
        let config = config(overrides);
        apply(parse(records, &config, &rules)?, &topic_rules(&config, &rules), NOW_MS).map_err(|e| against_rules(&e))
    }

    fn code(records: Option<Bytes>, overrides: &[(&str, &str)]) -> ErrorCode {
        outcome(records, overrides).expect_err("refused").code
    }

    #[test]
    fn what_is_no_single_good_batch_has_kafkas_code() {
        assert_eq!(code(None, &[]), ErrorCode::InvalidRecord, "null");
        assert_eq!(code(Some(Bytes::new()), &[]), ErrorCode::InvalidRecord, "empty");
        let good = batch(NOW_MS, None).to_vec();
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Some(Bytes::from(bytes))
        };
        assert_eq!(code(Some([good.clone(), good.clone()].concat().into()), &[]), ErrorCode::InvalidRecord, "two");
        assert_eq!(code(Some(good[..good.len() - 1].to_vec().into()), &[]), ErrorCode::InvalidRecord, "truncated");
        assert_eq!(code(with(16, 1), &[]), ErrorCode::InvalidRecord, "magic 1");
        assert_eq!(code(with(16, 3), &[]), ErrorCode::CorruptMessage, "magic 3");
        assert_eq!(code(with(7, 1), &[]), ErrorCode::InvalidRecord, "base offset");
        assert_eq!(code(with(good.len() - 1, b'!'), &[]), ErrorCode::CorruptMessage, "CRC");
    }

    #[test]
    fn a_topics_rules_have_kafkas_codes_and_name_the_records() {
        assert_eq!(code(Some(batch(NOW_MS, None)), &[("max.message.bytes", "10")]), ErrorCode::MessageTooLarge);
        let refused = outcome(Some(batch(NOW_MS, None)), &[("cleanup.policy", "compact")]).expect_err("no key");
        assert_eq!((refused.code, refused.records.len()), (ErrorCode::InvalidRecord, 1));
        assert!(outcome(Some(batch(NOW_MS, Some(b"k"))), &[("cleanup.policy", "compact")]).is_ok());
        let refused = outcome(Some(batch(NOW_MS + 4_000_000, None)), &[]).expect_err("over an hour ahead");
        assert_eq!((refused.code, refused.records.len()), (ErrorCode::InvalidTimestamp, 1));
    }

    #[test]
    fn a_batch_is_held_to_its_size_as_it_was_sent_and_as_it_is_stored() {
        let mut builder = BatchBuilder::new(NOW_MS);
        builder.push(&NewRecord { timestamp_ms: NOW_MS, value: Some(&[b'x'; 500]), ..NewRecord::default() });
        let plain = builder.finish().expect("built");
        let max = [("max.message.bytes", "400")];
        assert_eq!(code(Some(plain.clone()), &[max[0], ("compression.type", "gzip")]), ErrorCode::MessageTooLarge);
        let mut builder = BatchBuilder::new(NOW_MS).compression(Compression::Gzip, CompressionLevels::default());
        builder.push(&NewRecord { timestamp_ms: NOW_MS, value: Some(&[b'x'; 500]), ..NewRecord::default() });
        let small = builder.finish().expect("built");
        assert!(outcome(Some(small.clone()), &max).is_ok());
        assert_eq!(code(Some(small), &[max[0], ("compression.type", "uncompressed")]), ErrorCode::MessageTooLarge);
        // What the log would say later.
        assert_eq!(code(Some(plain), &[max[0], ("cleanup.policy", "compact")]), ErrorCode::MessageTooLarge);
    }

    #[test]
    fn all_records_that_are_refused_are_named_and_one_of_the_wrong_time_makes_it_32() {
        let compacted = [("cleanup.policy", "compact")];
        let sent = |records: &[(Option<&[u8]>, i64)]| {
            let mut builder = BatchBuilder::new(NOW_MS);
            for (key, timestamp_ms) in records.iter().copied() {
                builder.push(&NewRecord { timestamp_ms, key, value: Some(b"value"), ..NewRecord::default() });
            }
            builder.finish().expect("built")
        };
        let named = |records: Bytes, overrides: &[(&str, &str)]| {
            let refused = outcome(Some(records), overrides).expect_err("refused");
            (refused.code, refused.records.iter().map(|(index, _)| *index).collect::<Vec<_>>())
        };
        let (key, late) = (Some(&b"k"[..]), NOW_MS + 4_000_000);
        let mixed = sent(&[(None, NOW_MS), (key, late), (key, NOW_MS), (None, late)]);
        assert_eq!(named(mixed, &compacted), (ErrorCode::InvalidTimestamp, vec![0, 1, 3]));
        let keyless = sent(&[(None, late), (key, NOW_MS), (None, NOW_MS)]);
        assert_eq!(named(keyless, &compacted), (ErrorCode::InvalidRecord, vec![0, 2]));
        let mut marked = sent(&[(None, NOW_MS), (key, NOW_MS)]).to_vec();
        marked[22] |= 0x08;
        let crc = crc32c(&marked[CRC_FROM..]);
        marked[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        let marked = Bytes::from(marked);
        let of_append = ("message.timestamp.type", "LogAppendTime");
        assert_eq!(named(marked.clone(), &[of_append]), (ErrorCode::InvalidTimestamp, vec![0, 1]));
        assert_eq!(named(marked.clone(), &[of_append, compacted[0]]), (ErrorCode::InvalidTimestamp, vec![0, 1]));
        assert!(outcome(Some(marked), &[]).is_ok(), "the mark is taken off");
    }

    #[test]
    fn of_very_many_refused_records_the_first_are_named() {
        let mut builder = BatchBuilder::new(NOW_MS);
        (0..5000).for_each(|_| builder.push(&NewRecord { timestamp_ms: NOW_MS, ..NewRecord::default() }));
        let refused = outcome(builder.finish().ok(), &[("cleanup.policy", "compact")]).expect_err("no keys");
        assert_eq!(refused.records.last().map(|(index, _)| *index), Some(999));
    }

    #[test]
    fn what_takes_long_is_done_beside_the_core_with_the_same_outcome() {
        let of_zeros = |bytes: usize, codec| {
            let mut builder = BatchBuilder::new(NOW_MS).compression(codec, CompressionLevels::default());
            builder.push(&NewRecord { timestamp_ms: NOW_MS, value: Some(&vec![0; bytes]), ..NewRecord::default() });
            builder.finish().expect("built")
        };
        let gzip = [("compression.type", "gzip")];
        let cases: [(_, &[(&str, &str)], _, _); 7] = [
            (of_zeros(100, Compression::Zstd), &[], false, Ok(())),
            (of_zeros(2 << 20, Compression::Zstd), &[], true, Ok(())),
            (of_zeros(5 << 20, Compression::Zstd), &[], true, Err(ErrorCode::InvalidRecord)),
            (of_zeros(2 << 20, Compression::None), &[], true, Ok(())),
            (of_zeros(100 << 10, Compression::None), &[], false, Ok(())),
            (of_zeros(100 << 10, Compression::None), &gzip, true, Ok(())),
            (of_zeros(10 << 10, Compression::None), &gzip, false, Ok(())),
        ];
        for (number, (sent, overrides, is_long, expected)) in cases.into_iter().enumerate() {
            let overrides = [overrides, &[("max.message.bytes", "10000000")]].concat();
            let (config, rules) = (config(&overrides), rules());
            let batch = parse(Some(sent), &config, &rules).expect("whole");
            let was_beside = Cell::new(false);
            let beside = |work: Work| {
                was_beside.set(true);
                work();
            };
            let outcome = block_on(conform(beside, batch, &topic_rules(&config, &rules), NOW_MS));
            assert_eq!(outcome.map(drop).map_err(|refused| refused.code), expected, "{number}");
            assert_eq!(was_beside.get(), is_long, "{number}");
        }
    }

    #[test]
    fn a_batch_that_needs_no_change_keeps_its_bytes() {
        let sent = batch(NOW_MS, None);
        assert_eq!(outcome(Some(sent.clone()), &[]).expect("taken").bytes().as_ptr(), sent.as_ptr());
        let stamped = outcome(Some(sent), &[("message.timestamp.type", "LogAppendTime")]).expect("taken");
        assert_eq!(stamped.log_append_time_ms(), NOW_MS);
    }
}
