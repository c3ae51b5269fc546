//! Fetch outside of sessions: offsets, limits, waiting, epochs, isolation, unknown partitions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use corelog::wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use corelog::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
use corelog::wire::{Str, TopicId};

use crate::batches::{batch, of_producer};
use crate::case::{Case, case};
use crate::world::{TIMEOUT_MS, World};

/// A partition from this offset on.
pub fn from(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() }
}

/// Partitions of a topic, named by its name or by its id, as the version wants.
pub fn to(w: &mut World, tag: &str, partitions: Vec<FetchPartition>, version: i16) -> FetchTopic {
    let topic_id = if version < 13 { TopicId::ZERO } else { w.id(tag) };
    FetchTopic { topic: w.name(tag), topic_id, partitions }
}

/// A fetch that does not wait.
pub fn ask(topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest { max_wait_ms: 0, min_bytes: 1, max_bytes: 1 << 20, topics, ..Default::default() }
}

/// Offsets 0 to 5 in three batches.
fn filled(w: &mut World) -> Str {
    let topic = w.topic("a", 1);
    w.append(&topic, 0, &batch(w, 0, &["a", "b", "c"]));
    w.append(&topic, 0, &batch(w, 10, &["d", "e"]));
    w.append(&topic, 0, &batch(w, 20, &["f"]));
    topic
}

/// For a fetch that waits: no longer than it must.
const SHORT_MS: i32 = 40;
/// For one that does not: so long that a busy machine takes less to answer.
const LONG_MS: i32 = 10_000;

/// Asks, and notes whether that took as long as the request allows.
fn timed(w: &mut World, request: FetchRequest, version: i16) {
    let wait = Duration::from_millis(u64::from(request.max_wait_ms.unsigned_abs()));
    let begun = Instant::now();
    w.ask(request, version);
    // A broker counts in whole milliseconds.
    let waited = begun.elapsed() + Duration::from_millis(2) >= wait;
    w.note(if waited { "after the whole wait" } else { "at once" });
}

pub fn cases() -> Vec<Case> {
    let mut cases = of_offsets();
    cases.extend(of_limits());
    cases.extend(of_partitions());
    cases
}

