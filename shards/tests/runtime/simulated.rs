//! What only the simulator can do: repeat itself, fall over, cut power, damage disks and networks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use shards::runtime::sim::{DiskOp, DiskSpeed, Fault, HostId, Sim, SimRuntime};
use shards::runtime::{BLOCK_BYTES, Conn, File, Listener, OpenMode, Runtime, Space};

use crate::files::blocks;
use crate::sockets::receive;

const BLOCK: u64 = BLOCK_BYTES as u64;
const FILE: &str = "/data/file";

/// A world of one host with a directory whose name is safe.
fn one_host(seed: u64) -> (Sim, HostId) {
    let sim = Sim::new(seed);
    let host = sim.add_host("host");
    sim.block_on(host, |rt| async move {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        rt.sync_dir(Path::new("/")).await.unwrap();
    });
    (sim, host)
}

async fn open(rt: &SimRuntime) -> <SimRuntime as Runtime>::File {
    rt.open(Path::new(FILE), OpenMode::Create).await.unwrap()
}

/// A file of `fill.len()` blocks that is safe, name and content.
fn with_safe_file(sim: &Sim, host: HostId, fill: &'static [u8]) {
    sim.block_on(host, move |rt| async move {
        let file = open(&rt).await;
        file.write(0, &blocks(&rt, fill)).await.unwrap();
        file.sync().await.unwrap();
        rt.sync_dir(Path::new("/data")).await.unwrap();
    });
}

/// Two hosts that talk, write, crash and start again: everything that takes decisions.
fn busy_run(seed: u64) -> u64 {
    let (sim, server) = one_host(seed);
    let client = sim.add_host("client");
    let addr = SocketAddr::new(sim.ip(server), 9092);
    for round in 0..4_u64 {
        sim.spawn(server, |rt| async move {
            let listener = rt.listen(addr, 128).await.unwrap();
            let file = open(&rt).await;
            while let Ok(conn) = listener.accept().await {
                let asked = receive(&conn, 8).await;
                file.write(0, &blocks(&rt, &asked)).await.unwrap();
                file.sync().await.unwrap();
                if conn.write_queue(&mut [Bytes::from(asked)].into()).await.is_err() {
                    return;
                }
            }
        });
        for _ in 0..3 {
            sim.spawn(client, |rt| async move {
                for _ in 0..10 {
                    let Ok(conn) = rt.connect(addr).await else { continue };
                    let value = Bytes::copy_from_slice(&rt.random().to_le_bytes());
                    if conn.write_queue(&mut [value].into()).await.is_ok() && conn.readable().await.is_err() {
                        return;
                    }
                    rt.quantum().await;
                }
            });
        }
        sim.run_for(Duration::from_micros(500 + sim.pick(20_000)));
        if round % 2 == 0 {
            sim.crash(server)
        } else {
            sim.kill(server)
        }
        sim.run_for(Duration::from_millis(1));
    }
    sim.trace()
}

/// Set for the child process: it prints the traces of its runs and nothing more.
const CHILD: &str = "SIMULATED_TRACES_OF_CHILD";
const CHILD_SEEDS: u64 = 10;

#[test]
fn the_same_seed_gives_the_same_run_in_another_process() {
    let traces: Vec<String> = (0..CHILD_SEEDS).map(|seed| format!("trace {seed} {:016x}", busy_run(seed))).collect();
    if std::env::var_os(CHILD).is_some() {
        println!("{}", traces.join("\n"));
        return;
    }
    let again: Vec<String> = (0..CHILD_SEEDS).map(|seed| format!("trace {seed} {:016x}", busy_run(seed))).collect();
    assert_eq!(traces, again, "in the same process");
    let name = "simulated::the_same_seed_gives_the_same_run_in_another_process";
    let this = std::env::current_exe().unwrap();
    let child = Command::new(this).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let printed = String::from_utf8(child.stdout).unwrap();
    let theirs: Vec<&str> =
        printed.lines().filter_map(|line| line.find("trace ").map(|start| &line[start..])).collect();
    assert_eq!(traces, theirs, "in another process");
    assert_eq!(traces.iter().collect::<BTreeSet<_>>().len(), traces.len(), "another seed is another run");
}

