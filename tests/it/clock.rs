//! A broker whose wall clock jumps by days, while clients whose clocks do not are at work. libfaketime, loaded into the process,
//! moves what it is told of the wall clock and leaves the monotonic ones alone, as a wrong time server does; where there is no
//! such library the tests are skipped, and say so.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::fetch::FetchRequest;
use shards::batch::{Compression, walk};

use crate::broker::{Broker, Connection, Home, until};
use crate::compaction::{OFTEN, Seen, keyed, read_all};
use crate::dice::given;
use crate::groups::{commit, committed, find, heartbeat, join_for, state, sync};
use crate::http;
use crate::ledger::{Appended, Ledger};
use crate::on_disk::verified;
use crate::peer::{batch, fetch_request};
use crate::told::skipped;

/// Of one run, ahead and back in turn; `JUMPS=500` for a release.
const JUMPS: usize = 2;
const DAY_MS: &str = "86400000";
/// What is dated by the tests' own clock is let in, whatever the broker's says.
const ANY_TIME: (&str, &str) = ("message.timestamp.after.max.ms", "9223372036854775807");

/// The wall clock of the brokers of a home.
struct WallClock {
    told: PathBuf,
}

impl WallClock {
    /// `None`, with a word on stderr, where there is no library.
    fn new(home: &mut Home) -> Option<WallClock> {
        let Some(library) = library() else {
            skipped("there is no libfaketime (Debian's package faketime)");
            return None;
        };
        let clock = WallClock { told: home.path().join("wall-clock") };
        clock.set(0);
        let yes = || PathBuf::from("1");
        home.env = vec![
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", clock.told.clone()),
            ("FAKETIME_NO_CACHE", yes()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", yes()),
            ("NO_FAKE_STAT", yes()),
        ];
        Some(clock)
    }

    /// From now on it is so many days ahead of the true time.
    fn set(&self, days: i64) {
        let beside = self.told.with_extension("new");
        fs::write(&beside, format!("{days:+}d\n")).expect("written");
        fs::rename(&beside, &self.told).expect("renamed");
    }
}

fn library() -> Option<PathBuf> {
    let of_machines = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    of_machines.map(|dir| dir.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// Ends the load, also when a check has failed: nobody would tell it otherwise.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn count(broker: &Broker, what: &str) -> usize {
    broker.stderr().matches(what).count()
}

fn log_start(peer: &mut Connection, topic: &str) -> i64 {
    let (code, offset) = peer.list_offset(topic, -2, 5);
    assert_eq!(code, ErrorCode::None, "{topic}");
    offset
}

/// Appends until retention has moved the log start: it has looked at all topics since.
fn until_retention_has_looked(peer: &mut Connection, topic: &str) {
    let before = log_start(peer, topic);
    let large = batch(&[&[7; 300_000]], None);
    until("retention by size goes on", || {
        assert_eq!(peer.append(topic, &large).0, ErrorCode::None);
        log_start(peer, topic) > before
    });
}

#[test]
fn days_ahead_and_back_lose_nothing_and_stop_nothing() {
    let mut home = Home::new();
    let Some(clock) = WallClock::new(&mut home) else { return };
    let often = ["log.retention.check.interval.ms=100", "offsets.retention.check.interval.ms=100"];
    let short = ["shards=1", "offsets.retention.minutes=1440", "group.initial.rebalance.delay.ms=0"];
    let flags = often.iter().chain(&short).flat_map(|set| ["--set", *set]).chain(OFTEN).collect::<Vec<_>>();
    let broker = home.dev(&flags);
    let mut peer = broker.connect();
    let a_day = [("retention.ms", DAY_MS), ("segment.ms", "200"), ANY_TIME];
    let by_broker = [("retention.ms", DAY_MS), ("segment.ms", "200"), ("message.timestamp.type", "LogAppendTime")];
    let small = [("retention.bytes", "1048576"), ("segment.bytes", "1048576"), ("retention.ms", "-1"), ANY_TIME];
    let compact = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", DAY_MS),
    ];
    let topics: [(&str, &[(&str, &str)]); 5] =
        [("aged", &a_day), ("dated", &by_broker), ("small", &small), ("once", &[ANY_TIME]), ("table", &compact)];
    for (topic, configs) in topics {
        assert_eq!(peer.create_with(topic, 1, configs), ErrorCode::None, "{topic}");
    }
    let (id, epoch) = peer.producer_id();
    let once = batch(&[b"once"], Some((id, epoch, 0)));
    assert_eq!(peer.append("once", &once), (ErrorCode::None, 0));
    let newer = |n: i64, key: &str, value: Option<&str>| -> Seen {
        (n, 1_000 + n * 10, key.as_bytes().to_vec(), value.map(|text| text.as_bytes().to_vec()))
    };
    let mut table = vec![newer(0, "gone", None)];
    assert_eq!(peer.append("table", &keyed(&table, Compression::None)), (ErrorCode::None, 0));
    for group in ["stays", "leaves", "readers"] {
        find(&mut peer, group);
        // A group with nothing in it would be forgotten between the two requests by which a member joins.
        assert_eq!(commit(&mut peer, group, "aged", 7, None), ErrorCode::None);
    }
    let stays = join_for(&mut peer, "stays", 60_000);
    assert_eq!(sync(&mut peer, "stays", &stays), "all");

    let jumps = given("JUMPS", JUMPS);
    let (ended, address) = (AtomicBool::new(false), broker.address);
    let append = |topic: &str| {
        let (mut ledger, mut peer) = (Ledger::new(topic, 300), Connection::to(address));
        while !ended.load(Ordering::Relaxed) {
            assert_eq!(ledger.append(&mut peer), Appended::Acked);
        }
        ledger
    };
    let beat = || {
        let mut peer = Connection::to(address);
        while !ended.load(Ordering::Relaxed) {
            assert_eq!(heartbeat(&mut peer, "stays", &stays), ErrorCode::None);
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    let ledgers = std::thread::scope(|scope| {
        let ending = Ending(&ended);
        let loads = [scope.spawn(|| append("aged")), scope.spawn(|| append("dated"))];
        scope.spawn(beat);
        until_retention_has_looked(&mut peer, "small");
        for jump in 1..=jumps {
            let days = if jump % 2 == 1 { 3 } else { -3 };
            let leaves = join_for(&mut peer, "leaves", 6_000);
            assert_eq!(sync(&mut peer, "leaves", &leaves), "all");
            clock.set(days);
            until("the jump is seen", || count(&broker, "the wall clock jumped") == jump);
            // Twice: one look may have been under way.
            until_retention_has_looked(&mut peer, "small");
            until_retention_has_looked(&mut peer, "small");
            assert_eq!(["aged", "dated", "table"].map(|topic| log_start(&mut peer, topic)), [0; 3], "by {days} days");
            assert_eq!(peer.append("once", &once), (ErrorCode::None, 0), "a repeat is known as one by {days} days");
            assert_eq!(committed(&mut peer, "readers", "aged"), 7);
            let base = table.len() as i64;
            let more = [newer(base, "kept", Some("v")), newer(base + 1, "kept", Some("w"))];
            for one in &more {
                assert_eq!(peer.append("table", &keyed(std::slice::from_ref(one), Compression::None)).1, one.0);
            }
            table.extend(more);
            let wait = FetchRequest { max_wait_ms: 300, ..fetch_request("once", 1) };
            let waited = peer.fetch(wait).responses.remove(0).partitions.remove(0);
            assert_eq!((waited.error_code, waited.records.map_or(0, |records| records.len())), (ErrorCode::None, 0));
            until("a silent member is given up", || state(&mut peer, "leaves") == "Empty");
        }
        drop(ending);
        loads.map(|load| load.join().expect("all was acked"))
    });
    ledgers.iter().for_each(|ledger| ledger.check(&mut peer));
    assert!(ledgers.iter().all(|ledger| ledger.acked() > 10));
    let left = broker.terminate();
    assert!(left.status.success() && !left.stderr.contains("panicked"), "{}", left.stderr);

    // A start knows of no jump: it takes the clock as it is, by default three days behind.
    let broker = home.dev(&flags);
    let mut peer = broker.connect();
    until_retention_has_looked(&mut peer, "small");
    ledgers.iter().for_each(|ledger| ledger.check(&mut peer));
    assert_eq!(["aged", "dated"].map(|topic| log_start(&mut peer, topic)), [0; 2]);
    let newest = [&table[..1], &table[table.len() - 2..]].concat();
    until("compaction goes on", || read_all(&mut peer, "table") == newest);
    assert!(broker.terminate().status.success());
    let (ran, told) = verified(&home, &[]);
    assert_eq!(ran.code, Some(0), "{told}");
}

/// Whether the tombstone at the start of the log is there, with the time at which it may go.
fn has_waiting_tombstone(peer: &mut Connection, topic: &str) -> bool {
    let found = peer.fetch(fetch_request(topic, 0)).responses.remove(0).partitions.remove(0);
    let bytes = found.records.map(|records| records.into_bytes()).unwrap_or_default();
    walk(&bytes).next().is_some_and(|(_, header)| header.base_offset == 0 && header.delete_horizon_ms().is_some())
}

#[test]
fn a_jump_while_a_log_is_compacted_ends_no_tombstones_time() {
    let mut home = Home::new();
    let Some(clock) = WallClock::new(&mut home) else { return };
    let slow = ["--set", "shards=1", "--set", "log.cleaner.io.max.bytes.per.second=524288"];
    let (broker, http) = http::start(&home, &[&OFTEN[..], &slow].concat());
    let mut peer = broker.connect();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", DAY_MS),
    ];
    assert_eq!(peer.create_with("t", 1, &configs), ErrorCode::None);
    let large = vec![7; 900_000];
    // Each closes the segment before it; of the large one alone the keys are read for seconds.
    let records: [(&str, Option<&[u8]>); 4] =
        [("gone", None), ("k", Some(b"v")), ("large", Some(&large)), ("k", Some(b"w"))];
    let one = |n: usize| -> Bytes {
        let (key, value) = records[n];
        let n = n as i64;
        keyed(&[(n, 1_000 + n * 10, key.as_bytes().to_vec(), value.map(<[u8]>::to_vec))], Compression::None)
    };
    let read = || http::sample(&http::get(http, "/metrics").body, "corelog_compaction_read_bytes_total{shard=\"0\"}");
    for n in [0, 1] {
        assert_eq!(peer.append("t", &one(n)), (ErrorCode::None, n as i64));
    }
    until("the tombstone has its time", || has_waiting_tombstone(&mut peer, "t"));
    let before = read();
    for n in [2, 3] {
        assert_eq!(peer.append("t", &one(n)), (ErrorCode::None, n as i64));
    }
    until("the keys are being read", || read() > before + large.len() as f64);
    clock.set(3);
    let compacted = || count(&broker, "\"compacted\"");
    let passes = compacted();
    until("compacted", || compacted() > passes);
    assert!(has_waiting_tombstone(&mut peer, "t"), "it had a day");
    assert!(broker.terminate().status.success());
}
