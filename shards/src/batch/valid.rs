//! A batch that passed the checks which need nothing but its bytes. Pure.
//!
//! Invariant: a `ValidBatch` is exactly one whole v2 batch whose CRC, counts and lengths agree.

use bytes::Bytes;
use thiserror::Error;

use super::codec::{CodecError, Compression};
use super::crc::crc32c;
use super::header::{BatchHeader, CRC_FROM, HEADER_BYTES};
use crate::types::{LeaderEpoch, Offset};

/// What is wrong with a batch that a producer sent. The number is the error code that Kafka 4.3 gives.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    /// (87)
    #[error("the partition's records are empty")]
    Empty,
    /// (87)
    #[error("{bytes} bytes are no whole record batch")]
    Truncated { bytes: usize },
    /// (87)
    #[error("more than one record batch for one partition")]
    Several,
    /// Formats before v2 (87).
    #[error("record batch of magic {magic}: only version 2 is taken")]
    OldMagic { magic: i8 },
    /// (2)
    #[error("record batch of unknown magic {magic}")]
    UnknownMagic { magic: i8 },
    /// (2)
    #[error("a record batch of length {length}: shorter than its own header")]
    Length { length: i32 },
    /// (10)
    #[error("The record batch of {bytes} bytes is larger than max.message.bytes, which is {max}")]
    TooLarge { bytes: usize, max: usize },
    /// (2)
    #[error("the record batch's checksum is {stored:08x}, its bytes give {computed:08x}")]
    Checksum { stored: u32, computed: u32 },
    /// (87)
    #[error("base offset {base}: a producer's batch starts at 0")]
    BaseOffset { base: i64 },
    /// (87)
    #[error("{count} records, yet the last offset delta is {last_delta}")]
    Counts { count: i32, last_delta: i32 },
    /// (87)
    #[error("producers must not send control batches")]
    Control,
    /// (87)
    #[error("producer {producer_id} with sequence {sequence}")]
    Sequence { producer_id: i64, sequence: i32 },
    /// (-1)
    #[error("compression code {code} is not known")]
    Compression { code: i16 },
}

/// The bytes of one batch, whole as far as its length says; nothing behind the length and the magic was looked at.
#[derive(Clone, Debug)]
pub struct WholeBatch {
    bytes: Bytes,
    header: BatchHeader,
}

/// Least length in front of a message of format 0: its checksum, magic, attributes, and the lengths of key and value.
const LEGACY_BYTES_MIN: i32 = 14;

/// One record batch, checked. Owns its bytes (a slice of the frame that it came in).
#[derive(Clone, Debug)]
pub struct ValidBatch {
    bytes: Bytes,
    header: BatchHeader,
    codec: Compression,
    log_append_time_ms: i64,
}

impl WholeBatch {
    /// Finds the batch in what a producer sent for one partition. A batch behind it that is cut off is ignored, as by Kafka.
    pub fn parse(bytes: Bytes) -> Result<WholeBatch, BatchError> {
        if bytes.is_empty() {
            return Err(BatchError::Empty);
        }
        match bytes.get(16).map(|magic| magic.cast_signed()) {
            None => return Err(BatchError::Truncated { bytes: bytes.len() }),
            Some(2) => {}
            Some(magic @ (0 | 1)) => return Err(BatchError::OldMagic { magic }),
            Some(magic) => return Err(BatchError::UnknownMagic { magic }),
        }
        let header = BatchHeader::parse(&bytes)?;
        if header.total_bytes().is_none() {
            return Err(BatchError::Length { length: header.batch_length });
        }
        let total = whole(&header, bytes.len()).ok_or(BatchError::Truncated { bytes: bytes.len() })?;
        refuse_more(bytes.get(total..).unwrap_or_default())?;
        Ok(WholeBatch { bytes: bytes.slice(..total), header })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The checks of Kafka's log, in its order; as it was sent the batch may have so many bytes.
    pub fn check(self, bytes_max: usize) -> Result<ValidBatch, BatchError> {
        let WholeBatch { bytes, header } = self;
        if header.base_offset != 0 {
            return Err(BatchError::BaseOffset { base: header.base_offset });
        }
        if bytes.len() > bytes_max {
            return Err(BatchError::TooLarge { bytes: bytes.len(), max: bytes_max });
        }
        let computed = crc32c(bytes.get(CRC_FROM..).unwrap_or_default());
        if computed != header.crc {
            return Err(BatchError::Checksum { stored: header.crc, computed });
        }
        if header.record_count <= 0 || i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
            return Err(BatchError::Counts { count: header.record_count, last_delta: header.last_offset_delta });
        }
        if header.is_control() {
            return Err(BatchError::Control);
        }
        if header.has_producer() && header.base_sequence < 0 {
            return Err(BatchError::Sequence { producer_id: header.producer_id, sequence: header.base_sequence });
        }
        let codec = Compression::from_code(header.compression_code())?;
        Ok(ValidBatch { bytes, header, codec, log_append_time_ms: -1 })
    }
}

