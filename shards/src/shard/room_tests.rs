//! Commits for which no journal file has room, on one simulated shard: what did not ask for room must not stop the journal.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use super::Shard;
use super::catalog::fresh;
use super::fence::Fence;
use super::partition::Slot;
use super::settings::{Layout, ShardSettings};
use super::start::{self, StartedShard};
use super::write_behind::drain_all;
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::catalog::CatalogSettings;
use crate::journal::format::HEADER_BYTES;
use crate::journal::open::OpenCommit;
use crate::request::{AppendPart, Upto};
use crate::router::oneshot::oneshot;
use crate::runtime::sim::{DiskOp, Fault, Sim, SimRuntime};
use crate::runtime::{File, OpenMode, Runtime};
use crate::types::{LeaderEpoch, Offset, PartitionId, TopicId};

/// Four files.
const JOURNAL_BYTES: u64 = 4 << 20;
/// With the entry of the batch and the seal that it could have needed, a commit fills a file to its last byte.
const BATCH_BYTES: usize = (1 << 20) - HEADER_BYTES - 2 * 48;
pub const BIG: PartitionId = PartitionId { topic: TopicId([7; 16]), index: 0 };
pub const SMALL: PartitionId = PartitionId { topic: TopicId([7; 16]), index: 1 };
/// Of the simulated clock, in which a commit takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

pub fn settings() -> ShardSettings {
    ShardSettings {
        layout: Layout { root: "/broker".into() },
        node_id: 1,
        shards: 1,
        journal_bytes: JOURNAL_BYTES,
        journal_bytes_max: JOURNAL_BYTES,
        window_bytes: 8 << 20,
        window_bytes_max: 8 << 20,
        cache_bytes: 8 << 20,
        segments_synced_singly: 100,
        open_files: 16,
        index_cache_bytes: 1 << 20,
        producer_ids_max: 10,
        producer_expiration_ms: 86_400_000,
        retention_check_ms: 300_000,
        cleaner: Default::default(),
        catalog_snapshot_bytes: 1 << 20,
        mailbox_bytes: 1 << 20,
        mailbox_messages: 16,
        groups: Default::default(),
    }
}

pub struct Bench {
    pub rt: SimRuntime,
    pub started: StartedShard<SimRuntime>,
    pub small: Slot,
}

impl Bench {
    pub async fn append(&self, partition: PartitionId, batch: ValidBatch) -> Option<Offset> {
        let part = AppendPart { partition, batch, acks_all: true };
        let asked = self.started.shards.append(self.rt.now(), vec![part]);
        let results = asked.await;
        results.first().and_then(|result| result.as_ref().ok()).map(|appended| appended.base_offset)
    }

    /// `None` when it takes longer than anything here should.
    pub async fn soon<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let late = async {
            self.rt.sleep_until(self.rt.now().after(SOON)).await;
            None
        };
        or(async { Some(wait.await) }, late).await
    }
}

/// Starts the only shard of a broker, on an empty disk or on what it left there.
pub async fn start_shard(rt: &SimRuntime) -> StartedShard<SimRuntime> {
    start_shard_as(rt, &settings()).await
}

pub async fn start_shard_as(rt: &SimRuntime, settings: &ShardSettings) -> StartedShard<SimRuntime> {
    rt.create_dir_all(Path::new("/broker")).await.expect("made");
    rt.sync_dir(Path::new("/")).await.expect("synced");
    let (told, _why) = flume::unbounded();
    let fence = Arc::new(Fence::new(told));
    let plan = start::plans(1, settings, &CatalogSettings::new("cluster", 1), &[], &fence).remove(0);
    start::start(rt.clone(), plan).await.expect("it starts")
}

/// Runs `test` on a shard with two partitions, the second of which has a record.
pub fn with_shard<F: Future<Output = ()> + 'static>(test: impl FnOnce(Bench) -> F + 'static) {
    with_shard_as(settings(), test);
}

pub fn with_shard_as<F: Future<Output = ()> + 'static>(
    settings: ShardSettings,
    test: impl FnOnce(Bench) -> F + 'static,
) {
    let sim = Sim::new(1);
    let host = sim.add_host("broker");
    sim.block_on(host, |rt| async move {
        let started = start_shard_as(&rt, &settings).await;
        add_partition(&started.shard, BIG);
        let small = add_partition(&started.shard, SMALL);
        let bench = Bench { rt, started, small };
        assert_eq!(bench.append(SMALL, batch_of(200)).await, Some(Offset(0)));
        test(bench).await;
    });
}

