//! The bytes of a snapshot of the catalog, as Kafka writes them (KIP-630): a control batch with the header, batches of
//! metadata records, a control batch with the footer. Pure.
//!
//! Invariant: what is not whole from header to footer, with every checksum right, is refused.

use bytes::Bytes;
use thiserror::Error;

use crate::batch::crc::crc32c;
use crate::batch::{BatchBuilder, BatchHeader, CRC_FROM, CodecError, HEADER_BYTES, NewRecord, Records, stamp, walk};
use crate::catalog::{CatalogRecord, RecordError};
use crate::codec::{EncodeError, Message, Reader, Writer};
use crate::message;
use crate::types::{LeaderEpoch, Offset};

message! {
    SnapshotHeader, key 3, versions 0..=0, flexible 0..;
    version: i16,
    last_contained_log_timestamp: i64,
}

message! {
    SnapshotFooter, key 4, versions 0..=0, flexible 0..;
    version: i16,
}

/// Of both messages.
const VERSION: i16 = 0;
/// Kafka's version of a control record's key.
const CONTROL_KEY_VERSION: i16 = 0;

/// A snapshot could not be put into bytes.
#[derive(Debug, Error)]
pub enum SnapshotEncodeError {
    #[error(transparent)]
    Record(#[from] EncodeError),
    #[error(transparent)]
    Batch(#[from] CodecError),
}

/// Why bytes are no snapshot that a start may use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// The file has suffered, or a crash has cut it short before it got its name.
    #[error("{0}")]
    Damaged(String),
    #[error("snapshot format version {0} is not known to this build, which knows {VERSION}")]
    Version(i16),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Collects a snapshot.
pub struct SnapshotWriter {
    bytes: Vec<u8>,
    next_offset: Offset,
    epoch: LeaderEpoch,
    now_ms: i64,
}

impl SnapshotWriter {
    /// `epoch` is that of the last record contained.
    pub fn new(epoch: LeaderEpoch, now_ms: i64) -> Result<SnapshotWriter, SnapshotEncodeError> {
        let mut writer = SnapshotWriter { bytes: Vec::new(), next_offset: Offset::ZERO, epoch, now_ms };
        writer.control(&SnapshotHeader { version: VERSION, last_contained_log_timestamp: now_ms })?;
        Ok(writer)
    }

    /// Adds records, in the order in which they apply.
    pub fn push(&mut self, records: &[CatalogRecord]) -> Result<(), SnapshotEncodeError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut builder = BatchBuilder::new(self.now_ms);
        for record in records {
            let value = record.encode()?;
            builder.push(&NewRecord { timestamp_ms: self.now_ms, value: Some(&value), ..NewRecord::default() });
        }
        self.batch(builder)
    }

    pub fn finish(mut self) -> Result<Vec<u8>, SnapshotEncodeError> {
        self.control(&SnapshotFooter { version: VERSION })?;
        Ok(self.bytes)
    }

    fn control<M: Message>(&mut self, message: &M) -> Result<(), SnapshotEncodeError> {
        let mut key = Writer::default();
        key.i16(CONTROL_KEY_VERSION);
        key.i16(M::KEY);
        let mut value = Writer::default();
        message.encode(&mut value, VERSION)?;
        let (key, value) = (key.into_bytes(), value.into_bytes());
        let mut builder = BatchBuilder::new(self.now_ms).control();
        builder.push(&NewRecord {
            timestamp_ms: self.now_ms,
            key: Some(&key),
            value: Some(&value),
            ..NewRecord::default()
        });
        self.batch(builder)
    }

    fn batch(&mut self, builder: BatchBuilder) -> Result<(), SnapshotEncodeError> {
        let records = i64::from(builder.len());
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&builder.finish()?);
        stamp(&mut self.bytes[at..], self.next_offset, self.epoch);
        self.next_offset = self.next_offset.plus(records);
        Ok(())
    }
}

/// Reads the records of a whole snapshot.
pub fn read(bytes: &[u8]) -> Result<Vec<CatalogRecord>, SnapshotError> {
    let damaged = |what: &str| SnapshotError::Damaged(what.to_owned());
    let mut records = Vec::new();
    let (mut end, mut next_offset) = (0, 0);
    let (mut headed, mut footed) = (false, false);
    for (at, header) in walk(bytes) {
        let batch = header.total_bytes().and_then(|total| bytes.get(at..at + total));
        let batch = batch.ok_or_else(|| damaged("a batch is cut"))?;
        if batch.get(CRC_FROM..).map(crc32c) != Some(header.crc) {
            return Err(SnapshotError::Damaged(format!("the checksum of the batch at {at} does not match")));
        }
        if header.base_offset != next_offset || footed {
            return Err(SnapshotError::Damaged(format!("the batch at {at} does not follow the one before")));
        }
        next_offset = header.last_offset() + 1;
        end = at + batch.len();
        let payload = batch.get(HEADER_BYTES..).unwrap_or_default();
        match (header.is_control(), headed) {
            (true, false) => {
                control::<SnapshotHeader>(&header, payload, |message| message.version)?;
                headed = true;
            }
            (true, true) => {
                control::<SnapshotFooter>(&header, payload, |message| message.version)?;
                footed = true;
            }
            (false, true) => {
                for record in records_in(&header, payload) {
                    records.push(record?);
                }
            }
            (false, false) => return Err(damaged("it does not begin with its header")),
        }
    }
    if end != bytes.len() || !footed {
        return Err(damaged("it does not end with its footer"));
    }
    Ok(records)
}

/// The metadata records of one batch of the metadata log or of a snapshot.
pub fn records_in<'a>(
    header: &BatchHeader,
    payload: &'a [u8],
) -> impl Iterator<Item = Result<CatalogRecord, SnapshotError>> + use<'a> {
    Records::new(payload, header.record_count).map(|record| {
        let record = record.map_err(|e| SnapshotError::Damaged(e.to_string()))?;
        let value = record.value.ok_or_else(|| SnapshotError::Damaged("a record without a value".to_owned()))?;
        Ok(CatalogRecord::decode(&Bytes::copy_from_slice(value))?)
    })
}

/// Checks the one record of a control batch.
fn control<M: Message>(
    header: &BatchHeader,
    payload: &[u8],
    version: impl FnOnce(M) -> i16,
) -> Result<(), SnapshotError> {
    let damaged = |what: String| SnapshotError::Damaged(what);
    let Some(Ok(record)) = Records::new(payload, header.record_count).next() else {
        return Err(damaged("a control batch without its record".to_owned()));
    };
    let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
    let mut key = Reader::new(&key);
    if (key.i16(), key.i16()) != (Ok(CONTROL_KEY_VERSION), Ok(M::KEY)) {
        return Err(damaged("a control record of another kind than expected".to_owned()));
    }
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    let message = M::decode(&mut Reader::new(&value), VERSION).map_err(|e| damaged(e.to_string()))?;
    match version(message) {
        VERSION => Ok(()),
        found => Err(SnapshotError::Version(found)),
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
