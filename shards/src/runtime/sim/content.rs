//! What is in one simulated file: the view of those who read it now, the part that is sure to survive a power cut, and
//! the operations between the two. Invariant: `durable` plus all of `pending` in order is `live`, but for writes in flight and
//! those that a failed sync gave up.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::random::Random;
use crate::runtime::BLOCK_BYTES;

const BLOCK: u64 = BLOCK_BYTES as u64;
/// What a power cut tears: a disk writes these whole or not at all.
const SECTOR_BYTES: usize = 512;

/// Blocks that were written; the rest is zeros up to `len`. A block may be shorter than `BLOCK_BYTES`: then zeros follow.
#[derive(Clone, Default)]
pub(super) struct Content {
    blocks: BTreeMap<u64, Bytes>,
    len: u64,
    /// Blocks below this one have space of their own, written or not.
    reserved: u64,
    /// Blocks at or above `reserved` that were written.
    written_above: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn used_blocks(&self) -> u64 {
        self.reserved + self.written_above
    }

    /// Blocks that a write would take from the free ones.
    pub(super) fn blocks_needed(&self, pos: u64, len: usize) -> u64 {
        let first = (pos / BLOCK).max(self.reserved);
        let end = (pos + len as u64).div_ceil(BLOCK);
        end.saturating_sub(first) - self.blocks.range(first..end.max(first)).count() as u64
    }

    pub(super) fn read(&self, pos: u64, len: usize) -> Bytes {
        let end = (pos + len as u64).min(self.len);
        if pos >= end {
            return Bytes::new();
        }
        if let Some(whole) = self.blocks.get(&(pos / BLOCK))
            && end - pos <= whole.len() as u64
        {
            return whole.slice(..(end - pos) as usize);
        }
        let count = (end - pos) as usize;
        let mut read = Vec::with_capacity(count);
        for (index, block) in self.blocks.range(pos / BLOCK..end.div_ceil(BLOCK)) {
            // Zeros only where nothing was written.
            read.resize((index * BLOCK - pos) as usize, 0);
            read.extend_from_slice(&block[..block.len().min(count - read.len())]);
        }
        read.resize(count, 0);
        read.into()
    }

    /// `pos` is whole blocks.
    pub(super) fn write(&mut self, pos: u64, data: &Bytes) {
        for (index, start) in (pos / BLOCK..).zip((0..data.len()).step_by(BLOCK_BYTES)) {
            let block = data.slice(start..data.len().min(start + BLOCK_BYTES));
            self.put(index, block);
        }
        self.len = self.len.max(pos + data.len() as u64);
    }

    fn put(&mut self, index: u64, block: Bytes) {
        if self.blocks.insert(index, block).is_none() && index >= self.reserved {
            self.written_above += 1;
        }
    }

    fn recount(&mut self) {
        self.written_above = self.blocks.range(self.reserved..).count() as u64;
    }

    /// Writes only those sectors of `data` that `survives`.
    fn write_torn(&mut self, pos: u64, data: &Bytes, mut survives: impl FnMut() -> bool) {
        for (index, start) in (pos / BLOCK..).zip((0..data.len()).step_by(BLOCK_BYTES)) {
            let new = &data[start..data.len().min(start + BLOCK_BYTES)];
            let mut block = self.blocks.get(&index).map_or_else(Vec::new, |old| old.to_vec());
            block.resize(BLOCK_BYTES, 0);
            for (sector, new) in block.chunks_mut(SECTOR_BYTES).zip(new.chunks(SECTOR_BYTES)) {
                if survives() {
                    sector[..new.len()].copy_from_slice(new);
                }
            }
            self.put(index, block.into());
        }
        self.len = self.len.max(pos + data.len() as u64);
    }

    pub(super) fn resize(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK));
            self.reserved = self.reserved.min(len.div_ceil(BLOCK));
            let rest = (len % BLOCK) as usize;
            if let Some(last) = self.blocks.get_mut(&(len / BLOCK))
                && rest < last.len()
            {
                last.truncate(rest);
            }
            self.recount();
        }
        self.len = len;
    }

    pub(super) fn allocate(&mut self, len: u64) {
        self.reserved = self.reserved.max(len.div_ceil(BLOCK));
        self.recount();
        self.len = self.len.max(len);
    }

    /// False beyond the end.
    fn flip(&mut self, byte: u64, bit: u8) -> bool {
        if byte >= self.len {
            return false;
        }
        let mut block = self.blocks.get(&(byte / BLOCK)).map_or_else(Vec::new, |old| old.to_vec());
        block.resize(BLOCK_BYTES, 0);
        block[(byte % BLOCK) as usize] ^= 1 << bit;
        self.put(byte / BLOCK, block.into());
        true
    }
}

pub(super) enum Change {
    Write { pos: u64, data: Bytes },
    Resize(u64),
    Allocate(u64),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { pos, data } => content.write(*pos, data),
            Change::Resize(len) => content.resize(*len),
            Change::Allocate(len) => content.allocate(*len),
        }
    }
}

/// A write that the disk has begun, or a change that is done but not yet sure.
struct Pending {
    id: u64,
    change: Change,
    done: bool,
}

/// Marks the changes that one sync covers.
#[derive(Clone, Copy)]
pub(super) struct SyncPoint(u64);

#[derive(Default)]
pub(super) struct FileState {
    pub(super) live: Content,
    durable: Content,
    /// Those that are done, in the order in which they became so; then those in flight.
    pending: Vec<Pending>,
    ids: u64,
}