fn add_partition(shard: &Shard<SimRuntime>, id: PartitionId) -> Slot {
    shard.step(|core, _, _| {
        let config = core.catalog.borrow().metadata_topic().config.clone();
        core.insert(fresh(id, "t".into(), config, LeaderEpoch(0)))
    })
}

/// A batch of so many bytes.
pub fn batch_of(bytes: usize) -> ValidBatch {
    let built = |value_bytes: usize| {
        let mut builder = BatchBuilder::new(1_780_000_000_000);
        let value = vec![7; value_bytes];
        builder.push(&NewRecord { timestamp_ms: 1_780_000_000_000, value: Some(&value), ..NewRecord::default() });
        builder.finish().expect("no codec, no error")
    };
    let more = built(bytes - 80).len() - (bytes - 80);
    let batch = built(bytes - more);
    assert_eq!(batch.len(), bytes, "lengths so near to each other are encoded in as many bytes");
    ValidBatch::parse(batch).expect("a sound batch")
}

#[test]
fn the_ballast_grows_with_what_the_next_start_needs() {
    with_shard(|bench| async move {
        let wanted = bench.started.shard.step(|core, _, _| {
            core.checkpoint_bytes += 5 << 20;
            core.signals.turn.notify();
            core.ballast_bytes()
        });
        bench.rt.sleep_until(bench.rt.now().after(SOON)).await;
        let ballast = bench.rt.open(&settings().layout.ballast(0), OpenMode::Read).await.expect("it is there");
        assert_eq!(ballast.len().await.expect("told"), wanted);
    });
}

#[test]
fn who_wants_a_checkpoint_gets_it_from_turns_that_follow_each_other_without_a_pause() {
    // So many files that appends go on beside a turn.
    let settings = ShardSettings { journal_bytes_max: 4 * JOURNAL_BYTES, ..settings() };
    with_shard_as(settings, |bench| async move {
        let shard = &bench.started.shard;
        // Each fills a file.
        let load = async { while bench.append(BIG, batch_of(BATCH_BYTES)).await.is_some() {} };
        // As appends do that wait for room.
        let pressed = async {
            loop {
                shard.step(|core, _, _| core.turn_wanted = true);
                bench.rt.sleep_until(bench.rt.now().after(Duration::from_micros(100))).await;
            }
        };
        let asked = async {
            bench.rt.sleep_until(bench.rt.now().after(SOON / 100)).await;
            let (reply, recorded) = oneshot();
            let turns = shard.step(|core, _, _| {
                core.checkpoint_wanted.push(reply);
                core.signals.turn.notify();
                core.counters.turns
            });
            recorded.await;
            shard.step(|core, _, _| core.counters.turns) - turns
        };
        let other = async {
            or(load, pressed).await;
            panic!("the load goes on");
        };
        let turns = bench.soon(or(other, asked)).await;
        assert!(turns.is_some_and(|turns| turns <= 2), "{turns:?}");
    });
}

/// A batch that no file of the journal is large enough for.
fn larger_than_a_file() -> ValidBatch {
    batch_of(3 << 19)
}

#[test]
fn an_error_while_the_journal_or_the_ballast_grows_is_the_end_and_no_full_disk() {
    for (op, path) in [(DiskOp::Write, "1-5.journal"), (DiskOp::Sync, "1-5.journal"), (DiskOp::Other, "ballast")] {
        with_shard(move |bench| async move {
            let fault = Fault { op, path_contains: path.into(), after: 0, times: 1 };
            bench.rt.disk().add_fault(fault);
            assert_ne!(bench.soon(bench.append(BIG, larger_than_a_file())).await, Some(Some(Offset(0))));
            let why = bench.started.shard.fence().why().unwrap_or_default().to_owned();
            assert!(why.contains("journal/0") && why.contains("check the disk"), "{path}: {why:?}");
        });
    }
}

#[test]
fn an_append_that_there_is_no_space_for_a_file_for_is_refused_and_no_other_is() {
    with_shard(|bench| async move {
        let disk = bench.rt.disk();
        // There is space for the file, or for the ballast that belongs to it.
        disk.set_capacity(disk.used_bytes() + (3 << 20));
        assert_eq!(bench.soon(bench.append(BIG, larger_than_a_file())).await, Some(None));
        assert_eq!(bench.soon(bench.append(SMALL, batch_of(200))).await, Some(Some(Offset(1))));
        assert_eq!(bench.soon(bench.append(BIG, batch_of(200))).await, Some(Some(Offset(0))));
        disk.set_capacity(u64::MAX);
        assert_eq!(bench.soon(bench.append(BIG, larger_than_a_file())).await, Some(Some(Offset(1))));
    });
}

