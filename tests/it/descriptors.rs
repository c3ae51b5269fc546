//! Peers that take all connections there are: what the disk needs is kept from them.

use std::net::TcpStream;

use corelog::wire::ErrorCode;

use crate::broker::{Home, until};
use crate::ledger::{Appended, Ledger};

/// Of a broker with one shard: what it needs, and some 50 segment files and as many connections.
const LIMIT: [&str; 2] = ["prlimit", "--nofile=300:300"];
const SMALL: [&str; 6] =
    ["--set", "write.window.bytes=1MiB", "--set", "journal.bytes=4MiB", "--set", "journal.bytes.max=4MiB"];

#[test]
fn peers_that_use_up_the_connections_leave_the_disk_its_descriptors() {
    let mut home = Home::new();
    home.wrapper = LIMIT.to_vec();
    let broker = home.dev(&SMALL);
    let mut peer = broker.connect();
    let idle: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(broker.address).expect("it listens")).collect();
    until("connections are refused", || broker.stderr().contains("its limit of open files leaves room for"));
    // More segment files than are held open, and the journal goes round several times.
    let mut ledgers: Vec<Ledger> = (0..80).map(|n| Ledger::new(&format!("t{n}"), 20_000)).collect();
    for ledger in &mut ledgers {
        assert_eq!(peer.create(&ledger.topic, 1), ErrorCode::None);
    }
    for _ in 0..10 {
        for ledger in &mut ledgers {
            assert_eq!(ledger.append(&mut peer), Appended::Acked, "{}", broker.stderr());
        }
    }
    for ledger in &mut ledgers {
        assert_eq!(ledger.check_readable(&mut peer), Ok(()), "{}", broker.stderr());
    }
    drop(idle);
    let left = broker.terminate();
    assert!(left.status.success() && left.stderr.contains("the next start replays the last blocks only"), "{left:#?}");
}
