//! `/v1/stages`: the times of every stage, by core and of all cores together. Pure.

use serde_json::{Value, json};
use shards::router::{Stage, Times};

use super::collect::Round;

/// Nanoseconds, as the names say.
pub fn answer(round: &Round) -> Value {
    let shards: Vec<Value> = round
        .answered()
        .map(|(shard, core)| {
            let stages: Vec<Value> = core.stages().map(|(stage, times)| told(stage, times)).collect();
            json!({ "shard": shard, "stages": stages })
        })
        .collect();
    let all: Vec<Value> = Stage::ALL.into_iter().map(|stage| told(stage, &together(round, stage))).collect();
    json!({ "shards": shards, "all": all })
}

/// Of all cores.
fn together(round: &Round, stage: Stage) -> Times {
    let mut sum = Times::default();
    for (_, core) in round.answered() {
        for (_, times) in core.stages().filter(|(of, _)| *of == stage) {
            sum.add(times);
        }
    }
    sum
}

fn told(stage: Stage, times: &Times) -> Value {
    json!({
        "stage": stage.name(),
        "count": times.count(),
        "sum_ns": times.sum_nanos(),
        "p50_ns": times.quantile_nanos(0.5),
        "p99_ns": times.quantile_nanos(0.99),
        "p999_ns": times.quantile_nanos(0.999),
        "max_ns": times.max_nanos(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::report::tests::report;

    #[test]
    fn all_cores_together_are_their_sum() {
        let (mut first, mut second) = (report(), report());
        first.times[Stage::Sync as usize].record(Duration::from_micros(10));
        second.times[Stage::Sync as usize].record(Duration::from_micros(30));
        let told = answer(&Round { cores: vec![Some(first), None, Some(second)] });
        assert_eq!((&told["shards"][0]["shard"], &told["shards"][1]["shard"]), (&json!(0), &json!(2)));
        let sync = &told["all"][Stage::Sync as usize];
        assert_eq!((&sync["stage"], &sync["count"], &sync["sum_ns"]), (&json!("sync"), &json!(2), &json!(40_000)));
        assert_eq!(told["all"][Stage::Decode as usize]["count"], 0);
    }
}
