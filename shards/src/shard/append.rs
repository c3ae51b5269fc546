//! Appends: from a checked batch to its place in the open commit. Owning core only.
//!
//! Invariant: appends to one partition enter the log in the order of their tickets (R4): one that must wait makes all
//! after it wait.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use smallvec::SmallVec;

use super::catalog::METADATA_PARTITION;
use super::commit::{PieceNote, Token};
use super::core::ShardCore;
use super::partition::{Slot, sequenced};
use super::settings::{COMMIT_BYTES_MAX, COMMIT_BYTES_MIN};
use crate::batch::{ValidBatch, stamp};
use crate::journal::format::HEADER_BYTES;
use crate::journal::open::{OpenCommit, Place};
use crate::log::{Carry, RollRules};
use crate::partition::producers::Verdict;
use crate::planted::{PlantedFault, is_planted};
use crate::request::{AppendError, AppendPart, Appended, Marks};
use crate::router::oneshot::Reply;
use crate::runtime::BLOCK_BYTES;
use crate::types::{Mono, Offset};

/// What a batch takes of the journal in a commit of its own. A roll adds a seal entry.
fn bytes_alone(batch: &ValidBatch) -> u64 {
    let bytes = HEADER_BYTES + OpenCommit::entry_bytes(batch.bytes().len()) + OpenCommit::entry_bytes(0);
    bytes.next_multiple_of(BLOCK_BYTES) as u64
}

/// Result of one part.
pub type AppendResult = Result<Appended, AppendError>;

const REPLICAS_OF_ONE_NODE: i32 = 1;
/// In-sync replicas of a partition without followers: its leader.
const ISR_OF_ONE_NODE: i32 = 1;

/// One request of one connection to this shard: answered when all its parts are.
pub struct AppendCall {
    results: RefCell<Vec<Option<AppendResult>>>,
    missing: Cell<usize>,
    reply: RefCell<Option<Reply<Vec<AppendResult>>>>,
}

impl AppendCall {
    fn new(parts: usize, reply: Reply<Vec<AppendResult>>) -> Rc<AppendCall> {
        Rc::new(AppendCall {
            results: RefCell::new(vec![None; parts]),
            missing: Cell::new(parts),
            reply: RefCell::new(Some(reply)),
        })
    }

    /// Gives the result of one part; the last one sends the reply.
    pub fn done(&self, index: usize, result: AppendResult) {
        self.results.borrow_mut()[index] = Some(result);
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0
            && let Some(reply) = self.reply.take()
        {
            let results = self.results.take();
            reply.send(results.into_iter().map(|r| r.unwrap_or(Err(AppendError::Stopping))).collect());
        }
    }
}

/// A batch on its way into the open commit.
pub struct PendingPart {
    pub slot: Slot,
    part: AppendPart,
    call: Rc<AppendCall>,
    index: usize,
    taken_up: Mono,
}

impl PendingPart {
    pub fn fail(self, error: AppendError) {
        self.call.done(self.index, Err(error));
    }

    fn bytes(&self) -> usize {
        self.part.batch.bytes().len()
    }
}

/// Whether a part found its place.
enum Placed {
    Done,
    /// Comes back, to wait for room.
    NoRoom(PendingPart),
}

impl ShardCore {
    /// Appends all parts of one request, in order. Never blocks: what finds no room waits in a queue that the
    /// connections' memory leases bound.
    pub fn append(&mut self, now: Mono, wall_ms: i64, parts: Vec<AppendPart>, reply: Reply<Vec<AppendResult>>) {
        let call = AppendCall::new(parts.len(), reply);
        for (index, part) in parts.into_iter().enumerate() {
            let Some(slot) = self.slot_of(part.partition) else {
                call.done(index, Err(AppendError::Unknown));
                continue;
            };
            let pending = PendingPart { slot, part, call: call.clone(), index, taken_up: now };
            if !self.waiting.is_empty() && !is_planted(PlantedFault::AppendsOvertake) {
                self.waiting.push_back(pending);
            } else if let Placed::NoRoom(pending) = self.place(now, wall_ms, pending) {
                self.waiting.push_back(pending);
                self.ask_for_room();
            }
        }
    }

