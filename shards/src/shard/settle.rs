//! Where the bytes go that a start has replayed, and the rest of that way behind it. Owning core only.
//!
//! However little goes into a segment's file, it takes about a millisecond to open, write and sync it and its directory. So a
//! start writes only the partitions with much, and puts the bytes of all others into the new run's journal once more, which
//! it writes from front to back. From there they go into segments as everything else does, when the broker serves already.
//!
//! Invariant: before the new run is the current one, all that was replayed is in synced segments or in its synced journal; and
//! before a file of that journal is freed, or a stop ends, nothing is left of `unsettled`.

use std::collections::VecDeque;

use super::ballast::JournalSize;
use super::core::ShardCore;
use super::partition::Slot;
use super::turn::{COMMIT_BYTES_OF_START_MAX, TurnKind, let_go_of, turn};
use super::write_behind::write_out;
use super::{PARTITIONS_PER_STEP, Shard};
use crate::journal::open::OpenCommit;
use crate::log::WriteKind;
use crate::router::oneshot::oneshot;
use crate::runtime::Runtime;

/// About what can be put into the journal while one file is opened, written and synced: of a partition with more, all goes
/// into its file.
pub const CARRIED_BYTES_MAX: u64 = 256 << 10;

/// The commit of bytes that a start has replayed; those of this run count from 1.
const NOT_OF_THIS_RUN: u64 = 0;

/// How many journal files of `each` bytes take what a start carries.
pub fn files_for(carried_bytes: u64, each: u64) -> usize {
    // No commit goes over the end of a file; one at least fits.
    let filled = each - COMMIT_BYTES_OF_START_MAX.min(each / 2);
    usize::try_from(carried_bytes.div_ceil(filled)).unwrap_or(usize::MAX)
}

/// What a start does with the partitions that it has put together.
pub struct Plan {
    /// Go into segments at once.
    written: VecDeque<Slot>,
    /// Bytes in the new journal of all others, which are `unsettled` now.
    pub carried_bytes: u64,
}

impl ShardCore {
    /// Takes those with the fewest bytes into `unsettled`, as many as the journal may hold once it has grown.
    pub fn plan_settling(&mut self, size: JournalSize) -> Plan {
        let carried_max = if size == JournalSize::Ample { self.journal_bytes_most() } else { 0 };
        let unsettled = self.partitions().filter(|(_, partition)| !partition.log.is_settled());
        let mut due: Vec<(u64, Slot)> = unsettled.map(|(slot, p)| (p.log.unwritten_bytes(), slot)).collect();
        due.sort_unstable();
        let mut plan = Plan { written: VecDeque::new(), carried_bytes: 0 };
        for (bytes, slot) in due {
            let carried = plan.carried_bytes + OpenCommit::entry_bytes(bytes as usize) as u64;
            if bytes <= CARRIED_BYTES_MAX && carried <= carried_max {
                plan.carried_bytes = carried;
                self.unsettled.push_back(slot);
            } else {
                plan.written.push_back(slot);
            }
        }
        plan
    }

    /// The bytes that a start has replayed leave memory, as far as files hold them: no budget counts them.
    fn let_go_of_replayed(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Some(partition) = self.get_mut(*slot) {
                partition.log.evict_through(NOT_OF_THIS_RUN);
            }
        }
    }
}

/// What a start replayed goes into segments and into the new run's journal, and the new run's checkpoint says so.
pub async fn settle<R: Runtime>(shard: &Shard<R>, plan: Plan) -> Result<(), String> {
    write_out(shard, plan.written, WriteKind::WholeBlocks).await;
    if !shard.fence().is_tripped() {
        turn(shard, TurnKind::Settle).await;
    }
    if let Some(why) = shard.fence().why() {
        return Err(why.to_owned());
    }
    let all: Vec<Slot> = shard.step(|core, _, _| core.slots().collect());
    // No budget counts them.
    let_go_of(shard, &all).await;
    shard.step(|core, _, _| {
        // What a crash kept from being removed.
        for slot in all {
            core.drop_segments(slot);
        }
        // Appends make smaller ones.
        core.commit_bytes_usual = 0;
    });
    Ok(())
}

/// Puts what is `unsettled` into segments, one partition after the other beside what the broker does, and has it recorded.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let all: Vec<Slot> = shard.step(|core, _, _| core.unsettled.iter().copied().collect());
    if all.is_empty() {
        return;
    }
    while !shard.fence().is_tripped()
        && let Some(slot) = shard.step(|core, _, _| core.unsettled.front().copied())
    {
        write_out(&shard, [slot].into(), WriteKind::WholeBlocks).await;
        shard.step(|core, _, _| {
            // A turn may have finished all of them meanwhile.
            core.unsettled.pop_front_if(|front| *front == slot);
            core.let_go_of_replayed(&[slot]);
        });
        shard.rt().quantum().await;
    }
    let recorded = shard.step(|core, _, _| {
        let (reply, recorded) = oneshot();
        if !core.stopping {
            core.checkpoint_wanted.push(reply);
            core.signals.turn.notify();
        }
        recorded
    });
    recorded.await;
    // Where an append came in right behind the write, the last batch was still needed. It is in the file by now.
    for some in all.chunks(PARTITIONS_PER_STEP) {
        shard.step(|core, _, _| core.let_go_of_replayed(some));
        shard.rt().quantum().await;
    }
}

/// Puts all that is `unsettled` into segments at once: a turn frees the journal files that hold it, or the broker stops.
pub async fn finish<R: Runtime>(shard: &Shard<R>) {
    let rest = shard.step(|core, _, _| core.unsettled.clone());
    write_out(shard, rest, WriteKind::WholeBlocks).await;
    if !shard.fence().is_tripped() {
        shard.step(|core, _, _| core.unsettled.clear());
    }
}
