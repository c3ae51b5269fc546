//! The steps by which a log gets a cleaned file in the place of some of its segments. Pure, owning core only.
//!
//! Invariant: one replacement of a log at a time; from its beginning to its end a checkpoint names it, and the segments that it is
//! for are not dropped.

use super::super::read_plan::DiskRead;
use super::super::retention::newest_ms;
use super::super::snapshot::Replacement;
use super::super::state::PartitionLog;
use super::plan::SegmentView;
use crate::types::Offset;

/// What became of the file of a segment that somebody made a plan for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is the segment's file; or the segment was dropped, with all before it.
    Current,
    /// Another one is being put in its place: either may be found.
    Replacing,
    Replaced,
}

impl PartitionLog {
    /// Closed segments that are not wholly below the log start and end at or below `upto`, for the plan. Those at the end may not be
    /// finished yet. Not the newest one: as a rule that is active, but a log that was adopted has none, and would go without a batch
    /// that leads its readers to its end.
    pub fn closed_views(&self, upto: Offset) -> Vec<SegmentView> {
        let older = self.segments.len().saturating_sub(1);
        let closed = self.segments.iter().take(older).skip_while(|s| s.end_offset <= self.log_start);
        let closed = closed.take_while(|s| !s.is_active() && s.end_offset <= upto);
        let view = |s: &super::super::segment::Segment| SegmentView {
            base: s.base,
            end_offset: s.end_offset,
            bytes: s.placed,
            first_ms: s.first_timestamp_ms,
            newest_ms: newest_ms(s),
        };
        closed.map(view).collect()
    }

    /// One past the last offset of the newest finished segment.
    pub fn sealed_end(&self) -> Offset {
        self.segments.iter().take_while(|s| s.is_sealed()).last().map_or(self.log_start, |s| s.end_offset)
    }

    /// Keys below are mapped.
    pub fn cleaned_upto(&self) -> Offset {
        self.cleaned_upto
    }

    /// A pass has mapped all keys below `upto` and cleaned all segments with them.
    pub fn cleaned(&mut self, upto: Offset) {
        self.cleaned_upto = self.cleaned_upto.max(upto);
    }

    /// A read of at most `max_bytes`, but one batch at least, from the sealed segment that holds `from`; `None` if there is none.
    pub fn plan_sealed_read(&self, from: Offset, max_bytes: u32) -> Option<DiskRead> {
        let index = self.segments.partition_point(|s| s.end_offset <= from);
        let segment = self.segments.range(index..).find(|s| !s.is_emptied()).filter(|s| s.is_sealed())?;
        let (source, from) = (self.source(segment), from.max(segment.base));
        Some(DiskRead { source, from, upto: segment.end_offset, max_bytes, at_least_one: true })
    }

    /// The number that the next replacement will have.
    pub fn next_cleaning(&self) -> u64 {
        self.cleanings + 1
    }

    /// A file for these segments is ready. `None` if one of them was dropped meanwhile. The replacement must be in the journal
    /// before a name changes; tell `replaced` when the files are in place.
    pub fn begin_replacement(&mut self, group: &[SegmentView], by: Replacement) -> Option<Replacement> {
        assert!(self.replacing.is_none() && by.number == self.next_cleaning(), "one replacement at a time");
        let first = self.segments.iter().position(|s| s.base == by.base)?;
        let found = self.segments.range(first..).take(group.len()).map(|s| (s.base, s.is_sealed()));
        if !found.eq(group.iter().map(|s| (s.base, true))) {
            return None;
        }
        self.replacing = Some(by);
        self.replacing
    }

    /// The files are in place, and that is durable.
    pub fn replaced(&mut self, by: &Replacement) {
        assert_eq!(self.replacing.take().as_ref(), Some(by), "a replacement ends after it began");
        self.cleanings = by.number;
        self.segments.retain(|s| s.base <= by.base || s.base >= by.end_offset);
        let segment = self.segments.iter_mut().find(|s| s.base == by.base).expect("it is not dropped meanwhile");
        *segment = by.segment().restore(segment.created_ms);
        // Memory has what the file had before, at other places.
        while self.tail.front().is_some_and(|piece| piece.last_offset < by.end_offset) {
            self.tail.pop_front();
        }
    }

    /// What became of the file that cleaning `cleaning` made for the segment `base`.
    pub fn file_state(&self, base: Offset, cleaning: u64) -> FileState {
        if self.replacing.is_some_and(|under_way| under_way.base <= base && base < under_way.end_offset) {
            return FileState::Replacing;
        }
        let is_there = self.segments.iter().any(|s| s.base == base && s.cleaning == cleaning);
        if is_there || base < self.first_segment_base() { FileState::Current } else { FileState::Replaced }
    }
}
