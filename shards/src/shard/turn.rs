//! The turn of the journal: makes full files free again (R12). Owning core only; one task, so one turn at a time.
//!
//! Invariant: a file is freed only after segments and their directories are synced, the partial blocks are carried into a
//! newer synced commit, and the checkpoint that says so is synced. A crash at any point repeats the work, nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use futures_lite::future::{or, zip};

use super::core::ShardCore;
use super::pace::Pace;
use super::partition::{Partition, Slot};
use super::write_behind::{drain_all, write_out};
use super::{PARTITIONS_PER_STEP, Shard, fail, settle};
use crate::journal::checkpoint::CheckpointEncoder;
use crate::journal::files;
use crate::journal::format::ENTRY_BYTES;
use crate::journal::open::OpenCommit;
use crate::journal::space::FILES_MIN;
use crate::log::{StoreError, WriteKind};
use crate::planted::{PlantedFault, is_planted};
use crate::router::oneshot::{Asked, oneshot};
use crate::runtime::{BLOCK_BYTES, Runtime, is_shortage};
use crate::types::{Mono, Offset};

use super::commit::Release;

/// Carried bytes put into the open commit before the next ones wait for their sync, so that an append never queues behind
/// a long carry.
const CARRY_BYTES_PER_COMMIT: usize = 256 << 10;
/// At a start no append is there to wait.
const CARRY_BYTES_PER_COMMIT_OF_START: usize = 512 << 10;
/// No commit of a start is larger.
pub(super) const COMMIT_BYTES_OF_START_MAX: u64 =
    CARRY_BYTES_PER_COMMIT_OF_START as u64 + settle::CARRIED_BYTES_MAX + BLOCK_BYTES as u64;
const _: () =
    assert!(COMMIT_BYTES_OF_START_MAX < files::FILL_BYTES, "the smallest file of a journal takes such a commit");
/// A partial block and its entry's head.
const CARRY_BYTES_MAX: u64 = (BLOCK_BYTES + ENTRY_BYTES) as u64;
/// Turns closer together than this mean that the core is busy: its journal grows.
const BUSY: Duration = Duration::from_secs(5);
/// A journal that found no space to grow tries again after this.
const GROWTH_PAUSE: Duration = Duration::from_secs(10);

/// A file for which no append waits is filled over so much time, in writes of so many bytes.
const GROWTH_SPREAD: Duration = Duration::from_secs(1);
const GROWTH_STEP_BYTES: u64 = 128 << 10;
const _: () = assert!(files::FILL_BYTES.is_multiple_of(GROWTH_STEP_BYTES), "a file is filled in whole steps");

/// Why a turn is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnKind {
    /// Files up to this generation become free.
    Free(u64),
    /// A start carries into the new run's journal what is not in segments of all that it replayed.
    Settle,
    /// Somebody wants the checkpoint to say how things stand now; the journal stays as it is.
    Record,
    /// The broker stops: the journal keeps the partial blocks, and the next start replays those.
    Stop,
}

/// Frees journal files whenever half of them are full, or an append waits for one.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    let mut last_end = Mono(0);
    let mut next_growth = Mono(0);
    loop {
        signals.turn.wait().await;
        if shard.journal_is_closed() || shard.fence().is_tripped() {
            return;
        }
        if shard.step(|core, _, _| core.starting) {
            // Its end asks again.
            continue;
        }
        make_place(&shard).await;
        if let Some(bytes) = shard.step(|core, _, _| core.file_wanted.take().filter(|b| !core.space.could_hold(*b)))
            && !grow(&shard, bytes).await
        {
            // There is no space for a file that is large enough, and for as much ballast: that append is refused, and no other.
            shard.step(|core, now, wall_ms| core.refuse_too_large(now, wall_ms));
        }
        while shard.now() >= next_growth
            && let Some(bytes) = shard.step(|core, _, _| core.journal_bytes_wanted(false))
        {
            if !grow(&shard, bytes).await {
                next_growth = shard.now().after(GROWTH_PAUSE);
            }
            if shard.step(|core, _, _| core.has_turn_to_make()) {
                // The rest of the growth comes after it.
                signals.turn.notify();
                break;
            }
        }
        shard.keep_ballast().await;
        if let Some(done) = shard.step(|core, _, _| core.final_turn.take()) {
            turn_for_waiting(&shard, TurnKind::Stop).await;
            done.send(());
            continue;
        }
        while !shard.fence().is_tripped()
            && let Some(kind) = shard.step(|core, _, _| core.next_turn())
        {
            let busy = shard.now().since(last_end) < BUSY && last_end > Mono(0);
            turn_for_waiting(&shard, kind).await;
            if kind == TurnKind::Record {
                continue;
            }
            last_end = shard.now();
            let wanted = shard.step(|core, _, _| core.journal_bytes_wanted(busy));
            if let Some(bytes) = wanted {
                grow(&shard, bytes).await;
            }
        }
    }
}

