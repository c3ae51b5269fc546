//! A broker in a cgroup of 256 MiB under a flood of requests that are larger than that together: the clients wait, the
//! kernel kills nothing, and what was acked is there; also after a crash, with the journals that the flood has left.

use std::fs;
use std::path::{Path, PathBuf};

use corelog::wire::ErrorCode;

use crate::broker::{Broker, Connection, Home};
use crate::ledger::{Appended, Ledger};
use crate::told::skipped;

const LIMIT_BYTES: u64 = 256 << 20;
const CLIENTS: usize = 64;
/// Just below the longest request that the memory of a shard allows here.
const VALUE_BYTES: usize = 5 << 20;
/// With so many appends of each client a journal grows as far as it may.
const ROUNDS: usize = 4;

/// A cgroup of its own, of version 1 or 2, removed when its processes are gone.
struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// `None`, with a word on stderr, when this machine lets us make none.
    fn new(name: &str, limit_bytes: u64) -> Option<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, limit) =
            if v1.exists() { (v1, "memory.limit_in_bytes") } else { (Path::new("/sys/fs/cgroup"), "memory.max") };
        let path = root.join(format!("corelog-test-{name}-{}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| fs::write(path.join(limit), limit_bytes.to_string()));
        let cgroup = Self { path };
        match made {
            Ok(()) => Some(cgroup),
            Err(error) => {
                skipped(&format!("{}: {error}", cgroup.path.display()));
                None
            }
        }
    }

    /// How often the kernel has killed for want of memory.
    fn kills(&self) -> u64 {
        let told = ["memory.oom_control", "memory.events"].map(|name| fs::read_to_string(self.path.join(name)));
        let told: String = told.into_iter().flatten().collect();
        let count = told.lines().find_map(|line| line.strip_prefix("oom_kill ")).expect("the kernel counts them");
        count.parse().expect("a number")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that was never made cannot be removed.
        let _missing = fs::remove_dir(&self.path);
    }
}

/// Every client appends so often to a topic of its own, all at once, and each reads what it has appended.
fn flood(broker: &Broker, peer: &mut Connection, rounds: usize) -> Vec<Ledger> {
    let max = (8 << 20).to_string();
    let ledgers: Vec<_> = (0..CLIENTS).map(|n| Ledger::new(&format!("flood-{n}"), VALUE_BYTES)).collect();
    for ledger in &ledgers {
        assert_eq!(peer.create_with(&ledger.topic, 1, &[("max.message.bytes", &max)]), ErrorCode::None);
    }
    let clients: Vec<_> = ledgers
        .into_iter()
        .map(|mut ledger| {
            let mut peer = broker.connect_patiently();
            std::thread::spawn(move || {
                let appended: Vec<_> = (0..rounds).map(|_| ledger.append(&mut peer)).collect();
                if appended.iter().all(|appended| *appended == Appended::Acked) {
                    ledger.check(&mut peer);
                }
                (appended, ledger)
            })
        })
        .collect();
    let ended = clients.into_iter().map(|client| client.join().expect("it is served in the end"));
    ended
        .map(|(appended, ledger)| {
            assert_eq!(appended, vec![Appended::Acked; rounds], "{}", broker.stderr());
            ledger
        })
        .collect()
}

#[test]
fn a_flood_of_large_requests_waits_and_nothing_is_killed() {
    let Some(cgroup) = Cgroup::new("flood", LIMIT_BYTES) else { return };
    let mut home = Home::new();
    home.cgroup = Some(cgroup.path.clone());
    let broker =
        home.dev(&["--set", "shards=2", "--set", "journal.bytes=33554432", "--set", "journal.bytes.max=67108864"]);
    let mut peer = broker.connect();
    for ledger in flood(&broker, &mut peer, 1) {
        ledger.check(&mut peer);
    }
    assert_eq!(cgroup.kills(), 0);
    assert!(!broker.stderr().contains("panicked"), "{}", broker.stderr());
    let left = broker.terminate();
    assert!(left.status.success(), "{left:#?}");
}

/// Of all shards, on the disk.
fn journal_bytes(home: &Home) -> u64 {
    let entries = |dir: &Path| fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("its name").path());
    let files = entries(&home.data.join("journal")).flat_map(|shard| entries(&shard).collect::<Vec<_>>());
    let journals = files.filter(|path| path.extension().is_some_and(|ending| ending == "journal"));
    journals.map(|path| fs::metadata(path).expect("a file").len()).sum()
}

#[test]
fn what_a_flood_left_in_the_journals_fits_into_as_little_memory_at_the_next_start() {
    let Some(cgroup) = Cgroup::new("start", LIMIT_BYTES) else { return };
    let mut home = Home::new();
    home.cgroup = Some(cgroup.path.clone());
    // The journals are as large as the broker makes them by itself.
    let flags = ["--set", "shards=2"];
    let broker = home.dev(&flags);
    let ledgers = flood(&broker, &mut broker.connect(), ROUNDS);
    broker.kill();
    let journals = journal_bytes(&home);
    assert!(journals <= LIMIT_BYTES / 4, "a start may hold all of {journals} bytes");
    for _ in 0..2 {
        let broker = home.dev(&flags);
        let mut peer = broker.connect_patiently();
        ledgers.iter().for_each(|ledger| ledger.check(&mut peer));
        assert_eq!(cgroup.kills(), 0);
        let left = broker.terminate();
        assert!(left.status.success(), "{left:#?}");
    }
}
