//! A broker in a cgroup of 256 MiB under a flood of requests that are larger than that together: the clients wait, the
//! kernel kills nothing, and what was acked is there.

use std::fs;
use std::path::{Path, PathBuf};

use corelog::wire::ErrorCode;

use crate::broker::Home;
use crate::ledger::{Appended, Ledger};

const LIMIT_BYTES: u64 = 256 << 20;
const CLIENTS: usize = 64;
/// Just below the longest request that the memory of a shard allows here.
const VALUE_BYTES: usize = 5 << 20;

/// A cgroup of its own, of version 1 or 2, removed when its processes are gone.
struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// `None`, with a word on stderr, when this machine lets us make none.
    fn new(limit_bytes: u64) -> Option<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, limit) =
            if v1.exists() { (v1, "memory.limit_in_bytes") } else { (Path::new("/sys/fs/cgroup"), "memory.max") };
        let path = root.join(format!("corelog-test-{}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| fs::write(path.join(limit), limit_bytes.to_string()));
        let cgroup = Self { path };
        match made {
            Ok(()) => Some(cgroup),
            Err(error) => {
                eprintln!("skipped: {}: {error}", cgroup.path.display());
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

#[test]
fn a_flood_of_large_requests_waits_and_nothing_is_killed() {
    let Some(cgroup) = Cgroup::new(LIMIT_BYTES) else { return };
    let mut home = Home::new();
    home.cgroup = Some(cgroup.path.clone());
    let broker =
        home.dev(&["--set", "shards=2", "--set", "journal.bytes=33554432", "--set", "journal.bytes.max=67108864"]);
    let mut peer = broker.connect();
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
                let appended = ledger.append(&mut peer);
                if appended == Appended::Acked {
                    ledger.check(&mut peer);
                }
                (appended, ledger)
            })
        })
        .collect();
    let ledgers: Vec<_> = clients.into_iter().map(|client| client.join().expect("it is served in the end")).collect();
    for (appended, ledger) in &ledgers {
        assert_eq!(*appended, Appended::Acked, "{}", broker.stderr());
        ledger.check(&mut peer);
    }
    assert_eq!(cgroup.kills(), 0);
    assert!(!broker.stderr().contains("panicked"), "{}", broker.stderr());
    let left = broker.terminate();
    assert!(left.status.success(), "{left:#?}");
}
