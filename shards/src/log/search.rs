//! Searches by timestamp (ListOffsets): which segments and which batches in memory to look at. Pure, owning core only.
//!
//! Invariant: steps are in the order of offsets, so the first record that qualifies is the answer, also for batches out of
//! timestamp order.

use bytes::Bytes;

use super::read_plan::SegmentSource;
use super::segment::{NO_TIMESTAMP, Segment};
use super::state::PartitionLog;
use crate::types::{Listed, Offset};

#[derive(Debug)]
pub enum TimestampPlan {
    Found(Listed),
    Search(TimestampSearch),
}

/// A search for the first record whose timestamp is not below `at`. Give it to `Store::search`.
#[derive(Debug)]
pub struct TimestampSearch {
    pub at: i64,
    pub(super) from: Offset,
    pub upto: Offset,
    /// It is for the largest timestamp of all. Where nothing is found, deleted records of a segment that is still there had
    /// that, and another one is the largest.
    pub largest: bool,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Disk(SegmentSource),
    /// One whole batch in memory.
    Memory(Bytes),
}

impl PartitionLog {
    /// The first record whose timestamp is not below `at`, among those below `upto`.
    pub fn plan_timestamp(&self, at: i64, upto: Offset) -> TimestampPlan {
        match self.search_for(at, upto) {
            search if search.steps.is_empty() => TimestampPlan::Found(Listed::NOT_FOUND),
            search => TimestampPlan::Search(search),
        }
    }

    fn search_for(&self, at: i64, upto: Offset) -> TimestampSearch {
        let mut steps = Vec::new();
        for segment in &self.segments {
            let is_below = segment.end_offset <= self.log_start;
            if is_below || (segment.is_sealed() && segment.max_timestamp_ms < at) || segment.base >= upto {
                continue;
            }
            if self.add_steps(segment, at, upto, &mut steps) {
                break;
            }
        }
        TimestampSearch { at, from: self.log_start, upto, largest: false, steps }
    }

    /// The first record with the largest timestamp of all below `upto`.
    pub fn plan_max_timestamp(&self, upto: Offset) -> TimestampPlan {
        let live = self.segments.iter().filter(|s| s.end_offset > self.log_start);
        let durable = live.map(|s| s.max_timestamp_ms).max().unwrap_or(NO_TIMESTAMP);
        let unsynced = self.tail.starting_at(self.tail.index_at(self.durable_end));
        let newest = unsynced.take_while(|p| p.last_offset < upto).map(|p| p.max_timestamp_ms).max();
        match durable.max(newest.unwrap_or(NO_TIMESTAMP)) {
            NO_TIMESTAMP => TimestampPlan::Found(Listed::NOT_FOUND),
            at => TimestampPlan::Search(TimestampSearch { largest: true, ..self.search_for(at, upto) }),
        }
    }

    /// Returns whether one of the steps is sure to find a record.
    fn add_steps(&self, segment: &Segment, at: i64, upto: Offset, steps: &mut Vec<Step>) -> bool {
        let mut in_memory_from = 0;
        if self.needs_file(segment) {
            let source = self.source(segment);
            in_memory_from = source.end;
            steps.push(Step::Disk(source));
            if segment.is_sealed() && segment.base >= self.log_start && segment.end_offset <= upto {
                return true;
            }
        }
        for piece in self.tail.in_segment(segment.base, segment.end_offset, in_memory_from) {
            if piece.last_offset >= upto {
                break;
            }
            if piece.max_timestamp_ms >= at && piece.last_offset >= self.log_start && !piece.fragment {
                steps.push(Step::Memory(piece.bytes.clone()));
                if piece.base_offset >= self.log_start {
                    return true;
                }
            }
        }
        false
    }
}
