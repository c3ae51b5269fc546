//! Power cuts and kills under load, restarts with other numbers of shards, crashes of the start itself.

use std::time::Duration;

use shards::runtime::sim::DiskSpeed;

use crate::client::Load;
use crate::disks::fail_any;
use crate::scenario::{Outcome, Stage, must_hold, simulate};
use crate::world::{ROOT, Setup};

pub fn power_cuts(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.admin.create(&stage.world, "orders", 2, &[]);
    stage.cast();
    for _ in 0..3 {
        stage.run_for(20, 500);
        stage.world.power_cut();
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn power_cuts_under_load_lose_nothing_that_was_acked() {
    simulate("power_cuts_under_load_lose_nothing_that_was_acked", 16, power_cuts);
}

/// Large batches, so that whole journal files fill while a turn is under way.
pub fn heavy_power_cuts(seed: u64) -> Outcome {
    heavy(seed, &[], DiskSpeed::default(), 250)
}

/// Segments sync slowly and the journal does not: most power cuts find a turn under way, and files filled since it began.
pub fn power_cuts_in_turns(seed: u64) -> Outcome {
    let ms = Duration::from_millis;
    heavy(seed, &[], DiskSpeed { sync: ms(10)..ms(60), ..DiskSpeed::default() }, 850)
}

/// No strict append syncs the journal meanwhile.
pub fn heavy_relaxed_power_cuts(seed: u64) -> Outcome {
    heavy(seed, &[("flush.messages", "1000000")], DiskSpeed::default(), 250)
}

/// At this speed of the disk from a start to its power cut, which comes after `most_ms` at most.
fn heavy(seed: u64, configs: &[(&str, &str)], speed: DiskSpeed, most_ms: u64) -> Outcome {
    let load = Load { filler_max: 8_000, pause_max: Duration::from_micros(500), ..Load::default() };
    let setup = Setup { window_bytes: 2 << 20, ..Setup::default() };
    let mut stage = Stage::new(seed, setup, load);
    stage.start(1);
    stage.admin.create(&stage.world, "events", 8, configs);
    stage.cast();
    for _ in 0..2 {
        stage.world.disk().set_speed(speed.clone());
        stage.run_for(50, most_ms);
        stage.world.power_cut();
        stage.world.disk().set_speed(DiskSpeed::default());
        stage.look_at_cut_segments();
        if !stage.start(1) {
            return stage.verdict();
        }
    }
    stage.finish()
}

#[test]
fn power_cuts_while_the_journal_turns_lose_nothing() {
    simulate("power_cuts_while_the_journal_turns_lose_nothing", 2, heavy_power_cuts);
}

#[test]
fn power_cuts_while_a_turn_waits_for_slow_syncs_lose_nothing() {
    simulate("power_cuts_while_a_turn_waits_for_slow_syncs_lose_nothing", 2, power_cuts_in_turns);
}

#[test]
fn power_cuts_while_the_journal_turns_leave_relaxed_logs_whole() {
    simulate("power_cuts_while_the_journal_turns_leave_relaxed_logs_whole", 2, heavy_relaxed_power_cuts);
}

#[test]
fn a_new_shards_journal_outlives_a_power_cut() {
    must_hold("power_cuts_under_load_lose_nothing_that_was_acked", 1, power_cuts);
}

fn kills(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.admin.create(&stage.world, "relaxed", 2, &[("flush.messages", "1000")]);
    stage.cast();
    for _ in 0..2 {
        stage.run_for(20, 400);
        stage.world.kill();
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn a_kill_loses_nothing_that_was_acked_even_if_it_was_not_synced() {
    simulate("a_kill_loses_nothing_that_was_acked_even_if_it_was_not_synced", 4, kills);
}

pub fn relaxed_power_cuts(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "relaxed", 2, &[("flush.messages", "1000")]);
    stage.admin.create(&stage.world, "timed", 1, &[("flush.messages", "1000"), ("flush.ms", "50")]);
    stage.admin.create(&stage.world, "strict", 1, &[]);
    stage.cast();
    for _ in 0..2 {
        stage.run_for(20, 400);
        stage.world.power_cut();
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn a_power_cut_takes_only_the_end_of_a_relaxed_log() {
    simulate("a_power_cut_takes_only_the_end_of_a_relaxed_log", 4, relaxed_power_cuts);
}

/// Small records and a large window: nothing makes a sync due but `flush.messages` and `flush.ms`.
pub fn bounded_losses(seed: u64) -> Outcome {
    let setup = Setup { window_bytes: 8 << 20, journal_bytes: 8 << 20, ..Setup::default() };
    let load = Load { filler_max: 10, ..Load::default() };
    let mut stage = Stage::new(seed, setup, load);
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "by-count", 1, &[("flush.messages", "50")]);
    stage.admin.create(&stage.world, "by-time", 1, &[("flush.messages", "1000000"), ("flush.ms", "40")]);
    stage.cast();
    for _ in 0..2 {
        stage.run_for(60, 400);
        if stage.world.one_in(4) {
            stage.world.kill()
        } else {
            stage.world.power_cut()
        }
        if stage.world.one_in(4) {
            let shards = stage.any_shards();
            stage.begin_start(shards);
            stage.run_for(0, 40);
            stage.world.power_cut();
        }
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.finish()
}

#[test]
fn a_power_cut_takes_no_more_than_flush_messages_and_flush_ms_allow() {
    simulate("a_power_cut_takes_no_more_than_flush_messages_and_flush_ms_allow", 4, bounded_losses);
}

pub fn crashes_during_start(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.cast();
    stage.run_for(50, 400);
    stage.world.power_cut();
    for _ in 0..1 + stage.world.pick(4) {
        let shards = stage.any_shards();
        if stage.world.one_in(2) {
            fail_a_start(&mut stage, shards);
        } else {
            stage.begin_start(shards);
        }
        stage.run_for(0, 60);
        if stage.world.one_in(3) { stage.world.kill() } else { stage.world.power_cut() }
    }
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.run_for(20, 200);
    stage.world.power_cut();
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.finish()
}

/// An operation fails in the middle of it, or behind it.
fn fail_a_start(stage: &mut Stage, shards: u32) {
    fail_any(stage, 120);
    stage.begin_start(shards);
    if let Err(why) = stage.world.wait_ready()
        && !why.contains(ROOT)
    {
        stage.world.history.unexpected(format!("an operation on a file failed, and the start says: {why}"));
    }
    stage.world.disk().clear_faults();
}

#[test]
fn a_start_that_crashes_can_be_repeated() {
    simulate("a_start_that_crashes_can_be_repeated", 4, crashes_during_start);
}

pub fn stops(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 2, &[]);
    // Not synced before the ack, but before the end of a stop.
    stage.admin.create(&stage.world, "relaxed", 2, &[("flush.messages", "1000")]);
    stage.cast();
    for _ in 0..2 {
        stage.run_for(20, 300);
        if !stage.world.stop() {
            stage.world.history.unexpected("the stop was not clean".to_owned());
        }
        stage.look_at_sealed_segments();
        if stage.world.one_in(2) {
            // Stopped, then the power went: all of it must have been synced.
            stage.world.power_cut();
        }
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.finish()
}

#[test]
fn an_orderly_stop_keeps_everything() {
    simulate("an_orderly_stop_keeps_everything", 2, stops);
}
