//! Writes synced bytes into the segments, behind the acks. Owning core only; one task for the whole core, and one for what retention
//! gives up.
//!
//! A sync of the journal waits for what else is on its way to the disk: a drain at full speed makes every commit beside it
//! many times as slow. So a drain for which no append and no stop waits is made of small writes, one after the other, and takes
//! no more than half of the time in which its bytes came in; what is left then goes out at once.
//!
//! Invariant: only synced bytes, only whole blocks (R9). A commit leaves the window when all its whole blocks are in
//! segments; its memory then serves readers until the cache needs room.

use std::collections::VecDeque;
use std::time::Duration;

use futures_lite::future::{or, zip};

use super::core::ShardCore;
use super::pace::Pace;
use super::partition::Slot;
use super::stop::LOOK_AGAIN;
use super::{Shard, fail};
use crate::log::{PartitionDir, WRITE_JOB_BYTES_MAX, WriteJob, WriteKind};
use crate::runtime::Runtime;

/// How much sooner a drain ends than its bytes took to come, at the latest; and how much sooner its writes would end if nothing
/// came in beside them, which they take along.
const FASTER: u32 = 2;
const SPARE: f64 = 1.5;
/// The longest that a drain is spread over: what came in hours goes out in a second.
const SPREAD_MAX: Duration = Duration::from_secs(1);
/// A write of a drain that is spread takes the bytes of so much time, and more than the least: each costs a trip to the disk.
const STEP: Duration = Duration::from_millis(10);
const STEP_BYTES_MIN: u64 = 128 << 10;
/// With thousands of partitions, a window's part for each.
const WINDOW_BYTES_PER_PARTITION: u64 = 16 << 10;

/// What one drain of the window takes on.
pub struct Drain {
    /// Commits up to this one are in segments afterwards.
    through: u64,
    slots: VecDeque<Slot>,
    /// Synced bytes of these partitions that are not in segments, when it was planned.
    bytes: u64,
}

impl ShardCore {
    /// The partitions of all synced commits of the window.
    fn plan_drain(&self) -> Option<Drain> {
        let synced = self.window.iter().take_while(|c| c.sequence <= self.synced_through);
        let through = synced.clone().last()?.sequence;
        let mut slots: Vec<Slot> = synced.flat_map(|c| c.touched.iter().copied()).collect();
        slots.sort_unstable();
        slots.dedup();
        let bytes =
            slots.iter().filter_map(|slot| self.get(*slot)).map(|partition| partition.log.unwritten_bytes()).sum();
        Some(Drain { through, slots: slots.into(), bytes })
    }

    /// The window has room for as much of each partition as makes a write of it worth its trip to the disk: a drain takes as
    /// long as it has partitions, and appends go on beside it. It never narrows, as what is in it was let in.
    pub fn widen_window(&mut self) {
        let of_partitions = self.partition_count() as u64 * WINDOW_BYTES_PER_PARTITION;
        self.window_bytes_most = self.window_bytes_most.max(of_partitions.min(self.settings.window_bytes_max));
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
        self.window.is_empty() && self.unsettled.is_empty()
    }

    /// Asks for all of the window to go into segments; what is not synced yet follows after its sync.
    pub fn want_drained(&mut self) {
        let Some(last) = self.window.back() else { return };
        self.drain_wanted = self.drain_wanted.max(last.sequence);
        self.signals.write_behind.notify();
    }

    /// The window is more than half full, or somebody asked for a drain.
    pub fn wants_drain(&self) -> bool {
        self.window_bytes > self.window_bytes_most / 2 || self.drain_wanted > self.drained_through
    }

    /// An append waits for room, or soon will, or the core stops: what may be spread over time is not, then.
    pub fn is_pressed(&self) -> bool {
        self.stopping
            || !self.waiting.is_empty()
            || self.place_wanted.is_some()
            || self.window_bytes > self.window_bytes_most / 8 * 7
    }
}

/// Drains the window whenever it is half full or somebody asks for it.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    let mut began = shard.now();
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
            let now = shard.now();
            let spread = (now.since(std::mem::replace(&mut began, now)) / FASTER).min(SPREAD_MAX);
            write_spread(&shard, drain.slots, drain.bytes, spread).await;
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

