//! The log of one partition: which bytes exist, where they are, what may be written and read. Pure. Owning core only.
//!
//! Bytes come in as pieces of frozen commit buffers, become durable in the journal, are written behind into segment files,
//! and stay readable from memory until they are evicted.
//!
//! Invariant: memory holds one unbroken run of the log's bytes that ends at its end; what is before it is in segment files.
//! Only synced bytes are given out for writing (R9), in whole blocks until the segment ends (R10).

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use super::segments::{ActiveSegment, RollRules, Seal, Segment};
use crate::batch::BatchHeader;
use crate::runtime::BLOCK_BYTES;
use crate::types::{FilePos, Offset};

pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;
/// Most bytes that one write job takes, so that a large backlog of one partition does not hold up the others.
const JOB_BYTES_MAX: u64 = 4 << 20;

/// Bytes of one batch, or the rest of one, in memory.
#[derive(Clone, Debug)]
pub struct Piece {
    pub segment_base: Offset,
    pub position: FilePos,
    /// Of the batch that the bytes belong to.
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: i64,
    /// Sequence of the commit whose buffer holds the bytes; 0 for a copy of their own.
    pub commit: u64,
    /// The batch starts before these bytes.
    pub is_rest: bool,
    pub bytes: Bytes,
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.position.0 + self.bytes.len() as u64
    }
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub seal: Option<Seal>,
    pub segment_base: Offset,
    pub position: FilePos,
    pub base_offset: Offset,
}

/// How far a write may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Whole blocks only; a finished segment to its end.
    WholeBlocks,
    /// The partial block at the end too, padded.
    Everything,
}

/// Bytes for a segment file, in order.
#[derive(Clone, Debug)]
pub struct WriteJob {
    pub segment_base: Offset,
    /// A whole block.
    pub from: FilePos,
    pub pieces: SmallVec<[Bytes; 4]>,
    /// End of the pieces; the last block is padded with zeros if this is inside it.
    pub upto: FilePos,
    /// The segment ends here: cut the file to size and sync it (R11).
    pub seals: bool,
}

impl WriteJob {
    pub fn bytes(&self) -> u64 {
        self.upto.0 - self.from.0
    }
}

/// A segment file that was written to and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncJob {
    pub segment_base: Offset,
    upto: FilePos,
}

/// The partial block at the end, for the journal to carry (R12).
#[derive(Clone, Debug)]
pub struct Carry {
    pub segment_base: Offset,
    pub position: FilePos,
    pub bytes: SmallVec<[Bytes; 4]>,
}

/// The partial block at the end, to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdTail {
    pub segment_base: Offset,
    pub position: FilePos,
    pub len: usize,
}

/// How far the files of segments that are not finished on disk are.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    base: Offset,
    /// Bytes in the file: whole blocks, or all of them after a padded write.
    written: u64,
    synced: u64,
}

/// What the checkpoint keeps of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSnapshot {
    pub log_start: Offset,
    pub log_end: Offset,
    pub sealed: Vec<Segment>,
    pub active: Option<ActiveSegment>,
    /// The files that do not hold all of their segment yet; all others are whole and synced.
    pub files: Vec<FileMark>,
}

/// How much of a segment is synced in its file: whole blocks, or everything with the last block padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    pub base: Offset,
    pub synced: FilePos,
}

#[derive(Debug, Default)]
pub struct PartitionLog {
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    durable_end: Offset,
    pub(super) sealed: Vec<Segment>,
    pub(super) active: Option<ActiveSegment>,
    /// Files behind: those of sealed segments that wait for their end, and the active one's. Oldest first.
    unfinished: VecDeque<Unfinished>,
    pub(super) pieces: VecDeque<Piece>,
    /// The file of the active segment holds all of it, padded, and memory does not have its last block.
    cold: bool,
    writing: bool,
    has_directory: bool,
    dropped: Vec<Offset>,
}

impl PartitionLog {
    pub fn new() -> PartitionLog {
        PartitionLog::default()
    }

    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Nothing was ever appended and nothing was cut.
    pub fn is_untouched(&self) -> bool {
        self.log_end == Offset::ZERO && self.log_start == Offset::ZERO && self.active.is_none()
    }

    /// A segment file was made, so there is a directory.
    pub fn has_directory(&self) -> bool {
        self.has_directory
    }

    /// Base of the oldest segment; the log's end when there is none.
    pub fn first_segment_base(&self) -> Offset {
        self.sealed.first().map(|s| s.base).or(self.active.map(|a| a.base)).unwrap_or(self.log_end)
    }

    pub fn total_bytes(&self) -> u64 {
        self.sealed.iter().map(|s| s.size).sum::<u64>() + self.active.map_or(0, |a| a.size)
    }

