//! Compaction in the real process: what readers find once it is done, and after `kill -9`.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;
use corelog::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use corelog::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use shards::batch::crc::crc32c;
use shards::batch::{
    BatchBuilder, CRC_FROM, Compression, CompressionLevels, HEADER_BYTES, NewRecord, Records, decompress, walk,
};

use crate::broker::{Connection, Home, until};
use crate::http;
use crate::on_disk::verified;
use crate::peer::{batch, fetch_request, now_ms, reply};
use crate::settings::change;

pub const OFTEN: [&str; 2] = ["--set", "log.cleaner.backoff.ms=20"];
/// A record as it is read: offset, timestamp, key and value.
pub type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>);

/// Everything from offset 0 on; a position moves behind the batches, as in Kafka's clients.
pub fn read_all(peer: &mut Connection, topic: &str) -> Vec<Seen> {
    let (mut found, mut position) = (Vec::new(), 0);
    loop {
        let reply = peer.fetch(fetch_request(topic, position));
        let partition = &reply.responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::None);
        let bytes = partition.records.clone().map(|records| records.into_bytes()).unwrap_or_default();
        if bytes.is_empty() {
            assert_eq!(position, partition.high_watermark, "a reader gets to the end");
            return found;
        }
        for (at, header) in walk(&bytes) {
            let end = at + header.total_bytes().expect("a length");
            let codec = Compression::from_code(header.compression_code()).expect("a codec");
            let mut plain = Vec::new();
            decompress(codec, &bytes[at + HEADER_BYTES..end], 1 << 20, &mut plain).expect("it decompresses");
            for record in Records::new(&plain, header.record_count).with_gaps() {
                let record = record.expect("a sound record");
                found.push((
                    header.base_offset + i64::from(record.offset_delta),
                    header.base_timestamp + record.timestamp_delta,
                    record.key.unwrap_or_default().to_vec(),
                    record.value.map(<[u8]>::to_vec),
                ));
            }
            position = header.last_offset() + 1;
        }
    }
}

/// Record `n` of the test's topic: its key comes again every seventh time; every fourteenth is a tombstone. Of three pairs one is
/// large, so that the core does not look into it itself.
fn record(n: i64, base_ms: i64) -> Seen {
    let times = if n / 2 % 3 == 2 { 10_000 } else { 1 };
    let value = (n % 14 != 3).then(|| format!("value {n}").repeat(times).into_bytes());
    (n, base_ms + n * 10, format!("key {}", n % 7).into_bytes(), value)
}

pub fn keyed(records: &[Seen], codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(records[0].1).compression(codec, CompressionLevels::default());
    for (_, timestamp_ms, key, value) in records {
        let record = NewRecord { timestamp_ms: *timestamp_ms, key: Some(key), value: value.as_deref(), headers: &[] };
        builder.push(&record);
    }
    builder.finish().expect("built")
}

fn segment_files(dir: &Path) -> (usize, u64) {
    let logs = std::fs::read_dir(dir).expect("the partition's directory").map(|entry| entry.expect("an entry"));
    let logs = logs.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"));
    // One may be replaced just now.
    logs.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.metadata().map_or(0, |meta| meta.len())))
}

