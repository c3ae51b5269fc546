//! What becomes of records that are given up, on one simulated shard: their files go, and not before they may.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::room_tests::{Bench, SMALL, batch_of, settings, with_shard};
use crate::catalog::TopicConfig;
use crate::log::At;
use crate::request::Upto;
use crate::runtime::Runtime;
use crate::types::Offset;

/// Longer than a drain is spread over, and than a full disk waits before it looks again.
const LATER: Duration = Duration::from_secs(5);

async fn pass(bench: &Bench, time: Duration) {
    bench.rt.sleep_until(bench.rt.now().after(time)).await;
}

fn directory() -> PathBuf {
    settings().layout.partitions().join("t-1")
}

/// Puts what the second partition has into its file, as far as whole blocks go.
async fn drained(bench: &Bench) {
    bench.started.shard.step(|core, _, _| core.want_drained());
    pass(bench, LATER).await;
}

fn logs(bench: &Bench) -> Vec<String> {
    let listed = bench.rt.disk().list(&directory()).unwrap_or_default();
    let is_log = |name: &String| Path::new(name).extension().is_some_and(|ending| ending == "log");
    listed.into_iter().map(|entry| entry.name).filter(is_log).collect()
}

fn an_active_segment_goes(disk_is_full: bool) {
    with_shard(move |bench| async move {
        assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(1)));
        drained(&bench).await;
        assert_eq!(logs(&bench), ["00000000000000000000.log"]);
        if disk_is_full {
            configure(&bench, |config| config.file_delete_delay_ms = 60_000);
            bench.rt.disk().set_capacity(bench.rt.disk().used_bytes());
        }
        let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]);
        assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(2))]));
        pass(&bench, LATER).await;
        assert!(logs(&bench).is_empty(), "{:?}", logs(&bench));
        assert!(set_aside(&bench, &directory()).is_empty(), "its space is wanted");
    });
}

#[test]
fn an_active_segment_that_is_given_up_loses_its_file_though_nothing_else_happens() {
    an_active_segment_goes(false);
}

#[test]
fn an_active_segment_that_is_given_up_gives_its_space_back_on_a_full_disk() {
    an_active_segment_goes(true);
}

#[test]
fn a_segment_that_an_append_has_closed_loses_its_file_though_nothing_else_happens() {
    with_shard(|bench| async move {
        assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(1)));
        drained(&bench).await;
        bench.started.shard.step(|core, _, _| {
            let partition = core.get_mut(bench.small).expect("it was added");
            partition.config = Arc::new(TopicConfig { segment_bytes: 1_000, ..TopicConfig::clone(&partition.config) });
        });
        assert_eq!(bench.append(SMALL, batch_of(200)).await, Some(Offset(2)));
        let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::Offset(Offset(2)))]);
        assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(2))]));
        pass(&bench, LATER).await;
        assert!(logs(&bench).is_empty(), "{:?}", logs(&bench));
    });
}

#[test]
fn retention_waits_until_the_new_run_is_the_current_one() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let log_start = || shard.step(|core, _, _| core.get(bench.small).map(|p| p.log.log_start()));
        let check = Duration::from_millis(settings().retention_check_ms);
        shard.step(|core, _, _| {
            core.starting = true;
            let partition = core.get_mut(bench.small).expect("it was added");
            let mut config = TopicConfig::clone(&partition.config);
            (config.cleanup_policy.delete, config.retention_bytes) = (true, 0);
            partition.config = Arc::new(config);
        });
        pass(&bench, check * 2).await;
        assert_eq!(log_start(), Some(Offset(0)));
        shard.step(|core, _, _| core.starting = false);
        pass(&bench, check * 2).await;
        assert_eq!(log_start(), Some(Offset(1)));
    });
}

/// The topic's configs of the second partition.
fn configure(bench: &Bench, change: impl FnOnce(&mut TopicConfig)) {
    bench.started.shard.step(|core, _, _| {
        let partition = core.get_mut(bench.small).expect("it was added");
        let mut config = TopicConfig::clone(&partition.config);
        change(&mut config);
        partition.config = Arc::new(config);
    });
}

