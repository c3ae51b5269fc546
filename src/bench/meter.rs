//! What one thread of a run has measured since it was last asked. Shared by that thread and the one that coordinates.
//!
//! Invariant: each record is in exactly one tally: that of the warm-up or that of the measurement, by when it was due.

use std::mem;
use std::sync::{Mutex, PoisonError};

use super::latency::Latency;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// From when a record was due until its ack came.
    pub ack: Latency,
    /// From when its request was sent until its ack came: what a closed loop would see.
    pub service: Latency,
    /// From when a record was due until a reader had it.
    pub end_to_end: Latency,
    /// From when a record was due until it was made: the generator's own delay.
    pub lateness: Latency,
    pub acked: u64,
    pub acked_bytes: u64,
    pub read: u64,
    pub read_bytes: u64,
    pub requests: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.ack.add(&other.ack);
        self.service.add(&other.service);
        self.end_to_end.add(&other.end_to_end);
        self.lateness.add(&other.lateness);
        self.acked += other.acked;
        self.acked_bytes += other.acked_bytes;
        self.read += other.read;
        self.read_bytes += other.read_bytes;
        self.requests += other.requests;
    }

    fn clear(&mut self) {
        for latency in [&mut self.ack, &mut self.service, &mut self.end_to_end, &mut self.lateness] {
            latency.clear();
        }
        (self.acked, self.acked_bytes, self.read, self.read_bytes, self.requests) = (0, 0, 0, 0, 0);
    }
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