/// A turn whose checkpoint is also for those who have asked for one: they need not wait until no turn is due.
async fn turn_for_waiting<R: Runtime>(shard: &Shard<R>, kind: TurnKind) {
    let waiting = shard.step(|core, _, _| std::mem::take(&mut core.checkpoint_wanted));
    turn(shard, kind).await;
    waiting.into_iter().for_each(|done| done.send(()));
}

/// Makes a step of a turn. Appends go on beside it; with thousands of partitions it takes long, and appends that fill the journal
/// meanwhile would wait for its end: so the journal grows, as far as it may under load. Neither stands still for the other: on
/// a full disk growth removes files, and may wait for a directory that the step is at.
async fn with_growth<R: Runtime>(shard: &Shard<R>, step: impl Future<Output = ()>) {
    let signals = shard.signals();
    let (reply, mut ended) = oneshot();
    let step = async {
        step.await;
        reply.send(());
    };
    let growth = async {
        let mut can_grow = true;
        let mut end = async || {
            (&mut ended).await;
            true
        };
        let told = async || {
            signals.turn.wait().await;
            false
        };
        while !or(end(), told()).await {
            let wanted = |core: &mut ShardCore| core.journal_bytes_wanted(true).filter(|_| core.space.is_running_out());
            if can_grow
                && !shard.fence().is_tripped()
                && let Some(bytes) = shard.step(|core, _, _| wanted(core))
            {
                can_grow = grow(shard, bytes).await;
            }
        }
    };
    zip(step, growth).await;
    // Whatever was told, it was told to who makes turns.
    signals.turn.notify();
}

pub(super) async fn turn<R: Runtime>(shard: &Shard<R>, kind: TurnKind) {
    if let TurnKind::Free(target) = kind
        && is_planted(PlantedFault::JournalReusedEarly)
    {
        shard.step(|core, _, _| core.space.retire(target));
    }
    tracing::debug!(?kind, "turn: sync the journal");
    // What the files to be freed hold must be synced and written before anything else.
    if kind != TurnKind::Stop || !is_planted(PlantedFault::StopSyncsNothing) {
        sync_journal(shard).await;
    }
    tracing::debug!("turn: write the window out");
    match kind {
        TurnKind::Free(_) => {
            settle::finish(shard).await;
            with_growth(shard, drain_all(shard)).await;
        }
        TurnKind::Stop => {
            settle::finish(shard).await;
            drain_all(shard).await;
        }
        TurnKind::Record => drain_all(shard).await,
        TurnKind::Settle => {}
    }
    let resting = match kind {
        TurnKind::Free(_) => resting_tails(shard).await,
        TurnKind::Settle | TurnKind::Record | TurnKind::Stop => Vec::new(),
    };
    write_out(shard, resting.iter().copied().collect(), WriteKind::Everything).await;
    tracing::debug!("turn: sync segments");
    match kind {
        TurnKind::Free(_) => with_growth(shard, sync_segments(shard)).await,
        TurnKind::Settle | TurnKind::Record | TurnKind::Stop => sync_segments(shard).await,
    }
    let_go_of(shard, &resting).await;
    if matches!(kind, TurnKind::Free(_) | TurnKind::Settle) && !is_planted(PlantedFault::NothingCarried) {
        tracing::debug!("turn: carry partial blocks");
        carry_all(shard, kind).await;
    }
    if shard.fence().is_tripped() {
        return;
    }
    let first_generation = shard.step(|core, _, _| match kind {
        TurnKind::Free(freed) => freed + 1,
        TurnKind::Settle | TurnKind::Record | TurnKind::Stop => core.space.first_generation(),
    });
    tracing::debug!("turn: write the checkpoint");
    if let Err(why) = write_checkpoint(shard, first_generation).await {
        shard.fence().trip(why);
        return;
    }
    shard.step(|core, now, wall_ms| {
        if let TurnKind::Free(freed) = kind {
            core.space.retire(freed);
            core.counters.turns += 1;
        }
        core.admit_waiting(now, wall_ms);
        core.signals.journal.notify();
    });
}