#[test]
fn synced_content_survives_a_power_cut_and_unsynced_content_at_times() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..200 {
        let (sim, host) = one_host(seed);
        with_safe_file(&sim, host, b"aaaa");
        sim.spawn(host, |rt| async move {
            let file = open(&rt).await;
            file.write(2 * BLOCK, &blocks(&rt, b"bb")).await.unwrap();
            std::future::pending::<()>().await;
        });
        sim.run_for(Duration::from_millis(5));
        sim.crash(host);
        let content = sim.disk(host).content(Path::new(FILE)).expect("the name was synced");
        assert_eq!(content.len(), 4 * BLOCK_BYTES);
        assert!(content[..2 * BLOCK_BYTES].iter().all(|b| *b == b'a'), "synced and not written again");
        let sectors: Vec<bool> = content[2 * BLOCK_BYTES..]
            .chunks(512)
            .map(|sector| {
                assert!(sector.iter().all(|b| *b == sector[0]), "a sector is never torn");
                assert!(b"ab".contains(&sector[0]));
                sector[0] == b'b'
            })
            .collect();
        outcomes.insert(match (sectors.contains(&true), sectors.contains(&false)) {
            (true, true) => "torn",
            (true, false) => "kept",
            _ => "lost",
        });
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), ["kept", "lost", "torn"]);
}

#[test]
fn a_sync_covers_only_writes_that_were_done_before_it() {
    let mut lost = 0;
    for seed in 0..200 {
        let (sim, host) = one_host(seed);
        with_safe_file(&sim, host, b"aa");
        sim.disk(host).set_speed(DiskSpeed {
            write: Duration::from_millis(2)..Duration::from_millis(3),
            sync: Duration::from_millis(5)..Duration::from_millis(6),
            ..DiskSpeed::default()
        });
        let both_done = Rc::new(Cell::new(false));
        let done = both_done.clone();
        sim.spawn(host, |rt| async move {
            let file = open(&rt).await;
            file.write(0, &blocks(&rt, b"b")).await.unwrap();
            let late = blocks(&rt, b"b");
            let (written, synced) = futures_lite::future::zip(file.write(BLOCK, &late), file.sync()).await;
            assert!(written.is_ok() && synced.is_ok());
            done.set(true);
            std::future::pending::<()>().await;
        });
        assert!(sim.run_until(Duration::from_secs(1), || both_done.get()));
        sim.crash(host);
        let content = sim.disk(host).content(Path::new(FILE)).unwrap();
        assert!(content[..BLOCK_BYTES].iter().all(|b| *b == b'b'), "done before the sync began");
        lost += u64::from(content[BLOCK_BYTES..].contains(&b'a'));
    }
    assert!(lost > 20, "a write in flight when the sync began is not covered, yet was lost only {lost} times");
}

#[test]
fn a_synced_write_covers_itself_and_nothing_before_it() {
    let mut lost = 0;
    for seed in 0..200 {
        let (sim, host) = one_host(seed);
        with_safe_file(&sim, host, b"aa");
        let done = Rc::new(Cell::new(false));
        let told = done.clone();
        sim.spawn(host, |rt| async move {
            let file = rt.open(Path::new(FILE), OpenMode::Synced).await.unwrap();
            file.write(0, &blocks(&rt, b"b")).await.unwrap();
            file.write_synced(BLOCK, &blocks(&rt, b"b")).await.unwrap();
            told.set(true);
            std::future::pending::<()>().await;
        });
        assert!(sim.run_until(Duration::from_secs(1), || done.get()));
        sim.crash(host);
        let content = sim.disk(host).content(Path::new(FILE)).unwrap();
        assert!(content[BLOCK_BYTES..].iter().all(|b| *b == b'b'), "a synced write is sure");
        lost += u64::from(content[..BLOCK_BYTES].contains(&b'a'));
    }
    assert!(lost > 20, "a write before it is not covered, yet was lost only {lost} times");
}

