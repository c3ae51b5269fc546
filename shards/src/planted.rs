//! Faults that tests plant, one for each storage rule that it breaks: a checker that does not catch them proves nothing.
//!
//! Invariant: without the feature `planted-faults`, which only tests have, nothing can be planted and the questions
//! compile to nothing.

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// R1: a commit is released when it is written, not when it is synced.
    AckBeforeSync,
    /// R2: the sync of the journal is said to be done, and is not.
    SyncSkipped,
    /// R3: a relaxed append is acked from memory.
    RelaxedAckFromMemory,
    /// R5, R6: replay takes every commit that looks like one, whatever its run, generation and predecessor.
    ReplayIgnoresChain,
    /// R6: replay takes a torn commit.
    ReplayIgnoresChecksum,
    /// R11: a sealed segment keeps the padding of its last block.
    SealNotCut,
    /// R12: a journal file is free before the checkpoint says so.
    JournalReusedEarly,
    /// R12: partial blocks are not carried.
    NothingCarried,
    /// R13: the checkpoint counts on segments that no sync has covered.
    CheckpointClaimsUnsynced,
    /// R15: readers see what is not synced.
    ReadAboveHighWatermark,
    /// R16: commits go on after a failed write or sync.
    FenceIgnored,
    /// R1: a duplicate is acked although the original is not synced.
    DuplicateAckedEarly,
    /// Compaction keeps what is older than the newest record of a key, and drops that.
    CompactionDropsNewest,
}

#[cfg(feature = "planted-faults")]
mod switch {
    use std::cell::Cell;

    use super::PlantedFault;

    thread_local! {
        static PLANTED: Cell<Option<PlantedFault>> = const { Cell::new(None) };
    }

    /// Breaks the brokers of this thread's simulated worlds, or mends them.
    pub fn plant(fault: Option<PlantedFault>) {
        PLANTED.set(fault);
    }

    pub(crate) fn is_planted(fault: PlantedFault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(feature = "planted-faults")]
pub use switch::plant;

#[cfg(feature = "planted-faults")]
pub(crate) use switch::is_planted;

#[cfg(not(feature = "planted-faults"))]
pub(crate) const fn is_planted(_: PlantedFault) -> bool {
    false
}
