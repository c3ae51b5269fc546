//! The time-outs of one coordinator in one order. Owning core only; no clock.
//!
//! A time-out that is put off (every heartbeat does that) costs no more than a write of its new time: its place in the
//! order stays and is looked at when the old time comes.
//!
//! Invariant: every armed alarm has a place in the order, not later than its time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::Mono;

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timer {
    /// A member, or somebody who was asked to join with an id, was silent for its session time-out.
    Session { group: Arc<str>, member: Arc<str> },
    /// A member of a consumer group had its time to give partitions up.
    Revocation { group: Arc<str>, member: Arc<str> },
    /// The members had their time to join.
    Join { group: Arc<str> },
    /// The members had their time to take their assignment.
    Sync { group: Arc<str> },
}

impl Timer {
    pub fn group(&self) -> &Arc<str> {
        let (Timer::Session { group, .. }
        | Timer::Revocation { group, .. }
        | Timer::Join { group }
        | Timer::Sync { group }) = self;
        group
    }
}

/// One time-out, kept by what it belongs to.
#[derive(Debug, Clone, Default)]
pub struct Alarm {
    at: Option<Mono>,
    queued: Option<Mono>,
}

impl Alarm {
    pub fn disarm(&mut self) {
        self.at = None;
    }

    pub fn is_armed(&self) -> bool {
        self.at.is_some()
    }
}

/// All time-outs of a coordinator.
#[derive(Debug, Default)]
pub struct Deadlines {
    order: BTreeMap<(Mono, u64), Timer>,
    next_number: u64,
}

impl Deadlines {
    /// Arms an alarm, or puts it off or forward.
    pub fn arm(&mut self, alarm: &mut Alarm, at: Mono, timer: impl FnOnce() -> Timer) {
        alarm.at = Some(at);
        if alarm.queued.is_none_or(|queued| at < queued) {
            alarm.queued = Some(at);
            self.push(at, timer());
        }
    }

    /// When to look again.
    pub fn next(&self) -> Option<Mono> {
        self.order.keys().next().map(|(at, _)| *at)
    }

    /// Takes the first whose place has come; [`Deadlines::is_due`] says whether it is still meant.
    pub fn pop(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        let entry = self.order.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), timer) = entry.remove_entry();
        Some((at, timer))
    }

    /// Whether the alarm that has its place at `place` is due. One that was put off is queued again.
    pub fn is_due(&mut self, alarm: &mut Alarm, place: Mono, now: Mono, timer: &Timer) -> bool {
        if alarm.queued != Some(place) {
            // It was armed for an earlier time meanwhile, and has its place there.
            return false;
        }
        alarm.queued = None;
        match alarm.at {
            Some(at) if at <= now => {
                alarm.at = None;
                true
            }
            Some(at) => {
                alarm.queued = Some(at);
                self.push(at, timer.clone());
                false
            }
            None => false,
        }
    }

    fn push(&mut self, at: Mono, timer: Timer) {
        self.next_number += 1;
        self.order.insert((at, self.next_number), timer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer() -> Timer {
        Timer::Join { group: "g".into() }
    }

    #[test]
    fn a_time_out_that_is_put_off_fires_once_at_its_new_time() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        for at in [10, 20, 30] {
            deadlines.arm(&mut alarm, Mono(at), timer);
        }
        assert_eq!(deadlines.order.len(), 1);
        let (place, due) = deadlines.pop(Mono(10)).expect("its first place");
        assert!(!deadlines.is_due(&mut alarm, place, Mono(10), &due));
        assert_eq!(deadlines.next(), Some(Mono(30)));
        let (place, due) = deadlines.pop(Mono(31)).expect("its new place");
        assert!(deadlines.is_due(&mut alarm, place, Mono(31), &due));
        assert_eq!(deadlines.pop(Mono(99)), None);
    }

    #[test]
    fn a_time_out_that_is_put_forward_fires_early_and_not_again() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        deadlines.arm(&mut alarm, Mono(30), timer);
        deadlines.arm(&mut alarm, Mono(10), timer);
        let (place, due) = deadlines.pop(Mono(10)).expect("the early place");
        assert!(deadlines.is_due(&mut alarm, place, Mono(10), &due));
        let (place, due) = deadlines.pop(Mono(30)).expect("the late place");
        assert!(!deadlines.is_due(&mut alarm, place, Mono(30), &due));
    }

    #[test]
    fn a_disarmed_time_out_does_not_fire() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        deadlines.arm(&mut alarm, Mono(10), timer);
        alarm.disarm();
        let (place, due) = deadlines.pop(Mono(10)).expect("its place");
        assert!(!deadlines.is_due(&mut alarm, place, Mono(10), &due));
    }
}
