//! A full disk (R14): appends are refused, everything else goes on, and appends work again once there is space.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use corelog::wire::ErrorCode;
use corelog::wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Signal, kill_process};

use crate::broker::{Broker, Connection, Home};
use crate::device::Mounted;
use crate::ledger::{Appended, Ledger};
use crate::peer::{batch, reply};

const DISK_MIB: u64 = 160;
const VALUE_BYTES: usize = 200 << 10;
/// More than the disk holds.
const APPENDS_MAX: usize = ((DISK_MIB as usize) << 20) / VALUE_BYTES;
/// Space comes back with a renamed directory's unlink and a try of the shard's.
const RECOVERY: Duration = Duration::from_secs(20);
const SHARDS: usize = 2;
const SMALL: [&str; 8] = [
    "--set",
    "shards=2",
    "--set",
    "journal.bytes=8388608",
    "--set",
    "journal.bytes.max=8388608",
    "--set",
    "log.segment.bytes=8388608",
];

fn home_on(disk: &Mounted) -> Home {
    let mut home = Home::new();
    home.data = disk.path().join("data");
    home
}

/// Of partition 0: error, and where the log begins from now on.
pub fn delete_records(peer: &mut Connection, topic: &str, offset: i64) -> (ErrorCode, i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: topic.to_owned().into(), partitions }];
    let reply = reply!(DeleteRecords, peer.ask(DeleteRecordsRequest { topics, timeout_ms: 10_000 }, 2));
    let answer = &reply.topics[0].partitions[0];
    (answer.error_code, answer.low_watermark)
}

/// Appends to both until each is refused for want of space.
fn fill(peer: &mut Connection, ledgers: &mut [&mut Ledger]) {
    for ledger in ledgers {
        let refusal = ledger.append_until_refused(peer, APPENDS_MAX);
        assert_eq!(refusal, Some(ErrorCode::KafkaStorageError), "after {} records", ledger.acked());
    }
}

/// A batch of a producer for each of the first partitions; their errors and offsets.
fn append_to_each(peer: &mut Connection, topic: &str, producer: Option<(i64, i16, i32)>) -> Vec<(ErrorCode, i64)> {
    let answers = peer.produce(topic, -1, &vec![batch(&[b"once"], producer); SHARDS]);
    answers.into_iter().map(|answer| (answer.error_code, answer.base_offset)).collect()
}

/// The first append that is acked again.
fn append_in_time(peer: &mut Connection, ledger: &mut Ledger) {
    let deadline = Instant::now() + RECOVERY;
    loop {
        match ledger.append(peer) {
            Appended::Acked => return,
            Appended::Refused(ErrorCode::KafkaStorageError) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(50));
            }
            other => panic!("{other:?} although there is space"),
        }
    }
}

fn two_topics(broker: &Broker) -> (Connection, Ledger, Ledger) {
    let mut peer = broker.connect();
    let (kept, spare) = (Ledger::new("kept", VALUE_BYTES), Ledger::new("spare", VALUE_BYTES));
    for ledger in [&kept, &spare] {
        assert_eq!(peer.create(&ledger.topic, 1), ErrorCode::None);
    }
    (peer, kept, spare)
}

#[test]
fn on_a_full_disk_appends_are_refused_and_come_back_when_a_topic_is_deleted() {
    let Some(disk) = Mounted::new(DISK_MIB) else { return };
    let home = home_on(&disk);
    let broker = home.dev(&SMALL);
    let (mut peer, mut kept, mut spare) = two_topics(&broker);
    for _ in 0..200 {
        assert_eq!((kept.append(&mut peer), spare.append(&mut peer)), (Appended::Acked, Appended::Acked));
    }
    // A partition on each shard.
    assert_eq!(peer.create("once", SHARDS as i32), ErrorCode::None);
    let (id, epoch) = peer.producer_id();
    let from = |sequence| Some((id, epoch, sequence));
    assert_eq!(append_to_each(&mut peer, "once", from(0)), [(ErrorCode::None, 0); SHARDS]);
    fill(&mut peer, &mut [&mut kept, &mut spare]);
    let repeated = append_to_each(&mut peer, "once", from(0));
    assert_eq!(repeated, [(ErrorCode::None, 0); SHARDS], "it takes no space");
    let next = append_to_each(&mut peer, "once", from(1));
    assert!(next.contains(&(ErrorCode::KafkaStorageError, -1)), "{next:?}");

    kept.check(&mut peer);
    spare.check(&mut peer);
    assert_eq!(delete_records(&mut peer, "kept", 10), (ErrorCode::None, 10));
    kept.deleted_below(10);
    assert_eq!(peer.topic("spare", false).error_code, ErrorCode::None);
    assert_eq!(peer.delete("spare"), ErrorCode::None);

    append_in_time(&mut peer, &mut kept);
    kept.check(&mut peer);
    assert_eq!(peer.list_offset("kept", -2, 5), (ErrorCode::None, 10));
}

