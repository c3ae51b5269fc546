//! Tests of producer state.

use proptest::prelude::*;

use super::*;

const P: ProducerId = ProducerId(7);

fn batch(first: i32, count: i32) -> Sequenced {
    Sequenced { producer: P, epoch: 0, first, count, max_timestamp_ms: i64::from(first) + 1000 }
}

struct World {
    producers: Producers,
    room: ProducerRoom,
    end: Offset,
}

impl World {
    fn new() -> World {
        World { producers: Producers::default(), room: ProducerRoom::new(10), end: Offset(100) }
    }

    fn check(&self, batch: &Sequenced) -> Result<Verdict, AppendError> {
        self.producers.check(batch, &self.room)
    }

    /// Checks, and appends when it may.
    fn send(&mut self, batch: Sequenced) -> Result<Verdict, AppendError> {
        let verdict = self.check(&batch)?;
        if verdict == Verdict::Append {
            self.producers.record(&batch, self.end, 0, &mut self.room);
            self.end = self.end.plus(i64::from(batch.count));
        }
        Ok(verdict)
    }
}

fn out_of_order(got: i32, expected: i32) -> Result<Verdict, AppendError> {
    Err(AppendError::OutOfOrderSequence { producer_id: P, got, expected })
}

#[test]
fn retry_of_any_of_the_last_five_batches_returns_its_first_offset_and_timestamp() {
    let mut world = World::new();
    for n in 0..7 {
        assert_eq!(world.send(batch(n * 10, 10)), Ok(Verdict::Append));
    }
    for n in 2..7 {
        let duplicate = Verdict::Duplicate {
            base_offset: Offset(100 + i64::from(n) * 10),
            last_offset: Offset(109 + i64::from(n) * 10),
            timestamp_ms: i64::from(n) * 10 + 1000,
        };
        assert_eq!(world.send(batch(n * 10, 10)), Ok(duplicate));
    }
}

#[test]
fn older_than_five_partial_overlap_and_gap_are_out_of_order() {
    let mut world = World::new();
    for n in 0..7 {
        world.send(batch(n * 10, 10)).unwrap();
    }
    for (first, count) in [(0, 10), (10, 10), (60, 5), (65, 5), (55, 10), (60, 11), (71, 1), (80, 10)] {
        assert_eq!(world.send(batch(first, count)), out_of_order(first, 70), "{first}+{count}");
    }
    assert_eq!(world.send(batch(70, 1)), Ok(Verdict::Append));
}

#[test]
fn sequence_wraps_from_i32_max_to_zero() {
    let mut world = World::new();
    world.send(batch(i32::MAX - 4, 5)).unwrap();
    assert_eq!(world.send(batch(0, 5)), Ok(Verdict::Append));
    assert_eq!(world.send(batch(5, i32::MAX - 6)), Ok(Verdict::Append));
    // In the middle of a batch: last sequence 3.
    assert_eq!(world.send(batch(i32::MAX - 1, 6)), Ok(Verdict::Append));
    assert_eq!(world.send(batch(4, 1)), Ok(Verdict::Append));
    assert!(matches!(world.send(batch(i32::MAX - 1, 6)), Ok(Verdict::Duplicate { .. })));
}

#[test]
fn without_state_any_sequence_will_do() {
    let mut world = World::new();
    assert_eq!(world.send(batch(500, 5)), Ok(Verdict::Append));
    assert_eq!(world.send(batch(500, 6)), out_of_order(500, 505));
}

#[test]
fn a_new_epoch_starts_at_zero_and_an_older_one_is_fenced() {
    let mut world = World::new();
    world.send(batch(0, 5)).unwrap();
    let epoch = |epoch, batch| Sequenced { epoch, ..batch };
    assert_eq!(world.send(epoch(1, batch(5, 5))), out_of_order(5, 0));
    assert_eq!(world.send(epoch(1, batch(0, 5))), Ok(Verdict::Append));
    let fenced = AppendError::OldProducerEpoch { producer_id: P, got: 0, current: 1 };
    assert_eq!(world.send(batch(5, 5)), Err(fenced.clone()));
    // Even a true retry: its batches are forgotten.
    assert_eq!(world.send(batch(0, 5)), Err(fenced));
    assert!(matches!(world.send(epoch(1, batch(0, 5))), Ok(Verdict::Duplicate { .. })));
}

#[test]
fn batches_without_a_producer_leave_no_trace() {
    let mut world = World::new();
    let plain = Sequenced { producer: ProducerId::NONE, epoch: -1, ..batch(-1, 5) };
    for _ in 0..3 {
        assert_eq!(world.send(plain), Ok(Verdict::Append));
    }
    assert!(world.producers.is_empty() && world.room.used() == 0);
}

#[test]
fn producers_of_a_core_are_bounded_and_those_there_go_on() {
    let mut world = World::new();
    world.room = ProducerRoom::new(1);
    world.send(batch(0, 5)).unwrap();
    let other = Sequenced { producer: ProducerId(8), ..batch(0, 5) };
    assert_eq!(world.send(other), Err(AppendError::TooManyProducers { max: 1 }));
    assert_eq!(world.send(batch(5, 5)), Ok(Verdict::Append));
    world.producers.clear(&mut world.room);
    assert_eq!(world.send(other), Ok(Verdict::Append));
}

