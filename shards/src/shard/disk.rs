//! Reads from the disk: cold fetches and timestamps, and the partial blocks that appends need back. Owning core only.
//!
//! Invariant: what is read is checked before it leaves (R15); what does not check out takes the partition offline and
//! nothing else. At most `JOBS_AT_ONCE` reads run on a core, and as many of partial blocks.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Shard;
use super::partition::{Partition, Slot};
use super::read::{DiskJob, DiskWhat};
use super::signal::Signal;
use crate::log::{
    DiskBatches, DiskRead, FileState, PartitionDir, ReadFailure, ReadPlan, TimestampPlan, TimestampSearch,
};
use crate::request::ReadError;
use crate::runtime::Runtime;
use crate::types::{Listed, Offset};

/// The disk gives 40,000 random 4 KiB reads a second at this depth; more would only queue.
const JOBS_AT_ONCE: usize = 16;
/// How long to wait for a file that is being replaced.
const PAUSE: Duration = Duration::from_millis(1);

/// Starts the disk jobs of the core, in order, some at once.
pub async fn run_jobs<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    let running = Running::default();
    while !shard.journal_is_closed() {
        signals.disk.wait().await;
        while let Some(job) = shard.step(|core, _, _| core.disk_jobs.pop_front()) {
            let on = shard.clone();
            running.start(shard.rt(), async move { run_job(&on, job).await }).await;
        }
    }
}

/// Tasks that one other starts, `JOBS_AT_ONCE` at most at a time.
#[derive(Clone, Default)]
struct Running {
    count: Rc<Cell<usize>>,
    ended: Rc<Signal>,
}

impl Running {
    /// Waits until there is room for it.
    async fn start<R: Runtime>(&self, rt: &R, task: impl Future<Output = ()> + 'static) {
        while self.count.get() >= JOBS_AT_ONCE {
            self.ended.wait().await;
        }
        self.count.set(self.count.get() + 1);
        let of = self.clone();
        rt.spawn(async move {
            task.await;
            of.count.set(of.count.get() - 1);
            of.ended.notify();
        });
    }
}

async fn run_job<R: Runtime>(shard: &Shard<R>, job: DiskJob) {
    let slot = job.slot;
    let Some(dir) = shard.step(|core, _, _| core.get(slot).map(|p| p.directory())) else {
        return job.fail(ReadError::Unknown);
    };
    match job.what {
        DiskWhat::Fetch { read, mut fetched, gather, index } => {
            let outcome = fetch(shard, slot, &dir, read).await;
            let answer = outcome.map(|records| {
                fetched.records = records;
                fetched.from_disk = true;
                let bytes = fetched.bytes() as u64;
                shard.step(|core, _, _| {
                    core.counters.read_disk_bytes += bytes;
                    if let Some(partition) = core.get_mut(slot) {
                        partition.traffic.read_bytes += bytes;
                    }
                });
                fetched
            });
            gather.done(index, answer);
        }
        DiskWhat::Timestamp { search, gather, index } => {
            gather.done(index, find(shard, slot, &dir, search).await);
        }
    }
}

/// Reads batches; where compaction replaced the file or left a gap, what is there now.
async fn fetch<R: Runtime>(
    shard: &Shard<R>,
    slot: Slot,
    dir: &PartitionDir,
    mut read: DiskRead,
) -> Result<SmallVec<[Bytes; 2]>, ReadError> {
    loop {
        let from = match shard.store().read(dir, &read).await {
            Ok(DiskBatches::Found(records)) => return Ok(records),
            Ok(DiskBatches::Beyond(next)) => next,
            Err(failure) if was_replaced(shard, slot, &failure).await => read.from,
            Err(failure) => return Err(refuse(shard, slot, &failure)),
        };
        let plan = shard.step(|core, _, _| {
            let partition = core.get(slot).ok_or(ReadError::Unknown)?;
            Ok(partition.log.plan_read(from, read.max_bytes, read.upto, read.at_least_one))
        });
        read = match plan? {
            ReadPlan::Empty => return Ok(SmallVec::new()),
            ReadPlan::Memory(records) => return Ok(records),
            ReadPlan::Disk(read) => read,
        };
    }
}

async fn find<R: Runtime>(
    shard: &Shard<R>,
    slot: Slot,
    dir: &PartitionDir,
    search: TimestampSearch,
) -> Result<Listed, ReadError> {
    let (at, upto, largest) = (search.at, search.upto, search.largest);
    let mut listed = first(shard, slot, dir, TimestampPlan::Search(search)).await?;
    if largest && !listed.is_found() {
        listed = largest_below(shard, slot, dir, at, upto).await?;
    }
    shard.step(|core, _, _| {
        if let Some(partition) = core.get(slot) {
            listed.epoch = partition.epochs.epoch_at(listed.offset).unwrap_or(listed.epoch);
        }
    });
    Ok(listed)
}

fn replan<R: Runtime>(shard: &Shard<R>, slot: Slot, at: i64, upto: Offset) -> Result<TimestampPlan, ReadError> {
    shard.step(|core, _, _| Ok(core.get(slot).ok_or(ReadError::Unknown)?.log.plan_timestamp(at, upto)))
}