#[test]
fn names_survive_only_when_their_directory_was_synced() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..100 {
        let (sim, host) = one_host(seed);
        sim.block_on(host, |rt| async move {
            rt.write_whole(Path::new("/data/safe"), "1").await.unwrap();
            rt.write_whole(Path::new("/data/tmp"), "new").await.unwrap();
            rt.sync_dir(Path::new("/data")).await.unwrap();
            rt.rename(Path::new("/data/tmp"), Path::new("/data/safe")).await.unwrap();
            rt.write_whole(Path::new("/data/unsafe"), "2").await.unwrap();
        });
        sim.crash(host);
        let disk = sim.disk(host);
        // A rename is there or not, never half.
        let renamed = disk.content(Path::new("/data/tmp")).is_none();
        let expected: &[u8] = if renamed { b"new" } else { b"1" };
        assert_eq!(disk.content(Path::new("/data/safe")).as_deref(), Some(expected));
        match disk.content(Path::new("/data/unsafe")) {
            Some(content) => {
                assert_eq!(content, b"2", "the content was synced, and only the name was not");
                kept += 1;
            }
            None => lost += 1,
        }
    }
    assert!(kept > 10 && lost > 10, "kept {kept}, lost {lost}");
}

#[test]
fn a_sync_of_all_makes_sure_what_came_before_it() {
    let mut lost = 0;
    for seed in 0..100 {
        let (sim, host) = one_host(seed);
        sim.block_on(host, |rt| async move {
            let file = open(&rt).await;
            file.write(0, &blocks(&rt, b"a")).await.unwrap();
            rt.make_dir_with(Path::new("/data/made"), "of", b"it").await.unwrap();
            rt.write_whole(Path::new("/data/tmp"), "new").await.unwrap();
            rt.rename(Path::new("/data/tmp"), Path::new("/data/renamed")).await.unwrap();
            let mut all = std::pin::pin!(rt.sync_all(Path::new("/data")));
            // It has begun, and what comes from here on may be lost.
            assert!(futures_lite::future::poll_once(all.as_mut()).await.is_none());
            file.write(BLOCK, &blocks(&rt, b"b")).await.unwrap();
            rt.rename(Path::new("/data/renamed"), Path::new("/data/again")).await.unwrap();
            all.await.unwrap();
        });
        sim.crash(host);
        let disk = sim.disk(host);
        let content = disk.content(Path::new(FILE)).expect("its name is sure");
        assert!(content[..BLOCK_BYTES].iter().all(|b| *b == b'a'));
        assert_eq!(disk.content(Path::new("/data/made/of")).as_deref(), Some(&b"it"[..]));
        assert_eq!(disk.content(Path::new("/data/tmp")), None);
        let names = ["/data/renamed", "/data/again"].map(|name| disk.content(Path::new(name)));
        assert_eq!(names.iter().flatten().collect::<Vec<_>>(), [b"new"]);
        lost += u64::from(names[1].is_none() || !content[BLOCK_BYTES..].contains(&b'b'));
    }
    assert!(lost > 20, "what came after it is not covered, yet was lost only {lost} times");
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    for seed in 0..50 {
        let (sim, host) = one_host(seed);
        sim.block_on(host, |rt| async move {
            let file = open(&rt).await;
            file.write(0, &blocks(&rt, b"abc")).await.unwrap();
        });
        sim.kill(host);
        let content = sim.disk(host).content(Path::new(FILE)).expect("the name stays");
        assert_eq!((content.len(), content[0], content[2 * BLOCK_BYTES]), (3 * BLOCK_BYTES, b'a', b'c'));
        // Not synced: a power cut afterwards may still take it.
        sim.crash(host);
        sim.block_on(host, |rt| async move { open(&rt).await.close().await.unwrap() });
    }
}

