//! Retention against Kafka's rules. Tests only. Invariant: as named.

use std::time::Duration;

use super::{append, batch, dir, found, rules, segment_path, store, write_all};
use crate::log::retention::Rules;
use crate::log::*;
use crate::runtime::Runtime;
use crate::runtime::sim::Sim;
use crate::types::{FilePos, Offset};

const KEEP: Rules = Rules { retention_ms: -1, retention_bytes: -1 };

/// Four segments of one batch each, their timestamps 0, 100, 200, 300; the last one is active.
fn four() -> (PartitionLog, i64) {
    let mut log = PartitionLog::new();
    let mut bytes = 0;
    for n in 0..4 {
        bytes = append(&mut log, &batch(1, 500, n * 100), &rules(1)).len() as i64;
    }
    (log, bytes)
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    let (log, _) = four();
    let by_time = |retention_ms, now_ms| log.plan_retention(&Rules { retention_ms, ..KEEP }, now_ms);
    assert_eq!(by_time(1_000, 1_000), None);
    assert_eq!(by_time(1_000, 1_001), Some(Offset(1)));
    assert_eq!(by_time(1_000, 1_201), Some(Offset(3)));
    assert_eq!(by_time(-1, i64::MAX), None);
}

#[test]
fn an_expired_active_segment_goes_as_well_and_is_rolled_first() {
    let (mut log, _) = four();
    let start = log.plan_retention(&Rules { retention_ms: 1_000, ..KEEP }, 9_999).unwrap();
    assert_eq!(start, Offset(4));
    log.move_log_start(start);
    let seal = log.roll_expired().unwrap();
    assert_eq!(seal.base, Offset(3));
    assert!(log.roll_expired().is_none());
}

#[test]
fn segments_go_while_the_rest_still_holds_the_bytes_to_be_kept() {
    let (log, bytes) = four();
    let by_size = |retention_bytes| log.plan_retention(&Rules { retention_bytes, ..KEEP }, 0);
    assert_eq!(by_size(bytes * 4), None);
    assert_eq!(by_size(bytes * 3 + 1), None);
    assert_eq!(by_size(bytes * 3), Some(Offset(1)));
    assert_eq!(by_size(bytes), Some(Offset(3)));
    assert_eq!(by_size(0), Some(Offset(4)));
}

#[test]
fn what_is_not_synced_is_kept() {
    let mut log = PartitionLog::new();
    let (_, piece) = super::place(&mut log, &batch(1, 10, 0), &rules(1));
    log.attach(piece);
    assert_eq!(log.plan_retention(&Rules { retention_bytes: 0, ..KEEP }, 0), None);
}

#[test]
fn a_new_batch_leaves_a_segment_that_was_given_up() {
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 10, 0), &rules(u64::MAX));
    log.move_log_start(Offset(1));
    let (placement, _) = super::place(&mut log, &batch(1, 10, 0), &rules(u64::MAX));
    assert!(placement.seal.is_some());
}

#[test]
fn dropped_segments_lose_their_files_and_an_open_read_goes_on() {
    let sim = Sim::new(1);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let (mut log, _) = four();
        write_all(&store, &mut log, WriteKind::Everything).await;
        log.evict_through(u64::MAX);
        let ReadPlan::Disk(read) = log.plan_read(Offset(0), 1, Offset(4), true) else { panic!("it is on disk") };
        assert!(!found(store.read(&dir(), &read).await.unwrap()).is_empty());
        log.move_log_start(Offset(2));
        let bases = log.take_dropped(Offset(2));
        assert_eq!(bases, [Offset(0), Offset(1)]);
        store.remove_segments(&dir(), &bases, Duration::ZERO).await.unwrap();
        let failure = store.read(&dir(), &read).await.unwrap_err();
        assert_eq!(failure.segment_base, Offset(0));
        assert!(!log.has_segment(Offset(0)) && log.has_segment(Offset(2)));
    });
    let disk = sim.disk(host);
    assert!(disk.content(&segment_path(Offset(0), "log")).is_none());
    assert!(disk.content(&segment_path(Offset(2), "log")).is_some());
    assert!(disk.list("/data/orders-2".as_ref()).unwrap().iter().all(|entry| !entry.name.ends_with("deleted")));
}

#[test]
fn the_first_write_of_a_run_removes_what_a_crash_left_half_removed() {
    let sim = Sim::new(2);
    let host = sim.add_host("a");
    let leftover = segment_path(Offset(0), "log.deleted");
    let path = leftover.clone();
    sim.block_on(host, |rt| async move {
        let (mut log, _) = four();
        let store_before = store(&rt).await;
        write_all(&store_before, &mut log, WriteKind::Everything).await;
        let sync = log.needs_file_sync().unwrap();
        store_before.sync(&dir(), &sync).await.unwrap();
        log.file_synced(&sync);
        rt.rename(&segment_path(Offset(0), "log"), &path).await.unwrap();
        // A new run.
        let mut log = Replay::new(log.snapshot()).finish(0).unwrap().log;
        let store = store(&rt).await;
        log.warm_tail(store.read_tail(&dir(), log.cold_tail().unwrap()).await.unwrap());
        append(&mut log, &batch(1, 9_000, 0), &rules(u64::MAX));
        write_all(&store, &mut log, WriteKind::WholeBlocks).await;
    });
    assert!(sim.disk(host).content(&leftover).is_none());
    assert!(sim.disk(host).content(&segment_path(Offset(3), "log")).is_some());
}

#[test]
fn a_segment_that_never_had_a_file_vouches_for_no_directory() {
    // All of it is only in the journal: it was deleted up to its end, and appended to once more.
    let mut log = PartitionLog::new();
    let first = append(&mut log, &batch(1, 10, 0), &rules(1));
    let second = append(&mut log, &batch(1, 10, 0), &rules(1));
    let restored = |snapshot: LogSnapshot, deleted: bool| {
        let mut replay = Replay::new(snapshot);
        replay.data(Offset(0), FilePos(0), first.clone());
        replay.seal(Offset(0), FilePos(first.len() as u64));
        if deleted {
            replay.log_start(Offset(1));
        }
        replay.data(Offset(1), FilePos(0), second.clone());
        replay.finish(0).expect("without a gap").log
    };
    let mut log = restored(LogSnapshot::default(), true);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).expect("what is left");
    assert!(job.segment_base == Offset(1) && !job.holds_files, "the directory may be another topic's");
    log.written(&job);
    assert!(log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).is_none());
    let mut log = restored(LogSnapshot::default(), false);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).expect("the first segment");
    assert!(job.segment_base == Offset(0) && !job.holds_files);
    log.written(&job);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).expect("the second");
    assert!(job.segment_base == Offset(1) && job.holds_files, "ours by now");
}
