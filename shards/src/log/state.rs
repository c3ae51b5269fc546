//! The state of one partition's log and the steps of an append: place, attach, synced. Pure, owning core only.
//!
//! Invariant: offsets are given once and in order; `log_start` ≤ `durable_end` ≤ attached end ≤ `log_end`; segments are
//! contiguous in offsets, only the last may be active, and those that are not sealed are the newest ones.

use std::collections::VecDeque;

use bytes::Bytes;

use super::carry::Kept;
use super::index::IndexBuilder;
use super::segment::{NO_TIMESTAMP, ONLY_SYNCED, Segment, Stage, block_floor};
use super::snapshot::Replacement;
use super::tail::{Held, Tail};
use crate::batch::{BatchHeader, PREFIX_BYTES};
use crate::types::{FilePos, Offset};

/// When the active segment is closed and a new one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollRules {
    pub segment_bytes: u64,
    pub segment_ms: i64,
}

/// The segment `base` ends at `size`; goes into the journal before the batch that caused it (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    pub base: Offset,
    pub size: FilePos,
}

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub seal: Option<Seal>,
    pub segment_base: Offset,
    pub position: FilePos,
    pub base_offset: Offset,
}

/// Which segments a log has, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownSegments {
    /// Ascending.
    bases: Vec<Offset>,
    /// Every segment that comes begins here or later.
    end: Offset,
}

impl KnownSegments {
    pub fn is_empty(&self) -> bool {
        self.bases.is_empty()
    }

    /// No segment of this base is there, nor will one ever be: offsets are given once.
    pub fn lacks(&self, base: Offset) -> bool {
        base < self.end && self.bases.binary_search(&base).is_err()
    }
}

/// Less than one part in so many of a buffer is given to readers as a copy: who does not read it would keep all of the buffer in
/// memory, and only what it was given counts as its own.
const SLIVER: usize = 8;

/// A placed batch whose bytes are frozen in commit `commit`.
#[derive(Clone, Debug)]
pub struct Piece {
    pub segment_base: Offset,
    pub position: FilePos,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: i64,
    pub commit: u64,
    pub bytes: Bytes,
    /// Of the buffer that they are a part of.
    pub buffer_bytes: usize,
}

#[derive(Debug, Default)]
pub struct PartitionLog {
    pub(super) log_start: Offset,
    pub(super) log_end: Offset,
    pub(super) durable_end: Offset,
    pub(super) segments: VecDeque<Segment>,
    pub(super) tail: Tail,
    /// A block that must be carried and has left the tail.
    pub(super) kept: Option<Box<Kept>>,
    pub(super) write_in_flight: bool,
    /// Number of the last cleaning that is in place, and one that is under way.
    pub(super) cleanings: u64,
    pub(super) replacing: Option<Replacement>,
    /// Compaction has mapped all keys below.
    pub(super) cleaned_upto: Offset,
    /// In this run, so that what is written finds it.
    pub(super) directory_is_made: bool,
    /// In an earlier run: that its name survived is not sure.
    pub(super) directory_was_made: bool,
}

impl PartitionLog {
    /// A partition without a record: owns no file and no memory beyond itself.
    pub fn new() -> PartitionLog {
        PartitionLog::default()
    }

    /// First offset that readers may ask for.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// One past the last offset that is synced.
    pub fn durable_end(&self) -> Offset {
        self.durable_end
    }

    /// Base of the segment that is appended to; where the next one begins if there is none.
    pub fn active_base(&self) -> Offset {
        self.segments.back().filter(|s| s.is_active()).map_or(self.log_end, |s| s.base)
    }

    /// Base of the oldest segment that is not dropped; the log's end if there is none.
    pub fn first_segment_base(&self) -> Offset {
        self.segments.front().map_or(self.log_end, |s| s.base)
    }

    /// The segment is not dropped. When a job fails for one that is, its file is gone: that is no failure.
    pub fn has_segment(&self, base: Offset) -> bool {
        self.segments.binary_search_by_key(&base, |s| s.base).is_ok()
    }

    pub fn known_segments(&self) -> KnownSegments {
        KnownSegments { bases: self.segments.iter().map(|s| s.base).collect(), end: self.log_end }
    }

