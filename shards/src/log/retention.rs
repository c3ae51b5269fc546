//! Which segments retention gives up, by Kafka's rules. Pure; the shard calls it and drives what follows (R8).
//!
//! Invariant: only a prefix of the log goes, and only what is synced.

use super::segment::{NO_TIMESTAMP, Segment};
use super::state::{PartitionLog, Seal};
use crate::types::Offset;

/// A topic's `retention.ms` and `retention.bytes`; negative is "without limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub retention_ms: i64,
    pub retention_bytes: i64,
}

impl PartitionLog {
    /// The new log start, if anything is expired: by the largest timestamp of each segment, then by size (Kafka deletes
    /// while the rest still holds `retention_bytes`). The active segment counts as well: when it is expired, the log
    /// start moves to its end, and the caller rolls it with `roll_expired`.
    pub fn plan_retention(&self, rules: &Rules, now_ms: i64) -> Option<Offset> {
        let mut excess = i128::from(self.total_bytes()) - i128::from(rules.retention_bytes);
        let mut start = self.log_start;
        for segment in &self.segments {
            let is_old = segment.is_emptied() || now_ms.saturating_sub(newest_ms(segment)) > rules.retention_ms;
            let too_old = rules.retention_ms >= 0 && is_old;
            let too_much = rules.retention_bytes >= 0 && excess >= i128::from(segment.placed);
            let is_begun = segment.placed > 0 || segment.is_sealed();
            if !is_begun || !(too_old || too_much) || segment.end_offset > self.durable_end {
                break;
            }
            excess -= i128::from(segment.placed);
            start = start.max(segment.end_offset);
        }
        (start > self.log_start).then_some(start)
    }

    /// The log starts at `start`: readers below are refused from here on. Never moves back.
    pub fn move_log_start(&mut self, start: Offset) {
        self.log_start = self.log_start.max(start.min(self.log_end));
    }

    /// Closes the active segment if it lies wholly below the log start, so that its file can go. The seal belongs into the
    /// journal; tell `seal_synced` when it is there.
    pub fn roll_expired(&mut self) -> Option<Seal> {
        let active = self.segments.back().filter(|s| s.is_active())?;
        if active.end_offset <= self.log_start { self.roll() } else { None }
    }

    /// The oldest segment whose file is not finished lies wholly below `start` and takes no more.
    pub fn has_unfinished_below(&self, start: Offset) -> bool {
        self.unsealed().next().is_some_and(|s| !s.is_active() && s.end_offset <= start)
    }

    /// Forgets finished segments wholly below `start`, whose move is synced; their files may be renamed, then unlinked.
    pub fn take_dropped(&mut self, start: Offset) -> Vec<Offset> {
        let mut bases = Vec::new();
        // A file that is being put in place must not come back behind its removal.
        let upto = self.replacing.map_or(start, |under_way| start.min(under_way.base));
        while self.segments.front().is_some_and(|s| s.is_sealed() && s.end_offset <= upto) {
            let Some(segment) = self.segments.pop_front() else { break };
            while self.tail.front().is_some_and(|piece| piece.last_offset < segment.end_offset) {
                self.tail.pop_front();
            }
            bases.push(segment.base);
        }
        bases
    }
}

pub(super) fn newest_ms(segment: &Segment) -> i64 {
    if segment.max_timestamp_ms > NO_TIMESTAMP { segment.max_timestamp_ms } else { segment.created_ms }
}
