//! The checker proves itself: each storage rule is broken on purpose, and must be caught within a bound of seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shards::planted::{PlantedFault, planted};

use crate::compaction::compacting;
use crate::crashes::{
    crashes_during_start, heavy_power_cuts, heavy_relaxed_power_cuts, power_cuts, power_cuts_in_turns,
    relaxed_power_cuts, stops,
};
use crate::disks::{full_disk, io_errors, kills_on_a_slow_disk, power_cuts_on_a_slow_disk, slow_disk};
use crate::mixed::{clock_jumps, mixed, resting};
use crate::scenario::Scenario;

/// Seeds after which a fault must have been caught. Most take one or two.
const SEEDS_MAX: u64 = 40;

/// Runs seeds with the fault until one of them breaks.
fn must_be_caught(fault: PlantedFault, scenario: Scenario) {
    for seed in 0..SEEDS_MAX {
        let broken = planted(fault);
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario(seed)));
        drop(broken);
        let first = match outcome {
            Ok(outcome) => outcome.violations.first().map(ToString::to_string),
            Err(_) => Some("an assertion of the broker".to_owned()),
        };
        if let Some(first) = first {
            println!("{fault:?}: caught by seed {} of {SEEDS_MAX}: {first}", seed + 1);
            return;
        }
    }
    panic!("{fault:?} was not caught in {SEEDS_MAX} seeds");
}

macro_rules! planted {
    ($($test:ident: $fault:ident in $scenario:ident;)*) => {
        $(#[test] fn $test() { must_be_caught(PlantedFault::$fault, $scenario); })*
    };
}

planted! {
    r1_an_ack_before_the_sync_is_caught: AckBeforeSync in power_cuts_on_a_slow_disk;
    r1_an_early_ack_of_a_duplicate_is_caught: DuplicateAckedEarly in slow_disk;
    r1_a_log_start_that_is_told_early_is_caught: LogStartLeaks in power_cuts_on_a_slow_disk;
    r2_a_skipped_sync_is_caught: SyncSkipped in power_cuts;
    r3_a_relaxed_ack_from_memory_is_caught: RelaxedAckFromMemory in kills_on_a_slow_disk;
    r4_an_append_that_overtakes_is_caught: AppendsOvertake in heavy_power_cuts;
    r5_a_replay_that_ignores_the_chain_is_caught: ReplayIgnoresChain in power_cuts;
    r6_a_replay_of_a_torn_commit_is_caught: ReplayIgnoresChecksum in relaxed_power_cuts;
    r7_a_run_that_is_current_too_early_is_caught: RunSwitchedEarly in crashes_during_start;
    r8_a_deletion_that_replay_forgets_is_caught: LogStartForgotten in mixed;
    r8_a_deletion_that_is_told_before_its_sync_is_caught: LogStartToldEarly in power_cuts_on_a_slow_disk;
    r9_an_unsynced_byte_in_a_segment_is_caught: UnsyncedInSegment in heavy_relaxed_power_cuts;
    r10_a_block_written_again_without_its_copy_is_caught: WarmTailNotCarried in resting;
    r11_an_uncut_segment_is_caught: SealNotCut in stops;
    r12_a_journal_file_that_is_reused_early_is_caught: JournalReusedEarly in power_cuts_in_turns;
    r12_a_block_that_is_not_carried_is_caught: NothingCarried in power_cuts;
    r13_a_checkpoint_over_unsynced_segments_is_caught: CheckpointClaimsUnsynced in power_cuts;
    r14_appends_on_a_full_disk_are_caught: AdmittedOnFullDisk in full_disk;
    r15_a_read_above_the_high_watermark_is_caught: ReadAboveHighWatermark in power_cuts;
    compaction_that_drops_the_newest_value_is_caught: CompactionDropsNewest in compacting;
    r16_an_ack_after_the_fence_is_caught: FenceIgnored in io_errors;
    r17_a_window_without_bound_is_caught: WindowUnbounded in heavy_power_cuts;
    r18_a_stop_that_syncs_nothing_is_caught: StopSyncsNothing in stops;
    r18_retention_by_a_clock_that_jumped_is_caught: RetentionTrustsJumps in clock_jumps;
}
