//! A batch with some of its records taken out, as compaction leaves it. Pure.
//!
//! Invariant: offsets, timestamps and the range of offsets that the batch covers stay as they were.

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::codec::{CodecError, Compression, CompressionLevels, compress, decompress};
use super::header::{
    BatchHeader, COMPRESSION_MASK, DELETE_HORIZON_MASK, HEADER_BYTES, LOG_OVERHEAD_BYTES, TimestampType, put, put_crc,
};
use super::records::{Record, RecordError, Records};
use super::valid::BatchError;
use super::varint::{read_i32, read_i64, write_i32, write_i64};

#[derive(Debug, Error)]
pub enum RetainError {
    #[error(transparent)]
    Head(#[from] BatchError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("a batch of {bytes} bytes is longer than its length can say")]
    TooLong { bytes: usize },
}

/// A whole batch with its records decompressed.
pub struct OpenBatch<'a> {
    bytes: &'a [u8],
    header: BatchHeader,
    codec: Compression,
    plain: &'a [u8],
}

impl<'a> OpenBatch<'a> {
    /// Decompresses `bytes`, one whole batch, into `inflated` where it is compressed; at most `max` bytes.
    ///
    /// # Errors
    /// When it is no batch of a known codec, or does not decompress within `max`.
    pub fn new(bytes: &'a [u8], max: usize, inflated: &'a mut Vec<u8>) -> Result<OpenBatch<'a>, RetainError> {
        let header = BatchHeader::parse(bytes)?;
        let codec = Compression::from_code(header.compression_code())?;
        let stored = bytes.get(HEADER_BYTES..).unwrap_or_default();
        let plain = if codec == Compression::None || header.record_count == 0 {
            stored
        } else {
            decompress(codec, stored, max, inflated)?;
            inflated
        };
        Ok(OpenBatch { bytes, header, codec, plain })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Its records; their offsets may jump.
    pub fn records(&self) -> Records<'a> {
        Records::new(self.plain, self.header.record_count).with_gaps()
    }

    /// The batch with the records that `keep` wants, and with `horizon_ms` as the time at which its tombstones may go, if given.
    ///
    /// # Errors
    /// When a record does not decode or the codec fails.
    pub fn retain(
        &self,
        horizon_ms: Option<i64>,
        levels: CompressionLevels,
        mut keep: impl FnMut(&Record<'_>) -> bool,
    ) -> Result<Bytes, RetainError> {
        let base_timestamp = horizon_ms.unwrap_or(self.header.base_timestamp);
        let mut kept = Vec::with_capacity(self.plain.len());
        let (mut count, mut newest) = (0i32, -1i64);
        let mut records = self.records();
        let mut rest = records.rest();
        while let Some(record) = records.next() {
            let record = record?;
            let length = rest.len() - records.rest().len();
            let raw = rest.get(..length).unwrap_or_default();
            rest = records.rest();
            if !keep(&record) {
                continue;
            }
            count += 1;
            let timestamp = self.header.base_timestamp.wrapping_add(record.timestamp_delta);
            newest = newest.max(timestamp);
            if horizon_ms.is_some() {
                push_moved(&mut kept, raw, timestamp.wrapping_sub(base_timestamp));
            } else {
                kept.extend_from_slice(raw);
            }
        }
        if self.header.timestamp_type() == TimestampType::LogAppend {
            newest = self.header.max_timestamp;
        }
        self.close(&kept, count, base_timestamp, newest, horizon_ms.is_some(), levels)
    }

    /// The head of the batch alone: what is left of a producer whose records are all gone.
    ///
    /// # Errors
    /// None that a whole batch can cause.
    pub fn emptied(&self) -> Result<Bytes, RetainError> {
        let mut out = BytesMut::from(self.bytes.get(..HEADER_BYTES).unwrap_or_default());
        let attributes = self.header.attributes & !(DELETE_HORIZON_MASK | COMPRESSION_MASK);
        put(&mut out, 21, &attributes.to_be_bytes());
        put(&mut out, 27, &(-1i64).to_be_bytes());
        finish(out, 0)
    }

    fn close(
        &self,
        plain: &[u8],
        count: i32,
        base_timestamp: i64,
        newest: i64,
        has_horizon: bool,
        levels: CompressionLevels,
    ) -> Result<Bytes, RetainError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + plain.len());
        bytes.extend_from_slice(self.bytes.get(..HEADER_BYTES).unwrap_or_default());
        compress(self.codec, levels, plain, &mut bytes)?;
        let mut out = BytesMut::from(Bytes::from(bytes));
        let horizon = if has_horizon { DELETE_HORIZON_MASK } else { 0 };
        put(&mut out, 21, &(self.header.attributes | horizon).to_be_bytes());
        put(&mut out, 27, &base_timestamp.to_be_bytes());
        put(&mut out, 35, &newest.to_be_bytes());
        finish(out, count)
    }
}

