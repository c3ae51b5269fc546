//! Removes what nobody may read any more: first a rename, then the unlink (R8). Owning core only.
//!
//! Invariant: what is removed here was given up by a synced record before.

use super::Shard;
use super::core::Dropped;
use crate::runtime::Runtime;

/// Works off `dropped` in order. What is left at a stop goes with the next start.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.clean_up.wait().await;
        while !shard.journal_is_closed()
            && let Some(dropped) = shard.step(|core, _, _| core.dropped.pop_front())
        {
            remove(&shard, dropped).await;
            shard.rt().quantum().await;
        }
    }
}

async fn remove<R: Runtime>(shard: &Shard<R>, dropped: Dropped) {
    let outcome = match &dropped {
        Dropped::Partition { dir } => shard.store().remove_partition(dir).await,
        Dropped::Segments { slot, bases } => {
            let Some(dir) = shard.step(|core, _, _| core.get(*slot).map(|p| p.directory())) else { return };
            shard.store().remove_segments(&dir, bases).await
        }
    };
    if let Err(error) = outcome {
        // It takes space and nothing else: the next start tries again.
        tracing::warn!(path = %error.path.display(), error = %error.source, "could not be removed");
    }
}
