//! Moves of the log start: DeleteRecords and retention. Owning core only.
//!
//! Invariant: the journal entry is synced before the reply, the reply before the rename, the rename before the unlink
//! (R8), which may come much later; readers are refused below the new start as soon as it is decided.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::commit::Release;
use super::core::{Dropped, ShardCore};
use super::partition::Slot;
use crate::journal::open::{OpenCommit, Place};
use crate::planted::{PlantedFault, is_planted};
use crate::request::{ReadError, Upto};
use crate::router::oneshot::Reply;
use crate::types::{Offset, PartitionId};

/// The answers of one MoveLogStart request.
pub struct Moves {
    results: RefCell<Vec<Result<Offset, ReadError>>>,
    missing: Cell<usize>,
    reply: RefCell<Option<Reply<Vec<Result<Offset, ReadError>>>>>,
}

impl Moves {
    fn done(&self, index: usize, result: Result<Offset, ReadError>) {
        self.results.borrow_mut()[index] = result;
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0
            && let Some(reply) = self.reply.take()
        {
            reply.send(self.results.take());
        }
    }
}

/// Who is told when a log start is durable.
pub struct MoveWaiter {
    moves: Rc<Moves>,
    index: usize,
}

impl MoveWaiter {
    pub fn done(self, start: Offset) {
        self.moves.done(self.index, Ok(start));
    }
}

impl ShardCore {
    /// Moves the log starts of several partitions forward.
    pub fn move_log_starts(&mut self, parts: &[(PartitionId, Upto)], reply: Reply<Vec<Result<Offset, ReadError>>>) {
        let moves = Rc::new(Moves {
            results: RefCell::new(parts.iter().map(|_| Err(ReadError::Stopping)).collect()),
            missing: Cell::new(parts.len()),
            reply: RefCell::new(Some(reply)),
        });
        for (index, (id, upto)) in parts.iter().enumerate() {
            match self.log_start_wanted(*id, *upto) {
                Err(error) => moves.done(index, Err(error)),
                Ok((slot, start)) => {
                    let waiter = MoveWaiter { moves: moves.clone(), index };
                    self.move_log_start(slot, start, Some(waiter));
                }
            }
        }
    }

    fn log_start_wanted(&self, id: PartitionId, upto: Upto) -> Result<(Slot, Offset), ReadError> {
        let slot = self.slot_of(id).ok_or(ReadError::Unknown)?;
        let partition = self.get(slot).ok_or(ReadError::Unknown)?;
        if let Some(reason) = partition.offline_reason() {
            return Err(ReadError::Offline { reason });
        }
        let (start, end) = (partition.log.log_start(), partition.high_watermark);
        match upto {
            Upto::HighWatermark => Ok((slot, end)),
            Upto::Offset(asked) if asked < Offset::ZERO || asked > end => {
                Err(ReadError::OutOfRange { asked, start, end })
            }
            Upto::Offset(asked) => Ok((slot, asked.max(start))),
        }
    }

    /// Decides the move and puts its entry into the journal; what is below goes away after the sync.
    pub fn move_log_start(&mut self, slot: Slot, start: Offset, waiter: Option<MoveWaiter>) {
        let Some(partition) = self.get_mut(slot) else { return };
        let (id, epoch) = (partition.id, partition.epoch);
        partition.log.move_log_start(start);
        partition.epochs.truncate_start(start);
        // An active segment wholly below the start ends, so that its file can go.
        let seal = partition.log.roll_expired();
        let open = self.make_open(2 * OpenCommit::entry_bytes(0));
        if let Some(seal) = &seal {
            open.push_seal(Place { partition: id, epoch, segment_base: seal.base, position: seal.size });
        }
        open.push_log_start(id, epoch, start);
        self.open_notes.strict = true;
        let sealed = seal.map(|seal| seal.base);
        if is_planted(PlantedFault::LogStartToldEarly) {
            self.log_start_is_durable(slot, start, None);
            self.open_notes.releases.push(Release::LogStart { slot, start, sealed, waiter: None });
            self.signals.journal.notify();
            return waiter.into_iter().for_each(|waiter| waiter.done(start));
        }
        self.open_notes.releases.push(Release::LogStart { slot, start, sealed, waiter });
        self.signals.journal.notify();
    }

    /// The move is synced: segments wholly below may be renamed, and unlinked after their topic's delay.
    pub fn log_start_is_durable(&mut self, slot: Slot, start: Offset, sealed: Option<Offset>) {
        let Some(partition) = self.get_mut(slot) else { return };
        if let Some(base) = sealed {
            partition.log.seal_synced(base);
        }
        partition.durable_log_start = partition.durable_log_start.max(start);
        if partition.log.has_unfinished_below(partition.durable_log_start) {
            // On a quiet or full broker nothing else would come to finish the file.
            self.given_up.push_back(slot);
            self.signals.given_up.notify();
        }
        self.drop_segments(slot);
    }

    /// Gives up finished segments wholly below the durable log start.
    pub fn drop_segments(&mut self, slot: Slot) {
        let Some(partition) = self.get_mut(slot) else { return };
        let bases = partition.log.take_dropped(partition.durable_log_start);
        if !bases.is_empty() {
            let delay = partition.removal_delay();
            self.dropped.push_back(Dropped::Segments { slot, bases, delay });
            self.signals.clean_up.notify();
        }
    }
}
