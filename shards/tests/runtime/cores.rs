//! Bodies of two halves, each on a core of its own. Channels are the only thing between them.

use std::net::SocketAddr;

use bytes::Bytes;
use shards::runtime::{BLOCK_BYTES, Conn, File, Listener, OpenMode, Runtime};

use crate::Place;
use crate::files::blocks;
use crate::machines::{Half, half};
use crate::sockets::receive;

const ROUNDS: u32 = 2000;

pub fn frozen_bytes_are_read_and_dropped_on_another_core<R: Runtime>() -> (Half<R>, Half<R>) {
    let (tx, rx) = flume::bounded::<Bytes>(4);
    let (back, returned) = flume::bounded(4);
    let left = half(move |rt: R, place: Place| async move {
        let file = rt.open(&place.dir.join("a"), OpenMode::Create).await.unwrap();
        for round in 0..200_u32 {
            let frozen = blocks(&rt, &[round as u8; 5]);
            tx.send_async(frozen.bytes()).await.unwrap();
            file.write(0, &frozen).await.unwrap();
            drop(frozen);
            let same: Bytes = returned.recv_async().await.unwrap();
            assert!(same.iter().all(|b| *b == round as u8));
        }
    });
    let right = half(move |_rt: R, _place: Place| async move {
        for round in 0..200_u32 {
            let bytes = rx.recv_async().await.unwrap();
            assert!(bytes.len() == 5 * BLOCK_BYTES && bytes.iter().all(|b| *b == round as u8));
            let part = bytes.slice(BLOCK_BYTES..);
            back.send_async(part).await.unwrap();
            // The last owner of the memory is now either side.
            drop(bytes);
        }
    });
    (left, right)
}

pub fn read_bytes_are_read_and_dropped_on_another_core<R: Runtime>() -> (Half<R>, Half<R>) {
    let (tx, rx) = flume::bounded::<Bytes>(4);
    let left = half(move |rt: R, place: Place| async move {
        let file = rt.open(&place.dir.join("a"), OpenMode::Create).await.unwrap();
        file.write(0, &blocks(&rt, b"abcdefgh")).await.unwrap();
        for round in 0..400_u64 {
            let pos = round % 8 * BLOCK_BYTES as u64;
            tx.send_async(file.read(pos, BLOCK_BYTES).await.unwrap()).await.unwrap();
        }
    });
    let right = half(move |_rt: R, _place: Place| async move {
        let mut kept = Vec::new();
        for round in 0..400_usize {
            let bytes = rx.recv_async().await.unwrap();
            assert!(bytes.iter().all(|b| *b == b"abcdefgh"[round % 8]));
            if round % 3 == 0 {
                kept.push(bytes);
            }
        }
        assert!(kept.iter().all(|bytes| bytes.len() == BLOCK_BYTES));
    });
    (left, right)
}

pub fn ping_pong_over_channels_loses_no_wake_up<R: Runtime>() -> (Half<R>, Half<R>) {
    let (ping, pinged) = flume::bounded::<u32>(1);
    let (pong, ponged) = flume::bounded::<u32>(1);
    let left = half(move |_rt: R, _place: Place| async move {
        for round in 0..ROUNDS {
            ping.send_async(round).await.unwrap();
            assert_eq!(ponged.recv_async().await.unwrap(), round);
        }
    });
    let right = half(move |_rt: R, _place: Place| async move {
        while let Ok(round) = pinged.recv_async().await {
            pong.send_async(round).await.unwrap();
        }
    });
    (left, right)
}

pub fn two_cores_listen_on_one_address<R: Runtime>() -> (Half<R>, Half<R>) {
    let (tell, told) = flume::bounded::<SocketAddr>(1);
    let (stop, stopped) = flume::bounded::<()>(1);
    let left = half(move |rt: R, place: Place| async move {
        let listener = std::rc::Rc::new(rt.listen((place.ip, 0).into(), 128).await.unwrap());
        tell.send(listener.local_addr()).unwrap();
        rt.spawn({
            let listener = listener.clone();
            async move { serve(&*listener).await }
        });
        stopped.recv_async().await.unwrap();
        listener.stop();
    });
    let right = half(move |rt: R, _place: Place| async move {
        let addr = told.recv_async().await.unwrap();
        let listener = std::rc::Rc::new(rt.listen(addr, 128).await.unwrap());
        rt.spawn({
            let listener = listener.clone();
            async move { serve(&*listener).await }
        });
        for _ in 0..40 {
            let conn = rt.connect(addr).await.unwrap();
            assert_eq!(receive(&conn, 5).await, b"hello");
        }
        stop.send(()).unwrap();
        listener.stop();
    });
    (left, right)
}

async fn serve<L: Listener>(listener: &L) {
    while let Ok(conn) = listener.accept().await {
        conn.write_queue(&mut [Bytes::from_static(b"hello")].into()).await.unwrap();
    }
}