#[test]
fn a_silent_producer_expires_and_an_idle_partition_keeps_no_memory() {
    let mut world = World::new();
    world.producers.record(&batch(0, 5), Offset(0), 1000, &mut world.room);
    world.producers.expire(1999, 1000, &mut world.room);
    assert_eq!(world.producers.len(), 1);
    world.producers.expire(2000, 1000, &mut world.room);
    assert_eq!((world.producers.len(), world.room.used(), world.producers.by_id.capacity()), (0, 0, 0));
    assert_eq!(world.send(batch(77, 1)), Ok(Verdict::Append));
}

#[test]
fn a_gap_at_replay_starts_anew_as_it_did_live() {
    let mut world = World::new();
    world.producers.record(&batch(0, 5), Offset(0), 0, &mut world.room);
    world.producers.record(&batch(50, 5), Offset(5), 0, &mut world.room);
    assert_eq!(world.check(&batch(0, 5)), out_of_order(0, 55));
    assert_eq!(world.check(&batch(55, 1)), Ok(Verdict::Append));
}

#[test]
fn a_producer_costs_at_most_200_bytes() {
    // Slot and control byte, in a table that has just doubled (7/16 full), and the boxed state.
    let slot = (size_of::<ProducerId>() + size_of::<Box<Producer>>() + 1) * 16 / 7;
    assert!(slot + size_of::<Producer>() + 16 <= 200, "{slot} + {}", size_of::<Producer>());
}

#[test]
fn damaged_snapshots_are_refused() {
    let good = ProducerSnapshot {
        producer: P,
        epoch: 0,
        seen_ms: 0,
        batches: SmallVec::from_slice(&[
            BatchMark { first: 0, count: 5, ..BatchMark::default() },
            BatchMark { first: 5, count: 5, ..BatchMark::default() },
        ]),
    };
    let restore = |snapshot: ProducerSnapshot| World::new().producers.restore(&snapshot, &mut ProducerRoom::new(9));
    assert_eq!(restore(good.clone()), Ok(()));
    let with = |batches: &[BatchMark]| ProducerSnapshot { batches: SmallVec::from_slice(batches), ..good.clone() };
    assert!(restore(with(&[])).is_err());
    assert!(restore(with(&[good.batches[1], good.batches[0]])).is_err());
    assert!(restore(with(&[BatchMark::default()])).is_err());
    assert!(restore(with(&[BatchMark { count: 1, ..BatchMark::default() }; 6])).is_err());
    assert!(restore(ProducerSnapshot { producer: ProducerId::NONE, ..good.clone() }).is_err());
}

/// What a client might send: producer, epoch, how far from the expected sequence, records.
fn ops() -> impl Strategy<Value = Vec<(i64, i16, i32, i32)>> {
    let jump = prop_oneof![6 => Just(0), 1 => -30i32..30];
    prop::collection::vec((0i64..3, prop_oneof![8 => Just(0i16), 1 => 0i16..3], jump, 1i32..5), 0..80)
}

proptest! {
    #[test]
    fn replay_of_all_batches_equals_live_state(ops in ops(), cut in 0usize..80, start in prop_oneof![Just(0), Just(i32::MAX - 20)]) {
        let mut live = World::new();
        let mut log: Vec<(Sequenced, Offset)> = Vec::new();
        let mut next = [start; 3];
        let mut checkpoint = (0, Vec::new());
        for (n, (producer, epoch, jump, count)) in ops.into_iter().enumerate() {
            if n == cut {
                checkpoint = (log.len(), live.producers.snapshot());
            }
            let slot = &mut next[producer as usize];
            let first = sequence_after(*slot, jump);
            let batch = Sequenced { producer: ProducerId(producer), epoch, first, count, max_timestamp_ms: 5 };
            let base = live.end;
            if live.send(batch) == Ok(Verdict::Append) {
                log.push((batch, base));
                *slot = sequence_after(first, count);
                // What was just appended is a duplicate at once, before anything is durable.
                let last_offset = base.plus(i64::from(count) - 1);
                prop_assert_eq!(live.check(&batch), Ok(Verdict::Duplicate { base_offset: base, last_offset, timestamp_ms: 5 }));
            }
        }
        for (from, snapshot) in [(0, Vec::new()), checkpoint] {
            let (mut again, mut room) = (Producers::default(), ProducerRoom::new(10));
            for producer in &snapshot {
                again.restore(producer, &mut room).unwrap();
            }
            for (batch, base) in &log[from..] {
                again.record(batch, *base, 0, &mut room);
            }
            prop_assert_eq!(&again, &live.producers);
            prop_assert_eq!(room.used(), live.room.used());
            for producer in again.snapshot() {
                prop_assert!(producer.batches.windows(2).all(|pair| pair[0].next() == pair[1].first));
            }
        }
    }
}
