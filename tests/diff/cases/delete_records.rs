//! DeleteRecords: inside the log, at its ends and beyond; compacted, internal and unknown topics.

use corelog::wire::Str;
use corelog::wire::messages::ApiKey;
use corelog::wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use corelog::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest};

use super::produce;
use super::states::State;
use crate::batches::batch;
use crate::case::{Case, case};
use crate::world::{TIMEOUT_MS, World};

fn ask(topic: &Str, partitions: &[(i32, i64)]) -> DeleteRecordsRequest {
    let partition = |&(partition_index, offset): &(i32, i64)| DeleteRecordsPartition { partition_index, offset };
    let topic = DeleteRecordsTopic { name: topic.clone(), partitions: partitions.iter().map(partition).collect() };
    DeleteRecordsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS }
}

/// Where the log starts now.
fn start(w: &mut World, topic: &Str) {
    let partition = ListOffsetsPartition { timestamp: -2, ..Default::default() };
    let topics = vec![ListOffsetsTopic { name: topic.clone(), partitions: vec![partition] }];
    w.ask(ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }, 7);
}

/// A log of the offsets 0 to 4 in two batches.
fn filled(w: &mut World) -> Str {
    let topic = w.topic("filled", 1);
    w.append(&topic, 0, &batch(w, 0, &["a", "b", "c"]));
    w.append(&topic, 0, &batch(w, 10, &["d", "e"]));
    topic
}

pub fn cases() -> Vec<Case> {
    vec![
        case("all of it, between records whose acks nobody waits for", 0..=2, |w, v| {
            let topic = filled(w);
            let unacked = |records| {
                let partition = PartitionProduceData { index: 0, records: Some(records) };
                ProduceRequest { acks: 0, ..produce::topic(topic.clone(), vec![partition]) }
            };
            let (before, behind) = (unacked(batch(w, 20, &["f"])), unacked(batch(w, 30, &["g"])));
            let frames = [w.bytes(before, 9), w.bytes(ask(&topic, &[(0, -1)]), v), w.bytes(behind, 9)].concat();
            w.send(&frames, ApiKey::DeleteRecords, v);
            start(w, &topic);
        }),
        case("up to an offset inside a batch, then to the high watermark", 0..=2, |w, v| {
            let topic = filled(w);
            for offset in [1, 0, -1] {
                w.ask(ask(&topic, &[(0, offset)]), v);
                start(w, &topic);
            }
        }),
        case("of a topic of the broker's own, partitions that there are and are not", 0..=2, |w, v| {
            State::Empty.make(w);
            w.ask(ask(&"__consumer_offsets".into(), &[(0, -1), (-1, 0), (50, 0), (99, -1), (0, 0)]), v);
        }),
        case("up to the end, and beyond it", 0..=2, |w, v| {
            let topic = filled(w);
            for offset in [6, i64::MAX, -2, i64::MIN, 5, 5] {
                w.ask(ask(&topic, &[(0, offset)]), v);
            }
            start(w, &topic);
        }),
        case("of an empty log", 0..=2, |w, v| {
            let topic = w.topic("empty", 1);
            for offset in [0, -1, 1] {
                w.ask(ask(&topic, &[(0, offset)]), v);
            }
        }),
        case("unknown partitions and topics beside known ones", 0..=2, |w, v| {
            let topic = filled(w);
            w.ask(ask(&topic, &[(0, 1), (1, 0), (-1, 0)]), v);
            let unknown = w.name("unknown");
            w.ask(ask(&unknown, &[(0, 0)]), v);
        }),
        case("a partition twice", 0..=2, |w, v| {
            let topic = filled(w);
            w.ask(ask(&topic, &[(0, 1), (0, 2)]), v);
        }),
        case("of a topic that is compacted", 0..=2, |w, v| {
            let topic = w.topic_with("compacted", 1, &[("cleanup.policy", "compact")]);
            w.append(&topic, 0, &batch(w, 0, &["a", "b"]));
            w.ask(ask(&topic, &[(0, 1), (1, 1), (-1, 1)]), v);
            let both = w.topic_with("both", 1, &[("cleanup.policy", "compact,delete")]);
            w.append(&both, 0, &batch(w, 0, &["a", "b"]));
            w.ask(ask(&both, &[(0, 1)]), v);
        }),
        case("names that no topic can have", 0..=2, |w, v| {
            for name in ["", "a b"] {
                w.ask(ask(&name.into(), &[(0, 0)]), v);
            }
        }),
        case("no topics, no partitions", 0..=2, |w, v| {
            w.ask(DeleteRecordsRequest { topics: vec![], timeout_ms: TIMEOUT_MS }, v);
            let topic = w.topic("a", 1);
            w.ask(ask(&topic, &[]), v);
        }),
        case("no time to wait", 0..=2, |w, v| {
            let topic = filled(w);
            w.ask(DeleteRecordsRequest { timeout_ms: 0, ..ask(&topic, &[(0, 2)]) }, v);
        }),
    ]
}
