//! Listeners and connections.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;
use shards::runtime::{Conn, Listener, Runtime};

use crate::Place;

async fn listen<R: Runtime>(rt: &R, place: &Place) -> R::Listener {
    rt.listen(SocketAddr::new(place.ip, 0), 128).await.expect("a free port")
}

/// Two ends of one connection: the one that connected, the one that accepted.
async fn pair<R: Runtime>(rt: &R, place: &Place) -> (R::Conn, R::Conn) {
    let listener = listen(rt, place).await;
    let (ours, theirs) = future::zip(rt.connect(listener.local_addr()), listener.accept()).await;
    (ours.expect("connects"), theirs.expect("accepts"))
}

async fn send<C: Conn>(conn: &C, pieces: &[&'static [u8]]) {
    let mut queue: VecDeque<Bytes> = pieces.iter().map(|piece| Bytes::from_static(piece)).collect();
    conn.write_queue(&mut queue).await.unwrap();
    assert!(queue.is_empty());
}

/// Reads `len` bytes, or fewer when the stream ends before.
pub async fn receive<C: Conn>(conn: &C, len: usize) -> Vec<u8> {
    let mut got = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match conn.try_read(&mut got[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == ErrorKind::WouldBlock => conn.readable().await.unwrap(),
            Err(e) => panic!("{e}"),
        }
    }
    got.truncate(filled);
    got
}

pub async fn bytes_echo_in_order<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    rt.spawn(async move {
        loop {
            theirs.readable().await.unwrap();
            let mut buffer = [0; 7];
            match theirs.try_read(&mut buffer).unwrap() {
                0 => break,
                read => theirs.write_queue(&mut [Bytes::copy_from_slice(&buffer[..read])].into()).await.unwrap(),
            }
        }
    });
    for round in 0..50_u8 {
        send(&ours, &[b"one", b"two", b"three"]).await;
        assert_eq!(receive(&ours, 11).await, b"onetwothree", "round {round}");
    }
    ours.shutdown();
}

pub async fn a_write_larger_than_every_buffer_arrives_whole<R: Runtime>(rt: R, place: Place) {
    const PIECES: usize = 150;
    const PIECE_BYTES: usize = 100_003;
    let (ours, theirs) = pair(&rt, &place).await;
    rt.spawn(async move {
        let mut queue: VecDeque<Bytes> = (0..PIECES).map(|piece| Bytes::from(vec![piece as u8; PIECE_BYTES])).collect();
        theirs.write_queue(&mut queue).await.unwrap();
        assert!(queue.is_empty());
        theirs.shutdown();
    });
    let got = receive(&ours, PIECES * PIECE_BYTES + 1).await;
    assert_eq!(got.len(), PIECES * PIECE_BYTES);
    for (index, piece) in got.chunks(PIECE_BYTES).enumerate() {
        assert!(piece.iter().all(|b| *b == index as u8), "piece {index}");
    }
}

pub async fn empty_pieces_are_skipped<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    send(&ours, &[b"", b"a", b"", b"", b"b", b""]).await;
    send(&ours, &[]).await;
    send(&ours, &[b"", b""]).await;
    ours.shutdown();
    assert_eq!(receive(&theirs, 10).await, b"ab");
}

pub async fn the_end_of_a_stream_reads_as_zero<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    send(&ours, &[b"last"]).await;
    drop(ours);
    assert_eq!(receive(&theirs, 10).await, b"last");
    theirs.readable().await.unwrap();
    assert_eq!(theirs.try_read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(theirs.try_read(&mut [0; 8]).unwrap(), 0);
}

pub async fn shutdown_wakes_the_reader_and_ends_the_peer<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    let ours = std::rc::Rc::new(ours);
    let (woken, wait) = flume::bounded(1);
    rt.spawn({
        let ours = ours.clone();
        async move {
            // End of stream or an error: both end the task.
            let ended = match ours.readable().await {
                Ok(()) => ours.try_read(&mut [0; 8]).unwrap_or(0),
                Err(_) => 0,
            };
            woken.send(ended).unwrap();
        }
    });
    rt.sleep_until(rt.now().after(Duration::from_millis(20))).await;
    assert!(wait.is_empty(), "nothing has happened yet");
    ours.shutdown();
    ours.shutdown();
    assert_eq!(wait.recv_async().await.unwrap(), 0);
    assert_eq!(receive(&theirs, 1).await, b"");
    assert!(ours.write_queue(&mut [Bytes::from_static(b"x")].into()).await.is_err());
}