/// What a plan finds; where compaction replaced a file, or the log gave it up, what is there now.
async fn first<R: Runtime>(
    shard: &Shard<R>,
    slot: Slot,
    dir: &PartitionDir,
    mut plan: TimestampPlan,
) -> Result<Listed, ReadError> {
    loop {
        let search = match plan {
            TimestampPlan::Found(listed) => return Ok(listed),
            TimestampPlan::Search(search) => search,
        };
        plan = match shard.store().search(dir, &search).await {
            Ok(listed) => return Ok(listed),
            // Each time the log begins later: this comes to an end.
            Err(failure) if was_dropped(shard, slot, &failure) || was_replaced(shard, slot, &failure).await => {
                replan(shard, slot, search.at, search.upto)?
            }
            Err(failure) => return Err(refuse(shard, slot, &failure)),
        };
    }
}

/// The first record with the largest timestamp of all, where that is below this one: halves what is left until it is found.
async fn largest_below<R: Runtime>(
    shard: &Shard<R>,
    slot: Slot,
    dir: &PartitionDir,
    mut below: i64,
    upto: Offset,
) -> Result<Listed, ReadError> {
    let mut largest = Listed::NOT_FOUND;
    let mut from = 0;
    while from < below {
        let middle = from + (below - from) / 2;
        let found = first(shard, slot, dir, replan(shard, slot, middle, upto)?).await?;
        if found.is_found() {
            largest = found;
            from = found.timestamp_ms + 1;
        } else {
            below = middle;
        }
    }
    Ok(largest)
}

/// Whether the log has given up the segment that the plan was for.
fn was_dropped<R: Runtime>(shard: &Shard<R>, slot: Slot, failure: &ReadFailure) -> bool {
    shard.step(|core, _, _| core.get(slot).is_some_and(|p| failure.segment_base < p.log.first_segment_base()))
}

/// Whether compaction has put another file in the place of the one that the plan was for; waits while it does so.
async fn was_replaced<R: Runtime>(shard: &Shard<R>, slot: Slot, failure: &ReadFailure) -> bool {
    loop {
        let state = shard.step(|core, _, _| {
            let log = &core.get(slot)?.log;
            Some(log.file_state(failure.segment_base, failure.cleaning))
        });
        match state {
            Some(FileState::Replacing) if !shard.fence().is_tripped() => {
                shard.rt().sleep_until(shard.now().after(PAUSE)).await;
            }
            state => return state == Some(FileState::Replaced),
        }
    }
}

/// What a failed read is to who asked. The partition goes offline, unless the segment was dropped meanwhile: then it is the
/// reader's offset, not damage. What could not be opened for want of a descriptor may be read later.
pub(super) fn refuse<R: Runtime>(shard: &Shard<R>, slot: Slot, failure: &ReadFailure) -> ReadError {
    shard.step(|core, _, _| {
        let Some(Partition { log, .. }) = core.get(slot) else { return ReadError::Unknown };
        if failure.segment_base < log.first_segment_base() {
            return ReadError::OutOfRange { asked: failure.segment_base, start: log.log_start(), end: log.log_end() };
        }
        if log.file_state(failure.segment_base, failure.cleaning) == FileState::Replacing {
            // The process leaves in the middle of it, and the next start ends it.
            return ReadError::Stopping;
        }
        if failure.is_for_descriptors() {
            return ReadError::Unopened { reason: failure.to_string() };
        }
        core.take_offline(slot, &failure.to_string());
        ReadError::Offline { reason: failure.to_string() }
    })
}

/// Reads back the partial blocks of partitions whose tail is cold, some at once: each has a file open that nobody else counts.
pub async fn run_tails<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    let running = Running::default();
    while !shard.journal_is_closed() {
        signals.tails.wait().await;
        while let Some(slot) = shard.step(|core, _, _| core.cold_tails.pop_front()) {
            let on = shard.clone();
            running.start(shard.rt(), async move { warm(&on, slot).await }).await;
        }
    }
}

async fn warm<R: Runtime>(shard: &Shard<R>, slot: Slot) {
    let Some((dir, tail)) = shard.step(|core, _, _| core.get(slot).map(|p| (p.directory(), p.log.cold_tail()))) else {
        return;
    };
    let Some(tail) = tail else {
        // The segment was closed before its tail was looked at: the next batch begins another.
        return shard.step(|core, now, wall_ms| core.admit_after_tail(now, wall_ms, slot));
    };
    let read = loop {
        match shard.store().read_tail(&dir, tail).await {
            // Appends wait for it, as they wait for space on a full disk.
            Err(failure) if failure.is_for_descriptors() && !shard.fence().is_tripped() => {
                shard.wait_for_descriptor(&failure).await;
            }
            read => break read,
        }
    };
    match read {
        Ok(bytes) => shard.step(|core, now, wall_ms| core.tail_is_warm(now, wall_ms, slot, bytes)),
        Err(failure) => shard.step(|core, now, wall_ms| {
            if core.get(slot).is_some_and(|p| p.log.cold_tail() == Some(tail)) {
                core.take_offline(slot, &failure.to_string());
            } else {
                // Closed, or even dropped, while it was read: that is no damage.
                core.admit_after_tail(now, wall_ms, slot);
            }
        }),
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
