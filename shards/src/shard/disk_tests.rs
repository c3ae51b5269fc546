//! Searches by timestamp around a log start, on one simulated shard.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::catalog::TopicConfig;
use crate::request::{Isolation, ListPart, OffsetAt, Upto};
use crate::shard::core::ShardCore;
use crate::shard::room_tests::{BIG, Bench, with_shard};
use crate::types::Offset;

/// Longer than a drain is spread over.
const LATER: Duration = Duration::from_secs(5);
const DAY: i64 = 1_780_000_000_000;

fn two_records(times: [i64; 2]) -> ValidBatch {
    let mut builder = BatchBuilder::new(DAY);
    for time in times {
        let value = [7; 3_000];
        builder.push(&NewRecord { timestamp_ms: DAY + time, value: Some(&value), ..NewRecord::default() });
    }
    ValidBatch::parse(builder.finish().expect("no codec, no error")).expect("a sound batch")
}

async fn largest(bench: &Bench) -> (i64, i64) {
    let isolation = Isolation::ReadUncommitted;
    let part = ListPart { partition: BIG, at: OffsetAt::MaxTimestamp, isolation, current_epoch: None };
    let listed = bench.started.shards.list_offsets(vec![part]).await.remove(0).expect("it is served");
    (listed.offset.0, listed.timestamp_ms - DAY)
}

#[test]
fn the_largest_timestamp_is_of_a_record_that_is_still_there() {
    with_shard(|bench| async move {
        for (n, times) in (0..).zip([[500, 900], [100, 700], [700, 300]]) {
            assert_eq!(bench.append(BIG, two_records(times)).await, Some(Offset(2 * n)));
        }
        for (deleted_below, expected) in [(0, (1, 900)), (2, (3, 700)), (4, (4, 700)), (5, (5, 300))] {
            let moved = bench.started.shards.move_log_start(vec![(BIG, Upto::Offset(Offset(deleted_below)))]);
            assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(deleted_below))]));
            assert_eq!(largest(&bench).await, expected, "below {deleted_below}");
            if deleted_below == 2 {
                // From its file from here on, but for the last block.
                bench.started.shard.step(|core, _, _| core.want_drained());
                bench.rt.sleep_until(bench.rt.now().after(LATER)).await;
                bench.started.shard.step(|core, _, _| {
                    let slot = core.slot_of(BIG).expect("it is known");
                    assert!(core.get_mut(slot).expect("it is there").log.evict_through(u64::MAX) > 0);
                });
                assert_eq!(largest(&bench).await, expected, "on disk");
            }
        }
    });
}

/// Searches for `at` by a plan that was made before the segments below `start` were given up and their files went.
async fn overtaken(bench: &Bench, at: i64, start: i64) -> Result<Listed, ReadError> {
    let shard = &bench.started.shard;
    let (slot, dir, plan) = shard.step(|core, _, _| {
        let slot = core.slot_of(BIG).expect("it is known");
        let partition = core.get(slot).expect("it is there");
        (slot, partition.directory(), partition.log.plan_timestamp(DAY + at, partition.high_watermark))
    });
    let TimestampPlan::Search(search) = plan else { panic!("all of it is in files") };
    let moved = bench.started.shards.move_log_start(vec![(BIG, Upto::Offset(Offset(start)))]);
    assert_eq!(bench.soon(moved).await, Some(vec![Ok(Offset(start))]));
    bench.rt.sleep_until(bench.rt.now().after(LATER)).await;
    find(shard, slot, &dir, search).await
}

#[test]
fn a_search_whose_segments_are_given_up_under_it_goes_on_where_the_log_begins_now() {
    with_shard(|bench| async move {
        bench.started.shard.step(|core, _, _| {
            let slot = core.slot_of(BIG).expect("it is known");
            let partition = core.get_mut(slot).expect("it is there");
            let config = TopicConfig { segment_bytes: 7_000, ..TopicConfig::clone(&partition.config) };
            partition.config = Arc::new(config);
        });
        for n in 0..6 {
            assert_eq!(bench.append(BIG, two_records([100 * n, 100 * n + 50])).await, Some(Offset(2 * n)));
        }
        let shard = &bench.started.shard;
        shard.step(|core, _, _| core.want_drained());
        bench.rt.sleep_until(bench.rt.now().after(LATER)).await;
        let let_go = |core: &mut ShardCore| {
            let slot = core.slot_of(BIG).expect("it is known");
            core.get_mut(slot).expect("it is there").log.evict_through(u64::MAX)
        };
        assert!(shard.step(|core, _, _| let_go(core)) > 0);

        let listed = overtaken(&bench, 0, 4).await.expect("the log has what comes after");
        assert_eq!((listed.offset, listed.timestamp_ms - DAY), (Offset(4), 200));
        let listed = overtaken(&bench, 250, 7).await.expect("in the middle of a batch");
        assert_eq!((listed.offset, listed.timestamp_ms - DAY), (Offset(7), 350));
        let listed = overtaken(&bench, 300, 12).await.expect("there is nothing any more, and that is no error");
        assert!(!listed.is_found());
        assert!(shard.step(|core, _, _| core.partitions().all(|(_, partition)| partition.offline.is_none())));
    });
}
