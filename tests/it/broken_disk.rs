//! A disk that fails or hangs below the file system (R16): nothing is acked that was not synced, the process says which
//! file and leaves, and what was acked is there when the disk is well again.

use std::time::{Duration, Instant};

use corelog::wire::ErrorCode;
use corelog::wire::messages::produce::ProduceResponse;
use corelog::wire::messages::{ApiKey, Request};
use rustix::process::{Signal, kill_process};

use crate::broker::{Broker, Connection, Home, until};
use crate::device::{Storage, StorageImage};
use crate::dice::given;
use crate::ledger::{Appended, Ledger};
use crate::peer::{PRODUCE, reply};

/// README's exit status after a failed write or sync.
const EXIT_FENCED: i32 = 74;
/// So long the disk hangs in one run; `HANG_SECONDS=30` for a release.
const HANG_SECONDS: u64 = 2;
const SMALL: [&str; 4] = ["--set", "shards=2", "--set", "journal.bytes=8388608"];

fn start(home: &mut Home, disk: &Storage) -> Broker {
    home.data = disk.path().join("data");
    home.dev(&SMALL)
}

fn three_topics(broker: &Broker) -> (Connection, Vec<Ledger>) {
    let mut peer = broker.connect();
    // Three topics lie on both shards.
    let mut ledgers: Vec<_> = ["a", "b", "c"].map(|topic| Ledger::new(topic, 4_000)).into();
    for ledger in &mut ledgers {
        assert_eq!(peer.create(&ledger.topic, 1), ErrorCode::None);
        for _ in 0..20 {
            assert_eq!(ledger.append(&mut peer), Appended::Acked);
        }
    }
    (peer, ledgers)
}

fn leaves_at_an_error_of(operation: &str) {
    let Some(image) = StorageImage::new(256) else { return };
    let Some(disk) = image.attach() else { return };
    let mut home = Home::new();
    let broker = start(&mut home, &disk);
    let (mut peer, mut ledgers) = three_topics(&broker);
    disk.fail(operation);
    for ledger in &mut ledgers {
        assert_ne!(ledger.append(&mut peer), Appended::Acked, "{operation} fails, and an append is acked");
    }
    let left = broker.wait();
    assert_eq!(left.status.code(), Some(EXIT_FENCED), "{left:#?}");
    let told = left.stderr.lines().find(|line| line.starts_with("corelog: ")).unwrap_or_default();
    assert!(told.contains(disk.path().to_str().expect("a UTF-8 path")), "the file is named: {left:#?}");
    drop(disk);

    let disk = image.attach().expect("it was attached before");
    let broker = start(&mut home, &disk);
    let mut peer = broker.connect();
    for ledger in &mut ledgers {
        assert_eq!(ledger.check_readable(&mut peer), Ok(()), "{}", broker.stderr());
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
    }
}

#[test]
fn a_failed_write_ends_the_process_before_it_acks_and_a_start_on_a_sound_disk_has_all() {
    leaves_at_an_error_of("write");
}

#[test]
fn a_failed_sync_ends_the_process_before_it_acks_and_a_start_on_a_sound_disk_has_all() {
    leaves_at_an_error_of("flush");
}

#[test]
fn while_the_disk_hangs_metadata_and_memory_are_served_and_nothing_is_acked() {
    let Some(image) = StorageImage::new(256) else { return };
    let Some(disk) = image.attach() else { return };
    let mut home = Home::new();
    let broker = start(&mut home, &disk);
    let (mut peer, mut ledgers) = three_topics(&broker);

    disk.hang();
    let goes_on = Instant::now() + Duration::from_secs(given("HANG_SECONDS", HANG_SECONDS));
    let mut producers: Vec<_> = ledgers.iter().map(|_| broker.connect()).collect();
    for (ledger, producer) in ledgers.iter_mut().zip(&mut producers) {
        producer.tell(&Request::from(ledger.next_request()), PRODUCE);
    }
    loop {
        for ledger in &ledgers {
            assert_eq!(peer.topic(&ledger.topic, false).error_code, ErrorCode::None);
            ledger.check(&mut peer);
        }
        broker.connect().check_served();
        for producer in &mut producers {
            assert!(producer.is_silent_for(Duration::from_millis(50)), "an append is acked on a disk that hangs");
        }
        if Instant::now() >= goes_on {
            break;
        }
    }
    disk.resume();
    for producer in &mut producers {
        let reply: ProduceResponse = reply!(Produce, producer.reply_to(ApiKey::Produce, PRODUCE).expect("an answer"));
        assert_eq!(reply.responses[0].partition_responses[0].error_code, ErrorCode::None);
    }
    for ledger in &mut ledgers {
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
        ledger.check(&mut peer);
    }
}

#[test]
fn a_stop_that_takes_long_says_once_what_it_has_to_write() {
    let Some(image) = StorageImage::new(256) else { return };
    let Some(disk) = image.attach() else { return };
    let mut home = Home::new();
    let broker = start(&mut home, &disk);
    // Whole blocks of each partition are in memory: the window is far from full.
    let (_peer, _ledgers) = three_topics(&broker);
    let told = |stderr: &str| stderr.matches("to write into segments").count();

    disk.hang();
    kill_process(broker.pid(), Signal::TERM).expect("the process runs");
    until("it says what it does", || told(&broker.stderr()) > 0);
    disk.resume();
    let left = broker.wait();
    assert!(left.status.success() && told(&left.stderr) == 1, "{left:#?}");
    assert!(left.stderr.contains("corelog: stopping: "), "{left:#?}");
}
