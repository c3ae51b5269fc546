//! `/v1/stages`: the times of every stage, by core and of all cores together. Pure.
//!
//! The name `replicate_wait` is kept for replication: until other brokers have what is written, between `write_sync` and `reply`.

use serde_json::{Value, json};
use shards::router::{Class, Stage, Times};

use super::collect::Round;

/// Nanoseconds, as the names say.
pub fn answer(round: &Round) -> Value {
    let shards: Vec<Value> = round
        .answered()
        .map(|(shard, core)| {
            let stages: Vec<Value> =
                core.times.iter().map(|(class, stage, times)| told(*class, *stage, times)).collect();
            json!({ "shard": shard, "stages": stages })
        })
        .collect();
    let pairs = Class::ALL.into_iter().flat_map(|class| Stage::ALL.map(|stage| (class, stage)));
    let all: Vec<Value> =
        pairs.filter_map(|(class, stage)| Some(told(class, stage, &together(round, class, stage)?))).collect();
    json!({ "shards": shards, "all": all })
}

/// The same of all cores together, each with the upper end and the count of every bucket of its histogram that holds any;
/// and what tells whether two such answers can be subtracted: whose they are, and whether all cores are in them.
pub fn with_buckets(round: &Round, cluster_id: &str) -> Value {
    let pairs = Class::ALL.into_iter().flat_map(|class| Stage::ALL.map(|stage| (class, stage)));
    let all = pairs.filter_map(|(class, stage)| {
        let times = together(round, class, stage)?;
        let mut told = told(class, stage, &times);
        let buckets = times.buckets().map(|(within, count)| json!([within, count])).collect();
        told.as_object_mut()?.insert("buckets".to_owned(), buckets);
        Some(told)
    });
    json!({
        "cluster_id": cluster_id,
        "shards": round.cores.len(),
        "answered": round.answered().count(),
        "all": all.collect::<Value>(),
    })
}

/// Of all cores; `None`: nothing went through there.
pub fn together(round: &Round, class: Class, stage: Stage) -> Option<Times> {
    let noted = round.answered().flat_map(|(_, core)| &core.times);
    let noted = noted.filter(|(c, s, _)| (*c, *s) == (class, stage)).map(|(.., times)| times);
    noted.fold(None, |sum: Option<Times>, times| {
        let mut sum = sum.unwrap_or_default();
        sum.add(times);
        Some(sum)
    })
}

fn told(class: Class, stage: Stage, times: &Times) -> Value {
    json!({
        "request": class.name(),
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
    use super::*;
    use crate::http::report::tests::{noted, report};

    #[test]
    fn all_cores_together_are_their_sum() {
        let core = |micros| Some(noted(Class::Produce, Stage::Sync, &[micros]));
        let told = answer(&Round { cores: vec![core(10), None, core(30), Some(report())] });
        let numbers: Vec<&Value> = (0..3).map(|at| &told["shards"][at]["shard"]).collect();
        assert_eq!(numbers, [&json!(0), &json!(2), &json!(3)]);
        let all = told["all"].as_array().expect("a list");
        assert_eq!(all.len(), 1, "{told}");
        assert_eq!((&all[0]["request"], &all[0]["stage"]), (&json!("produce"), &json!("sync")));
        assert_eq!((&all[0]["count"], &all[0]["sum_ns"]), (&json!(2), &json!(40_000)));
    }
}
