//! The steps of an append before the disk: header, checksum, checks by the topic's rules, the copy into a commit.
//! `cargo bench -p shards --bench append`.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use shards::batch::crc::crc32c;
use shards::batch::{
    BatchBuilder, BatchHeader, Compression, CompressionLevels, NewRecord, TimestampType, TopicRules, ValidBatch, apply,
    stamp,
};
use shards::journal::open::{OpenCommit, Place};
use shards::runtime::buf::IoBuf;
use shards::types::{FilePos, LeaderEpoch, Offset, PartitionId, TopicId};

fn main() {
    divan::main();
}

fn batch(records: usize, value_bytes: usize, codec: Compression) -> Bytes {
    let value = vec![7; value_bytes];
    let mut builder = BatchBuilder::new(1000).compression(codec, CompressionLevels::default());
    for _ in 0..records {
        builder.push(&NewRecord { timestamp_ms: 1000, value: Some(&value), ..NewRecord::default() });
    }
    builder.finish().expect("the codec takes any bytes")
}

fn rules() -> TopicRules {
    TopicRules {
        max_message_bytes: 1 << 30,
        compression: None,
        levels: CompressionLevels::default(),
        timestamp_type: TimestampType::Create,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        needs_keys: false,
        decompressed_bytes_max: 1 << 30,
    }
}

#[divan::bench]
fn header(bencher: Bencher<'_, '_>) {
    let bytes = batch(1, 1000, Compression::None);
    bencher.bench(|| BatchHeader::parse(black_box(&bytes)));
}

#[divan::bench(args = [16 << 10, 1 << 20])]
fn checksum(bencher: Bencher<'_, '_>, bytes: usize) {
    let data = vec![7; bytes];
    bencher.counter(BytesCount::new(bytes)).bench(|| crc32c(black_box(&data)));
}

/// 100 records of 1 KiB: the batch's own checks, then the topic's.
#[divan::bench(args = [Compression::None, Compression::Lz4, Compression::Zstd])]
fn check_100_records(bencher: Bencher<'_, '_>, codec: Compression) {
    let bytes = batch(100, 1024, codec);
    let rules = rules();
    bencher.counter(BytesCount::new(100 * 1024usize)).bench(|| {
        let batch = ValidBatch::parse(black_box(bytes.clone())).expect("a whole batch");
        apply(batch, &rules, 1000)
    });
}

/// Sixteen batches of 16 KiB into one commit.
#[divan::bench]
fn journal_encode(bencher: Bencher<'_, '_>) {
    let bytes = batch(16, 1000, Compression::None);
    let place = Place {
        partition: PartitionId { topic: TopicId([1; 16]), index: 0 },
        epoch: LeaderEpoch(0),
        segment_base: Offset(0),
        position: FilePos(0),
    };
    bencher
        .counter(BytesCount::new(16 * bytes.len()))
        .with_inputs(|| OpenCommit::new(IoBuf::heap(1 << 20)))
        .bench_local_values(|mut open| {
            for _ in 0..16 {
                open.push_batch(place, &bytes, |copy| stamp(copy, Offset(7), LeaderEpoch(0)));
            }
            open
        });
}
