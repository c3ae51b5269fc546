//! Batches and a partition for the tests of this folder. Tests only. Invariant: the same arguments give the same bytes.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

mod appending;
mod damage;
mod model;
mod replacing;
mod retention;
mod searching;

use super::{
    DiskBatches, Gates, PartitionDir, PartitionLog, Piece, Placement, RollRules, Store, WRITE_JOB_BYTES_MAX, WriteKind,
};
use crate::batch::{BatchBuilder, BatchHeader, NewRecord, stamp};
use crate::runtime::Runtime;
use crate::types::{LeaderEpoch, Offset, PartitionId, TopicId};

pub const ROOT: &str = "/data";

/// A batch as a producer sends it; its records are a millisecond apart.
pub fn batch(records: usize, value_bytes: usize, timestamp_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new(timestamp_ms);
    let value: Vec<u8> = (0..value_bytes).map(|n| (n as i64 ^ timestamp_ms) as u8).collect();
    for n in 0..records {
        let timestamp_ms = timestamp_ms + n as i64;
        builder.push(&NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
    }
    builder.finish().expect("no codec, no error")
}

pub fn rules(segment_bytes: u64) -> RollRules {
    RollRules { segment_bytes, segment_ms: i64::MAX }
}

/// What a read of a log without gaps gives.
pub fn found(batches: DiskBatches) -> SmallVec<[Bytes; 2]> {
    match batches {
        DiskBatches::Found(found) => found,
        DiskBatches::Beyond(next) => panic!("nothing before {next:?}"),
    }
}

/// Places a batch; returns it with its offsets, as the journal holds it.
pub fn place(log: &mut PartitionLog, batch: &Bytes, rules: &RollRules) -> (Placement, Piece) {
    let header = BatchHeader::parse(batch).expect("a batch has a header");
    let placement = log.place(&header, batch.len(), rules, 1_000);
    let mut stamped = batch.to_vec();
    stamp(&mut stamped, placement.base_offset, LeaderEpoch(3));
    let piece = Piece {
        segment_base: placement.segment_base,
        position: placement.position,
        base_offset: placement.base_offset,
        last_offset: placement.base_offset.plus(i64::from(header.last_offset_delta)),
        max_timestamp: header.max_timestamp,
        commit: 1,
        buffer_bytes: stamped.len(),
        bytes: stamped.into(),
    };
    (placement, piece)
}

/// Places, attaches and syncs a batch; returns its bytes.
pub fn append(log: &mut PartitionLog, batch: &Bytes, rules: &RollRules) -> Bytes {
    let (_, piece) = place(log, batch, rules);
    let bytes = piece.bytes.clone();
    log.attach(piece);
    log.synced(log.log_end());
    bytes
}

pub fn dir() -> PartitionDir {
    PartitionDir { id: PartitionId { topic: TopicId([7; 16]), index: 2 }, topic_name: Arc::from("orders") }
}

pub fn segment_path(base: Offset, ending: &str) -> PathBuf {
    PathBuf::from(format!("{ROOT}/orders-2/{:020}.{ending}", base.0))
}

pub async fn store<R: Runtime>(rt: &R) -> Store<R> {
    store_of_core(rt, Arc::default()).await
}

/// That of one of the cores that have these gates.
pub async fn store_of_core<R: Runtime>(rt: &R, gates: Arc<Gates>) -> Store<R> {
    rt.create_dir_all(ROOT.as_ref()).await.expect("the root is made");
    rt.sync_dir("/".as_ref()).await.expect("its name is durable");
    Store::new(rt.clone(), ROOT.into(), 64, 1 << 20, gates)
}

/// Writes all that is due.
pub async fn write_all<R: Runtime>(store: &Store<R>, log: &mut PartitionLog, kind: WriteKind) {
    while let Some(job) = log.next_write(kind, WRITE_JOB_BYTES_MAX) {
        store.write(&dir(), &job).await.expect("the disk takes it");
        log.written(&job);
    }
}
