//! Group commit: whatever came in while the last commit was on the disk becomes the next one. Owning core only.
//!
//! A commit that must be synced is written and synced in one operation: that saves a trip through the ring and a wake-up. Only
//! if something before it is written and not synced (topics that relaxed their flushing), a sync of its own covers both.
//!
//! Invariant: one commit is in flight (R2: depth 1); replies, high watermarks and watches move only when it is synced,
//! or written where the topic relaxed its flushing (R1, R3), and never after the fence was tripped (R16).

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::append::AppendCall;
use super::core::{CommitBuffer, ShardCore};
use super::log_start::MoveWaiter;
use super::partition::Slot;
use super::stages::{Class, Stage};
use super::{Shard, fail};
use crate::journal::open::OpenCommit;
use crate::journal::space::{CommitPlace, FileIndex};
use crate::log::Piece;
use crate::planted::{PlantedFault, is_planted};
use crate::request::{AppendError, Appended, Marks};
use crate::router::oneshot::Reply;
use crate::runtime::buf::Frozen;
use crate::runtime::{BLOCK_BYTES, File, Runtime};
use crate::types::{FilePos, Mono, Offset};

/// After so long without a commit, an empty one says that the last one was synced: without it, damage to the last commit
/// could not be told from a torn write (R6). It costs one unsynced write of a block.
pub const IDLE_BEFORE_CLOSING: Duration = Duration::from_secs(1);

/// A batch in a commit: where its bytes are and where they go.
pub struct PieceNote {
    pub slot: Slot,
    pub segment_base: Offset,
    pub position: FilePos,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: i64,
    /// In the commit's buffer.
    pub range: Range<usize>,
}

impl PieceNote {
    fn records(&self) -> i64 {
        self.last_offset.0 - self.base_offset.0 + 1
    }
}

/// An ack that waits for a commit.
pub struct Token {
    pub slot: Slot,
    pub call: Rc<AppendCall>,
    pub index: usize,
    pub appended: Appended,
    pub strict: bool,
}

/// What else a commit's sync releases.
pub enum Release {
    /// The log start is durable at this offset.
    LogStart { slot: Slot, start: Offset, sealed: Option<Offset>, waiter: Option<MoveWaiter> },
    /// Somebody waits for what is in the commit.
    Done(Reply<()>),
}

/// All that a commit is the turning point for.
#[derive(Default)]
pub struct CommitNotes {
    pub sequence: u64,
    pub write_started: Mono,
    /// 0 where the write is synced when it is done.
    pub written: Mono,
    /// Something in it may be released only after the sync.
    pub strict: bool,
    pub pieces: Vec<PieceNote>,
    pub tokens: Vec<Token>,
    pub releases: Vec<Release>,
}

impl CommitNotes {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tokens.is_empty() && self.releases.is_empty()
    }

    fn touched(&self) -> Box<[Slot]> {
        let mut slots: Vec<Slot> = self.pieces.iter().map(|p| p.slot).collect();
        slots.sort_unstable();
        slots.dedup();
        slots.into_boxed_slice()
    }
}

/// What the commit loop does next.
enum Work {
    Write { open: OpenCommit, place: CommitPlace, notes: CommitNotes },
    Sync(FileIndex),
    Idle,
}

impl ShardCore {
    /// The next commit, or the sync that is due. Called when none is in flight.
    fn next_work(&mut self, now: Mono) -> Work {
        if let Some(open) = self.open.take_if(|open| !open.is_empty()) {
            let bytes = open.padded_bytes();
            let Some(place) = self.space.place(bytes as u64, self.synced_through) else {
                // Carried blocks and log starts ask for no room: they made it larger than any file, or used up what is kept
                // free for them.
                self.open = Some(open);
                self.place_wanted = Some(bytes as u64);
                self.signals.no_place.notify();
                self.signals.hurry.notify();
                self.signals.turn.notify();
                return Work::Idle;
            };
            let place = self.keep_switch(place);
            self.commit_bytes_usual = bytes.max(self.commit_bytes_usual / 8 * 7);
            let mut notes = std::mem::take(&mut self.open_notes);
            notes.sequence = place.closing.sequence;
            if !notes.pieces.is_empty() {
                let within = self.window_bytes <= self.window_bytes_most;
                assert!(within, "no append was let in while the window was full (R17): {} bytes", self.window_bytes);
                // From here on, not from the freeze: the sync of a switch may come between, and appends with it. The
                // whole buffer counts, as it stays in memory while a slice of it is in use.
                self.window_bytes += open.capacity() as u64;
            }
            return Work::Write { open, place, notes };
        }
        if std::mem::take(&mut self.closing_due)
            && let Some(place) = self.space.place(BLOCK_BYTES as u64, self.synced_through)
        {
            let open = OpenCommit::new((self.alloc_fn())(BLOCK_BYTES));
            let notes = CommitNotes { sequence: place.closing.sequence, ..CommitNotes::default() };
            return Work::Write { open, place: self.keep_switch(place), notes };
        }
        if !self.open_notes.is_empty() {
            // Replies that wait for what is in flight no more: duplicates.
            let mut notes = std::mem::take(&mut self.open_notes);
            // What they repeat is written: nothing is in flight.
            self.release_written(&mut notes);
            if !notes.is_empty() {
                self.sync_due |= notes.strict;
                self.unsynced.push_back(notes);
            }
        }
        match self.unsynced_file {
            Some(file) if self.sync_due => Work::Sync(file),
            Some(_) => Work::Idle,
            None => {
                self.release_synced(now);
                Work::Idle
            }
        }
    }