fn finish(mut out: BytesMut, count: i32) -> Result<Bytes, RetainError> {
    let bytes = out.len();
    let length = i32::try_from(bytes - LOG_OVERHEAD_BYTES).map_err(|_| RetainError::TooLong { bytes })?;
    put(&mut out, 8, &length.to_be_bytes());
    put(&mut out, 57, &count.to_be_bytes());
    put_crc(&mut out);
    Ok(out.freeze())
}

/// A record whose batch has another base timestamp. `raw` was decoded before, so it has all its fields.
fn push_moved(out: &mut Vec<u8>, raw: &[u8], timestamp_delta: i64) {
    let mut body = raw;
    read_i32(&mut body);
    let (attributes, mut rest) = body.split_at_checked(1).unwrap_or_default();
    read_i64(&mut rest);
    let mut moved = Vec::with_capacity(raw.len() + 10);
    moved.extend_from_slice(attributes);
    write_i64(&mut moved, timestamp_delta);
    moved.extend_from_slice(rest);
    write_i32(out, i32::try_from(moved.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&moved);
}

#[cfg(test)]
mod tests {
    use super::super::builder::{BatchBuilder, NewRecord};
    use super::super::crc::crc32c;
    use super::super::header::CRC_FROM;
    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn batch(codec: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(5_000).compression(codec, CompressionLevels::default()).producer(7, 1, 40);
        for n in 0..10i64 {
            let value = (n % 3 != 0).then_some(&b"value"[..]);
            let record = NewRecord {
                timestamp_ms: 5_000 + n,
                key: Some(b"k"),
                value,
                headers: &[(b"h", Some(b"v")), (b"n", None)],
            };
            builder.push(&record);
        }
        builder.finish().expect("built")
    }

    fn seen(bytes: &[u8]) -> Vec<(i32, i64, Option<Vec<u8>>, usize)> {
        let mut inflated = Vec::new();
        let open = OpenBatch::new(bytes, 1 << 20, &mut inflated).expect("a batch");
        let base = open.header().base_timestamp;
        let one =
            |r: Record<'_>| (r.offset_delta, base + r.timestamp_delta, r.value.map(<[u8]>::to_vec), r.headers.count());
        open.records().map(|r| one(r.expect("a record"))).collect()
    }

    #[test]
    fn what_is_kept_keeps_offset_time_value_and_headers_in_every_codec() {
        for codec in CODECS {
            for horizon in [None, Some(0), Some(1_700_000_000_000)] {
                let bytes = batch(codec);
                let mut inflated = Vec::new();
                let open = OpenBatch::new(&bytes, 1 << 20, &mut inflated).expect("a batch");
                let kept =
                    open.retain(horizon, CompressionLevels::default(), |r| r.offset_delta % 4 == 1).expect("kept");
                let expected: Vec<_> = seen(&bytes).into_iter().filter(|r| r.0 % 4 == 1).collect();
                assert_eq!(seen(&kept), expected, "{codec:?} {horizon:?}");
                let (before, after) = (open.header(), BatchHeader::parse(&kept).expect("a header"));
                assert_eq!((after.last_offset_delta, after.record_count), (9, 3));
                assert_eq!((after.producer_id, after.producer_epoch, after.base_sequence), (7, 1, 40));
                assert_eq!(after.max_timestamp, 5_009);
                assert_eq!(after.delete_horizon_ms(), horizon);
                assert_eq!(after.compression_code(), before.compression_code());
                assert_eq!(after.total_bytes(), Some(kept.len()));
                assert_eq!(after.crc, crc32c(&kept[CRC_FROM..]));
            }
        }
    }

    #[test]
    fn an_emptied_batch_is_its_head_and_covers_the_same_offsets() {
        for codec in CODECS {
            let bytes = batch(codec);
            let mut inflated = Vec::new();
            let emptied = OpenBatch::new(&bytes, 1 << 20, &mut inflated).expect("a batch").emptied().expect("its head");
            let header = BatchHeader::parse(&emptied).expect("a header");
            assert_eq!((emptied.len(), header.record_count, header.last_offset_delta), (HEADER_BYTES, 0, 9));
            assert_eq!((header.max_timestamp, header.base_sequence, header.compression_code()), (5_009, 40, 0));
            assert_eq!(header.crc, crc32c(&emptied[CRC_FROM..]));
            assert!(seen(&emptied).is_empty());
        }
    }
}
