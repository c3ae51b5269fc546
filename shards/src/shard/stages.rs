//! Where the time of requests goes on one core: a histogram per kind of request and stage, in nanoseconds. Owning core only.
//!
//! Invariant: a request is noted by the core of its connection, once and whole, and its stages follow each other without
//! gaps (`trace`): so the stages of a class add up to its totals, exactly.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A kind of request, as far as it goes another way; or the core itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Produce,
    Fetch,
    Other,
    /// No request: messages from other cores (`route`), and operations of the core's journal (`write`, `sync`, `write_sync`).
    /// Each stands for itself, so there is no total.
    Core,
}

impl Class {
    pub const ALL: [Class; 4] = [Class::Produce, Class::Fetch, Class::Other, Class::Core];

    /// As metrics, JSON and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Produce => "produce",
            Class::Fetch => "fetch",
            Class::Other => "other",
            Class::Core => "core",
        }
    }
}

/// A stretch of a request's way, in the order in which requests go through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First byte can be read → the frame is whole and there is memory and room for it.
    Read,
    /// → decoded, checked and handed to the owners of its partitions.
    Decode,
    /// Produce: handed over → taken up by the owner's core. Several owners: by the one that all waited for, here and below.
    Route,
    /// Produce: → room in the open commit (journal, window, a cold tail).
    Queue,
    /// Produce: → in the open commit: the one copy.
    Append,
    /// Produce: → the commit's write starts.
    CommitWait,
    /// Produce: the journal's write, where no sync comes with it.
    Write,
    /// Produce: written → synced and released, where that is an operation of its own.
    Sync,
    /// Produce: a journal write that is synced when it is done, to its release: the usual case.
    WriteSync,
    /// Fetch: there is memory for the reply, the owners are asked → answered, all from memory.
    ReadMemory,
    /// Fetch: the same, with something from the disk.
    ReadDisk,
    /// Fetch: parked until there are records, or time is up. Joins and syncs of groups: until the other members are there.
    Wait,
    /// What is no produce and no fetch: decoded → its reply begins to leave.
    Serve,
    /// Produce, fetch: answered by the owner → back, encoded, and its turn to leave has come.
    Reply,
    /// → written to the socket, with all replies that leave with it.
    Send,
    /// All of it, from the first byte.
    Total,
}

impl Stage {
    pub const ALL: [Stage; 16] = [
        Stage::Read,
        Stage::Decode,
        Stage::Route,
        Stage::Queue,
        Stage::Append,
        Stage::CommitWait,
        Stage::Write,
        Stage::Sync,
        Stage::WriteSync,
        Stage::ReadMemory,
        Stage::ReadDisk,
        Stage::Wait,
        Stage::Serve,
        Stage::Reply,
        Stage::Send,
        Stage::Total,
    ];

    /// As metrics, JSON and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decode => "decode",
            Stage::Route => "route",
            Stage::Queue => "queue",
            Stage::Append => "append",
            Stage::CommitWait => "commit_wait",
            Stage::Write => "write",
            Stage::Sync => "sync",
            Stage::WriteSync => "write_sync",
            Stage::ReadMemory => "read_memory",
            Stage::ReadDisk => "read_disk",
            Stage::Wait => "wait",
            Stage::Serve => "serve",
            Stage::Reply => "reply",
            Stage::Send => "send",
            Stage::Total => "total",
        }
    }
}

/// Longest time kept apart: one minute; longer ones count as that.
const NANOS_MAX: u64 = 60_000_000_000;

/// The times of one stage.
#[derive(Clone)]
pub struct Times {
    histogram: Histogram<u64>,
    /// Exact, where the histogram rounds: sums of stages can be compared.
    sum_nanos: u64,
}

impl Default for Times {
    fn default() -> Times {
        // Two digits: 1 % steps, about 30 KiB.
        Times {
            histogram: Histogram::new_with_bounds(1, NANOS_MAX, 2).expect("the bounds are constants"),
            sum_nanos: 0,
        }
    }
}

impl Times {
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        self.histogram.saturating_record(nanos.min(NANOS_MAX));
    }

    /// Takes in the times of another core.
    pub fn add(&mut self, other: &Times) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// The time that this share of them kept within: 0.99 for p99. 0 where there are none.
    pub fn quantile_nanos(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }

    pub fn max_nanos(&self) -> u64 {
        self.histogram.max()
    }

    /// Upper end in nanoseconds and count of every bucket that holds any, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.histogram.iter_recorded().map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
    }

    /// How many kept within each bound. `bounds` ascend.
    pub fn within(&self, bounds_nanos: &[u64]) -> Vec<u64> {
        let mut counts = Vec::with_capacity(bounds_nanos.len());
        let mut recorded = self.histogram.iter_recorded().peekable();
        let mut sum = 0;
        for bound in bounds_nanos {
            while let Some(step) = recorded.next_if(|step| step.value_iterated_to() <= *bound) {
                sum += step.count_since_last_iteration();
            }
            counts.push(sum);
        }
        counts
    }
}

/// The histograms of one core. Those that nothing was noted in take no memory.
#[derive(Default)]
pub struct Stages {
    times: [[Option<Box<Times>>; Stage::ALL.len()]; Class::ALL.len()],
}

impl Stages {
    pub fn record(&mut self, class: Class, stage: Stage, took: Duration) {
        self.times[class as usize][stage as usize].get_or_insert_default().record(took);
    }

    /// `None`: nothing was noted.
    pub fn of(&self, class: Class, stage: Stage) -> Option<&Times> {
        self.times[class as usize][stage as usize].as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_within_bounds_are_cumulative_and_sums_exact() {
        let mut times = Times::default();
        for micros in [1, 2, 2, 50, 3_000] {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!(times.within(&[500, 1_100, 10_000, 100_000, 10_000_000]), [0, 1, 3, 4, 5]);
        assert_eq!((times.count(), times.sum_nanos()), (5, 3_055_000));
    }

    #[test]
    fn a_time_beyond_the_range_counts_as_its_end_and_is_summed_whole() {
        let mut times = Times::default();
        times.record(Duration::from_secs(3600));
        times.record(Duration::ZERO);
        assert_eq!((times.count(), times.sum_nanos()), (2, 60 * NANOS_MAX));
        assert!((NANOS_MAX..2 * NANOS_MAX).contains(&times.max_nanos()), "{}", times.max_nanos());
        assert_eq!(times.within(&[1, u64::MAX]), [1, 2]);
    }

    #[test]
    fn every_stage_has_its_own_place_and_name() {
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, place);
            assert!(stage.name().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{stage:?}");
            assert!(Stage::ALL.iter().all(|other| *other == stage || other.name() != stage.name()), "{stage:?}");
        }
    }
}