/// What follows the batch must be nothing, or too little to be looked at. Kafka judges by the length and the magic alone, in this
/// order (`ByteBufferLogInputStream`).
fn refuse_more(rest: &[u8]) -> Result<(), BatchError> {
    let Some(length) = rest.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes) else {
        return Ok(());
    };
    if length < LEGACY_BYTES_MIN {
        return Err(BatchError::Length { length });
    }
    match rest.get(16).map(|magic| magic.cast_signed()) {
        Some(magic) if !(0..=2).contains(&magic) => Err(BatchError::UnknownMagic { magic }),
        Some(_) if i64::from(length) + 12 <= rest.len() as i64 => Err(BatchError::Several),
        _ => Ok(()),
    }
}

impl ValidBatch {
    /// The one batch of these bytes, however large.
    pub fn parse(bytes: Bytes) -> Result<ValidBatch, BatchError> {
        WholeBatch::parse(bytes)?.check(usize::MAX)
    }

    /// After a rewrite whose bytes are known to be right.
    pub(super) fn rewritten(
        bytes: Bytes,
        header: BatchHeader,
        codec: Compression,
        log_append_time_ms: i64,
    ) -> ValidBatch {
        ValidBatch { bytes, header, codec, log_append_time_ms }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn codec(&self) -> Compression {
        self.codec
    }

    /// The records as they were sent, perhaps compressed.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The time that the broker gave the batch; -1 if it kept the producer's.
    pub fn log_append_time_ms(&self) -> i64 {
        self.log_append_time_ms
    }
}

/// Bytes of a batch that fits into `available`.
fn whole(header: &BatchHeader, available: usize) -> Option<usize> {
    header.total_bytes().filter(|total| *total <= available)
}

impl From<CodecError> for BatchError {
    fn from(error: CodecError) -> BatchError {
        match error {
            CodecError::Unknown { code } => BatchError::Compression { code },
            // Only the code is looked at here.
            CodecError::TooLarge { .. } | CodecError::Damaged(_) => BatchError::Compression { code: -1 },
        }
    }
}

/// Writes the offset and the leader epoch, which Kafka's CRC leaves out, into a batch's first bytes.
///
/// # Panics
/// When `batch` is shorter than its header: it was checked before.
#[expect(clippy::indexing_slicing, reason = "a checked batch is longer than its header")]
pub fn stamp(batch: &mut [u8], base: Offset, epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&base.0.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, NewRecord};
    use super::super::header::LOG_OVERHEAD_BYTES;
    use super::*;

    fn batch(records: i32) -> Vec<u8> {
        let mut builder = BatchBuilder::new(1000);
        for _ in 0..records {
            builder.push(&NewRecord { timestamp_ms: 1000, value: Some(b"value"), ..NewRecord::default() });
        }
        builder.finish().expect("built").to_vec()
    }

    fn with_crc(mut bytes: Vec<u8>) -> Bytes {
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        bytes.into()
    }

    fn refused(bytes: impl Into<Bytes>) -> BatchError {
        ValidBatch::parse(bytes.into()).expect_err("refused")
    }

    #[test]
    fn a_built_batch_is_taken_and_a_cut_tail_behind_it_is_ignored() {
        let bytes = batch(3);
        assert_eq!(ValidBatch::parse(bytes.clone().into()).expect("taken").header().record_count, 3);
        let mut more = bytes.clone();
        more.extend_from_slice(&bytes[..bytes.len() - 1]);
        assert_eq!(ValidBatch::parse(more.into()).expect("taken").bytes().len(), bytes.len());
    }

