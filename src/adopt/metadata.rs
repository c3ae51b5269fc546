//! Reads what Kafka's metadata log says: its newest snapshot, and the log behind it. Blocking.
//!
//! Invariant: every batch is held against its CRC, every segment follows the one before and ends with its last batch; a log
//! that does not reach back to its snapshot is refused.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shards::batch::Records;
use shards::catalog::kafka::{Image, KafkaRecord};
use shards::log::StoredBatch;
use shards::shard::at_rest::snapshot_offset;
use shards::types::Offset;

use super::AdoptError;
use super::source::{METADATA_LOG, SegmentFile, Source};

/// Kafka's type of the control record that ends a snapshot.
const SNAPSHOT_FOOTER: i16 = 4;

/// What the metadata log comes to, and where it ends.
pub fn read(source: &Source) -> Result<(Image, Offset), AdoptError> {
    let dir = source.root.join(METADATA_LOG);
    let mut image = Image::default();
    let mut at = Offset::ZERO;
    if let Some((offset, path)) = newest_snapshot(&dir)? {
        read_snapshot(path, &mut image)?;
        at = offset;
    }
    let segments = source.segments(&dir)?;
    let mut end: Option<Offset> = None;
    for segment in &segments {
        if let Some(end) = end.filter(|end| *end != segment.base) {
            return Err(damaged(&segment.path, format!("it does not follow offset {}", end.0)));
        }
        let (mut next, mut position) = (segment.base, 0);
        for batch in segment.batches()? {
            let batch = batch?;
            if end.is_none() && next == segment.base && batch.header.base_offset > at.0 {
                return Err(damaged(&segment.path, format!("the log begins behind offset {}", at.0)));
            }
            (next, position) = (Offset(batch.header.last_offset()).plus(1), batch.end());
            if !batch.header.is_control() && next > at {
                apply(&segment.path, &batch, at, &mut image)?;
            }
        }
        // Kafka makes no file of this log in advance: zeros are where records were, and others may follow them.
        if position < segment.bytes {
            let (path, place) = (segment.path.clone(), Some((position, next.0)));
            return Err(AdoptError::Damaged { path, place, what: "zeros stand where records should".to_owned() });
        }
        end = Some(next);
    }
    Ok((image, end.map_or(at, |end| end.max(at))))
}

fn damaged(path: &Path, what: String) -> AdoptError {
    AdoptError::Damaged { path: path.to_owned(), place: None, what }
}

fn newest_snapshot(dir: &Path) -> Result<Option<(Offset, PathBuf)>, AdoptError> {
    let read = |source| AdoptError::Read { path: dir.to_owned(), source };
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let offset = path.file_name().and_then(|name| name.to_str()).and_then(snapshot_offset);
        newest = newest.max(offset.map(|offset| (offset, path)));
    }
    Ok(newest)
}

/// A snapshot's records; it is whole if it ends with its footer.
fn read_snapshot(path: PathBuf, image: &mut Image) -> Result<(), AdoptError> {
    let segment = SegmentFile::find(Offset::ZERO, path)?;
    let mut is_whole = false;
    for batch in segment.batches()? {
        let batch = batch?;
        if batch.header.is_control() {
            is_whole = control_types(&batch).contains(&SNAPSHOT_FOOTER);
        } else {
            apply(&segment.path, &batch, Offset::ZERO, image)?;
        }
    }
    if is_whole { Ok(()) } else { Err(damaged(&segment.path, "it does not end with its footer".to_owned())) }
}

fn control_types(batch: &StoredBatch) -> Vec<i16> {
    let records = Records::new(batch.payload(), batch.header.record_count);
    let kind = |key: &[u8]| key.get(2..4)?.first_chunk::<2>().map(|kind| i16::from_be_bytes(*kind));
    records.map_while(Result::ok).filter_map(|record| record.key.and_then(kind)).collect()
}

/// The records of a batch from offset `from` on.
fn apply(path: &Path, batch: &StoredBatch, from: Offset, image: &mut Image) -> Result<(), AdoptError> {
    let header = &batch.header;
    let at = |offset: i64, what: String| AdoptError::Damaged {
        path: path.to_owned(),
        place: Some((batch.position, offset)),
        what,
    };
    if header.compression_code() != 0 {
        return Err(at(header.base_offset, "its records are compressed, as Kafka's never are here".to_owned()));
    }
    for record in Records::new(batch.payload(), header.record_count) {
        let record = record.map_err(|e| at(header.base_offset, e.to_string()))?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset < from.0 {
            continue;
        }
        let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
        let record = KafkaRecord::decode(&value).map_err(|e| at(offset, e.to_string()))?;
        image.apply(record).map_err(|e| at(offset, e.to_string()))?;
    }
    Ok(())
}
