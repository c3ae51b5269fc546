//! The checker against planted faults: each kind must be caught, and a sound history must pass.

use super::*;

const READER: u32 = 1;

fn v(n: u64) -> Value {
    Value { producer: 1, n }
}

/// A partition's history in the making: `sent` values of producer 1, all invoked.
struct History(Checker);

impl History {
    fn with_sent(sent: u64) -> Self {
        let mut checker = Checker::default();
        (0..sent).for_each(|n| checker.apply(Event::Invoked(v(n))));
        History(checker)
    }

    fn acked(mut self, offset: i64, n: u64) -> Self {
        self.0.apply(Event::Acked { value: v(n), offset: Some(offset) });
        self
    }

    fn acked_all(self, sent: u64) -> Self {
        (0..sent).fold(self, |history, n| history.acked(n as i64, n))
    }

    /// A reader of the whole log finds these values at offsets 0, 1, 2 …
    fn read(self, found: &[u64]) -> Self {
        let polls: Vec<(i64, Found)> = (0..).zip(found.iter().map(|n| Found::Value(v(*n)))).collect();
        self.polled(found.len() as i64, polls)
    }

    fn polled(mut self, end: i64, polls: Vec<(i64, Found)>) -> Self {
        self.0.apply(Event::EndAsked { reader: READER });
        self.0.apply(Event::ReadStarted { reader: READER, from: 0, end });
        polls.into_iter().for_each(|(offset, found)| self.0.apply(Event::Polled { reader: READER, offset, found }));
        self.0.apply(Event::ReadEnded { reader: READER });
        self
    }

    fn faults(&self) -> Vec<Fault> {
        self.0.faults().0.to_vec()
    }
}

#[test]
fn a_sound_history_has_no_fault() {
    let history = History::with_sent(4).acked_all(4).read(&[0, 1, 2, 3]).read(&[0, 1, 2, 3]);
    assert_eq!(history.faults(), []);
    assert_eq!(history.0.counts(), Counts { invoked: 4, acked: 4, read: 4, unknown_found: 0 });
}

#[test]
fn a_write_without_an_ack_may_be_there_or_not() {
    let history = History::with_sent(3).acked(0, 0).read(&[0, 2]);
    assert_eq!(history.faults(), []);
    assert_eq!(history.0.counts().unknown_found, 1);
}

#[test]
fn an_acked_record_missing_from_the_end_is_lost() {
    let history = History::with_sent(3).acked_all(3).read(&[0, 1]);
    assert_eq!(
        history.faults(),
        [Fault::EndWentBack { end: 2, floor: 3 }, Fault::Lost { value: v(2), offset: Some(2) }]
    );
}

#[test]
fn an_acked_record_missing_from_the_middle_is_lost() {
    let history = History::with_sent(4).acked(0, 0).acked(1, 1).read(&[0, 2, 3]);
    assert_eq!(history.faults(), [Fault::Lost { value: v(1), offset: Some(1) }]);
}

#[test]
fn a_record_that_a_reader_saw_and_that_is_gone_is_lost() {
    let history = History::with_sent(2).acked(0, 0).read(&[0, 1]).read(&[0]);
    assert_eq!(
        history.faults(),
        [Fault::EndWentBack { end: 1, floor: 2 }, Fault::Lost { value: v(1), offset: Some(1) }]
    );
}

#[test]
fn an_ack_without_an_offset_must_be_somewhere_below_a_later_record() {
    let mut history = History::with_sent(3);
    history.0.apply(Event::Acked { value: v(1), offset: None });
    assert_eq!(history.read(&[0, 2]).faults(), [Fault::Lost { value: v(1), offset: None }]);

    let mut history = History::with_sent(3);
    history.0.apply(Event::Acked { value: v(1), offset: None });
    assert_eq!(history.read(&[0, 1, 2]).faults(), []);
}

#[test]
fn a_value_at_two_offsets_is_a_duplicate() {
    let history = History::with_sent(2).acked_all(2).read(&[0, 1, 1]);
    assert_eq!(history.faults(), [Fault::Duplicate { value: v(1), offsets: [1, 2] }]);
}

#[test]
fn a_duplicate_of_an_unknown_write_is_a_duplicate_too() {
    let history = History::with_sent(2).acked(0, 0).read(&[0, 1, 1]);
    assert_eq!(history.faults(), [Fault::Duplicate { value: v(1), offsets: [1, 2] }]);
}

#[test]
fn an_earlier_value_after_a_later_one_is_reordered() {
    let history = History::with_sent(3).read(&[0, 2, 1]);
    assert_eq!(history.faults(), [Fault::Reordered { earlier: v(1), later: v(2), offset: 2 }]);
}

