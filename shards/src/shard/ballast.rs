//! The ballast: space held back so that what was acked finds its place on a full disk, and the next start its journal
//! (R14). Owning core only.
//!
//! It is as large as the journal and the *start's share* together. On a full disk the journal's part gives way to what was
//! acked; the start's share stays, and the next start's journal and checkpoint take it: so a broker that was killed on a
//! full disk starts again on it. A start takes every ballast away before it needs space; each shard makes its own when all
//! have what they need.
//!
//! Invariant: while the ballast is not whole, appends are refused; one that could not be made whole holds the start's share
//! at most.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::core::ShardCore;
use super::settings::ShardSettings;
use super::{Shard, fail};
use crate::journal::files::FILL_BYTES;
use crate::journal::space::FILES_MIN;
use crate::log::{At, StoreError};
use crate::runtime::{File, OpenMode, Runtime, is_full, is_out_of_descriptors, is_shortage};

/// Journal bytes for each partition of the core, so that a turn carries at most a quarter of the journal (R12).
const JOURNAL_BYTES_PER_PARTITION: u64 = 16 << 10;
/// The smallest journal there is.
const JOURNAL_BYTES_MIN: u64 = FILES_MIN as u64 * FILL_BYTES;
/// What a start writes beside journal, checkpoint and segments: the run file, index pages, directories.
const START_BYTES_MORE: u64 = 1 << 20;
const MIB: u64 = 1 << 20;
/// Asks for space during a start.
const PROBE: &str = "probe";
/// Space beyond the ballast that must be there before appends resume, or they would stop again at once.
const HEADROOM_BYTES: u64 = 16 << 20;
/// How often a full disk is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// A write that needs space is tried again so often: another shard's attempt at its ballast may hold all of it meanwhile, and
/// a file system may take a moment to give back what was freed.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// How large a start makes its journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalSize {
    /// As the settings say, and room for what is carried of the last run's journals. There is space for the ballasts beside
    /// all of it, so that no shard's ballast is in the way of what another has yet to put into segments.
    Ample,
    /// As the settings say.
    Full,
    /// The disk is short: only what the partitions need. The journals grow when there is space again.
    Least,
}

/// Shard 0, for all, before any journal is made: which journals fit beside `replayed_bytes`, all of which may have to go into
/// segments. Asked once, or one shard would take what another gives way.
pub async fn size_of_journals<R: Runtime>(
    rt: &R,
    settings: &ShardSettings,
    partitions: u64,
    replayed_bytes: u64,
) -> Result<JournalSize, StoreError> {
    let shards = u64::from(settings.shards);
    let journals = shards * settings.journal_bytes.next_multiple_of(JOURNAL_BYTES_MIN);
    let full = journals
        + partitions * JOURNAL_BYTES_PER_PARTITION
        + shards * (JOURNAL_BYTES_MIN + START_BYTES_MORE)
        + replayed_bytes;
    if has_space(rt, settings, 2 * (full + replayed_bytes)).await? {
        return Ok(JournalSize::Ample);
    }
    if has_space(rt, settings, full).await? {
        return Ok(JournalSize::Full);
    }
    tracing::warn!(bytes = full, "the disk is nearly full: the journals are made small");
    Ok(JournalSize::Least)
}

/// Whether so many bytes could be had now.
async fn has_space<R: Runtime>(rt: &R, settings: &ShardSettings, bytes: u64) -> Result<bool, StoreError> {
    let path = settings.layout.journals().join(PROBE);
    let file = rt.open(&path, OpenMode::Create).await.at(&path)?;
    let reserved = file.allocate(bytes).await;
    // Now, not when the kernel has closed the file for good: the journals come next.
    file.resize(0).await.at(&path)?;
    file.close().await.at(&path)?;
    rt.remove_file(&path).await.at(&path)?;
    match reserved {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) => Ok(false),
        Err(error) => Err(error).at(&path),
    }
}

/// What to do about an error that kept a start from a file, as the end of a sentence.
pub fn cure(error: &io::Error) -> &'static str {
    match error {
        full if is_full(full) => ": make space on this disk (`df`, or inodes: `df -i`), then start again",
        out if is_out_of_descriptors(out) => {
            ": raise the limit of open files (`ulimit -n`, LimitNOFILE=), then start again"
        }
        _ => "",
    }
}

