//! The orderly end of a shard (R18): last commit, replies, whole blocks, checkpoint. Owning core only.
//!
//! Invariant: after it, a start finds only partial blocks in the journal.

use std::time::Duration;

use super::Shard;
use super::core::ShardCore;
use crate::router::oneshot::oneshot;
use crate::runtime::Runtime;

/// How soon to look again for the end of what another task does.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl ShardCore {
    /// In one step: nobody is served any more when it is asked.
    fn partitions_to_write(&self) -> usize {
        self.partitions().filter(|(_, p)| p.log.has_to_be_written() || p.log.is_file_dirty()).count()
    }
}

impl<R: Runtime> Shard<R> {
    /// How many partitions a stop would now write into segments, or sync there; that takes about a millisecond for each, however
    /// little it is.
    pub fn partitions_to_write(&self) -> usize {
        self.step(|core, _, _| core.partitions_to_write())
    }

    /// Refuses new appends, then writes and syncs everything. Returns whether all of it is in segments.
    pub async fn stop(&self) -> bool {
        self.step(|core, _, _| {
            core.stopping = true;
            core.signals.hurry.notify();
            core.watches.close();
        });
        // What is under way would be left to the next start, which then has something to carry out.
        while self.step(|core, _, _| core.is_replacing) && !self.fence().is_tripped() {
            self.rt().sleep_until(self.now().after(LOOK_AGAIN)).await;
        }
        let (reply, done) = oneshot();
        self.step(|core, _, _| {
            core.final_turn = Some(reply);
            core.signals.turn.notify();
        });
        let clean = done.await.is_some() && !self.fence().is_tripped();
        self.close_journal();
        self.store().close().await;
        clean
    }

    fn close_journal(&self) {
        self.inner.journal_closed.set(true);
        // The turns are over: nobody would answer.
        self.step(|core, _, _| core.checkpoint_wanted.clear());
        let signals = self.signals();
        for signal in [
            &signals.journal,
            &signals.write_behind,
            &signals.given_up,
            &signals.hurry,
            &signals.drained,
            &signals.turn,
            &signals.disk,
            &signals.tails,
            &signals.watch,
            &signals.clean_up,
            &signals.group_loads,
            &signals.group_replies,
            &signals.group_outbox,
            &signals.group_timers,
        ] {
            signal.notify();
        }
    }
}
