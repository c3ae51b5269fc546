//! Copies one partition's log into a data directory of ours, batch by batch as it is. Blocking.
//!
//! Invariant: bytes behind the last batch are not copied. Nothing is synced: whoever fills a directory does that once for all of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use shards::journal::checkpoint::PartitionCheckpoint;
use shards::log::{FileKind, METADATA_FILE, PartitionDir, metadata_text};
use shards::shard::adopted::{AdoptedLog, AdoptedSegment, Forget, Unfit};
use shards::types::Offset;

use super::source::{SegmentFile, Source, epochs};
use super::{AdoptError, Copied};

/// Written at once.
const WRITE_BYTES: usize = 1 << 20;

/// Copies the log of a partition from `source` below `partitions`, the directory of all partitions. Producers that it has to
/// `forget` are not carried over.
///
/// Records above the last high watermark that Kafka has written down are taken, too: it serves them itself once it has started,
/// as the only replica's.
pub fn copy(
    source: &Source,
    dir: &PartitionDir,
    partitions: &Path,
    forget: Forget,
    copied: &mut Copied,
    advance: &mut dyn FnMut(u64, u64),
) -> Result<PartitionCheckpoint, AdoptError> {
    let name = dir.name();
    let from = source.partition(&name, dir.id.topic)?;
    let mut segments = source.segments(&from)?;
    let log_start = source.log_start(&name, &segments);
    // The last one may be empty: its name says where the log goes on.
    let last_base = segments.last().map_or(Offset::ZERO, |last| last.base);
    let mut log_end = last_base;
    let mut filled = Vec::new();
    for segment in segments.drain(..) {
        let is_last = segment.base == last_base;
        if segment.has_batches()? {
            filled.push(segment);
        } else if (!is_last && segment.bytes > 0) || !segment.is_zero_from(0)? {
            return Err(zeros(&segment, 0));
        } else if filled.is_empty() && !is_last {
            // Compaction has taken all of it: the log begins there still.
            filled.push(segment);
        }
    }
    // What lies wholly below the log start is deleted already, but for its files.
    let dropped = filled.partition_point(|segment| segment.base <= log_start).saturating_sub(1);
    filled.drain(..dropped);
    let mut log = AdoptedLog::new(dir.id, log_start);
    if !filled.is_empty() {
        let to = partitions.join(&name);
        fs::create_dir(&to).map_err(|e| AdoptError::write(&to, e))?;
        store(&to.join(METADATA_FILE), metadata_text(dir.id.topic).as_bytes())?;
        for (at, segment) in filled.iter().enumerate() {
            let next = filled.get(at + 1).map(|next| next.base);
            let mut learnt = log.segment(segment.base);
            copy_segment(segment, &to, &mut learnt, copied, advance)?;
            // Only where Kafka writes next may a file go on behind its batches, and with nothing.
            let goes_on = learnt.bytes() < segment.bytes;
            if goes_on && (segment.base != last_base || !segment.is_zero_from(learnt.bytes())?) {
                return Err(zeros(segment, learnt.bytes()));
            }
            log_end = log_end.max(learnt.end_offset());
            let index = learnt.seal(next.unwrap_or(log_end));
            let index = index.map_err(|unfit| AdoptError::unfit(&segment.path, None, unfit))?;
            store(&to.join(FileKind::Index.name(segment.base)), &index)?;
        }
    }
    if let Some(told) = source.high_watermark(&name).filter(|told| *told > log_end) {
        return Err(AdoptError::EndsEarly { path: from, end: log_end, told });
    }
    let line = log.finish(log_end, epochs(&from)?, forget);
    line.map_err(|unfit| AdoptError::unfit(&from, None, unfit))
}

fn zeros(segment: &SegmentFile, position: u64) -> AdoptError {
    let what = format!("from byte {position} on it holds zeros where batches were");
    AdoptError::Damaged { path: segment.path.clone(), place: None, what }
}

fn copy_segment(
    segment: &SegmentFile,
    to: &Path,
    learnt: &mut AdoptedSegment<'_>,
    copied: &mut Copied,
    advance: &mut dyn FnMut(u64, u64),
) -> Result<(), AdoptError> {
    let path = to.join(FileKind::Log.name(segment.base));
    let write = |e| AdoptError::write(&path, e);
    let mut file = BufWriter::with_capacity(WRITE_BYTES, File::create_new(&path).map_err(write)?);
    copied.segments += 1;
    for batch in segment.batches()? {
        let batch = batch?;
        let place = Some((batch.position, batch.header.base_offset));
        learnt.batch(&batch).map_err(|unfit: Unfit| AdoptError::unfit(&segment.path, place, unfit))?;
        file.write_all(&batch.bytes).map_err(write)?;
        let (bytes, records) = (batch.bytes.len() as u64, u64::try_from(batch.header.record_count).unwrap_or(0));
        copied.batches += 1;
        copied.records += records;
        copied.bytes += bytes;
        advance(bytes, records);
    }
    file.flush().map_err(write)
}

/// Writes a whole file.
pub fn store(path: &Path, content: &[u8]) -> Result<(), AdoptError> {
    let stored = || File::create_new(path)?.write_all(content);
    stored().map_err(|e: io::Error| AdoptError::write(path, e))
}