    #[test]
    fn each_kind_of_damage_has_its_own_error() {
        assert_eq!(refused(Vec::new()), BatchError::Empty);
        let good = batch(2);
        assert!(matches!(refused(good[..good.len() - 1].to_vec()), BatchError::Truncated { .. }));
        assert!(matches!(refused(good[..10].to_vec()), BatchError::Truncated { .. }));
        assert_eq!(refused([good.clone(), good.clone()].concat()), BatchError::Several);
        // As Kafka judges them: by length and magic, whatever else they are.
        let behind = |length: i32, magic: u8, bytes: usize| {
            let mut more = [&[0; 8], &length.to_be_bytes()[..], &[0; 4], &[magic]].concat();
            more.resize(bytes, 0);
            WholeBatch::parse([good.clone(), more].concat().into()).err()
        };
        for (length, magic, bytes, expected) in [
            (0, 0, 11, None),
            (13, 2, 12, Some(BatchError::Length { length: 13 })),
            (-1, 0, 100, Some(BatchError::Length { length: -1 })),
            (14, 3, 16, None),
            (14, 3, 17, Some(BatchError::UnknownMagic { magic: 3 })),
            (14, 0, 26, Some(BatchError::Several)),
            (14, 1, 25, None),
            (i32::MAX, 2, 100, None),
        ] {
            assert_eq!(behind(length, magic, bytes), expected, "{length} {magic} {bytes}");
        }
        for (magic, error) in [(1, BatchError::OldMagic { magic: 1 }), (3, BatchError::UnknownMagic { magic: 3 })] {
            let mut bytes = good.clone();
            bytes[16] = magic;
            assert_eq!(refused(bytes), error);
        }
        let mut bytes = good.clone();
        bytes[7] = 5;
        assert_eq!(refused(bytes), BatchError::BaseOffset { base: 5 });
        let mut bytes = good.clone();
        bytes[60] = 3;
        assert_eq!(refused(with_crc(bytes)), BatchError::Counts { count: 3, last_delta: 1 });
        let mut bytes = good.clone();
        bytes[22] |= 0x20;
        assert_eq!(refused(with_crc(bytes)), BatchError::Control);
        let mut bytes = good.clone();
        bytes[22] |= 7;
        assert_eq!(refused(with_crc(bytes)), BatchError::Compression { code: 7 });
        let mut bytes = good;
        bytes[43..51].copy_from_slice(&7i64.to_be_bytes());
        assert_eq!(refused(with_crc(bytes)), BatchError::Sequence { producer_id: 7, sequence: -1 });
    }

    #[test]
    fn a_base_offset_is_told_before_the_size_and_the_size_before_the_checksum() {
        let mut bytes = batch(2);
        let (len, last) = (bytes.len(), bytes.len() - 1);
        let refused = |bytes: &[u8], max| {
            WholeBatch::parse(Bytes::copy_from_slice(bytes)).expect("whole").check(max).expect_err("refused")
        };
        assert_eq!(refused(&bytes, len - 1), BatchError::TooLarge { bytes: len, max: len - 1 });
        bytes[last] ^= 1;
        assert!(matches!(refused(&bytes, len), BatchError::Checksum { .. }));
        assert!(matches!(refused(&bytes, len - 1), BatchError::TooLarge { .. }));
        bytes[7] = 5;
        assert_eq!(refused(&bytes, len - 1), BatchError::BaseOffset { base: 5 });
    }

    #[test]
    fn every_bit_that_the_crc_covers_is_checked() {
        let good = batch(1);
        for bit in CRC_FROM * 8..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(refused(bytes), BatchError::Checksum { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_damage_and_one_that_is_not_there_yet_a_batch_cut_short() {
        let of_length = |length: i32| {
            let mut bytes = batch(1);
            bytes[8..LOG_OVERHEAD_BYTES].copy_from_slice(&length.to_be_bytes());
            refused(bytes)
        };
        for length in [-1, 0, 48] {
            assert_eq!(of_length(length), BatchError::Length { length });
        }
        assert!(matches!(of_length(i32::MAX), BatchError::Truncated { .. }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            // Random bytes never have the right checksum.
            proptest::prop_assert!(ValidBatch::parse(bytes.into()).is_err());
        }
    }
}