/// Finishes segments that were given up before their files were finished, one after the other: those, and the memory of their
/// tails, go with that. Thousands may come at once, and a drain that appends wait for goes on beside them. A stop leaves the
/// rest to the next start.
pub async fn run_given_up<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.given_up.wait().await;
        while !shard.fence().is_tripped()
            && let Some(slot) = shard.step(|core, _, _| core.given_up.pop_front().filter(|_| !core.stopping))
        {
            write_out(&shard, [slot].into(), WriteKind::WholeBlocks).await;
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

/// Writes what the given partitions hold, `bytes` of it now, over so much time at most; at once as soon as the core is pressed.
async fn write_spread<R: Runtime>(shard: &Shard<R>, mut slots: VecDeque<Slot>, bytes: u64, spread: Duration) {
    let signals = shard.signals();
    let per_second = (bytes as f64 * SPARE / spread.as_secs_f64().max(f64::MIN_POSITIVE)) as u64;
    let step_bytes = ((per_second as f64 * STEP.as_secs_f64()) as u64).clamp(STEP_BYTES_MIN, WRITE_JOB_BYTES_MAX);
    let began = shard.now();
    let (mut pace, ends) = (Pace::new(per_second, began), began.after(spread));
    let is_over = || shard.now() >= ends || shard.fence().is_tripped() || shard.step(|core, _, _| core.is_pressed());
    while !is_over()
        && let Some(slot) = slots.front().copied()
    {
        let (dir, job) = match next_job(shard, slot, WriteKind::WholeBlocks, step_bytes) {
            Due::Job(dir, job) => (dir, job),
            Due::InFlight => {
                slots.rotate_left(1);
                shard.rt().sleep_until(shard.now().after(LOOK_AGAIN)).await;
                continue;
            }
            Due::Nothing => {
                slots.pop_front();
                shard.rt().quantum().await;
                continue;
            }
        };
        if job.is_last {
            slots.pop_front();
        }
        let written = job.bytes();
        if !write_one(shard, slot, &dir, &job).await {
            return;
        }
        match pace.owe(shard.now(), written).filter(|_| !slots.is_empty()) {
            Some(until) => or(shard.rt().sleep_until(until.min(ends)), signals.hurry.wait()).await,
            None => shard.rt().quantum().await,
        }
    }
    write_out(shard, slots, WriteKind::WholeBlocks).await;
}

/// Writes the given partitions, several at a time.
pub async fn write_out<R: Runtime>(shard: &Shard<R>, slots: VecDeque<Slot>, kind: WriteKind) {
    let queue = std::cell::RefCell::new(slots);
    let worker = || async {
        loop {
            let next = queue.borrow_mut().pop_front();
            let Some(slot) = next else { return };
            loop {
                match next_job(shard, slot, kind, WRITE_JOB_BYTES_MAX) {
                    Due::Job(dir, job) => {
                        if !write_one(shard, slot, &dir, &job).await {
                            return;
                        }
                        shard.rt().quantum().await;
                        let is_done = match kind {
                            // What is synced meanwhile is for the next drain, or a hot partition would hold up this one.
                            WriteKind::WholeBlocks => job.is_last,
                            // Where appends go on, the block would be written again and again.
                            WriteKind::Everything => job.pad() && job.seal.is_none(),
                        };
                        if is_done {
                            break;
                        }
                    }
                    Due::InFlight if shard.fence().is_tripped() => return,
                    Due::InFlight => shard.rt().sleep_until(shard.now().after(LOOK_AGAIN)).await,
                    Due::Nothing => {
                        // There may be thousands of them in a row.
                        shard.rt().quantum().await;
                        break;
                    }
                }
            }
        }
    };
    zip(zip(worker(), worker()), zip(worker(), worker())).await;
}

/// What there is to write of a partition.
enum Due {
    Job(PartitionDir, WriteJob),
    /// Somebody else's write is on its way; what came in behind it is due after it.
    InFlight,
    Nothing,
}

fn next_job<R: Runtime>(shard: &Shard<R>, slot: Slot, kind: WriteKind, bytes_max: u64) -> Due {
    shard.step(|core, _, _| {
        let Some(partition) = core.get_mut(slot) else { return Due::Nothing };
        if partition.log.is_being_written() {
            return Due::InFlight;
        }
        match partition.log.next_write(kind, bytes_max) {
            Some(job) => Due::Job(partition.directory(), job),
            None => Due::Nothing,
        }
    })
}

/// Carries out one job; `false` after a failure that fenced the process.
async fn write_one<R: Runtime>(shard: &Shard<R>, slot: Slot, dir: &PartitionDir, job: &WriteJob) -> bool {
    match shard.on_ballast(async || shard.store().write(dir, job).await).await {
        Ok(()) => {
            shard.step(|core, _, _| {
                core.counters.segment_bytes += job.bytes();
                if let Some(partition) = core.get_mut(slot) {
                    partition.log.written(job);
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