/// All that the second partition has goes, its segment's file included.
async fn give_up_all(bench: &Bench) {
    drained(bench).await;
    let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]);
    assert!(bench.soon(moved).await.is_some_and(|moved| moved[0].is_ok()));
    pass(bench, LATER).await;
}

/// What is out of service in a directory, logs or directories themselves.
fn set_aside(bench: &Bench, of: &Path) -> Vec<String> {
    let listed = bench.rt.disk().list(of).unwrap_or_default();
    let is_aside = |name: &String| name.ends_with(".log.deleted") || name.ends_with("-delete");
    listed.into_iter().map(|entry| entry.name).filter(is_aside).collect()
}

#[test]
fn a_segment_that_is_given_up_keeps_its_file_as_long_as_its_topic_says_then() {
    with_shard(|bench| async move {
        configure(&bench, |config| config.file_delete_delay_ms = 60_000);
        assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(1)));
        give_up_all(&bench).await;
        let first = ["00000000000000000000.log.deleted"];
        assert!(logs(&bench).is_empty());
        assert_eq!(set_aside(&bench, &directory()), first);
        // What waits already goes on waiting; the first write of a segment and a sweep leave it.
        configure(&bench, |config| config.file_delete_delay_ms = 0);
        assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(2)));
        bench.started.shard.step(|core, _, _| core.sweep_all());
        give_up_all(&bench).await;
        assert!(logs(&bench).is_empty());
        assert_eq!(set_aside(&bench, &directory()), first);
        pass(&bench, Duration::from_secs(60)).await;
        assert!(set_aside(&bench, &directory()).is_empty());
    });
}

#[test]
fn the_directory_of_a_deleted_topic_stays_aside_as_long_as_its_topic_says() {
    with_shard(|bench| async move {
        configure(&bench, |config| config.file_delete_delay_ms = 60_000);
        assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(1)));
        drained(&bench).await;
        bench.started.shard.step(|core, _, _| core.drop_partition(SMALL));
        pass(&bench, LATER).await;
        let data = settings().layout.partitions();
        let aside = set_aside(&bench, &data);
        assert!(aside.len() == 1 && bench.rt.disk().list(&directory()).is_none(), "{aside:?}");
        pass(&bench, Duration::from_secs(60)).await;
        assert!(set_aside(&bench, &data).is_empty());
    });
}

#[test]
fn files_that_wait_for_their_removal_give_their_space_to_what_needs_it_before_appends_are_refused() {
    with_shard(|bench| async move {
        configure(&bench, |config| config.file_delete_delay_ms = i64::MAX);
        assert_eq!(bench.append(SMALL, batch_of(50_000)).await, Some(Offset(1)));
        give_up_all(&bench).await;
        assert_eq!(set_aside(&bench, &directory()).len(), 1);
        bench.rt.disk().set_capacity(bench.rt.disk().used_bytes());
        let path = settings().layout.partitions().join("acked");
        let write = async || bench.rt.write_whole(&path, vec![7; 40_000]).await.at(&path);
        bench.started.shard.on_ballast(write).await.expect("there was space to be had");
        assert!(set_aside(&bench, &directory()).is_empty());
        assert!(!bench.started.shard.step(|core, _, _| core.disk_full));
    });
}

#[test]
fn nothing_waits_for_its_removal_on_a_disk_that_is_nearly_full() {
    with_shard(|bench| async move {
        configure(&bench, |config| config.file_delete_delay_ms = i64::MAX);
        assert_eq!(bench.append(SMALL, batch_of(50_000)).await, Some(Offset(1)));
        give_up_all(&bench).await;
        assert_eq!(set_aside(&bench, &directory()).len(), 1);
        bench.rt.disk().set_capacity(bench.rt.disk().used_bytes() + (4 << 20));
        pass(&bench, LATER).await;
        assert!(set_aside(&bench, &directory()).is_empty());
        assert!(!bench.started.shard.step(|core, _, _| core.disk_full));
    });
}
