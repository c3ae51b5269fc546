//! The orderly end of a shard (R18): last commit, replies, whole blocks, checkpoint. Owning core only.
//!
//! Invariant: after it, a start replays a journal over nothing.

use super::Shard;
use crate::router::oneshot::oneshot;
use crate::runtime::{File, OpenMode, Runtime};

impl<R: Runtime> Shard<R> {
    /// Refuses new appends, then writes and syncs everything. Returns whether all of it is in segments.
    pub async fn stop(&self) -> bool {
        let (reply, done) = oneshot();
        self.step(|core, _, _| {
            core.stopping = true;
            core.watches.fire_all();
            core.final_turn = Some(reply);
            core.signals.turn.notify();
        });
        let clean = done.await.is_some() && !self.fence().is_tripped();
        self.close_journal();
        clean
    }

    fn close_journal(&self) {
        self.inner.journal_closed.set(true);
        let signals = self.signals();
        for signal in [
            &signals.journal,
            &signals.write_behind,
            &signals.drained,
            &signals.turn,
            &signals.disk,
            &signals.tails,
            &signals.watch,
            &signals.clean_up,
        ] {
            signal.notify();
        }
    }

    /// Gives the ballast's space to what was acked; appends are refused from now on (R14). `false` if there was none.
    pub async fn release_ballast(&self) -> bool {
        let (path, released) = self.step(|core, _, _| {
            let before = std::mem::replace(&mut core.disk_full, true);
            (core.settings.layout.ballast(core.index.0), before)
        });
        if released {
            // Another write found the disk full a moment ago.
            return true;
        }
        tracing::error!(ballast = %path.display(), "the disk is full: appends are refused until there is space");
        self.rt().remove_file(&path).await.is_ok()
    }

    /// Makes the ballast, as large as the journal and `headroom` more. While there is no space for it, appends are refused.
    pub async fn fill_ballast(&self, headroom: u64) {
        match self.extend_ballast(headroom).await {
            Ok(()) => self.step(|core, now, wall_ms| {
                if std::mem::replace(&mut core.disk_full, false) {
                    tracing::info!("there is space on the disk again: appends resume");
                }
                core.admit_waiting(now, wall_ms);
            }),
            Err(error) => self.step(|core, _, _| {
                if !std::mem::replace(&mut core.disk_full, true) {
                    tracing::error!(%error, "no space for the ballast: appends are refused until there is");
                }
            }),
        }
    }

    /// Reserves space for the journal as it is and `more` bytes.
    pub(super) async fn extend_ballast(&self, more: u64) -> std::io::Result<()> {
        let (path, bytes) =
            self.step(|core, _, _| (core.settings.layout.ballast(core.index.0), core.space.total_bytes() + more));
        let file = self.rt().open(&path, OpenMode::Create).await?;
        file.allocate(bytes).await?;
        file.sync().await?;
        file.close().await
    }
}
