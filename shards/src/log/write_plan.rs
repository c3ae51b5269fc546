//! What goes into segment files next, and what is known when it is there. Pure, owning core only.
//!
//! Invariant: only synced bytes, only whole blocks unless the last one is padded; one write of a partition at a time, so
//! two writes in flight never share a block (R9, R10).

use bytes::Bytes;
use smallvec::SmallVec;

use super::index::PageImage;
use super::segment::{ONLY_SYNCED, Segment, Stage, block_floor};
use super::state::PartitionLog;
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::BLOCK_BYTES;
use crate::types::{FilePos, Offset};

/// Bytes of one job: a longer run takes several, so that memory is let go of on the way.
pub const WRITE_JOB_BYTES_MAX: u64 = 4 << 20;

const _: () = assert!(WRITE_JOB_BYTES_MAX.is_multiple_of(BLOCK_BYTES as u64), "a job ends with a block");

/// How much of a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Whole blocks, and all of a closed segment.
    WholeBlocks,
    /// The partial block as well, padded with zeros.
    Everything,
}

/// Bytes for one segment file. `written` must be told when they are there; until then no other job is given.
#[derive(Clone, Debug)]
pub struct WriteJob {
    pub segment_base: Offset,
    /// Start of a block; or the segment's size, when its file is only to be finished.
    pub from: FilePos,
    pub upto: FilePos,
    pub pieces: SmallVec<[Bytes; 4]>,
    /// The file ends here: cut it, sync it, sync the directory (R11).
    pub seal: Option<FilePos>,
    /// Nothing is due behind it: no whole block that is synced now, no segment.
    pub is_last: bool,
    /// Pages of the sidecar that are full now.
    pub(super) index: Vec<PageImage>,
    pub(super) make_directory: bool,
    /// Files of this partition are in its directory, so it is nobody else's, whatever it says.
    pub(super) holds_files: bool,
}

impl WriteJob {
    pub fn bytes(&self) -> u64 {
        self.upto.0 - self.from.0
    }

    /// The last block is padded with zeros.
    pub fn pad(&self) -> bool {
        !self.upto.0.is_multiple_of(BLOCK_BYTES as u64)
    }
}

/// A segment file to be synced: covers what was written below `upto`.
#[derive(Clone, Debug)]
pub struct SyncJob {
    pub segment_base: Offset,
    pub upto: FilePos,
    /// What the journal must carry if the log moves on meanwhile.
    pub(super) block: SmallVec<[Bytes; 2]>,
}

/// The partial block of a cold tail: `from` is the start of a block, `upto` the log's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdTail {
    pub segment_base: Offset,
    pub from: FilePos,
    pub upto: FilePos,
}

impl PartitionLog {
    /// The next write of this partition, of `bytes_max` at most: whole blocks, one at least, and no more than
    /// [`WRITE_JOB_BYTES_MAX`]. `None` while one is in flight or nothing is due.
    pub fn next_write(&mut self, kind: WriteKind, bytes_max: u64) -> Option<WriteJob> {
        let bytes_max = block_floor(bytes_max).clamp(BLOCK_BYTES as u64, WRITE_JOB_BYTES_MAX);
        if self.write_in_flight {
            return None;
        }
        let segment = self.unsealed().next()?;
        let early = is_planted(PlantedFault::UnsyncedInSegment);
        let durable = if early { segment.attached } else { segment.durable };
        let whole_end = block_floor(durable).min(segment.written.saturating_add(bytes_max));
        let rest = durable - segment.written;
        let may_finish = segment.stage == Stage::Rolled { seal_is_synced: true } && durable == segment.placed;
        let finishes = may_finish && rest <= bytes_max;
        let upto = if finishes {
            segment.placed
        } else if whole_end > segment.written {
            whole_end
        } else if kind == WriteKind::Everything && segment.is_active() && rest > 0 {
            durable
        } else {
            return None;
        };
        let pieces = self.tail.slices(segment.base, segment.end_offset, segment.written, upto);
        let job = WriteJob {
            segment_base: segment.base,
            from: FilePos(segment.written),
            upto: FilePos(upto),
            pieces,
            seal: finishes.then_some(FilePos(upto)),
            is_last: !may_finish && upto >= block_floor(durable),
            index: pages_due(segment, upto, finishes),
            make_directory: !self.directory_is_made,
            holds_files: self.has_file_through(segment),
        };
        self.write_in_flight = true;
        Some(job)
    }

