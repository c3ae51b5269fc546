//! Turns over partitions at rest, on one simulated shard: there may be a hundred thousand.

use futures_lite::future::poll_once;

use super::*;
use crate::runtime::sim::DiskSpeed;
use crate::shard::catalog::fresh;
use crate::shard::room_tests::{batch_of, with_shard};
use crate::types::{LeaderEpoch, PartitionId, TopicId};

/// So many that a walk gives way on the way.
const MANY: i32 = 6_000;
/// Frees nothing.
const TURN: TurnKind = TurnKind::Free(0);

#[test]
fn a_tail_that_was_put_to_rest_is_not_looked_after_again() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        turn(shard, TURN).await;
        assert!(resting_tails(shard).await.contains(&bench.small), "it was carried, and nothing came since");
        turn(shard, TURN).await;
        assert!(shard.step(|core, _, _| core.get(bench.small).is_some_and(|p| p.log.tail_is_cold())));
        assert_eq!(resting_tails(shard).await, []);
    });
}

#[test]
fn walks_over_many_partitions_give_way() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let slots: Vec<Slot> = shard.step(|core, _, _| {
            let config = core.catalog.borrow().metadata_topic().config.clone();
            let id = |index| PartitionId { topic: TopicId([9; 16]), index };
            (0..MANY).map(|index| core.insert(fresh(id(index), "u".into(), config.clone(), LeaderEpoch(0)))).collect()
        });
        assert!(poll_once(resting_tails(shard)).await.is_none());
        assert!(poll_once(let_go_of(shard, &slots)).await.is_none());
        assert!(poll_once(sync_segments(shard)).await.is_none());
        assert!(poll_once(write_out(shard, slots.into(), WriteKind::Everything)).await.is_none());
    });
}

#[test]
fn segments_are_synced_four_at_a_time() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        for index in 10..30 {
            let id = PartitionId { topic: TopicId([9; 16]), index };
            shard.step(|core, _, _| {
                let config = core.catalog.borrow().metadata_topic().config.clone();
                core.insert(fresh(id, "u".into(), config, LeaderEpoch(0)))
            });
            // Of which whole blocks go into a segment.
            assert_eq!(bench.append(id, batch_of(10_000)).await, Some(Offset(0)));
        }
        let long = Duration::from_millis(50);
        bench.rt.disk().set_speed(DiskSpeed { sync: long..long * 2, ..DiskSpeed::default() });
        turn(shard, TURN).await;
        // More of them would be in the way of a commit's own (R12).
        assert_eq!(bench.rt.disk().syncs_at_once(), 4);
    });
}