    /// A switch of files needs a sync of the old one only if something in it is not synced (R2).
    fn keep_switch(&self, mut place: CommitPlace) -> CommitPlace {
        if self.unsynced_file.is_none_or(|file| file == place.file) || is_planted(PlantedFault::SwitchNotDrained) {
            place.switched_from = None;
        }
        place
    }

    /// The buffer is closed: its bytes can be shared from now on.
    fn commit_frozen(&mut self, now: Mono, notes: &CommitNotes, frozen: &Frozen, capacity: u64) {
        for piece in &notes.pieces {
            let Some(partition) = self.get_mut(piece.slot) else { continue };
            partition.log.attach(Piece {
                segment_base: piece.segment_base,
                position: piece.position,
                base_offset: piece.base_offset,
                last_offset: piece.last_offset,
                max_timestamp: piece.max_timestamp,
                commit: notes.sequence,
                bytes: frozen.slice(piece.range.clone()),
                buffer_bytes: frozen.len(),
            });
        }
        self.counters.commits += 1;
        self.counters.commit_bytes += frozen.len() as u64;
        if !notes.pieces.is_empty() {
            self.window.push_back(CommitBuffer { sequence: notes.sequence, bytes: capacity, touched: notes.touched() });
            self.closing_at = Some(now.after(IDLE_BEFORE_CLOSING));
        }
    }

    /// Nothing is written that no sync has covered: the next commit's own sync is enough (R2).
    fn all_before_is_synced(&self) -> bool {
        // Planted, an ack follows the write: that needs a write alone.
        self.unsynced_file.is_none() && !is_planted(PlantedFault::AckBeforeSync)
    }

    /// The write is complete: releases what does not wait for the sync. Returns whether to sync now.
    fn commit_written(&mut self, now: Mono, wall_ms: i64, file: FileIndex, mut notes: CommitNotes) -> bool {
        if self.fence.is_tripped() {
            return false;
        }
        let strict = notes.strict;
        notes.written = now;
        self.release_written(&mut notes);
        self.unsynced.push_back(notes);
        self.unsynced_file = Some(file);
        self.note_flush_deadline(now);
        let unsynced_is_much = self.window_bytes > self.window_bytes_most / 4;
        self.admit_waiting(now, wall_ms);
        strict || self.sync_due || unsynced_is_much
    }

    /// Releases what waits for the write only (R3).
    fn release_written(&mut self, notes: &mut CommitNotes) {
        // A repeat comes here without a commit of its own.
        if self.fence.is_tripped() {
            return;
        }
        let early = is_planted(PlantedFault::AckBeforeSync);
        for piece in &notes.pieces {
            let Some(partition) = self.get(piece.slot) else { continue };
            if early || !partition.is_strict() {
                self.raise_high_watermark(piece.slot, piece.last_offset.plus(1), piece.range.len());
            }
        }
        let relaxed: Vec<Token> = notes.tokens.extract_if(.., |token| early || !token.strict).collect();
        for token in relaxed {
            self.release(token, notes.write_started, notes.written, notes.written);
        }
    }

    /// Everything written so far is synced.
    fn release_synced(&mut self, now: Mono) {
        self.unsynced_file = None;
        self.sync_due = false;
        self.flush_deadline = None;
        if self.fence.is_tripped() {
            return;
        }
        while let Some(notes) = self.unsynced.pop_front() {
            self.synced_through = self.synced_through.max(notes.sequence);
            for piece in &notes.pieces {
                let end = piece.last_offset.plus(1);
                let Some(partition) = self.get_mut(piece.slot) else { continue };
                partition.log.synced(end);
                // What came while the sync ran stands in the open commit: it counts on.
                partition.unsynced_records -= piece.records();
                assert!(partition.unsynced_records >= 0, "each record is synced once");
                self.raise_high_watermark(piece.slot, end, piece.range.len());
            }
            for token in notes.tokens {
                self.release(token, notes.write_started, notes.written, now);
            }
            for release in notes.releases {
                self.release_other(release);
            }
        }
        if self.wants_drain() {
            self.signals.write_behind.notify();
            if self.is_pressed() {
                self.signals.hurry.notify();
            }
        }
        if self.space.is_half_full() {
            self.signals.turn.notify();
        }
    }

    fn release(&self, mut token: Token, write_started: Mono, written: Mono, released: Mono) {
        token.appended.marks = Marks { write_started, written, released, ..token.appended.marks };
        let result = match self.get(token.slot) {
            Some(_) => Ok(token.appended),
            None => Err(AppendError::Unknown),
        };
        token.call.done(token.index, result);
    }