#[test]
fn what_was_acked_waits_for_an_inode_and_no_broker_ends_for_want_of_one() {
    with_shard(|bench| async move {
        let (disk, shard) = (bench.rt.disk(), &bench.started.shard);
        assert_eq!(bench.soon(bench.append(BIG, batch_of(9_000))).await, Some(Some(Offset(0))));
        disk.set_free_inodes(0);
        let drained = bench.soon(drain_all(shard)).await;
        assert_eq!(
            (drained, shard.fence().is_tripped()),
            (None, false),
            "its segment cannot be made, and that is no failure"
        );
        assert_eq!(bench.soon(bench.append(BIG, batch_of(200))).await, Some(None), "refused");
        disk.set_free_inodes(usize::MAX);
        assert!(bench.soon(drain_all(shard)).await.is_some());
        let resumed = async {
            while bench.append(BIG, batch_of(200)).await != Some(Offset(1)) {
                bench.rt.sleep_until(bench.rt.now().after(Duration::from_secs(1))).await;
            }
        };
        assert!(bench.soon(resumed).await.is_some());
    });
}

#[test]
fn a_block_carried_into_a_commit_that_fills_its_file_stops_neither_appends_nor_a_stop() {
    with_shard(|bench| async move {
        let append = bench.append(BIG, batch_of(BATCH_BYTES));
        let carry = async {
            // In the same step of the core as the append, so into the same commit.
            bench.started.shard.step(|core, _, _| {
                let room = core.open.as_ref().map(OpenCommit::padded_bytes);
                assert_eq!(room, Some(1 << 20), "the append alone fills a file");
                assert!(core.carry(bench.small) > 0);
            });
        };
        let (acked, ()) = futures_lite::future::zip(bench.soon(append), carry).await;
        assert_eq!(acked, Some(Some(Offset(0))));
        assert_eq!(bench.soon(bench.started.shard.stop()).await, Some(true), "a clean stop");
    });
}

#[test]
fn a_log_start_that_moves_in_a_commit_that_fills_its_file_is_durable_soon() {
    with_shard(|bench| async move {
        let append = bench.append(BIG, batch_of(BATCH_BYTES));
        let moved = async { bench.started.shards.move_log_start(vec![(SMALL, Upto::HighWatermark)]).await };
        let (acked, moved) = futures_lite::future::zip(bench.soon(append), bench.soon(moved)).await;
        assert_eq!(acked, Some(Some(Offset(0))));
        assert_eq!(moved, Some(vec![Ok(Offset(1))]));
        assert_eq!(bench.soon(bench.started.shard.stop()).await, Some(true), "a clean stop");
    });
}

#[test]
fn every_partition_makes_the_journal_larger_so_that_a_turn_carries_a_quarter_of_it_at_most() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let least = || shard.step(|core, _, _| core.journal_bytes_least());
        assert_eq!(least(), JOURNAL_BYTES);
        for index in 2..1_000 {
            add_partition(shard, PartitionId { index, ..SMALL });
        }
        let partitions = shard.step(|core, _, _| core.partition_count() as u64);
        assert!(partitions >= 1_000);
        // Of each, a block less a byte is carried (R12).
        assert_eq!(least(), partitions * 4 * 4096);
    });
}

#[test]
fn thousands_of_partitions_widen_the_window_as_far_as_it_may_go() {
    let settings = ShardSettings { window_bytes: 1 << 20, window_bytes_max: 16 << 20, ..settings() };
    with_shard_as(settings, |bench| async move {
        let shard = &bench.started.shard;
        let most = || shard.step(|core, _, _| core.window_bytes_most);
        assert_eq!(most(), 1 << 20);
        for (indexes, wanted) in [(2..500, None), (500..2_000, Some(16 << 20))] {
            for index in indexes {
                add_partition(shard, PartitionId { index, ..SMALL });
            }
            let partitions = shard.step(|core, _, _| core.partition_count() as u64);
            assert_eq!(most(), wanted.unwrap_or(partitions * 4 * 4096));
        }
        // What is in the window was let in.
        for index in 2..2_000 {
            shard.step(|core, _, _| core.remove(PartitionId { index, ..SMALL }));
        }
        assert_eq!(most(), 16 << 20);
    });
}
