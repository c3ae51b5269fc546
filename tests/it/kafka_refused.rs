//! What `corelog log import` refuses, leaves out or warns of, on copies of the directory of Kafka's that `kafka.rs` reads, each
//! damaged or changed in one way. Invariant: whatever is refused leaves Kafka's directory as it was, and none that a broker
//! would start on.

use std::fs::{self, File};
use std::path::Path;

use corelog::wire::ErrorCode;
use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::{Value, json};
use shards::batch::crc::crc32c;
use shards::batch::{CRC_FROM, Records, stamp, walk};
use shards::types::{LeaderEpoch, Offset};

use crate::broker::{Home, copy_all};
use crate::kafka::{broker_on, import, kafkas, producers, read, text};
use crate::on_disk::{contents, corelog_log};
use crate::peer::batch;

/// Imports a copy of the recording that was changed so; it must be refused, with all of these words, and a broker must not start
/// on what there is then.
#[track_caller]
fn refused(change: impl FnOnce(&Path), more: &[&str], code: i32, words: &[&str]) {
    let (_dir, kafka) = kafkas();
    change(&kafka);
    let before = contents(&kafka);
    let home = Home::new();
    let ran = import(&kafka, &home.data, more);
    assert_eq!(ran.code, Some(code), "{}", ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is missing: {}", ran.stderr);
    }
    assert!(contents(&kafka) == before, "an import changed Kafka's directory");
    assert!(!home.data.join("meta").exists());
    if home.data.exists() {
        assert!(!home.dev_refused(&[]).status.success());
    }
}

/// Puts what `first` makes of the first batch of `orders-0` in its place, and the others into the next segment; their base
/// offset and bytes.
fn take_first_batch(kafka: &Path, first: impl FnOnce(&[u8]) -> Vec<u8>) -> (i64, Vec<u8>) {
    let dir = kafka.join("orders-0");
    let path = dir.join("00000000000000000000.log");
    let bytes = fs::read(&path).expect("a segment");
    let (at, header) = walk(&bytes).nth(1).expect("a second batch");
    fs::write(dir.join(format!("{:020}.log", header.base_offset)), &bytes[at..]).expect("written");
    fs::write(path, first(&bytes[..at])).expect("written");
    (header.base_offset, bytes[at..].to_vec())
}

