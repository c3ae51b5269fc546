//! The log that QEMU's blklogwrites keeps of a block device, in the format of the kernel's dm-log-writes: every write and
//! flush, in the order in which they were complete. And what a power cut leaves of them.
//!
//! Invariant: an image gets all that the log has before its last flush in front of the cut, and of what is behind it any
//! blocks, each whole: that is what a drive without protection from power loss promises.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dice::Dice;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
/// It lasts once it is complete, as if a flush followed for it alone.
const FORCE_UNIT_ACCESS: u64 = 1 << 1;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;
/// Below the file system a block is written whole or not at all.
const BLOCK_BYTES: u64 = 4096;

/// One entry of the log.
struct Entry {
    flags: u64,
    /// On the device.
    at: u64,
    bytes: u64,
    /// Where the log has its data.
    data_at: u64,
}

impl Entry {
    /// How far the log had come when this was in it.
    fn end(&self) -> u64 {
        if self.has_data() { self.data_at + self.bytes } else { self.data_at }
    }

    fn has_data(&self) -> bool {
        self.flags & (FLUSH | DISCARD | MARK) == 0
    }

    fn is_flush(&self) -> bool {
        self.flags & FLUSH != 0
    }

    /// Its parts that cannot be torn: where on the device, where in the entry's data, how many bytes.
    fn blocks(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let end = self.at + self.bytes;
        let next = |at: &u64| (at / BLOCK_BYTES + 1) * BLOCK_BYTES;
        let starts = std::iter::successors(Some(self.at), move |at| Some(next(at))).take_while(move |at| *at < end);
        starts.map(move |at| (at, at - self.at, next(&at).min(end) - at))
    }
}

pub struct BlockLog {
    file: File,
    entries: Vec<Entry>,
}

impl BlockLog {
    /// Of a daemon that has ended.
    pub fn open(path: &Path) -> Self {
        let file = File::open(path).expect("the log");
        let end = file.metadata().expect("the log").len();
        let words = |at: u64| {
            let mut bytes = [0; 32];
            file.read_exact_at(&mut bytes, at).expect("the log goes on");
            let word = |n: usize| u64::from_le_bytes(*bytes[8 * n..].first_chunk().expect("eight bytes"));
            [word(0), word(1), word(2), word(3)]
        };
        let [magic, version, told, sector_bytes] = words(0);
        // It has half of the last word.
        let sector_bytes = sector_bytes & u64::from(u32::MAX);
        assert_eq!((magic, version), (MAGIC, VERSION), "a log of dm-log-writes");
        let mut entries = Vec::new();
        let mut at = sector_bytes;
        while at < end {
            let [sector, sectors, flags, _bytes_of_mark] = words(at);
            let (device_at, bytes) = (sector * sector_bytes, sectors * sector_bytes);
            assert!(flags & FLUSH == 0 || bytes == 0, "QEMU writes flushes down by themselves");
            let entry = Entry { flags, at: device_at, bytes, data_at: at + sector_bytes };
            at = entry.end();
            entries.push(entry);
        }
        // The count in front is only now and then brought up to date.
        assert!(at == end && entries.len() as u64 >= told, "{} entries of {told}, {at} bytes of {end}", entries.len());
        Self { file, entries }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How far the log had come, in bytes, when its first `entries` entries were in it.
    pub fn position(&self, entries: usize) -> u64 {
        entries.checked_sub(1).map_or(0, |last| self.entries[last].end())
    }

    /// The fewest entries with which the log had come so far.
    pub fn entries_at(&self, position: u64) -> usize {
        self.entries.partition_point(|entry| entry.end() < position) + 1
    }

    /// The first flush at or behind an entry.
    pub fn flush_from(&self, entry: usize) -> Option<usize> {
        (entry..self.len()).find(|at| self.entries[*at].is_flush())
    }

    /// Where the log has these bytes for the first time, in what it got between two positions.
    pub fn find(&self, bytes: &[u8], between: Range<u64>) -> Option<u64> {
        let got = |entry: &&Entry| entry.has_data() && entry.data_at > between.start && entry.end() <= between.end;
        self.entries.iter().filter(got).find_map(|entry| {
            let data = self.data(entry, 0, entry.bytes);
            let at = data.windows(bytes.len()).position(|found| found == bytes)?;
            Some(entry.data_at + at as u64)
        })
    }

    fn data(&self, entry: &Entry, from: u64, bytes: u64) -> Vec<u8> {
        let mut data = vec![0; bytes as usize];
        if entry.has_data() {
            self.file.read_exact_at(&mut data, entry.data_at + from).expect("the log has its data");
        }
        data
    }
}

/// The device as it was at one entry of its log after the other.
pub struct Replay<'a> {
    log: &'a BlockLog,
    image: PathBuf,
    file: File,
    /// The entries before it are in the image.
    next: usize,
    /// The drive loses the block that is here in the log, although it was flushed.
    lost: Option<u64>,
}

