//! Cleaned files in the place of segments: whole at every moment of the swap, read right before and after it. Tests only.
//! Invariant: batches are one record each, so that an offset names a batch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{append, batch, dir, rules, segment_path, store, write_all};
use crate::log::*;
use crate::runtime::Runtime;
use crate::runtime::sim::{Sim, SimRuntime};
use crate::types::{Listed, Offset};

const BATCHES: i64 = 40;

/// A log of some sealed segments and an active one, all of it in files, and its batches.
async fn written(store: &Store<SimRuntime>) -> (PartitionLog, Vec<Bytes>) {
    let mut log = PartitionLog::new();
    let batches = (0..BATCHES).map(|n| append(&mut log, &batch(1, 3_000, n), &rules(40_000))).collect();
    write_all(store, &mut log, WriteKind::Everything).await;
    let sync = log.needs_file_sync().expect("the active segment was written");
    store.sync(&dir(), &sync).await.expect("the disk syncs");
    log.file_synced(&sync);
    log.evict_through(u64::MAX);
    (log, batches)
}

/// Makes a file for all sealed segments that holds the batches that `keeps` names; the replacement, and what is left of the log.
async fn cleaned(
    store: &Store<SimRuntime>,
    log: &mut PartitionLog,
    batches: &[Bytes],
    keeps: impl Fn(i64) -> bool,
) -> (Replacement, Vec<(i64, Bytes)>) {
    let group = log.closed_views(log.log_end());
    assert!(group.len() > 2);
    let end = log.sealed_end();
    let begun = store.begin_cleaned(&dir(), log.next_cleaning(), Offset(0), end).await;
    let mut file = begun.expect("a new file");
    let left: Vec<(i64, Bytes)> =
        (0..).zip(batches.iter().cloned()).filter(|(n, _)| *n >= end.0 || keeps(*n)).collect();
    for (_, batch) in left.iter().filter(|(n, _)| *n < end.0) {
        file.push(batch).await.expect("the disk takes it");
    }
    let by = file.finish().await.expect("the disk syncs");
    (log.begin_replacement(&group, by).expect("nothing was dropped"), left)
}

#[test]
fn the_newest_segment_is_left_alone_though_it_is_closed_until_another_one_follows() {
    let mut log = PartitionLog::new();
    let closed = |log: &PartitionLog| -> Vec<i64> {
        log.closed_views(log.log_end()).iter().map(|segment| segment.base.0).collect()
    };
    for n in 0..3 {
        append(&mut log, &batch(1, 3_000, n), &rules(1));
    }
    assert_eq!(closed(&log), [0, 1]);
    // As those of an adopted log are.
    assert!(log.roll().is_some());
    assert_eq!(closed(&log), [0, 1]);
    append(&mut log, &batch(1, 3_000, 3), &rules(1));
    assert_eq!(closed(&log), [0, 1, 2]);
}

/// The first batch at or behind `from`; `None` at the end of the log.
async fn next(store: &Store<SimRuntime>, log: &PartitionLog, mut from: Offset) -> Option<Bytes> {
    while from < log.log_end() {
        match log.plan_read(from, 1, log.log_end(), true) {
            ReadPlan::Empty => panic!("there is more behind {from:?}"),
            ReadPlan::Memory(found) => return Some(found.concat().into()),
            ReadPlan::Disk(read) => match store.read(&dir(), &read).await.expect("the file is whole") {
                DiskBatches::Found(found) => return Some(found.concat().into()),
                DiskBatches::Beyond(next) => from = next,
            },
        }
    }
    None
}

async fn reads_as(store: &Store<SimRuntime>, log: &PartitionLog, left: &[(i64, Bytes)]) {
    for from in 0..BATCHES {
        let expected = left.iter().find(|(n, _)| *n >= from).map(|(_, bytes)| bytes.clone());
        assert_eq!(next(store, log, Offset(from)).await, expected, "from {from}");
    }
}

/// Of what is replaced.
const DELAY: Duration = Duration::from_secs(1);