#[test]
fn a_log_whose_first_segment_compaction_has_emptied_is_read_from_its_start() {
    let (_dir, kafka) = kafkas();
    let (base, rest) = take_first_batch(&kafka, |_| Vec::new());
    assert!(base > 0);
    let home = Home::new();
    let ran = import(&kafka, &home.data, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let whole = corelog_log(&["verify", text(&home.data)]);
    assert_eq!(whole.code, Some(0), "{}", whole.stdout);
    let broker = broker_on(&home);
    let (start, read) = read(&mut broker.connect(), "orders", 0);
    assert_eq!(start, 0);
    assert!(read == rest, "{} bytes of {}", read.len(), rest.len());
    assert_eq!(broker.connect().append("orders", &batch(&[b"more"], None)), (ErrorCode::None, 20));
}

#[test]
fn zeros_where_records_were_are_damage() {
    let zeros = |kafka: &Path| drop(take_first_batch(kafka, |bytes| vec![0; bytes.len()]));
    refused(zeros, &[], 6, &["orders-0/00000000000000000000.log", "from byte 0 on", "Let Kafka start"]);
    let hole = |kafka: &Path| drop(take_first_batch(kafka, |bytes| [bytes, &[0; 100]].concat()));
    refused(hole, &[], 6, &["orders-0/00000000000000000000.log", "from byte", "Let Kafka start"]);
    // Also in the segment that is written last, where others follow; behind its last batch they are none's.
    let last = |kafka: &Path, zeroed: usize| {
        edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| {
            let (from, header) = walk(bytes).nth(zeroed).expect("a batch");
            bytes[from..from + header.total_bytes().expect("a length")].fill(0);
        });
    };
    refused(|kafka| last(kafka, 0), &[], 6, &["orders-0/00000000000000000000.log", "from byte 0 on"]);
    let more = |kafka: &Path| {
        edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| {
            let (at, _) = walk(bytes).nth(1).expect("a second batch");
            *bytes = [&bytes[..at], &[0; 4096], &bytes[at..]].concat();
        });
    };
    refused(more, &[], 6, &["orders-0/00000000000000000000.log", "from byte 1"]);
    // Nor does a file go on with zeros when Kafka has begun another one behind it, though that is empty still.
    let closed = |kafka: &Path| {
        edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| bytes.extend([0; 4096]));
        File::create(kafka.join("orders-0/00000000000000000020.log")).expect("made");
    };
    refused(closed, &[], 6, &["orders-0/00000000000000000000.log", "from byte", "Let Kafka start"]);
    let (_dir, kafka) = kafkas();
    edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| bytes.extend([0; 4096]));
    let home = Home::new();
    let ran = import(&kafka, &home.data, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn zeros_do_not_end_the_metadata_log_in_silence() {
    let log = "__cluster_metadata-0/00000000000000000000.log";
    let hole = |kafka: &Path| {
        edit(&kafka.join(log), |bytes| {
            let from =
                walk(bytes).map(|(at, _)| at).find(|at| *at > bytes.len() / 2).expect("a batch in the second half");
            bytes[from..from + 100].fill(0);
        });
    };
    refused(hole, &[], 6, &[log, "byte 1", "zeros", "Let Kafka start"]);
    refused(|kafka| edit(&kafka.join(log), |bytes| bytes.extend([0; 100])), &[], 6, &[log, "zeros", "Let Kafka start"]);
}

#[test]
fn a_log_that_ends_below_what_readers_were_given_is_damage_and_one_that_goes_on_is_taken_whole() {
    let told = "replication-offset-checkpoint";
    let cut = |kafka: &Path| {
        edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| {
            let (at, _) = walk(bytes).last().expect("a batch");
            bytes.truncate(at);
        });
    };
    refused(cut, &[], 6, &["orders-0", "ends at offset 10", "below 20", told, "--skip"]);
    // Nothing tells of what was there.
    let (_dir, kafka) = kafkas();
    cut(&kafka);
    fs::remove_file(kafka.join(told)).expect("removed");
    let home = Home::new();
    assert_eq!(import(&kafka, &home.data, &[]).code, Some(0));
    // What was not known to be committed when Kafka wrote it down: it would serve that itself.
    let (_dir, kafka) = kafkas();
    let text = fs::read_to_string(kafka.join(told)).expect("read");
    fs::write(kafka.join(told), text.replace("orders 0 20", "orders 0 10")).expect("written");
    let home = Home::new();
    assert_eq!(import(&kafka, &home.data, &[]).code, Some(0));
    assert_eq!(broker_on(&home).connect().append("orders", &batch(&[b"more"], None)), (ErrorCode::None, 20));

    let behind = |kafka: &Path| {
        fs::write(kafka.join("log-start-offset-checkpoint"), "0\n1\norders 0 21\n").expect("written");
    };
    refused(behind, &[], 6, &["orders-0", "begins at 21", "ends at 20", "Let Kafka start"]);
    let torn = |kafka: &Path| fs::write(kafka.join(told), "0\n2\norders 0 20\n").expect("written");
    refused(torn, &[], 6, &[told, "as many lines"]);
}

#[test]
fn directories_that_the_metadata_log_does_not_know_are_named() {
    let (_dir, kafka) = kafkas();
    let set_aside = "orders-9.0123456789abcdef0123456789abcdef-stray";
    for name in ["orders-7", "stranger-0", set_aside] {
        copy_all(&kafka.join("orders-0"), &kafka.join(name));
    }
    fs::create_dir(kafka.join("lost+found")).expect("made");
    let home = Home::new();
    let ran = import(&kafka, &home.data, &["-o", "json", "--skip", "codecs"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["unknown_directories"], json!(["orders-7", set_aside, "stranger-0"]));
    let told: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{}", ran.stderr);
    assert!(told[0].starts_with("orders-7: the metadata log knows no such partition"), "{}", ran.stderr);
    assert!(!home.data.join("data/stranger-0").exists());
}

#[test]
fn records_of_formats_before_batches_are_told_as_such() {
    // Offset 0, length, CRC, format, attributes; the time in format 1 alone; no key, and a value.
    let format_0: &[u8] =
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0xd2, 0x0c, 0xbf, 0xf5, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, b'v'];
    let format_1: &[u8] = &[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0xc1, 0x67, 0x2a, 0xc5, 1, 0, 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 255,
        255, 255, 255, 0, 0, 0, 1, b'v',
    ];
    let log = "orders-1/00000000000000000000.log";
    for (message, format) in [(format_0, "message format 0"), (format_1, "message format 1")] {
        let old = |kafka: &Path| edit(&kafka.join(log), |bytes| *bytes = [message, &bytes[..]].concat());
        refused(old, &[], 1, &[log, "byte 0, offset 0", format, "before 0.11", "new topic", "--skip orders"]);
        let (_dir, kafka) = kafkas();
        old(&kafka);
        let home = Home::new();
        assert_eq!(import(&kafka, &home.data, &["--skip", "orders"]).code, Some(0));
    }
    // A batch whose format was damaged is no old message.
    refused(|kafka| edit(&kafka.join(log), |bytes| bytes[16] = 0), &[], 6, &[log, "byte 0, offset 0", "version 2"]);
}

