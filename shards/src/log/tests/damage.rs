//! Disks that rot, fail and fill. Tests only. Invariant: nothing wrong is ever given to a reader (R15).

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;

use super::{ROOT, append, batch, dir, found, rules, segment_path, store, store_of_core, write_all};
use crate::log::*;
use crate::runtime::sim::{Sim, SimRuntime};
use crate::runtime::{File, OpenMode, Runtime};
use crate::types::{FilePos, Offset};

const SEGMENT_BYTES: u64 = 300_000;

/// Two segments and a little more, all in files.
async fn filled(rt: &SimRuntime) -> (Store<SimRuntime>, PartitionLog) {
    let store = store(rt).await;
    let mut log = PartitionLog::new();
    for n in 0..70 {
        append(&mut log, &batch(2, 5_000, n), &rules(SEGMENT_BYTES));
    }
    write_all(&store, &mut log, WriteKind::Everything).await;
    log.evict_through(u64::MAX);
    (store, log)
}

/// Reads the whole log; the number of batches, or the first failure.
async fn read_all(store: &Store<SimRuntime>, log: &PartitionLog) -> Result<usize, ReadFailure> {
    let (mut at, mut count) = (Offset(0), 0);
    while at < log.log_end() {
        let ReadPlan::Disk(read) = log.plan_read(at, 100_000, log.log_end(), true) else { panic!("all is on disk") };
        let bytes = found(store.read(&dir(), &read).await?).concat();
        for (_, header) in crate::batch::walk(&bytes) {
            at = Offset(header.last_offset() + 1);
            count += 1;
        }
    }
    Ok(count)
}

fn after(seed: u64, change: impl FnOnce(&Sim, crate::runtime::sim::HostId)) -> Result<usize, ReadFailure> {
    let sim = Sim::new(seed);
    let host = sim.add_host("a");
    let log = sim.block_on(host, |rt| async move { filled(&rt).await.1 });
    change(&sim, host);
    sim.block_on(host, |rt| async move {
        // A store of its own: nothing is cached.
        let store = store(&rt).await;
        read_all(&store, &log).await
    })
}

#[test]
fn a_flipped_bit_anywhere_in_a_batch_is_found_and_named() {
    let batch_bytes = batch(2, 5_000, 0).len() as u64;
    // Each byte of the prefix and some of the rest, in the third batch.
    for byte in (0..62).chain([1_000, batch_bytes - 1]) {
        let path = segment_path(Offset(0), "log");
        let failure = after(byte, |sim, host| {
            assert!(sim.disk(host).flip_bit(&path, batch_bytes * 2 + byte, (byte % 8) as u8));
        })
        .expect_err("wrong bytes must not be read");
        assert_eq!(failure.segment_base, Offset(0));
        assert!(failure.to_string().contains("00000000000000000000.log is damaged at byte"), "{failure}");
    }
}

#[test]
fn a_flipped_prefix_is_found_after_a_start_though_it_is_in_no_index_page() {
    let batch_bytes = batch(2, 5_000, 0).len() as u64;
    for byte in 0..17 {
        let sim = Sim::new(byte);
        let host = sim.add_host("a");
        let snapshot = sim.block_on(host, |rt| async move {
            let store = store(&rt).await;
            let mut log = PartitionLog::new();
            for n in 0..20 {
                append(&mut log, &batch(2, 5_000, n), &rules(1 << 30));
            }
            write_all(&store, &mut log, WriteKind::Everything).await;
            while let Some(sync) = log.needs_file_sync() {
                store.sync(&dir(), &sync).await.unwrap();
                log.file_synced(&sync);
            }
            log.snapshot()
        });
        assert!(snapshot.open[0].index_pages == 0 && !snapshot.open[0].runs.is_empty());
        let path = segment_path(Offset(0), "log");
        assert!(sim.disk(host).flip_bit(&path, batch_bytes * 2 + byte, (byte % 8) as u8));
        let failure = sim.block_on(host, |rt| async move {
            let log = Replay::new(snapshot).finish(0).unwrap().log;
            read_all(&store(&rt).await, &log).await.expect_err("wrong bytes must not be read")
        });
        assert!(failure.to_string().contains("is damaged at byte"), "byte {byte}: {failure}");
    }
}