#[test]
fn a_crash_drops_the_tasks_of_its_host_and_no_others() {
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let (sim, host) = one_host(1);
    let other = sim.add_host("other");
    let dropped = Rc::new(Cell::new(0));
    for (of, path) in [(host, "/f"), (host, "/g"), (other, "/f")] {
        let counts = Counts(dropped.clone());
        sim.spawn(of, |rt| async move {
            let file = rt.open(Path::new(path), OpenMode::Create).await.unwrap();
            let write = blocks(&rt, b"x");
            loop {
                file.write(0, &write).await.unwrap();
                let _ = &counts;
            }
        });
    }
    sim.run_for(Duration::from_millis(5));
    let old = sim.runtime(host);
    sim.crash(host);
    assert_eq!(dropped.get(), 2);
    // What is left of the old life starts nothing any more.
    old.spawn(async { panic!("a task of a host that has crashed") });
    sim.run_for(Duration::from_millis(5));
    assert_eq!(dropped.get(), 2);
    drop((old, sim));
    assert_eq!(dropped.get(), 3, "the world drops what it still runs");
}

#[test]
fn faults_strike_where_and_when_they_were_planted() {
    let (sim, host) = one_host(3);
    with_safe_file(&sim, host, b"ab");
    let fault = |op, after, times| Fault { op, path_contains: "fi".into(), after, times };
    for op in [DiskOp::Read, DiskOp::Write, DiskOp::Sync] {
        sim.disk(host).add_fault(fault(op, 1, 1));
    }
    sim.block_on(host, |rt| async move {
        let file = open(&rt).await;
        let data = blocks(&rt, b"c");
        assert!(file.read(0, BLOCK_BYTES).await.is_ok());
        assert_eq!(file.read(0, BLOCK_BYTES).await.unwrap_err().raw_os_error(), Some(5), "EIO");
        assert!(file.read(0, BLOCK_BYTES).await.is_ok());
        assert!(file.write(0, &data).await.is_ok());
        assert!(file.write(0, &data).await.is_err());
        assert!(file.sync().await.is_ok());
        assert!(file.sync().await.is_err());
        rt.write_whole(Path::new("/data/other"), "x").await.expect("another path");
    });
    sim.disk(host).add_fault(fault(DiskOp::Other, 0, u64::MAX));
    sim.block_on(host, |rt| async move {
        for _ in 0..3 {
            assert!(rt.open(Path::new(FILE), OpenMode::Read).await.is_err());
        }
    });
    sim.disk(host).clear_faults();
    assert!(sim.disk(host).flip_bit(Path::new(FILE), BLOCK + 7, 0));
    assert!(!sim.disk(host).flip_bit(Path::new(FILE), 2 * BLOCK, 0));
    sim.block_on(host, |rt| async move {
        let read = open(&rt).await.read(BLOCK, BLOCK_BYTES).await.unwrap();
        assert_eq!((read[6], read[7], read[8]), (b'b', b'c', b'b'));
    });
}