#[test]
fn readers_find_what_is_left_from_every_offset_and_old_plans_are_told() {
    let keeps: [fn(i64) -> bool; 4] = [|n| n % 3 == 1, |n| n < 5, |n| n == 25, |_| false];
    for keeps in keeps {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, move |rt| async move {
            let store = store(&rt).await;
            let (mut log, batches) = written(&store).await;
            reads_as(&store, &log, &(0..).zip(batches.iter().cloned()).collect::<Vec<_>>()).await;
            let ReadPlan::Disk(old) = log.plan_read(Offset(0), 1, log.log_end(), true) else { panic!("it is on disk") };
            let (by, left) = cleaned(&store, &mut log, &batches, keeps).await;
            assert_eq!(log.file_state(Offset(0), 0), FileState::Replacing);
            let joined: Vec<Offset> = log.snapshot().joined_by(&by);
            store.install_cleaned(&dir(), &by, &joined, DELAY).await.expect("the disk renames");
            log.replaced(&by);

            reads_as(&store, &log, &left).await;
            assert!(store.read(&dir(), &old).await.is_err(), "its file is another one");
            assert_eq!(log.file_state(Offset(0), 0), FileState::Replaced);
            assert_eq!(log.file_state(Offset(0), 1), FileState::Current);
            for at in 0..BATCHES {
                let Listed { offset, .. } = match log.plan_timestamp(at, log.log_end()) {
                    TimestampPlan::Found(listed) => listed,
                    TimestampPlan::Search(search) => store.search(&dir(), &search).await.expect("the file is whole"),
                };
                assert_eq!(Some(offset.0), left.iter().map(|(n, _)| *n).find(|n| *n >= at));
            }
            // Once more, after a start that knows the checkpoint only.
            let log = Replay::new(log.snapshot()).finish(0).expect("nothing is missing").log;
            rt.remove_file(&segment_path(Offset(0), "index")).await.expect("there is one");
            let fresh = Store::new(rt.clone(), super::ROOT.into(), 64, 1 << 20, Arc::default());
            reads_as(&fresh, &log, &left).await;
        });
    }
}

/// Lets the power go while the swap is under way; the log is then the old one or the new one, and a start makes it the new
/// one. Whether it was the old one.
fn cut_while_replacing(seed: u64, after: Duration, delay: Duration) -> bool {
    let sim = Sim::new(seed);
    let host = sim.add_host("a");
    let (snapshot, by, batches, left) = sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let (mut log, batches) = written(&store).await;
        let before = log.snapshot();
        let (by, left) = cleaned(&store, &mut log, &batches, |n| n % 4 == 0).await;
        (before, by, batches, left)
    });
    let joined = snapshot.joined_by(&by);
    let names = joined.clone();
    sim.spawn(host, move |rt| async move {
        let store = Store::new(rt, super::ROOT.into(), 64, 1 << 20, Arc::default());
        store.install_cleaned(&dir(), &by, &names, delay).await.expect("the disk renames");
    });
    sim.run_for(after);
    sim.crash(host);
    sim.block_on(host, move |rt| async move {
        let store = Store::new(rt.clone(), super::ROOT.into(), 64, 1 << 20, Arc::default());
        let found = match rt.read_whole(&segment_path(Offset(0), "log")).await {
            // The old one has the name no more, and the new one not yet: it is the next start's to give.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !delay.is_zero() => None,
            read => Some(read.expect("the name leads to a file").len() as u64),
        };
        let is_old = found != Some(by.size.0);
        if found.is_some() && is_old {
            let all: Vec<_> = (0..).zip(batches).collect();
            let log = Replay::new(snapshot.clone()).finish(0).expect("nothing is missing").log;
            reads_as(&store, &log, &all).await;
        }
        let mut snapshot = snapshot;
        let store = Store::new(rt.clone(), super::ROOT.into(), 64, 1 << 20, Arc::default());
        store.install_cleaned(&dir(), &by, &joined, Duration::ZERO).await.expect("it can be repeated");
        snapshot.replaced(&by);
        let log = Replay::new(snapshot).finish(0).expect("nothing is missing").log;
        reads_as(&store, &log, &left).await;
        let names = rt.read_dir(&segment_path(Offset(0), "log").with_file_name("")).await.expect("the directory");
        let is_log = |name: &str| name.contains(".log") && !name.ends_with(".deleted");
        let logs = names.iter().filter(|entry| is_log(&entry.name)).count();
        assert_eq!(logs, 2, "the new file and the active one: {names:?}");
        store.remove_strays(&dir(), &log.known_segments()).await.expect("the disk removes");
        let names = rt.read_dir(&segment_path(Offset(0), "log").with_file_name("")).await.expect("the directory");
        assert!(names.iter().all(|entry| !entry.name.ends_with(".deleted")), "{names:?}");
        is_old
    })
}

