//! What is out of a log stays on the disk for its topic's `file.delete.delay.ms`, under a name that says so, and goes then, or at
//! the next start.

use std::fs;
use std::path::Path;

use corelog::wire::ErrorCode;
use shards::batch::Compression;

use crate::broker::{Broker, Connection, Home, until};
use crate::compaction::{OFTEN, keyed, read_all};
use crate::full_disk::delete_records;
use crate::on_disk::verified;
use crate::peer::{batch, now_ms};
use crate::settings::change_topic;
use crate::told::skipped;

const HOUR_MS: &str = "3600000";
const VALUE_BYTES: usize = 300 << 10;
/// Some segments of the smallest size that there is.
const APPENDS: i64 = 12;
/// With less than a tenth of it free, nothing waits.
const FREE_PERCENT_MIN: u64 = 15;

/// Whether files would wait on this disk.
fn is_roomy(home: &Home) -> bool {
    let told = rustix::fs::statvfs(home.path()).expect("a file system");
    let is_roomy = told.f_bavail > told.f_blocks / 100 * FREE_PERCENT_MIN;
    if !is_roomy {
        skipped("the disk is nearly full, and files that are out of a log go at once");
    }
    is_roomy
}

fn start(home: &Home) -> (Broker, Connection) {
    let small = ["shards=2", "journal.bytes=4194304", "journal.bytes.max=4194304"];
    let broker = home.dev(&[&OFTEN[..], &small.map(|set| ["--set", set]).concat()].concat());
    let peer = broker.connect();
    (broker, peer)
}

fn append_some(peer: &mut Connection, topic: &str) {
    let value = vec![b'x'; VALUE_BYTES];
    for _ in 0..APPENDS {
        assert_eq!(peer.append(topic, &batch(&[&value], None)).0, ErrorCode::None);
    }
}

/// Names in a directory that end so.
fn names(dir: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(dir).map(|entries| {
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    });
    let mut names = names.unwrap_or_default();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names
}

#[test]
fn what_is_out_of_a_log_stays_for_its_topics_delay_as_it_was_when_it_went() {
    let home = Home::new();
    if !is_roomy(&home) {
        return;
    }
    let (broker, mut peer) = start(&home);
    for (topic, delay) in [("long", HOUR_MS), ("short", "1500"), ("none", "0"), ("gone", HOUR_MS)] {
        let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", delay)];
        assert_eq!(peer.create_with(topic, 1, &configs), ErrorCode::None);
        append_some(&mut peer, topic);
    }
    let data = home.data.join("data");
    let dir = |topic: &str| data.join(format!("{topic}-0"));
    for topic in ["long", "short", "none"] {
        until("it is in segments", || names(&dir(topic), ".log").len() > 2);
        assert_eq!(delete_records(&mut peer, topic, APPENDS - 1), (ErrorCode::None, APPENDS - 1));
    }
    until("segments of the log with the long delay wait", || names(&dir("long"), ".log.deleted").len() > 1);
    until("those without one are gone", || names(&dir("none"), ".log").len() == 1);
    until("those without one are gone", || names(&dir("none"), ".deleted").is_empty());
    until("so are those whose time is over", || names(&dir("short"), ".log").len() == 1);
    until("so are those whose time is over", || names(&dir("short"), ".deleted").is_empty());

    // Changed while it runs: for what goes from now on.
    let waiting = names(&dir("long"), ".deleted");
    assert_eq!(change_topic(&mut peer, "long", "file.delete.delay.ms", Some("0")), ErrorCode::None);
    append_some(&mut peer, "long");
    assert_eq!(delete_records(&mut peer, "long", 2 * APPENDS - 1), (ErrorCode::None, 2 * APPENDS - 1));
    until("only the last segment is left", || {
        let logs = names(&dir("long"), ".log");
        logs.len() == 1 && logs[0] > format!("{APPENDS:020}")
    });
    until("what had gone before waits still, and nothing else", || names(&dir("long"), ".deleted") == waiting);

    assert_eq!(peer.delete("gone"), ErrorCode::None);
    until("the directory of the topic waits", || names(&data, "-delete").len() == 1 && !dir("gone").exists());
    broker.kill();
    let (ran, told) = verified(&home, &[]);
    assert_eq!(ran.code, Some(0), "what waits is none of the tools' business: {told}");
    let (_broker, mut peer) = start(&home);
    assert!(names(&data, "-delete").is_empty(), "before it serves");
    until("a start removes what was left over", || names(&dir("long"), ".deleted").is_empty());
    assert_eq!(peer.list_offset("long", -2, 5), (ErrorCode::None, 2 * APPENDS - 1));
    assert_eq!(peer.list_offset("long", -1, 5), (ErrorCode::None, 2 * APPENDS));
}

#[test]
fn what_compaction_replaces_stays_for_its_topics_delay_while_readers_have_the_new_file() {
    let home = Home::new();
    if !is_roomy(&home) {
        return;
    }
    let (broker, mut peer) = start(&home);
    let configs = [("cleanup.policy", "compact"), ("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0.01")];
    let configs = [&configs[..], &[("file.delete.delay.ms", HOUR_MS)]].concat();
    assert_eq!(peer.create_with("table", 1, &configs), ErrorCode::None);
    let base_ms = now_ms() - 600_000;
    for n in 0..20 {
        let record = (n, base_ms + n * 10, b"key".to_vec(), Some(format!("value {n}").into_bytes()));
        assert_eq!(peer.append("table", &keyed(&[record], Compression::None)).0, ErrorCode::None);
    }
    let left = |peer: &mut Connection| -> Vec<i64> { read_all(peer, "table").iter().map(|record| record.0).collect() };
    until("compacted", || left(&mut peer) == [18, 19]);
    let dir = home.data.join("data/table-0");
    let waiting = names(&dir, ".deleted");
    assert!(waiting.iter().any(|name| name.starts_with("00000000000000000000.log.")), "{waiting:?}");
    assert!(names(&dir, ".log").len() <= 3);
    broker.kill();
    let (ran, told) = verified(&home, &[]);
    assert_eq!(ran.code, Some(0), "{told}");
    let (_broker, mut peer) = start(&home);
    until("a start removes what was left over", || names(&dir, ".deleted").is_empty());
    assert_eq!(left(&mut peer), [18, 19]);
}