impl ShardCore {
    /// Half of the journal is full. What a start has carried goes into segments before, as long as appends find room beside it:
    /// a turn would write all of it at once.
    fn is_turn_due(&self) -> bool {
        let is_full =
            if self.unsettled.is_empty() { self.space.is_half_full() } else { self.space.is_down_to_reserve() };
        is_full || self.turn_wanted
    }

    /// What the one task that makes turns does next.
    fn next_turn(&mut self) -> Option<TurnKind> {
        if self.is_turn_due() {
            self.turn_wanted = false;
            if let Some(target) = self.space.turn_target() {
                return Some(TurnKind::Free(target));
            }
        }
        (!self.checkpoint_wanted.is_empty()).then_some(TurnKind::Record)
    }

    /// The one task that makes turns is asked for one.
    fn has_turn_to_make(&self) -> bool {
        self.final_turn.is_some() || !self.checkpoint_wanted.is_empty() || self.is_turn_due()
    }

    /// The size of a file that would bring the journal nearer to what this core needs.
    fn journal_bytes_wanted(&mut self, busy: bool) -> Option<u64> {
        self.space.reserve(self.partition_count() as u64 * CARRY_BYTES_MAX);
        let total = self.space.total_bytes();
        let wanted = if busy { self.journal_bytes_most() } else { self.journal_bytes_least() };
        (total < wanted).then(|| self.settings.journal_bytes / FILES_MIN as u64)
    }
}

/// Looks at all partitions, at some in a step: a core may have a hundred thousand.
async fn each_partition<R: Runtime>(shard: &Shard<R>, look: impl FnMut(&mut ShardCore, Slot)) {
    let all: Vec<Slot> = shard.step(|core, _, _| core.slots().collect());
    each_of(shard, &all, look).await;
}

async fn each_of<R: Runtime>(shard: &Shard<R>, slots: &[Slot], mut look: impl FnMut(&mut ShardCore, Slot)) {
    for some in slots.chunks(PARTITIONS_PER_STEP) {
        shard.step(|core, _, _| some.iter().for_each(|slot| look(core, *slot)));
        shard.rt().quantum().await;
    }
}

/// Partitions whose partial block was carried before and has not changed since: it is written, and leaves memory (R12). Not those
/// of which nothing is there any more.
async fn resting_tails<R: Runtime>(shard: &Shard<R>) -> Vec<Slot> {
    let mut resting = Vec::new();
    let look = |core: &mut ShardCore, slot| {
        let rests = |p: &Partition| p.carried_end.is_some_and(|end| end == p.log.log_end()) && p.log.is_in_memory();
        if core.get(slot).is_some_and(rests) {
            resting.push(slot);
        }
    };
    each_partition(shard, look).await;
    resting
}

/// Memory of these partitions goes, as far as their files hold it.
pub(super) async fn let_go_of<R: Runtime>(shard: &Shard<R>, slots: &[Slot]) {
    let let_go = |core: &mut ShardCore, slot| {
        if let Some(partition) = core.get_mut(slot) {
            partition.log.evict_through(u64::MAX);
        }
    };
    each_of(shard, slots, let_go).await;
}

/// Waits until everything appended so far is synced, and sees to it that this comes.
async fn sync_journal<R: Runtime>(shard: &Shard<R>) {
    let (reply, mut synced) = oneshot();
    shard.step(|core, _, _| {
        core.open_notes.strict = true;
        core.open_notes.releases.push(Release::Done(reply));
        core.sync_due = true;
        core.signals.journal.notify();
    });
    let signals = shard.signals();
    let wait = async |synced: &mut Asked<()>| {
        // No answer means that the fence is tripped: the caller looks at it.
        synced.await;
        true
    };
    let placeless = async || {
        signals.no_place.wait().await;
        false
    };
    while !or(wait(&mut synced), placeless()).await {
        make_place(shard).await;
    }
}

