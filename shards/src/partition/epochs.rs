//! Which leader epoch each stretch of the log was written in (KIP-101, KIP-279). Owning core only; pure.
//!
//! Invariant: epochs and start offsets both ascend. An epoch has an entry only once something was appended in it, so a
//! start of the broker alone costs no write and no memory.

use thiserror::Error;

use crate::request::EpochEnd;
use crate::types::{LeaderEpoch, Offset};

/// An epoch and the offset of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// The epochs of one partition's log, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<EpochStart>,
}

/// Entries read back from disk that do not ascend.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("epoch {} at {} follows epoch {} at {}", after.epoch.0, after.start.0, before.epoch.0, before.start.0)]
pub struct NotAscending {
    pub before: EpochStart,
    pub after: EpochStart,
}

/// A reader that has records of an epoch which this log does not know yet.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("the last fetched epoch is newer than ours")]
pub struct FutureEpoch;

impl Epochs {
    /// What a checkpoint held.
    pub fn from_entries(entries: Vec<EpochStart>) -> Result<Epochs, NotAscending> {
        for (&before, &after) in entries.iter().zip(entries.iter().skip(1)) {
            if before.epoch >= after.epoch || before.start >= after.start {
                return Err(NotAscending { before, after });
            }
        }
        Ok(Epochs { entries })
    }

    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The epoch of the newest record.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes an append at `base` in `epoch`; true when it is the first of its epoch. The same live and at replay.
    pub fn record(&mut self, epoch: LeaderEpoch, base: Offset) -> bool {
        if let Some(last) = self.entries.last() {
            assert!(epoch >= last.epoch, "an append in epoch {} after {}", epoch.0, last.epoch.0);
            if epoch == last.epoch {
                return false;
            }
            assert!(base >= last.start, "epoch {} begins at {}, {} at {}", epoch.0, base.0, last.epoch.0, last.start.0);
            if base == last.start {
                // The log start has overtaken all that was written in the last epoch.
                self.entries.pop();
            }
        }
        self.entries.push(EpochStart { epoch, start: base });
        true
    }

    /// Forgets what ends at or below the new log start; true when something changed.
    pub fn truncate_start(&mut self, log_start: Offset) -> bool {
        let begun = self.entries.partition_point(|entry| entry.start <= log_start);
        let Some(floor) = begun.checked_sub(1) else { return false };
        let changed = floor > 0 || self.entries[floor].start < log_start;
        self.entries.drain(..floor);
        if let Some(first) = self.entries.first_mut() {
            first.start = log_start;
        }
        changed
    }

