//! Reads: fetch, offsets and epochs of this core's partitions. Owning core only.
//!
//! Invariant: nothing above the high watermark leaves (R15). Memory answers at once; what lies on disk becomes a job that
//! owns all it needs, so that no state is borrowed while it runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::core::ShardCore;
use super::partition::{Partition, Slot};
use crate::log::{DiskRead, ReadPlan, TimestampPlan, TimestampSearch};
use crate::planted::{PlantedFault, is_planted};
use crate::request::{
    EpochEnd, EpochPart, FetchPart, Fetched, Isolation, ListPart, Listed, OffsetAt, PartitionSize, ReadError, WatchId,
};
use crate::router::oneshot::Reply;
use crate::runtime::READ_BYTES_MAX;
use crate::types::{LeaderEpoch, Mono, Offset, PartitionId};

/// Answers of one request that are still being read.
pub struct Gather<T> {
    results: RefCell<Vec<Option<Result<T, ReadError>>>>,
    missing: Cell<usize>,
    reply: RefCell<Option<Reply<Vec<Result<T, ReadError>>>>>,
}

impl<T> Gather<T> {
    fn new(parts: usize, reply: Reply<Vec<Result<T, ReadError>>>) -> Rc<Gather<T>> {
        Rc::new(Gather {
            results: RefCell::new((0..parts).map(|_| None).collect()),
            missing: Cell::new(parts),
            reply: RefCell::new(Some(reply)),
        })
    }

    /// Gives one answer; the last one sends the reply.
    pub fn done(&self, index: usize, result: Result<T, ReadError>) {
        self.results.borrow_mut()[index] = Some(result);
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0
            && let Some(reply) = self.reply.take()
        {
            let results = self.results.take();
            reply.send(results.into_iter().map(|r| r.unwrap_or(Err(ReadError::Stopping))).collect());
        }
    }
}

/// A read that must go to the disk.
pub struct DiskJob {
    pub slot: Slot,
    pub what: DiskWhat,
}

pub enum DiskWhat {
    Fetch { read: DiskRead, fetched: Fetched, gather: Rc<Gather<Fetched>>, index: usize },
    Timestamp { search: TimestampSearch, gather: Rc<Gather<Listed>>, index: usize },
}

impl DiskJob {
    /// Answers with an error instead.
    pub fn fail(self, error: ReadError) {
        match self.what {
            DiskWhat::Fetch { gather, index, .. } => gather.done(index, Err(error)),
            DiskWhat::Timestamp { gather, index, .. } => gather.done(index, Err(error)),
        }
    }
}

impl ShardCore {
    /// Reads every part once. The limit holds over all of them; only the first non-empty one may exceed it. Without one no
    /// records are read.
    pub fn read(
        &mut self,
        parts: &[FetchPart],
        isolation: Isolation,
        max_bytes: Option<u32>,
        reply: Reply<Vec<Result<Fetched, ReadError>>>,
    ) {
        let gather = Gather::new(parts.len(), reply);
        let mut left = max_bytes.unwrap_or(0);
        let mut nothing_yet = max_bytes.is_some();
        for (index, part) in parts.iter().enumerate() {
            match self.read_part(part, isolation, left, nothing_yet) {
                Err(error) => gather.done(index, Err(error)),
                Ok((slot, mut fetched, plan)) => match plan {
                    ReadPlan::Empty => gather.done(index, Ok(fetched)),
                    ReadPlan::Memory(records) => {
                        fetched.records = records;
                        let bytes = fetched.bytes() as u64;
                        self.counters.read_memory_bytes += bytes;
                        if let Some(partition) = self.get_mut(slot) {
                            partition.traffic.read_bytes += bytes;
                        }
                        nothing_yet = false;
                        left = left.saturating_sub(u32::try_from(fetched.bytes()).unwrap_or(u32::MAX));
                        gather.done(index, Ok(fetched));
                    }
                    ReadPlan::Disk(read) => {
                        nothing_yet = false;
                        // However little is asked for, a whole batch is read. Those that a topic could have may be far larger
                        // than those it has.
                        let batch = self.get(slot).map_or(0, |partition| partition.config.max_message_bytes);
                        let least = u32::try_from(batch).unwrap_or(0).min(READ_BYTES_MAX as u32);
                        left = left.saturating_sub(part.max_bytes.max(least));
                        let what = DiskWhat::Fetch { read, fetched, gather: gather.clone(), index };
                        self.disk_jobs.push_back(DiskJob { slot, what });
                        self.signals.disk.notify();
                    }
                },
            }
        }
        if parts.is_empty()
            && let Some(reply) = gather.reply.take()
        {
            reply.send(Vec::new());
        }
    }

    fn read_part(
        &self,
        part: &FetchPart,
        isolation: Isolation,
        left: u32,
        at_least_one: bool,
    ) -> Result<(Slot, Fetched, ReadPlan), ReadError> {
        let (slot, partition) = self.readable(part.partition)?;
        check_epoch(part.current_epoch, partition.epoch)?;
        let mut fetched = Fetched {
            high_watermark: partition.high_watermark,
            last_stable: partition.high_watermark,
            log_start: partition.log_start_told(),
            ..Fetched::default()
        };
        if let Some(last) = part.last_fetched_epoch {
            let parted = partition.epochs.diverging(last, part.offset, partition.epoch, partition.log.log_end());
            fetched.diverging = parted.map_err(|_| ReadError::FutureFetchedEpoch)?;
            if fetched.diverging.is_some() {
                return Ok((slot, fetched, ReadPlan::Empty));
            }
        }
        let (start, end) = (partition.log.log_start(), partition.log.log_end());
        if part.offset < start || part.offset > end {
            return Err(ReadError::OutOfRange { asked: part.offset, start, end });
        }
        let upto = readable_end(partition, isolation);
        fetched.available_bytes = partition.log.available_bytes(part.offset, part.max_bytes, upto);
        let max = part.max_bytes.min(left);
        if part.offset >= upto || (max == 0 && !at_least_one) {
            return Ok((slot, fetched, ReadPlan::Empty));
        }
        let plan = partition.log.plan_read(part.offset, max, upto, at_least_one);
        Ok((slot, fetched, plan))
    }

