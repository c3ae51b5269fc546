//! Reads from the disk: cold fetches and timestamps, and the partial blocks that appends need back. Owning core only.
//!
//! Invariant: what is read is checked before it leaves (R15); what does not check out takes the partition offline and
//! nothing else. At most `JOBS_AT_ONCE` reads run on a core.

use std::cell::Cell;
use std::rc::Rc;

use super::Shard;
use super::partition::Slot;
use super::read::{DiskJob, DiskWhat};
use super::signal::Signal;
use crate::log::ReadFailure;
use crate::request::ReadError;
use crate::runtime::Runtime;

/// The disk gives 40,000 random 4 KiB reads a second at this depth; more would only queue.
const JOBS_AT_ONCE: usize = 16;

/// Starts the disk jobs of the core, in order, some at once.
pub async fn run_jobs<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    let running = Rc::new(Cell::new(0));
    let ended = Rc::new(Signal::default());
    while !shard.journal_is_closed() {
        signals.disk.wait().await;
        while let Some(job) = shard.step(|core, _, _| core.disk_jobs.pop_front()) {
            while running.get() >= JOBS_AT_ONCE {
                ended.wait().await;
            }
            running.set(running.get() + 1);
            let (shard, running, ended) = (shard.clone(), running.clone(), ended.clone());
            shard.rt().clone().spawn(async move {
                run_job(&shard, job).await;
                running.set(running.get() - 1);
                ended.notify();
            });
        }
    }
}

async fn run_job<R: Runtime>(shard: &Shard<R>, job: DiskJob) {
    let slot = job.slot;
    let Some(dir) = shard.step(|core, _, _| core.get(slot).map(|p| p.directory())) else {
        return job.fail(ReadError::Unknown);
    };
    let failure = match job.what {
        DiskWhat::Fetch { read, mut fetched, gather, index } => match shard.store().read(&dir, read).await {
            Ok(records) => {
                fetched.records = records;
                fetched.from_disk = true;
                let bytes = fetched.bytes() as u64;
                shard.step(|core, _, _| {
                    core.counters.read_disk_bytes += bytes;
                    if let Some(partition) = core.get_mut(slot) {
                        partition.traffic.read_bytes += bytes;
                    }
                });
                return gather.done(index, Ok(fetched));
            }
            Err(failure) => {
                let error = error_of(shard, slot, &failure);
                gather.done(index, Err(error));
                failure
            }
        },
        DiskWhat::Timestamp { search, gather, index } => match shard.store().search(&dir, search).await {
            Ok(mut listed) => {
                shard.step(|core, _, _| {
                    if let Some(partition) = core.get(slot) {
                        listed.epoch = partition.epochs.epoch_at(listed.offset).unwrap_or(listed.epoch);
                    }
                });
                return gather.done(index, Ok(listed));
            }
            Err(failure) => {
                let error = error_of(shard, slot, &failure);
                gather.done(index, Err(error));
                failure
            }
        },
    };
    take_offline(shard, slot, &failure);
}

/// Segments below a moved log start may be gone while a read is on its way: that is the reader's offset, not damage.
fn error_of<R: Runtime>(shard: &Shard<R>, slot: Slot, failure: &ReadFailure) -> ReadError {
    shard.step(|core, _, _| match core.get(slot) {
        None => ReadError::Unknown,
        Some(p) if failure.segment_base < p.log.first_segment_base() => {
            ReadError::OutOfRange { asked: failure.segment_base, start: p.log.log_start(), end: p.log.log_end() }
        }
        Some(_) => ReadError::Offline { reason: failure.to_string() },
    })
}

fn take_offline<R: Runtime>(shard: &Shard<R>, slot: Slot, failure: &ReadFailure) {
    shard.step(|core, _, _| {
        if core.get(slot).is_some_and(|p| failure.segment_base >= p.log.first_segment_base()) {
            core.take_offline(slot, &failure.to_string());
        }
    });
}

/// Reads back the partial blocks of partitions whose tail is cold, one after the other for each partition.
pub async fn run_tails<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.tails.wait().await;
        while let Some(slot) = shard.step(|core, _, _| core.cold_tails.pop_front()) {
            let shard = shard.clone();
            shard.rt().clone().spawn(async move { warm(&shard, slot).await });
        }
    }
}

async fn warm<R: Runtime>(shard: &Shard<R>, slot: Slot) {
    let Some((dir, tail)) = shard.step(|core, _, _| core.get(slot).map(|p| (p.directory(), p.log.cold_tail()))) else {
        return;
    };
    let Some(tail) = tail else { return };
    match shard.store().read_tail(&dir, tail).await {
        Ok(bytes) => shard.step(|core, now, wall_ms| core.tail_is_warm(now, wall_ms, slot, bytes)),
        Err(failure) => shard.step(|core, _, _| core.take_offline(slot, &failure.to_string())),
    }
}
