//! The time-outs of one coordinator in one order. Owning core only; no clock.
//!
//! A time-out that is put off (every heartbeat does that) costs no more than a write of its new time: its place in the
//! order stays and is looked at when the old time comes.
//!
//! Invariant: every armed alarm has one place in the order, not later than its time, and every place is an alarm's: what is
//! dropped is [cancelled](Deadlines::cancel) before.

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

/// One time-out, kept by what it belongs to. It is cancelled before it is dropped.
#[derive(Debug, Default)]
pub struct Alarm {
    at: Option<Mono>,
    place: Option<Place>,
}

/// Where in the order: when to look, and a number that is given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(Mono, u64);

impl Alarm {
    /// What keeps its place: a time-out that is armed again soon.
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
    order: BTreeMap<Place, Timer>,
    next_number: u64,
}

impl Deadlines {
    /// Arms an alarm, or puts it off or forward.
    pub fn arm(&mut self, alarm: &mut Alarm, at: Mono, timer: impl FnOnce() -> Timer) {
        alarm.at = Some(at);
        if alarm.place.is_none_or(|place| at < place.0) {
            self.give_up(alarm.place);
            alarm.place = Some(self.push(at, timer()));
        }
    }

    /// What the alarm belongs to is gone: nothing of it stays, however far off its time was.
    pub fn cancel(&mut self, alarm: &mut Alarm) {
        alarm.at = None;
        self.give_up(alarm.place.take());
    }

    /// When to look again.
    pub fn next(&self) -> Option<Mono> {
        self.order.keys().next().map(|place| place.0)
    }

    /// Takes the first whose place has come; [`Deadlines::is_due`] says whether it is still meant.
    pub fn pop(&mut self, now: Mono) -> Option<(Place, Timer)> {
        let entry = self.order.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove_entry())
    }

    /// Whether the alarm that had its place at `place` is due. One that was put off is queued again.
    pub fn is_due(&mut self, alarm: &mut Alarm, place: Place, now: Mono, timer: &Timer) -> bool {
        if alarm.place != Some(place) {
            // It is not this alarm's.
            return false;
        }
        alarm.place = None;
        match alarm.at {
            Some(at) if at <= now => {
                alarm.at = None;
                true
            }
            Some(at) => {
                alarm.place = Some(self.push(at, timer.clone()));
                false
            }
            None => false,
        }
    }

    /// How many places are taken.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    fn push(&mut self, at: Mono, timer: Timer) -> Place {
        self.next_number += 1;
        let place = Place(at, self.next_number);
        self.order.insert(place, timer);
        place
    }

    fn give_up(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.order.remove(&place);
        }
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
    fn a_time_out_that_is_put_forward_fires_early_and_has_no_other_place() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        deadlines.arm(&mut alarm, Mono(30), timer);
        deadlines.arm(&mut alarm, Mono(10), timer);
        let (place, due) = deadlines.pop(Mono(10)).expect("the early place");
        assert!(deadlines.is_due(&mut alarm, place, Mono(10), &due));
        assert_eq!(deadlines.pop(Mono(30)), None);
    }

    #[test]
    fn a_disarmed_time_out_does_not_fire() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        deadlines.arm(&mut alarm, Mono(10), timer);
        alarm.disarm();
        let (place, due) = deadlines.pop(Mono(10)).expect("its place");
        assert!(!deadlines.is_due(&mut alarm, place, Mono(10), &due));
    }

    #[test]
    fn a_cancelled_time_out_has_no_place_and_its_name_may_be_used_again() {
        let (mut deadlines, mut alarm) = (Deadlines::default(), Alarm::default());
        deadlines.arm(&mut alarm, Mono(10), timer);
        deadlines.cancel(&mut alarm);
        assert_eq!(deadlines.len(), 0);
        deadlines.arm(&mut alarm, Mono(20), timer);
        assert_eq!(deadlines.next(), Some(Mono(20)));
    }
}
