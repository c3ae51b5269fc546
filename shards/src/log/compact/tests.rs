//! The cleaner against a model that knows every record, and the plan's rules. Tests only.
//! Invariant: the model is a plain list and a plain map, so that it can be seen to be right.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::clean::{Cleaned, Pass, Scratch, clean_batch, map_batch};
use super::map::{KeyMap, SLOT_BYTES};
use super::plan::{Due, Rules, SegmentView, due, groups};
use crate::batch::{BatchBuilder, BatchHeader, Compression, CompressionLevels, NewRecord, stamp};
use crate::types::{LeaderEpoch, Offset};

const RETENTION_MS: i64 = 1_000;

/// A record as a reader sees it: offset, timestamp, key, value.
type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>);

fn batch(base: i64, records: &[(u8, bool)], codec: Compression, producer: i64) -> Bytes {
    let mut builder = BatchBuilder::new(base).compression(codec, CompressionLevels::default());
    if producer >= 0 {
        builder = builder.producer(producer, 0, 0);
    }
    for (n, (key, has_value)) in (0i64..).zip(records) {
        let value = format!("{key} at {}", base + n).into_bytes();
        let value = has_value.then_some(value.as_slice());
        builder.push(&NewRecord { timestamp_ms: base + n, key: Some(&[*key]), value, headers: &[] });
    }
    let mut bytes = builder.finish().expect("built").to_vec();
    stamp(&mut bytes, Offset(base), LeaderEpoch(0));
    bytes.into()
}

fn seen(log: &[Bytes]) -> Vec<Seen> {
    let mut found = Vec::new();
    for bytes in log {
        let mut scratch = Scratch::default();
        let open = scratch.open(bytes).expect("a batch");
        let header = *open.header();
        for record in open.records() {
            let r = record.expect("a record");
            found.push((
                header.base_offset + i64::from(r.offset_delta),
                header.base_timestamp + r.timestamp_delta,
                r.key.unwrap_or_default().to_vec(),
                r.value.map(<[u8]>::to_vec),
            ));
        }
    }
    found
}

/// One pass over a log of batches; returns where its map ended.
fn pass(log: &mut Vec<Bytes>, from: Offset, upto: Offset, now_ms: i64, map_bytes: usize, lasts: &[i64]) -> Offset {
    let mut map = KeyMap::new(9, map_bytes, 1 << 20);
    let mut mapped = upto;
    for bytes in log.iter() {
        let mut scratch = Scratch::default();
        let open = scratch.open(bytes).expect("a batch");
        if let Some(full) = map_batch(&open, from, upto, &mut map).expect("mapped") {
            mapped = full;
            break;
        }
    }
    let rules = Pass { upto: mapped, now_ms, delete_retention_ms: RETENTION_MS, levels: CompressionLevels::default() };
    let mut kept = Vec::new();
    for bytes in log.drain(..) {
        let mut scratch = Scratch::default();
        let open = scratch.open(&bytes).expect("a batch");
        let is_last = lasts.contains(&open.header().base_offset);
        match clean_batch(&open, &map, &rules, is_last).expect("cleaned") {
            Cleaned::AsItIs => kept.push(bytes.clone()),
            Cleaned::Rewritten(bytes) => kept.push(bytes),
            Cleaned::Gone => {}
        }
    }
    *log = kept;
    mapped
}

fn codec() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Lz4), Just(Compression::Zstd)]
}

fn batches() -> impl Strategy<Value = Vec<(Vec<(u8, bool)>, Compression)>> {
    let records = proptest::collection::vec((0u8..12, proptest::bool::weighted(0.8)), 1..8);
    proptest::collection::vec((records, codec()), 1..30)
}

proptest! {
    /// With any map, however small: passes go on until all is mapped, and what is left is what the model says.
    #[test]
    fn the_newest_record_of_each_key_is_left_after_enough_passes(batches in batches(), map_keys in 1usize..14) {
        let mut log = Vec::new();
        let mut end = 0;
        for (records, codec) in &batches {
            log.push(batch(end, records, *codec, -1));
            end += records.len() as i64;
        }
        let before = seen(&log);
        let newest: BTreeMap<Vec<u8>, i64> = before.iter().map(|r| (r.2.clone(), r.0)).collect();
        let mut from = Offset::ZERO;
        while from < Offset(end) {
            let mapped = pass(&mut log, from, Offset(end), 0, (map_keys + 2) * SLOT_BYTES, &[]);
            prop_assert!(mapped > from, "each pass gets on");
            // Nothing above the map is taken, nothing that is newest is taken, and nothing changes.
            let after = seen(&log);
            prop_assert!(after.iter().all(|r| before.contains(r)));
            let mut must_stay = before.iter().filter(|r| r.0 >= mapped.0 || newest[&r.2] == r.0);
            prop_assert!(must_stay.all(|r| after.contains(r)));
            prop_assert!(after.windows(2).all(|pair| pair[0].0 < pair[1].0));
            from = mapped;
        }
        let expected: Vec<Seen> = before.into_iter().filter(|r| newest[&r.2] == r.0).collect();
        prop_assert_eq!(&seen(&log), &expected);
        // Tombstones stay until their time is over, and then go.
        pass(&mut log, Offset(end), Offset(end), RETENTION_MS - 1, SLOT_BYTES, &[]);
        prop_assert_eq!(&seen(&log), &expected);
        pass(&mut log, Offset(end), Offset(end), RETENTION_MS, SLOT_BYTES, &[]);
        let values: Vec<Seen> = expected.into_iter().filter(|r| r.3.is_some()).collect();
        prop_assert_eq!(seen(&log), values);
    }
}

