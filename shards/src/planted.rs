//! Faults that tests plant, one for each rule of storage or of groups that it breaks: a checker that does not catch them
//! proves nothing.
//!
//! Invariant: outside of tests, which alone have the feature `planted-faults`, nothing can be planted and the questions
//! compile to nothing.

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// R1: a commit is released when it is written, not when it is synced.
    AckBeforeSync,
    /// R1: a change of the catalog is applied and told before it is synced.
    CatalogToldEarly,
    /// R2: the sync of the journal is said to be done, and is not.
    SyncSkipped,
    /// R2: the next journal file is written before this one is synced.
    SwitchNotDrained,
    /// R3: a relaxed append is acked from memory.
    RelaxedAckFromMemory,
    /// R3: `flush.messages` makes no sync due.
    FlushCountForgotten,
    /// R3: `flush.ms` makes no sync due.
    FlushTimeForgotten,
    /// R4: an append that finds room overtakes those that wait for it.
    AppendsOvertake,
    /// R5, R6: replay takes every commit that looks like one, whatever its run, generation and predecessor.
    ReplayIgnoresChain,
    /// R6: replay takes a torn commit.
    ReplayIgnoresChecksum,
    /// R7: the new run is current before the last one's data is in segments.
    RunSwitchedEarly,
    /// R8: replay brings back what was deleted.
    LogStartForgotten,
    /// R8: what was given up stays on the disk.
    RemovalForgotten,
    /// R8: what a crash brought back stays on the disk.
    StraysKept,
    /// R8: a deletion is told and its files go before its entry is synced.
    LogStartToldEarly,
    /// R9: segments get bytes that no sync has covered.
    UnsyncedInSegment,
    /// R10: a padded block is written again, and the journal does not hold it from its start.
    WarmTailNotCarried,
    /// R11: a sealed segment keeps the padding of its last block.
    SealNotCut,
    /// R12: a journal file is free before the checkpoint says so.
    JournalReusedEarly,
    /// R12: partial blocks are not carried.
    NothingCarried,
    /// R13: the checkpoint counts on segments that no sync has covered.
    CheckpointClaimsUnsynced,
    /// R14: a full disk refuses no append.
    AdmittedOnFullDisk,
    /// R15: readers see what is not synced.
    ReadAboveHighWatermark,
    /// R15: a read from memory begins one batch too far.
    BatchSkipped,
    /// R16: commits go on after a failed write or sync.
    FenceIgnored,
    /// R1: a duplicate is acked although the original is not synced.
    DuplicateAckedEarly,
    /// R15: the index names the interval behind the one that holds an offset.
    IndexOffByOne,
    /// Compaction keeps what is older than the newest record of a key, and drops that.
    CompactionDropsNewest,
    /// R1: a log start is told before it is durable.
    LogStartLeaks,
    /// R17: appends come in however much waits to be written into segments.
    WindowUnbounded,
    /// R18: an orderly stop syncs nothing that was acked before its sync.
    StopSyncsNothing,
    /// R18: retention believes a wall clock that has just jumped.
    RetentionTrustsJumps,
    /// Groups: a coordinator's answer leaves before its records are durable.
    GroupToldEarly,
    /// Groups: a load keeps the oldest offset of a partition, not the newest.
    LoadKeepsOldest,
    /// Groups: a member of a consumer group is given what another has not given up yet.
    RevocationNotAwaited,
    /// Groups: the session of a member that died does not end.
    DeadMemberKept,
    /// Groups: what a member of a classic group says in an older generation is heard.
    OldGenerationHeard,
}

#[cfg(any(test, feature = "planted-faults"))]
mod switch {
    use std::cell::Cell;

    use super::PlantedFault;

    thread_local! {
        static PLANTED: Cell<Option<PlantedFault>> = const { Cell::new(None) };
    }

    /// While it lives, the brokers of this thread's simulated worlds are broken.
    #[must_use]
    #[derive(Debug)]
    pub struct Planted(());

    /// Breaks them in one way.
    pub fn planted(fault: PlantedFault) -> Planted {
        PLANTED.set(Some(fault));
        Planted(())
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(None);
        }
    }

    pub(crate) fn is_planted(fault: PlantedFault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(any(test, feature = "planted-faults"))]
pub use switch::{Planted, planted};

#[cfg(any(test, feature = "planted-faults"))]
pub(crate) use switch::is_planted;

#[cfg(not(any(test, feature = "planted-faults")))]
pub(crate) const fn is_planted(_: PlantedFault) -> bool {
    false
}
