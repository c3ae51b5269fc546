//! Searches by timestamp around a log start, on one simulated shard.

use std::time::Duration;

use super::*;
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::request::{Isolation, ListPart, OffsetAt, Upto};
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
