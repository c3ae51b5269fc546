//! ListOffsets: by time and by each sentinel, in every version; epochs, twice, unknown.

use corelog::wire::Str;
use corelog::wire::messages::ApiKey;
use corelog::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest};

use super::produce;
use crate::batches::{batch, patched};
use crate::case::{Case, case};
use crate::world::World;

fn at(timestamp: i64) -> ListOffsetsPartition {
    ListOffsetsPartition { timestamp, ..Default::default() }
}

fn ask(topic: Str, partitions: Vec<ListOffsetsPartition>) -> ListOffsetsRequest {
    let topics = vec![ListOffsetsTopic { name: topic, partitions }];
    ListOffsetsRequest { replica_id: -1, topics, ..Default::default() }
}

/// A topic with records of the times T+0, 1, 2 and T+10, 11.
fn filled(w: &mut World) -> Str {
    let topic = w.topic("filled", 1);
    w.append(&topic, 0, &batch(w, 0, &["a", "b", "c"]));
    w.append(&topic, 0, &batch(w, 10, &["d", "e"]));
    topic
}

pub fn cases() -> Vec<Case> {
    vec![
        case("every sentinel of a log with records", 1..=11, |w, v| {
            let topic = filled(w);
            for sentinel in -8..=-1 {
                w.ask(ask(topic.clone(), vec![at(sentinel)]), v);
            }
        }),
        case("behind records whose acks nobody waits for", 1..=11, |w, v| {
            let topic = filled(w);
            let records = batch(w, 20, &["f"]);
            let partition = PartitionProduceData { index: 0, records: Some(records) };
            let unacked = ProduceRequest { acks: 0, ..produce::topic(topic.clone(), vec![partition]) };
            let sentinels: &[i64] = if v < 7 { &[-1] } else { &[-1, -3] };
            let mut frames = Vec::new();
            for sentinel in sentinels {
                frames.extend(w.bytes(unacked.clone(), 9));
                frames.extend(w.bytes(ask(topic.clone(), vec![at(*sentinel)]), v));
            }
            w.send(&frames, ApiKey::ListOffsets, v);
            for _ in &sentinels[1..] {
                w.next(ApiKey::ListOffsets, v);
            }
        }),
        case("every sentinel of an empty log", 1..=11, |w, v| {
            let topic = w.topic("empty", 1);
            for sentinel in -8..=-1 {
                w.ask(ask(topic.clone(), vec![at(sentinel)]), v);
            }
        }),
        case("the newest of records that have no time", 7..=11, |w, v| {
            let topic = w.topic("timeless", 1);
            let timeless =
                [27, 35].iter().fold(batch(w, 0, &["a"]), |batch, at| patched(&batch, *at, &(-1i64).to_be_bytes()));
            for _ in 0..2 {
                w.append(&topic, 0, &timeless);
            }
            w.ask(ask(topic, vec![at(-3)]), v);
        }),
        case("times before, in, between and after the records", 1..=11, |w, v| {
            let topic = filled(w);
            for after in [-1000, 0, 1, 2, 3, 9, 10, 11, 12, 1000] {
                let time = w.time(after);
                w.ask(ask(topic.clone(), vec![at(time)]), v);
            }
            for time in [0, i64::MAX, i64::MIN] {
                w.ask(ask(topic.clone(), vec![at(time)]), v);
            }
        }),
        case("read committed", 2..=11, |w, v| {
            let topic = filled(w);
            for time in [-1, -2, w.time(10)] {
                w.ask(ListOffsetsRequest { isolation_level: 1, ..ask(topic.clone(), vec![at(time)]) }, v);
            }
        }),
        case("an unknown topic and an unknown partition", 1..=11, |w, v| {
            let topic = w.topic("known", 1);
            let name = w.name("unknown");
            w.ask(ask(name, vec![at(-1)]), v);
            for sentinel in [-1, -5, -7] {
                let unknown = [7, -1].map(|partition_index| ListOffsetsPartition { partition_index, ..at(sentinel) });
                w.ask(ask(topic.clone(), unknown.to_vec()), v);
            }
        }),
        case("a partition twice", 1..=11, |w, v| {
            let topic = w.topic("twice", 2);
            let other = ListOffsetsPartition { partition_index: 1, ..at(-1) };
            w.ask(ask(topic, vec![at(-1), at(-2), other]), v);
        }),
        case("leader epochs of the past, the present and the future", 4..=11, |w, v| {
            let topic = filled(w);
            for current_leader_epoch in [-2, -1, 0, 1, 100] {
                w.ask(ask(topic.clone(), vec![ListOffsetsPartition { current_leader_epoch, ..at(-1) }]), v);
            }
        }),
        case("no topics, no partitions", 1..=11, |w, v| {
            w.ask(ListOffsetsRequest { replica_id: -1, ..Default::default() }, v);
            let topic = w.topic("a", 1);
            w.ask(ask(topic, vec![]), v);
        }),
    ]
}
