//! What makes a commit or a sync due, on one simulated shard: `flush.messages`, and a journal that is quiet.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;

use super::commit::IDLE_BEFORE_CLOSING;
use super::room_tests::{Bench, SMALL, batch_of, with_shard};
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::runtime::Runtime;
use crate::runtime::sim::{DiskOp, DiskSpeed, Fault};
use crate::types::Offset;

/// Records after which a sync is due.
const FLUSH_MESSAGES: i64 = 3;
/// Of the disk, for one sync.
const SYNC: Duration = Duration::from_millis(50);
/// After it, a sync has begun and not ended.
const MOMENT: Duration = Duration::from_millis(10);
/// After it, a sync that was due has ended.
const SYNCED: Duration = Duration::from_millis(500);

fn relax(bench: &Bench, flush_messages: i64) {
    bench.rt.disk().set_speed(DiskSpeed { sync: SYNC..SYNC * 2, ..DiskSpeed::default() });
    bench.started.shard.step(|core, _, _| {
        let partition = core.get_mut(bench.small).expect("it is there");
        let mut config = (*partition.config).clone();
        config.flush_messages = flush_messages;
        partition.config = Arc::new(config);
    });
}

/// Appends a record, which is acked once it is written.
async fn append(bench: &Bench, offset: i64) {
    assert_eq!(bench.soon(bench.append(SMALL, batch_of(200))).await, Some(Some(Offset(offset))));
}

async fn wait(bench: &Bench, time: Duration) {
    bench.rt.sleep_until(bench.rt.now().after(time)).await;
}

fn unsynced(bench: &Bench) -> i64 {
    bench.started.shard.step(|core, _, _| core.get(bench.small).map_or(0, |partition| partition.unsynced_records))
}

#[test]
fn records_that_come_while_a_sync_runs_count_for_the_next_one() {
    with_shard(|bench| async move {
        relax(&bench, FLUSH_MESSAGES);
        append(&bench, 1).await;
        // As `flush.ms`, a turn or another partition brings it about.
        bench.started.shard.step(|core, _, _| core.sync_soon());
        let late = async {
            wait(&bench, MOMENT).await;
            assert_eq!(unsynced(&bench), 1, "the sync runs");
            append(&bench, 2).await;
        };
        zip(late, wait(&bench, SYNCED)).await;
        assert_eq!(unsynced(&bench), 1, "the one that came meanwhile");
        for offset in 3..=FLUSH_MESSAGES + 1 {
            append(&bench, offset).await;
        }
        wait(&bench, SYNCED).await;
        assert_eq!(unsynced(&bench), 0, "the next sync was due");
    });
}

#[test]
fn a_journal_file_is_synced_before_the_next_one_is_written() {
    with_shard(|bench| async move {
        relax(&bench, i64::MAX);
        let shard = &bench.started.shard;
        bench.rt.disk().add_fault(Fault {
            op: DiskOp::Sync,
            path_contains: "1-1.journal".into(),
            after: 0,
            times: u64::MAX,
        });
        // Nothing else asks for a sync: of four files of 1 MiB the first one is filled.
        let mut acked = 0;
        while acked < 25 && bench.soon(bench.append(SMALL, batch_of(60_000))).await.flatten().is_some() {
            acked += 1;
        }
        assert!((15..20).contains(&acked), "{acked} batches");
        let why = shard.fence().why().unwrap_or_default().to_owned();
        assert!(
            why.contains("1-1.journal"),
            "commits of the next file could be acked, and this one be torn (R2): {why:?}"
        );
    });
}

#[test]
fn a_quiet_journal_says_once_that_its_last_commit_was_synced() {
    with_shard(|bench| async move {
        let commits = || bench.started.shard.step(|core, _, _| core.counters.commits);
        wait(&bench, 5 * IDLE_BEFORE_CLOSING).await;
        let before = commits();
        append(&bench, 1).await;
        wait(&bench, IDLE_BEFORE_CLOSING / 2).await;
        assert_eq!(commits(), before + 1, "more may come");
        wait(&bench, IDLE_BEFORE_CLOSING).await;
        assert_eq!(commits(), before + 2, "damage to the last one is damage (R6)");
        wait(&bench, 5 * IDLE_BEFORE_CLOSING).await;
        assert_eq!(commits(), before + 2, "it says nothing of itself");
    });
}

#[test]
fn behind_the_fence_no_repeat_is_acked_where_acks_wait_for_the_write_alone() {
    with_shard(|bench| async move {
        relax(&bench, i64::MAX);
        bench.rt.disk().set_speed(DiskSpeed { write: SYNC..SYNC * 2, ..DiskSpeed::default() });
        let once = || {
            let mut builder = BatchBuilder::new(1_780_000_000_000).producer(5, 0, 0);
            builder.push(&NewRecord { value: Some(b"once"), ..NewRecord::default() });
            ValidBatch::parse(builder.finish().expect("built")).expect("a sound batch")
        };
        let fenced = async {
            wait(&bench, MOMENT).await;
            bench.started.shard.fence().trip("another file failed".to_owned());
            wait(&bench, SYNCED).await;
        };
        let (first, ()) = zip(bench.append(SMALL, once()), fenced).await;
        assert_eq!(first, None, "its write was under way");
        assert_eq!(bench.soon(bench.append(SMALL, once())).await.flatten(), None, "R16");
    });
}
