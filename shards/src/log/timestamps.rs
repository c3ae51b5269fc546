//! The first record of one batch that is not older than a timestamp. Pure.
//!
//! Invariant: none of the batch is trusted. Its checksum is right, so what does not decode is what its producer sent: then the batch
//! counts as one record.

use crate::batch::{BatchHeader, CodecError, Compression, HEADER_BYTES, Records, TimestampType, decompress};
use crate::types::{LeaderEpoch, Listed, Offset};

/// The records of a batch take more memory, and more time, than there is for a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Looks at the records of a whole batch from offset `from` on; at most `max` bytes of them once they are decompressed.
pub fn first_record(batch: &[u8], at_ms: i64, from: Offset, max: usize) -> Result<Option<Listed>, TooLarge> {
    let Ok(header) = BatchHeader::parse(batch) else { return Ok(None) };
    let listed = |offset_delta: i32, timestamp_ms| Listed {
        offset: Offset(header.base_offset).plus(i64::from(offset_delta)),
        timestamp_ms,
        epoch: LeaderEpoch(header.leader_epoch),
    };
    if header.max_timestamp < at_ms || header.record_count == 0 {
        return Ok(None);
    }
    let first_delta = (from.0 - header.base_offset).max(0);
    let first_of_all = || {
        let delta = i32::try_from(first_delta).ok().filter(|delta| *delta <= header.last_offset_delta);
        delta.map(|delta| listed(delta, header.max_timestamp))
    };
    let is_whole = i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1;
    let is_log_append = header.timestamp_type() == TimestampType::LogAppend;
    if is_log_append && is_whole {
        // All records have the batch's time.
        return Ok(first_of_all());
    }
    let stored = batch.get(HEADER_BYTES..).unwrap_or_default();
    let Ok(codec) = Compression::from_code(header.compression_code()) else { return Ok(first_of_all()) };
    let mut inflated = Vec::new();
    let payload = if codec == Compression::None {
        stored
    } else {
        match decompress(codec, stored, max, &mut inflated) {
            Ok(()) => &inflated,
            Err(CodecError::TooLarge { .. }) => return Err(TooLarge),
            Err(_) => return Ok(first_of_all()),
        }
    };
    for record in Records::new(payload, header.record_count).with_gaps() {
        let Ok(record) = record else { return Ok(first_of_all()) };
        let timestamp_ms = match is_log_append {
            true => header.max_timestamp,
            false => header.base_timestamp.saturating_add(record.timestamp_delta),
        };
        if timestamp_ms >= at_ms && i64::from(record.offset_delta) >= first_delta {
            return Ok(Some(listed(record.offset_delta, timestamp_ms)));
        }
    }
    Ok(None)
}
