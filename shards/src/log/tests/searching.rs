//! Offsets by timestamp, in every codec and wherever the batches are. Tests only. Invariant: as named.

use super::{append, batch, dir, rules, store, write_all};
use crate::batch::crc::crc32c;
use crate::batch::{BatchBuilder, CRC_FROM, Compression, CompressionLevels, HEADER_BYTES, NewRecord, TimestampType};
use crate::log::*;
use crate::runtime::sim::{Sim, SimRuntime};
use crate::types::{LeaderEpoch, Listed, Offset};

async fn answer(store: &Store<SimRuntime>, plan: TimestampPlan) -> (i64, i64) {
    let Listed { offset, timestamp_ms, .. } = match plan {
        TimestampPlan::Found(found) => found,
        TimestampPlan::Search(search) => store.search(&dir(), &search).await.unwrap(),
    };
    (offset.0, timestamp_ms)
}

#[test]
fn the_record_is_found_inside_compressed_batches_on_disk_and_in_memory() {
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for codec in codecs {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, move |rt| async move {
            let store = store(&rt).await;
            let mut log = PartitionLog::new();
            let mut builder = BatchBuilder::new(1_000).compression(codec, CompressionLevels::default());
            for n in 0..10 {
                let value = [7; 300];
                builder.push(&NewRecord { timestamp_ms: 1_000 + n, key: None, value: Some(&value), headers: &[] });
            }
            append(&mut log, &builder.finish().unwrap(), &rules(u64::MAX));
            assert_eq!(answer(&store, log.plan_timestamp(1_004, Offset(10))).await, (4, 1_004));
            write_all(&store, &mut log, WriteKind::Everything).await;
            assert_eq!(answer(&store, log.plan_timestamp(1_004, Offset(10))).await, (4, 1_004));
            assert_eq!(answer(&store, log.plan_timestamp(1_010, Offset(10))).await, (-1, -1));
            assert_eq!(answer(&store, log.plan_max_timestamp(Offset(10))).await, (9, 1_009));
        });
    }
}

#[test]
fn batches_out_of_order_give_the_first_record_by_offset() {
    let sim = Sim::new(1);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let mut log = PartitionLog::new();
        for timestamp_ms in [500, 900, 100, 700] {
            append(&mut log, &batch(1, 30_000, timestamp_ms), &rules(70_000));
        }
        for evicted in [false, true] {
            assert_eq!(answer(&store, log.plan_timestamp(600, Offset(4))).await, (1, 900));
            assert_eq!(answer(&store, log.plan_max_timestamp(Offset(4))).await, (1, 900));
            assert_eq!(answer(&store, log.plan_max_timestamp(Offset(1))).await.0, -1, "{evicted}");
            write_all(&store, &mut log, WriteKind::WholeBlocks).await;
            log.evict_through(1);
        }
        log.move_log_start(Offset(2));
        assert_eq!(answer(&store, log.plan_timestamp(600, Offset(4))).await, (3, 700), "not below the log start");
    });
}

#[test]
fn records_of_a_log_append_time_batch_all_have_its_time() {
    let mut builder = BatchBuilder::new(10).timestamp_type(TimestampType::LogAppend);
    for timestamp_ms in [10, 20, 30] {
        builder.push(&NewRecord { timestamp_ms, key: None, value: None, headers: &[] });
    }
    let batch = builder.finish().unwrap();
    let found = crate::log::timestamps::first_record(&batch, 25, Offset(1), 0).unwrap();
    assert_eq!(found, Some(Listed { offset: Offset(1), timestamp_ms: 30, epoch: LeaderEpoch(-1) }));
}

#[test]
fn a_large_batch_is_searched_and_one_that_does_not_decode_counts_as_one_record() {
    let sim = Sim::new(1);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let mut log = PartitionLog::new();
        let mut builder = BatchBuilder::new(1_000).compression(Compression::Gzip, CompressionLevels::default());
        for n in 0..3 {
            let value = vec![7; 1 << 20];
            builder.push(&NewRecord { timestamp_ms: 1_000 + n, key: None, value: Some(&value), headers: &[] });
        }
        append(&mut log, &builder.finish().unwrap(), &rules(u64::MAX));
        // Its length says that it is less than nothing.
        let mut damaged = batch(1, 100, 2_000).to_vec();
        damaged[HEADER_BYTES] = 1;
        let crc = crc32c(&damaged[CRC_FROM..]);
        damaged[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        append(&mut log, &damaged.into(), &rules(u64::MAX));
        for from_disk in [false, true] {
            if from_disk {
                write_all(&store, &mut log, WriteKind::Everything).await;
                log.evict_through(1);
            }
            assert_eq!(answer(&store, log.plan_timestamp(1_002, Offset(4))).await, (2, 1_002), "{from_disk}");
            assert_eq!(answer(&store, log.plan_timestamp(1_500, Offset(4))).await, (3, 2_000), "{from_disk}");
        }
    });
}
