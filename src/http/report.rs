//! What one core says of itself, in one message. Made on that core, read on the control thread.

use std::fmt::Write as _;

use shards::router::{ShardReport, Stage, Times};

use crate::listen::ServerReport;

/// A core is asked by telling it where to answer.
pub type Ask = flume::Sender<CoreReport>;

/// All that there is to say of one core.
pub struct CoreReport {
    pub shard: ShardReport,
    pub server: ServerReport,
    /// In the order of [`Stage::ALL`].
    pub times: Vec<Times>,
}

impl CoreReport {
    /// Every stage with its times.
    pub fn stages(&self) -> impl Iterator<Item = (Stage, &Times)> {
        Stage::ALL.into_iter().zip(&self.times)
    }

    /// One line a stage, for a person.
    pub fn table(&self) -> String {
        let mut out = String::from("stage              n      p50      p99    p99.9      max  µs\n");
        for (stage, times) in self.stages() {
            let us = |quantile: f64| times.quantile_nanos(quantile) as f64 / 1000.0;
            let _ = writeln!(
                out,
                "{:<12} {:>7} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
                stage.name(),
                times.count(),
                us(0.5),
                us(0.99),
                us(0.999),
                times.max_nanos() as f64 / 1000.0
            );
        }
        let c = &self.shard.counters;
        let _ = writeln!(
            out,
            "commits {}, journal bytes {}, appended bytes {}, segment bytes {}, journal turns {}",
            c.commits, c.commit_bytes, c.appended_bytes, c.segment_bytes, c.turns
        );
        out
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A core to which nothing has happened yet.
    pub fn report() -> CoreReport {
        CoreReport {
            shard: ShardReport::default(),
            server: ServerReport::default(),
            times: vec![Times::default(); Stage::ALL.len()],
        }
    }
}
