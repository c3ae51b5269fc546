//! What the machine gives through the runtime, without the broker: durable appends, plain writes by size, loopback echo.
//! `cargo bench -p shards --bench runtime [-- <directory on the data device>]`. One executor; the load on a second one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use shards::runtime::buf::Frozen;
use shards::runtime::uring::{UringConfig, UringRuntime, launch};
use shards::runtime::{BLOCK_BYTES, Conn, File, Listener, OpenMode, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: usize = 1024 * 1024;
const FILE_BYTES: usize = 256 * MIB;
const APPEND_BYTES: usize = 16 * 1024;
const RUN: Duration = Duration::from_secs(2);

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::TempDir::new_in(dir).expect("a directory on the data device");
    let config = |name: &str, io_memory_bytes: usize| UringConfig {
        name: name.to_owned(),
        data_dir: dir.path().to_owned(),
        spin_before_park: Duration::ZERO,
        io_memory_bytes,
    };
    let path = dir.path().join("file");

    println!("durable appends of 16 KiB, group commit into a zero-filled file");
    for writers in [1, 8, 64] {
        let path = path.clone();
        launch(config("appends", 32 * MIB), None, move |rt| appends(rt, path, writers)).expect("starts").join();
    }
    println!("writes in turn, each in a new buffer, the last so many MiB kept as a cache");
    for (memory, io_memory_bytes) in [("heap", 64 * 1024), ("32 MiB registered", 32 * MIB), ("registered", 160 * MIB)] {
        for kept_bytes in [0, 64 * MIB] {
            let path = path.clone();
            launch(config("writes", io_memory_bytes), None, move |rt| writes(rt, path, memory, kept_bytes))
                .expect("starts")
                .join();
        }
    }
    println!("echo of 64 bytes over loopback, two executors");
    for conns in [1, 32] {
        let (tell, told) = flume::bounded(1);
        let server = launch(config("server", MIB), Some(0), move |rt| serve(rt, tell)).expect("starts");
        let addr = told.recv().expect("the server listens");
        launch(config("client", MIB), Some(1), move |rt| ask(rt, addr, conns)).expect("starts").join();
        server.join();
    }
}

async fn zero_filled(rt: &UringRuntime, path: &std::path::Path) -> <UringRuntime as Runtime>::File {
    let file = rt.open(path, OpenMode::Create).await.expect("opens");
    let mut zeros = rt.alloc(MIB);
    zeros.extend_zeros(MIB);
    let zeros = zeros.freeze();
    for pos in (0..FILE_BYTES).step_by(MIB) {
        file.write(pos as u64, &zeros).await.expect("writes");
    }
    file.sync().await.expect("syncs");
    file
}

/// Each writer hands in 16 KiB, waits until it is synced, and again; one loop commits all that came in meanwhile.
async fn appends(rt: UringRuntime, path: PathBuf, writers: usize) {
    let file = zero_filled(&rt, &path).await;
    let (submit, submitted) = flume::unbounded::<(Instant, flume::Sender<()>)>();
    let done = Rc::new(Cell::new(0_u64));
    let latency = Rc::new(RefCell::new(Histogram::<u64>::new(3).expect("three digits")));
    let end = Instant::now() + RUN;
    for _ in 0..writers {
        let (submit, done, latency) = (submit.clone(), done.clone(), latency.clone());
        rt.spawn(async move {
            let (synced, sync) = flume::bounded(1);
            while Instant::now() < end {
                let start = Instant::now();
                submit.send((start, synced.clone())).expect("the committer runs");
                sync.recv_async().await.expect("the committer answers");
                latency.borrow_mut().saturating_record(start.elapsed().as_micros() as u64);
                done.set(done.get() + 1);
            }
        });
    }
    drop(submit);
    let record = vec![7_u8; APPEND_BYTES];
    let mut pos = 0;
    while let Ok(first) = submitted.recv_async().await {
        let group: Vec<_> = std::iter::once(first).chain(submitted.drain()).collect();
        let mut buffer = rt.alloc(group.len() * APPEND_BYTES);
        group.iter().for_each(|_| buffer.extend_from_slice(&record));
        let frozen = buffer.freeze();
        if pos + frozen.len() > FILE_BYTES {
            pos = 0;
        }
        file.write(pos as u64, &frozen).await.expect("writes");
        file.sync().await.expect("syncs");
        pos += frozen.len();
        group.iter().for_each(|(_, synced)| synced.send(()).expect("the writer waits"));
    }
    let latency = latency.borrow();
    println!(
        "  {writers:3} writers: {:7.0}/s, p50 {} us, p99 {} us",
        done.get() as f64 / RUN.as_secs_f64(),
        latency.value_at_quantile(0.5),
        latency.value_at_quantile(0.99)
    );
}

