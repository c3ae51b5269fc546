//! `/v1/slow`: the last slow requests of every core, each with where its time went. Pure.

use serde_json::{Value, json};

use super::collect::Round;

/// Newest first; times in nanoseconds, as the names say.
pub fn answer(round: &Round) -> Value {
    let mut all: Vec<_> =
        round.answered().flat_map(|(shard, core)| core.server.slow.iter().map(move |slow| (shard, slow))).collect();
    all.sort_by_key(|(_, slow)| std::cmp::Reverse(slow.ended_ms));
    let told = all.into_iter().map(|(shard, slow)| {
        let stages = slow.steps.iter().map(|(stage, took)| json!({ "stage": stage.name(), "ns": nanos(*took) }));
        json!({
            "shard": shard,
            "api": slow.api,
            "peer": slow.peer.to_string(),
            "ended_ms": slow.ended_ms,
            "total_ns": nanos(slow.total),
            "stages": stages.collect::<Value>(),
        })
    });
    json!({ "requests": told.collect::<Value>() })
}

fn nanos(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
