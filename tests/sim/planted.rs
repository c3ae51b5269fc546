//! The checker proves itself: each rule of storage and of groups is broken on purpose, and must be caught within a bound of
//! seeds.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shards::planted::{PlantedFault, planted};

use crate::checker::Property;
use crate::compaction::compacting;
use crate::crashes::{
    bounded_losses, crashes_during_start, heavy_power_cuts, heavy_relaxed_power_cuts, power_cuts, power_cuts_in_turns,
    relaxed_power_cuts, stops,
};
use crate::disks::{full_disk, io_errors, kills_on_a_slow_disk, power_cuts_on_a_slow_disk, slow_disk};
use crate::groups::{members_change_their_protocol, members_come_and_go};
use crate::mixed::{clock_jumps, mixed, resting};
use crate::producer_ids::producer_ids;
use crate::scenario::Scenario;
use crate::topics::{deletions, snapshots};

/// Seeds after which a fault must have been caught. Most take one or two; a few, dozens.
const SEEDS_MAX: u64 = 100;

/// What a fault must be caught by: whatever else it breaks proves nothing of the check that is meant for it.
enum By {
    /// A violation that the checker finds.
    Checker(Property),
    /// A refusal or an assertion of the broker that says this.
    Words(&'static str),
}

/// Runs seeds with the fault until one of them breaks as it should.
fn must_be_caught(fault: PlantedFault, by: By, scenario: Scenario) {
    let mut others = Vec::new();
    for seed in 0..SEEDS_MAX {
        let broken = planted(fault);
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario(seed)));
        drop(broken);
        let said = match outcome {
            Ok(outcome) => {
                outcome.violations.into_iter().map(|found| (Some(found.property), found.to_string())).collect()
            }
            Err(panic) => vec![(None, message_of(&*panic))],
        };
        let is_meant = |(property, what): &&(Option<Property>, String)| match by {
            By::Checker(meant) => *property == Some(meant),
            By::Words(words) => what.contains(words),
        };
        if let Some((_, what)) = said.iter().find(is_meant) {
            println!("{fault:?}: caught by seed {} of {SEEDS_MAX}: {what}", seed + 1);
            return;
        }
        let first = said.into_iter().next().map_or_else(|| "nothing".to_owned(), |(_, what)| what);
        eprintln!("{fault:?}: seed {seed} breaks {first}");
        others.push(first);
    }
    panic!("{fault:?} was not caught as it should be in {SEEDS_MAX} seeds, but: {others:#?}");
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned()
}

