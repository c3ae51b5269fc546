//! What the log's own steps cost an append and a fetch, without journal, disk or network.
//! `cargo bench -p shards --bench log`.

use bytes::Bytes;
use divan::{Bencher, black_box};
use shards::batch::{BatchBuilder, BatchHeader, NewRecord};
use shards::log::{PartitionLog, Piece, ReadPlan, RollRules};
use shards::types::Offset;

const RULES: RollRules = RollRules { segment_bytes: 1 << 30, segment_ms: i64::MAX };

fn main() {
    divan::main();
}

fn batch(bytes: usize) -> (BatchHeader, Bytes) {
    let value = vec![7; bytes];
    let mut builder = BatchBuilder::new(0);
    builder.push(&NewRecord { timestamp_ms: 0, key: None, value: Some(&value), headers: &[] });
    let batch = builder.finish().expect("no codec, no error");
    (BatchHeader::parse(&batch).expect("a batch has a header"), batch)
}

fn append(log: &mut PartitionLog, header: &BatchHeader, batch: &Bytes, commit: u64) {
    let placement = log.place(header, batch.len(), &RULES, 0);
    log.attach(Piece {
        segment_base: placement.segment_base,
        position: placement.position,
        base_offset: placement.base_offset,
        last_offset: placement.base_offset.plus(i64::from(header.last_offset_delta)),
        max_timestamp: header.max_timestamp,
        commit,
        bytes: batch.clone(),
        buffer_bytes: batch.len(),
    });
}

/// A thousand appends, each synced; write-behind and eviction aside.
#[divan::bench(args = [100, 16 << 10])]
fn place_attach_synced_1000(bencher: Bencher<'_, '_>, bytes: usize) {
    let (header, batch) = batch(bytes);
    bencher.with_inputs(PartitionLog::new).bench_local_refs(|log| {
        for commit in 0..1000 {
            append(log, &header, &batch, commit);
            log.synced(log.log_end());
        }
    });
}

/// A fetch of 1 MiB out of a tail of 10,000 batches, at an offset in its midst.
#[divan::bench(args = [1 << 10, 16 << 10])]
fn plan_read_of_1_mib_from_memory(bencher: Bencher<'_, '_>, bytes: usize) {
    let (header, batch) = batch(bytes);
    let mut log = PartitionLog::new();
    for commit in 0..10_000 {
        append(&mut log, &header, &batch, commit);
    }
    log.synced(log.log_end());
    bencher.bench_local(|| {
        let plan = log.plan_read(black_box(Offset(5_000)), 1 << 20, log.log_end(), true);
        assert!(matches!(plan, ReadPlan::Memory(_)));
        plan
    });
}
