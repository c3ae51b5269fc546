//! One look at a broker: everything that its HTTP says, at one moment.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::cli::Failure;
use crate::cli::admin::Admin;

pub struct Look {
    pub at: Instant,
    /// `ready`, or why it is not.
    pub state: String,
    pub metrics: Metrics,
    /// The answers of these paths, see `http`.
    pub stages: Value,
    pub partitions: Value,
    pub clients: Value,
}

pub fn look(admin: &Admin) -> Result<Look, Failure> {
    let http = admin.http();
    // What it answers when it is not ready is of interest as well.
    let ready: Value = serde_json::from_str(&http.ask("/readyz")?.1).unwrap_or_default();
    let metrics = Metrics::of(&http.text("/metrics")?);
    let at = Instant::now();
    Ok(Look {
        at,
        state: ready["status"].as_str().unwrap_or("no state").to_owned(),
        metrics,
        stages: http.get("/v1/stages/buckets")?,
        partitions: http.get("/v1/partitions")?,
        clients: http.get("/v1/clients")?,
    })
}

/// The samples of `/metrics` that have no label, or a shard's alone.
#[derive(Default)]
pub struct Metrics {
    samples: BTreeMap<(String, Option<u32>), f64>,
}

impl Metrics {
    pub fn of(page: &str) -> Metrics {
        Metrics { samples: page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// Of the whole broker.
    pub fn whole(&self, name: &str) -> f64 {
        self.samples.get(&(name.to_owned(), None)).copied().unwrap_or(0.0)
    }

    pub fn of_shard(&self, name: &str, shard: u32) -> f64 {
        self.samples.get(&(name.to_owned(), Some(shard))).copied().unwrap_or(0.0)
    }

    /// The sum of all shards.
    pub fn sum(&self, name: &str) -> f64 {
        self.shards().iter().map(|shard| self.of_shard(name, *shard)).sum()
    }

    /// Of the same process, and of the same cores: what is in one of them alone would count as done since.
    pub fn follow(&self, before: &Metrics) -> bool {
        let started = |metrics: &Metrics| metrics.whole("process_start_time_seconds").to_bits();
        started(self) == started(before) && self.shards() == before.shards()
    }

    /// The shards that answered.
    pub fn shards(&self) -> Vec<u32> {
        let named = self.samples.keys().filter(|(name, _)| name == "corelog_partitions");
        named.filter_map(|(_, shard)| *shard).collect()
    }
}

fn sample(line: &str) -> Option<((String, Option<u32>), f64)> {
    let (name, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = name.split_once('{') else { return Some(((name.to_owned(), None), value)) };
    let shard = labels.strip_suffix("\"}")?.strip_prefix("shard=\"")?.parse().ok()?;
    Some(((name.to_owned(), Some(shard)), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_by_name_and_shard() {
        let metrics = Metrics::of(
            "# HELP corelog_partitions Partitions.\ncorelog_partitions{shard=\"0\"} 3\ncorelog_partitions{shard=\"1\"} 4\n\
             corelog_ready 1\ncorelog_requests_total{shard=\"0\",api=\"Fetch\"} 9\n",
        );
        assert_eq!((metrics.whole("corelog_ready"), metrics.sum("corelog_partitions")), (1.0, 7.0));
        assert_eq!((metrics.of_shard("corelog_partitions", 1), metrics.whole("nothing")), (4.0, 0.0));
        assert_eq!(metrics.shards(), [0, 1]);
    }

    #[test]
    fn looks_at_other_processes_or_other_cores_do_not_follow_each_other() {
        let of = |start: u32, shards: &[u32]| {
            let shards = shards.iter().map(|shard| format!("corelog_partitions{{shard=\"{shard}\"}} 3\n"));
            Metrics::of(&format!("process_start_time_seconds {start}\n{}", shards.collect::<String>()))
        };
        assert!(of(5, &[0, 1]).follow(&of(5, &[0, 1])));
        assert!(!of(5, &[0, 1]).follow(&of(5, &[1])) && !of(6, &[0]).follow(&of(5, &[0])));
    }
}
