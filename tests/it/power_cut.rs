//! Power cuts of the real process: a broker's disk keeps a log of what reaches it, and from the log come images of what a
//! drive may hold after a cut at any point. Each is mounted and a broker starts on it: it has what was acked before the cut.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::block_log::{BlockLog, Replay, copy_sparse};
use crate::broker::{Broker, Home, until};
use crate::device::{Mounted, StorageImage};
use crate::dice::{Dice, given};
use crate::ledger::Ledger;
use crate::power_history::{History, LogEnd, Trail};

/// Images of one run; `POWER_CUTS=10000` for a release.
const CUTS: usize = 10;
/// Of one load; then a new one is recorded.
const CUTS_OF_A_RECORDING: usize = 50;
const DISK_MIB: u64 = 384;
/// Two images, of which most is holes.
const MEMORY_MIB: u64 = 2 * DISK_MIB;
/// What is there with journals, segments and logs as small as they may be.
const SMALL: [&str; 12] = [
    "--set",
    "journal.bytes=4194304",
    "--set",
    "journal.bytes.max=4194304",
    "--set",
    "log.segment.bytes=1048576",
    "--set",
    "offsets.topic.num.partitions=2",
    "--set",
    "offsets.topic.segment.bytes=1048576",
    "--set",
    "log_level=info",
];
/// Retention and compaction are seen at work.
const BUSY: [&str; 6] =
    ["--set", "shards=2", "--set", "log.retention.check.interval.ms=200", "--set", "log.cleaner.backoff.ms=200"];
/// A broker that deletes nothing by itself, so that what is missing was missing on its disk.
const STILL: [&str; 4] = ["--set", "log.retention.check.interval.ms=3600000", "--set", "log.cleaner.enable=false"];

fn home_on(disk: &Path) -> Home {
    let mut home = Home::new();
    home.data = disk.join("data");
    home
}

/// What a broker did on a disk, and what the disk was asked to write.
struct Recording {
    /// As the disk is at the end.
    image: StorageImage,
    dir: TempDir,
    history: History,
    log: BlockLog,
}

impl Recording {
    /// `None`, with a word on stderr, where this machine cannot have such a disk.
    fn new(load: impl FnOnce(&Home, &LogEnd) -> History) -> Option<Self> {
        let image = StorageImage::new(DISK_MIB)?;
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        copy_sparse(&image.path(), &dir.path().join("base"));
        let log = LogEnd(dir.path().join("log"));
        let disk = image.attach_logged(&log.0)?;
        let history = load(&home_on(disk.path()), &log);
        drop(disk);
        let log = BlockLog::open(&log.0);
        Some(Self { image, dir, history, log })
    }

    fn replay(&self, memory: &Mounted) -> Replay<'_> {
        Replay::new(&self.log, &self.dir.path().join("base"), memory.path().join("master"))
    }
}

fn busy(home: &Home) -> Broker {
    home.dev(&[&SMALL[..], &BUSY].concat())
}

/// Everything that changes files: segments that roll, a journal that goes round, retention, compaction, deletions, groups, a
/// kill in the middle of it and an orderly end.
fn mixed_load(home: &Home, log: &LogEnd) -> History {
    let broker = busy(home);
    let mut peer = broker.connect();
    let producer = peer.producer_id();
    let peer = &mut peer;
    let compacted = [("cleanup.policy", "compact"), ("segment.ms", "300"), ("min.cleanable.dirty.ratio", "0.01")];
    // However fast the disk is, the large ones do not fill it.
    let mut history = History::new(vec![
        Trail::create(Ledger::idempotent("once", 300, producer), &[], peer, log),
        Trail::create(Ledger::new("large", 20_000), &[("retention.bytes", "33554432")], peer, log),
        Trail::create(Ledger::new("short", 50_000), &[("retention.bytes", "1048576")], peer, log),
        Trail::create(Ledger::compacted("newest", 2_000, 7), &compacted, peer, log),
        Trail::create(Ledger::new("cut", 5_000), &[], peer, log).keeping(20),
    ]);
    let is_compacted =
        |broker: &Broker| broker.stderr().lines().any(|line| line.contains("compacted") && line.contains("newest-0"));
    history.load(&broker, log, || {
        let mut peer = broker.connect();
        until("retention has deleted", || peer.list_offset("short", -2, 5).1 > 0);
        until("a log is compacted", || is_compacted(&broker));
    });
    broker.kill();

    let broker = busy(home);
    history.load(&broker, log, || until("a log is compacted", || is_compacted(&broker)));
    let generations = history.generations();
    assert!(generations > 1, "no topic was made again");
    assert!(broker.terminate().status.success());
    let broker = home.dev(&[&SMALL[..], &STILL].concat());
    history.close(&mut broker.connect(), log);
    history
}