pub async fn shutdown_ends_a_writer_that_waits<R: Runtime>(rt: R, place: Place) {
    let (ours, _theirs) = pair(&rt, &place).await;
    let ours = std::rc::Rc::new(ours);
    let (ended, wait) = flume::bounded(1);
    rt.spawn({
        let ours = ours.clone();
        async move {
            let mut queue: VecDeque<Bytes> = (0..64).map(|_| Bytes::from(vec![1; 1 << 20])).collect();
            ended.send(ours.write_queue(&mut queue).await.is_err()).unwrap();
        }
    });
    rt.sleep_until(rt.now().after(Duration::from_millis(50))).await;
    assert!(wait.is_empty(), "nobody reads, so the writer waits");
    ours.shutdown();
    assert!(wait.recv_async().await.unwrap());
}

pub async fn stopping_ends_the_accept_under_way_and_all_to_come<R: Runtime>(rt: R, place: Place) {
    let listener = std::rc::Rc::new(listen(&rt, &place).await);
    let (accepted, wait) = flume::unbounded();
    rt.spawn({
        let listener = listener.clone();
        async move {
            loop {
                match listener.accept().await {
                    Ok(_) => accepted.send(None).unwrap(),
                    Err(e) => return accepted.send(Some(e.kind())).unwrap(),
                }
            }
        }
    });
    let _first = rt.connect(listener.local_addr()).await.unwrap();
    assert_eq!(wait.recv_async().await.unwrap(), None);
    rt.sleep_until(rt.now().after(Duration::from_millis(5))).await;
    listener.stop();
    listener.stop();
    assert_eq!(wait.recv_async().await.unwrap(), Some(ErrorKind::Interrupted));
    assert_eq!(listener.accept().await.err().unwrap().kind(), ErrorKind::Interrupted);
    assert_eq!(rt.connect(listener.local_addr()).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
}

pub async fn a_cancelled_wait_loses_nothing<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    rt.spawn(async move {
        for byte in 0..200_u8 {
            theirs.write_queue(&mut [Bytes::from(vec![byte])].into()).await.unwrap();
        }
        theirs.shutdown();
    });
    let mut got = Vec::new();
    let mut cancelled = 0;
    loop {
        // Polled once and dropped: at times before the data, at times after.
        if future::poll_once(ours.readable()).await.is_none() {
            cancelled += 1;
            rt.sleep_until(rt.now().after(Duration::from_micros(50))).await;
        }
        match ours.try_read(&mut [0; 3]) {
            Ok(0) => break,
            Ok(_) if got.len() > 1000 => panic!("more bytes than were sent"),
            Ok(read) => got.push(read),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(got.iter().sum::<usize>(), 200);
    assert!(cancelled > 0);
}

pub async fn nobody_listens_means_refused<R: Runtime>(rt: R, place: Place) {
    let listener = listen(&rt, &place).await;
    let addr = listener.local_addr();
    listener.stop();
    drop(listener);
    rt.sleep_until(rt.now().after(Duration::from_millis(5))).await;
    assert_eq!(rt.connect(addr).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
}

pub async fn listeners_may_share_an_address_but_port_0_is_a_port_of_its_own<R: Runtime>(rt: R, place: Place) {
    let first = listen(&rt, &place).await;
    let second = listen(&rt, &place).await;
    assert_ne!(first.local_addr().port(), 0);
    assert_ne!(first.local_addr(), second.local_addr(), "port 0 means a port of one's own");
    rt.listen(first.local_addr(), 128).await.expect("listeners share an address");
}

pub async fn addresses_of_both_ends_agree<R: Runtime>(rt: R, place: Place) {
    let (ours, theirs) = pair(&rt, &place).await;
    assert_eq!((ours.local_addr(), ours.peer_addr()), (theirs.peer_addr(), theirs.local_addr()));
    assert_eq!(ours.peer_addr().ip(), place.ip);
}