#[test]
fn the_newest_value_of_each_key_stays_and_outlives_kill_9() {
    const BATCHES: i64 = 30;
    let home = Home::new();
    let broker = home.dev(&[&OFTEN[..], &["--set", "shards=2"]].concat());
    let mut peer = broker.connect();
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")];
    assert_eq!(peer.create_with("t", 1, &configs), ErrorCode::None);
    assert_eq!(peer.append("t", &batch(&[b"without a key"], None)).0, ErrorCode::InvalidRecord);

    let base_ms = now_ms() - 600_000;
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    let all: Vec<Seen> = (0..2 * BATCHES).map(|n| record(n, base_ms)).collect();
    for (pair, codec) in all.chunks(2).zip(codecs.iter().cycle()) {
        assert_eq!(peer.append("t", &keyed(pair, *codec)), (ErrorCode::None, pair[0].0));
    }
    // The active segment is the last batch: all before it are mapped.
    let mapped = 2 * BATCHES - 2;
    let newer = |r: &Seen| all.iter().any(|other| other.2 == r.2 && other.0 > r.0 && other.0 < mapped);
    let expected: Vec<Seen> = all.iter().filter(|r| !newer(r)).cloned().collect();
    assert_eq!(expected.len(), 9);
    until("compacted", || read_all(&mut peer, "t") == expected);
    let dir = home.data.join("data/t-0");
    until("small segments are joined", || segment_files(&dir).0 <= 3);
    broker.kill();

    for shards in ["shards=3", "shards=1"] {
        let broker = home.dev(&[&OFTEN[..], &["--set", shards]].concat());
        let mut peer = broker.connect();
        assert_eq!(read_all(&mut peer, "t"), expected);
        let (first, last) = (&expected[0], &expected[8]);
        assert_eq!(peer.list_offset("t", base_ms, 5), (ErrorCode::None, first.0), "the first that is left");
        assert_eq!(peer.list_offset("t", last.1, 5), (ErrorCode::None, last.0));
        assert_eq!(peer.list_offset("t", -1, 5), (ErrorCode::None, last.0 + 1));
        broker.kill();
    }
    assert!(home.dev(&OFTEN).terminate().status.success());
    let (ran, told) = verified(&home, &[]);
    assert_eq!(ran.code, Some(0), "tools know that compacted logs have gaps: {told}");
}

#[test]
fn a_log_with_a_batch_that_does_not_decode_is_counted_and_others_are_compacted() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=1", "--set", "log.cleaner.enable=false"]);
    let mut peer = broker.connect();
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")];
    let all: Vec<Seen> = (0..8).map(|n| (n, 1_000 + n * 10, b"k".to_vec(), Some(n.to_string().into_bytes()))).collect();
    for topic in ["bad", "good"] {
        assert_eq!(peer.create_with(topic, 1, &configs), ErrorCode::None);
        for pair in all.chunks(2) {
            assert_eq!(peer.append(topic, &keyed(pair, Compression::None)), (ErrorCode::None, pair[0].0));
        }
    }
    assert!(broker.terminate().status.success());
    // No disk does this: all checksums are right, and the first record says that it is a byte shorter than nothing.
    let path = home.data.join("data/bad-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).expect("a segment");
    bytes[HEADER_BYTES] = 1;
    let length = walk(&bytes).next().and_then(|(_, header)| header.total_bytes());
    assert_eq!(length, Some(bytes.len()), "a segment of one batch");
    let crc = crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, bytes).expect("written");

    let (broker, http) = http::start(&home, &[&OFTEN[..], &["--set", "shards=1"]].concat());
    let mut peer = broker.connect();
    until("the good one is compacted", || read_all(&mut peer, "good").len() == 3);
    let of_shard = "corelog_partitions_uncleanable{shard=\"0\"}";
    let dir = home.data.display();
    let of_broker = format!("kafka_log_logcleanermanager_uncleanable_partitions_count{{logDirectory=\"{dir}\"}}");
    let counted = || {
        let page = http::get(http, "/metrics").body;
        (http::sample(&page, of_shard), http::sample(&page, &of_broker))
    };
    until("the bad one is counted", || counted() == (1.0, 1.0));
    until("it is told", || broker.stderr().contains("a batch cannot be compacted"));
    assert_eq!(
        peer.append("bad", &keyed(&all[..1], Compression::None)),
        (ErrorCode::None, 8),
        "it is served all the same"
    );
    assert_eq!(counted(), (1.0, 1.0));
    assert_eq!(peer.delete("bad"), ErrorCode::None);
    until("what is deleted counts no more", || counted() == (0.0, 0.0));
}