#[test]
fn a_batch_of_which_all_stays_keeps_its_bytes() {
    let all = batch(0, &[(1, true), (2, true)], Compression::Zstd, 5);
    let mut log = vec![all.clone()];
    pass(&mut log, Offset(0), Offset(2), 0, 1 << 12, &[]);
    assert_eq!(log, [all]);
}

/// Text that codecs make shorter, and the better the longer they look.
fn text(seed: u64) -> Vec<u8> {
    let words = [&b"order "[..], b"customer ", b"paid ", b"is waiting for ", b"in the year "];
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 33) as usize
    };
    (0..2_000).flat_map(|_| words[next() % words.len()].iter().copied()).collect()
}

#[test]
fn only_batches_that_lose_records_are_compressed_anew() {
    let build = |base: i64, keys: [u8; 2], codec, levels| {
        let mut builder = BatchBuilder::new(base).compression(codec, levels);
        for (n, key) in (0i64..).zip(keys) {
            let value = text((base + n).cast_unsigned());
            builder.push(&NewRecord { timestamp_ms: base + n, key: Some(&[key]), value: Some(&value), headers: &[] });
        }
        let mut bytes = builder.finish().expect("built").to_vec();
        stamp(&mut bytes, Offset(base), LeaderEpoch(0));
        Bytes::from(bytes)
    };
    // At another level than a pass has, so that it shows if a batch was compressed anew.
    let theirs = CompressionLevels { gzip: 1, zstd: 19 };
    for codec in [Compression::Gzip, Compression::Zstd] {
        let before =
            [build(0, [1, 2], codec, theirs), build(2, [3, 4], codec, theirs), build(4, [4, 5], codec, theirs)];
        assert!(before[0] != build(0, [1, 2], codec, CompressionLevels::default()), "{codec:?}: levels do not show");
        let mut log = before.to_vec();
        pass(&mut log, Offset(0), Offset(6), 0, 1 << 12, &[]);
        assert_eq!(
            log.iter().map(|batch| before.contains(batch)).collect::<Vec<_>>(),
            [true, false, true],
            "{codec:?}"
        );
        assert_eq!(seen(&log).iter().map(|record| record.0).collect::<Vec<_>>(), [0, 1, 2, 4, 5]);
    }
}

#[test]
fn the_last_batch_of_a_producer_stays_empty_and_others_go() {
    let mut log = vec![
        batch(0, &[(1, true)], Compression::None, 5),
        batch(1, &[(1, true)], Compression::Lz4, 5),
        batch(2, &[(1, true)], Compression::None, 6),
        batch(3, &[(1, true)], Compression::None, -1),
    ];
    for _ in 0..2 {
        pass(&mut log, Offset(0), Offset(4), 0, 1 << 12, &[1, 2]);
        let heads: Vec<_> = log.iter().map(|b| BatchHeader::parse(b).expect("a header")).collect();
        let bases: Vec<_> = heads.iter().map(|h| (h.base_offset, h.producer_id, h.record_count)).collect();
        assert_eq!(bases, [(1, 5, 0), (2, 6, 0), (3, -1, 1)]);
    }
    pass(&mut log, Offset(0), Offset(4), 0, 1 << 12, &[2]);
    assert_eq!(log.len(), 2, "an empty batch goes once its producer is forgotten");
}

fn segments(bytes: &[u64]) -> Vec<SegmentView> {
    (0..)
        .zip(bytes)
        .map(|(n, bytes)| SegmentView {
            base: Offset(n * 10),
            end_offset: Offset(n * 10 + 10),
            bytes: *bytes,
            first_ms: n * 100,
            newest_ms: n * 100 + 90,
        })
        .collect()
}