    /// The epoch of the record at `offset`; of the newest one for an offset beyond the end. `None` below the log start.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let begun = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries.get(begun.checked_sub(1)?)?.epoch)
    }

    /// The largest epoch not above `asked`, and where it ends: where the next one begins, or at the log end. Unknown (-1)
    /// when `asked` is -1 or lies above `current`, the partition's own. An epoch below all that are left is
    /// answered as itself, ending where the log begins.
    pub fn end_of(&self, asked: LeaderEpoch, current: LeaderEpoch, log_end: Offset) -> EpochEnd {
        if asked == LeaderEpoch(-1) || asked > current {
            return EpochEnd { epoch: LeaderEpoch(-1), end: Offset::UNKNOWN };
        }
        // The current epoch counts as begun at the log end even if nothing was appended in it.
        if asked == current {
            return EpochEnd { epoch: current, end: log_end };
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= asked);
        let end = self.entries.get(next).map_or(log_end, |entry| entry.start);
        let floor = next.checked_sub(1).and_then(|floor| self.entries.get(floor));
        EpochEnd { epoch: floor.map_or(asked, |entry| entry.epoch), end }
    }

    /// Where the log of a reader parts from this one, if it does: it wants `offset` next, and the record before that is
    /// of epoch `last_fetched` (KIP-595).
    pub fn diverging(
        &self,
        last_fetched: LeaderEpoch,
        offset: Offset,
        current: LeaderEpoch,
        log_end: Offset,
    ) -> Result<Option<EpochEnd>, FutureEpoch> {
        let common = self.end_of(last_fetched, current, log_end);
        if common.end == Offset::UNKNOWN {
            return Err(FutureEpoch);
        }
        Ok((common.epoch < last_fetched || common.end < offset).then_some(common))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let entries =
            entries.iter().map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
        Epochs::from_entries(entries.collect()).unwrap()
    }

    fn end(epoch: i32, end: i64) -> EpochEnd {
        EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let epochs = epochs(&[(1, 0), (2, 10), (5, 30)]);
        let end_of = |asked| epochs.end_of(LeaderEpoch(asked), LeaderEpoch(6), Offset(40));
        assert_eq!(end_of(1), end(1, 10));
        assert_eq!(end_of(2), end(2, 30));
        assert_eq!(end_of(4), end(2, 30));
        assert_eq!(end_of(5), end(5, 40));
        assert_eq!(end_of(6), end(6, 40));
        assert_eq!(end_of(0), end(0, 0));
        assert_eq!(end_of(7), end(-1, -1));
        assert_eq!(end_of(-1), end(-1, -1));
    }

    #[test]
    fn an_empty_log_ends_every_epoch_at_its_end() {
        let epochs = Epochs::default();
        assert_eq!(epochs.end_of(LeaderEpoch(2), LeaderEpoch(2), Offset(0)), end(2, 0));
        assert_eq!(epochs.end_of(LeaderEpoch(1), LeaderEpoch(2), Offset(0)), end(1, 0));
        assert_eq!((epochs.latest(), epochs.epoch_at(Offset(0))), (None, None));
    }

    #[test]
    fn three_starts_without_an_append_leave_no_entry() {
        let mut epochs = Epochs::default();
        assert!(epochs.record(LeaderEpoch(0), Offset(0)));
        assert!(!epochs.record(LeaderEpoch(0), Offset(5)));
        assert!(epochs.record(LeaderEpoch(3), Offset(9)));
        assert_eq!(epochs.entries().len(), 2);
        assert_eq!(epochs.end_of(LeaderEpoch(2), LeaderEpoch(3), Offset(20)), end(0, 9));
    }

    #[test]
    fn a_moved_log_start_keeps_the_epoch_that_it_lies_in() {
        let mut moved = epochs(&[(1, 0), (2, 10), (5, 30)]);
        assert!(!moved.truncate_start(Offset(0)));
        assert!(moved.truncate_start(Offset(15)));
        assert_eq!(moved, epochs(&[(2, 15), (5, 30)]));
        assert!(!moved.truncate_start(Offset(15)));
        assert!(moved.truncate_start(Offset(30)));
        assert!(moved.truncate_start(Offset(99)));
        assert_eq!(moved, epochs(&[(5, 99)]));
        assert!(!Epochs::default().truncate_start(Offset(5)));
    }

    #[test]
    fn an_epoch_may_begin_where_everything_before_it_was_deleted() {
        let mut epochs = epochs(&[(1, 0), (2, 10)]);
        epochs.truncate_start(Offset(20));
        assert!(epochs.record(LeaderEpoch(3), Offset(20)));
        assert_eq!(epochs.entries(), [EpochStart { epoch: LeaderEpoch(3), start: Offset(20) }]);
        assert_eq!(epochs.end_of(LeaderEpoch(2), LeaderEpoch(3), Offset(25)), end(2, 20));
    }

    #[test]
    fn a_reader_parts_where_its_epoch_ended_here() {
        let epochs = epochs(&[(1, 0), (2, 10), (5, 30)]);
        let diverging =
            |epoch, offset| epochs.diverging(LeaderEpoch(epoch), Offset(offset), LeaderEpoch(5), Offset(40));
        assert_eq!(diverging(5, 40), Ok(None));
        assert_eq!(diverging(2, 30), Ok(None));
        assert_eq!(diverging(2, 31), Ok(Some(end(2, 30))));
        assert_eq!(diverging(3, 30), Ok(Some(end(2, 30))));
        assert_eq!(diverging(5, 41), Ok(Some(end(5, 40))));
        assert_eq!(diverging(6, 40), Err(FutureEpoch));
    }

    #[test]
    fn entries_that_do_not_ascend_are_refused() {
        for bad in [[(1, 0), (1, 5)], [(2, 0), (1, 5)], [(1, 5), (2, 5)], [(1, 5), (2, 4)]] {
            let entries =
                bad.iter().map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
            assert!(Epochs::from_entries(entries.collect()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Against the plain definition: each record carries its epoch. Between runs the log start moves, up to the log end.
        #[test]
        fn answers_are_those_of_a_log_that_remembers_the_epoch_of_each_record(
            runs in prop::collection::vec((1i32..3, 0usize..4, 0usize..4), 1..12), asked in 0i32..30, offset in 0i64..40
        ) {
            let (mut epochs, mut log, mut current, mut cut) = (Epochs::default(), Vec::new(), 0, 0);
            for (step, appends, deleted) in runs {
                current += step;
                for _ in 0..appends {
                    let first = epochs.record(LeaderEpoch(current), Offset(log.len() as i64));
                    prop_assert_eq!(first, log.last() != Some(&current));
                    log.push(current);
                }
                cut = log.len().min(cut + deleted);
                epochs.truncate_start(Offset(cut as i64));
            }
            let log_end = Offset(log.len() as i64);
            let answer = epochs.end_of(LeaderEpoch(asked), LeaderEpoch(current), log_end);
            if asked > current {
                prop_assert_eq!(answer, end(-1, -1));
            } else {
                let end = log.iter().skip(cut).position(|&epoch| epoch > asked).map_or(log.len(), |at| at + cut);
                prop_assert_eq!(answer.end, if asked == current { log_end } else { Offset(end as i64) });
                // An emptied log remembers the epoch that it ended in.
                let kept = if cut == log.len() { log.last().into_iter().collect() } else { log.iter().skip(cut).collect::<Vec<_>>() };
                let floor = kept.into_iter().filter(|&&epoch| epoch <= asked).max().copied();
                prop_assert_eq!(answer.epoch, LeaderEpoch(if asked == current { asked } else { floor.unwrap_or(asked) }));
            }
            if (cut as i64..log_end.0).contains(&offset) {
                prop_assert_eq!(epochs.epoch_at(Offset(offset)), Some(LeaderEpoch(log[offset as usize])));
            }
            prop_assert_eq!(Epochs::from_entries(epochs.entries().to_vec()), Ok(epochs));
        }
    }
}