/// Starts a broker on this image, and checks what it has.
fn check(image: &Path, memory: &Mounted, shards: usize, check: impl FnOnce(&Broker)) {
    let disk = Mounted::image(image, &memory.path().join("disk")).expect("an image as the one that was mounted");
    let home = home_on(disk.path());
    let broker = home.dev(&[&SMALL[..], &STILL, &["--set", &format!("shards={shards}")]].concat());
    check(&broker);
    let told = broker.kill().stderr;
    assert!(!told.contains("panicked") && !told.contains("offline"), "{told}");
}

/// A recording's cuts: half anywhere, half where most is not yet flushed.
fn places(log: &BlockLog, cuts: usize, dice: &mut Dice) -> Vec<usize> {
    let mut places: Vec<usize> = (0..cuts)
        .map(|n| {
            let place = dice.below(log.len() as u64 + 1) as usize;
            if n % 2 == 0 { place } else { log.flush_from(place).unwrap_or(place) }
        })
        .collect();
    places.sort_unstable();
    places
}

/// Where an image that failed stays to be looked at.
fn keep(image: &Path, name: &str) -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&kept).expect("a directory below target/");
    copy_sparse(image, &kept.join("image"));
    kept
}

#[test]
fn after_a_power_cut_at_any_point_everything_that_was_acked_is_there() {
    let cuts = given("POWER_CUTS", CUTS);
    let seed = given("POWER_CUTS_SEED", 1);
    let mut dice = Dice::new(seed);
    let mut done = 0;
    while done < cuts {
        let Some(recording) = Recording::new(mixed_load) else { return };
        let Some(memory) = Mounted::memory(MEMORY_MIB) else { return };
        let Recording { log, history, .. } = &recording;
        let mut replay = recording.replay(&memory);
        let image = memory.path().join("image");
        for place in places(log, CUTS_OF_A_RECORDING.min(cuts - done), &mut dice) {
            let seed_of_cut = dice.below(u64::MAX);
            replay.cut(place, &mut Dice::new(seed_of_cut), &image);
            eprintln!("cut {done}: behind {place} of {} entries", log.len());
            let checked = catch_unwind(AssertUnwindSafe(|| {
                check(&image, &memory, 1 + done % 3, |broker| {
                    history.check(&mut broker.connect(), log.position(place));
                });
            }));
            if let Err(failure) = checked {
                // As it was before the broker wrote to it.
                replay.cut(place, &mut Dice::new(seed_of_cut), &image);
                eprintln!("kept in {}", keep(&image, &format!("power-cut-{seed}-{done}")).display());
                resume_unwind(failure);
            }
            done += 1;
        }
        replay.check_whole(&recording.image.path());
    }
}

#[test]
fn a_drive_that_loses_a_flushed_block_of_an_acked_record_is_noticed() {
    let load = |home: &Home, log: &LogEnd| {
        let broker = busy(home);
        let mut peer = broker.connect();
        let topics = ["a", "b"].map(|topic| Trail::create(Ledger::new(topic, 3_000), &[], &mut peer, log));
        let mut history = History::new(topics.into());
        history.load(&broker, log, || std::thread::sleep(Duration::from_secs(1)));
        history.close(&mut peer, log);
        broker.kill();
        history
    };
    let Some(recording) = Recording::new(load) else { return };
    let Some(memory) = Mounted::memory(MEMORY_MIB) else { return };
    let Recording { log, history, .. } = &recording;
    let mut dice = Dice::new(1);
    let image = memory.path().join("image");
    for trail in &history.trails {
        let nth = dice.below(trail.ledger.acked() as u64) as usize;
        let span = trail.span(nth);
        let place = log.entries_at(span.end);
        let lost = log.find(&trail.ledger.acked_value(nth)[..64], span).expect("an ack waits for its record's write");
        let image_of = |replay: &mut Replay<'_>| replay.cut(place, &mut Dice::new(1), &image);
        let passes = || {
            let checked = AssertUnwindSafe(|| {
                check(&image, &memory, 2, |broker| history.check(&mut broker.connect(), log.position(place)));
            });
            catch_unwind(checked)
        };
        image_of(&mut recording.replay(&memory));
        passes().unwrap_or_else(|failure| resume_unwind(failure));
        image_of(&mut recording.replay(&memory).losing(lost));
        eprintln!("a failure follows that is meant to be:");
        let failure = passes().expect_err("a lost record is missed");
        let why = failure.downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        assert!(why.contains("has lost") || why.contains("did not start"), "it is noticed for another reason: {why}");
    }
}
