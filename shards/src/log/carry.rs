//! What the journal must hold again before it forgets: the block behind the synced end of a segment file (R10, R12).
//! Pure, owning core only.
//!
//! Invariant: bytes of a journal file that a turn frees lie below the synced end of their segment file, or in the one block
//! that starts there; so that block is all that a turn carries. It ends where a batch ends.

use bytes::Bytes;
use smallvec::SmallVec;

use super::segment::Segment;
use super::state::PartitionLog;
use super::write_plan::SyncJob;
use crate::runtime::BLOCK_BYTES;
use crate::types::{FilePos, Offset};

/// Bytes to be put into the journal once more; `position` is the start of a block.
#[derive(Clone, Debug)]
pub struct Carry {
    pub segment_base: Offset,
    pub position: FilePos,
    pub bytes: SmallVec<[Bytes; 2]>,
}

/// A copy of the block to be carried, where the tail has let go of it: it is in the segment file, but that is not synced.
#[derive(Debug)]
pub struct Kept {
    base: Offset,
    start: u64,
    bytes: Vec<u8>,
}

impl Kept {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl PartitionLog {
    /// The block that the journal must hold in a newer commit before those are forgotten whose bytes were all written, but
    /// for a partial block, when the last sync of the file began; `None` if there is nothing in it. Only synced bytes. Its
    /// place in a turn: after `file_synced`, before the checkpoint.
    pub fn carry(&self) -> Option<Carry> {
        let segment = self.unsealed().next()?;
        let start = segment.file_synced;
        if start == segment.durable {
            return None;
        }
        let mut bytes = SmallVec::new();
        let mut at = start;
        if let Some(kept) = self.kept.as_ref().filter(|k| k.base == segment.base && k.start == start) {
            bytes.push(Bytes::copy_from_slice(&kept.bytes));
            at = kept.end();
        }
        bytes.extend(self.block_from(segment, at, start + BLOCK_BYTES as u64));
        (!bytes.is_empty()).then_some(Carry { segment_base: segment.base, position: FilePos(start), bytes })
    }

    /// All synced bytes that are in no synced file, of a log that was just put together: its memory holds them.
    pub fn carry_whole(&self) -> impl Iterator<Item = Carry> {
        self.unsealed().filter(|s| s.file_synced < s.durable).map(|segment| Carry {
            segment_base: segment.base,
            position: FilePos(segment.file_synced),
            bytes: self.tail.slices(segment.base, segment.end_offset, segment.file_synced, segment.durable),
        })
    }

    /// Synced bytes in memory from `at` to the last end of a batch that is not above `limit`.
    pub(super) fn block_from(&self, segment: &Segment, at: u64, limit: u64) -> SmallVec<[Bytes; 2]> {
        let limit = limit.min(segment.durable);
        let ends = self.tail.in_segment(segment.base, segment.end_offset, at).map(|p| p.end());
        match ends.take_while(|end| *end <= limit).last() {
            Some(end) if self.holds(segment, at) => self.tail.slices(segment.base, segment.end_offset, at, end),
            _ => SmallVec::new(),
        }
    }

    fn holds(&self, segment: &Segment, at: u64) -> bool {
        self.tail.in_segment(segment.base, segment.end_offset, at).next().is_some_and(|p| p.position <= at)
    }

    /// The front piece is about to leave memory: keeps what `carry` would miss.
    pub(super) fn keep_for_carry(&mut self) {
        let from = self.unsealed_from();
        let (Some(segment), Some(piece)) = (self.segments.get(from), self.tail.front()) else { return };
        let start = segment.file_synced;
        let is_here = segment.base <= piece.last_offset && piece.last_offset < segment.end_offset;
        if !is_here || piece.end() <= start || piece.end() > start + BLOCK_BYTES as u64 {
            return;
        }
        let at = piece.position.max(start);
        if self.kept.as_ref().is_none_or(|k| k.base != segment.base || k.start != start) {
            if at > start {
                // A batch across the whole block went before: no batch ends in it that an older commit holds.
                return;
            }
            self.kept = Some(Box::new(Kept { base: segment.base, start, bytes: Vec::new() }));
        }
        if let Some(kept) = self.kept.as_mut().filter(|k| k.end() == at) {
            kept.bytes.extend_from_slice(&piece.bytes[(at - piece.position) as usize..]);
        }
    }

    /// A sync of a segment file has ended.
    pub fn file_synced(&mut self, job: &SyncJob) {
        let from = self.unsealed_from();
        let Some(index) = (from..self.segments.len()).find(|i| self.segments[*i].base == job.segment_base) else {
            return;
        };
        let segment = &mut self.segments[index];
        // A tail that was warmed meanwhile starts at its block again.
        let upto = job.upto.0.min(segment.written);
        if upto <= segment.file_synced {
            return;
        }
        segment.file_synced = upto;
        self.kept = None;
        let segment = &self.segments[index];
        if segment.written > upto && !job.block.is_empty() && !self.holds(segment, upto) {
            let bytes = job.block.concat();
            self.kept = Some(Box::new(Kept { base: segment.base, start: upto, bytes }));
        }
    }
}