async fn writes(rt: UringRuntime, path: PathBuf, memory: &'static str, kept_bytes: usize) {
    let file = zero_filled(&rt, &path).await;
    print!("  {memory}, {} MiB kept:", kept_bytes / MIB);
    let source = vec![9_u8; MIB];
    for size in [4 * 1024, 16 * 1024, 64 * 1024, 512 * 1024, MIB] {
        let mut kept: VecDeque<Frozen> = VecDeque::new();
        let (mut pos, mut total) = (0, 0);
        let mut filling = Duration::ZERO;
        let start = Instant::now();
        while start.elapsed() < RUN / 4 {
            let fill = Instant::now();
            let mut buffer = rt.alloc(size);
            buffer.extend_from_slice(&source[..size]);
            let frozen = buffer.freeze();
            kept.push_back(frozen.clone());
            while kept.len() * size > kept_bytes.max(size) {
                kept.pop_front();
            }
            filling += fill.elapsed();
            file.write(pos as u64, &frozen).await.expect("writes");
            pos = (pos + size) % FILE_BYTES;
            total += size;
        }
        let (took, count) = (start.elapsed(), total / size);
        print!(
            "  {} KiB {:.0} MB/s (fill {:.1} us)",
            size / 1024,
            total as f64 / 1e6 / took.as_secs_f64(),
            filling.as_micros() as f64 / count as f64
        );
    }
    println!();
    assert_eq!(file.len().await.expect("has a length") as usize % BLOCK_BYTES, 0);
}

const MESSAGE_BYTES: usize = 64;

async fn serve(rt: UringRuntime, tell: flume::Sender<std::net::SocketAddr>) {
    let listener = rt.listen(([127, 0, 0, 1], 0).into(), 128).await.expect("a free port");
    tell.send(listener.local_addr()).expect("the client waits");
    let open = Rc::new(Cell::new(0_u32));
    let listener = Rc::new(listener);
    while let Ok(conn) = listener.accept().await {
        open.set(open.get() + 1);
        let (rt, open, listener) = (rt.clone(), open.clone(), listener.clone());
        rt.clone().spawn(async move {
            let mut buffer = [0; 4096];
            let mut queue = VecDeque::new();
            loop {
                match conn.try_read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        queue.push_back(Bytes::copy_from_slice(&buffer[..read]));
                        conn.write_queue(&mut queue).await.expect("the client reads");
                        rt.quantum().await;
                    }
                    Err(_) => conn.readable().await.expect("the client writes"),
                }
            }
            open.set(open.get() - 1);
            if open.get() == 0 {
                listener.stop();
            }
        });
    }
}

async fn ask(rt: UringRuntime, addr: std::net::SocketAddr, conns: usize) {
    let done = Rc::new(Cell::new(0_u64));
    let (ended, end) = flume::unbounded();
    let mut connected = Vec::new();
    for _ in 0..conns {
        connected.push(rt.connect(addr).await.expect("connects"));
    }
    let start = Instant::now();
    for conn in connected {
        let (rt, done, ended) = (rt.clone(), done.clone(), ended.clone());
        rt.clone().spawn(async move {
            let mut buffer = [0; 4096];
            let mut queue = VecDeque::new();
            while start.elapsed() < RUN {
                queue.push_back(Bytes::from_static(&[5; MESSAGE_BYTES]));
                conn.write_queue(&mut queue).await.expect("the server reads");
                let mut left = MESSAGE_BYTES;
                while left > 0 {
                    match conn.try_read(&mut buffer) {
                        Ok(read) => left -= read,
                        Err(_) => conn.readable().await.expect("the server answers"),
                    }
                }
                done.set(done.get() + 1);
                rt.quantum().await;
            }
            ended.send(()).expect("somebody counts");
        });
    }
    for _ in 0..conns {
        end.recv_async().await.expect("all end");
    }
    println!("  {conns:3} connections: {:.0}/s", done.get() as f64 / start.elapsed().as_secs_f64());
}