    /// Parks a fetch; answers at once if there is something to look at already.
    pub fn watch(
        &mut self,
        id: WatchId,
        seen: &[(PartitionId, Offset)],
        isolation: Isolation,
        missing_bytes: u32,
        deadline: Mono,
        reply: Reply<()>,
    ) {
        let first = self.watches.next_deadline().is_none_or(|next| deadline < next);
        let watch = self.watches.add(id, missing_bytes, deadline, reply);
        for (partition, end) in seen {
            match self.slot_of(*partition).and_then(|slot| self.get_mut(slot)) {
                Some(partition) if readable_end(partition, isolation) == *end && partition.offline.is_none() => {
                    let watches = &mut partition.watches;
                    // A fetch may name a partition often.
                    if watches.last().is_some_and(|last| Rc::ptr_eq(last, &watch)) {
                        continue;
                    }
                    if watches.len() == watches.capacity() {
                        watches.retain(|watch| !watch.is_over());
                    }
                    watches.push(watch.clone());
                }
                _ => watch.fire(),
            }
        }
        if first {
            self.signals.watch.notify();
        }
    }

    /// Offsets by what is asked; timestamps that lie on disk become jobs.
    pub fn list_offsets(&mut self, parts: &[ListPart], reply: Reply<Vec<Result<Listed, ReadError>>>) {
        let gather = Gather::new(parts.len(), reply);
        for (index, part) in parts.iter().enumerate() {
            match self.list_part(part) {
                Err(error) => gather.done(index, Err(error)),
                Ok((_, TimestampPlan::Found(found))) => gather.done(index, Ok(found)),
                Ok((slot, TimestampPlan::Search(search))) => {
                    let what = DiskWhat::Timestamp { search, gather: gather.clone(), index };
                    self.disk_jobs.push_back(DiskJob { slot, what });
                    self.signals.disk.notify();
                }
            }
        }
    }

    fn list_part(&self, part: &ListPart) -> Result<(Slot, TimestampPlan), ReadError> {
        let (slot, partition) = self.readable(part.partition)?;
        check_epoch(part.current_epoch, partition.epoch)?;
        let upto = readable_end(partition, part.isolation);
        let known = |offset: Offset| {
            let epoch = partition.epochs.epoch_at(offset).unwrap_or(partition.epoch);
            TimestampPlan::Found(Listed { offset, timestamp_ms: -1, epoch })
        };
        let plan = match part.at {
            OffsetAt::Earliest => known(partition.log_start_told()),
            // Of the leader, not of the last record: nothing may have come since it leads.
            OffsetAt::Latest => TimestampPlan::Found(Listed { offset: upto, timestamp_ms: -1, epoch: partition.epoch }),
            OffsetAt::MaxTimestamp => partition.log.plan_max_timestamp(upto),
            OffsetAt::Timestamp(at) => partition.log.plan_timestamp(at, upto),
        };
        Ok((slot, plan))
    }

    pub fn epoch_ends(&self, parts: &[EpochPart], reply: Reply<Vec<Result<EpochEnd, ReadError>>>) {
        reply.send(parts.iter().map(|part| self.epoch_end(part)).collect());
    }

    fn epoch_end(&self, part: &EpochPart) -> Result<EpochEnd, ReadError> {
        let (_, partition) = self.readable(part.partition)?;
        check_epoch(part.current_epoch, partition.epoch)?;
        Ok(partition.epochs.end_of(part.epoch, partition.epoch, partition.high_watermark))
    }

    pub fn sizes(&self, partitions: &[PartitionId], reply: Reply<Vec<Result<PartitionSize, ReadError>>>) {
        let size_of = |partition: &PartitionId| {
            let (_, partition) = self.readable(*partition)?;
            Ok(PartitionSize {
                bytes: partition.log.total_bytes(),
                log_start: partition.log_start_told(),
                high_watermark: partition.high_watermark,
                log_end: partition.log.log_end(),
            })
        };
        reply.send(partitions.iter().map(size_of).collect());
    }

    fn readable(&self, id: PartitionId) -> Result<(Slot, &Partition), ReadError> {
        let slot = self.slot_of(id).ok_or(ReadError::Unknown)?;
        let partition = self.get(slot).ok_or(ReadError::Unknown)?;
        match partition.offline_reason() {
            Some(reason) => Err(ReadError::Offline { reason }),
            None => Ok((slot, partition)),
        }
    }
}

/// Readers see up to here. Without transactions the last stable offset is the high watermark.
fn readable_end(partition: &Partition, isolation: Isolation) -> Offset {
    match isolation {
        _ if is_planted(PlantedFault::ReadAboveHighWatermark) => partition.log.log_end(),
        Isolation::ReadUncommitted | Isolation::ReadCommitted => partition.high_watermark,
    }
}

fn check_epoch(asked: Option<LeaderEpoch>, ours: LeaderEpoch) -> Result<(), ReadError> {
    match asked {
        Some(asked) if asked < ours => Err(ReadError::FencedEpoch { asked, ours }),
        Some(asked) if asked > ours => Err(ReadError::UnknownEpoch { asked, ours }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