#[test]
fn a_tombstone_goes_when_its_time_is_over() {
    let home = Home::new();
    let broker = home.dev(&OFTEN);
    let mut peer = broker.connect();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    assert_eq!(peer.create_with("t", 1, &configs), ErrorCode::None);
    let one = |n: i64, key: &str, value: Option<&str>| -> Seen {
        (n, 1_000 + n * 10, key.as_bytes().to_vec(), value.map(|text| text.as_bytes().to_vec()))
    };
    let first = [one(0, "a", Some("old")), one(1, "a", None), one(2, "b", Some("kept"))];
    peer.append("t", &keyed(&first, Compression::None));
    // Each batch closes the segment before it and makes the log dirty again.
    let mut n = 3;
    until("the tombstone is gone", || {
        peer.append("t", &keyed(&[one(n, "c", Some("next"))], Compression::None));
        n += 1;
        let keys: Vec<Vec<u8>> = read_all(&mut peer, "t").into_iter().map(|r| r.2).collect();
        assert!(keys.contains(&b"b".to_vec()));
        !keys.contains(&b"a".to_vec())
    });
}

#[test]
fn a_backoff_that_is_changed_while_the_broker_runs_holds_at_once() {
    let home = Home::new();
    let broker = home.dev(&["--set", "log.cleaner.backoff.ms=3600000"]);
    let mut peer = broker.connect();
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")];
    assert_eq!(peer.create_with("t", 1, &configs), ErrorCode::None);
    for n in 0..4 {
        let same_key = (n, 1_000 + n * 10, b"a".to_vec(), Some(b"value".to_vec()));
        assert_eq!(peer.append("t", &keyed(&[same_key], Compression::None)), (ErrorCode::None, n));
    }
    assert_eq!(change(&mut peer, "log.cleaner.backoff.ms", Some("0")), ErrorCode::InvalidRequest);
    assert_eq!(change(&mut peer, "log.cleaner.backoff.ms", Some("20")), ErrorCode::None);
    // The last is alone in the active segment.
    until("compacted", || read_all(&mut peer, "t").len() == 2);
}

#[test]
fn the_log_of_stored_offsets_is_compacted_and_loads() {
    const PARTITIONS: i32 = 100;
    const COMMITS: i64 = 12;
    let home = Home::new();
    let small = ["--set", "offsets.topic.num.partitions=1", "--set", "offsets.topic.segment.bytes=1048576"];
    let broker = home.dev(&[&OFTEN[..], &small].concat());
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", PARTITIONS), ErrorCode::None);
    let find = FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    assert_eq!(reply!(FindCoordinator, peer.ask(find, 6)).coordinators[0].error_code, ErrorCode::None);
    let metadata = "m".repeat(4_000);
    for n in 0..COMMITS {
        let partition = |index| OffsetCommitRequestPartition {
            partition_index: index,
            committed_offset: n * 1_000 + i64::from(index),
            committed_metadata: Some(metadata.as_str().into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let committed = reply!(OffsetCommit, peer.ask(request, 9));
        assert!(committed.topics[0].partitions.iter().all(|p| p.error_code == ErrorCode::None));
    }
    // Twelve times 400 KB were written; one of them and the active segment may be left.
    let dir = home.data.join("data/__consumer_offsets-0");
    // Little of it is in files before it is written behind, too: the broker's word counts as well.
    let is_told =
        || broker.stderr().lines().any(|line| line.contains("compacted") && line.contains("__consumer_offsets-0"));
    until("compacted", || is_told() && segment_files(&dir).1 < 2_000_000);
    broker.kill();

    let broker = home.dev(&[&OFTEN[..], &["--set", "shards=2"]].concat());
    let mut peer = broker.connect();
    until("every partition has its newest offset", || {
        let topics = vec![OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: (0..PARTITIONS).collect(),
            ..Default::default()
        }];
        let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(topics), ..Default::default() };
        let request = OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
        let found = reply!(OffsetFetch, peer.ask(request, 9)).groups.remove(0);
        if found.error_code == ErrorCode::CoordinatorLoadInProgress {
            return false;
        }
        let newest = (COMMITS - 1) * 1_000;
        let partitions = &found.topics[0].partitions;
        assert_eq!(partitions.len(), PARTITIONS as usize);
        assert!(partitions.iter().all(|p| p.committed_offset == newest + i64::from(p.partition_index)));
        true
    });
}
