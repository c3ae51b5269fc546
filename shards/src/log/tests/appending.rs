//! Placing, attaching, writing. Tests only. Invariant: as named.

use super::{append, batch, place, rules};
use crate::log::*;
use crate::types::{FilePos, Offset};

const EVER: RollRules = RollRules { segment_bytes: u64::MAX, segment_ms: i64::MAX };

#[test]
fn an_empty_partition_takes_little_memory_and_no_file() {
    assert!(size_of::<PartitionLog>() <= 256, "{} bytes", size_of::<PartitionLog>());
    let mut log = PartitionLog::new();
    assert!(log.is_untouched() && !log.has_directory());
    assert!(log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).is_none());
    assert!(log.carry().is_none() && log.needs_file_sync().is_none());
    assert_eq!(log.snapshot(), LogSnapshot::default());
}

#[test]
fn a_batch_that_does_not_fit_starts_a_segment_and_seals_the_one_before() {
    let mut log = PartitionLog::new();
    let one = batch(2, 100, 0);
    let limit = rules(one.len() as u64 * 2);
    append(&mut log, &one, &limit);
    append(&mut log, &one, &limit);
    let (placement, _) = place(&mut log, &one, &limit);
    assert_eq!(placement.seal, Some(Seal { base: Offset(0), size: FilePos(one.len() as u64 * 2) }));
    assert_eq!((placement.segment_base, placement.position, placement.base_offset), (Offset(4), FilePos(0), Offset(4)));
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let mut log = PartitionLog::new();
    let (placement, _) = place(&mut log, &batch(1, 1000, 0), &rules(10));
    assert_eq!(placement.seal, None);
}

#[test]
fn time_is_counted_from_the_first_batch_by_timestamps() {
    let mut log = PartitionLog::new();
    let limit = RollRules { segment_ms: 1_000, ..EVER };
    append(&mut log, &batch(1, 10, 5_000), &limit);
    append(&mut log, &batch(1, 10, 6_000), &limit);
    let (placement, _) = place(&mut log, &batch(1, 10, 6_001), &limit);
    assert_eq!(placement.seal.map(|seal| seal.base), Some(Offset(0)));
}

#[test]
fn offsets_that_no_longer_fit_31_bits_start_a_segment() {
    let mut log = PartitionLog::new();
    let one = batch(1, 10, 0);
    let mut header = crate::batch::BatchHeader::parse(&one).unwrap();
    header.last_offset_delta = i32::MAX - 1;
    assert_eq!(log.place(&header, one.len(), &EVER, 0).seal, None);
    header.last_offset_delta = 0;
    assert_eq!(log.place(&header, one.len(), &EVER, 0).seal, None);
    assert!(log.place(&header, one.len(), &EVER, 0).seal.is_some());
}

#[test]
fn a_segment_is_finished_only_after_its_seal_is_synced() {
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 5_000, 0), &EVER);
    let seal = log.roll().unwrap();
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    assert_eq!((job.upto, job.seal), (FilePos(4096), None));
    log.written(&job);
    assert!(log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).is_none());
    log.seal_synced(seal.base);
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    assert_eq!((job.from, job.seal, job.pad()), (FilePos(4096), Some(seal.size), true));
    log.written(&job);
    assert_eq!(log.snapshot().sealed.len(), 1);
}

#[test]
fn only_one_write_is_in_flight() {
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 9_000, 0), &EVER);
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    append(&mut log, &batch(1, 9_000, 0), &EVER);
    assert!(log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).is_none());
    log.written(&job);
    assert!(log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).is_some());
}

#[test]
fn a_block_padded_at_rest_leaves_memory_and_must_come_back_before_an_append() {
    let mut log = PartitionLog::new();
    let bytes = append(&mut log, &batch(1, 500, 0), &EVER);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).unwrap();
    log.written(&job);
    let sync = log.needs_file_sync().unwrap();
    log.file_synced(&sync);
    assert!(log.carry().is_none(), "the file has all");
    let tail = log.cold_tail().unwrap();
    assert_eq!((tail.from, tail.upto), (FilePos(0), FilePos(bytes.len() as u64)));
    log.warm_tail(bytes.clone());
    assert!(!log.tail_is_cold());
    assert_eq!(log.carry().unwrap().bytes.concat(), bytes, "the journal must hold the block from its start");
}

#[test]
#[should_panic(expected = "partial block is in memory")]
fn an_append_to_a_cold_tail_is_refused() {
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 500, 0), &EVER);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).unwrap();
    log.written(&job);
    place(&mut log, &batch(1, 500, 0), &EVER);
}

#[test]
fn a_block_that_grew_during_its_padded_write_stays_in_memory() {
    let mut log = PartitionLog::new();
    append(&mut log, &batch(1, 500, 0), &EVER);
    let job = log.next_write(WriteKind::Everything, WRITE_JOB_BYTES_MAX).unwrap();
    append(&mut log, &batch(1, 500, 0), &EVER);
    log.written(&job);
    assert!(!log.tail_is_cold());
    assert_eq!(log.unwritten_bytes(), log.total_bytes(), "the block counts as not written");
}

