//! The process: what it prints, how it starts, refuses to start, stops, and what malformed frames get.

use std::fs;

use rustix::process::Signal;

use crate::broker::{Connection, Home, until};

#[test]
fn dev_says_that_it_is_ready_and_serves() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    assert!(broker.greeting().iter().any(|line| line.contains("ready") && line.contains(&home.address.to_string())));
    broker.connect().check_served();
}

#[test]
fn sighup_ends_a_broker_as_sigterm_does() {
    let home = Home::new();
    let left = home.dev(&[]).signal(Signal::HUP);
    assert!(
        left.status.success() && left.stderr.contains("clean: the next start replays the last blocks only"),
        "{left:#?}"
    );
}

#[test]
fn sigterm_ends_with_a_summary_and_success() {
    let home = Home::new();
    let left = home.dev(&[]).terminate();
    assert!(left.status.success(), "{left:#?}");
    assert!(!(left.stderr + &left.stdout).trim().is_empty());
}

#[test]
fn after_kill_9_it_starts_again_with_any_number_of_shards() {
    let home = Home::new();
    for shards in [1, 3, 2] {
        let broker = home.dev(&["--set", &format!("shards={shards}")]);
        broker.connect().check_served();
        assert!(!broker.kill().status.success());
    }
    home.dev(&[]).connect().check_served();
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused() {
    let home = Home::new();
    let first = home.dev(&[]);
    let mut elsewhere = Home::new();
    elsewhere.data = home.data.clone();
    let left = elsewhere.dev_refused(&[]);
    assert!(!left.status.success() && left.stderr.contains("data"), "{left:#?}");
    first.connect().check_served();
}

#[test]
fn a_second_broker_on_the_same_address_is_refused() {
    let home = Home::new();
    let first = home.dev(&[]);
    let mut elsewhere = Home::new();
    elsewhere.address = home.address;
    let left = elsewhere.dev_refused(&[]);
    assert!(!left.status.success() && left.stderr.contains(&home.address.port().to_string()), "{left:#?}");
    first.connect().check_served();
}

#[test]
fn a_foreign_directory_is_refused_and_left_alone() {
    let home = Home::new();
    fs::create_dir_all(&home.data).expect("a directory");
    let diary = home.data.join("diary.txt");
    fs::write(&diary, "not ours").expect("a file");
    let left = home.dev_refused(&[]);
    assert!(!left.status.success() && !left.stderr.is_empty(), "{left:#?}");
    let entries: Vec<_> = fs::read_dir(&home.data).expect("still there").collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(fs::read_to_string(&diary).expect("still there"), "not ours");
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_the_nearest_key() {
    let home = Home::new();
    let left = home.serve("\n\nshrads = 2\n", &[]).err().expect("a refusal");
    assert!(!left.status.success());
    for part in ["corelog.toml", "3", "shrads", "shards"] {
        assert!(left.stderr.contains(part), "{part:?} is missing: {}", left.stderr);
    }
    let left = home.dev_refused(&["--set", "num.partitons=4"]);
    assert!(left.stderr.contains("num.partitions"), "{}", left.stderr);
}

#[test]
fn a_malformed_frame_closes_its_connection_and_no_other() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut bystander = broker.connect();
    bystander.check_served();
    let frames: [&[u8]; 6] = [
        &[0, 0, 0, 0],                                                              // an empty frame
        &[0xff, 0xff, 0xff, 0xff],                                                  // a negative length
        &[0x7f, 0xff, 0xff, 0xff],                                                  // two GiB
        &[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1],                                // an API that does not exist
        &[0, 0, 0, 8, 0, 3, 0x7f, 0xff, 0, 0, 0, 1], // Metadata in a version that does not exist
        &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff], // two billion topics in four bytes
    ];
    for frame in frames {
        let mut connection = broker.connect();
        connection.send_bytes(frame);
        assert_eq!(connection.receive(), None, "{frame:?}");
    }
    bystander.check_served();
    broker.connect().check_served();
}

/// Nothing else happens meanwhile that would make the allocator look for what was freed.
#[test]
fn an_idle_broker_gives_back_what_a_burst_of_connections_took() {
    const CONNECTIONS: usize = 800;
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=1"]);
    broker.connect().check_served();
    let before = broker.resident_memory_bytes();
    let mut burst: Vec<_> = (0..CONNECTIONS).map(|_| broker.connect()).collect();
    burst.iter_mut().for_each(Connection::check_served);
    let taken = broker.resident_memory_bytes().saturating_sub(before);
    assert!(taken > 2 << 20, "{taken} bytes of {CONNECTIONS} connections");
    drop(burst);
    until("most of it is given back", || broker.resident_memory_bytes().saturating_sub(before) < taken / 4);
}

#[test]
fn requests_in_flight_are_answered_in_order() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    let mut connection = broker.connect();
    for correlation_id in 0..200u32 {
        connection.send(&[&[0, 18, 0, 0][..], &correlation_id.to_be_bytes(), &[0xff, 0xff]].concat());
    }
    for correlation_id in 0..200u32 {
        assert_eq!(connection.receive().expect("a reply")[..4], correlation_id.to_be_bytes());
    }
}

#[test]
fn a_frame_in_pieces_is_one_frame() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut connection = broker.connect();
    for byte in [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff] {
        connection.send_bytes(&[byte]);
    }
    assert_eq!(connection.receive().expect("a reply")[..4], [0, 0, 0, 7]);
}
