//! Tasks, timers, clocks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use shards::runtime::{Conn, Listener, Runtime};
use shards::types::Mono;

use crate::Place;

pub async fn timers_fire_in_order_and_not_before_their_time<R: Runtime>(rt: R, _place: Place) {
    let start = rt.now();
    let order = Rc::new(RefCell::new(Vec::new()));
    let (done, wait) = flume::unbounded();
    for ms in [30, 10, 20, 0, 15] {
        let (sleeper, order, done) = (rt.clone(), order.clone(), done.clone());
        rt.spawn(async move {
            let at = start.after(Duration::from_millis(ms));
            sleeper.sleep_until(at).await;
            assert!(sleeper.now() >= at);
            order.borrow_mut().push(ms);
            done.send(()).unwrap();
        });
    }
    for _ in 0..5 {
        wait.recv_async().await.unwrap();
    }
    assert_eq!(*order.borrow(), [0, 10, 15, 20, 30]);
}

pub async fn a_time_that_has_passed_does_not_wait<R: Runtime>(rt: R, _place: Place) {
    rt.sleep_until(Mono::default()).await;
    rt.sleep_until(rt.now()).await;
    assert!(futures_lite::future::poll_once(rt.sleep_until(Mono::FAR)).await.is_none());
}

pub async fn all_spawned_tasks_run<R: Runtime>(rt: R, _place: Place) {
    let count = Rc::new(Cell::new(0));
    let (done, wait) = flume::bounded(1);
    for _ in 0..1000 {
        let (count, done) = (count.clone(), done.clone());
        rt.spawn(async move {
            count.set(count.get() + 1);
            if count.get() == 1000 {
                done.send(()).unwrap();
            }
        });
    }
    wait.recv_async().await.unwrap();
}

pub async fn a_busy_task_that_asks_for_its_quantum_lets_others_in<R: Runtime>(rt: R, place: Place) {
    let listener = rt.listen((place.ip, 0).into(), 128).await.unwrap();
    let addr = listener.local_addr();
    let arrived = Rc::new(Cell::new(false));
    rt.spawn({
        let arrived = arrived.clone();
        async move {
            let conn = listener.accept().await.unwrap();
            conn.readable().await.unwrap();
            arrived.set(true);
        }
    });
    rt.spawn({
        let rt = rt.clone();
        async move {
            let conn = rt.connect(addr).await.unwrap();
            conn.write_queue(&mut [bytes::Bytes::from_static(b"x")].into()).await.unwrap();
        }
    });
    let mut turns = 0_u64;
    while !arrived.get() {
        turns += 1;
        assert!(turns < 100_000_000, "the reactor never got its turn");
        rt.quantum().await;
    }
}

pub async fn random_numbers_differ<R: Runtime>(rt: R, _place: Place) {
    let mut drawn: Vec<u64> = (0..1000).map(|_| rt.random()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 1000);
}

pub async fn both_clocks_run<R: Runtime>(rt: R, _place: Place) {
    let (mono, wall) = (rt.now(), rt.wall_ms());
    assert!(wall > 1_600_000_000_000, "after the year 2020");
    rt.sleep_until(mono.after(Duration::from_millis(30))).await;
    assert!(rt.now().since(mono) >= Duration::from_millis(30));
    assert!(rt.wall_ms() - wall >= 29);
}
