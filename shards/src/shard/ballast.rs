//! The ballast: space held back so that what was acked finds its place on a full disk, and the next start its journal
//! (R14). Owning core only.
//!
//! Invariant: while the ballast is not whole, appends are refused; a ballast that could not be made whole holds nothing.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Shard;
use crate::log::StoreError;
use crate::runtime::{File, OpenMode, Runtime};

/// Space beyond the ballast that must be there before appends resume, or they would stop again at once.
const HEADROOM_BYTES: u64 = 16 << 20;
/// How often a full disk is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// A write of what was acked is tried again so often: another shard's attempt at its ballast may hold all space meanwhile.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Whether an operation failed for want of space.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// While the disk is full, looks each second whether the ballast fits again.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    while !shard.journal_is_closed() {
        shard.rt().sleep_until(shard.now().after(LOOK)).await;
        if shard.step(|core, _, _| core.disk_full && core.is_drained()) {
            shard.fill_ballast(HEADROOM_BYTES).await;
        }
    }
}

impl<R: Runtime> Shard<R> {
    /// Carries out a write of what was acked; on a full disk the ballast makes room for it.
    pub async fn on_ballast<T>(&self, write: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut outcome = write().await;
        for _ in 0..TRIES {
            if !outcome.as_ref().is_err_and(|error| is_full(&error.source)) {
                break;
            }
            if !self.release_ballast().await {
                self.rt().sleep_until(self.now().after(PAUSE)).await;
            }
            outcome = write().await;
        }
        outcome
    }

    /// Gives the ballast's space to what was acked; appends are refused from now on. `false` if there was none.
    pub async fn release_ballast(&self) -> bool {
        if self.step(|core, _, _| std::mem::replace(&mut core.disk_full, true)) {
            return false;
        }
        let path = self.ballast_path();
        tracing::error!(ballast = %path.display(), "the disk is full: appends are refused until there is space");
        self.rt().remove_file(&path).await.is_ok()
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
            }),
            Err(error) => {
                let was_full = self.step(|core, now, wall_ms| {
                    let was_full = std::mem::replace(&mut core.disk_full, true);
                    // Those that wait for room are refused.
                    core.admit_waiting(now, wall_ms);
                    was_full
                });
                if !was_full {
                    tracing::error!(%error, "no space for the ballast: appends are refused until there is");
                }
                // Part of it may be there, in the way of what was acked. What was never made cannot be removed.
                let _missing = self.rt().remove_file(&self.ballast_path()).await;
            }
        }
    }

    /// Holds back what the journal, `more` bytes and the next start need. On an error, what it held before is held.
    pub(super) async fn resize_ballast(&self, more: u64) -> io::Result<()> {
        let bytes = self.step(|core, _, _| core.space.total_bytes() + core.journal_bytes_min()) + more;
        let file = self.rt().open(&self.ballast_path(), OpenMode::Create).await?;
        let before = file.len().await?;
        let resized = match file.allocate(bytes).await {
            Ok(()) => file.resize(bytes).await,
            Err(error) => file.resize(before).await.and(Err(error)),
        };
        file.sync().await?;
        file.close().await?;
        resized
    }

    fn ballast_path(&self) -> PathBuf {
        self.step(|core, _, _| core.settings.layout.ballast(core.index.0))
    }
}
