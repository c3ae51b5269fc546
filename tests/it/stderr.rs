//! A stderr that nobody reads: the broker goes on, and ends when it must.

use std::io::{ErrorKind, Write, pipe};
use std::process::Stdio;

use corelog::wire::ErrorCode;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Resource, Rlimit, prlimit};

use crate::broker::Home;
use crate::ledger::{Appended, Ledger};

/// README's exit status after a failed write or sync.
const EXIT_FENCED: i32 = 74;

#[test]
fn a_failed_write_ends_a_broker_whose_stderr_is_closed() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let mut home = Home::new();
    // A write beyond the largest file size is to be an error, and no signal that ends it.
    home.wrapper = vec!["sh", "-c", r#"trap '' XFSZ; exec "$@""#, "sh"];
    let broker = home.dev_with_stderr(&["--set", "journal.bytes=8388608"], Stdio::from(writer));
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let mut ledger = Ledger::new("t", 4_000);
    assert_eq!(ledger.append(&mut peer), Appended::Acked);
    let small = Rlimit { current: Some(4096), maximum: Some(4096) };
    prlimit(Some(broker.pid()), Resource::Fsize, small).expect("our own process");
    assert_ne!(ledger.append(&mut peer), Appended::Acked, "the journal cannot be written");
    assert_eq!(broker.wait().status.code(), Some(EXIT_FENCED));
}

#[test]
fn a_reader_of_the_log_that_stands_still_stops_nobody() {
    let (reader, mut writer) = pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("its flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("set");
    let full = loop {
        if let Err(e) = writer.write(&[b'.'; 4096]) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fcntl_setfl(&writer, flags).expect("set");
    let home = Home::new();
    let broker = home.dev_with_stderr(&["--set", "log_level=trace"], Stdio::from(writer));
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let mut ledger = Ledger::new("t", 4_000);
    for _ in 0..20 {
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
    }
    assert!(broker.terminate().status.success());
    drop(reader);
}
