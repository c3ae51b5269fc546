//! What one thread of a run has measured since it was last asked. Shared by that thread and the one that coordinates.
//!
//! Invariant: each record is in exactly one tally: that of the warm-up or that of the measurement, by when it was due. What
//! came in time is counted beside that, by when its ack came.

use std::mem;
use std::sync::{Mutex, PoisonError};

use super::latency::Latency;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when a record was due until its ack came.
    pub ack: Latency,
    /// The same less what of it may be the generator's own: that the record was made late, and that its ack lay unread while
    /// the thread did other things.
    pub bare_ack: Latency,
    /// From when its request was sent until its ack came: what a closed loop would see.
    pub service: Latency,
    /// From when a record was due until a reader had it.
    pub end_to_end: Latency,
    /// The generator's own delay: from when a record was due until it was made; in a closed loop, whose records are due when
    /// they are made, how long its ack may have lain unread.
    pub lateness: Latency,
    pub acked: u64,
    pub acked_bytes: u64,
    /// Records whose acks came while it was measured, whenever they were due, and their bytes: the throughput.
    pub acked_in_time: u64,
    pub acked_bytes_in_time: u64,
    pub read: u64,
    pub read_bytes: u64,
    pub requests: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.ack.add(&other.ack);
        self.bare_ack.add(&other.bare_ack);
        self.service.add(&other.service);
        self.end_to_end.add(&other.end_to_end);
        self.lateness.add(&other.lateness);
        self.acked += other.acked;
        self.acked_bytes += other.acked_bytes;
        self.acked_in_time += other.acked_in_time;
        self.acked_bytes_in_time += other.acked_bytes_in_time;
        self.read += other.read;
        self.read_bytes += other.read_bytes;
        self.requests += other.requests;
    }

    fn clear(&mut self) {
        for latency in [&mut self.ack, &mut self.bare_ack, &mut self.service, &mut self.end_to_end, &mut self.lateness]
        {
            latency.clear();
        }
        (self.acked, self.acked_bytes, self.read, self.read_bytes, self.requests) = (0, 0, 0, 0, 0);
        (self.acked_in_time, self.acked_bytes_in_time) = (0, 0);
    }
}

/// When a record was due, and how much later it was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub due_ns: u64,
    pub late_ns: u64,
}

/// The ack of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    pub records: &'a [Made],
    /// Of their values.
    pub bytes: u64,
    pub sent_ns: u64,
    pub now_ns: u64,
    /// How long it may have lain there before it was read.
    pub unread_ns: u64,
    /// Its records were due when they were made: the generator is late by what it leaves unread.
    pub closed_loop: bool,
}

/// What is measured, by the run's clock.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Records due from then on.
    pub warm_ns: u64,
    /// Acks that come later are not in time.
    pub end_ns: u64,
}

/// The two tallies of a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    pub warmup: Tally,
    pub measured: Tally,
}

impl Stretch {
    /// Where a record belongs that was due then.
    pub fn of(&mut self, due_ns: u64, warm_ns: u64) -> &mut Tally {
        if due_ns < warm_ns { &mut self.warmup } else { &mut self.measured }
    }

    /// Takes in the ack of a batch, each of its records by when that was due.
    pub fn ack(&mut self, ack: &Ack<'_>, window: Window) {
        let Ack { records, bytes, sent_ns, now_ns, unread_ns, .. } = *ack;
        let service_ns = now_ns.saturating_sub(sent_ns);
        // It cannot have come before what it answers was sent.
        let unread_ns = unread_ns.min(service_ns);
        for made in records {
            let took_ns = now_ns.saturating_sub(made.due_ns);
            let tally = self.of(made.due_ns, window.warm_ns);
            tally.ack.record(took_ns);
            tally.bare_ack.record(took_ns.saturating_sub(made.late_ns).saturating_sub(unread_ns));
            tally.service.record(service_ns);
            tally.acked += 1;
            if ack.closed_loop {
                tally.lateness.record(unread_ns);
            }
        }
        // Only the batch in which the warm-up ends has records of both; there a record has its share of the bytes.
        let all = records.len() as u64;
        let due = records.iter().filter(|made| made.due_ns >= window.warm_ns).count() as u64;
        let measured = bytes.saturating_mul(due).checked_div(all).unwrap_or(0);
        self.measured.acked_bytes += measured;
        self.warmup.acked_bytes += bytes - measured;
        if (window.warm_ns..=window.end_ns).contains(&now_ns) {
            self.measured.acked_in_time += all;
            self.measured.acked_bytes_in_time += bytes;
        }
    }

