//! Which journal file is active, full or free: the bookkeeping of reuse (R12). Pure; owned by the core's shard.
//!
//! Invariant: commits fill the active file from front to back, in one order; a file comes back to `free` only by
//! `retire`, which the turn calls when nothing in it is needed. As many free files are kept as a turn may carry.

use std::collections::VecDeque;

use super::format::RunId;
use super::open::Closing;

/// Fewer files than this leave no room for one active, one full, one free and one to carry into.
pub const FILES_MIN: usize = 4;

/// Index of a journal file of this core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIndex(pub usize);

#[derive(Debug)]
struct Slot {
    bytes: u64,
    /// Which use of a file this is; 0 while it is free.
    generation: u64,
}

/// The state of all journal files of one core.
#[derive(Debug)]
pub struct JournalSpace {
    run: RunId,
    slots: Vec<Slot>,
    free: VecDeque<usize>,
    /// Oldest first; the last one is active.
    used: VecDeque<usize>,
    position: u64,
    next_generation: u64,
    next_sequence: u64,
    previous_crc: u32,
    /// Files that appends leave free, for carrying.
    reserved: usize,
}

/// Where a commit goes.
#[derive(Clone, Copy, Debug)]
pub struct CommitPlace {
    pub file: FileIndex,
    pub closing: Closing,
    /// The commit before this one went into another file, which must be synced before this one is written (R2).
    pub switched_from: Option<FileIndex>,
}

impl JournalSpace {
    pub fn new(run: RunId) -> JournalSpace {
        JournalSpace {
            run,
            slots: Vec::new(),
            free: VecDeque::new(),
            used: VecDeque::new(),
            position: 0,
            next_generation: 1,
            next_sequence: 1,
            previous_crc: 0,
            reserved: 1,
        }
    }

    /// Appends leave enough free files for a carry of `bytes`, one at least, were they the smallest of all.
    pub fn reserve(&mut self, bytes: u64) {
        let mut sizes: Vec<u64> = self.slots.iter().map(|s| s.bytes).collect();
        sizes.sort_unstable();
        let mut left = bytes;
        let filled = sizes.iter().take_while(|size| {
            let fits = **size <= left;
            left = left.saturating_sub(**size);
            fits
        });
        // A commit does not fill a file to its end: one more than the bytes alone would need.
        self.reserved = filled.count() + 1;
    }

    /// Takes in one more free file.
    pub fn add(&mut self, bytes: u64) -> FileIndex {
        let index = self.slots.len();
        self.slots.push(Slot { bytes, generation: 0 });
        self.free.push_back(index);
        FileIndex(index)
    }

    /// Whether a commit of `bytes` finds room; appends leave the reserve for carrying.
    pub fn has_room(&self, bytes: u64, carrying: bool) -> bool {
        if self.active_left() >= bytes {
            return true;
        }
        let fitting = self.free.iter().filter(|&&i| self.slots[i].bytes >= bytes).count();
        fitting > 0 && (carrying || !self.is_down_to_reserve())
    }

    /// Appends have what is left of the active file, and no other.
    pub fn is_down_to_reserve(&self) -> bool {
        self.free.len() <= self.kept_free()
    }

    /// Appends have less than half of a file left.
    pub fn is_running_out(&self) -> bool {
        let active = self.used.back().map_or(0, |&i| self.slots[i].bytes);
        self.is_down_to_reserve() && self.active_left() < active / 2
    }

    /// Files that appends leave for carrying, of those that there are.
    fn kept_free(&self) -> usize {
        self.reserved.min(self.slots.len().saturating_sub(2))
    }

    /// Whether a commit of `bytes` finds room now or after a turn, which frees every file but the active one.
    pub fn could_hold(&self, bytes: u64) -> bool {
        let active = self.used.back();
        let fits_another = self.slots.iter().enumerate().any(|(i, s)| s.bytes >= bytes && Some(&i) != active);
        self.active_left() >= bytes || fits_another
    }

    /// Takes the next place for a commit of `bytes` padded bytes; `None` when no file is free or none is large enough.
    pub fn place(&mut self, bytes: u64, synced_through: u64) -> Option<CommitPlace> {
        let mut switched_from = None;
        if self.active_left() < bytes {
            let at = self.free.iter().position(|&i| self.slots[i].bytes >= bytes)?;
            let slot = self.free.remove(at)?;
            self.slots[slot].generation = self.next_generation;
            self.next_generation += 1;
            switched_from = self.used.back().map(|&i| FileIndex(i));
            self.used.push_back(slot);
            self.position = 0;
        }
        let file = *self.used.back()?;
        let closing = Closing {
            run: self.run,
            generation: self.slots[file].generation,
            position: self.position,
            sequence: self.next_sequence,
            synced_through,
            previous_crc: self.previous_crc,
        };
        self.position += bytes;
        self.next_sequence += 1;
        Some(CommitPlace { file: FileIndex(file), closing, switched_from })
    }

