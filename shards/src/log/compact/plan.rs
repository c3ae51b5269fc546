//! Whether a log is due for compaction, and which of its segments are written together. Pure, from a snapshot of the sealed
//! segments; Kafka's rules.
//!
//! Invariant: the active segment is never in a plan, and groups are in the order of the log: a pass that ends early leaves a
//! log whose front knows of all that was mapped.

use crate::types::Offset;

/// A topic's rules, as far as they say when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// `min.cleanable.dirty.ratio`
    pub dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`: younger segments are left alone.
    pub lag_min_ms: i64,
    /// `max.compaction.lag.ms`: older ones are due whatever the ratio.
    pub lag_max_ms: i64,
    /// `segment.bytes`: what segments may grow to by being joined.
    pub segment_bytes: u64,
}

/// One sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentView {
    pub base: Offset,
    /// One past its last offset.
    pub end_offset: Offset,
    pub bytes: u64,
    /// Largest timestamp of its first batch; not above zero if it has none.
    pub first_ms: i64,
    /// Largest timestamp of all.
    pub newest_ms: i64,
}

/// The stretch of a log that a pass would map, and how much it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// Keys of records from here on are mapped.
    pub from: Offset,
    /// One past the last offset that may be mapped: end of a segment.
    pub upto: Offset,
    /// Dirty bytes of all that could be clean.
    pub dirty_ratio: f64,
}

/// What is due of a log whose records below `cleaned_upto` were mapped by earlier passes; `None` if nothing is. `sealed` are the
/// segments that may be touched, in order, without those below the log start.
pub fn due(sealed: &[SegmentView], cleaned_upto: Offset, rules: &Rules, now_ms: i64) -> Option<Due> {
    let first_dirty = sealed.partition_point(|s| s.end_offset <= cleaned_upto);
    let (clean, rest) = sealed.split_at(first_dirty);
    let is_young = |s: &SegmentView| rules.lag_min_ms > 0 && s.newest_ms > now_ms.saturating_sub(rules.lag_min_ms);
    let dirty = rest.split(is_young).next().unwrap_or_default();
    let (first, last) = (dirty.first()?, dirty.last()?);
    let bytes = |some: &[SegmentView]| some.iter().map(|s| s.bytes).sum::<u64>();
    let (clean_bytes, dirty_bytes) = (bytes(clean), bytes(dirty));
    if dirty_bytes == 0 {
        return None;
    }
    let dirty_ratio = dirty_bytes as f64 / (clean_bytes + dirty_bytes) as f64;
    let mut known_ms = dirty.iter().map(|s| s.first_ms).filter(|first_ms| *first_ms > 0);
    let is_overdue = known_ms.any(|first_ms| first_ms < now_ms.saturating_sub(rules.lag_max_ms));
    let is_due = dirty_ratio > rules.dirty_ratio_min || is_overdue;
    is_due.then_some(Due { from: first.base.max(cleaned_upto), upto: last.end_offset, dirty_ratio })
}

/// The segments below `upto`, in groups that each become one segment: neighbours together as far as they fit.
pub fn groups(sealed: &[SegmentView], upto: Offset, segment_bytes: u64) -> Vec<Vec<SegmentView>> {
    let mut groups: Vec<Vec<SegmentView>> = Vec::new();
    let (mut base, mut bytes) = (Offset::ZERO, 0);
    for segment in sealed.iter().take_while(|s| s.base < upto) {
        let fits = bytes + segment.bytes <= segment_bytes && segment.end_offset.0 - base.0 <= i64::from(i32::MAX);
        match groups.last_mut().filter(|_| fits) {
            Some(group) => group.push(*segment),
            None => {
                (base, bytes) = (segment.base, 0);
                groups.push(vec![*segment]);
            }
        }
        bytes += segment.bytes;
    }
    groups
}