/// While the disk is full, looks each second whether the ballast fits again. While files wait for their removal, whether their space
/// is wanted: another shard may want it, or another program.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    while !shard.journal_is_closed() {
        shard.rt().sleep_until(shard.now().after(LOOK)).await;
        if shard.store().next_removal().is_some() && shard.is_short_of_space().await {
            shard.make_room().await;
        }
        if shard.step(|core, _, _| core.disk_full && !core.starting && core.is_drained()) {
            shard.fill_ballast(HEADROOM_BYTES).await;
        }
    }
}

impl ShardCore {
    /// With less than this the core does not start: a turn carries at most a quarter of it (R12).
    fn journal_bytes_min(&self) -> u64 {
        JOURNAL_BYTES_MIN.max(self.partition_count() as u64 * JOURNAL_BYTES_PER_PARTITION)
    }

    /// What the journal of this core should have, whatever it does.
    pub fn journal_bytes_least(&self) -> u64 {
        self.settings.journal_bytes.max(self.journal_bytes_min())
    }

    /// How far the journal of this core grows under load.
    pub fn journal_bytes_most(&self) -> u64 {
        self.settings.journal_bytes_max.max(self.journal_bytes_least())
    }

    /// Bytes of each of the files that a start makes, without those for what it carries.
    pub fn journal_file_bytes(&self, size: JournalSize) -> u64 {
        let bytes = match size {
            JournalSize::Ample | JournalSize::Full => self.journal_bytes_least(),
            JournalSize::Least => self.journal_bytes_min(),
        };
        bytes.div_ceil(FILES_MIN as u64).next_multiple_of(FILL_BYTES)
    }

    /// What is held back on a disk with space.
    pub(super) fn ballast_bytes(&self) -> u64 {
        self.start_share_bytes() + self.space.total_bytes()
    }

    /// What the next start needs has grown: with partitions, or with what a checkpoint tells of them.
    fn lacks_ballast(&self) -> bool {
        !self.disk_full && self.ballast_bytes() > self.ballast_held + START_BYTES_MORE / 2
    }

    /// What a start on a full disk needs, of all shards, if their partitions are as many as this one's.
    pub fn start_bytes(&self) -> u64 {
        u64::from(self.settings.shards) * self.start_share_bytes()
    }

    /// The smallest journal, and the new checkpoint's two copies beside the old ones while each is written under another name.
    fn start_share_bytes(&self) -> u64 {
        self.journal_file_bytes(JournalSize::Least) * FILES_MIN as u64 + 3 * self.checkpoint_bytes + START_BYTES_MORE
    }
}