#[test]
fn eviction_frees_what_files_hold_and_copies_the_rest_of_the_last_block() {
    let mut log = PartitionLog::new();
    let whole = append(&mut log, &batch(1, 9_000, 0), &EVER);
    assert_eq!(log.evict_through(1), 0, "nothing is written");
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    log.written(&job);
    assert_eq!(log.evict_through(0), 0, "of a later commit");
    assert_eq!(log.evict_through(1), whole.len() as u64);
    let sync = log.needs_file_sync().unwrap();
    log.file_synced(&sync);
    let carried = log.carry().unwrap();
    assert_eq!((carried.position, carried.bytes.concat()), (FilePos(8192), whole[8192..].to_vec()));
    assert!(matches!(log.plan_read(Offset(0), 1, Offset(1), true), ReadPlan::Disk(_)));
}

#[test]
fn the_carried_block_survives_the_eviction_of_its_batches() {
    let mut log = PartitionLog::new();
    let small = append(&mut log, &batch(1, 100, 0), &EVER);
    let sync_before = log.needs_file_sync();
    assert!(sync_before.is_none(), "nothing is written");
    append(&mut log, &batch(1, 9_000, 0), &EVER);
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    log.written(&job);
    log.evict_through(1);
    assert_eq!(log.carry().unwrap().bytes.concat(), small, "it ends where a batch ends");
}

#[test]
fn what_is_available_ends_at_the_limits_and_is_all_that_is_asked_for_in_older_segments_and_on_disk() {
    let mut log = PartitionLog::new();
    let one = batch(1, 9_000, 0);
    let len = one.len() as u32;
    for _ in 0..3 {
        append(&mut log, &one, &EVER);
    }
    let available = |log: &PartitionLog, from, max, upto| log.available_bytes(Offset(from), max, Offset(upto));
    assert_eq!(available(&log, 0, u32::MAX, 3), 3 * len);
    assert_eq!(available(&log, 1, u32::MAX, 2), len, "the high watermark");
    assert_eq!(available(&log, 0, 100, 3), 100);
    assert_eq!(available(&log, 3, u32::MAX, 3), 0);
    let job = log.next_write(WriteKind::WholeBlocks, WRITE_JOB_BYTES_MAX).unwrap();
    log.written(&job);
    log.evict_through(1);
    assert_eq!(available(&log, 0, 70_000, 3), 70_000, "on disk");
    append(&mut log, &one, &RollRules { segment_bytes: 10, ..EVER });
    assert_eq!(available(&log, 3, 70_000, 4), len, "in the last segment");
    assert_eq!(available(&log, 2, 70_000, 4), 70_000, "in the one before");
}

#[test]
fn memory_reads_stop_at_the_limits_and_never_inside_a_batch() {
    let mut log = PartitionLog::new();
    let one = batch(2, 100, 0);
    let len = one.len() as u32;
    for _ in 0..3 {
        append(&mut log, &one, &EVER);
    }
    let count = |from, max, upto, at_least_one| match log.plan_read(Offset(from), max, Offset(upto), at_least_one) {
        ReadPlan::Memory(found) => found.len(),
        ReadPlan::Empty => 0,
        ReadPlan::Disk(_) => panic!("all is in memory"),
    };
    assert_eq!(count(0, u32::MAX, 6, false), 3);
    assert_eq!(count(1, u32::MAX, 6, false), 3, "the batch that holds the offset comes whole");
    assert_eq!(count(2, u32::MAX, 6, false), 2);
    assert_eq!(count(0, u32::MAX, 4, false), 2, "the high watermark");
    assert_eq!(count(0, len * 2, 6, false), 2);
    assert_eq!(count(0, len - 1, 6, false), 0);
    assert_eq!(count(0, len - 1, 6, true), 1);
    assert_eq!(count(6, u32::MAX, 6, true), 0);
}

#[test]
fn readers_get_copies_of_small_parts_of_a_buffer_and_slices_of_large_ones() {
    let mut log = PartitionLog::new();
    let (small, large) = (batch(1, 500, 0), batch(1, 9_000, 0));
    for one in [&small, &small, &large, &small] {
        let (_, piece) = place(&mut log, one, &EVER);
        log.attach(Piece { buffer_bytes: 10_000, ..piece });
    }
    log.synced(log.log_end());
    let ReadPlan::Memory(found) = log.plan_read(Offset(0), 100_000, Offset(4), true) else { panic!("it is in memory") };
    let lens: Vec<usize> = found.iter().map(|bytes| bytes.len()).collect();
    assert_eq!(lens, [2 * small.len(), large.len(), small.len()]);
    let is_own: Vec<bool> = found.iter().map(|bytes| bytes.is_unique()).collect();
    assert_eq!(is_own, [true, false, true], "who does not read them keeps nothing else in memory");
}
