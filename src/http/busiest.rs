//! `/v1/partitions` and `/v1/clients`: those of every core that moved most bytes since the start. Pure.

use serde_json::{Value, json};

use super::collect::Round;
use super::report::Busiest;

/// Of each core; a core with more leaves the least busy out.
pub const TOLD_MAX: usize = 200;

pub fn partitions(round: &Round<Busiest>) -> Value {
    let all = round.answered().flat_map(|(shard, core)| core.partitions.iter().map(move |load| (shard, load)));
    let told = all.map(|(shard, load)| {
        json!({
            "topic": &*load.topic,
            "partition": load.index,
            "shard": shard,
            "offline": load.offline,
            "log_start": load.log_start.0,
            "high_watermark": load.high_watermark.0,
            "size_bytes": load.size_bytes,
            "appended_records": load.traffic.appended_records,
            "appended_bytes": load.traffic.appended_bytes,
            "read_bytes": load.traffic.read_bytes,
        })
    });
    json!({ "partitions": told.collect::<Value>() })
}

pub fn clients(round: &Round<Busiest>) -> Value {
    let all = round.answered().flat_map(|(shard, core)| core.clients.iter().map(move |load| (shard, load)));
    let told = all.map(|(shard, load)| {
        json!({
            "client_id": load.client_id.as_deref(),
            "peer": load.peer.to_string(),
            "shard": shard,
            "requests": load.requests,
            "received_bytes": load.received_bytes,
            "sent_bytes": load.sent_bytes,
            "in_flight": load.in_flight,
        })
    });
    json!({ "clients": told.collect::<Value>() })
}
