//! Makes batches: for the catalog, the command line's client and tests. Pure.

use bytes::{Bytes, BytesMut};

use super::codec::{CodecError, Compression, CompressionLevels, compress};
use super::crc::crc32c;
use super::header::{CONTROL_MASK, CRC_FROM, HEADER_BYTES, LOG_OVERHEAD_BYTES, TimestampType};
use super::varint::{write_i32, write_i64};

/// A record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Collects records of one batch.
pub struct BatchBuilder {
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    codec: Compression,
    levels: CompressionLevels,
    attributes: i16,
    producer: (i64, i16, i32),
}

impl BatchBuilder {
    /// Timestamps of records are stored as differences to the base.
    pub fn new(base_timestamp_ms: i64) -> BatchBuilder {
        BatchBuilder {
            records: Vec::new(),
            count: 0,
            base_timestamp: base_timestamp_ms,
            max_timestamp: -1,
            codec: Compression::None,
            levels: CompressionLevels::default(),
            attributes: 0,
            producer: (-1, -1, -1),
        }
    }

    pub fn compression(mut self, codec: Compression, levels: CompressionLevels) -> BatchBuilder {
        self.codec = codec;
        self.levels = levels;
        self
    }

    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Makes a control batch, which no client sees.
    pub fn control(mut self) -> BatchBuilder {
        self.attributes |= CONTROL_MASK;
        self
    }

    pub fn timestamp_type(mut self, kind: TimestampType) -> BatchBuilder {
        self.attributes = match kind {
            TimestampType::Create => self.attributes & !0x08,
            TimestampType::LogAppend => self.attributes | 0x08,
        };
        self
    }

    pub fn push(&mut self, record: &NewRecord<'_>) {
        let mut body = Vec::with_capacity(32 + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len));
        body.push(0);
        write_i64(&mut body, record.timestamp_ms.wrapping_sub(self.base_timestamp));
        write_i32(&mut body, self.count);
        push_bytes(&mut body, record.key);
        push_bytes(&mut body, record.value);
        write_i32(&mut body, length(record.headers.len()));
        for (key, value) in record.headers {
            push_bytes(&mut body, Some(key));
            push_bytes(&mut body, *value);
        }
        write_i32(&mut self.records, length(body.len()));
        self.records.extend_from_slice(&body);
        self.count += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp_ms);
    }

    pub fn len(&self) -> i32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Uncompressed bytes so far, with the header.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    pub fn finish(self) -> Result<Bytes, CodecError> {
        let mut batch = Vec::with_capacity(self.bytes());
        batch.resize(HEADER_BYTES, 0);
        compress(self.codec, self.levels, &self.records, &mut batch)?;
        let mut head = BytesMut::with_capacity(HEADER_BYTES);
        head.extend_from_slice(&0i64.to_be_bytes());
        head.extend_from_slice(&length(batch.len() - LOG_OVERHEAD_BYTES).to_be_bytes());
        head.extend_from_slice(&(-1i32).to_be_bytes());
        head.extend_from_slice(&[2]);
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&(self.attributes | self.codec.code()).to_be_bytes());
        head.extend_from_slice(&(self.count - 1).to_be_bytes());
        head.extend_from_slice(&self.base_timestamp.to_be_bytes());
        head.extend_from_slice(&self.max_timestamp.to_be_bytes());
        head.extend_from_slice(&self.producer.0.to_be_bytes());
        head.extend_from_slice(&self.producer.1.to_be_bytes());
        head.extend_from_slice(&self.producer.2.to_be_bytes());
        head.extend_from_slice(&self.count.to_be_bytes());
        if let Some(into) = batch.get_mut(..HEADER_BYTES) {
            into.copy_from_slice(&head);
        }
        let crc = crc32c(batch.get(CRC_FROM..).unwrap_or_default());
        if let Some(into) = batch.get_mut(CRC_FROM - 4..CRC_FROM) {
            into.copy_from_slice(&crc.to_be_bytes());
        }
        Ok(batch.into())
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_i32(out, -1),
        Some(bytes) => {
            write_i32(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}

/// Our own batches are far below 2 GiB.
fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
