//! The records inside a batch, without copies. Pure.
//!
//! Invariant: every length is checked against the bytes that are left; offsets inside a batch count up from 0, unless
//! the reader says that there may be gaps.

use thiserror::Error;

use super::varint::{read_i32, read_i64};

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("record {index}: it ends before its {what}")]
    Short { index: i32, what: &'static str },
    #[error("record {index}: {left} bytes are left after its fields")]
    Trailing { index: i32, left: usize },
    #[error("record {index}: offset delta {delta}")]
    OffsetDelta { index: i32, delta: i32 },
    #[error("{count} records announced, {left} bytes follow the last")]
    Count { count: i32, left: usize },
}

/// One record; slices of the batch's (uncompressed) bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of a record, checked to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: i32,
    bytes: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        read_header(&mut self.bytes)
    }
}

/// Walks over `count` records in uncompressed bytes; ends at the first error.
pub struct Records<'a> {
    bytes: &'a [u8],
    index: i32,
    count: i32,
    gaps: bool,
    failed: bool,
}

impl<'a> Records<'a> {
    /// `bytes` is what follows the batch header, uncompressed.
    pub fn new(bytes: &'a [u8], count: i32) -> Records<'a> {
        Records { bytes, index: 0, count, gaps: false, failed: false }
    }

    /// Takes batches that compaction has thinned out: their offsets jump. No producer sends such.
    pub fn with_gaps(self) -> Records<'a> {
        Records { gaps: true, ..self }
    }

    /// The bytes that were not walked over yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn read(&mut self) -> Result<Record<'a>, RecordError> {
        let index = self.index;
        let short = |what| RecordError::Short { index, what };
        let len = read_i32(&mut self.bytes).ok_or(short("length"))?;
        let len = usize::try_from(len).map_err(|_| short("length"))?;
        let Some((mut body, rest)) = self.bytes.split_at_checked(len) else { return Err(short("end")) };
        self.bytes = rest;
        // Attributes of a record are unused.
        body = body.get(1..).ok_or(short("attributes"))?;
        let timestamp_delta = read_i64(&mut body).ok_or(short("timestamp"))?;
        let offset_delta = read_i32(&mut body).ok_or(short("offset"))?;
        let key = read_bytes(&mut body).ok_or(short("key"))?;
        let value = read_bytes(&mut body).ok_or(short("value"))?;
        let count = read_i32(&mut body).filter(|count| *count >= 0).ok_or(short("header count"))?;
        let headers = Headers { count, bytes: body };
        for _ in 0..count {
            read_header(&mut body).ok_or(short("headers"))?;
        }
        if !body.is_empty() {
            return Err(RecordError::Trailing { index, left: body.len() });
        }
        if offset_delta != index && !self.gaps {
            return Err(RecordError::OffsetDelta { index, delta: offset_delta });
        }
        self.index += 1;
        Ok(Record { offset_delta, timestamp_delta, key, value, headers })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.index >= self.count {
            if self.bytes.is_empty() {
                return None;
            }
            self.failed = true;
            return Some(Err(RecordError::Count { count: self.count, left: self.bytes.len() }));
        }
        let record = self.read();
        self.failed = record.is_err();
        Some(record)
    }
}

/// A length and that many bytes; -1 is null.
fn read_bytes<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match read_i32(from)? {
        -1 => Some(None),
        len => {
            let (bytes, rest) = from.split_at_checked(usize::try_from(len).ok()?)?;
            *from = rest;
            Some(Some(bytes))
        }
    }
}

fn read_header<'a>(from: &mut &'a [u8]) -> Option<Header<'a>> {
    let key = read_bytes(from)??;
    let value = read_bytes(from)?;
    Some(Header { key, value })
}
