//! What a client gets that asks for the impossible or sends something broken: Kafka's error, for that part alone.

use std::time::Duration;

use bytes::Bytes;
use corelog::wire::messages::fetch::FetchRequest;
use corelog::wire::messages::list_offsets::ListOffsetsPartition;
use corelog::wire::messages::metadata::MetadataRequest;
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{ErrorCode, TopicId};
use shards::batch::CRC_FROM;
use shards::batch::crc::crc32c;

use crate::broker::Home;
use crate::peer::{FETCH, PRODUCE, batch, fetch_request, list_request, produce_request, reply};

/// Longer than a fetch takes to wait at its partitions.
const PARKED: Duration = Duration::from_millis(300);
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const COUNT_AT: usize = 57;

/// The batch with one byte replaced, and the right CRC for it.
fn patched(batch: &Bytes, at: usize, byte: u8) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at] = byte;
    let crc = crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn a_broken_batch_is_refused_for_its_partition_alone() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 2), ErrorCode::None);
    let good = batch(&[b"a", b"b"], None);
    let mut flipped = good.to_vec();
    *flipped.last_mut().expect("not empty") ^= 1;
    let broken: [(&str, Bytes, ErrorCode); 8] = [
        ("a flipped bit", flipped.into(), ErrorCode::CorruptMessage),
        ("magic 1", patched(&good, MAGIC_AT, 1), ErrorCode::InvalidRecord),
        ("no batch", Bytes::new(), ErrorCode::InvalidRecord),
        ("two batches", [good.clone(), good.clone()].concat().into(), ErrorCode::InvalidRecord),
        ("a batch cut short", good.slice(..good.len() - 1), ErrorCode::InvalidRecord),
        ("a base offset", patched(&good, 7, 1), ErrorCode::InvalidRecord),
        ("a count that is too high", patched(&good, COUNT_AT + 3, 3), ErrorCode::InvalidRecord),
        ("magic 3", patched(&good, MAGIC_AT, 3), ErrorCode::CorruptMessage),
    ];
    for (offset, (what, bytes, code)) in (0..).step_by(2).zip(&broken) {
        let answers = peer.produce("t", -1, &[bytes.clone(), good.clone()]);
        assert_eq!((answers[0].error_code, answers[0].base_offset), (*code, -1), "{what}");
        assert_eq!((answers[1].error_code, answers[1].base_offset), (ErrorCode::None, offset), "beside {what}");
    }
    assert_eq!(peer.list_offset("t", -1, 5), (ErrorCode::None, 0), "nothing of it was appended");
}

#[test]
fn unknown_topics_partitions_and_acks_are_refused() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let good = batch(&[b"a"], None);
    let unknown = (ErrorCode::UnknownTopicOrPartition, -1);
    assert_eq!(peer.append("no-such-topic", &good), unknown);
    let answers = peer.produce("t", 1, &[good.clone(), good.clone()]);
    assert_eq!((answers[0].error_code, answers[1].error_code), (ErrorCode::None, unknown.0));
    assert_eq!(peer.produce("t", 2, std::slice::from_ref(&good))[0].error_code, ErrorCode::InvalidRequiredAcks);
    let by_id = |topic_id| ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            topic_id,
            partition_data: vec![PartitionProduceData { index: 0, records: Some(good.clone()) }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let code = |reply: Response| reply!(Produce, reply).responses[0].partition_responses[0].error_code;
    let id = peer.topic("t", false).topic_id;
    assert_eq!(code(peer.ask(by_id(id), 13)), ErrorCode::None);
    assert_eq!(code(peer.ask(by_id(TopicId([9; 16])), 13)), ErrorCode::UnknownTopicId);
    assert_eq!(peer.delete("t"), ErrorCode::None);
    assert_eq!(code(peer.ask(by_id(id), 13)), ErrorCode::UnknownTopicId, "the id of a topic that was deleted");
}

#[test]
fn a_produce_without_acks_gets_no_reply_and_is_appended() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let request = Request::from(produce_request("t", 0, &[batch(&[b"a"], None)]));
    peer.tell(&request, PRODUCE);
    peer.check_served();
    assert_eq!(peer.append("t", &batch(&[b"b"], None)), (ErrorCode::None, 1));
}

