//! What compaction keeps of one batch, by Kafka's rules. Pure; no clock, no I/O.
//!
//! Invariant: the newest record of a key stays, unless it is a tombstone whose time is over; offsets and timestamps stay;
//! a batch of which nothing is taken keeps its bytes. Control batches have no keys of anybody's and stay as they are.
//!
//! Records of transactions count as all others do: at or above its start a log holds none of an aborted or open one, as an
//! import refuses such a log and appends refuse transactions.

use bytes::Bytes;

use super::map::KeyMap;
use crate::batch::{
    BatchHeader, CodecError, Compression, CompressionLevels, OpenBatch, Record, RetainError,
    STORED_DECOMPRESSED_BYTES_MAX,
};
use crate::planted::{PlantedFault, is_planted};
use crate::types::Offset;

/// One pass over a log.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Where the map ends: records from here on are kept.
    pub upto: Offset,
    pub now_ms: i64,
    /// How long a tombstone stays after a pass first saw it.
    pub delete_retention_ms: i64,
    pub levels: CompressionLevels,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleaned {
    AsItIs,
    Rewritten(Bytes),
    Gone,
}

/// Plain bytes that are looked through on the core, in about a millisecond.
const AT_ONCE_BYTES: usize = 1 << 20;
/// And so many of a codec that is slow: they may be compressed anew.
const SLOW_AT_ONCE_BYTES: usize = 64 << 10;

/// Memory that is used again for each batch.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Opens one whole batch.
    ///
    /// # Errors
    /// When it does not decompress.
    pub fn open<'a>(&'a mut self, batch: &'a [u8]) -> Result<OpenBatch<'a>, RetainError> {
        OpenBatch::new(batch, STORED_DECOMPRESSED_BYTES_MAX, &mut self.0)
    }

    /// Opens one whole batch, unless it takes longer to work on than a task may run: then it is to be done beside the core.
    ///
    /// # Errors
    /// When it does not decompress.
    pub fn open_at_once<'a>(&'a mut self, batch: &'a [u8]) -> Result<Option<OpenBatch<'a>>, RetainError> {
        let codec = Compression::from_code(BatchHeader::parse(batch)?.compression_code())?;
        let max = if codec.is_slow() { SLOW_AT_ONCE_BYTES } else { AT_ONCE_BYTES };
        if batch.len() > max {
            return Ok(None);
        }
        match OpenBatch::new(batch, max, &mut self.0) {
            Err(RetainError::Codec(CodecError::TooLarge { .. })) => Ok(None),
            opened => opened.map(Some),
        }
    }
}

/// Puts the keys of a batch into the map, from offset `from` on and below `upto`. Returns the first offset that found no room.
///
/// # Errors
/// When a record does not decode.
pub fn map_batch(
    batch: &OpenBatch<'_>,
    from: Offset,
    upto: Offset,
    map: &mut KeyMap,
) -> Result<Option<Offset>, RetainError> {
    if batch.header().is_control() {
        return Ok(None);
    }
    for record in batch.records() {
        let record = record?;
        let offset = offset_of(batch.header(), &record);
        if offset < from || offset >= upto {
            continue;
        }
        if let Some(key) = record.key
            && map.insert(key, offset).is_err()
        {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

/// Decides about one batch. `is_producers_last`: nothing of its idempotent producer came after it, so that its sequence must
/// not be lost with its records.
///
/// # Errors
/// When a record does not decode, or the codec fails.
pub fn clean_batch(
    batch: &OpenBatch<'_>,
    map: &KeyMap,
    pass: &Pass,
    is_producers_last: bool,
) -> Result<Cleaned, RetainError> {
    let header = batch.header();
    if header.is_control() {
        return Ok(Cleaned::AsItIs);
    }
    let tombstones_stay = header.delete_horizon_ms().is_none_or(|horizon| pass.now_ms < horizon);
    let keeps = |record: &Record<'_>| {
        let offset = offset_of(header, record);
        if offset >= pass.upto {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_newest = map.newest(key).is_none_or(|newest| match is_planted(PlantedFault::CompactionDropsNewest) {
            true => offset < newest,
            false => offset >= newest,
        });
        is_newest && (record.value.is_some() || tombstones_stay)
    };
    let (mut kept, mut has_tombstone) = (0, false);
    for record in batch.records() {
        let record = record?;
        if keeps(&record) {
            kept += 1;
            has_tombstone |= record.value.is_none() && offset_of(header, &record) < pass.upto;
        }
    }
    if kept == 0 {
        return match is_producers_last {
            true if header.record_count == 0 => Ok(Cleaned::AsItIs),
            true => Ok(Cleaned::Rewritten(batch.emptied()?)),
            false => Ok(Cleaned::Gone),
        };
    }
    let starts_horizon = has_tombstone && header.delete_horizon_ms().is_none();
    if kept == header.record_count && !starts_horizon {
        return Ok(Cleaned::AsItIs);
    }
    let horizon_ms = starts_horizon.then(|| pass.now_ms.saturating_add(pass.delete_retention_ms));
    Ok(Cleaned::Rewritten(batch.retain(horizon_ms, pass.levels, keeps)?))
}

fn offset_of(header: &BatchHeader, record: &Record<'_>) -> Offset {
    Offset(header.base_offset).plus(i64::from(record.offset_delta))
}
