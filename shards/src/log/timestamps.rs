//! The first record of one batch that is not older than a timestamp. Pure. Invariant: none of the batch is trusted; what does not
//! decode is an error.

use crate::batch::{
    BatchHeader, Compression, HEADER_BYTES, Records, STORED_DECOMPRESSED_BYTES_MAX, TimestampType, decompress,
};
use crate::types::{LeaderEpoch, Listed, Offset};

/// Looks at the records of a whole batch from offset `from` on.
pub fn first_record(batch: &[u8], at_ms: i64, from: Offset) -> Result<Option<Listed>, &'static str> {
    let header = BatchHeader::parse(batch).map_err(|_| "a batch is cut off")?;
    let listed = |offset_delta: i32, timestamp_ms| Listed {
        offset: Offset(header.base_offset).plus(i64::from(offset_delta)),
        timestamp_ms,
        epoch: LeaderEpoch(header.leader_epoch),
    };
    if header.max_timestamp < at_ms || header.record_count == 0 {
        return Ok(None);
    }
    let first_delta = (from.0 - header.base_offset).max(0);
    let is_whole = i64::from(header.record_count) == i64::from(header.last_offset_delta) + 1;
    let is_log_append = header.timestamp_type() == TimestampType::LogAppend;
    if is_log_append && is_whole {
        // All records have the batch's time.
        let delta = i32::try_from(first_delta).ok().filter(|delta| *delta <= header.last_offset_delta);
        return Ok(delta.map(|delta| listed(delta, header.max_timestamp)));
    }
    let stored = batch.get(HEADER_BYTES..).unwrap_or_default();
    let codec = Compression::from_code(header.compression_code()).map_err(|_| "its compression is not known")?;
    let mut inflated = Vec::new();
    let payload = if codec == Compression::None {
        stored
    } else {
        decompress(codec, stored, STORED_DECOMPRESSED_BYTES_MAX, &mut inflated)
            .map_err(|_| "it does not decompress")?;
        &inflated
    };
    for record in Records::new(payload, header.record_count).with_gaps() {
        let record = record.map_err(|_| "its records do not decode")?;
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