    /// Decides where a batch goes and moves the log's end past it.
    pub fn place(&mut self, header: &BatchHeader, len: usize, rules: &RollRules) -> Placement {
        assert!(!self.cold, "the tail must be warm before an append (R10)");
        let len = len as u64;
        let base_offset = self.log_end;
        let last_offset = base_offset.plus(i64::from(header.last_offset_delta));
        let must_roll = self.active.is_some_and(|a| a.must_roll(len, last_offset, header.max_timestamp, rules));
        let seal = if must_roll { self.seal_active() } else { None };
        let active = self.active.get_or_insert_with(|| ActiveSegment::new(base_offset, header.max_timestamp));
        let position = FilePos(active.size);
        if position.0 == 0 {
            self.unfinished.push_back(Unfinished { base: base_offset, written: 0, synced: 0 });
        }
        active.size += len;
        active.max_timestamp = active.max_timestamp.max(header.max_timestamp);
        self.log_end = last_offset.plus(1);
        Placement { seal, segment_base: active.base, position, base_offset }
    }

    /// Ends the active segment; the next batch opens another.
    pub fn seal_active(&mut self) -> Option<Seal> {
        let active = self.active.take()?;
        self.sealed.push(Segment {
            base: active.base,
            size: active.size,
            last_offset: self.log_end.plus(-1),
            max_timestamp: active.max_timestamp,
        });
        Some(Seal { base: active.base, size: FilePos(active.size) })
    }

    /// The bytes of a placed batch can be read now.
    pub fn attach(&mut self, piece: Piece) {
        debug_assert!(
            self.pieces.back().is_none_or(|last| last.segment_base != piece.segment_base || last.end() == piece.position.0),
            "pieces follow each other"
        );
        self.pieces.push_back(piece);
    }

    /// Everything below `end` is synced in the journal.
    pub fn synced(&mut self, end: Offset) {
        self.durable_end = self.durable_end.max(end);
    }

    /// The next bytes for a segment file, if there are any. One job at a time.
    pub fn next_write(&mut self, kind: WriteKind) -> Option<WriteJob> {
        if self.writing {
            return None;
        }
        let file = *self.unfinished.front()?;
        let sealed = self.sealed.iter().rev().find(|s| s.base == file.base).copied();
        let durable = self.durable_bytes(file.base);
        let upto = match sealed {
            Some(segment) if durable == segment.size => segment.size,
            _ if kind == WriteKind::Everything => durable,
            _ => durable / BLOCK * BLOCK,
        };
        let seals = sealed.is_some_and(|segment| segment.size == upto);
        if upto <= file.written && !seals {
            return None;
        }
        // A block that was written padded is written again from its start: memory has it, for the journal does (R10).
        let from = file.written / BLOCK * BLOCK;
        let (upto, seals) = if upto - from > JOB_BYTES_MAX { (from + JOB_BYTES_MAX, false) } else { (upto, seals) };
        let pieces = if upto > file.written { self.slices(file.base, from, upto) } else { SmallVec::new() };
        let from = if pieces.is_empty() { upto } else { from };
        self.writing = true;
        Some(WriteJob { segment_base: file.base, from: FilePos(from), pieces, upto: FilePos(upto), seals })
    }

    /// A job is done: its bytes are in the file, and synced if it sealed.
    pub fn written(&mut self, job: &WriteJob) {
        self.writing = false;
        self.has_directory = true;
        let Some(at) = self.unfinished.iter().position(|f| f.base == job.segment_base) else { return };
        if job.seals {
            self.unfinished.remove(at);
        } else {
            self.unfinished[at].written = job.upto.0;
        }
    }

    /// A job failed and may be tried again.
    pub fn write_failed(&mut self) {
        self.writing = false;
    }

    /// A file that must be synced before the checkpoint may speak of its bytes.
    pub fn needs_file_sync(&self) -> Option<SyncJob> {
        let file = self.unfinished.iter().find(|f| f.written > f.synced)?;
        Some(SyncJob { segment_base: file.base, upto: FilePos(file.written) })
    }

    pub fn file_synced(&mut self, job: &SyncJob) {
        if let Some(file) = self.unfinished.iter_mut().find(|f| f.base == job.segment_base) {
            file.synced = file.synced.max(job.upto.0);
        }
    }

    /// Lets go of the buffers of commits up to `commit`, as far as their bytes are in files; what is left of them in the
    /// last block is copied.
    pub fn evict_through(&mut self, commit: u64) {
        while let Some(first) = self.pieces.front() {
            if first.commit > commit || first.end() > self.kept_from(first.segment_base) {
                break;
            }
            self.pieces.pop_front();
        }
        self.copy_rest(commit);
    }

    /// Bytes that are in no file yet, or in a block that will be written again.
    fn copy_rest(&mut self, commit: u64) {
        for index in 0..self.pieces.len() {
            let piece = &self.pieces[index];
            if piece.commit == 0 || piece.commit > commit {
                break;
            }
            let from = self.kept_from(piece.segment_base).max(piece.position.0);
            if from >= piece.end() {
                continue;
            }
            let cut = (from - piece.position.0) as usize;
            let piece = &mut self.pieces[index];
            piece.bytes = Bytes::copy_from_slice(&piece.bytes[cut..]);
            piece.is_rest |= cut > 0;
            piece.position = FilePos(from);
            piece.commit = 0;
        }
    }