    pub fn clear(&mut self) {
        self.warmup.clear();
        self.measured.clear();
    }
}

#[derive(Debug, Default)]
pub struct Meter {
    since: Mutex<Stretch>,
}

impl Meter {
    pub fn record<T>(&self, put: impl FnOnce(&mut Stretch) -> T) -> T {
        put(&mut self.since.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was measured since the last call, in exchange for an empty stretch.
    pub fn take(&self, empty: Stretch) -> Stretch {
        mem::replace(&mut self.since.lock().unwrap_or_else(PoisonError::into_inner), empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// Measured from 100 ms to 200 ms.
    const WINDOW: Window = Window { warm_ns: 100 * MS, end_ns: 200 * MS };

    /// A batch of records due at these milliseconds, each made 2 ms late, acked at `now_ms`.
    fn acked(dues_ms: &[u64], now_ms: u64, unread_ms: u64, closed_loop: bool) -> Stretch {
        let made = |due_ms: &u64| Made { due_ns: due_ms * MS, late_ns: 2 * MS };
        let records: Vec<Made> = dues_ms.iter().map(made).collect();
        let (now_ns, sent_ns) = (now_ms * MS, (now_ms - 5) * MS);
        let bytes = 10 * records.len() as u64;
        let mut stretch = Stretch::default();
        let ack = Ack { records: &records, bytes, sent_ns, now_ns, unread_ns: unread_ms * MS, closed_loop };
        stretch.ack(&ack, WINDOW);
        stretch
    }

    #[test]
    fn a_batch_in_which_the_warm_up_ends_counts_record_by_record() {
        let stretch = acked(&[97, 98, 99, 100, 101], 110, 0, false);
        for (tally, count) in [(&stretch.warmup, 3), (&stretch.measured, 2)] {
            assert_eq!((tally.acked, tally.acked_bytes), (count, 10 * count));
            assert_eq!((tally.ack.count(), tally.bare_ack.count(), tally.service.count()), (count, count, count));
        }
    }

    #[test]
    fn acks_are_in_time_by_when_they_come_and_not_by_when_their_records_were_due() {
        for (due_ms, now_ms, in_time) in [(20, 99, 0), (20, 100, 1), (150, 200, 1), (150, 201, 0)] {
            let stretch = acked(&[due_ms], now_ms, 0, false);
            let Tally { acked_in_time, acked_bytes_in_time, .. } = stretch.measured;
            assert_eq!((acked_in_time, acked_bytes_in_time), (in_time, 10 * in_time), "{due_ms} {now_ms}");
        }
    }

    #[test]
    fn what_the_generator_was_late_by_and_left_unread_is_not_in_the_bare_latency() {
        let open = acked(&[110], 120, 3, false).measured;
        let about = |latency: &Latency| latency.max_us() / 100;
        assert_eq!((about(&open.ack), about(&open.bare_ack), open.lateness.count()), (100, 50, 0));
        let closed = acked(&[110], 120, 3, true).measured;
        assert_eq!((about(&closed.bare_ack), about(&closed.lateness)), (50, 30));
        // Sent 5 ms before: it cannot have lain there for longer.
        let long = acked(&[110], 120, 50, true).measured;
        assert_eq!((about(&long.bare_ack), about(&long.lateness)), (30, 50));
    }
}