    /// The chain goes on from this closed commit's header.
    pub fn closed(&mut self, header_crc: u32) {
        self.previous_crc = header_crc;
    }

    /// At least half of the files are full: time for a turn.
    pub fn is_half_full(&self) -> bool {
        self.used.len() * 2 > self.slots.len()
    }

    /// Share of the files that is in use, in percent.
    pub fn used_percent(&self) -> usize {
        if self.slots.is_empty() { 0 } else { self.used.len() * 100 / self.slots.len() }
    }

    pub fn total_bytes(&self) -> u64 {
        self.slots.iter().map(|s| s.bytes).sum()
    }

    pub fn files(&self) -> usize {
        self.slots.len()
    }

    /// The newest generation before the active one: what a turn may free. `None` when only one file is in use.
    pub fn turn_target(&self) -> Option<u64> {
        let before = self.used.len().checked_sub(2)?;
        Some(self.slots[self.used[before]].generation)
    }

    /// Sequence of the next commit.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Generation of the next file taken into use.
    pub fn next_generation(&self) -> u64 {
        self.next_generation
    }

    /// The oldest generation in use, which a replay starts from; the next one when none is.
    pub fn first_generation(&self) -> u64 {
        self.used.front().map_or(self.next_generation, |&i| self.slots[i].generation)
    }

    /// Frees all files up to `generation`. Nothing in them may be needed any more (R12).
    pub fn retire(&mut self, generation: u64) {
        while self.used.len() > 1 && self.slots[self.used[0]].generation <= generation {
            if let Some(oldest) = self.used.pop_front() {
                self.slots[oldest].generation = 0;
                self.free.push_back(oldest);
            }
        }
    }

    fn active_left(&self) -> u64 {
        self.used.back().map_or(0, |&i| self.slots[i].bytes - self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(files: usize, bytes: u64) -> JournalSpace {
        let mut space = JournalSpace::new(RunId(1));
        for _ in 0..files {
            space.add(bytes);
        }
        space
    }

    #[test]
    fn appends_leave_the_last_free_file_to_carrying() {
        let mut s = space(4, 100);
        for _ in 0..3 {
            assert!(s.has_room(100, false));
            s.place(100, 0).expect("room");
        }
        assert!(!s.has_room(100, false));
        assert!(s.has_room(100, true));
    }

    #[test]
    fn appends_run_out_of_files_in_the_second_half_of_the_last_one_that_they_may_use() {
        let mut s = space(4, 100);
        for (bytes, runs_out) in [(90, false), (100, false), (50, false), (10, true)] {
            s.place(bytes, 0).expect("room");
            assert_eq!(s.is_running_out(), runs_out, "{bytes}");
        }
        s.add(100);
        assert!(!s.is_running_out());
    }

    #[test]
    fn the_reserve_counts_the_sizes_that_files_have() {
        let mut s = space(4, 100);
        for _ in 0..6 {
            s.add(1000);
        }
        // Four files of 100 and one of 1000, and one more.
        s.reserve(1_500);
        assert!((0..4).all(|_| s.has_room(1000, false) && s.place(1000, 0).is_some()));
        assert!(!s.has_room(1000, false));
        assert!(s.has_room(1000, true));
    }

    #[test]
    fn a_retired_file_gets_a_new_generation_and_the_active_one_is_never_retired() {
        let mut s = space(4, 100);
        for _ in 0..3 {
            s.place(100, 0);
        }
        assert!(s.is_half_full());
        assert_eq!(s.turn_target(), Some(2));
        s.retire(u64::MAX);
        assert_eq!(s.first_generation(), 3);
        let next = s.place(100, 0).expect("room");
        assert_eq!((next.closing.generation, next.closing.sequence), (4, 4));
        assert!(next.switched_from.is_some());
    }

    #[test]
    fn the_only_file_that_is_large_enough_holds_no_more_than_is_left_of_it_while_it_is_active() {
        let mut s = space(4, 100);
        assert!(!s.could_hold(150));
        s.add(200);
        assert!(s.could_hold(150));
        s.place(150, 0).expect("the large file");
        assert!(s.could_hold(50) && !s.could_hold(150), "no turn frees the active file");
        s.place(100, 0).expect("a small file");
        assert!(s.could_hold(150) && !s.has_room(150, false), "a turn frees the large one");
        assert!(!s.is_half_full());
        s.retire(s.turn_target().expect("two files are in use"));
        assert!(s.has_room(150, false));
    }

    #[test]
    fn commits_of_one_file_follow_each_other() {
        let mut s = space(4, 100);
        assert_eq!(s.place(40, 0).map(|p| p.closing.position), Some(0));
        assert_eq!(s.place(40, 0).map(|p| p.closing.position), Some(40));
        assert_eq!(s.place(40, 0).map(|p| (p.closing.position, p.closing.generation)), Some((0, 2)));
    }
}
