//! Where the bytes of a read are: in memory, or in which file with what of memory behind it. Pure, owning core only.
//!
//! Invariant: nothing at or above the limit that the caller names is given (R15), and always whole batches.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::index::Entry;
use super::segment::Segment;
use super::state::PartitionLog;
use crate::planted::{PlantedFault, is_planted};
use crate::types::Offset;

/// What a read takes.
#[derive(Debug)]
pub enum ReadPlan {
    /// There is nothing at that offset yet, or nothing within the limits.
    Empty,
    /// Whole batches, in order; without a copy where they are a good part of their buffers.
    Memory(SmallVec<[Bytes; 2]>),
    Disk(DiskRead),
}

/// A read of one segment's file. Give it to `Store::read`.
#[derive(Clone, Debug)]
pub struct DiskRead {
    pub(super) source: SegmentSource,
    pub from: Offset,
    pub upto: Offset,
    pub max_bytes: u32,
    pub at_least_one: bool,
}

/// The bytes of one segment: its file below `disk_end`, then `tail` to the end of the index interval that lies across.
#[derive(Clone, Debug)]
pub struct SegmentSource {
    pub(super) base: Offset,
    pub(super) disk_end: u64,
    pub(super) tail: SmallVec<[Bytes; 2]>,
    /// End of all that it holds; a batch ends here.
    pub(super) end: u64,
    /// The cleaning that made the file: a later one puts another in its place.
    pub(super) cleaning: u64,
    /// One past the last offset of the segment, if it is sealed.
    pub(super) sealed_at: Option<Offset>,
    pub(super) index_pages: u32,
    /// Entries that are not in the sidecar, from `recent_from` on.
    pub(super) recent: Vec<Entry>,
    pub(super) recent_from: u64,
}

/// What a read of a segment's file found.
#[derive(Debug)]
pub enum DiskBatches {
    /// Whole batches; none if the limits leave none.
    Found(SmallVec<[Bytes; 2]>),
    /// Compaction left nothing there: what follows is in the segment that starts here.
    Beyond(Offset),
}

impl PartitionLog {
    /// Plans a read of whole batches from the one that holds `from`, below `upto`. At most `max_bytes`, but with
    /// `at_least_one` the first batch whatever its size. One segment at most, if it comes from disk.
    pub fn plan_read(&self, from: Offset, max_bytes: u32, upto: Offset, at_least_one: bool) -> ReadPlan {
        if from >= upto {
            return ReadPlan::Empty;
        }
        let first = self.tail.index_at(from);
        match self.tail.get(first) {
            Some(piece) if !piece.fragment && piece.base_offset <= from => {
                let skipped = usize::from(is_planted(PlantedFault::BatchSkipped));
                self.memory_from(first + skipped, max_bytes, upto, at_least_one)
            }
            _ => self.disk_from(from, max_bytes, upto, at_least_one),
        }
    }

    /// Bytes from the batch that holds `from` up to `upto`, at most `max_bytes`; those also if they are in an older
    /// segment than the last ones, or not in memory.
    pub fn available_bytes(&self, from: Offset, max_bytes: u32, upto: Offset) -> u32 {
        if from >= upto {
            return 0;
        }
        let last = Offset(upto.0 - 1);
        let segment = |offset| self.segments.partition_point(|s| s.end_offset <= offset);
        let piece = |offset| self.tail.get(self.tail.index_at(offset));
        match (piece(from), piece(last)) {
            (Some(first), Some(last)) if first.base_offset <= from && segment(from) == segment(last.last_offset) => {
                let bytes = last.end().saturating_sub(first.position);
                u32::try_from(bytes).unwrap_or(u32::MAX).min(max_bytes)
            }
            _ => max_bytes,
        }
    }

    fn memory_from(&self, first: usize, max_bytes: u32, upto: Offset, at_least_one: bool) -> ReadPlan {
        let mut found = SmallVec::new();
        let mut copies = BytesMut::new();
        let mut left = max_bytes as usize;
        for piece in self.tail.starting_at(first) {
            let first_is_due = at_least_one && found.is_empty() && copies.is_empty();
            if piece.last_offset >= upto || (piece.bytes.len() > left && !first_is_due) {
                break;
            }
            left = left.saturating_sub(piece.bytes.len());
            if piece.is_sliver {
                copies.extend_from_slice(&piece.bytes);
                continue;
            }
            if !copies.is_empty() {
                found.push(std::mem::take(&mut copies).freeze());
            }
            found.push(piece.bytes.clone());
        }
        if !copies.is_empty() {
            found.push(copies.freeze());
        }
        if found.is_empty() { ReadPlan::Empty } else { ReadPlan::Memory(found) }
    }

    fn disk_from(&self, from: Offset, max_bytes: u32, upto: Offset, at_least_one: bool) -> ReadPlan {
        let index = self.segments.partition_point(|s| s.end_offset <= from);
        match self.segments.get(index) {
            Some(segment) if segment.is_emptied() => {
                let emptied = self.segments.range(index..).take_while(|s| s.is_emptied());
                let next = emptied.last().map_or(from, |s| s.end_offset);
                self.plan_read(next, max_bytes, upto, at_least_one)
            }
            Some(segment) if segment.base <= from && self.needs_file(segment) => {
                ReadPlan::Disk(DiskRead { source: self.source(segment), from, upto, max_bytes, at_least_one })
            }
            _ => ReadPlan::Empty,
        }
    }

    /// Memory does not hold all batches of the segment as wholes.
    pub(super) fn needs_file(&self, segment: &Segment) -> bool {
        let first = self.tail.in_segment(segment.base, segment.end_offset, 0).next();
        segment.attached > 0 && first.is_none_or(|piece| piece.fragment || piece.position > 0)
    }

    pub(super) fn source(&self, segment: &Segment) -> SegmentSource {
        let written = segment.written;
        // Of a fragment it is not known where its batches start: it is read like the file.
        let first = self.tail.in_segment(segment.base, segment.end_offset, written).next();
        let covers = first.filter(|piece| piece.fragment).map_or(written, |piece| piece.end());
        let (recent, recent_from) = match &segment.index {
            Some(index) => (index.entries_before(covers), index.from()),
            None => (Vec::new(), segment.durable),
        };
        let end = recent.last().map_or(recent_from, super::index::Entry::end).max(covers);
        SegmentSource {
            base: segment.base,
            disk_end: written,
            tail: self.tail.slices(segment.base, segment.end_offset, written, end),
            end,
            cleaning: segment.cleaning,
            sealed_at: segment.is_sealed().then_some(segment.end_offset),
            index_pages: segment.index_pages,
            recent,
            recent_from,
        }
    }
}