impl<'a> Replay<'a> {
    /// From a copy of the device as it was before the log.
    pub fn new(log: &'a BlockLog, base: &Path, image: PathBuf) -> Self {
        copy_sparse(base, &image);
        let file = File::options().write(true).read(true).open(&image).expect("a copy");
        Self { log, image, file, next: 0, lost: None }
    }

    /// With a drive that loses the block that the log has at this position.
    pub fn losing(self, position: u64) -> Self {
        Self { lost: Some(position), ..self }
    }

    /// Makes an image of what the device may hold after a power cut behind the first `entries` entries, which must not be
    /// before the last flush of an earlier cut.
    pub fn cut(&mut self, entries: usize, dice: &mut Dice, to: &Path) {
        let last_flush = (0..entries).rev().find(|entry| self.log.entries[*entry].is_flush());
        self.go_to(last_flush.unwrap_or(0));
        copy_sparse(&self.image, to);
        let image = File::options().write(true).open(to).expect("a copy");
        // Of 8, how many get to the disk: from none to all.
        let kept = [0, 1, 4, 7, 8][dice.below(5) as usize];
        for entry in &self.log.entries[self.next..entries] {
            let is_safe = entry.flags & FORCE_UNIT_ACCESS != 0;
            for block in entry.blocks() {
                if is_safe || dice.below(8) < kept {
                    self.apply(entry, block, &image);
                }
            }
        }
    }

    /// Brings the image to where its first `entries` entries are in it.
    fn go_to(&mut self, entries: usize) {
        assert!(entries >= self.next, "a replay does not go back");
        for entry in &self.log.entries[self.next..entries] {
            for block in entry.blocks() {
                self.apply(entry, block, &self.file);
            }
        }
        self.next = entries;
    }

    fn apply(&self, entry: &Entry, (at, from, bytes): (u64, u64, u64), image: &File) {
        let in_log = entry.data_at + from;
        if entry.has_data() && self.lost.is_some_and(|lost| (in_log..in_log + bytes).contains(&lost)) {
            return;
        }
        // A discarded block reads as zeros.
        image.write_all_at(&self.log.data(entry, from, bytes), at).expect("the image has room");
    }

    /// Goes to the end of the log and checks that the device is as it was then.
    pub fn check_whole(mut self, device: &Path) {
        self.go_to(self.log.len());
        let device = File::open(device).expect("the device's image");
        let bytes = device.metadata().expect("the device's image").len();
        let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for at in (0..bytes).step_by(1 << 20) {
            self.file.read_exact_at(&mut ours, at).expect("an image as long");
            device.read_exact_at(&mut theirs, at).expect("an image of whole MiB");
            assert!(ours == theirs, "the log does not tell all that was written to the MiB at {at}");
        }
    }
}

/// Without the blocks of zeros that most of an image is.
pub fn copy_sparse(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--sparse=always").arg(from).arg(to).output().expect("cp runs");
    assert!(copied.status.success(), "{copied:?}");
}
