//! Removes what nobody may read any more: first a rename, then the unlink (R8). Owning core only.
//!
//! Invariant: what is removed here was given up by a synced record before.

use super::Shard;
use super::core::{Dropped, ShardCore};
use super::partition::Slot;
use crate::log::{KnownSegments, PartitionDir};
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::Runtime;

impl ShardCore {
    /// A start is over: what crashes left in directories goes, one partition after the other, beside what the broker does.
    pub fn sweep_all(&mut self) {
        if is_planted(PlantedFault::StraysKept) {
            return;
        }
        self.unswept = self.partitions().filter(|(_, p)| p.is_worth_a_checkpoint()).map(|(slot, _)| slot).collect();
        self.signals.clean_up.notify();
    }

    /// What is given up now comes before what was left by crashes: a full disk waits for its space.
    fn next_dropped(&mut self) -> Option<Dropped> {
        self.dropped.pop_front().or_else(|| self.unswept.pop_front().map(|slot| Dropped::Strays { slot }))
    }

    /// Where to look for strays, and what is none. Not where a log could not be read, now or at the start: all of it may be needed
    /// for mending.
    fn may_have_strays(&self, slot: Slot) -> Option<(PartitionDir, KnownSegments)> {
        let partition = self.get(slot).filter(|p| p.offline.is_none() && p.unreadable.is_none())?;
        Some((partition.directory(), partition.log.known_segments()))
    }
}

/// Works off `dropped` in order, then `unswept`. What is left at a stop, the next start sweeps up.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.clean_up.wait().await;
        while !shard.journal_is_closed()
            && let Some(dropped) = shard.step(|core, _, _| core.next_dropped())
        {
            remove(&shard, dropped).await;
            shard.rt().quantum().await;
        }
    }
}

async fn remove<R: Runtime>(shard: &Shard<R>, dropped: Dropped) {
    if is_planted(PlantedFault::RemovalForgotten) {
        return;
    }
    let outcome = match &dropped {
        Dropped::Partition { dir } => shard.store().remove_partition(dir).await,
        Dropped::Segments { slot, bases } => {
            let Some(dir) = shard.step(|core, _, _| core.get(*slot).map(|p| p.directory())) else { return };
            shard.store().remove_segments(&dir, bases).await
        }
        Dropped::Strays { slot } => {
            let Some((dir, known)) = shard.step(|core, _, _| core.may_have_strays(*slot)) else { return };
            shard.store().remove_strays(&dir, &known).await.map(|had_any| {
                if had_any {
                    tracing::info!(partition = dir.name(), "files that a crash had left are removed");
                }
            })
        }
    };
    if let Err(error) = outcome {
        // It takes space and nothing else: the next start tries again.
        tracing::warn!(path = %error.path.display(), error = %error.source, "could not be removed");
    }
}