    /// Lets waiting appends in, as far as there is room; called whenever some was made.
    pub fn admit_waiting(&mut self, now: Mono, wall_ms: i64) {
        while let Some(pending) = self.waiting.pop_front() {
            if let Placed::NoRoom(pending) = self.place(now, wall_ms, pending) {
                self.waiting.push_front(pending);
                self.ask_for_room();
                return;
            }
        }
    }

    /// Refuses the append that waits in front if no file of the journal is large enough for it.
    pub fn refuse_too_large(&mut self, now: Mono, wall_ms: i64) {
        let is_too_large = |pending: &mut PendingPart| !self.space.could_hold(bytes_alone(&pending.part.batch));
        if let Some(pending) = self.waiting.pop_front_if(is_too_large) {
            pending.fail(AppendError::DiskFull);
        }
        self.admit_waiting(now, wall_ms);
    }

    /// The partial block at the log's end is in memory again: carries it into the journal (R10) and lets the appends in.
    pub fn tail_is_warm(&mut self, now: Mono, wall_ms: i64, slot: Slot, tail: bytes::Bytes) {
        let Some(partition) = self.get_mut(slot) else { return };
        partition.log.warm_tail(tail);
        if !is_planted(PlantedFault::WarmTailNotCarried) {
            self.carry(slot);
        }
        self.admit_after_tail(now, wall_ms, slot);
    }

    /// The appends to a partition wait for its tail no more: they come before all that came after them.
    pub fn admit_after_tail(&mut self, now: Mono, wall_ms: i64, slot: Slot) {
        let Some(partition) = self.get_mut(slot) else { return };
        let waiting = std::mem::take(&mut partition.waiting_for_tail);
        for pending in waiting.into_iter().rev() {
            self.waiting.push_front(pending);
        }
        self.admit_waiting(now, wall_ms);
    }

    /// Puts the partial block of a partition into the open commit once more; the number of its bytes, 0 if it has none.
    pub fn carry(&mut self, slot: Slot) -> usize {
        let carry = self.get(slot).and_then(|partition| partition.log.carry());
        carry.map_or(0, |carry| self.push_carry(slot, &carry))
    }

    /// As [`ShardCore::carry`], but all bytes that are in no synced file, of a partition that was just put together.
    pub fn carry_whole(&mut self, slot: Slot) -> usize {
        let Some(partition) = self.get(slot) else { return 0 };
        let carries: SmallVec<[Carry; 1]> = partition.log.carry_whole().collect();
        carries.iter().map(|carry| self.push_carry(slot, carry)).sum()
    }

    fn push_carry(&mut self, slot: Slot, carry: &Carry) -> usize {
        let Some(partition) = self.get(slot) else { return 0 };
        let place = Place {
            partition: partition.id,
            epoch: partition.epoch,
            segment_base: carry.segment_base,
            position: carry.position,
        };
        let len: usize = carry.bytes.iter().map(bytes::Bytes::len).sum();
        self.make_open(OpenCommit::entry_bytes(len)).push_carry(place, &carry.bytes);
        self.open_notes.strict = true;
        self.signals.journal.notify();
        len
    }

    fn place(&mut self, now: Mono, wall_ms: i64, pending: PendingPart) -> Placed {
        let Some(partition) = self.get(pending.slot) else {
            pending.fail(AppendError::Unknown);
            return Placed::Done;
        };
        if let Err(error) = self.may_append(pending.slot, &pending.part) {
            pending.fail(error);
            return Placed::Done;
        }
        let verdict = partition.producers.check(&sequenced(pending.part.batch.header()), &self.producer_room);
        // A repeat takes no space.
        if !matches!(verdict, Ok(Verdict::Duplicate { .. })) && self.refuses_for_space(&pending.part) {
            pending.fail(AppendError::DiskFull);
            return Placed::Done;
        }
        // A segment that was closed meanwhile has no cold tail any more; who waits for it still comes first (R4).
        if partition.log.tail_is_cold() || !partition.waiting_for_tail.is_empty() {
            let slot = pending.slot;
            if let Some(partition) = self.get_mut(slot) {
                let first = partition.waiting_for_tail.is_empty();
                partition.waiting_for_tail.push(pending);
                if first {
                    self.cold_tails.push_back(slot);
                    self.signals.tails.notify();
                }
            }
            return Placed::Done;
        }
        match verdict {
            Ok(Verdict::Append) => self.place_new(now, wall_ms, pending),
            Ok(Verdict::Duplicate { base_offset, last_offset, timestamp_ms }) => {
                self.answer_duplicate(now, pending, base_offset, last_offset, timestamp_ms);
                Placed::Done
            }
            Err(error) => {
                if matches!(error, AppendError::TooManyProducers { .. }) {
                    self.producer_room.tell(now);
                }
                pending.fail(error);
                Placed::Done
            }
        }
    }