#[test]
fn producers_that_kafka_would_forget_are_not_carried_over() {
    let (_dir, kafka) = kafkas();
    let home = Home::new();
    assert_eq!(import(&kafka, &home.data, &[]).code, Some(0));
    assert_eq!(producers(&home), 0, "their last records are of 2026-11-01");
}

/// Kafka's broker registers with so many log.dirs, as the last record of the metadata log.
fn register(kafka: &Path, log_dirs: u8) {
    let node: [u8; 4] = 1i32.to_be_bytes();
    // Frame, type and version; broker, no migration, incarnation, epoch; no endpoints, features and rack; fenced, not stopping.
    let head = [&[1, 0, 3][..], &node, &[0], &[7; 16], &[0; 8], &[1, 1, 0, 1, 0]].concat();
    let ids: Vec<u8> = (0..log_dirs).flat_map(|id| [id + 9; 16]).collect();
    let length = u8::try_from(ids.len() + 1).expect("a varint of one byte");
    let value = [&head[..], &[1, 0, length, log_dirs + 1], &ids].concat();
    edit(&kafka.join("__cluster_metadata-0/00000000000000000000.log"), |bytes| {
        let (_, last) = walk(bytes).last().expect("a batch");
        let mut more = batch(&[&value], None).to_vec();
        stamp(&mut more, Offset(last.last_offset() + 1), LeaderEpoch(last.leader_epoch));
        bytes.extend(more);
    });
}

#[test]
fn one_of_several_log_dirs_is_taken_only_if_it_holds_all_partitions() {
    let elsewhere = |kafka: &Path| {
        register(kafka, 2);
        for partition in ["codecs-0", "orders-2"] {
            fs::remove_dir_all(kafka.join(partition)).expect("removed");
        }
    };
    refused(elsewhere, &[], 1, &["codecs-0 and 1 more", "2 log.dirs", "kafka-reassign-partitions.sh", "--skip"]);
    let untold = |kafka: &Path| {
        register(kafka, 0);
        fs::remove_dir_all(kafka.join("orders-2")).expect("removed");
    };
    refused(
        untold,
        &[],
        1,
        &["orders-2 is not in", "has not registered how many", "If there are others", "If this is the only one"],
    );
    let (_dir, kafka) = kafkas();
    register(&kafka, 3);
    let home = Home::new();
    let ran = import(&kafka, &home.data, &["-o", "json"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("3 log.dirs"), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["log_dirs"].as_i64(), Some(3));
    let listed = import(&home.path().join("a,/var/b"), &home.path().join("new"), &[]);
    assert!(listed.code == Some(4) && listed.stderr.contains("several directories"), "{}", listed.stderr);
}

/// Changes the bytes of a file.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("a file");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

#[test]
fn what_is_no_whole_directory_of_one_kafka_is_refused_with_what_to_do() {
    let log = "orders-0/00000000000000000000.log";
    refused(|dir| fs::remove_file(dir.join("meta.properties")).expect("removed"), &[], 4, &["meta.properties"]);
    let other = |dir: &Path| {
        let path = dir.join("meta.properties");
        let text = fs::read_to_string(&path).expect("read");
        fs::write(path, text.replace("version=1", "version=0")).expect("written");
    };
    refused(other, &[], 4, &["version 0", "Kafka 4.3"]);
    let broker_only = |dir: &Path| fs::remove_dir_all(dir.join("__cluster_metadata-0")).expect("removed");
    refused(broker_only, &[], 4, &["__cluster_metadata-0"]);
    refused(|dir| edit(&dir.join(log), |bytes| bytes[100] ^= 1), &[], 6, &[log, "byte 0, offset 0", "CRC"]);
    let cut = |dir: &Path| edit(&dir.join(log), |bytes| bytes.truncate(bytes.len() - 1));
    refused(cut, &[], 6, &[log, "offset 10", "Let Kafka start"]);
    let elsewhere = |dir: &Path| fs::remove_dir_all(dir.join("orders-2")).expect("removed");
    refused(elsewhere, &[], 6, &["orders-2 is not in", "the only one of Kafka's log.dirs", "--skip"]);
    let swapped = |dir: &Path| drop(File::create(dir.join(format!("{log}.swap"))).expect("made"));
    refused(swapped, &[], 6, &[".swap", "Let Kafka start"]);
    let foreign = |dir: &Path| {
        fs::copy(dir.join("codecs-0/partition.metadata"), dir.join("orders-1/partition.metadata")).expect("copied");
    };
    refused(foreign, &[], 6, &["orders-1/partition.metadata", "topic with id"]);
    let nobodys = |dir: &Path| fs::remove_file(dir.join("orders-1/partition.metadata")).expect("removed");
    refused(nobodys, &[], 6, &["orders-1/partition.metadata is missing", "Let Kafka start"]);
    refused(|_| {}, &["--skip", "nothing"], 4, &["no topic nothing"]);
    let metadata = |dir: &Path| {
        let log = dir.join("__cluster_metadata-0/00000000000000000000.log");
        edit(&log, |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        });
    };
    refused(metadata, &[], 6, &["__cluster_metadata-0/00000000000000000000.log", "CRC"]);
}