    /// Whole blocks are not in their file yet, synced or not, or a closed segment is not finished.
    pub fn has_to_be_written(&self) -> bool {
        self.unsealed().next().is_some_and(|s| block_floor(s.placed) > s.written || !s.is_active())
    }

    /// A job was given and is not carried out yet.
    pub fn is_being_written(&self) -> bool {
        self.write_in_flight
    }

    /// Whether there is a file of this segment, or of one before it.
    fn has_file_through(&self, segment: &Segment) -> bool {
        let mut before = self.segments.iter().take_while(|s| s.base < segment.base);
        segment.written > 0 || before.any(|s| !s.is_without_file)
    }

    /// A job is carried out; with a seal, the file is finished and synced.
    pub fn written(&mut self, job: &WriteJob) {
        assert!(self.write_in_flight, "a write ends after it began");
        self.write_in_flight = false;
        self.directory_is_made = true;
        let Some(segment) = self.unsealed_mut().next().filter(|s| s.base == job.segment_base) else { return };
        assert_eq!(segment.written, job.from.0, "writes of a partition end in order");
        assert!(job.upto.0 <= segment.durable || is_planted(PlantedFault::UnsyncedInSegment), "{ONLY_SYNCED}");
        segment.index_pages += job.index.iter().filter(|page| !page.is_footer).count() as u32;
        if let Some(index) = &mut segment.index {
            index.forget(job.index.iter().map(|page| page.entries).sum());
        }
        if job.seal.is_some() {
            segment.written = job.upto.0;
            segment.file_synced = job.upto.0;
            segment.stage = Stage::Sealed;
            segment.index = None;
            self.kept = None;
        } else if !job.pad() {
            segment.written = job.upto.0;
        } else if segment.placed == job.upto.0 && segment.is_active() {
            // Nothing followed: the block is at rest, and leaves memory (R12).
            segment.written = job.upto.0;
            while !self.tail.is_empty() {
                self.keep_for_carry();
                self.tail.pop_front();
            }
        }
    }

    /// There are writes to a segment file that are not synced.
    pub fn is_file_dirty(&self) -> bool {
        self.dirty().is_some()
    }

    fn dirty(&self) -> Option<&Segment> {
        self.unsealed().next().filter(|s| s.written > s.file_synced)
    }

    /// The oldest segment file with unsynced writes. Tell `file_synced` when the sync has ended.
    pub fn needs_file_sync(&self) -> Option<SyncJob> {
        let segment = self.dirty()?;
        let block = self.block_from(segment, segment.written, segment.written + BLOCK_BYTES as u64);
        Some(SyncJob { segment_base: segment.base, upto: FilePos(segment.written), block })
    }

    /// What must be read and given to `warm_tail` before the next batch is placed; `None` if nothing.
    pub fn cold_tail(&self) -> Option<ColdTail> {
        let active = self.segments.back().filter(|s| s.is_cold())?;
        Some(ColdTail {
            segment_base: active.base,
            from: FilePos(block_floor(active.placed)),
            upto: FilePos(active.placed),
        })
    }
}

fn pages_due(segment: &Segment, upto: u64, finishes: bool) -> Vec<PageImage> {
    let mut pages = match &segment.index {
        Some(index) => index.pages(segment.index_pages, upto, finishes),
        None => Vec::new(),
    };
    if finishes {
        let number = segment.index_pages + pages.len() as u32;
        pages.push(PageImage::footer(
            segment.base,
            number,
            segment.placed,
            segment.end_offset,
            segment.max_timestamp_ms,
        ));
    }
    pages
}