    /// Deleting topics is how space comes back: the metadata log goes on, on the ballast's space (R14), with all that a file
    /// of the journal can take.
    fn refuses_for_space(&self, part: &AppendPart) -> bool {
        let goes_on = || part.partition == METADATA_PARTITION && self.space.could_hold(bytes_alone(&part.batch));
        self.disk_full && !is_planted(PlantedFault::AdmittedOnFullDisk) && !goes_on()
    }

    /// Checks that need no look at the batch's producer.
    fn may_append(&self, slot: Slot, part: &AppendPart) -> Result<(), AppendError> {
        if self.stopping {
            return Err(AppendError::Stopping);
        }
        let Some(partition) = self.get(slot) else { return Err(AppendError::Unknown) };
        if let Some(reason) = partition.offline_reason() {
            return Err(AppendError::Offline { reason });
        }
        // A topic needs no more replicas in sync than it has: more are asked for where more nodes are to come.
        let min = partition.config.min_insync_replicas.min(REPLICAS_OF_ONE_NODE);
        if part.acks_all && min > ISR_OF_ONE_NODE {
            return Err(AppendError::NotEnoughReplicas { isr: ISR_OF_ONE_NODE, min });
        }
        let bytes = part.batch.bytes().len() as u64;
        let max = u64::try_from(partition.config.segment_bytes).unwrap_or(0);
        // What the broker writes of itself is one batch a change, however small segments are: such a batch has its own.
        let is_own = partition.id == METADATA_PARTITION || self.has_coordinator(partition.id);
        if bytes > max && !is_own {
            return Err(AppendError::LargerThanSegment { bytes, max });
        }
        if part.batch.header().is_transactional() {
            return Err(AppendError::Transactional);
        }
        Ok(())
    }

    fn place_new(&mut self, now: Mono, wall_ms: i64, pending: PendingPart) -> Placed {
        let entry = OpenCommit::entry_bytes(pending.bytes());
        // A roll adds a seal entry.
        if !self.has_room(entry + OpenCommit::entry_bytes(0)) {
            return Placed::NoRoom(pending);
        }
        let slot = pending.slot;
        let mut header = *pending.part.batch.header();
        let mut room = self.producer_room;
        let Some(partition) = self.get_mut(slot) else { return Placed::Done };
        let (id, epoch) = (partition.id, partition.epoch);
        let rules = RollRules {
            segment_bytes: u64::try_from(partition.config.segment_bytes).unwrap_or(0),
            segment_ms: partition.segment_ms(),
        };
        let placement = partition.log.place(&header, pending.bytes(), &rules, wall_ms);
        header.base_offset = placement.base_offset.0;
        header.leader_epoch = epoch.0;
        partition.learn(&header, wall_ms, &mut room);
        let records = i64::from(header.last_offset_delta) + 1;
        partition.unsynced_records += records;
        partition.carried_end = None;
        partition.traffic.appended_records += records.unsigned_abs();
        partition.traffic.appended_bytes += pending.bytes() as u64;
        let strict = partition.is_strict();
        let sync_due = !strict
            && partition.unsynced_records >= partition.config.flush_messages
            && !is_planted(PlantedFault::FlushCountForgotten);
        let log_start = partition.log_start_told();
        let last_offset = placement.base_offset.plus(records - 1);
        self.producer_room = room;

        let open = self.make_open(entry + OpenCommit::entry_bytes(0));
        if let Some(seal) = &placement.seal {
            let place = Place { partition: id, epoch, segment_base: seal.base, position: seal.size };
            open.push_seal(place);
        }
        let place = Place { partition: id, epoch, segment_base: placement.segment_base, position: placement.position };
        let range = open.push_batch(place, pending.part.batch.bytes(), |copy| {
            stamp(copy, placement.base_offset, epoch);
        });
        self.counters.appended_batches += 1;
        self.counters.appended_records += records.unsigned_abs();
        self.counters.appended_bytes += pending.bytes() as u64;
        self.open_notes.strict |= strict || sync_due || placement.seal.is_some();
        self.open_notes.pieces.push(PieceNote {
            slot,
            segment_base: placement.segment_base,
            position: placement.position,
            base_offset: placement.base_offset,
            last_offset,
            max_timestamp: header.max_timestamp,
            range,
        });
        let appended = Appended {
            base_offset: placement.base_offset,
            log_append_time_ms: pending.part.batch.log_append_time_ms(),
            log_start,
            marks: Marks { taken_up: pending.taken_up, placed: now, appended: (self.clock)(), ..Marks::default() },
        };
        self.open_notes.tokens.push(Token { slot, call: pending.call, index: pending.index, appended, strict });
        self.signals.journal.notify();
        Placed::Done
    }