#[test]
fn a_disk_that_others_fill_loses_nothing_over_kill_9_and_appends_when_they_leave() {
    let Some(disk) = Mounted::new(DISK_MIB) else { return };
    let home = home_on(&disk);
    let broker = home.dev(&SMALL);
    let (mut peer, mut kept, mut spare) = two_topics(&broker);
    assert_eq!((kept.append(&mut peer), spare.append(&mut peer)), (Appended::Acked, Appended::Acked));
    let filler = disk.path().join("filler");
    fill_with(&filler);
    fill(&mut peer, &mut [&mut kept, &mut spare]);
    kept.check(&mut peer);
    broker.kill();

    let broker = home.dev(&SMALL);
    let mut peer = broker.connect();
    kept.check(&mut peer);
    spare.check(&mut peer);
    fs::remove_file(&filler).expect("the filler goes");
    append_in_time(&mut peer, &mut kept);
    append_in_time(&mut peer, &mut spare);
    let left = broker.terminate();
    assert!(left.status.success(), "{left:#?}");

    let broker = home.dev(&SMALL);
    let mut peer = broker.connect();
    kept.check(&mut peer);
    spare.check(&mut peer);
}

#[test]
fn a_broker_that_was_killed_on_a_disk_without_a_free_block_starts_on_it_and_makes_space_by_deleting_a_topic() {
    let Some(disk) = Mounted::new(DISK_MIB) else { return };
    let home = home_on(&disk);
    let mut broker = home.dev(&SMALL);
    let (mut peer, mut kept, mut spare) = two_topics(&broker);
    for _ in 0..200 {
        assert_eq!((kept.append(&mut peer), spare.append(&mut peer)), (Appended::Acked, Appended::Acked));
    }
    fill_with(&disk.path().join("filler"));
    let mut unwritten = 0;
    for round in 0..2 {
        fill(&mut peer, &mut [&mut kept, &mut spare]);
        let deadline = Instant::now() + RECOVERY;
        while unwritten_bytes(&broker) > unwritten + 64 * 1024 {
            assert!(Instant::now() < deadline, "what was acked goes into segments");
            std::thread::sleep(Duration::from_millis(50));
        }
        // What the ballast gave up and what was acked did not need, somebody else takes.
        fill_with(&disk.path().join(format!("filler-{round}")));
        broker.kill();
        broker = home.dev(&SMALL);
        unwritten = unwritten_bytes(&broker);
        peer = broker.connect();
        kept.check(&mut peer);
        spare.check(&mut peer);
    }
    assert_eq!(peer.delete("spare"), ErrorCode::None);
    append_in_time(&mut peer, &mut kept);
    kept.check(&mut peer);
}

#[test]
fn a_disk_without_space_for_a_first_start_is_named_with_what_is_missing_and_what_to_do() {
    let Some(disk) = Mounted::new(DISK_MIB) else { return };
    let home = home_on(&disk);
    let filler = disk.path().join("filler");
    fill_with(&filler);
    let filler = File::options().write(true).open(&filler).expect("the filler");
    // Space for directories and not for journals.
    let len = filler.metadata().expect("its length").len();
    filler.set_len(len - (1 << 20)).expect("a shorter filler");
    let left = home.dev_refused(&SMALL);
    let said = &left.stderr;
    assert!(said.contains(home.data.to_str().expect("a UTF-8 path")), "{said}");
    for word in ["No space left on device", "MiB", "start again"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// Bytes appended less bytes put into segments, of both shards, as the broker prints them when it is asked to. (A start puts
/// into segments what it replays, without an append.)
fn unwritten_bytes(broker: &Broker) -> i64 {
    let printed = || {
        let number =
            |line: &str, name: &str| -> Option<i64> { line.split(name).nth(1)?.split(',').next()?.trim().parse().ok() };
        let of_shard = |line: &str| Some(number(line, "appended bytes")? - number(line, "segment bytes")?);
        broker.stderr().lines().filter_map(of_shard).collect::<Vec<i64>>()
    };
    let before = printed().len();
    kill_process(broker.pid(), Signal::USR1).expect("the process runs");
    let deadline = Instant::now() + RECOVERY;
    loop {
        let shards = printed();
        if shards.len() >= before + SHARDS {
            return shards.iter().rev().take(SHARDS).sum();
        }
        assert!(Instant::now() < deadline, "the broker prints its counters");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes all the space that is left.
fn fill_with(path: &std::path::Path) {
    let file = File::create(path).expect("a filler");
    let mut at = 0;
    for step in [1 << 20, 4 << 10] {
        while fallocate(&file, FallocateFlags::empty(), at, step).is_ok() {
            at += step;
        }
    }
}
