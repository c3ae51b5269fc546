//! Compacts the logs of a core, one at a time, in small steps between its other work. Owning core only; one task.
//!
//! A pass over a log reads the keys of its dirty part into a map, as many as the map holds, then writes each group of segments anew
//! without the records that the map knows a newer one of. A file that is ready is named in the journal, synced, before it takes
//! a segment's name: from then on the replacement is carried out, by this run or by the next start.
//!
//! Invariant: nothing is replaced before this run is the current one; only segments are that a checkpoint of this run lists as
//! finished, so that no start finds bytes of them in the journal; nothing is written that was not checked when it was read,
//! and a failure before the journal's entry changes nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::commit::Release;
use super::core::ShardCore;
use super::disk::refuse;
use super::pace::Pace;
use super::partition::{Partition, Slot};
use super::timers::{ClockWatch, TICK, TrustedTime};
use super::{PARTITIONS_PER_STEP, Shard, fail};
use crate::batch::{BatchHeader, CompressionLevels, RetainError, walk};
use crate::journal::format::CLEAN_BYTES;
use crate::journal::open::OpenCommit;
use crate::log::compact::clean::{Cleaned, Pass, Scratch, clean_batch, map_batch};
use crate::log::compact::map::KeyMap;
use crate::log::compact::plan::{Due, Rules, SegmentView, due, groups};
use crate::log::compact::write::CleanedFile;
use crate::log::{DiskBatches, FileState, PartitionDir, ReadFailure, Replacement, StoreError};
use crate::router::oneshot::oneshot;
use crate::runtime::{Runtime, is_full, is_out_of_descriptors};
use crate::types::{Offset, ProducerId};

/// Read at once.
const READ_BYTES: u32 = 512 << 10;

/// Why a pass ends early. What it has replaced so far stays; the rest is for a later pass.
enum Ended {
    /// The partition is gone or offline, segments were dropped, the disk is full for others, or the core stops.
    Overtaken,
    /// There is no space, or no descriptor, for another file.
    NoRoom(StoreError),
    /// The process leaves.
    Fenced,
    /// A batch cannot be understood; nothing of it was changed.
    Unreadable { offset: i64, why: String },
}

/// Looks for work, does it, and rests when there is none.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let enabled = shard.step(|core, _, _| core.settings.cleaner.enabled);
    let mut clock = ClockWatch::new(shard.now(), shard.wall_ms());
    let (mut looked, mut more) = (shard.now(), false);
    while enabled && !shard.journal_is_closed() {
        // It may change at any time: a tick asks again.
        let backoff = Duration::from_millis(shard.step(|core, _, _| core.cleaner().backoff_ms));
        let next = if more { looked } else { looked.after(backoff) };
        shard.rt().sleep_until(next.min(shard.now().after(TICK))).await;
        let (now, wall_ms) = (shard.now(), shard.wall_ms());
        // A clock that jumped would end the time of tombstones.
        let trusted = clock.trusted(now, wall_ms);
        if now < next {
            continue;
        }
        looked = now;
        more = match trusted {
            Some(time) => clean_filthiest(&shard, time).await,
            None => false,
        };
    }
}