/// Makes a journal file for the open commit if it finds no place. Nothing else would: what frees files waits for its sync.
async fn make_place<R: Runtime>(shard: &Shard<R>) {
    let wanted = shard.step(|core, _, _| core.place_wanted.take().filter(|bytes| !core.space.has_room(*bytes, true)));
    let Some(bytes) = wanted else { return };
    tracing::debug!(bytes, "no journal file has room for the commit: one more is made");
    let (dir, index) = shard.step(|core, _, _| (core.settings.layout.journal(core.index.0), core.space.files()));
    let bytes = bytes.next_multiple_of(files::FILL_BYTES);
    let make = async || {
        let at_once = async |_| shard.rt().quantum().await;
        let made =
            files::make(shard.rt(), &dir, shard.inner.run.number, index, bytes, files::FILL_BYTES, at_once).await;
        made.map_err(|source| StoreError { path: files::path_of(&dir, shard.inner.run.number, index), source })
    };
    match shard.on_ballast(make).await {
        Ok(file) => {
            shard.take_in_journal_file(file);
            shard.step(|core, _, _| core.signals.journal.notify());
            if shard.step(|core, _, _| !core.starting) {
                // It is to be as large as the journal.
                shard.fill_ballast(0).await;
            }
        }
        Err(error) => shard.fence().trip(fail(&error.path, "making a journal file", &error.source)),
    }
}

/// Syncs every segment file that was written to: a few at a time, or, of very many, all at once.
async fn sync_segments<R: Runtime>(shard: &Shard<R>) {
    let mut dirty = VecDeque::new();
    let look = |core: &mut ShardCore, slot| {
        if core.get(slot).is_some_and(|partition| partition.log.is_file_dirty()) {
            dirty.push_back(slot);
        }
    };
    each_partition(shard, look).await;
    if dirty.len() >= shard.step(|core, _, _| core.settings.segments_synced_singly) {
        return sync_all(shard, dirty.into()).await;
    }
    let queue = RefCell::new(dirty);
    let worker = || async {
        loop {
            let next = queue.borrow_mut().pop_front();
            let Some(slot) = next else { return };
            let job = shard.step(|core, _, _| {
                let partition = core.get(slot)?;
                Some((partition.directory(), partition.log.needs_file_sync()?))
            });
            let Some((dir, job)) = job else { continue };
            let skip = is_planted(PlantedFault::CheckpointClaimsUnsynced);
            let sync = async || shard.store().sync(&dir, &job).await;
            if !skip && let Err(error) = shard.with_descriptors(sync).await {
                // Dropped meanwhile, by a deletion or by retention: there is nothing to be synced any more.
                if !shard.step(|core, _, _| core.get(slot).is_some_and(|p| p.log.has_segment(job.segment_base))) {
                    continue;
                }
                shard.fence().trip(fail(&error.path, "sync", &error.source));
                return;
            }
            shard.step(|core, _, _| {
                if let Some(partition) = core.get_mut(slot) {
                    partition.log.file_synced(&job);
                }
            });
            shard.rt().quantum().await;
        }
    };
    zip(zip(worker(), worker()), zip(worker(), worker())).await;
}

/// A sync of each of thousands of files costs as many flushes of the drive, which the journal's own syncs wait behind.
async fn sync_all<R: Runtime>(shard: &Shard<R>, dirty: Vec<Slot>) {
    let mut jobs = Vec::with_capacity(dirty.len());
    let plan = |core: &mut ShardCore, slot| {
        let job = core.get(slot).and_then(|partition| partition.log.needs_file_sync());
        jobs.extend(job.map(|job| (slot, job)));
    };
    each_of(shard, &dirty, plan).await;
    let skip = is_planted(PlantedFault::CheckpointClaimsUnsynced);
    let sync = async || shard.store().sync_all().await;
    if !skip && let Err(error) = shard.with_descriptors(sync).await {
        return shard.fence().trip(fail(&error.path, "sync", &error.source));
    }
    for some in jobs.chunks(PARTITIONS_PER_STEP) {
        shard.step(|core, _, _| {
            for (slot, job) in some {
                if let Some(partition) = core.get_mut(*slot) {
                    partition.log.file_synced(job);
                }
            }
        });
        shard.rt().quantum().await;
    }
}