#[test]
fn a_damaged_index_is_rebuilt_and_stored_again() {
    let path = segment_path(Offset(0), "index");
    let sim = Sim::new(3);
    let host = sim.add_host("a");
    let log = sim.block_on(host, |rt| async move { filled(&rt).await.1 });
    let before = sim.disk(host).content(&path).unwrap();
    assert!(sim.disk(host).flip_bit(&path, 70, 3));
    let count = sim.block_on(host, |rt| async move { read_all(&store(&rt).await, &log).await.unwrap() });
    assert_eq!(count, 70);
    assert_eq!(sim.disk(host).content(&path).unwrap(), before);
}

#[test]
fn a_missing_index_is_rebuilt_on_first_use() {
    let path = segment_path(Offset(0), "index");
    let sim = Sim::new(4);
    let host = sim.add_host("a");
    let removed = path.clone();
    let log = sim.block_on(host, |rt| async move {
        let log = filled(&rt).await.1;
        rt.remove_file(&removed).await.unwrap();
        log
    });
    let count = sim.block_on(host, |rt| async move { read_all(&store(&rt).await, &log).await.unwrap() });
    assert_eq!(count, 70);
    assert!(sim.disk(host).content(&path).is_some());
}

#[test]
fn a_file_cut_short_is_damage() {
    let sim = Sim::new(5);
    let host = sim.add_host("a");
    let failure = sim.block_on(host, |rt| async move {
        let (store, log) = filled(&rt).await;
        let file = rt.open(&segment_path(Offset(0), "log"), OpenMode::Write).await.unwrap();
        file.resize(100_000).await.unwrap();
        read_all(&store, &log).await.expect_err("bytes are missing")
    });
    assert!(failure.to_string().contains("the file ends before the log does"), "{failure}");
}

#[test]
fn sealed_files_hold_exactly_the_batches_as_kafka_would() {
    let sim = Sim::new(6);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move { filled(&rt).await });
    let content = sim.disk(host).content(&segment_path(Offset(0), "log")).unwrap();
    let batches: Vec<_> = crate::batch::walk(&content).collect();
    let (at, last) = batches.last().unwrap();
    assert_eq!(at + last.total_bytes().unwrap(), content.len());
    let metadata = sim.disk(host).content(Path::new("/data/orders-2/partition.metadata")).unwrap();
    assert!(metadata.starts_with(b"version: 0\ntopic_id: "));
}

#[test]
fn a_full_disk_names_the_file_and_the_same_job_succeeds_later() {
    let sim = Sim::new(7);
    let host = sim.add_host("a");
    let (store, mut log, job) = sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let mut log = PartitionLog::new();
        append(&mut log, &batch(1, 20_000, 0), &rules(SEGMENT_BYTES));
        let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
        (store, log, job)
    });
    sim.disk(host).set_capacity(6_000);
    let (store, job) = sim.block_on(host, |_| async move {
        let error = store.write(&dir(), &job).await.expect_err("no space");
        assert_eq!(error.source.kind(), std::io::ErrorKind::StorageFull);
        assert!(error.path.ends_with("00000000000000000000.log"), "{error}");
        (store, job)
    });
    sim.disk(host).set_capacity(1 << 30);
    sim.block_on(host, |_| async move {
        store.write(&dir(), &job).await.unwrap();
        log.written(&job);
        let ReadPlan::Memory(_) = log.plan_read(Offset(0), 1, Offset(1), true) else { panic!("it stays in memory") };
    });
}

#[test]
fn a_topic_made_again_under_its_name_gets_a_directory_of_its_own() {
    let sim = Sim::new(8);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let (store, _) = filled(&rt).await;
        let mut again = dir();
        again.id.topic = crate::types::TopicId([8; 16]);
        let mut log = PartitionLog::new();
        append(&mut log, &batch(1, 20, 0), &rules(SEGMENT_BYTES));
        let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).unwrap();
        // The removal of the old one comes late.
        store.write(&again, &job).await.unwrap();
        log.written(&job);
        store.remove_partition(&dir(), Duration::ZERO).await.unwrap();
        let ReadPlan::Disk(read) = log.plan_read(Offset(0), 1, Offset(1), true) else { panic!("it is on disk") };
        assert_eq!(found(store.read(&again, &read).await.unwrap()).len(), 1);
        let late = store.write(&dir(), &job).await.expect_err("the id is gone for good");
        assert_eq!(late.source.kind(), std::io::ErrorKind::NotFound);
    });
}

