//! What a client finds again after `kill -9` and a start with another number of shards.

use corelog::wire::messages::list_offsets::ListOffsetsPartition;
use corelog::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use corelog::wire::{ErrorCode, TopicId};

use crate::broker::{Connection, Home};
use crate::peer::{batch, fetch_request, list_request, reply};

#[test]
fn retries_of_the_last_five_batches_get_their_first_offsets_after_kill_9() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let (id, epoch) = peer.producer_id();
    let sent: Vec<_> = (0..7).map(|n| batch(&[b"a", b"b"], Some((id, epoch, 2 * n)))).collect();
    for (offset, batch) in (0..).step_by(2).zip(&sent) {
        assert_eq!(peer.append("t", batch), (ErrorCode::None, offset));
    }
    broker.kill();

    let broker = home.dev(&["--set", "shards=3"]);
    let mut peer = broker.connect();
    for (offset, batch) in (0..).step_by(2).zip(&sent).skip(2) {
        assert_eq!(peer.append("t", batch), (ErrorCode::None, offset), "a duplicate stands where its original does");
    }
    assert_eq!(peer.append("t", &sent[1]).0, ErrorCode::OutOfOrderSequenceNumber, "older than five batches");
    assert_eq!(peer.append("t", &batch(&[b"gap"], Some((id, epoch, 15)))).0, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(peer.list_offset("t", -1, 5), (ErrorCode::None, 14), "nothing was appended twice");
    assert_eq!(peer.append("t", &batch(&[b"next"], Some((id, epoch, 14)))), (ErrorCode::None, 14));
    let (other, _) = peer.producer_id();
    assert_ne!(other, id, "a producer id is given once");
}

#[test]
fn the_leader_epoch_grows_with_each_start_and_every_epoch_ends_where_it_did() {
    const RUNS: i64 = 4;
    let home = Home::new();
    let mut epochs: Vec<i32> = Vec::new();
    for run in 0..RUNS {
        let broker = home.dev(&["--set", &format!("shards={}", 1 + run % 3)]);
        let mut peer = broker.connect();
        if run == 0 {
            assert_eq!(peer.create("t", 1), ErrorCode::None);
        }
        let epoch = peer.topic("t", false).partitions[0].leader_epoch;
        assert!(epochs.last().is_none_or(|last| *last < epoch), "{epochs:?}, then {epoch}");
        epochs.push(epoch);
        let latest = ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let told = reply!(ListOffsets, peer.ask(list_request("t", vec![latest]), 5));
        let told = &told.topics[0].partitions[0];
        assert_eq!((told.offset, told.leader_epoch), (3 * run, epoch), "before anything is appended");
        assert_eq!(end_of_epoch(&mut peer, epoch, -1), (ErrorCode::None, epoch, 3 * run));
        assert_eq!(peer.append("t", &batch(&[b"x", b"y", b"z"], None)), (ErrorCode::None, 3 * run));
        for (before, epoch) in (0..).zip(&epochs) {
            assert_eq!(end_of_epoch(&mut peer, *epoch, -1), (ErrorCode::None, *epoch, 3 * (before + 1)));
        }
        assert_eq!(end_of_epoch(&mut peer, epoch + 1, -1), (ErrorCode::None, -1, -1), "an epoch that has not come");
        assert_eq!(end_of_epoch(&mut peer, epoch, epoch + 1).0, ErrorCode::UnknownLeaderEpoch);
        if run > 0 {
            assert_eq!(end_of_epoch(&mut peer, epoch, epoch - 1).0, ErrorCode::FencedLeaderEpoch);
        }
        broker.kill();
    }
}

/// Error, epoch and end offset of partition 0.
fn end_of_epoch(peer: &mut Connection, leader_epoch: i32, current_leader_epoch: i32) -> (ErrorCode, i32, i64) {
    let partition = OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch };
    let topic = OffsetForLeaderTopic { topic: "t".to_owned().into(), partitions: vec![partition] };
    let ask = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
    let reply = reply!(OffsetForLeaderEpoch, peer.ask(ask, 4));
    let answer = &reply.topics[0].partitions[0];
    (answer.error_code, answer.leader_epoch, answer.end_offset)
}

#[test]
fn topics_keep_their_ids_and_deleted_ones_stay_deleted() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut peer = broker.connect();
    assert_eq!((peer.create("kept", 3), peer.create("gone", 3)), (ErrorCode::None, ErrorCode::None));
    peer.append("gone", &batch(&[b"old"], None));
    let id = peer.topic("kept", false).topic_id;
    let old_id = peer.topic("gone", false).topic_id;
    assert_eq!(peer.delete("gone"), ErrorCode::None);
    broker.kill();

    let broker = home.dev(&["--set", "shards=3"]);
    let mut peer = broker.connect();
    let kept = peer.topic("kept", false);
    assert_eq!((kept.topic_id, kept.partitions.len()), (id, 3));
    assert_ne!(id, TopicId::ZERO);
    assert_eq!(peer.topic("gone", false).error_code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(peer.create("gone", 1), ErrorCode::None);
    assert_ne!(peer.topic("gone", false).topic_id, old_id, "an id is never used again");
    assert_eq!(peer.list_offset("gone", -1, 5), (ErrorCode::None, 0), "nothing old comes back");
}

#[test]
fn acked_bytes_come_back_unchanged_from_memory_and_from_disk() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let sent = batch(&[&[7; 5_000], b"small"], None);
    assert_eq!(peer.append("t", &sent), (ErrorCode::None, 0));
    let live = records(&mut peer);
    broker.kill();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(records(&mut peer), live);
    let left = broker.terminate();
    assert!(left.status.success(), "{left:#?}");
    assert_eq!(records(&mut home.dev(&["--set", "shards=1"]).connect()), live);
    // Base offset and leader epoch are the broker's to write; the rest is under the producer's CRC.
    assert_eq!(live[16..], sent[16..]);
}

fn records(peer: &mut Connection) -> Vec<u8> {
    let reply = peer.fetch(fetch_request("t", 0));
    let partition = &reply.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (ErrorCode::None, 2));
    partition.records.clone().expect("never null").into_bytes().to_vec()
}
