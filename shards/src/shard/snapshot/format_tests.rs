//! Whole snapshots are read back, damaged ones refused; the bytes of version 0 stay readable.

use super::*;
use crate::types::TopicId;

/// A snapshot of format version 0, which every later release must read.
const FIXTURE: &[u8] = include_bytes!("fixtures/version-0.checkpoint");

fn records() -> Vec<CatalogRecord> {
    let id = TopicId([7; 16]);
    vec![
        CatalogRecord::FeatureLevel { name: "metadata.version".into(), level: 29 },
        CatalogRecord::Topic { name: "orders".into(), id },
        CatalogRecord::TopicConfig { topic: "orders".into(), key: "retention.ms".into(), value: Some("5".into()) },
        CatalogRecord::Partition { topic: id, index: 0, replicas: vec![1], leader_epoch: 3 },
    ]
}

fn snapshot() -> Vec<u8> {
    let mut writer = SnapshotWriter::new(LeaderEpoch(3), 1_700_000_000_000).expect("a header");
    let all = records();
    writer.push(&all[..1]).expect("records");
    writer.push(&[]).expect("nothing");
    writer.push(&all[1..]).expect("records");
    writer.finish().expect("a footer")
}

#[test]
fn a_snapshot_reads_back_as_it_was_written() {
    assert_eq!(read(&snapshot()), Ok(records()));
}

#[test]
fn the_fixture_of_version_0_is_read_and_still_what_is_written() {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shard/snapshot/fixtures/version-0.checkpoint");
        std::fs::write(path, snapshot()).expect("written");
    }
    assert_eq!(read(FIXTURE), Ok(records()));
    assert_eq!(FIXTURE, snapshot());
}

#[test]
fn a_snapshot_cut_anywhere_is_refused() {
    let whole = snapshot();
    for len in 0..whole.len() {
        assert!(matches!(read(&whole[..len]), Err(SnapshotError::Damaged(_))), "{len}");
    }
    let twice = [whole.clone(), whole.clone()].concat();
    assert!(matches!(read(&twice), Err(SnapshotError::Damaged(_))));
}

#[test]
fn any_flipped_bit_that_counts_is_refused() {
    let whole = snapshot();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // The leader epoch of a batch says nothing: the file's name does.
        assert!(read(&damaged).is_err() || read(&damaged) == Ok(records()), "bit {bit}");
    }
}

#[test]
fn a_later_version_is_named_as_such() {
    let mut writer = SnapshotWriter { bytes: Vec::new(), next_offset: Offset::ZERO, epoch: LeaderEpoch(0), now_ms: 0 };
    writer.control(&SnapshotHeader { version: 1, last_contained_log_timestamp: 0 }).expect("a header");
    assert_eq!(read(&writer.finish().expect("a footer")), Err(SnapshotError::Version(1)));
}