/// The stores of two cores, and a partition that the first one has put into a file.
async fn two_cores(rt: &SimRuntime) -> (Store<SimRuntime>, Store<SimRuntime>, PartitionLog) {
    let gates = Arc::new(Gates::default());
    let (one, other) = (store_of_core(rt, gates.clone()).await, store_of_core(rt, gates).await);
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 20, 0), &rules(SEGMENT_BYTES));
    write_all(&one, &mut log, WriteKind::Everything).await;
    (one, other, log)
}

/// The partition of a topic of the same name that was made later, and the first write of it.
fn made_again() -> (PartitionDir, PartitionLog, WriteJob) {
    let mut again = dir();
    again.id.topic = crate::types::TopicId([8; 16]);
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 20, 0), &rules(SEGMENT_BYTES));
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).expect("a block");
    (again, log, job)
}

#[test]
fn a_topic_is_made_again_on_one_core_while_another_one_removes_it() {
    for seed in 0..100 {
        let sim = Sim::new(seed);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            let (one, other, _) = two_cores(&rt).await;
            let (again, mut log, job) = made_again();
            let (removed, made) = zip(one.remove_partition(&dir(), Duration::ZERO), other.write(&again, &job)).await;
            removed.expect("removed");
            made.expect("made");
            log.written(&job);
            let sync = log.needs_file_sync().expect("it was written");
            other.sync(&again, &sync).await.expect("its directory is there");
            let ReadPlan::Disk(read) = log.plan_read(Offset(0), 1, Offset(1), true) else { panic!("it is on disk") };
            let fresh = store(&rt).await;
            assert_eq!(found(fresh.read(&again, &read).await.expect("its file is there")).len(), 1);
        });
    }
}

#[test]
fn a_core_that_stops_leaves_no_gate_shut_and_changes_no_name_any_more() {
    let sim = Sim::new(3);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let (one, other, _) = two_cores(&rt).await;
        let remove = |done: Rc<Cell<bool>>| {
            let one = one.clone();
            rt.spawn(async move {
                one.remove_segments(&dir(), &[Offset(0)], Duration::ZERO).await.expect("removed");
                done.set(true);
            });
        };
        // Of these, one is in the gate when the core stops, and the others wait for it.
        (0..3).for_each(|_| remove(Rc::default()));
        rt.sleep_until(rt.now().after(Duration::from_micros(1))).await;
        one.close().await;
        let late = Rc::new(Cell::new(false));
        remove(late.clone());
        rt.sleep_until(rt.now().after(Duration::from_secs(1))).await;
        assert!(!late.get(), "that is for the next start");
        let (again, _, job) = made_again();
        other.write(&again, &job).await.expect("the gate is open");
    });
}

#[test]
fn files_of_a_topic_made_again_outlive_what_was_under_way_for_the_old_one() {
    let sim = Sim::new(8);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let (one, other, mut log) = two_cores(&rt).await;
        append(&mut log, &batch(1, 90_000, 0), &rules(1));
        let late = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).expect("the first segment's end");
        // Its core learns of the deletion, and has much to do before it comes to the directory.
        one.removed().add(dir().id);
        let (again, _, job) = made_again();
        other.write(&again, &job).await.expect("made");
        let files = || rt.disk().list(&Path::new(ROOT).join(dir().name())).expect("a directory");
        let before = files();
        assert!(before.len() > 1, "{before:?}");
        let directories = rt.disk().list(Path::new(ROOT)).expect("a directory");
        assert_eq!(directories.len(), 1, "what was the old topic's is gone: {directories:?}");
        one.remove_segments(&dir(), &[Offset(0)], Duration::ZERO).await.expect("nothing to do");
        assert_eq!(files(), before);
        let late = one.write(&dir(), &late).await.expect_err("the id is gone for good");
        assert_eq!(late.source.kind(), std::io::ErrorKind::NotFound);
        assert_eq!(files(), before);
    });
}

#[test]
fn a_gap_in_what_the_journal_holds_is_named() {
    let mut log = PartitionLog::new();
    let first = append(&mut log, &batch(1, 100, 0), &rules(u64::MAX));
    let second = append(&mut log, &batch(1, 100, 0), &rules(u64::MAX));
    let third = append(&mut log, &batch(1, 100, 0), &rules(u64::MAX));
    let mut replay = Replay::new(LogSnapshot::default());
    replay.data(Offset(0), FilePos(0), first.clone());
    // The entry of the second batch is left out.
    replay.data(Offset(0), FilePos((first.len() + second.len()) as u64), third);
    let why = replay.finish(0).map(|_| ()).expect_err("an acked batch is missing");
    assert_eq!(why, ReplayError::Gap { base: Offset(0), from: first.len() as u64 });
}
