//! Removes what nobody may read any more: a rename at once, the unlink after the topic's `file.delete.delay.ms` (R8). Owning core
//! only.
//!
//! Where space is wanted nothing waits (R14): see `Shard::make_room`.
//!
//! Invariant: what is removed here was given up by a synced record before.

use std::time::Duration;

use futures_lite::future::or;

use super::Shard;
use super::core::{Dropped, ShardCore};
use super::partition::Slot;
use crate::log::{KnownSegments, PartitionDir, StoreError};
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::Runtime;
use crate::types::Mono;

impl ShardCore {
    /// A start is over: what crashes left in directories goes, one partition after the other, beside what the broker does.
    pub fn sweep_all(&mut self) {
        if is_planted(PlantedFault::StraysKept) {
            return;
        }
        self.unswept = self.partitions().filter(|(_, p)| p.is_worth_a_checkpoint()).map(|(slot, _)| slot).collect();
        self.signals.clean_up.notify();
    }

    fn next_unswept(&mut self) -> Option<Dropped> {
        self.unswept.pop_front().map(|slot| Dropped::Strays { slot })
    }

    /// How long files wait that their topic wants to keep for so long.
    pub(super) fn delay_of(&self, wanted: Duration) -> Duration {
        if self.disk_full { Duration::ZERO } else { wanted }
    }

    /// Where to look for strays, and what is none. Not where a log could not be read, now or at the start: all of it may be needed
    /// for mending.
    fn may_have_strays(&self, slot: Slot) -> Option<(PartitionDir, KnownSegments)> {
        let partition = self.get(slot).filter(|p| p.offline.is_none() && p.unreadable.is_none())?;
        Some((partition.directory(), partition.log.known_segments()))
    }
}

/// No timer of this task is for a later time: a topic may want to keep files for centuries.
const LOOK_MAX: Duration = Duration::from_secs(60 * 60);

/// Works off `dropped` in order, then what has waited long enough, then `unswept`. What is left at a stop, the next start sweeps up.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        let look_again = shard.now().after(LOOK_MAX);
        let due = shard.store().next_removal().unwrap_or(look_again).min(look_again);
        or(shard.rt().sleep_until(due), signals.clean_up.wait()).await;
        while !shard.journal_is_closed() && remove_next(&shard).await {
            shard.rt().quantum().await;
        }
    }
}

/// What is given up now comes before what was left by crashes: a full disk waits for its space. Whether there was anything to do.
async fn remove_next<R: Runtime>(shard: &Shard<R>) -> bool {
    if let Some(dropped) = shard.step(|core, _, _| core.dropped.pop_front()) {
        remove(shard, dropped).await;
    } else if let Some(outcome) = shard.store().remove_due(shard.now()).await {
        tell(outcome);
    } else if let Some(strays) = shard.step(|core, _, _| core.next_unswept()) {
        remove(shard, strays).await;
    } else {
        return false;
    }
    true
}

async fn remove<R: Runtime>(shard: &Shard<R>, dropped: Dropped) {
    if is_planted(PlantedFault::RemovalForgotten) {
        return;
    }
    let delay_of = |wanted| shard.step(|core, _, _| core.delay_of(wanted));
    let outcome = match &dropped {
        Dropped::Partition { dir, delay } => shard.store().remove_partition(dir, delay_of(*delay)).await,
        Dropped::Segments { slot, bases, delay } => {
            let Some(dir) = shard.step(|core, _, _| core.get(*slot).map(|p| p.directory())) else { return };
            shard.store().remove_segments(&dir, bases, delay_of(*delay)).await
        }
        Dropped::Strays { slot } => {
            let Some((dir, known)) = shard.step(|core, _, _| core.may_have_strays(*slot)) else { return };
            shard.store().remove_strays(&dir, &known).await.map(|had_any| {
                if had_any {
                    tracing::info!(partition = dir.name(), "files that an earlier run had left are removed");
                }
            })
        }
    };
    tell(outcome);
}

fn tell(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        // It takes space and nothing else: the next start tries again.
        tracing::warn!(path = %error.path.display(), error = %error.source, "could not be removed");
    }
}

impl<R: Runtime> Shard<R> {
    /// Removes all that waits for its time, because space is wanted. Whether there was anything.
    pub(super) async fn make_room(&self) -> bool {
        let mut had_any = false;
        while let Some(outcome) = self.store().remove_due(Mono::FAR).await {
            had_any = true;
            tell(outcome);
            self.rt().quantum().await;
        }
        had_any
    }
}