/// Puts all partial blocks, or at a start all that is not in segments, into newer commits and waits until those are synced.
async fn carry_all<R: Runtime>(shard: &Shard<R>, kind: TurnKind) {
    let mut slots: VecDeque<Slot> = shard.step(|core, _, _| core.slots().collect());
    let is_start = kind == TurnKind::Settle;
    while !slots.is_empty() && !shard.fence().is_tripped() {
        let mut left = if is_start { CARRY_BYTES_PER_COMMIT_OF_START } else { CARRY_BYTES_PER_COMMIT };
        while left > 0 && !slots.is_empty() {
            shard.step(|core, _, _| {
                for _ in 0..PARTITIONS_PER_STEP {
                    let Some(slot) = slots.pop_front() else { break };
                    let carried = if is_start { core.carry_whole(slot) } else { core.carry(slot) };
                    if carried == 0 {
                        continue;
                    }
                    if let Some(partition) = core.get_mut(slot) {
                        partition.carried_end = Some(partition.log.log_end());
                    }
                    left = left.saturating_sub(OpenCommit::entry_bytes(carried));
                    if left == 0 {
                        break;
                    }
                }
            });
            shard.rt().quantum().await;
        }
        sync_journal(shard).await;
    }
}

/// Writes where all partitions stand, in two synced copies (R13).
pub async fn write_checkpoint<R: Runtime>(shard: &Shard<R>, first_generation: u64) -> Result<(), String> {
    let (index, bytes_before) = shard.step(|core, _, _| (core.index.0, core.checkpoint_bytes));
    let mut checkpoint = CheckpointEncoder::new(shard.inner.run, index, first_generation, bytes_before);
    let mut recorded: Vec<(Slot, Offset)> = Vec::new();
    let record = |core: &mut ShardCore, slot| {
        if let Some(partition) = core.get(slot).filter(|partition| partition.is_worth_a_checkpoint()) {
            checkpoint.push(&partition.checkpoint());
            recorded.push((slot, partition.log.sealed_end()));
        }
    };
    each_partition(shard, record).await;
    let checkpoint = checkpoint.finish(shard.rt()).await;
    let layout = shard.step(|core, _, _| core.settings.layout.clone());
    let dir = layout.checkpoints();
    let stored = shard.on_ballast(async || checkpoint.store(shard.rt(), &dir).await).await;
    let bytes = stored.map_err(|e| fail(&e.path, "writing the checkpoint", &e.source))?;
    shard.step(|core, _, _| core.checkpoint_bytes = bytes);
    for some in recorded.chunks(PARTITIONS_PER_STEP) {
        shard.step(|core, _, _| {
            for (slot, end) in some {
                if let Some(partition) = core.get_mut(*slot) {
                    partition.recorded_end = partition.recorded_end.max(*end);
                }
            }
        });
        shard.rt().quantum().await;
    }
    Ok(())
}

/// Adds a journal file, and as much to the ballast first; on a full disk the journal stays as it is.
async fn grow<R: Runtime>(shard: &Shard<R>, bytes: u64) -> bool {
    let bytes = bytes.next_multiple_of(files::FILL_BYTES);
    if shard.step(|core, _, _| core.disk_full) {
        return false;
    }
    if let Err(error) = shard.resize_ballast(bytes).await {
        if is_shortage(&error.source) {
            tracing::warn!(%error, "no space for a larger journal: it stays as it is");
        } else {
            shard.fence().trip(fail(&error.path, "making the ballast", &error.source));
        }
        return false;
    }
    let (dir, index) = shard.step(|core, _, _| (core.settings.layout.journal(core.index.0), core.space.files()));
    // A sync of the journal waits for what else is on its way to the disk.
    let per_second = bytes / GROWTH_SPREAD.as_secs();
    let mut pace = Pace::new(per_second, shard.now());
    let rest = async |written| {
        if shard.step(|core, _, _| core.is_pressed() || core.has_turn_to_make()) {
            pace = Pace::new(per_second, shard.now());
            return shard.rt().quantum().await;
        }
        match pace.owe(shard.now(), written) {
            Some(until) => shard.rt().sleep_until(until).await,
            None => shard.rt().quantum().await,
        }
    };
    match files::make(shard.rt(), &dir, shard.inner.run.number, index, bytes, GROWTH_STEP_BYTES, rest).await {
        Ok(file) => {
            shard.take_in_journal_file(file);
            shard.step(|core, now, wall_ms| core.admit_waiting(now, wall_ms));
            true
        }
        Err(error) if is_shortage(&error) => {
            tracing::warn!(dir = %dir.display(), %error, "the journal could not grow");
            shard.fill_ballast(0).await;
            false
        }
        Err(error) => {
            let path = files::path_of(&dir, shard.inner.run.number, index);
            shard.fence().trip(fail(&path, "making a journal file", &error));
            false
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
