//! One partition's log on a real disk, through io_uring. Invariant: what is read is what was appended, from memory and from
//! files, before and after a restart.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shards::batch::{BatchBuilder, BatchHeader, NewRecord, stamp};
use shards::log::{
    DiskBatches, PartitionDir, PartitionLog, Piece, ReadPlan, Replay, RollRules, Store, TimestampPlan,
    WRITE_JOB_BYTES_MAX, WriteKind,
};
use shards::runtime::Runtime;
use shards::runtime::uring::{UringConfig, UringRuntime, launch};
use shards::types::{LeaderEpoch, Offset, PartitionId, TopicId};
use tempfile::TempDir;

const SEGMENT_BYTES: u64 = 6 << 20;
const OPEN_FILES: usize = 4;
const INDEX_CACHE_BYTES: usize = 1 << 20;

fn on_uring<F: Future<Output = ()> + 'static>(body: impl FnOnce(UringRuntime, PathBuf) -> F + Send + 'static) {
    // On the disk that holds the build, not in memory: direct I/O is what is tested.
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for tests");
    let root = dir.path().to_owned();
    let config = UringConfig {
        name: "test".to_owned(),
        data_dir: root.clone(),
        spin_before_park: Duration::ZERO,
        io_memory_bytes: 8 << 20,
    };
    launch(config, None, |rt| body(rt, root)).expect("io_uring works here").join();
}

fn partition() -> PartitionDir {
    PartitionDir { id: PartitionId { topic: TopicId([1; 16]), index: 0 }, topic_name: Arc::from("orders") }
}