impl FileState {
    /// A write goes to the disk. It is seen once it is done; before, a power cut may keep any part of it.
    ///
    /// # Panics
    /// When a write in flight shares a block with it (R10): the disk would be free to keep either.
    pub(super) fn begin_write(&mut self, pos: u64, data: Bytes) -> u64 {
        let end = pos + data.len() as u64;
        for pending in self.pending.iter().filter(|pending| !pending.done) {
            if let Change::Write { pos: other, data: other_data } = &pending.change {
                let apart = end <= *other || *other + other_data.len() as u64 <= pos;
                assert!(apart, "two writes in flight share a block at {pos}");
            }
        }
        self.ids += 1;
        self.pending.push(Pending { id: self.ids, change: Change::Write { pos, data }, done: false });
        self.ids
    }

    /// The write `id` has reached the disk's cache: from now on it is read.
    pub(super) fn finish_write(&mut self, id: u64) {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id && !pending.done) else { return };
        let Pending { change, .. } = self.pending.remove(index);
        change.apply(&mut self.live);
        self.push_done(change);
    }

    /// The write `id` is read from now on, and sure; earlier ones become no surer by it.
    ///
    /// # Panics
    /// When a change of the same bytes is not sure yet: it could land over this one.
    pub(super) fn finish_synced_write(&mut self, id: u64) {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id && !pending.done) else { return };
        let Pending { change, .. } = self.pending.remove(index);
        if let Change::Write { pos, data } = &change {
            let end = *pos + data.len() as u64;
            for pending in &self.pending {
                let apart = matches!(&pending.change, Change::Write { pos: other, data: other_data }
                    if end <= *other || *other + other_data.len() as u64 <= *pos);
                assert!(apart, "a synced write over a change that is not synced, at {pos}");
            }
        }
        change.apply(&mut self.live);
        change.apply(&mut self.durable);
    }

    /// The write failed; what of it a power cut keeps stays open. It is in no one's way any more.
    pub(super) fn fail_write(&mut self, id: u64, random: &mut Random) {
        let Some(index) = self.pending.iter().position(|pending| pending.id == id && !pending.done) else { return };
        let Pending { change, .. } = self.pending.remove(index);
        if let Change::Write { pos, data } = change
            && pos < self.live.len()
        {
            let known = (self.live.len() - pos).min(data.len() as u64) as usize;
            let cut = data.slice(..known);
            self.live.write_torn(pos, &cut, || random.one_in(2));
            let now = self.live.read(pos, known);
            self.push_done(Change::Write { pos, data: now });
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.push_done(change);
    }

    fn push_done(&mut self, change: Change) {
        self.ids += 1;
        let at = self.pending.iter().position(|pending| !pending.done).unwrap_or(self.pending.len());
        self.pending.insert(at, Pending { id: self.ids, change, done: true });
    }

    pub(super) fn begin_sync(&self) -> SyncPoint {
        SyncPoint(self.ids)
    }

    /// What was done when the sync began is sure now; nothing else is.
    pub(super) fn finish_sync(&mut self, point: SyncPoint) {
        let covered = self.pending.iter().take_while(|pending| pending.done && pending.id <= point.0).count();
        for pending in self.pending.drain(..covered) {
            pending.change.apply(&mut self.durable);
        }
    }

    /// The sync failed. Some of what it was to cover is read like all else and never becomes sure, whatever syncs come after it: so
    /// does Linux with what it could not write back.
    pub(super) fn fail_sync(&mut self, point: SyncPoint, random: &mut Random) {
        self.pending.retain(|pending| {
            let is_covered = pending.done && pending.id <= point.0;
            !(is_covered && matches!(pending.change, Change::Write { .. }) && random.one_in(2))
        });
    }

    /// Power is cut: of all that is not sure, a random part survives, in random order, the writes torn into sectors.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        let mood = random.below(4);
        let mut group = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            let survives = match mood {
                0 => false,
                1 => pending.done || random.one_in(2),
                _ => random.one_in(2),
            };
            match pending.change {
                _ if !survives => {}
                Change::Write { pos, data } => group.push((pos, data)),
                change => {
                    self.land(std::mem::take(&mut group), random);
                    change.apply(&mut self.durable);
                }
            }
        }
        self.land(group, random);
        self.live = self.durable.clone();
    }

    fn land(&mut self, mut writes: Vec<(u64, Bytes)>, random: &mut Random) {
        random.shuffle(&mut writes);
        for (pos, data) in writes {
            if !random.one_in(3) {
                self.durable.write(pos, &data);
                continue;
            }
            let len_before = self.durable.len();
            if random.one_in(2) {
                // Torn at one place: the rest never came.
                let mut left = random.below(data.len() as u64 / SECTOR_BYTES as u64 + 1);
                self.durable.write_torn(pos, &data, || {
                    let survives = left > 0;
                    left = left.saturating_sub(1);
                    survives
                });
            } else {
                self.durable.write_torn(pos, &data, || random.one_in(2));
            }
            // A file system makes a file longer only after the data: the length may be lost although sectors are there.
            if self.durable.len() > len_before && random.one_in(2) {
                self.durable.resize(len_before);
            }
        }
    }

    /// Only the process ends: what was done stays done; each write in flight happens or does not.
    pub(super) fn process_killed(&mut self, random: &mut Random) {
        let in_flight: Vec<u64> =
            self.pending.iter().filter(|pending| !pending.done).map(|pending| pending.id).collect();
        for id in in_flight {
            if random.one_in(2) {
                self.finish_write(id);
            } else {
                self.pending.retain(|pending| pending.id != id);
            }
        }
    }

    /// Damages one bit of the medium. False beyond the end.
    pub(super) fn flip(&mut self, byte: u64, bit: u8) -> bool {
        self.durable.flip(byte, bit);
        self.live.flip(byte, bit)
    }
}