#[test]
fn producers_are_ordered_each_by_itself() {
    let mut history = History::with_sent(2);
    let other = Value { producer: 2, n: 0 };
    history.0.apply(Event::Invoked(other));
    let polls = vec![(0, Found::Value(v(0))), (1, Found::Value(v(1))), (2, Found::Value(other))];
    assert_eq!(history.polled(3, polls).faults(), []);
}

#[test]
fn a_value_that_nobody_sent_is_a_phantom() {
    let history = History::with_sent(2).read(&[0, 1, 2]);
    assert_eq!(history.faults(), [Fault::Phantom { value: v(2), offset: 2 }]);
}

#[test]
fn wrong_bytes_are_reported_with_their_offset() {
    let history = History::with_sent(1).polled(1, vec![(0, Found::Wrong("torn".into()))]);
    assert_eq!(history.faults(), [Fault::WrongBytes { offset: 0, how: "torn".into() }]);
}

#[test]
fn wrong_bytes_in_place_of_an_acked_record_also_lose_it() {
    let history = History::with_sent(1).acked(0, 0).polled(1, vec![(0, Found::Wrong("torn".into()))]);
    assert!(history.faults().contains(&Fault::Lost { value: v(0), offset: Some(0) }));
}

#[test]
fn an_acked_record_at_another_offset_has_moved() {
    let history = History::with_sent(2).acked(0, 1).read(&[0, 1]);
    assert_eq!(history.faults(), [Fault::Moved { value: v(1), acked: 0, found: 1 }]);
}

#[test]
fn two_reads_of_one_offset_must_agree() {
    let history = History::with_sent(3).read(&[0, 1]).read(&[0, 2]);
    assert_eq!(history.faults(), [Fault::Changed { offset: 1, before: v(1), now: v(2) }]);
}

#[test]
fn two_acks_of_one_offset_must_agree() {
    let history = History::with_sent(2).acked(0, 0).acked(0, 1);
    assert_eq!(history.faults(), [Fault::Changed { offset: 0, before: v(0), now: v(1) }]);
}

#[test]
fn a_skipped_and_a_repeated_offset_are_not_next() {
    let poll = |offset, n| (offset, Found::Value(v(n)));
    let skipped = History::with_sent(3).polled(3, vec![poll(0, 0), poll(2, 2)]);
    assert_eq!(skipped.faults(), [Fault::NotNext { reader: READER, expected: 1, got: 2 }]);
    let repeated = History::with_sent(2).polled(2, vec![poll(0, 0), poll(0, 0), poll(1, 1)]);
    assert_eq!(repeated.faults(), [Fault::NotNext { reader: READER, expected: 1, got: 0 }]);
}

#[test]
fn a_read_that_stops_before_the_end_is_short() {
    let history = History::with_sent(2).polled(2, vec![(0, Found::Value(v(0)))]);
    assert_eq!(history.faults(), [Fault::Short { reader: READER, end: 2, got: 1 }]);
}

#[test]
fn acks_that_come_after_the_end_was_asked_may_lie_above_it() {
    let mut history = History::with_sent(2).acked(0, 0);
    history.0.apply(Event::EndAsked { reader: READER });
    history = history.acked(1, 1);
    history.0.apply(Event::ReadStarted { reader: READER, from: 0, end: 1 });
    history.0.apply(Event::Polled { reader: READER, offset: 0, found: Found::Value(v(0)) });
    history.0.apply(Event::ReadEnded { reader: READER });
    assert_eq!(history.faults(), []);
}

#[test]
fn a_tail_reader_counts_as_a_reader() {
    let mut history = History::with_sent(2);
    history.0.apply(Event::TailStarted { reader: 9, from: 0 });
    history.0.apply(Event::Polled { reader: 9, offset: 0, found: Found::Value(v(1)) });
    assert_eq!(history.faults(), []);
    let gone = history.read(&[0]);
    assert_eq!(gone.faults(), [Fault::Changed { offset: 0, before: v(1), now: v(0) }]);
}

#[test]
fn a_log_that_ends_below_where_a_read_begins_went_back() {
    let mut history = History::with_sent(3).acked_all(3).read(&[0, 1, 2]);
    history.0.apply(Event::EndAsked { reader: READER });
    history.0.apply(Event::ReadStarted { reader: READER, from: 2, end: 1 });
    history.0.apply(Event::ReadEnded { reader: READER });
    let lost = |n: u64| Fault::Lost { value: v(n), offset: Some(n as i64) };
    assert_eq!(history.faults(), [Fault::EndWentBack { end: 1, floor: 3 }, lost(1), lost(2)]);
}