#[test]
fn a_power_cut_at_any_moment_of_a_replacement_leaves_the_old_log_or_the_new_one() {
    for delay in [Duration::ZERO, DELAY] {
        let mut old = 0;
        for seed in 0..80 {
            old += u32::from(cut_while_replacing(seed, Duration::from_micros(50 * seed), delay));
        }
        assert!((5..75).contains(&old), "{old} of 80 were cut before the rename was sure");
    }
}

#[test]
fn what_a_try_set_aside_does_not_stay_when_the_next_one_is_not_to_wait() {
    let sim = Sim::new(1);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let (mut log, batches) = written(&store).await;
        let (by, left) = cleaned(&store, &mut log, &batches, |n| n % 3 == 1).await;
        let joined: Vec<Offset> = log.snapshot().joined_by(&by);
        // As far as a try with a delay comes that finds no space for its rename.
        rt.rename(&segment_path(Offset(0), "log"), &segment_path(Offset(0), "log.1.deleted")).await.expect("renamed");
        store.install_cleaned(&dir(), &by, &joined, Duration::ZERO).await.expect("the disk renames");
        log.replaced(&by);
        reads_as(&store, &log, &left).await;
        let names = rt.read_dir(&segment_path(Offset(0), "log").with_file_name("")).await.expect("the directory");
        assert!(names.iter().all(|entry| !entry.name.ends_with(".deleted")), "{names:?}");
    });
}

#[test]
fn what_is_replaced_keeps_its_files_for_a_while_under_names_that_no_cleaning_and_no_sweep_takes() {
    let sim = Sim::new(1);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let (mut log, batches) = written(&store).await;
        let old = rt.read_whole(&segment_path(Offset(0), "log")).await.expect("the first segment");
        let (by, _) = cleaned(&store, &mut log, &batches, |n| n % 3 == 1).await;
        let joined: Vec<Offset> = log.snapshot().joined_by(&by);
        store.install_cleaned(&dir(), &by, &joined, DELAY).await.expect("the disk renames");
        log.replaced(&by);

        let waiting = async || {
            let names = rt.read_dir(&segment_path(Offset(0), "log").with_file_name("")).await.expect("the directory");
            names.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".log.1.deleted")).count()
        };
        assert_eq!(waiting().await, 1 + joined.len());
        let aside = segment_path(Offset(0), "log.1.deleted");
        assert_eq!(rt.read_whole(&aside).await.expect("it waits"), old);
        let next = log.sealed_end();
        let begun = store.begin_cleaned(&dir(), log.next_cleaning(), Offset(0), next).await.expect("a new file");
        begun.discard().await.expect("removed");
        store.remove_strays(&dir(), &log.known_segments()).await.expect("nothing to do");
        assert_eq!(waiting().await, 1 + joined.len());

        let due = store.next_removal().expect("it waits");
        let before = crate::types::Mono(due.0 - 1);
        assert!(store.remove_due(before).await.is_none(), "not before its time");
        while let Some(removed) = store.remove_due(crate::types::Mono::FAR).await {
            removed.expect("the disk removes");
        }
        assert_eq!((waiting().await, store.next_removal()), (0, None));
    });
}

#[test]
fn a_cleaned_file_without_space_for_its_end_leaves_nothing() {
    let sim = Sim::new(4);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let (log, batches) = written(&store).await;
        let begun = store.begin_cleaned(&dir(), log.next_cleaning(), Offset(0), log.sealed_end()).await;
        let mut file = begun.expect("a new file");
        for batch in batches.iter().take(3) {
            file.push(batch).await.expect("it is in memory still");
        }
        rt.disk().set_capacity(rt.disk().used_bytes());
        let error = file.finish().await.expect_err("no space");
        assert!(crate::runtime::is_full(&error.source), "{error}");
        let names = rt.read_dir(segment_path(Offset(0), "log").parent().expect("a directory")).await.expect("read");
        assert!(names.iter().all(|entry| !entry.name.ends_with("cleaned")), "{names:?}");
    });
}
