//! Writes synced bytes into the segments, behind the acks. Owning core only; one task for the whole core.
//!
//! Invariant: only synced bytes, only whole blocks (R9). A commit leaves the window when all its whole blocks are in
//! segments; its memory then serves readers until the cache needs room.

use std::collections::VecDeque;

use futures_lite::future::zip;

use super::core::ShardCore;
use super::partition::Slot;
use super::{Shard, fail};
use crate::log::{WriteJob, WriteKind};
use crate::runtime::Runtime;

/// What one drain of the window takes on.
pub struct Drain {
    /// Commits up to this one are in segments afterwards.
    through: u64,
    slots: VecDeque<Slot>,
}

impl ShardCore {
    /// The partitions of all synced commits of the window.
    fn plan_drain(&self) -> Option<Drain> {
        let synced = self.window.iter().take_while(|c| c.sequence <= self.synced_through);
        let through = synced.clone().last()?.sequence;
        let mut slots: Vec<Slot> = synced.flat_map(|c| c.touched.iter().copied()).collect();
        slots.sort_unstable();
        slots.dedup();
        Some(Drain { through, slots: slots.into() })
    }

    /// Commits up to `through` have left the window.
    fn window_drained(&mut self, through: u64) {
        while self.window.front().is_some_and(|c| c.sequence <= through) {
            let Some(commit) = self.window.pop_front() else { break };
            self.window_bytes -= commit.bytes;
            self.cache_bytes += commit.bytes;
            self.cache.push_back(commit);
        }
        self.drained_through = self.drained_through.max(through);
        self.signals.drained.notify();
    }

    /// The oldest commit of the cache, if the cache is over its budget: its partitions let go of it.
    fn evict_one(&mut self) -> bool {
        if self.cache_bytes <= self.settings.cache_bytes {
            return false;
        }
        let Some(commit) = self.cache.pop_front() else { return false };
        self.cache_bytes -= commit.bytes;
        for slot in &commit.touched {
            if let Some(partition) = self.get_mut(*slot) {
                partition.log.evict_through(commit.sequence);
            }
        }
        true
    }

    /// Whether everything that was acked is in segments; if not, asks for it.
    pub fn is_drained(&mut self) -> bool {
        self.want_drained();
        self.window.is_empty()
    }

    /// Asks for all of the window to go into segments; what is not synced yet follows after its sync.
    pub fn want_drained(&mut self) {
        let Some(last) = self.window.back() else { return };
        self.drain_wanted = self.drain_wanted.max(last.sequence);
        self.signals.write_behind.notify();
    }

    /// The window is more than half full, or somebody waits for it.
    pub fn wants_drain(&self) -> bool {
        self.window_bytes > self.settings.window_bytes / 2 || self.drain_wanted > self.drained_through
    }
}

/// Drains the window whenever it is half full or somebody asks for it.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.write_behind.wait().await;
        while shard.step(|core, _, _| core.wants_drain()) && !shard.fence().is_tripped() {
            let Some(drain) = shard.step(|core, _, _| core.plan_drain()) else {
                // What is in the window is not synced yet: it comes back after the sync.
                shard.step(|core, _, _| {
                    if core.window.is_empty() {
                        core.drained_through = core.drained_through.max(core.drain_wanted.min(core.synced_through));
                        core.signals.drained.notify();
                    }
                    core.sync_soon();
                });
                break;
            };
            write_out(&shard, drain.slots, WriteKind::WholeBlocks).await;
            shard.step(|core, now, wall_ms| {
                core.window_drained(drain.through);
                core.admit_waiting(now, wall_ms);
            });
            while shard.step(|core, _, _| core.evict_one()) {
                shard.rt().quantum().await;
            }
        }
    }
}

/// Waits until everything that is synced now is in segments, as far as whole blocks go.
pub async fn drain_all<R: Runtime>(shard: &Shard<R>) {
    let target = shard.step(|core, _, _| {
        let last = core.window.iter().map(|c| c.sequence).take_while(|s| *s <= core.synced_through).last();
        let target = last.unwrap_or(0);
        core.drain_wanted = core.drain_wanted.max(target);
        target
    });
    let signals = shard.signals();
    while shard.step(|core, _, _| core.drained_through < target) && !shard.fence().is_tripped() {
        signals.write_behind.notify();
        signals.drained.wait().await;
    }
}

/// Writes the given partitions, several at a time.
pub async fn write_out<R: Runtime>(shard: &Shard<R>, slots: VecDeque<Slot>, kind: WriteKind) {
    let queue = std::cell::RefCell::new(slots);
    let worker = || async {
        loop {
            let next = queue.borrow_mut().pop_front();
            let Some(slot) = next else { return };
            while let Some(job) = next_job(shard, slot, kind) {
                if !write_one(shard, slot, job).await {
                    return;
                }
                shard.rt().quantum().await;
            }
        }
    };
    zip(zip(worker(), worker()), zip(worker(), worker())).await;
}

fn next_job<R: Runtime>(shard: &Shard<R>, slot: Slot, kind: WriteKind) -> Option<(crate::log::PartitionDir, WriteJob)> {
    shard.step(|core, _, _| {
        let partition = core.get_mut(slot)?;
        let job = partition.log.next_write(kind)?;
        Some((partition.directory(), job))
    })
}

/// Carries out one job; `false` after a failure that fenced the process.
async fn write_one<R: Runtime>(shard: &Shard<R>, slot: Slot, (dir, job): (crate::log::PartitionDir, WriteJob)) -> bool {
    match shard.on_ballast(async || shard.store().write(&dir, &job).await).await {
        Ok(()) => {
            shard.step(|core, _, _| {
                core.counters.segment_bytes += job.bytes();
                if let Some(partition) = core.get_mut(slot) {
                    partition.log.written(&job);
                }
                if job.seal.is_some() {
                    core.drop_segments(slot);
                }
            });
            true
        }
        Err(error) => {
            // A topic deleted meanwhile takes its directory along.
            if shard.step(|core, _, _| core.get(slot).is_none()) {
                return true;
            }
            shard.fence().trip(fail(&error.path, "write", &error.source));
            false
        }
    }
}