const RULES: Rules = Rules { dirty_ratio_min: 0.5, lag_min_ms: 0, lag_max_ms: i64::MAX, segment_bytes: 100 };

#[test]
fn a_log_is_due_when_more_than_the_ratio_is_dirty() {
    let sealed = segments(&[50, 25, 25, 1]);
    assert_eq!(due(&sealed[..3], Offset(10), &RULES, 1_000), None);
    let found = due(&sealed, Offset(10), &RULES, 1_000).expect("due");
    assert_eq!((found.from, found.upto), (Offset(10), Offset(40)));
    assert!(due(&sealed, Offset(40), &RULES, 1_000).is_none(), "all is clean");
    assert!(due(&[], Offset(0), &RULES, 1_000).is_none());
    let inside = due(&sealed, Offset(15), &Rules { dirty_ratio_min: 0.0, ..RULES }, 1_000);
    assert_eq!(inside.map(|due| due.from), Some(Offset(15)));
}

#[test]
fn young_segments_are_left_alone_and_overdue_ones_are_due() {
    let sealed = segments(&[1, 1, 1, 1]);
    let young = Rules { lag_min_ms: 500, ..RULES };
    assert_eq!(due(&sealed, Offset(0), &young, 700).map(|d| d.upto), Some(Offset(20)));
    assert_eq!(due(&sealed, Offset(0), &young, 400), None);
    let lazy = Rules { dirty_ratio_min: 1.0, lag_max_ms: 500, ..RULES };
    assert_eq!(due(&sealed, Offset(0), &lazy, 600), None);
    let overdue = Due { from: Offset(0), upto: Offset(40), dirty_ratio: 1.0 };
    assert_eq!(due(&sealed, Offset(0), &lazy, 601), Some(overdue));
}

#[test]
fn a_segment_without_timestamps_is_never_overdue() {
    let sealed: Vec<_> = segments(&[1, 1]).into_iter().map(|s| SegmentView { first_ms: -1, ..s }).collect();
    assert_eq!(due(&sealed, Offset(0), &Rules { dirty_ratio_min: 1.0, lag_max_ms: 1, ..RULES }, 1_000), None);
}

#[test]
fn neighbours_are_joined_while_they_fit() {
    let sealed = segments(&[60, 40, 1, 100, 0, 0]);
    let bases = |upto| -> Vec<Vec<i64>> {
        groups(&sealed, Offset(upto), 100).iter().map(|group| group.iter().map(|s| s.base.0).collect()).collect()
    };
    assert_eq!(bases(60), [vec![0, 10], vec![20], vec![30, 40, 50]]);
    assert_eq!(bases(15), [[0, 10]], "the segment that holds the end is in");
    assert_eq!(bases(10), [[0]]);
}

#[test]
fn segments_whose_offsets_lie_too_far_apart_stay_apart() {
    let far = i64::from(i32::MAX);
    let mut sealed = segments(&[1, 1]);
    sealed[1].base = Offset(far);
    sealed[1].end_offset = Offset(far + 1);
    assert_eq!(groups(&sealed, Offset(far + 1), 100).len(), 2);
}

#[test]
fn a_tombstone_does_not_go_before_the_value_that_a_transaction_has_committed() {
    let mut transaction = batch(0, &[(1, true), (2, true)], Compression::None, 5).to_vec();
    transaction[22] |= 0x10;
    let mut log = vec![transaction.into(), batch(2, &[(1, false)], Compression::None, -1)];
    for (now_ms, left) in [(0, &[1, 2][..]), (RETENTION_MS + 1, &[1])] {
        pass(&mut log, Offset(0), Offset(3), now_ms, 1 << 12, &[]);
        assert_eq!(seen(&log).iter().map(|record| record.0).collect::<Vec<_>>(), left);
    }
    assert!(BatchHeader::parse(&log[0]).expect("a header").is_transactional(), "for readers it is what it was");
}

#[test]
fn what_takes_longer_than_a_task_may_run_is_not_opened_on_the_core() {
    let opened = |codec, value_bytes| {
        let mut builder = BatchBuilder::new(0).compression(codec, CompressionLevels::default());
        builder.push(&NewRecord { value: Some(&vec![7; value_bytes]), ..NewRecord::default() });
        Scratch::default().open_at_once(&builder.finish().expect("built")).expect("sound").is_some()
    };
    for codec in [Compression::Gzip, Compression::Zstd] {
        assert_eq!([opened(codec, 60_000), opened(codec, 70_000)], [true, false], "{codec:?}");
    }
    for codec in [Compression::None, Compression::Snappy, Compression::Lz4] {
        assert_eq!([opened(codec, 1_000_000), opened(codec, 1_100_000)], [true, false], "{codec:?}");
    }
}