/// One pass over the log that needs it most. Whether to look for more at once.
async fn clean_filthiest<R: Runtime>(shard: &Shard<R>, time: TrustedTime) -> bool {
    // Until the new run is the current one, a crash goes back to the last run's word on every file.
    if shard.step(|core, _, _| core.starting) {
        return false;
    }
    let Some((_, dirtiest)) = filthiest(shard, time, |p| p.high_watermark).await else { return false };
    if !dirtiest.is_on_record {
        let (reply, recorded) = oneshot();
        shard.step(|core, _, _| {
            core.checkpoint_wanted.push(reply);
            core.signals.turn.notify();
        });
        if recorded.await.is_none() {
            return false;
        }
    }
    let Some((slot, Candidate { due, .. })) = filthiest(shard, time, |p| p.recorded_end).await else { return false };
    let Some(dir) = shard.step(|core, _, _| core.get(slot).map(Partition::directory)) else { return false };
    let (name, began) = (dir.name(), shard.now());
    let pace = Pace::new(shard.step(|core, _, _| core.cleaner().bytes_per_second), began);
    let mut cleaner = Cleaner { shard, slot, dir, time, pace, read: 0, written: 0 };
    match cleaner.pass(&due).await {
        Ok(upto) => {
            let took_ms = u64::try_from(shard.now().since(began).as_millis()).unwrap_or(u64::MAX);
            let (read, written) = (cleaner.read, cleaner.written);
            tracing::info!(partition = name, upto = upto.0, read, written, took_ms, "compacted");
            true
        }
        Err(Ended::Overtaken | Ended::Fenced) => false,
        Err(Ended::NoRoom(error)) => {
            tracing::warn!(partition = name, %error, "no room to compact into: the log stays as it is for now");
            shard.make_room().await;
            false
        }
        Err(Ended::Unreadable { offset, why }) => {
            tracing::error!(partition = name, offset, why, "a batch cannot be compacted: the log stays as it is");
            shard.step(|core, _, _| core.leave_uncleaned(slot));
            true
        }
    }
}

/// What is due of one log.
struct Candidate {
    due: Due,
    /// All of it is in a checkpoint.
    is_on_record: bool,
}

/// The log with the largest dirty share of those that are due, if its segments below `upto` count.
async fn filthiest<R: Runtime>(
    shard: &Shard<R>,
    time: TrustedTime,
    upto: fn(&Partition) -> Offset,
) -> Option<(Slot, Candidate)> {
    let slots: Vec<Slot> = shard.step(|core, _, _| core.slots().collect());
    let mut best: Option<(Slot, Candidate)> = None;
    for some in slots.chunks(PARTITIONS_PER_STEP) {
        shard.step(|core, now, _| {
            let wall_ms = time.wall_ms(now);
            for slot in some {
                let Some(partition) = core.get(*slot) else { continue };
                let Some(due) = partition.due(upto(partition), wall_ms) else { continue };
                if best.as_ref().is_none_or(|(_, other)| due.dirty_ratio > other.due.dirty_ratio) {
                    best = Some((*slot, Candidate { is_on_record: due.upto <= partition.recorded_end, due }));
                }
            }
        });
        shard.rt().quantum().await;
    }
    best
}

impl Partition {
    /// What compaction would map of the closed segments below `upto`, if it is due.
    fn due(&self, upto: Offset, wall_ms: i64) -> Option<Due> {
        if !self.config.cleanup_policy.compact || self.offline.is_some() || self.is_uncleanable {
            return None;
        }
        let closed = self.log.closed_views(upto.min(self.high_watermark));
        due(&closed, self.log.cleaned_upto(), &self.compaction_rules(), wall_ms)
    }

    fn compaction_rules(&self) -> Rules {
        Rules {
            dirty_ratio_min: self.config.min_cleanable_dirty_ratio,
            lag_min_ms: self.config.min_compaction_lag_ms,
            lag_max_ms: self.config.max_compaction_lag_ms,
            segment_bytes: u64::try_from(self.config.segment_bytes).unwrap_or(0),
        }
    }
}

/// One pass over one log.
struct Cleaner<'a, R: Runtime> {
    shard: &'a Shard<R>,
    slot: Slot,
    dir: PartitionDir,
    time: TrustedTime,
    pace: Pace,
    read: u64,
    written: u64,
}

