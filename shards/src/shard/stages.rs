//! Where the time of requests goes on one core: a histogram per stage, in nanoseconds. Owning core only.

use std::fmt::Write as _;

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

    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Route => "route",
            Stage::Queue => "queue",
            Stage::CommitWait => "commit wait",
            Stage::Write => "write",
            Stage::Sync => "sync",
            Stage::WriteSynced => "write+sync",
            Stage::Reply => "reply",
        }
    }
}

/// Longest time kept apart: one minute; longer ones count as that.
const NANOS_MAX: u64 = 60_000_000_000;

/// The histograms of one core, and its counters.
pub struct Stages {
    histograms: [Histogram<u32>; Stage::ALL.len()],
    pub commits: u64,
    pub commit_bytes: u64,
    pub appended_bytes: u64,
    pub segment_bytes: u64,
    pub turns: u64,
}

impl Default for Stages {
    fn default() -> Stages {
        // Two digits: 1 % steps, about 30 KiB a stage.
        let empty = Histogram::new_with_bounds(1, NANOS_MAX, 2).expect("the bounds are constants");
        Stages {
            histograms: std::array::from_fn(|_| empty.clone()),
            commits: 0,
            commit_bytes: 0,
            appended_bytes: 0,
            segment_bytes: 0,
            turns: 0,
        }
    }
}

impl Stages {
    pub fn record(&mut self, stage: Stage, took: std::time::Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(NANOS_MAX).clamp(1, NANOS_MAX);
        // Inside the bounds, so it cannot fail.
        self.histograms[stage as usize].saturating_record(nanos);
    }

    /// One line a stage, microseconds.
    pub fn table(&self) -> String {
        let mut out = String::from("stage              n      p50      p99    p99.9      max  µs\n");
        for stage in Stage::ALL {
            let h = &self.histograms[stage as usize];
            let us = |q: f64| h.value_at_quantile(q) as f64 / 1000.0;
            let _ = writeln!(
                out,
                "{:<12} {:>7} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
                stage.name(),
                h.len(),
                us(0.5),
                us(0.99),
                us(0.999),
                h.max() as f64 / 1000.0
            );
        }
        let _ = writeln!(
            out,
            "commits {}, journal bytes {}, appended bytes {}, segment bytes {}, journal turns {}",
            self.commits, self.commit_bytes, self.appended_bytes, self.segment_bytes, self.turns
        );
        out
    }
}