#[test]
fn what_java_writes_is_read_as_java_reads_it() {
    let (_dir, kafka) = kafkas();
    let path = kafka.join("meta.properties");
    let text = fs::read_to_string(&path).expect("read");
    let other = |line: &str| match line.split_once('=') {
        Some(("cluster.id", _)) => "cluster.id=abc\\=\\=\n".to_owned(),
        Some((key, value)) => format!("{key} = {value}\n"),
        None => format!("{line}\n"),
    };
    fs::write(&path, text.lines().map(other).collect::<String>()).expect("written");
    // Kafka makes them before it has anything to say.
    fs::write(kafka.join("replication-offset-checkpoint"), "").expect("written");
    fs::write(kafka.join("orders-0/leader-epoch-checkpoint"), "").expect("written");
    let home = Home::new();
    let ran = import(&kafka, &home.data, &["-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
    assert_eq!((ran.code, told["cluster"].as_str()), (Some(0), Some("abc==")), "{told}");
}

#[test]
fn a_topic_that_cannot_be_read_can_be_left_out() {
    let (_dir, kafka) = kafkas();
    edit(&kafka.join("orders-0/00000000000000000000.log"), |bytes| bytes[100] ^= 1);
    let home = Home::new();
    let ran = import(&kafka, &home.data, &["--skip", "orders"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("left out: topic orders: --skip"), "{}", ran.stdout);
    let broker = broker_on(&home);
    assert_eq!(broker.connect().topic("orders", false).error_code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(broker.connect().append("codecs", &batch(&[b"more"], None)), (ErrorCode::None, 30));
}

#[test]
fn a_kafka_that_runs_keeps_its_directory() {
    let (_dir, kafka) = kafkas();
    let lock = File::options().create(true).truncate(false).write(true).open(kafka.join(".lock")).expect("a lock");
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).expect("locked");
    let home = Home::new();
    let ran = import(&kafka, &home.data, &[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("a Kafka runs on"), "{}", ran.stderr);
    let inside = kafka.join("corelog");
    drop(lock);
    let ran = import(&kafka, &inside, &[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("Kafka's own directory"), "{}", ran.stderr);
    assert!(!inside.exists());
    // Nor by a way that leads there only once it is made.
    let around = kafka.join("../absent/../data/corelog");
    let ran = import(&kafka, &around, &[]);
    assert!(ran.code == Some(2) && ran.stderr.contains("Kafka's own directory"), "{}", ran.stderr);
    assert!(!inside.exists() && !kafka.join("../absent").exists());
    let copy = home.path().join("copy");
    copy_all(&kafka, &copy);
    assert_eq!(import(&copy, &home.data, &[]).code, Some(0));
}

#[test]
fn transactions_that_did_not_commit_are_refused_and_may_be_left_out() {
    let path = "paid-0/00000000000000000000.log";
    // Its last batch is the marker that commits the last transaction.
    let last = |bytes: &[u8]| walk(bytes).last().map(|(at, _)| at).expect("a batch");
    let open = |dir: &Path| {
        edit(&dir.join(path), |bytes| bytes.truncate(last(bytes)));
        let told = dir.join("replication-offset-checkpoint");
        let text = fs::read_to_string(&told).expect("read");
        fs::write(told, text.replace("paid 0 6", "paid 0 5")).expect("written");
    };
    refused(open, &[], 1, &["paid-0", "has not ended", "--skip paid"]);
    let aborted = |dir: &Path| {
        edit(&dir.join(path), |bytes| {
            let at = last(bytes);
            let (_, header) = walk(&bytes[at..]).next().expect("a batch");
            let key = Records::new(&bytes[at + 61..], header.record_count).next().expect("a record");
            let key = key.expect("a record").key.expect("a key").as_ptr() as usize - bytes.as_ptr() as usize;
            bytes[key + 3] = 0;
            let crc = crc32c(&bytes[at + CRC_FROM..]);
            bytes[at + 17..at + 21].copy_from_slice(&crc.to_be_bytes());
        });
    };
    refused(aborted, &[], 1, &["paid-0", "was aborted", "--skip paid"]);
    let (_dir, kafka) = kafkas();
    open(&kafka);
    let home = Home::new();
    assert_eq!(import(&kafka, &home.data, &["--skip", "paid"]).code, Some(0));
}