impl<R: Runtime> Shard<R> {
    /// Carries out a write that must find space, of what was acked or of a start; on a full disk the ballast makes room for it.
    /// Where that is not enough, as where inodes are used up, what was acked stays in the journal until there is room: only a
    /// start and a stop end with the error, after some tries.
    pub async fn on_ballast<T>(&self, write: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            let outcome = self.with_descriptors(&write).await;
            let Err(error) = outcome else { return outcome };
            let must_end = || self.step(|core, _, _| core.starting || core.stopping) || self.fence().is_tripped();
            if !is_full(&error.source) || tries >= TRIES && must_end() {
                return Err(error);
            }
            tries += 1;
            if self.make_room().await {
                continue;
            }
            if tries == TRIES {
                let path = error.path.display();
                tracing::error!(%path, error = %error.source, "not written: it waits in the journal for space and inodes (`df`, `df -i`)");
            }
            if !self.release_ballast().await {
                let pause = if tries < TRIES { PAUSE } else { LOOK };
                self.rt().sleep_until(self.now().after(pause)).await;
            }
        }
    }

    /// Gives the journal's part of the ballast to what was acked; appends are refused from now on. `false` if it has gone
    /// before.
    pub async fn release_ballast(&self) -> bool {
        if self.step(|core, _, _| std::mem::replace(&mut core.disk_full, true)) {
            return false;
        }
        self.tell_full("the disk is full");
        self.shrink_ballast().await
    }

    /// Says what is missing, and where, and what to do.
    fn tell_full(&self, what: &str) {
        let wanted = self.step(|core, _, _| core.ballast_bytes() + HEADROOM_BYTES);
        let (ballast, wanted_mib) = (self.ballast_path(), wanted.div_ceil(MIB));
        tracing::error!(
            ballast = %ballast.display(),
            wanted_mib,
            "{what}: appends are refused until its disk has that much space for this shard, and inodes (`df -i`); delete \
             topics, or files that are not the broker's"
        );
    }

    /// Leaves the start's share of the ballast; whether there was more.
    async fn shrink_ballast(&self) -> bool {
        let (path, share) = (self.ballast_path(), self.step(|core, _, _| core.start_share_bytes()));
        let shrunk = async {
            let file = self.store().open_at(&path, OpenMode::Write).await?;
            let had_more = file.len().await? > share;
            if had_more {
                file.resize(share).await?;
            }
            file.close().await?;
            Ok::<bool, io::Error>(had_more)
        };
        match shrunk.await {
            Ok(had_more) => had_more,
            // While a broker starts there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                tracing::error!(ballast = %path.display(), %error, "the ballast gives no space");
                false
            }
        }
    }

    /// Holds back what the next start needs by now.
    pub async fn keep_ballast(&self) {
        if self.step(|core, _, _| core.lacks_ballast()) {
            self.fill_ballast(0).await;
        }
    }

    /// Makes the ballast whole, if `headroom` more bytes could be had as well. Else appends are refused.
    pub async fn fill_ballast(&self, headroom: u64) {
        let made = match self.resize_ballast(headroom).await {
            Ok(()) => self.resize_ballast(0).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => self.step(|core, now, wall_ms| {
                if std::mem::replace(&mut core.disk_full, false) {
                    tracing::info!("there is space on the disk again: appends resume");
                }
                core.admit_waiting(now, wall_ms);
                // A start on a full disk made a small journal.
                core.signals.turn.notify();
            }),
            // A disk that cannot is a disk that fails (R16).
            Err(error) if !is_shortage(&error.source) => {
                self.fence().trip(fail(&error.path, "making the ballast", &error.source));
            }
            // It is tried again, and what was held is held.
            Err(error) if is_out_of_descriptors(&error.source) => {
                tracing::warn!(%error, "no descriptor for the ballast: it stays as it is for now");
            }
            Err(error) => {
                let was_full = self.step(|core, now, wall_ms| {
                    let was_full = std::mem::replace(&mut core.disk_full, true);
                    // Those that wait for room are refused.
                    core.admit_waiting(now, wall_ms);
                    was_full
                });
                if !was_full {
                    self.tell_full(&format!("no space for the ballast ({})", error.source));
                }
                // The rest would be in the way of what was acked.
                self.shrink_ballast().await;
            }
        }
    }

    /// Holds back what the next start, the journal and `more` bytes need. On an error, what it held before is held, and the
    /// start's share if that can be had.
    pub(super) async fn resize_ballast(&self, more: u64) -> Result<(), StoreError> {
        let path = self.ballast_path();
        let mut resized = self.resize_ballast_at(&path, more).await;
        if resized.as_ref().is_err_and(is_full) && self.make_room().await {
            resized = self.resize_ballast_at(&path, more).await;
        }
        resized.at(&path)
    }

    async fn resize_ballast_at(&self, path: &Path, more: u64) -> io::Result<()> {
        let (share, whole) = self.step(|core, _, _| (core.start_share_bytes(), core.ballast_bytes()));
        let file = self.store().open_at(path, OpenMode::Create).await?;
        let mut held = file.len().await?;
        let mut resized = Ok(());
        for bytes in [share, whole + more] {
            // What is not allocated in full is given back.
            resized = match file.allocate(bytes).await {
                Ok(()) => {
                    held = held.max(bytes);
                    Ok(())
                }
                Err(error) => file.resize(held).await.and(Err(error)),
            };
        }
        if resized.is_ok() {
            resized = file.resize(whole + more).await;
        }
        file.sync().await?;
        file.close().await?;
        if resized.is_ok() {
            self.step(|core, _, _| core.ballast_held = whole + more);
        }
        resized
    }

    fn ballast_path(&self) -> PathBuf {
        self.step(|core, _, _| core.settings.layout.ballast(core.index.0))
    }
}