    /// Bytes of a segment from here on must stay in memory: no file has them, or their block will be written again.
    fn kept_from(&self, base: Offset) -> u64 {
        self.unfinished.iter().find(|f| f.base == base).map_or(u64::MAX, |f| f.written / BLOCK * BLOCK)
    }

    /// The partial block at the end, as far as it is synced; `None` when there is nothing to carry.
    pub fn carry(&self) -> Option<Carry> {
        let active = self.active?;
        if self.cold {
            return None;
        }
        let durable = self.durable_bytes(active.base);
        let from = self.bytes_in_file(active.base) / BLOCK * BLOCK;
        if durable <= from {
            return None;
        }
        let bytes = self.slices(active.base, from, durable);
        (!bytes.is_empty()).then(|| Carry { segment_base: active.base, position: FilePos(from), bytes })
    }

    /// Appends must wait until the partial block was read back.
    pub fn tail_is_cold(&self) -> bool {
        self.cold
    }

    /// What must be read back.
    pub fn cold_tail(&self) -> Option<ColdTail> {
        let active = self.active.filter(|_| self.cold)?;
        let from = active.size / BLOCK * BLOCK;
        Some(ColdTail { segment_base: active.base, position: FilePos(from), len: (active.size - from) as usize })
    }

    /// The partial block is in memory again.
    pub fn warm_tail(&mut self, bytes: Bytes) {
        let Some(tail) = self.cold_tail() else { return };
        assert_eq!(bytes.len(), tail.len, "the whole partial block");
        self.cold = false;
        self.pieces.clear();
        let last_offset = self.log_end.plus(-1);
        self.pieces.push_back(Piece {
            segment_base: tail.segment_base,
            position: tail.position,
            base_offset: last_offset,
            last_offset,
            max_timestamp: -1,
            commit: 0,
            is_rest: true,
            bytes,
        });
    }

    /// The partial block leaves memory if the file has all of it, synced (R12).
    pub fn cool_tail(&mut self) {
        let Some(active) = self.active else {
            if self.unfinished.is_empty() {
                self.pieces.clear();
            }
            return;
        };
        let in_file = self.unfinished.back().filter(|f| f.base == active.base).map_or(0, |f| f.synced);
        if self.unfinished.len() > 1 || in_file < active.size || self.writing {
            return;
        }
        self.pieces.clear();
        self.cold = !active.size.is_multiple_of(BLOCK);
    }

    /// What is durable, and what of it the files are known to hold.
    pub fn snapshot(&self) -> LogSnapshot {
        let mut sealed = self.sealed.clone();
        let mut active = self.active.filter(|a| a.base < self.durable_end);
        // Segments that were opened or ended by appends that are not synced yet have not happened.
        while let Some(last) = sealed.last().copied()
            && last.last_offset >= self.durable_end
        {
            sealed.pop();
            let open = ActiveSegment { base: last.base, size: 0, max_timestamp: last.max_timestamp, first_timestamp: -1 };
            active = (last.base < self.durable_end).then_some(open);
        }
        if let Some(active) = &mut active {
            active.size = self.durable_bytes(active.base);
        }
        let files = self.unfinished.iter().filter(|f| f.base < self.durable_end);
        LogSnapshot {
            log_start: self.log_start,
            log_end: self.durable_end.max(self.log_start),
            sealed,
            active,
            files: files.map(|f| FileMark { base: f.base, synced: FilePos(f.synced) }).collect(),
        }
    }

    /// Bytes of a segment up to the durable end.
    fn durable_bytes(&self, base: Offset) -> u64 {
        let last = self.pieces.iter().rev().find(|p| p.segment_base == base && p.last_offset < self.durable_end);
        last.map_or_else(|| self.bytes_in_file(base), Piece::end)
    }

    /// Bytes of a segment that its file holds.
    pub(super) fn bytes_in_file(&self, base: Offset) -> u64 {
        if let Some(file) = self.unfinished.iter().find(|f| f.base == base) {
            return file.written;
        }
        let sealed = self.sealed.iter().rev().find(|s| s.base == base).map(|s| s.size);
        sealed.or(self.active.filter(|a| a.base == base).map(|a| a.size)).unwrap_or(0)
    }

    /// Memory's bytes of a segment between two positions.
    pub(super) fn slices(&self, base: Offset, from: u64, upto: u64) -> SmallVec<[Bytes; 4]> {
        let overlapping = self.pieces.iter().filter(|p| p.segment_base == base && p.end() > from && p.position.0 < upto);
        let mut slices = SmallVec::new();
        let mut at = from;
        for piece in overlapping {
            assert_eq!(piece.position.0.max(from), at, "memory is one unbroken run");
            let to = piece.end().min(upto);
            slices.push(piece.bytes.slice((at - piece.position.0) as usize..(to - piece.position.0) as usize));
            at = to;
        }
        assert_eq!(at, upto, "memory holds what no file has");
        slices
    }
}