macro_rules! planted {
    ($($test:ident: $fault:ident in $scenario:ident by $by:expr;)*) => {
        $(#[test] fn $test() { must_be_caught(PlantedFault::$fault, $by, $scenario); })*
    };
}

planted! {
    r1_an_ack_before_the_sync_is_caught: AckBeforeSync in power_cuts_on_a_slow_disk
        by By::Checker(Property::AckedIsReadable);
    r1_an_early_ack_of_a_duplicate_is_caught: DuplicateAckedEarly in slow_disk
        by By::Checker(Property::AckedIsReadable);
    r1_a_log_start_that_is_told_early_is_caught: LogStartLeaks in power_cuts_on_a_slow_disk
        by By::Checker(Property::LogStartNeverBack);
    r1_a_change_of_the_catalog_that_is_told_early_is_caught: CatalogToldEarly in snapshots
        by By::Checker(Property::ChangesAreKept);
    r1_a_producer_id_that_is_told_early_is_caught: CatalogToldEarly in producer_ids
        by By::Checker(Property::ProducerIdsAreUnique);
    r2_a_skipped_sync_is_caught: SyncSkipped in power_cuts
        by By::Words("is unreadable, yet commit");
    r2_a_journal_file_that_is_not_synced_before_the_next_is_caught: SwitchNotDrained in heavy_relaxed_power_cuts
        by By::Words("a synced write over a change that is not synced");
    r3_a_relaxed_ack_from_memory_is_caught: RelaxedAckFromMemory in kills_on_a_slow_disk
        by By::Checker(Property::AckedIsReadable);
    r3_a_flush_messages_that_syncs_nothing_is_caught: FlushCountForgotten in bounded_losses
        by By::Checker(Property::LossesAreBounded);
    r3_a_flush_ms_that_syncs_nothing_is_caught: FlushTimeForgotten in bounded_losses
        by By::Checker(Property::LossesAreBounded);
    r4_an_append_that_overtakes_is_caught: AppendsOvertake in heavy_power_cuts
        by By::Words("OUT_OF_ORDER_SEQUENCE_NUMBER");
    r5_a_replay_that_ignores_the_chain_is_caught: ReplayIgnoresChain in power_cuts
        by By::Words("is unreadable, yet commit");
    r6_a_replay_of_a_torn_commit_is_caught: ReplayIgnoresChecksum in relaxed_power_cuts
        by By::Checker(Property::AnswersAreExpected);
    r7_a_run_that_is_current_too_early_is_caught: RunSwitchedEarly in crashes_during_start
        by By::Words("both copies of the checkpoint");
    r8_what_is_never_removed_is_caught: RemovalForgotten in deletions
        by By::Checker(Property::SpaceComesBack);
    r8_what_crashes_bring_back_and_nobody_removes_is_caught: StraysKept in mixed
        by By::Checker(Property::SpaceComesBack);
    r8_a_deletion_that_replay_forgets_is_caught: LogStartForgotten in mixed
        by By::Checker(Property::LogStartNeverBack);
    r8_a_deletion_that_is_told_before_its_sync_is_caught: LogStartToldEarly in power_cuts_on_a_slow_disk
        by By::Checker(Property::LogStartNeverBack);
    r9_an_unsynced_byte_in_a_segment_is_caught: UnsyncedInSegment in heavy_relaxed_power_cuts
        by By::Words("only synced bytes are in a segment (R9)");
    r10_a_block_written_again_without_its_copy_is_caught: WarmTailNotCarried in resting
        by By::Words("KAFKA_STORAGE_ERROR");
    r11_an_uncut_segment_is_caught: SealNotCut in stops
        by By::Words("goes on behind its last batch");
    r12_a_journal_file_that_is_reused_early_is_caught: JournalReusedEarly in power_cuts_in_turns
        by By::Words("is unreadable, yet commit");
    r12_a_block_that_is_not_carried_is_caught: NothingCarried in power_cuts
        by By::Words("the journal lacks bytes");
    r13_a_checkpoint_over_unsynced_segments_is_caught: CheckpointClaimsUnsynced in power_cuts
        by By::Words("the file ends before the log does");
    r14_appends_on_a_full_disk_are_caught: AdmittedOnFullDisk in full_disk
        by By::Words("the disk is full and appends go on");
    r15_a_read_above_the_high_watermark_is_caught: ReadAboveHighWatermark in power_cuts
        by By::Checker(Property::ReadsStopAtHighWatermark);
    r15_a_read_that_skips_a_batch_is_caught: BatchSkipped in power_cuts
        by By::Checker(Property::FetchesSkipNothing);
    r15_an_index_that_is_off_by_one_is_caught: IndexOffByOne in heavy_power_cuts
        by By::Checker(Property::FetchesSkipNothing);
    compaction_that_drops_the_newest_value_is_caught: CompactionDropsNewest in compacting
        by By::Checker(Property::NewestIsKept);
    r16_an_ack_after_the_fence_is_caught: FenceIgnored in io_errors
        by By::Checker(Property::NothingAckedAfterTheFence);
    r17_a_window_without_bound_is_caught: WindowUnbounded in heavy_power_cuts
        by By::Words("R17");
    r18_a_stop_that_syncs_nothing_is_caught: StopSyncsNothing in stops
        by By::Checker(Property::AckedIsReadable);
    r18_retention_by_a_clock_that_jumped_is_caught: RetentionTrustsJumps in clock_jumps
        by By::Checker(Property::OnlyTheDeletedIsGone);
    groups_an_offset_that_is_acked_before_its_sync_is_caught: GroupToldEarly in members_come_and_go
        by By::Words("was acked");
    groups_an_offset_that_a_load_loses_is_caught: LoadKeepsOldest in members_come_and_go
        by By::Words("was acked");
    groups_a_partition_given_before_its_owner_gave_it_up_is_caught: RevocationNotAwaited in members_change_their_protocol
        by By::Words("and member");
    groups_a_late_commit_that_is_heard_is_caught: OldGenerationHeard in members_come_and_go
        by By::Words("OffsetCommit of generation");
    groups_a_late_heartbeat_that_is_heard_is_caught: OldGenerationHeard in members_come_and_go
        by By::Words("Heartbeat of generation");
    groups_a_late_sync_that_is_heard_is_caught: OldGenerationHeard in members_come_and_go
        by By::Words("SyncGroup of generation");
    groups_a_late_commit_that_sets_offsets_back_is_caught: OldGenerationHeard in members_come_and_go
        by By::Words("was acked");
    groups_a_member_that_died_and_stays_is_caught: DeadMemberKept in members_change_their_protocol
        by By::Words("have not converged");
}
