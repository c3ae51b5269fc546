//! OffsetForLeaderEpoch: epochs past, present and to come; unknown partitions.

use corelog::wire::Str;
use corelog::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::batches::batch;
use crate::case::{Case, case};

fn epoch(leader_epoch: i32) -> OffsetForLeaderPartition {
    OffsetForLeaderPartition { partition: 0, current_leader_epoch: -1, leader_epoch }
}

fn ask(topic: Str, partitions: Vec<OffsetForLeaderPartition>, version: i16) -> OffsetForLeaderEpochRequest {
    let topics = vec![OffsetForLeaderTopic { topic, partitions }];
    OffsetForLeaderEpochRequest { replica_id: if version < 3 { -2 } else { -1 }, topics }
}

pub fn cases() -> Vec<Case> {
    vec![
        case("epochs of a log with records", 2..=4, |w, v| {
            let topic = w.topic("a", 1);
            w.append(&topic, 0, &batch(w, 0, &["a", "b"]));
            for asked in [-2, -1, 0, 1, i32::MAX] {
                w.ask(ask(topic.clone(), vec![epoch(asked)], v), v);
            }
        }),
        case("epochs of an empty log", 2..=4, |w, v| {
            let topic = w.topic("a", 1);
            for asked in [-2, -1, 0, 1] {
                w.ask(ask(topic.clone(), vec![epoch(asked)], v), v);
            }
        }),
        case("what the asker thinks is the current epoch", 2..=4, |w, v| {
            let topic = w.topic("a", 1);
            for current_leader_epoch in [-2, -1, 0, 1] {
                let asked = OffsetForLeaderPartition { current_leader_epoch, ..epoch(0) };
                w.ask(ask(topic.clone(), vec![asked], v), v);
            }
        }),
        case("unknown partitions and topics", 2..=4, |w, v| {
            let topic = w.topic("a", 1);
            let unknown = [3, -1].map(|partition| OffsetForLeaderPartition { partition, ..epoch(0) });
            w.ask(ask(topic, unknown.to_vec(), v), v);
            let name = w.name("unknown");
            w.ask(ask(name, vec![epoch(0)], v), v);
        }),
        case("a partition twice", 2..=4, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(ask(topic, vec![epoch(0), epoch(1)], v), v);
        }),
        case("no topics", 2..=4, |w, v| {
            w.ask(OffsetForLeaderEpochRequest { replica_id: -2, topics: vec![] }, v);
        }),
    ]
}