    fn release_other(&mut self, release: Release) {
        match release {
            Release::Done(reply) => reply.send(()),
            Release::LogStart { slot, start, sealed, waiter } => {
                self.log_start_is_durable(slot, start, sealed);
                if let Some(waiter) = waiter {
                    waiter.done(start);
                }
            }
        }
    }

    /// Readers may see up to `end` now; wakes those that wait for it.
    fn raise_high_watermark(&mut self, slot: Slot, end: Offset, bytes: usize) {
        let Some(partition) = self.get_mut(slot) else { return };
        if end <= partition.high_watermark {
            return;
        }
        partition.high_watermark = end;
        if !partition.watches.is_empty() {
            for watch in &partition.watches {
                watch.arrived(bytes as u64);
            }
            partition.watches.retain(|watch| !watch.is_over());
        }
    }

    /// A relaxed commit must be synced when the shortest `flush.ms` in it is over.
    fn note_flush_deadline(&mut self, now: Mono) {
        let Some(notes) = self.unsynced.back() else { return };
        let shortest =
            notes.pieces.iter().filter_map(|p| self.get(p.slot)).map(|p| p.config.flush_ms).min().unwrap_or(i64::MAX);
        let Ok(wait) = u64::try_from(shortest) else { return };
        let at = now.after(Duration::from_millis(wait));
        if self.flush_deadline.is_none_or(|before| at < before) && at != Mono::FAR {
            self.flush_deadline = Some(at);
            self.signals.watch.notify();
        }
    }

    /// `flush.ms` is over, or the write-behind needs synced bytes.
    pub fn sync_soon(&mut self) {
        self.sync_due = true;
        self.signals.journal.notify();
    }
}

/// Writes commits until the shard has stopped and nothing is left.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    loop {
        signals.journal.wait().await;
        loop {
            let work = shard.step(|core, now, _| core.next_work(now));
            let outcome = match work {
                Work::Idle => break,
                Work::Sync(file) => sync(&shard, file).await,
                Work::Write { open, place, notes } => write(&shard, open, place, notes).await,
            };
            if let Err(why) = outcome {
                shard.fence().trip(why);
                return;
            }
        }
        if shard.journal_is_closed() {
            return;
        }
    }
}

async fn write<R: Runtime>(
    shard: &Shard<R>,
    open: OpenCommit,
    place: CommitPlace,
    mut notes: CommitNotes,
) -> Result<(), String> {
    if let Some(before) = place.switched_from {
        sync(shard, before).await?;
    }
    let capacity = open.capacity();
    let (frozen, header_crc) = open.close(place.closing);
    let file = shard.journal_file(place.file);
    shard.step(|core, now, wall_ms| {
        core.space.closed(header_crc);
        core.commit_frozen(now, &notes, &frozen, capacity as u64);
        if is_planted(PlantedFault::RelaxedAckFromMemory) {
            core.release_written(&mut notes);
        }
        // The buffer is on its way: the next commit opens.
        core.admit_waiting(now, wall_ms);
    });
    let position = place.closing.position;
    notes.write_started = shard.now();
    if notes.strict && shard.step(|core, _, _| core.all_before_is_synced()) {
        let synced = match is_planted(PlantedFault::SyncSkipped) {
            true => file.file.write(position, &frozen).await,
            false => file.file.write_synced(position, &frozen).await,
        };
        stand(shard, synced.map_err(|e| fail(&file.path, "write", &e)))?;
        shard.step(|core, now, wall_ms| {
            core.stages.record(Class::Core, Stage::WriteSync, now.since(notes.write_started));
            core.unsynced.push_back(notes);
            core.release_synced(now);
            core.admit_waiting(now, wall_ms);
        });
        return Ok(());
    }
    let written = file.file.write(position, &frozen).await;
    stand(shard, written.map_err(|e| fail(&file.path, "write", &e)))?;
    let sync_now = shard.step(|core, now, wall_ms| {
        core.stages.record(Class::Core, Stage::Write, now.since(notes.write_started));
        core.commit_written(now, wall_ms, place.file, notes)
    });
    if sync_now { sync(shard, place.file).await } else { Ok(()) }
}

async fn sync<R: Runtime>(shard: &Shard<R>, file: FileIndex) -> Result<(), String> {
    let file = shard.journal_file(file);
    let started = shard.now();
    if !is_planted(PlantedFault::SyncSkipped) {
        let synced = file.file.sync().await;
        stand(shard, synced.map_err(|e| fail(&file.path, "sync", &e)))?;
    }
    shard.step(|core, now, wall_ms| {
        core.stages.record(Class::Core, Stage::Sync, now.since(started));
        core.release_synced(now);
        core.admit_waiting(now, wall_ms);
    });
    Ok(())
}

/// The outcome as it is; with the fence ignored, as if nothing had failed.
fn stand<R: Runtime>(shard: &Shard<R>, outcome: Result<(), String>) -> Result<(), String> {
    match outcome {
        Err(why) if is_planted(PlantedFault::FenceIgnored) => {
            shard.fence().trip(why);
            Ok(())
        }
        outcome => outcome,
    }
}