fn of_offsets() -> Vec<Case> {
    vec![
        case("from every offset, and beyond both ends", 4..=18, |w, v| {
            filled(w);
            for offset in [0, 1, 3, 5, 6, 7, -1, i64::MAX, i64::MIN] {
                let topic = to(w, "a", vec![from(0, offset)], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("from an empty log", 4..=18, |w, v| {
            w.topic("a", 1);
            for offset in [0, 1, -1] {
                let topic = to(w, "a", vec![from(0, offset)], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("read committed", 4..=18, |w, v| {
            filled(w);
            for offset in [0, 6, 7] {
                let topic = to(w, "a", vec![from(0, offset)], v);
                w.ask(FetchRequest { isolation_level: 1, ..ask(vec![topic]) }, v);
            }
        }),
        case("an isolation that there is not", 4..=18, |w, v| {
            filled(w);
            for isolation_level in [2, -1] {
                let topic = to(w, "a", vec![from(0, 5)], v);
                w.ask(FetchRequest { isolation_level, ..ask(vec![topic]) }, v);
            }
        }),
        case("below a log start that was moved", 4..=18, |w, v| {
            let name = filled(w);
            let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 4 }];
            let topics = vec![DeleteRecordsTopic { name, partitions }];
            w.ask(DeleteRecordsRequest { topics, timeout_ms: TIMEOUT_MS }, 2);
            for offset in [0, 3, 4, 5] {
                let topic = to(w, "a", vec![from(0, offset)], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("records of a producer", 4..=18, |w, v| {
            let topic = w.topic("a", 1);
            w.append(&topic, 0, &of_producer(w, (4000, 2, 0), &["x", "y"]));
            let topic = to(w, "a", vec![from(0, 0)], v);
            w.ask(ask(vec![topic]), v);
        }),
        case("times of the append", 4..=18, |w, v| {
            let topic = w.topic_with("a", 1, &[("message.timestamp.type", "LogAppendTime")]);
            w.append(&topic, 0, &batch(w, 0, &["x", "y"]));
            let topic = to(w, "a", vec![from(0, 0)], v);
            w.ask(ask(vec![topic]), v);
        }),
    ]
}

fn of_limits() -> Vec<Case> {
    vec![
        case("limits of a partition", 4..=18, |w, v| {
            filled(w);
            for partition_max_bytes in [0, 1, 100, 200, -1, i32::MIN, i32::MAX] {
                let topic = to(w, "a", vec![FetchPartition { partition_max_bytes, ..from(0, 0) }], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("limits of the whole", 4..=18, |w, v| {
            filled(w);
            for max_bytes in [0, 1, 100, 200, -1] {
                let topic = to(w, "a", vec![from(0, 0)], v);
                w.ask(FetchRequest { max_bytes, ..ask(vec![topic]) }, v);
            }
        }),
        case("the limit of the whole over several partitions", 4..=18, |w, v| {
            let topic = w.topic("a", 3);
            for index in 0..3 {
                w.append(&topic, index, &batch(w, 0, &[&"x".repeat(100)]));
            }
            for max_bytes in [1, 250, 400, 10_000] {
                let topic = to(w, "a", (0..3).map(|index| from(index, 0)).collect(), v);
                w.ask(FetchRequest { max_bytes, ..ask(vec![topic]) }, v);
            }
        }),
        case("waiting for more than there is", 4..=18, |w, v| {
            filled(w);
            for (min_bytes, max_wait_ms) in [(1, SHORT_MS), (1_000_000, SHORT_MS), (0, LONG_MS), (-1, LONG_MS)] {
                let topic = to(w, "a", vec![from(0, 6)], v);
                timed(w, FetchRequest { min_bytes, max_wait_ms, ..ask(vec![topic]) }, v);
            }
            let topic = to(w, "a", vec![from(0, 6)], v);
            w.ask(FetchRequest { min_bytes: 1_000_000, max_wait_ms: -1, ..ask(vec![topic]) }, v);
            let topic = to(w, "a", vec![from(0, 0)], v);
            timed(w, FetchRequest { min_bytes: 1_000_000, max_wait_ms: SHORT_MS, ..ask(vec![topic]) }, v);
            let topic = to(w, "a", vec![from(0, 0)], v);
            timed(w, FetchRequest { min_bytes: 10, max_wait_ms: LONG_MS, ..ask(vec![topic]) }, v);
        }),
        case("what ends the wait at once", 4..=12, |w, v| {
            w.topic("a", 2);
            for (what, partition, max_wait_ms) in [
                ("an unknown partition", from(7, 0), SHORT_MS),
                ("an offset out of range", from(1, 9), LONG_MS),
                ("an epoch to come", FetchPartition { current_leader_epoch: 9, ..from(1, 0) }, LONG_MS),
            ] {
                if v < 9 && partition.current_leader_epoch == 9 {
                    continue;
                }
                w.note(what);
                let topic = to(w, "a", vec![from(0, 0), partition], v);
                timed(w, FetchRequest { max_wait_ms, ..ask(vec![topic]) }, v);
            }
            timed(w, FetchRequest { max_wait_ms: LONG_MS, ..ask(vec![]) }, v);
        }),
        case("what ends the wait at once, by id", 13..=18, |w, v| {
            w.topic("a", 2);
            let good = to(w, "a", vec![from(0, 0)], v);
            let unknown = FetchTopic { topic_id: TopicId([0x5a; 16]), ..good.clone() };
            timed(w, FetchRequest { max_wait_ms: SHORT_MS, ..ask(vec![good.clone(), unknown]) }, v);
            let range = FetchTopic { partitions: vec![from(1, 9)], ..good.clone() };
            timed(w, FetchRequest { max_wait_ms: LONG_MS, ..ask(vec![good, range]) }, v);
        }),
    ]
}

fn of_partitions() -> Vec<Case> {
    vec![
        case("unknown topics and partitions beside known ones", 4..=12, |w, v| {
            filled(w);
            let known = to(w, "a", vec![from(0, 5), from(1, 0), from(-1, 0)], v);
            let unknown = to(w, "unknown", vec![from(0, 0), from(1, 0)], v);
            w.ask(ask(vec![known, unknown]), v);
        }),
        case("ids that no topic has", 13..=18, |w, v| {
            filled(w);
            let known = to(w, "a", vec![from(0, 5), from(1, 0)], v);
            for id in [TopicId([0x5a; 16]), TopicId::ZERO] {
                let unknown = FetchTopic { topic_id: id, ..known.clone() };
                w.ask(ask(vec![known.clone(), unknown]), v);
            }
        }),
        case("a partition twice", 4..=18, |w, v| {
            filled(w);
            let topic = to(w, "a", vec![from(0, 5), from(0, 3)], v);
            w.ask(ask(vec![topic]), v);
        }),
        case("no topics, no partitions", 4..=18, |w, v| {
            filled(w);
            w.ask(ask(vec![]), v);
            let topic = to(w, "a", vec![], v);
            w.ask(ask(vec![topic]), v);
        }),
        case("what the reader thinks is the current epoch", 9..=18, |w, v| {
            filled(w);
            for current_leader_epoch in [-2, -1, 0, 1, i32::MAX] {
                let topic = to(w, "a", vec![FetchPartition { current_leader_epoch, ..from(0, 5) }], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("the epoch of the last record read", 12..=18, |w, v| {
            filled(w);
            for (last_fetched_epoch, offset) in [(-1, 5), (0, 5), (0, 6), (0, 7), (1, 5), (i32::MAX, 5), (-2, 5)] {
                let topic = to(w, "a", vec![FetchPartition { last_fetched_epoch, ..from(0, offset) }], v);
                w.ask(ask(vec![topic]), v);
            }
        }),
        case("a reader that says it is a replica", 4..=18, |w, v| {
            filled(w);
            for replica_id in [1, 9, -2, -3] {
                let topic = to(w, "a", vec![from(0, 5)], v);
                let mut asked = ask(vec![topic]);
                if v < 15 {
                    asked.replica_id = replica_id;
                } else {
                    asked.replica_state = ReplicaState { replica_id, replica_epoch: -1 };
                }
                w.ask(asked, v);
            }
        }),
        case("a rack and a cluster id that are not ours", 12..=18, |w, v| {
            filled(w);
            let topic = to(w, "a", vec![from(0, 5)], v);
            let cluster_id = Some("another".into());
            w.ask(FetchRequest { rack_id: "r".into(), cluster_id, ..ask(vec![topic]) }, v);
        }),
        case("zstd for readers too old for it", 4..=18, |w, v| {
            let topic = w.topic_with("a", 1, &[("compression.type", "zstd")]);
            w.append(&topic, 0, &zstd(w));
            let topic = to(w, "a", vec![from(0, 0)], v);
            w.ask(ask(vec![topic]), v);
        }),
    ]
}

fn zstd(w: &World) -> Bytes {
    use shards::batch::{BatchBuilder, Compression, CompressionLevels};
    let builder = BatchBuilder::new(w.time(0)).compression(Compression::Zstd, CompressionLevels::default());
    crate::batches::build(builder, w, 0, &["x", "y"])
}
