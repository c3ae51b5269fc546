//! Kafka's v2 record batch: header view, checks, records, codecs. Pure; depends on nothing but the codec crates.

pub mod crc;
mod header;
mod valid;
mod walk;

pub use header::{BatchHeader, CRC_FROM, HEADER_BYTES, LOG_OVERHEAD_BYTES, PREFIX_BYTES, TimestampType};
pub use valid::{BatchError, ValidBatch, stamp};
pub use walk::{Walk, walk};
