//! `corelog log import` on a directory that Kafka 4.3.1 has written: a broker on what comes of it answers as Kafka did, and goes
//! on from there (`kafka_refused.rs` has what is refused). `kafka_data/README.md` says how the directory and the answers were made.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use corelog::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::describe_groups::DescribeGroupsRequest;
use corelog::wire::messages::list_groups::ListGroupsRequest;
use corelog::wire::messages::list_offsets::ListOffsetsPartition;
use corelog::wire::messages::metadata::MetadataRequest;
use corelog::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup};
use corelog::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use corelog::wire::{ErrorCode, Str};
use serde_json::{Value, json};
use shards::batch::crc::crc32c;
use shards::batch::walk;
use tempfile::TempDir;

use crate::broker::{Broker, Connection, Home};
use crate::commands::Ran;
use crate::on_disk::{contents, corelog_log};
use crate::peer::{batch, fetch_request, list_request, reply};

/// Between the times of the records of `orders`: 2026-11-01 and a few milliseconds.
const SOME_TIME_MS: i64 = 1_793_491_200_000 + 105;

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kafka_data")
}

/// Kafka's directory, unpacked.
pub fn kafkas() -> (TempDir, PathBuf) {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
    let packed = recorded().join("data.tar.gz");
    let done = Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(dir.path()).status().expect("tar runs");
    assert!(done.success());
    let data = dir.path().join("data");
    (dir, data)
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

pub fn import(from: &Path, to: &Path, more: &[&str]) -> Ran {
    corelog_log(&[&["import", text(from), "--data-dir", text(to)][..], more].concat())
}

/// Imports into the data directory of a configuration that keeps producers for ever, however old the recording is.
fn import_with_producers(from: &Path, home: &Home, more: &[&str]) -> Ran {
    let config = home.path().join("import.toml");
    let told =
        format!("data_dir = {:?}\n\"node.id\" = 1\n\"producer.id.expiration.ms\" = {}\n", text(&home.data), i64::MAX);
    fs::write(&config, told).expect("written");
    corelog_log(&[&["import", text(from), "--config", text(&config)][..], more].concat())
}

/// How many producers of `orders-0` a data directory has.
pub fn producers(home: &Home) -> usize {
    let known = corelog_log(&["dump", text(&home.data), "orders-0", "--producers", "-o", "json"]);
    assert_eq!(known.code, Some(0), "{}", known.stderr);
    known.stdout.lines().filter(|line| line.contains(r#""kind":"producer""#)).count()
}

/// A broker that deletes and compacts nothing, however old the recording is.
pub fn broker_on(home: &Home) -> Broker {
    let for_ever = ["offsets.retention.minutes=2147483647", "producer.id.expiration.ms=9223372036854775807"];
    let flags = ["shards=2", "log.cleaner.enable=false"].into_iter().chain(for_ever).flat_map(|set| ["--set", set]);
    home.dev(&flags.collect::<Vec<_>>())
}

/// All that a client can ask about what was carried over, a line for each answer.
fn answers(peer: &mut Connection) -> Vec<String> {
    let mut lines = Vec::new();
    let ask = MetadataRequest { topics: None, ..Default::default() };
    let mut topics = reply!(Metadata, peer.ask(ask, 12)).topics;
    topics.sort_by_key(|topic| topic.name.clone());
    for topic in topics {
        let name = topic.name.as_deref().expect("a name").to_owned();
        let (id, internal, partitions) = (topic.topic_id, topic.is_internal, topic.partitions.len());
        lines.push(format!("topic {name} id {id} internal {internal} partitions {partitions}"));
        lines.extend(configs(peer, 2, &name));
        for index in 0..i32::try_from(partitions).expect("few partitions") {
            lines.extend(partition(peer, &name, index));
        }
    }
    lines.extend(configs(peer, 32, "new-readers"));
    lines.extend(groups(peer));
    lines
}

/// What is set for a topic or a group itself.
fn configs(peer: &mut Connection, kind: i8, name: &str) -> Vec<String> {
    let resource =
        DescribeConfigsResource { resource_type: kind, resource_name: name.into(), configuration_keys: None };
    let ask = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let mut configs = reply!(DescribeConfigs, peer.ask(ask, 4)).results.remove(0).configs;
    configs.retain(|config| matches!(config.config_source, 1 | 8));
    configs.sort_by_key(|config| config.name.clone());
    configs.iter().map(|config| format!("  config {name} {}={:?}", config.name, config.value.as_deref())).collect()
}

fn partition(peer: &mut Connection, topic: &str, index: i32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut listed = |timestamp| {
        let ask = ListOffsetsPartition { partition_index: index, timestamp, ..Default::default() };
        let mut ask = list_request(topic, vec![ask]);
        ask.isolation_level = 1;
        let answer = reply!(ListOffsets, peer.ask(ask, 8)).topics.remove(0).partitions.remove(0);
        assert_eq!(answer.error_code, ErrorCode::None, "{topic}-{index} {timestamp}");
        answer
    };
    let (start, end) = (listed(-2).offset, listed(-1).offset);
    for (what, timestamp) in [("earliest", -2), ("latest", -1), ("newest", -3), ("by time", SOME_TIME_MS)] {
        let answer = listed(timestamp);
        let line = match answer.offset {
            // The epoch of the end is that of the broker's run.
            offset if offset == end => format!("{offset}"),
            // Kafka names a record that was deleted.
            offset if offset < start => "none".to_owned(),
            offset => format!("{offset} at {} epoch {}", answer.timestamp, answer.leader_epoch),
        };
        lines.push(format!("  {topic}-{index} {what} {line}"));
    }
    let ask = OffsetForLeaderPartition { partition: index, current_leader_epoch: -1, leader_epoch: 0 };
    let topics = vec![OffsetForLeaderTopic { topic: topic.into(), partitions: vec![ask] }];
    let ask = OffsetForLeaderEpochRequest { replica_id: -1, topics };
    let answer = reply!(OffsetForLeaderEpoch, peer.ask(ask, 4)).topics.remove(0).partitions.remove(0);
    lines.push(format!(
        "  {topic}-{index} epoch 0 ends {:?} {} at {}",
        answer.error_code, answer.leader_epoch, answer.end_offset
    ));
    let (start, bytes) = read(peer, topic, index);
    lines.push(format!("  {topic}-{index} log start {start}, {} bytes with CRC {:08x}", bytes.len(), crc32c(&bytes)));
    for (_, header) in walk(&bytes) {
        lines.push(format!(
            "    {}..={} epoch {} producer {} {} sequence {} attributes {:04x} records {} CRC {:08x}",
            header.base_offset,
            header.last_offset(),
            header.leader_epoch,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
            header.attributes,
            header.record_count,
            header.crc
        ));
    }
    lines
}

/// The log start, and all bytes from there on, as a reader of committed records gets them.
pub fn read(peer: &mut Connection, topic: &str, index: i32) -> (i64, Vec<u8>) {
    let ask = ListOffsetsPartition { partition_index: index, timestamp: -2, ..Default::default() };
    let start = reply!(ListOffsets, peer.ask(list_request(topic, vec![ask]), 8)).topics[0].partitions[0].offset;
    let (mut at, mut bytes) = (start, Vec::new());
    loop {
        let mut ask = fetch_request(topic, at);
        ask.isolation_level = 1;
        ask.topics[0].partitions[0].partition = index;
        let answer = peer.fetch(ask).responses.remove(0).partitions.remove(0);
        assert_eq!(answer.error_code, ErrorCode::None, "{topic}-{index} at {at}");
        assert!(answer.aborted_transactions.unwrap_or_default().is_empty());
        let more = answer.records.map(|records| records.into_bytes()).unwrap_or_default();
        let Some((_, last)) = walk(&more).last() else { return (start, bytes) };
        at = last.last_offset() + 1;
        bytes.extend_from_slice(&more);
    }
}

fn groups(peer: &mut Connection) -> Vec<String> {
    let mut listed = loop {
        let reply = reply!(ListGroups, peer.ask(ListGroupsRequest::default(), 5));
        if reply.error_code != ErrorCode::CoordinatorLoadInProgress {
            break reply.groups;
        }
    };
    listed.sort_by_key(|group| group.group_id.clone());
    let mut lines = Vec::new();
    for group in listed {
        lines.push(format!("group {group:?}"));
        let name: Str = group.group_id.clone();
        let described = loop {
            let ask = DescribeGroupsRequest { groups: vec![name.clone()], ..Default::default() };
            let described = reply!(DescribeGroups, peer.ask(ask, 6)).groups.remove(0);
            if described.error_code != ErrorCode::CoordinatorLoadInProgress {
                break described;
            }
        };
        lines.push(format!("  described {described:?}"));
        let ask = ConsumerGroupDescribeRequest { group_ids: vec![name.clone()], ..Default::default() };
        let described = reply!(ConsumerGroupDescribe, peer.ask(ask, 1)).groups.remove(0);
        lines.push(format!("  described {described:?}"));
        let asked = OffsetFetchRequestGroup { group_id: name, topics: None, ..Default::default() };
        let ask = OffsetFetchRequest { groups: vec![asked], topics: Some(Vec::new()), ..Default::default() };
        let mut topics = reply!(OffsetFetch, peer.ask(ask, 9)).groups.remove(0).topics;
        topics.sort_by_key(|topic| topic.name.clone());
        for mut topic in topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
            let partitions = topic.partitions.iter().map(|partition| format!("  offset {} {partition:?}", topic.name));
            lines.extend(partitions);
        }
    }
    lines
}

/// Run by `kafka_data/make`, which names Kafka's address.
#[test]
fn what_kafka_answers_is_recorded() {
    let Ok(address) = std::env::var("CORELOG_KAFKA_RECORD") else { return };
    let address: SocketAddr = address.parse().expect("HOST:PORT");
    let lines = answers(&mut Connection::to(address));
    fs::write(recorded().join("answers.txt"), lines.join("\n") + "\n").expect("written");
}

#[test]
fn a_directory_of_kafka_is_carried_over_and_answers_as_kafka_did() {
    let (_dir, kafka) = kafkas();
    let before = contents(&kafka);
    let home = Home::new();
    let ran = import_with_producers(&kafka, &home, &["-o", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(contents(&kafka) == before, "an import changed Kafka's directory");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let left_out = |what: &str| report["left_out"].as_array().expect("a list").iter().any(|one| one["what"] == what);
    for what in ["background.threads of all brokers", "quotas of clients", "users with SCRAM passwords"] {
        assert!(left_out(what), "{what}: {report:#}");
    }
    assert_eq!((report["node"].as_i64(), report["stopped_in_order"].as_bool()), (Some(1), Some(true)));
    assert_eq!((report["log_dirs"].as_i64(), &report["unknown_directories"]), (Some(1), &json!([])));
    let whole = corelog_log(&["verify", text(&home.data)]);
    assert_eq!(whole.code, Some(0), "{}", whole.stdout);
    assert_eq!(producers(&home), 2);

    let expected = fs::read_to_string(recorded().join("answers.txt")).expect("what Kafka answered");
    let broker = broker_on(&home);
    let mut peer = broker.connect();
    let found = answers(&mut peer);
    let expected: Vec<&str> = expected.lines().collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());

    // It goes on: at the next offset, in a newer epoch, with producer ids that nobody has.
    let (_, bytes) = read(&mut peer, "orders", 0);
    let headers: Vec<_> = walk(&bytes).map(|(_, header)| header).collect();
    let last = headers.last().expect("a batch");
    // A producer says nothing of offsets, and the CRC does not cover them.
    let mut repeated = bytes[walk(&bytes).last().expect("a batch").0..].to_vec();
    repeated[..8].fill(0);
    assert_eq!(
        peer.append("orders", &Bytes::from(repeated)),
        (ErrorCode::None, last.base_offset),
        "a repeat is known as one"
    );
    let (producer, epoch) = peer.producer_id();
    assert!(headers.iter().all(|header| header.producer_id < producer));
    let appended = peer.append("orders", &batch(&[b"more"], Some((producer, epoch, 0))));
    assert_eq!(appended, (ErrorCode::None, last.last_offset() + 1));
    let (_, more) = read(&mut peer, "orders", 0);
    assert_eq!(more[..bytes.len()], bytes);
    let newest = walk(&more).last().expect("a batch").1;
    assert!(newest.leader_epoch > last.leader_epoch);
    assert_eq!(peer.topic("orders", false).partitions[0].leader_epoch, newest.leader_epoch);
    assert_eq!(peer.create("new", 1), ErrorCode::None);
    assert_eq!(peer.append("empty", &batch(&[b"first"], None)), (ErrorCode::None, 0));
    assert_eq!(peer.append("trimmed", &batch(&[b"next"], None)), (ErrorCode::None, 20));
    assert_eq!(peer.delete("codecs"), ErrorCode::None);
    let after = answers(&mut peer);
    assert!(broker.kill().status.code().is_none());
    let broker = broker_on(&home);
    // But for the epochs of new appends nothing has changed.
    assert_eq!(answers(&mut broker.connect()), after);
    assert!(broker.terminate().status.success());
    let whole = corelog_log(&["verify", text(&home.data)]);
    assert_eq!(whole.code, Some(0), "{}", whole.stdout);
}

#[test]
fn an_import_that_was_cut_serves_nobody_and_is_run_again() {
    let (_dir, kafka) = kafkas();
    let home = Home::new();
    assert_eq!(import(&kafka, &home.data, &[]).code, Some(0));
    let again = import(&kafka, &home.data, &[]);
    assert!(again.code == Some(1) && again.stderr.contains("holds data of corelog already"), "{}", again.stderr);
    // As a crash before its last step leaves it.
    fs::rename(home.data.join("meta"), home.data.join("meta.importing")).expect("renamed");
    let before = contents(&home.data);
    let refused = home.dev_refused(&[]);
    assert!(!refused.status.success() && refused.stderr.contains("corelog log import"), "{}", refused.stderr);
    let refused = corelog_log(&["dump", text(&home.data)]);
    assert!(refused.code == Some(1) && refused.stderr.contains("has not ended"), "{}", refused.stderr);
    assert!(contents(&home.data) == before);
    let again = import(&kafka, &home.data, &[]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let broker = broker_on(&home);
    assert_eq!(broker.connect().append("orders", &batch(&[b"more"], None)), (ErrorCode::None, 20));
}