    /// Bytes of all segments.
    pub fn total_bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.placed).sum()
    }

    /// Nothing was ever appended, moved or restored: a checkpoint need not name it.
    pub fn is_untouched(&self) -> bool {
        self.log_end == Offset::ZERO && self.log_start == Offset::ZERO && !self.has_directory()
    }

    /// There may be a directory of this partition on disk.
    pub fn has_directory(&self) -> bool {
        self.directory_is_made || self.directory_was_made || self.write_in_flight
    }

    /// Bytes that are synced and not yet in segments.
    pub fn unwritten_bytes(&self) -> u64 {
        self.unsealed().map(|s| s.durable.checked_sub(s.written).expect(ONLY_SYNCED)).sum()
    }

    /// Some of it is in memory; after a padded write, nothing is.
    pub fn is_in_memory(&self) -> bool {
        !self.tail.is_empty()
    }

    /// All that is synced is in segments, and those that are closed are finished.
    pub fn is_settled(&self) -> bool {
        self.unsealed().all(|s| s.is_active() && s.written == s.durable)
    }

    /// The segment whose next write, if one is due, goes on in its file, and how many bytes that must hold.
    pub fn goes_on_in(&self) -> Option<(Offset, FilePos)> {
        let first = self.unsealed().next().filter(|s| s.written > 0)?;
        (!self.is_settled()).then_some((first.base, FilePos(first.written)))
    }

    /// Gives a batch of `bytes` bytes its place and its offsets, closing the active segment first if it must. The log's end moves: every
    /// placed batch must be attached, in order.
    ///
    /// # Panics
    /// When the tail is cold and the batch does not start a new segment: `warm_tail` comes first (R10).
    pub fn place(&mut self, batch: &BatchHeader, bytes: usize, rules: &RollRules, now_ms: i64) -> Placement {
        let seal = if self.must_roll(batch, bytes, rules, now_ms) { self.roll() } else { None };
        let base_offset = self.log_end;
        if !self.segments.back().is_some_and(Segment::is_active) {
            self.segments.push_back(Segment::new(base_offset, now_ms));
        }
        let segment = self.segments.back_mut().expect("a segment was just made");
        assert!(!segment.is_cold(), "the partial block is in memory before a batch follows it (R10)");
        let position = segment.placed;
        if position == 0 {
            segment.first_timestamp_ms = batch.max_timestamp;
        }
        segment.placed += bytes as u64;
        segment.end_offset = base_offset.plus(i64::from(batch.last_offset_delta) + 1);
        self.log_end = segment.end_offset;
        Placement { seal, segment_base: segment.base, position: FilePos(position), base_offset }
    }

    /// Kafka's rule: size, time since the first batch (by timestamps if it has one), offsets that no longer fit. And a
    /// segment that retention gave up grows no more, so that it can go.
    fn must_roll(&self, batch: &BatchHeader, bytes: usize, rules: &RollRules, now_ms: i64) -> bool {
        let Some(active) = self.segments.back().filter(|s| s.is_active() && s.placed > 0) else { return false };
        let end = active.placed + bytes as u64;
        let waited_ms = if active.first_timestamp_ms > NO_TIMESTAMP && batch.max_timestamp > NO_TIMESTAMP {
            batch.max_timestamp.saturating_sub(active.first_timestamp_ms)
        } else {
            now_ms.saturating_sub(active.created_ms)
        };
        let last_delta = self.log_end.0 - active.base.0 + i64::from(batch.last_offset_delta);
        end > rules.segment_bytes.min(u64::from(u32::MAX))
            || waited_ms > rules.segment_ms
            || last_delta > i64::from(i32::MAX)
            || active.end_offset <= self.log_start
    }

    /// Closes the active segment, if it holds anything. The next batch starts a new one.
    pub fn roll(&mut self) -> Option<Seal> {
        let active = self.segments.back_mut().filter(|s| s.is_active() && s.placed > 0)?;
        active.stage = Stage::Rolled { seal_is_synced: false };
        Some(Seal { base: active.base, size: FilePos(active.placed) })
    }

    /// The seal entry of a roll is synced. A batch that is synced in the following segment says as much.
    pub fn seal_synced(&mut self, base: Offset) {
        if let Some(segment) = self.unsealed_mut().find(|s| s.base == base)
            && segment.stage != Stage::Active
        {
            segment.stage = Stage::Rolled { seal_is_synced: true };
        }
    }

    /// Takes the bytes of a placed batch. From here on they can be read up to the high watermark.
    ///
    /// # Panics
    /// When it does not follow what was attached before.
    pub fn attach(&mut self, piece: Piece) {
        let segment = self.unsealed_mut().find(|s| s.base == piece.segment_base).expect("its segment is not sealed");
        assert_eq!(segment.attached, piece.position.0, "pieces are attached in the order of their places");
        segment.attached += piece.bytes.len() as u64;
        assert!(segment.attached <= segment.placed, "only what has a place is attached");
        self.tail.push(Held {
            base_offset: piece.base_offset,
            last_offset: piece.last_offset,
            position: piece.position.0,
            max_timestamp_ms: piece.max_timestamp,
            commit: piece.commit,
            is_sliver: piece.bytes.len().saturating_mul(SLIVER) < piece.buffer_bytes,
            bytes: piece.bytes,
            fragment: false,
            owned: false,
        });
    }

    /// Everything below `upto` is synced in the journal.
    pub fn synced(&mut self, upto: Offset) {
        if upto <= self.durable_end {
            return;
        }
        let first = self.tail.index_at(self.durable_end);
        let mut at = self.unsealed_from();
        for piece in self.tail.starting_at(first) {
            if piece.last_offset >= upto {
                break;
            }
            while self.segments.get(at).is_some_and(|s| s.end_offset <= piece.base_offset) {
                // Its seal entry lies before this batch.
                if let Some(Segment { stage: Stage::Rolled { seal_is_synced }, .. }) = self.segments.get_mut(at) {
                    *seal_is_synced = true;
                }
                at += 1;
            }
            let segment = self.segments.get_mut(at).expect("a piece lies in a segment");
            segment.durable = piece.end();
            let base = segment.base;
            let index = segment.index.get_or_insert_with(|| Box::new(IndexBuilder::new(base, piece.position)));
            let prefix = piece.bytes.first_chunk::<PREFIX_BYTES>().expect("a batch is longer than its prefix");
            index.add(piece.base_offset, piece.position, piece.bytes.len(), piece.max_timestamp_ms, prefix);
            segment.max_timestamp_ms = segment.max_timestamp_ms.max(piece.max_timestamp_ms);
            self.durable_end = piece.last_offset.plus(1);
        }
        assert_eq!(self.durable_end, upto, "what is synced was attached before");
    }

    /// The log's end is not in memory and its last block is padded on disk: `cold_tail` must be read and given to
    /// `warm_tail` before the next batch is placed (R10).
    pub fn tail_is_cold(&self) -> bool {
        self.segments.back().is_some_and(Segment::is_cold)
    }

    /// Puts the partial block of a cold tail back. The journal must hold `carry()` before the next batch of this partition.
    ///
    /// # Panics
    /// When `bytes` is not the partial block.
    pub fn warm_tail(&mut self, bytes: Bytes) {
        let Some(active) = self.segments.back_mut().filter(|s| s.is_cold()) else { return };
        let start = block_floor(active.placed);
        assert_eq!(bytes.len() as u64, active.placed - start, "the partial block from its start to the log's end");
        active.written = start;
        if active.file_synced > start {
            active.padded_synced = active.file_synced;
            active.file_synced = start;
            self.kept = None;
        }
        // Memory of a cold partition says the same as its file.
        self.tail.clear();
        self.tail.push(Held {
            base_offset: active.base,
            last_offset: active.end_offset.plus(-1),
            position: start,
            max_timestamp_ms: active.max_timestamp_ms,
            commit: 0,
            // What was read pins a larger buffer.
            bytes: Bytes::copy_from_slice(&bytes),
            fragment: true,
            owned: true,
            is_sliver: false,
        });
    }

    /// Lets go of the buffers of commits up to `commit`, as far as files hold their bytes; the rest of a last block is
    /// copied. Returns the number of bytes of those buffers that are no longer in use here.
    pub fn evict_through(&mut self, commit: u64) -> u64 {
        let mut freed = 0;
        while let Some(piece) = self.tail.front() {
            if piece.commit > commit || !self.is_written(piece.last_offset, piece.end()) {
                break;
            }
            freed += if piece.owned { 0 } else { piece.bytes.len() as u64 };
            self.keep_for_carry();
            self.tail.pop_front();
        }
        freed + self.copy_remainder(commit)
    }

    fn is_written(&self, last_offset: Offset, end: u64) -> bool {
        match self.unsealed().find(|s| s.base <= last_offset && last_offset < s.end_offset) {
            Some(segment) => end <= segment.written,
            // Sealed, or dropped meanwhile.
            None => true,
        }
    }

    /// Copies the pieces of the last partial block that belong to commits up to `commit`.
    fn copy_remainder(&mut self, commit: u64) -> u64 {
        let Some(active) = self.segments.back().filter(|s| s.is_active()) else { return 0 };
        let (base, written) = (active.base, active.written);
        let durable = active.durable;
        if block_floor(durable) > written {
            return 0;
        }
        let mut freed = 0;
        let mut index = 0;
        while let Some(piece) = self.tail.get_mut(index) {
            if piece.commit > commit || piece.base_offset < base || piece.end() > durable {
                break;
            }
            index += 1;
            if piece.owned {
                continue;
            }
            freed += piece.bytes.len() as u64;
            let skip = written.saturating_sub(piece.position);
            piece.bytes = Bytes::copy_from_slice(&piece.bytes[skip as usize..]);
            piece.position += skip;
            piece.fragment |= skip > 0;
            piece.owned = true;
            piece.is_sliver = false;
        }
        freed
    }

    pub(super) fn unsealed_from(&self) -> usize {
        self.segments.len() - self.segments.iter().rev().take_while(|s| !s.is_sealed()).count()
    }

    pub(super) fn unsealed(&self) -> impl Iterator<Item = &Segment> {
        self.segments.range(self.unsealed_from()..)
    }

    pub(super) fn unsealed_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        let from = self.unsealed_from();
        self.segments.range_mut(from..)
    }
}