    /// A duplicate's reply waits for the original's durable offset, like the original (R1).
    fn answer_duplicate(
        &mut self,
        now: Mono,
        pending: PendingPart,
        base_offset: Offset,
        last_offset: Offset,
        timestamp_ms: i64,
    ) {
        let Some(partition) = self.get(pending.slot) else { return pending.fail(AppendError::Unknown) };
        let strict = partition.is_strict();
        let appended = Appended {
            base_offset,
            log_append_time_ms: timestamp_ms,
            log_start: partition.log_start_told(),
            marks: Marks { taken_up: pending.taken_up, released: now, ..Marks::default() },
        };
        // Behind the fence even what is safe is not told (R16): the token below is never released then.
        let is_safe = last_offset < partition.high_watermark && !self.fence.is_tripped();
        if is_safe || is_planted(PlantedFault::DuplicateAckedEarly) {
            return pending.call.done(pending.index, Ok(appended));
        }
        // The original is in the open commit or in one before it: released with the open one at the latest.
        self.open_notes.strict |= strict;
        self.open_notes.tokens.push(Token {
            slot: pending.slot,
            call: pending.call,
            index: pending.index,
            appended,
            strict,
        });
        self.signals.journal.notify();
    }

    /// Room in the open commit, the window and the journal for `more` bytes.
    fn has_room(&mut self, more: usize) -> bool {
        let (open_bytes, empty) = self.open.as_ref().map_or((HEADER_BYTES, true), |o| (o.len(), o.is_empty()));
        let total = (open_bytes + more).next_multiple_of(BLOCK_BYTES);
        if total > COMMIT_BYTES_MAX && !empty {
            return false;
        }
        let is_bounded = !is_planted(PlantedFault::WindowUnbounded);
        if is_bounded && self.window_bytes + total as u64 > self.window_bytes_most && self.window_bytes > 0 {
            // Less than half of the window may be full: nobody else would ask for it.
            self.want_drained();
            return false;
        }
        if !self.space.could_hold(total as u64) {
            let alone = (HEADER_BYTES + more).next_multiple_of(BLOCK_BYTES) as u64;
            // In a commit of its own it may well have room: the open one leaves first.
            if empty || !self.space.could_hold(alone) {
                self.file_wanted = Some(alone);
            }
            return false;
        }
        let has_room = self.space.has_room(total as u64, false);
        self.turn_wanted |= !has_room;
        has_room
    }

    fn ask_for_room(&self) {
        self.signals.journal.notify();
        self.signals.write_behind.notify();
        self.signals.hurry.notify();
        self.signals.turn.notify();
    }

    /// The open commit, with at least `more` bytes free.
    pub fn make_open(&mut self, more: usize) -> &mut OpenCommit {
        let wanted = HEADER_BYTES + more;
        let usual = self.commit_bytes_usual.clamp(COMMIT_BYTES_MIN, COMMIT_BYTES_MAX);
        let alloc = self.alloc_fn();
        let open = self.open.get_or_insert_with(|| OpenCommit::new(alloc(usual.max(wanted))));
        if open.remaining() < more {
            let needed = open.len() + more;
            open.grow(alloc(needed.max(open.capacity() * 2).min(COMMIT_BYTES_MAX.max(needed))));
        }
        open
    }
}
