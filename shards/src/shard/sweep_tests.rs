//! What crashes leave in partitions' directories, on one simulated shard: it goes, and nothing else does.

use std::path::PathBuf;
use std::time::Duration;

use super::room_tests::{Bench, SMALL, batch_of, settings, with_shard};
use crate::log::{METADATA_FILE, metadata_text};
use crate::request::Upto;
use crate::runtime::Runtime;
use crate::types::{Offset, TopicId};

/// Longer than a drain is spread over.
const LATER: Duration = Duration::from_secs(5);
/// Of the second partition, whose first segment was given up.
const LIVE: &str = "00000000000000000002.log";
const STRAYS: [&str; 8] = [
    "00000000000000000000.index",
    "00000000000000000000.index.deleted",
    "00000000000000000000.log",
    "00000000000000000000.log.3.deleted",
    "00000000000000000000.log.deleted",
    "00000000000000000001.index",
    "00000000000000000002.index.new",
    "00000000000000000002.log.7.cleaned",
];
/// Not the broker's, or of a segment that may yet come.
const OTHERS: [&str; 2] = ["00000000000000000000.timeindex", "00000000000000000099.log"];

fn directory() -> PathBuf {
    settings().layout.partitions().join("t-1")
}

fn names(bench: &Bench) -> Vec<String> {
    bench.rt.disk().list(&directory()).unwrap_or_default().into_iter().map(|entry| entry.name).collect()
}

async fn pass(bench: &Bench) {
    bench.rt.sleep_until(bench.rt.now().after(LATER)).await;
}

/// The first segment is given up, the second one is in its file; and there is what a crash may leave.
async fn with_strays(bench: &Bench) {
    let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]);
    assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(1))]));
    assert_eq!(bench.append(SMALL, batch_of(200)).await, Some(Offset(1)));
    let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]);
    assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(2))]));
    assert_eq!(bench.append(SMALL, batch_of(5_000)).await, Some(Offset(2)));
    bench.started.shard.step(|core, _, _| core.want_drained());
    pass(bench).await;
    assert_eq!(names(bench), [LIVE, METADATA_FILE]);
    for name in STRAYS.iter().chain(&OTHERS) {
        bench.rt.write_whole(&directory().join(name), &b"as it was"[..]).await.expect("written");
    }
}

async fn swept(bench: &Bench) -> Vec<String> {
    bench.started.shard.step(|core, _, _| core.sweep_all());
    pass(bench).await;
    names(bench)
}

#[test]
fn files_that_a_crash_brought_back_go_and_what_the_log_has_or_may_get_stays() {
    with_shard(|bench| async move {
        with_strays(&bench).await;
        assert_eq!(swept(&bench).await, [OTHERS[0], LIVE, OTHERS[1], METADATA_FILE]);
        assert_eq!(bench.append(SMALL, batch_of(200)).await, Some(Offset(3)));
    });
}

#[test]
fn nothing_of_a_partition_that_is_offline_is_removed() {
    with_shard(|bench| async move {
        with_strays(&bench).await;
        let before = names(&bench);
        bench.started.shard.step(|core, _, _| core.take_offline(bench.small, "a batch is damaged"));
        assert_eq!(swept(&bench).await, before);
    });
}

#[test]
fn nothing_is_removed_where_the_directory_does_not_say_whose_it_is() {
    with_shard(|bench| async move {
        with_strays(&bench).await;
        bench.rt.write_whole(&directory().join(METADATA_FILE), &b"damaged"[..]).await.expect("written");
        let before = names(&bench);
        assert_eq!(swept(&bench).await, before);
    });
}

#[test]
fn the_directory_of_a_deleted_topic_that_a_crash_brought_back_goes_though_nothing_is_written() {
    with_shard(|bench| async move {
        let moved = bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]);
        assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(1))]));
        pass(&bench).await;
        bench.rt.remove_dir_all(&directory()).await.expect("there was one");
        let another = metadata_text(TopicId([9; 16]));
        let made = bench.rt.make_dir_with(&directory(), METADATA_FILE, another.as_bytes()).await;
        assert!(made.expect("made"), "nothing was there before");
        assert_eq!(swept(&bench).await, Vec::<String>::new());
        assert!(bench.rt.disk().list(&directory()).is_none());
    });
}
