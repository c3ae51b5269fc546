//! Drains of the window on one simulated shard, by its clock: nobody waits, or somebody does.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;

use super::room_tests::{BIG, Bench, SMALL, batch_of, with_shard};
use super::write_behind::write_out;
use crate::log::WriteKind;
use crate::runtime::Runtime;

/// Between two appends: far longer than one takes.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest that a drain is spread over.
const SPREAD: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);

/// Appends with pauses until the window is half full.
async fn fill(bench: &Bench) {
    while bench.started.shard.step(|core, _, _| !core.wants_drain()) {
        assert!(bench.append(BIG, batch_of(64 << 10)).await.is_some());
        bench.rt.sleep_until(bench.rt.now().after(PAUSE)).await;
    }
}

/// How long it takes until the window that is half full is in segments, if nobody waits.
async fn drain(bench: &Bench) -> Duration {
    let began = bench.rt.now();
    while bench.started.shard.step(|core, _, _| core.wants_drain()) {
        bench.rt.sleep_until(bench.rt.now().after(LOOK)).await;
    }
    bench.rt.now().since(began)
}

/// Of a drain by itself; with a stop, of the stop.
fn drain_time(with_stop: bool) -> Duration {
    let took = Rc::new(Cell::new(Duration::ZERO));
    let told = took.clone();
    with_shard(move |bench| async move {
        fill(&bench).await;
        if !with_stop {
            told.set(drain(&bench).await);
        }
        let began = bench.rt.now();
        assert_eq!(bench.soon(bench.started.shard.stop()).await, Some(true), "a clean stop");
        if with_stop {
            told.set(bench.rt.now().since(began));
        }
    });
    took.get()
}

#[test]
fn a_drain_for_which_nobody_waits_is_spread_and_a_stop_does_not_wait_for_one_that_is() {
    let (spread, stop) = (drain_time(false), drain_time(true));
    assert!(stop * 2 < spread, "{stop:?} for {spread:?}");
}

#[test]
fn a_drain_of_little_ends_in_its_time_however_much_comes_in_meanwhile() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        for id in [BIG, SMALL] {
            assert!(bench.append(id, batch_of(5_000)).await.is_some());
        }
        // For so long it is spread, at most.
        bench.rt.sleep_until(bench.rt.now().after(SPREAD * 3)).await;
        let began = bench.rt.now();
        shard.step(|core, _, _| core.want_drained());
        let wanted = shard.step(|core, _, _| core.drain_wanted);
        for _ in 0..20 {
            assert!(bench.append(SMALL, batch_of(64 << 10)).await.is_some());
        }
        while shard.step(|core, _, _| core.drained_through < wanted) {
            bench.rt.sleep_until(bench.rt.now().after(LOOK)).await;
        }
        let took = bench.rt.now().since(began);
        assert!(took < SPREAD * 2, "{took:?}");
    });
}

#[test]
fn an_append_that_finds_the_window_full_does_not_wait_for_a_drain_that_is_spread() {
    let spread = drain_time(false);
    with_shard(move |bench| async move {
        fill(&bench).await;
        let began = bench.rt.now();
        // Half of the window is left for them.
        for _ in 0..12 {
            assert!(bench.append(BIG, batch_of(900 << 10)).await.is_some());
        }
        let took = bench.rt.now().since(began);
        assert!(took * 2 < spread, "{took:?} for {spread:?}");
    });
}

#[test]
fn what_comes_in_behind_a_drain_is_for_the_next_one() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let big = shard.step(|core, _, _| core.slot_of(BIG)).expect("it was added");
        for _ in 0..10 {
            assert!(bench.append(BIG, batch_of(8 << 10)).await.is_some());
            let written = || shard.step(|core, _, _| core.counters.segment_bytes);
            let (before, due) =
                (written(), shard.step(|core, _, _| core.get(big).map_or(0, |p| p.log.unwritten_bytes())));
            let appends = async {
                for _ in 0..8 {
                    assert!(bench.append(BIG, batch_of(8 << 10)).await.is_some());
                }
            };
            let drain = async {
                write_out(shard, [big].into(), WriteKind::WholeBlocks).await;
                written()
            };
            let (after, ()) = zip(drain, appends).await;
            assert!(after - before <= due, "{} of {due}", after - before);
        }
    });
}