#[test]
fn a_full_disk_refuses_what_needs_space_until_there_is_some() {
    let (sim, host) = one_host(4);
    with_safe_file(&sim, host, b"ab");
    sim.disk(host).set_capacity(4 * BLOCK);
    assert_eq!(sim.disk(host).used_bytes(), 2 * BLOCK);
    sim.block_on(host, |rt| async move {
        let file = open(&rt).await;
        let big = rt.open(Path::new("/data/big"), OpenMode::Create).await.unwrap();
        assert_eq!(big.allocate(3 * BLOCK).await.unwrap_err().kind(), ErrorKind::StorageFull);
        let space = rt.space(Path::new("/data")).await.unwrap();
        assert_eq!(space, Space { total_bytes: 4 * BLOCK, free_bytes: 2 * BLOCK });
        big.allocate(2 * BLOCK).await.unwrap();
        file.write(0, &blocks(&rt, b"zz")).await.expect("its blocks are there already");
        let e = file.write(2 * BLOCK, &blocks(&rt, b"c")).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::StorageFull);
        big.write(0, &blocks(&rt, b"xy")).await.expect("space was reserved");
        rt.remove_file(Path::new("/data/big")).await.unwrap();
        assert!(file.write(2 * BLOCK, &blocks(&rt, b"c")).await.is_err(), "it is still open");
        big.close().await.unwrap();
        file.write(2 * BLOCK, &blocks(&rt, b"cd")).await.unwrap();
        file.resize(BLOCK).await.unwrap();
    });
    assert_eq!(sim.disk(host).used_bytes(), BLOCK);
}

#[test]
fn hosts_that_are_cut_off_hear_each_other_again_when_healed() {
    for seed in 0..20 {
        let (sim, server) = one_host(seed);
        let client = sim.add_host("client");
        let addr = SocketAddr::new(sim.ip(server), 9092);
        let got = Rc::new(RefCell::new(Vec::new()));
        let heard = got.clone();
        sim.spawn(server, |rt| async move {
            let listener = rt.listen(addr, 128).await.unwrap();
            let conn = listener.accept().await.unwrap();
            while let Some(byte) = receive(&conn, 1).await.first() {
                heard.borrow_mut().push(*byte);
            }
            std::future::pending::<()>().await;
        });
        sim.run_for(Duration::from_millis(5));
        let conn = sim.block_on(client, |rt| async move { rt.connect(addr).await.unwrap() });
        let conn = Rc::new(conn);
        let say = |word: &'static [u8]| {
            let conn = conn.clone();
            sim.block_on(client, |_| async move {
                conn.write_queue(&mut [Bytes::from_static(word)].into()).await.unwrap();
            });
            sim.run_for(Duration::from_millis(20));
        };
        say(b"one");
        sim.cut(client, server);
        say(b"two");
        assert_eq!(*got.borrow(), b"one");
        let refused = sim.block_on(client, |rt| async move { rt.connect(addr).await.err().unwrap().kind() });
        assert_eq!(refused, ErrorKind::TimedOut);
        sim.heal(client, server);
        say(b"three");
        assert_eq!(*got.borrow(), b"onetwothree");
        sim.crash(server);
        sim.run_for(Duration::from_millis(5));
        let after = sim.block_on(client, {
            let conn = conn.clone();
            |_| async move { conn.readable().await.and_then(|()| conn.try_read(&mut [0; 8])) }
        });
        assert_eq!(after.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn clocks_jump_when_told_to() {
    let (sim, host) = one_host(5);
    let (mono, wall) = sim.block_on(host, |rt| async move { (rt.now(), rt.wall_ms()) });
    sim.jump_wall(host, -86_400_000);
    sim.pass(Duration::from_secs(10));
    sim.block_on(host, move |rt| async move {
        assert!(rt.now().since(mono) >= Duration::from_secs(10));
        assert!((wall - rt.wall_ms() - 86_390_000).abs() < 100);
    });
}

#[test]
#[should_panic(expected = "nothing can happen any more")]
fn waiting_for_what_never_comes_is_found_out() {
    let (sim, host) = one_host(6);
    sim.block_on(host, |_| std::future::pending::<()>());
}

#[test]
#[should_panic(expected = "two writes in flight share a block")]
fn two_writes_in_flight_must_not_share_a_block() {
    let (sim, host) = one_host(7);
    sim.block_on(host, |rt| async move {
        let file = open(&rt).await;
        let (one, two) = (blocks(&rt, b"aa"), blocks(&rt, b"b"));
        let _ = futures_lite::future::zip(file.write(0, &one), file.write(BLOCK, &two)).await;
    });
}
