//! Where the time of requests goes on one core: a histogram per stage, in nanoseconds. Owning core only.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A stretch of a request's way. Produce goes through them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Frame complete → decoded, checked and handed to the owners.
    Decode,
    /// Sent by the connection's core → taken up by the owner's core.
    Route,
    /// Taken up → in the open commit (admission: journal room, window, a cold tail).
    Queue,
    /// In the open commit → its write starts.
    CommitWait,
    /// The journal write.
    Write,
    /// The journal sync.
    Sync,
    /// A journal write that is synced when it is done: the usual case.
    WriteSynced,
    /// Released → written to the socket.
    Reply,
}

impl Stage {
    pub const ALL: [Stage; 8] = [
        Stage::Decode,
        Stage::Route,
        Stage::Queue,
        Stage::CommitWait,
        Stage::Write,
        Stage::Sync,
        Stage::WriteSynced,
        Stage::Reply,
    ];

    /// As metrics, JSON and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Route => "route",
            Stage::Queue => "queue",
            Stage::CommitWait => "commit_wait",
            Stage::Write => "write",
            Stage::Sync => "sync",
            Stage::WriteSynced => "write_sync",
            Stage::Reply => "reply",
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
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(NANOS_MAX).clamp(1, NANOS_MAX);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
        // Inside the bounds, so it cannot fail.
        self.histogram.saturating_record(nanos);
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

/// The histograms of one core.
#[derive(Default)]
pub struct Stages {
    times: [Times; Stage::ALL.len()],
}

impl Stages {
    pub fn record(&mut self, stage: Stage, took: Duration) {
        self.times[stage as usize].record(took);
    }

    pub fn of(&self, stage: Stage) -> &Times {
        &self.times[stage as usize]
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
    fn a_time_beyond_the_range_counts_as_its_end() {
        let mut times = Times::default();
        times.record(Duration::from_secs(3600));
        times.record(Duration::ZERO);
        assert_eq!((times.count(), times.sum_nanos()), (2, NANOS_MAX + 1));
        assert!(times.max_nanos() >= NANOS_MAX);
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
