//! Appends that wait for a cold tail while its segment is closed, on one simulated shard: each is answered, in order.

use std::time::Duration;

use super::append::AppendResult;
use super::core::ShardCore;
use super::room_tests::{Bench, SMALL, batch_of, with_shard};
use super::write_behind::write_out;
use crate::log::WriteKind;
use crate::request::{AppendPart, Upto};
use crate::router::oneshot::{Asked, oneshot};
use crate::runtime::Runtime;
use crate::runtime::sim::{DiskOp, DiskSpeed, Fault};
use crate::types::{Mono, Offset};

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