impl<R: Runtime> Cleaner<'_, R> {
    /// Maps what is due and cleans all segments below; returns how far the map went.
    async fn pass(&mut self, due: &Due) -> Result<Offset, Ended> {
        let (map, upto) = self.map(due).await?;
        let map = Arc::new(map);
        // The map may have taken long, and the wall clock may have jumped since the pass was allowed.
        let now_ms = self.time.wall_ms(self.shard.now());
        let (pass, sealed, segment_bytes) = self.step(|core, slot| {
            let partition = core.get(slot)?;
            let levels = CompressionLevels {
                gzip: partition.config.compression_gzip_level,
                zstd: partition.config.compression_zstd_level,
            };
            let delete_retention_ms = partition.config.delete_retention_ms;
            let pass = Pass { upto, now_ms, delete_retention_ms, levels };
            let rules = partition.compaction_rules();
            Some((pass, partition.log.closed_views(due.upto), rules.segment_bytes))
        })?;
        for group in groups(&sealed, upto, segment_bytes) {
            self.clean_group(&group, &map, &pass).await?;
        }
        self.step(|core, slot| {
            core.get_mut(slot)?.log.cleaned(upto);
            Some(())
        })?;
        Ok(upto)
    }

    /// One step on the state, while the partition is there and served.
    fn step<T>(&self, step: impl FnOnce(&mut ShardCore, Slot) -> Option<T>) -> Result<T, Ended> {
        if self.shard.fence().is_tripped() {
            return Err(Ended::Fenced);
        }
        if self.shard.journal_is_closed() {
            return Err(Ended::Overtaken);
        }
        self.shard
            .step(|core, _, _| {
                core.get(self.slot).filter(|p| p.offline.is_none() && !core.disk_full && !core.stopping)?;
                step(core, self.slot)
            })
            .ok_or(Ended::Overtaken)
    }

    /// So many bytes were read or written: keeps to the limit that is set now.
    async fn rest(&mut self, bytes: u64) {
        let shard = self.shard;
        let limit = || shard.step(|core, _, _| core.cleaner().bytes_per_second);
        self.pace.spend(shard.rt(), bytes, limit).await;
    }

    /// The newest offsets of the keys of what is due, as far as there is room for them.
    async fn map(&mut self, due: &Due) -> Result<(KeyMap, Offset), Ended> {
        let map_bytes = self.step(|core, _| Some(core.settings.cleaner.map_bytes))?;
        let seed = u128::from(self.shard.random()) << 64 | u128::from(self.shard.random());
        let keys_max = usize::try_from(due.upto.0 - due.from.0).unwrap_or(usize::MAX);
        let mut map = KeyMap::new(seed, map_bytes, keys_max);
        let mut scratch = Scratch::default();
        let mut at = due.from;
        while let Some((bytes, next)) = self.read(at, due.upto).await? {
            for (batch, header) in batches(&bytes) {
                let unreadable = |e: RetainError| Ended::Unreadable { offset: header.base_offset, why: e.to_string() };
                let (from, upto) = (due.from, due.upto);
                let mapped = match scratch.open_at_once(&batch).map_err(unreadable)? {
                    Some(open) => map_batch(&open, from, upto, &mut map),
                    None => {
                        let work = move || {
                            let mut scratch = Scratch::default();
                            let mapped = scratch.open(&batch).and_then(|open| map_batch(&open, from, upto, &mut map));
                            (map, mapped)
                        };
                        let (back, mapped) = self.shard.store().beside(work).await;
                        map = back;
                        mapped
                    }
                };
                if let Some(full_at) = mapped.map_err(unreadable)? {
                    return Ok((map, full_at));
                }
                self.shard.rt().quantum().await;
            }
            at = next;
        }
        Ok((map, due.upto))
    }

    /// Whole batches of sealed segments from `at` on, and the offset behind them; `None` when `upto` is reached.
    async fn read(&mut self, mut at: Offset, upto: Offset) -> Result<Option<(Bytes, Offset)>, Ended> {
        while at < upto {
            let plan = self.step(|core, slot| Some(core.get(slot)?.log.plan_sealed_read(at, READ_BYTES)))?;
            // The segments may have been dropped meanwhile.
            let Some(read) = plan else { return Err(Ended::Overtaken) };
            if read.from >= upto {
                break;
            }
            match self.shard.store().read(&self.dir, &read).await {
                Ok(DiskBatches::Found(found)) => {
                    let bytes = Bytes::from(found.concat());
                    let Some(last) = walk(&bytes).last() else { return Err(Ended::Overtaken) };
                    self.read += bytes.len() as u64;
                    self.shard.step(|core, _, _| core.counters.compaction_read_bytes += bytes.len() as u64);
                    self.rest(bytes.len() as u64).await;
                    return Ok(Some((bytes, Offset(last.1.last_offset() + 1))));
                }
                Ok(DiskBatches::Beyond(next)) => at = next,
                Err(failure) => return Err(self.failed_read(&failure)),
            }
        }
        Ok(None)
    }

    /// Damage takes the partition offline, as when a reader finds it.
    fn failed_read(&self, failure: &ReadFailure) -> Ended {
        let state =
            self.step(|core, slot| Some(core.get(slot)?.log.file_state(failure.segment_base, failure.cleaning)));
        if matches!(state, Ok(FileState::Current)) {
            refuse(self.shard, self.slot, failure);
        }
        Ended::Overtaken
    }

    /// Writes one group of segments anew, unless nothing of it changes.
    async fn clean_group(&mut self, group: &[SegmentView], map: &Arc<KeyMap>, pass: &Pass) -> Result<(), Ended> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let number = self.step(|core, slot| Some(core.get(slot)?.log.next_cleaning()))?;
        let begun = self.shard.store().begin_cleaned(&self.dir, number, first.base, last.end_offset).await;
        let mut file = begun.map_err(|e| self.failed_write(e))?;
        let outcome = self.fill(&mut file, first.base, last.end_offset, map, pass).await;
        let changed = match outcome {
            Ok(changed) => changed,
            Err(ended) => {
                self.discard(file).await;
                return Err(ended);
            }
        };
        if !changed && group.len() == 1 {
            self.discard(file).await;
            return Ok(());
        }
        let by = file.finish().await.map_err(|e| self.failed_write(e))?;
        self.written += by.size.0;
        self.replace(group, by).await
    }

    /// A file that is not needed. What cannot be removed goes with the next cleaning or start.
    async fn discard(&self, file: CleanedFile<R>) {
        if let Err(error) = file.discard().await {
            tracing::debug!(path = %error.path.display(), error = %error.source, "not removed yet");
        }
    }

    /// Puts what is kept of the segments `base..end_offset` into the file. Whether it differs from what was there.
    async fn fill(
        &mut self,
        file: &mut CleanedFile<R>,
        base: Offset,
        end_offset: Offset,
        map: &Arc<KeyMap>,
        pass: &Pass,
    ) -> Result<bool, Ended> {
        let mut scratch = Scratch::default();
        let mut changed = false;
        let mut at = base;
        while let Some((bytes, next)) = self.read(at, end_offset).await? {
            let before = file.bytes();
            for (batch, header) in batches(&bytes) {
                let is_last = header.has_producer()
                    && self.step(|core, slot| {
                        let producers = &core.get(slot)?.producers;
                        Some(producers.is_last(ProducerId(header.producer_id), Offset(header.base_offset)))
                    })?;
                let unreadable = |e: RetainError| Ended::Unreadable { offset: header.base_offset, why: e.to_string() };
                let cleaned = match scratch.open_at_once(&batch).map_err(unreadable)? {
                    Some(open) => clean_batch(&open, map, pass, is_last),
                    None => {
                        let (batch, map, pass) = (batch.clone(), map.clone(), *pass);
                        let work =
                            move || Scratch::default().open(&batch).and_then(|o| clean_batch(&o, &map, &pass, is_last));
                        self.shard.store().beside(work).await
                    }
                };
                let cleaned = cleaned.map_err(unreadable)?;
                changed |= cleaned != Cleaned::AsItIs;
                let pushed = match &cleaned {
                    Cleaned::AsItIs => file.push(&batch).await,
                    Cleaned::Rewritten(bytes) => file.push(bytes).await,
                    Cleaned::Gone => Ok(()),
                };
                pushed.map_err(|e| self.failed_write(e))?;
                self.shard.rt().quantum().await;
            }
            let written = file.bytes() - before;
            self.shard.step(|core, _, _| core.counters.compaction_written_bytes += written);
            self.rest(written).await;
            at = next;
        }
        Ok(changed)
    }

    /// Puts the file in the place of these segments. A stop waits for the end of it.
    async fn replace(&self, group: &[SegmentView], by: Replacement) -> Result<(), Ended> {
        let outcome = self.carry_out(group, by).await;
        self.shard.step(|core, _, _| core.is_replacing = false);
        outcome
    }

    /// Names the replacement in the journal, then carries it out.
    async fn carry_out(&self, group: &[SegmentView], by: Replacement) -> Result<(), Ended> {
        let (reply, synced) = oneshot();
        let begun = self.step(|core, slot| {
            let partition = core.get_mut(slot)?;
            let (id, epoch) = (partition.id, partition.epoch);
            partition.log.begin_replacement(group, by)?;
            core.is_replacing = true;
            core.make_open(OpenCommit::entry_bytes(CLEAN_BYTES)).push_clean(id, epoch, &by);
            core.open_notes.strict = true;
            core.open_notes.releases.push(Release::Done(reply));
            core.signals.journal.notify();
            Some(())
        });
        if let Err(ended) = begun {
            if let Err(error) = self.shard.store().drop_cleaned(&self.dir, &by).await {
                tracing::debug!(path = %error.path.display(), error = %error.source, "not removed yet");
            }
            return Err(ended);
        }
        if synced.await.is_none() {
            return Err(Ended::Fenced);
        }
        let joined: Vec<Offset> = group.iter().skip(1).map(|s| s.base).collect();
        let install = async || {
            let delay = self.shard.step(|core, _, _| {
                let wanted = core.get(self.slot).map(Partition::removal_delay);
                core.delay_of(wanted.unwrap_or_default())
            });
            self.shard.store().install_cleaned(&self.dir, &by, &joined, delay).await
        };
        if let Err(error) = self.shard.on_ballast(install).await {
            // A topic deleted meanwhile takes its directory along.
            if self.shard.step(|core, _, _| core.get(self.slot).is_some()) {
                self.shard.fence().trip(fail(&error.path, "replacing a segment", &error.source));
            }
            return Err(Ended::Fenced);
        }
        self.shard.step(|core, _, _| {
            if let Some(partition) = core.get_mut(self.slot) {
                partition.log.replaced(&by);
                core.drop_segments(self.slot);
            }
            // It waits until the next thing is due, and that may be what was replaced.
            core.signals.clean_up.notify();
        });
        Ok(())
    }

    /// A full disk, or want of descriptors, is for later; any other error is final (R16), unless the topic was deleted meanwhile.
    fn failed_write(&self, error: StoreError) -> Ended {
        if self.shard.step(|core, _, _| core.get(self.slot).is_none()) {
            return Ended::Overtaken;
        }
        if is_full(&error.source) || is_out_of_descriptors(&error.source) {
            return Ended::NoRoom(error);
        }
        self.shard.fence().trip(fail(&error.path, "compacting", &error.source));
        Ended::Fenced
    }
}

/// The whole batches of a read.
fn batches(bytes: &Bytes) -> impl Iterator<Item = (Bytes, BatchHeader)> {
    let whole = |at: usize, header: &BatchHeader| {
        let end = at.checked_add(header.total_bytes()?).filter(|end| *end <= bytes.len())?;
        Some(bytes.slice(at..end))
    };
    walk(bytes).filter_map(move |(at, header)| Some((whole(at, &header)?, header)))
}
