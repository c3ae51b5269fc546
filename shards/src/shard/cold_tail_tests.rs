//! Appends that wait for a cold tail while its segment is closed, on one simulated shard: each is answered, in order.

use std::cell::Cell;
use std::time::Duration;

use futures_lite::future::or;

use super::append::AppendResult;
use super::core::ShardCore;
use super::room_tests::{Bench, SMALL, batch_of, with_shard};
use super::write_behind::write_out;
use crate::catalog::{CatalogCommand, NewTopic};
use crate::log::WriteKind;
use crate::request::{AppendPart, Upto};
use crate::router::oneshot::{Asked, oneshot};
use crate::runtime::Runtime;
use crate::runtime::sim::{DiskOp, DiskSpeed, Fault};
use crate::types::{Mono, Offset, PartitionId};

/// Of the disk, for one read.
const READ: Duration = Duration::from_millis(5);
/// After it, a read has begun and not ended.
const MOMENT: Duration = Duration::from_millis(1);

/// The second partition's tail is at rest on the disk.
async fn cool(bench: &Bench) {
    let shard = &bench.started.shard;
    write_out(shard, [bench.small].into(), WriteKind::Everything).await;
    assert!(shard.step(|core, _, _| core.get(bench.small).is_some_and(|p| p.log.tail_is_cold())));
    bench.rt.disk().set_speed(DiskSpeed { read: READ..READ * 2, ..DiskSpeed::default() });
}

fn append(core: &mut ShardCore, now: Mono, wall_ms: i64) -> Asked<Vec<AppendResult>> {
    let (reply, appended) = oneshot();
    let part = AppendPart { partition: SMALL, batch: batch_of(200), acks_all: true };
    core.append(now, wall_ms, vec![part], reply);
    appended
}

/// The log start moves to the log's end, and so the segment with the cold tail is closed.
fn close(core: &mut ShardCore) {
    let (reply, _) = oneshot();
    core.move_log_starts(&[(SMALL, Upto::HighWatermark)], reply);
}

/// Where the batch went, if that was told.
async fn acked(bench: &Bench, appended: Asked<Vec<AppendResult>>) -> Option<Offset> {
    let results = bench.soon(appended).await??;
    Some(results.first()?.as_ref().ok()?.base_offset)
}

#[test]
fn an_append_whose_cold_tail_is_closed_before_it_is_read_goes_into_the_next_segment() {
    with_shard(|bench| async move {
        cool(&bench).await;
        let appended = bench.started.shard.step(|core, now, wall_ms| {
            let appended = append(core, now, wall_ms);
            close(core);
            appended
        });
        assert_eq!(acked(&bench, appended).await, Some(Offset(1)));
        assert_eq!(bench.soon(bench.append(SMALL, batch_of(200))).await, Some(Some(Offset(2))));
    });
}

#[test]
fn an_append_does_not_overtake_those_that_wait_for_a_tail_that_is_closed_while_it_is_read() {
    with_shard(|bench| async move {
        cool(&bench).await;
        let shard = &bench.started.shard;
        let first = shard.step(append);
        bench.rt.sleep_until(bench.rt.now().after(MOMENT)).await;
        let second = shard.step(|core, now, wall_ms| {
            close(core);
            append(core, now, wall_ms)
        });
        assert_eq!(acked(&bench, first).await, Some(Offset(1)));
        assert_eq!(acked(&bench, second).await, Some(Offset(2)));
    });
}

#[test]
fn a_tail_that_cannot_be_read_any_more_when_it_is_closed_is_no_damage() {
    with_shard(|bench| async move {
        cool(&bench).await;
        let fault = Fault { op: DiskOp::Read, path_contains: "/t-1/".into(), after: 0, times: 1 };
        bench.rt.disk().add_fault(fault);
        let shard = &bench.started.shard;
        let appended = shard.step(append);
        bench.rt.sleep_until(bench.rt.now().after(MOMENT)).await;
        shard.step(|core, _, _| close(core));
        assert_eq!(acked(&bench, appended).await, Some(Offset(1)));
        assert!(shard.step(|core, _, _| core.get(bench.small).is_some_and(|p| p.offline.is_none())));
    });
}

#[test]
fn of_many_cold_tails_some_are_read_at_a_time_and_all_are_in_the_end() {
    const MANY: i32 = 100;
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let topics = vec![NewTopic { partitions: MANY, ..NewTopic::named("many") }];
        let made = bench.started.shards.change(CatalogCommand::CreateTopics { topics, validate_only: false }).await;
        made.expect("the topic is made");
        let topic = bench.started.shards.catalog().topic("many").expect("it is known").id;
        let part = |index| AppendPart { partition: PartitionId { topic, index }, batch: batch_of(200), acks_all: true };
        let append_to_all = || bench.started.shards.append(bench.rt.now(), (0..MANY).map(part).collect());
        append_to_all().await;
        let slots = shard.step(|core, _, _| core.slots().collect());
        write_out(shard, slots, WriteKind::Everything).await;
        bench.rt.disk().set_speed(DiskSpeed { read: READ..READ * 2, ..DiskSpeed::default() });
        let most = Cell::new(0);
        let watched = async {
            loop {
                let waiting = shard.step(|core, _, _| {
                    let waits = core.partitions().filter(|(_, p)| !p.waiting_for_tail.is_empty()).count();
                    waits - core.cold_tails.len()
                });
                most.set(waiting.max(most.get()));
                bench.rt.sleep_until(bench.rt.now().after(MOMENT)).await;
            }
        };
        let appended = bench.soon(or(append_to_all(), watched)).await.expect("all are read");
        assert!(
            appended.iter().all(|result| result.as_ref().is_ok_and(|a| a.base_offset == Offset(1))),
            "{appended:?}"
        );
        // One more is taken up and waits for its turn.
        assert!((10..=17).contains(&most.get()), "{} at once", most.get());
    });
}
