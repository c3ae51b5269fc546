//! Kafka's v2 record batch: header view, checks, records, codecs. Pure; depends on nothing but the codec crates.
//!
//! `header` is the view of the 61 bytes, `valid` a batch that passed its checks, `rules` what a topic asks of it, `records`
//! what is inside, `retain` what compaction leaves of it, `codec` the compressions, `builder` makes batches, `walk` finds them
//! in a stretch of log; `legacy` knows what came before batches.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod builder;
mod codec;
pub mod crc;
mod header;
mod legacy;
mod records;
mod retain;
mod rules;
mod valid;
mod varint;
mod walk;

pub use builder::{BatchBuilder, NewRecord};
pub use codec::{CodecError, Compression, CompressionLevels, STORED_DECOMPRESSED_BYTES_MAX, compress, decompress};
pub use header::{BatchHeader, CRC_FROM, HEADER_BYTES, LOG_OVERHEAD_BYTES, PREFIX_BYTES, TimestampType};
pub use legacy::{legacy_bytes, legacy_format};
pub use records::{Header, Headers, Record, RecordError, Records};
pub use retain::{OpenBatch, RetainError};
pub use rules::{RuleError, RuleFailure, TopicRules, apply};
pub use valid::{BatchError, ValidBatch, WholeBatch, stamp};
pub use walk::{Walk, walk};
