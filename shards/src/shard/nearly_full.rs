//! Says in time that the disk nears its end. Shard 0's, for all: they have one data directory. Nothing is deleted earlier for it, so
//! that a slow reader loses nothing that its topic keeps.
//!
//! Invariant: one warning for each time that the space falls below the limit; it must have been well above it in between.

use std::time::Duration;

use super::Shard;
use super::core::ShardCore;
use crate::runtime::{Runtime, Space};

/// How often the file system is asked: a drive that takes 500 MB/s takes 5 GB meanwhile.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// With less than one part in so many of the file system it is nearly full …
const PART: u64 = 10;
/// … or with less than so many times what all ballasts hold: a shard makes its ballast larger before its journal.
const BALLASTS: u64 = 2;
/// It is no longer with one part in so many more: what retention frees and appends take is no news.
const MARGIN: u64 = 5;
const MIB: u64 = 1 << 20;

/// What was found of the space of the data directory's file system, and told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpaceLeft {
    #[default]
    Enough,
    Little,
    /// It could not be asked.
    Unknown,
}

impl SpaceLeft {
    /// What it is now that this was told.
    fn and_then(self, space: Space, ballasts_bytes: u64) -> SpaceLeft {
        let limit = limit_bytes(space, ballasts_bytes);
        let margin = if self == SpaceLeft::Little { limit / MARGIN } else { 0 };
        // Without bounds there is no end to come near to.
        let is_little = space.total_bytes > 0 && space.free_bytes < limit.saturating_add(margin);
        if is_little { SpaceLeft::Little } else { SpaceLeft::Enough }
    }
}

/// With less than so many bytes the file system is nearly full.
fn limit_bytes(space: Space, ballasts_bytes: u64) -> u64 {
    (space.total_bytes / PART).max(ballasts_bytes.saturating_mul(BALLASTS))
}

impl ShardCore {
    /// About what the ballasts of all shards hold, if their partitions are as many as this one's.
    fn ballasts_bytes(&self) -> u64 {
        u64::from(self.settings.shards) * self.ballast_bytes()
    }
}

impl<R: Runtime> Shard<R> {
    /// The disk is full for this shard, or nearly so: nothing waits on it for its removal. That needs no margin: what was removed does
    /// not come back.
    pub(super) async fn is_short_of_space(&self) -> bool {
        let (full, root, ballasts) =
            self.step(|core, _, _| (core.disk_full, core.settings.layout.root.clone(), core.ballasts_bytes()));
        if full {
            return true;
        }
        match self.rt().space(&root).await {
            Ok(space) => space.total_bytes > 0 && space.free_bytes < limit_bytes(space, ballasts),
            // Told where it is asked for all shards; until it is known nothing is removed before its time.
            Err(_) => false,
        }
    }

    /// Asks the file system for its space; warns when it nears its end.
    pub(super) async fn look_at_space(&self) {
        // A disk that is full was told by then, and a start says itself what it needs.
        let root = self.step(|core, _, _| {
            let is_due = !core.disk_full && !core.starting && !core.stopping;
            is_due.then(|| core.settings.layout.root.clone())
        });
        let Some(root) = root else { return };
        let found = self.rt().space(&root).await;
        let (before, now) = self.step(|core, _, _| {
            let next = found
                .as_ref()
                .map_or(SpaceLeft::Unknown, |space| core.space_left.and_then(*space, core.ballasts_bytes()));
            (std::mem::replace(&mut core.space_left, next), next)
        });
        if now == before {
            return;
        }
        let directory = root.display();
        match found {
            Err(error) => tracing::warn!(%directory, %error, "the disk does not tell how much space it has"),
            Ok(space) if now == SpaceLeft::Little => tracing::warn!(
                %directory,
                free_mib = space.free_bytes / MIB,
                "the disk is nearly full: appends are refused once that space is used up, and nothing is deleted earlier for it; \
                 delete topics, shorten their retention, or make the disk larger"
            ),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
#[path = "nearly_full_tests.rs"]
mod tests;
