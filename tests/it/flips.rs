//! Bit rot: one bit of one file of the data directory is flipped while no broker runs. Whatever it hits, no record is ever
//! read wrong, and none that was acked is missing without a word: the start is refused, the partition is offline, or a
//! checksum and a second copy make it harmless.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corelog::wire::ErrorCode;

use crate::broker::{Broker, Home, copy_all};
use crate::dice::{Dice, given};
use crate::ledger::{Appended, Ledger};

/// Flips of one run; `FLIPS=100000` for a release.
const FLIPS: usize = 100;
const SMALL: [&str; 8] = [
    "--set",
    "shards=2",
    "--set",
    "journal.bytes=4194304",
    "--set",
    "journal.bytes.max=4194304",
    "--set",
    "log.segment.bytes=1048576",
];

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, found);
        } else if path.metadata().is_ok_and(|file| file.len() > 0) {
            found.push(path);
        }
    }
}

fn flip(file: &Path, bit: u64) {
    let file = File::options().read(true).write(true).open(file).expect("a file of ours");
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).expect("a byte below the end");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).expect("a write");
}

/// The file's own name: of a segment of the metadata log, the one that is told.
fn name_of(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).expect("a name of ours")
}

/// A broker with records in several segments, checkpoints and journals, as it left its directory.
fn filled(home: &Home, killed: bool) -> Vec<Ledger> {
    let broker = home.dev(&SMALL);
    let mut peer = broker.connect();
    let mut ledgers = vec![Ledger::new("large", 30_000), Ledger::new("small", 200), Ledger::new("few", 1_000)];
    for ledger in &ledgers {
        assert_eq!(peer.create(&ledger.topic, 1), ErrorCode::None);
    }
    for (ledger, appends) in ledgers.iter_mut().zip([90, 300, 3]) {
        for _ in 0..appends {
            assert_eq!(ledger.append(&mut peer), Appended::Acked);
        }
    }
    if killed {
        // A shard that rests closes its journal with one more commit: damage to the last one cannot be told from a torn one.
        std::thread::sleep(Duration::from_millis(1500));
        broker.kill();
    } else {
        assert!(broker.terminate().status.success());
    }
    ledgers
}

/// What a flip came to.
#[derive(Debug, Default)]
struct Outcomes {
    harmless: usize,
    refused: usize,
    offline: usize,
}

fn check(broker: &Broker, ledgers: &[Ledger]) -> bool {
    let mut peer = broker.connect();
    let mut whole = true;
    for ledger in ledgers {
        match ledger.check_readable(&mut peer) {
            Ok(()) => {}
            Err(ErrorCode::KafkaStorageError) => {
                whole = false;
                let told =
                    || broker.stderr().lines().any(|line| line.contains("offline") && line.contains(&ledger.topic));
                // The line may come a moment after the answer.
                let deadline = Instant::now() + Duration::from_secs(5);
                while !told() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5));
                }
                assert!(told(), "{} is offline, and why is not told: {}", ledger.topic, broker.stderr());
            }
            Err(code) => panic!("{} answers {code:?}", ledger.topic),
        }
    }
    whole
}

#[test]
fn a_flipped_bit_is_harmless_or_named_and_never_read() {
    let flips = given("FLIPS", FLIPS);
    let mut dice = Dice::new(given("FLIPS_SEED", 1));
    let mut outcomes = Outcomes::default();
    let homes = [true, false].map(|killed| {
        let home = Home::new();
        let ledgers = filled(&home, killed);
        (home, ledgers)
    });
    for n in 0..flips {
        let (origin, ledgers) = &homes[n % 2];
        let home = Home::new();
        copy_all(&origin.data, &home.data);
        let mut files = Vec::new();
        files_below(&home.data, &mut files);
        let file = files[dice.below(files.len() as u64) as usize].clone();
        let bits = file.metadata().expect("a file").len() * 8;
        // Half of the flips hit the front, where the headers are.
        let end = if dice.below(2) == 0 { bits.min(8 * 4096) } else { bits };
        let bit = dice.below(end);
        flip(&file, bit);
        let what = file.strip_prefix(&home.data).expect("below it").display().to_string();
        eprintln!("flip {n}: bit {bit} of {what}");
        match home.try_dev(&SMALL) {
            Ok(broker) => {
                *(if check(&broker, ledgers) { &mut outcomes.harmless } else { &mut outcomes.offline }) += 1;
                assert!(!broker.stderr().contains("panicked"), "{}", broker.stderr());
            }
            Err(left) => {
                outcomes.refused += 1;
                assert!(!left.stderr.contains("panicked") && left.status.code() == Some(1), "{left:#?}");
                let told = left.stderr.lines().last().unwrap_or_default();
                let is_told = told.starts_with("corelog: ")
                    && told.contains(name_of(&file))
                    && (told.contains("corelog log verify") || name_of(&file) == "meta");
                assert!(is_told, "the refusal says which file, and what to do: {left:#?}");
            }
        }
    }
    eprintln!("{outcomes:?} of {flips}");
    assert!(outcomes.harmless > 0 && outcomes.offline + outcomes.refused > 0, "{outcomes:?}");
}
