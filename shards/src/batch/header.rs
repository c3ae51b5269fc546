//! The 61 bytes at the head of a v2 record batch. Pure.
//!
//! Invariant: parsing looks at the length and the magic only; what the fields say is for `valid` to judge.

use super::BatchError;
use super::crc::crc32c;

/// Bytes before the records.
pub const HEADER_BYTES: usize = 61;
/// Kafka's CRC covers everything from here on (the attributes).
pub const CRC_FROM: usize = 21;
/// Base offset and length: what precedes the bytes that the length counts.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Base offset, length, leader epoch and magic: what Kafka's CRC leaves out.
pub const PREFIX_BYTES: usize = 17;

pub(super) const COMPRESSION_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_MASK: i16 = 0x08;
pub(super) const TRANSACTIONAL_MASK: i16 = 0x10;
pub const CONTROL_MASK: i16 = 0x20;
/// The base timestamp is the time at which tombstones may go.
pub(super) const DELETE_HORIZON_MASK: i16 = 0x40;

/// Whose time a batch carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    Create,
    LogAppend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after this field.
    pub batch_length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(b) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchError::Truncated { bytes: bytes.len() });
        };
        let header = BatchHeader {
            base_offset: i64::from_be_bytes(at(b, 0)),
            batch_length: i32::from_be_bytes(at(b, 8)),
            leader_epoch: i32::from_be_bytes(at(b, 12)),
            magic: b[16].cast_signed(),
            crc: u32::from_be_bytes(at(b, 17)),
            attributes: i16::from_be_bytes(at(b, 21)),
            last_offset_delta: i32::from_be_bytes(at(b, 23)),
            base_timestamp: i64::from_be_bytes(at(b, 27)),
            max_timestamp: i64::from_be_bytes(at(b, 35)),
            producer_id: i64::from_be_bytes(at(b, 43)),
            producer_epoch: i16::from_be_bytes(at(b, 51)),
            base_sequence: i32::from_be_bytes(at(b, 53)),
            record_count: i32::from_be_bytes(at(b, 57)),
        };
        Ok(header)
    }

    /// Bytes of the whole batch; `None` if the length makes no sense.
    pub fn total_bytes(&self) -> Option<usize> {
        let length = usize::try_from(self.batch_length).ok()?;
        length.checked_add(LOG_OVERHEAD_BYTES).filter(|total| *total >= HEADER_BYTES)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn compression_code(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & TIMESTAMP_TYPE_MASK == 0 { TimestampType::Create } else { TimestampType::LogAppend }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_MASK != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_MASK != 0
    }

    /// From when on its tombstones may go; compaction sets it when it first sees them (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_MASK != 0).then_some(self.base_timestamp)
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }
}

/// Bytes at a fixed place of the header; the compiler drops the bounds check.
#[expect(clippy::indexing_slicing, reason = "the places are constants inside the header")]
fn at<const N: usize>(b: &[u8; HEADER_BYTES], from: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&b[from..from + N]);
    field
}

/// Overwrites a field of a header.
pub(super) fn put(batch: &mut [u8], at: usize, field: &[u8]) {
    if let Some(into) = batch.get_mut(at..at + field.len()) {
        into.copy_from_slice(field);
    }
}

/// Makes the CRC of a changed batch right again.
pub(super) fn put_crc(batch: &mut [u8]) {
    let crc = crc32c(batch.get(CRC_FROM..).unwrap_or_default());
    put(batch, CRC_FROM - 4, &crc.to_be_bytes());
}
