//! Drains of the window on one simulated shard, by its clock: nobody waits, or somebody does.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::room_tests::{BIG, Bench, batch_of, with_shard};
use crate::runtime::Runtime;

/// Between two appends: far longer than one takes.
const PAUSE: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(1);

/// Appends with pauses until the window is half full.
async fn fill(bench: &Bench) {
    while bench.started.shard.step(|core, _, _| !core.wants_drain()) {
        assert!(bench.append(BIG, batch_of(64 << 10)).await.is_some());
        bench.rt.sleep_until(bench.rt.now().after(PAUSE)).await;
    }
}

/// How long it takes until the window that is half full is in segments.
async fn drain(bench: &Bench, hurry: bool) -> Duration {
    let shard = &bench.started.shard;
    let began = bench.rt.now();
    if hurry {
        shard.step(|core, _, _| core.hurry_drain());
    }
    while shard.step(|core, _, _| core.wants_drain()) {
        bench.rt.sleep_until(bench.rt.now().after(LOOK)).await;
    }
    bench.rt.now().since(began)
}

fn drain_time(hurry: bool) -> Duration {
    let took = Rc::new(Cell::new(Duration::ZERO));
    let told = took.clone();
    with_shard(move |bench| async move {
        fill(&bench).await;
        told.set(drain(&bench, hurry).await);
        assert_eq!(bench.soon(bench.started.shard.stop()).await, Some(true), "a clean stop");
    });
    took.get()
}

#[test]
fn a_drain_for_which_nobody_waits_is_spread_and_one_that_somebody_waits_for_is_not() {
    let (spread, hurried) = (drain_time(false), drain_time(true));
    assert!(hurried * 4 < spread, "{hurried:?} for {spread:?}");
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