#[test]
fn fetch_tells_the_end_from_what_is_beyond_it() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    assert_eq!(peer.append("t", &batch(&[b"a"], None)), (ErrorCode::None, 0));
    let reply = peer.fetch(fetch_request("t", 1));
    let end = &reply.responses[0].partitions[0];
    assert_eq!((end.error_code, end.high_watermark, end.log_start_offset), (ErrorCode::None, 1, 0));
    assert!(end.records.as_ref().is_some_and(|records| records.is_empty()), "empty, never null");
    let reply = peer.fetch(fetch_request("t", 2));
    let beyond = &reply.responses[0].partitions[0];
    assert_eq!((beyond.error_code, beyond.high_watermark), (ErrorCode::OffsetOutOfRange, -1));
    let reply = peer.fetch(fetch_request("no-such-topic", 0));
    assert_eq!(reply.responses[0].partitions[0].error_code, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn a_fetch_that_finds_enough_but_may_not_take_it_all_is_answered_at_once() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let value = [7; 16_000];
    for _ in 0..10 {
        assert_eq!(peer.append("t", &batch(&[&value], None)).0, ErrorCode::None);
    }
    // Six batches fit, and have less than is asked for. No peer of these tests waits for as long as this fetch would.
    let mut request = FetchRequest { min_bytes: 100_000, max_wait_ms: 600_000, ..fetch_request("t", 0) };
    request.topics[0].partitions[0].partition_max_bytes = 100_000;
    let reply = peer.fetch(request);
    let records = reply.responses[0].partitions[0].records.as_ref().map_or(0, |records| records.len());
    assert!((90_000..100_000).contains(&records), "{records} bytes");
}

#[test]
fn a_fetch_over_two_shards_is_answered_when_both_have_enough_together() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let (mut peer, mut reader) = (broker.connect(), broker.connect());
    assert_eq!(peer.create("t", 2), ErrorCode::None);
    // No peer of these tests waits for as long as this fetch would.
    let mut request = FetchRequest { min_bytes: 1_000, max_wait_ms: 600_000, ..fetch_request("t", 0) };
    let partitions = &mut request.topics[0].partitions;
    partitions.push(partitions[0].clone());
    partitions[1].partition = 1;
    reader.tell(&request.into(), FETCH);
    assert!(reader.is_silent_for(PARKED), "there is nothing yet");
    let one = batch(&[&[7; 600]], None);
    assert!(peer.produce("t", -1, &[one.clone(), one]).iter().all(|answer| answer.error_code == ErrorCode::None));
    let reply = reply!(Fetch, reader.reply_to(ApiKey::Fetch, FETCH).expect("a reply"));
    let records = |index: usize| reply.responses[0].partitions[index].records.as_ref().map_or(0, |r| r.len());
    assert!(records(0) + records(1) >= 1_000, "{reply:?}");
}

#[test]
fn fetch_sessions_are_kept_and_wrong_ones_refused() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let first = peer.fetch(FetchRequest { session_epoch: 0, ..fetch_request("t", 0) });
    assert!(first.error_code == ErrorCode::None && first.session_id != 0, "{first:?}");
    let session_id = first.session_id;
    let again = |session_epoch| FetchRequest { session_id, session_epoch, topics: Vec::new(), ..fetch_request("t", 0) };
    let quiet = peer.fetch(again(1));
    assert_eq!((quiet.error_code, quiet.responses.len()), (ErrorCode::None, 0), "only what has changed");
    assert_eq!(peer.append("t", &batch(&[b"a"], None)), (ErrorCode::None, 0));
    let news = peer.fetch(again(2));
    assert!(news.responses[0].partitions[0].records.as_ref().is_some_and(|records| !records.is_empty()));
    assert_eq!(peer.fetch(again(9)).error_code, ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(peer.fetch(again(3)).error_code, ErrorCode::None, "the session outlives a wrong epoch");
    let unknown = FetchRequest { session_id: session_id ^ 1, session_epoch: 1, ..fetch_request("t", 0) };
    assert_eq!(peer.fetch(unknown).error_code, ErrorCode::FetchSessionIdNotFound);
}

#[test]
fn list_offsets_refuses_a_partition_twice_and_a_sentinel_of_a_later_version() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    assert_eq!(peer.list_offset("t", -3, 7), (ErrorCode::None, -1), "the largest timestamp of nothing");
    assert_eq!(peer.list_offset("t", -3, 6).0, ErrorCode::UnsupportedVersion);
    let latest = || ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let reply = reply!(ListOffsets, peer.ask(list_request("t", vec![latest(), latest()]), 7));
    assert_eq!(reply.topics[0].partitions[0].error_code, ErrorCode::InvalidRequest);
}

#[test]
fn metadata_makes_a_topic_only_when_asked_to() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.topic("t", false).error_code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(peer.topic("t", false).error_code, ErrorCode::UnknownTopicOrPartition, "asking did not make it");
    assert_eq!(peer.topic("t", true).error_code, ErrorCode::UnknownTopicOrPartition, "the first answer");
    let mut made = peer.topic("t", false);
    for _ in 0..500 {
        if made.error_code == ErrorCode::None {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        made = peer.topic("t", false);
    }
    assert_eq!((made.error_code, made.partitions.len()), (ErrorCode::None, 1));
    let all = |topics| MetadataRequest { topics, ..Default::default() };
    let listed = reply!(Metadata, peer.ask(all(None), 12));
    assert!(listed.topics.iter().any(|topic| topic.name.as_deref() == Some("t")), "null asks for all");
    assert_eq!(listed.brokers[0].port, i32::from(home.address.port()));
    assert_eq!(reply!(Metadata, peer.ask(all(Some(Vec::new())), 12)).topics.len(), 0, "none asks for none");
}
