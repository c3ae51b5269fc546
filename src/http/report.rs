//! What one core says of itself, in one message. Made on that core, read on the control thread.

use std::fmt::Write as _;

use shards::router::{Class, PartitionLoad, ShardReport, Stage, Times};

use crate::listen::{ClientLoad, ServerReport};

/// A core is asked by telling it where to answer.
pub enum Ask {
    Report(flume::Sender<CoreReport>),
    Busiest(flume::Sender<Busiest>),
}

/// What moved most bytes on one core, the busiest first.
pub struct Busiest {
    pub partitions: Vec<PartitionLoad>,
    pub clients: Vec<ClientLoad>,
}

/// All that there is to say of one core.
pub struct CoreReport {
    pub shard: ShardReport,
    pub server: ServerReport,
    /// What anything went through, in order.
    pub times: Vec<(Class, Stage, Times)>,
}

impl CoreReport {
    /// One line a stage, for a person.
    pub fn table(&self) -> String {
        let mut out = String::from("request  stage              n      p50      p99    p99.9      max  µs\n");
        for (class, stage, times) in &self.times {
            let us = |quantile: f64| times.quantile_nanos(quantile) as f64 / 1000.0;
            let _ = writeln!(
                out,
                "{:<8} {:<12} {:>7} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
                class.name(),
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

    /// The same, and these times were noted.
    pub fn noted(class: Class, stage: Stage, micros: &[u64]) -> CoreReport {
        let mut times = Times::default();
        micros.iter().for_each(|micros| times.record(std::time::Duration::from_micros(*micros)));
        CoreReport { times: vec![(class, stage, times)], ..report() }
    }

    /// A core to which nothing has happened yet.
    pub fn report() -> CoreReport {
        CoreReport { shard: ShardReport::default(), server: ServerReport::default(), times: Vec::new() }
    }
}