fn batch(timestamp_ms: i64, bytes: usize) -> Bytes {
    let value: Vec<u8> = (0..bytes).map(|n| ((n as i64 * 31) ^ timestamp_ms) as u8).collect();
    let mut builder = BatchBuilder::new(timestamp_ms);
    builder.push(&NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
    builder.push(&NewRecord { timestamp_ms: timestamp_ms + 1, key: None, value: None, headers: &[] });
    builder.finish().expect("no codec, no error")
}

/// Appends one batch as if its commit had been synced.
fn append(log: &mut PartitionLog, batch: &Bytes, commit: u64) -> Bytes {
    let header = BatchHeader::parse(batch).expect("a batch has a header");
    let rules = RollRules { segment_bytes: SEGMENT_BYTES, segment_ms: i64::MAX };
    let placement = log.place(&header, batch.len(), &rules, 0);
    let mut stamped = batch.to_vec();
    stamp(&mut stamped, placement.base_offset, LeaderEpoch(1));
    let bytes = Bytes::from(stamped);
    log.attach(Piece {
        segment_base: placement.segment_base,
        position: placement.position,
        base_offset: placement.base_offset,
        last_offset: placement.base_offset.plus(i64::from(header.last_offset_delta)),
        max_timestamp: header.max_timestamp,
        commit,
        bytes: bytes.clone(),
        buffer_bytes: bytes.len(),
    });
    log.synced(log.log_end());
    bytes
}

fn batches(read: DiskBatches) -> Vec<Bytes> {
    match read {
        DiskBatches::Found(found) => found.into_vec(),
        DiskBatches::Beyond(next) => panic!("nothing before {next:?}"),
    }
}

async fn write_all<R: Runtime>(store: &Store<R>, log: &mut PartitionLog, kind: WriteKind) {
    while let Some(job) = log.next_write(kind, WRITE_JOB_BYTES_MAX) {
        store.write(&partition(), &job).await.expect("the disk takes it");
        log.written(&job);
    }
}

/// All of the log, by reads of `max_bytes`; whether a file was read.
async fn read_all<R: Runtime>(store: &Store<R>, log: &PartitionLog, max_bytes: u32) -> (Vec<u8>, bool) {
    let (mut found, mut from_disk) = (Vec::new(), false);
    let mut at = log.log_start();
    while at < log.log_end() {
        let some = match log.plan_read(at, max_bytes, log.log_end(), true) {
            ReadPlan::Empty => panic!("there is more at {at:?}"),
            ReadPlan::Memory(some) => some.into_vec(),
            ReadPlan::Disk(read) => {
                from_disk = true;
                batches(store.read(&partition(), &read).await.expect("the file is whole"))
            }
        };
        let some = some.concat();
        let (_, last) = shards::batch::walk(&some).last().expect("whole batches");
        at = Offset(last.last_offset() + 1);
        found.extend_from_slice(&some);
    }
    (found, from_disk)
}

#[test]
fn a_log_of_several_segments_reads_back_from_memory_from_files_and_after_a_restart() {
    on_uring(|rt, root| async move {
        let store = Store::new(rt.clone(), root.clone(), OPEN_FILES, INDEX_CACHE_BYTES, Arc::default());
        let mut log = PartitionLog::new();
        let mut all = Vec::new();
        let sizes = [60, 4_000, 90_000, 1_500_000];
        for n in 0..120 {
            all.extend_from_slice(&append(&mut log, &batch(n, sizes[n as usize % 4]), n as u64));
            if n % 10 == 0 {
                write_all(&store, &mut log, WriteKind::WholeBlocks).await;
                log.evict_through(n as u64 / 2);
            }
        }
        let (found, from_disk) = read_all(&store, &log, 1 << 20).await;
        assert!(found == all && from_disk, "partly from files, partly from memory");

        write_all(&store, &mut log, WriteKind::Everything).await;
        let sync = log.needs_file_sync().expect("the last block was padded");
        store.sync(&partition(), &sync).await.expect("the disk syncs");
        log.file_synced(&sync);
        log.evict_through(u64::MAX);

        let store = Store::new(rt, root, OPEN_FILES, INDEX_CACHE_BYTES, Arc::default());
        let replayed = Replay::new(log.snapshot()).finish(0).expect("nothing is missing");
        assert!(replayed.batches.is_empty(), "the checkpoint says all");
        let mut log = replayed.log;
        assert!(read_all(&store, &log, 3 << 20).await.0 == all);
        let TimestampPlan::Search(search) = log.plan_timestamp(57, log.log_end()) else { panic!("it is on disk") };
        let listed = store.search(&partition(), &search).await.expect("the file is whole");
        assert_eq!((listed.offset, listed.timestamp_ms), (Offset(113), 57), "the second record of the batch before");

        let cold = log.cold_tail().expect("the log does not end with a block");
        let tail = store.read_tail(&partition(), cold).await.expect("the file is whole");
        log.warm_tail(tail);
        for n in 120..130 {
            all.extend_from_slice(&append(&mut log, &batch(n, 20_000), 1_000));
        }
        write_all(&store, &mut log, WriteKind::WholeBlocks).await;
        log.evict_through(u64::MAX);
        assert!(read_all(&store, &log, 100_000).await.0 == all);
    });
}

#[test]
fn a_hundred_partitions_work_with_four_open_files() {
    on_uring(|rt, root| async move {
        let store = Store::new(rt, root, OPEN_FILES, INDEX_CACHE_BYTES, Arc::default());
        let dir = |index| PartitionDir { id: PartitionId { topic: TopicId([1; 16]), index }, ..partition() };
        let mut logs: Vec<PartitionLog> = (0..100).map(|_| PartitionLog::new()).collect();
        for round in 0..2 {
            for (index, log) in (0..).zip(&mut logs) {
                append(log, &batch(round, 5_000), 1);
                let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).expect("a whole block");
                store.write(&dir(index), &job).await.expect("the disk takes it");
                log.written(&job);
                log.evict_through(1);
            }
        }
        for (index, log) in (0..).zip(&logs) {
            let ReadPlan::Disk(read) = log.plan_read(Offset(0), 1 << 20, log.log_end(), true) else {
                panic!("it is in a file")
            };
            assert!(!batches(store.read(&dir(index), &read).await.expect("the file is whole")).is_empty());
        }
    });
}
