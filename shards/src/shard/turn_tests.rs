//! Turns over partitions at rest, on one simulated shard: there may be a hundred thousand.

use futures_lite::future::poll_once;

use super::*;
use crate::runtime::sim::DiskSpeed;
use crate::shard::catalog::fresh;
use crate::shard::room_tests::{Bench, batch_of, settings, with_shard, with_shard_as};
use crate::shard::settings::ShardSettings;
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

/// Partitions of which whole blocks go into segments.
async fn append_to(bench: &Bench, indexes: std::ops::Range<i32>) {
    for index in indexes {
        let id = PartitionId { topic: TopicId([9; 16]), index };
        bench.started.shard.step(|core, _, _| {
            let config = core.catalog.borrow().metadata_topic().config.clone();
            core.insert(fresh(id, "u".into(), config, LeaderEpoch(0)))
        });
        assert_eq!(bench.append(id, batch_of(10_000)).await, Some(Offset(0)));
    }
}

/// A sync of each would be as many flushes of the drive.
#[test]
fn a_hundred_segments_are_synced_at_once() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let is_dirty = |core: &mut ShardCore| core.partitions().any(|(_, p)| p.log.is_file_dirty());
        for (count, syncs) in [(10..20, true), (20..130, false)] {
            append_to(&bench, count).await;
            drain_all(shard).await;
            assert!(shard.step(|core, _, _| is_dirty(core)));
            let before = bench.rt.disk().syncs_of_files();
            sync_segments(shard).await;
            assert_eq!(bench.rt.disk().syncs_of_files() > before, syncs);
            assert!(!shard.step(|core, _, _| is_dirty(core)));
        }
    });
}

/// Appends that wait for the end of a turn may wait for seconds.
#[test]
fn a_journal_that_appends_run_out_of_grows_while_a_turn_goes_on() {
    let settings = ShardSettings { journal_bytes_max: 2 * settings().journal_bytes, ..settings() };
    with_shard_as(settings, |bench| async move {
        let shard = &bench.started.shard;
        // The task that makes turns leaves it to this one.
        shard.step(|core, _, _| core.starting = true);
        let step = || async {
            for _ in 0..20 {
                shard.signals().turn.notify();
                shard.rt().sleep_until(shard.now().after(Duration::from_millis(100))).await;
            }
        };
        let files = || shard.step(|core, _, _| core.space.files());
        let fill = || {
            shard.step(|core, _, _| {
                let bytes = core.settings.journal_bytes / FILES_MIN as u64;
                while core.space.has_room(bytes / 4, false) {
                    core.space.place(bytes / 4, 0).expect("there is room");
                }
            });
        };
        with_growth(shard, step()).await;
        assert_eq!(files(), FILES_MIN, "appends have room");
        fill();
        let began = shard.now();
        let long = Duration::from_secs(2);
        bench.rt.disk().set_speed(DiskSpeed { write: long..long * 2, ..DiskSpeed::default() });
        let ended = async {
            step().await;
            assert!(shard.now().since(began) < long * 2, "it goes on while the journal grows");
        };
        with_growth(shard, ended).await;
        bench.rt.disk().set_speed(DiskSpeed::default());
        assert_eq!(files(), FILES_MIN + 1, "and have again");
        for _ in 0..2 * FILES_MIN {
            fill();
            with_growth(shard, step()).await;
        }
        assert_eq!(files(), 2 * FILES_MIN, "as far as it may");
    });
}

#[test]
fn segments_are_synced_four_at_a_time() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        append_to(&bench, 10..30).await;
        let long = Duration::from_millis(50);
        bench.rt.disk().set_speed(DiskSpeed { sync: long..long * 2, ..DiskSpeed::default() });
        turn(shard, TURN).await;
        // More of them would be in the way of a commit's own (R12).
        assert_eq!(bench.rt.disk().syncs_at_once(), 4);
    });
}
