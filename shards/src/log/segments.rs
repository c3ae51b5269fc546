//! Segments of one log as numbers: which exist, how large, what is in them. Pure. Owning core only.

use crate::types::{FilePos, Offset};

/// A finished segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub base: Offset,
    pub size: u64,
    pub last_offset: Offset,
    /// Largest timestamp of its records, ms; -1 without one.
    pub max_timestamp: i64,
}

/// The segment that still grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveSegment {
    pub base: Offset,
    /// Bytes so far.
    pub size: u64,
    pub max_timestamp: i64,
    /// Largest timestamp of its first batch: `segment.ms` counts from it.
    pub first_timestamp: i64,
}

/// When a segment ends.
#[derive(Clone, Copy, Debug)]
pub struct RollRules {
    pub segment_bytes: u64,
    pub segment_ms: i64,
}

/// The journal must say that a segment has ended (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    pub base: Offset,
    pub size: FilePos,
}

impl ActiveSegment {
    pub fn new(base: Offset, first_timestamp: i64) -> ActiveSegment {
        ActiveSegment { base, size: 0, max_timestamp: -1, first_timestamp }
    }

    /// Whether a batch of `len` bytes ending at `last_offset` must go into the next segment.
    pub fn must_roll(&self, len: u64, last_offset: Offset, timestamp: i64, rules: &RollRules) -> bool {
        let full = self.size + len > rules.segment_bytes;
        // Kafka measures age by the records' own time.
        let old = timestamp.saturating_sub(self.first_timestamp) > rules.segment_ms && self.first_timestamp >= 0;
        // Index entries and Kafka's own tools hold offsets of a segment in 32 bits.
        let wide = last_offset.0 - self.base.0 > i64::from(i32::MAX);
        self.size > 0 && (full || old || wide)
    }
}
