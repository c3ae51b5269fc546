//! Disks that are slow, fail, or are full.

use std::time::Duration;

use shards::runtime::sim::{DiskOp, DiskSpeed, Fault};

use crate::client::{Damage, Load, Shrinks};
use crate::compaction;
use crate::history::Event;
use crate::mixed::SHORT_SEGMENTS;
use crate::offsets::delete_records;
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

pub fn slow_disk(seed: u64) -> Outcome {
    let load = Load { reply_limit: Duration::from_millis(150), ..Load::default() };
    let mut stage = Stage::new(seed, Setup::default(), load);
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.cast();
    stage.run_for(50, 150);
    let ms = Duration::from_millis;
    // Slower than clients wait: they ask again while the first answer is on its way.
    stage.world.disk().set_speed(DiskSpeed { read: ms(1)..ms(80), write: ms(1)..ms(150), sync: ms(5)..ms(400) });
    stage.run_for(1_000, 3_000);
    let cut = stage.world.one_in(2);
    if cut {
        stage.world.power_cut();
    }
    stage.world.disk().set_speed(DiskSpeed::default());
    if cut {
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(50, 150);
    stage.finish()
}

#[test]
fn a_slow_disk_makes_retries_and_no_duplicates() {
    simulate("a_slow_disk_makes_retries_and_no_duplicates", 2, slow_disk);
}

/// Writes take long, so that a kill finds some on their way.
pub fn kills_on_a_slow_disk(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    stage.start(2);
    stage.admin.create(&stage.world, "relaxed", 3, &[("flush.messages", "1000")]);
    stage.cast();
    stage.run_for(50, 100);
    let ms = Duration::from_millis;
    stage.world.disk().set_speed(DiskSpeed { read: ms(1)..ms(5), write: ms(5)..ms(60), sync: ms(5)..ms(60) });
    stage.run_for(200, 600);
    stage.world.kill();
    stage.world.disk().set_speed(DiskSpeed::default());
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.finish()
}

#[test]
fn a_kill_on_a_slow_disk_loses_nothing_that_was_acked() {
    simulate("a_kill_on_a_slow_disk_loses_nothing_that_was_acked", 2, kills_on_a_slow_disk);
}

/// Syncs take long, so that a power cut finds appends and deletions on their way.
pub fn power_cuts_on_a_slow_disk(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 2, &[]);
    stage.admin.create_that(&stage.world, Shrinks::ByRequest, "trimmed", 2, &[]);
    stage.cast();
    for host in stage.world.clients.clone() {
        let clients = stage.clients.clone();
        stage.world.sim.spawn(host, |rt| delete_records(rt, clients));
    }
    stage.run_for(20, 60);
    let ms = Duration::from_millis;
    stage.world.disk().set_speed(DiskSpeed { read: ms(1)..ms(5), write: ms(5)..ms(60), sync: ms(5)..ms(60) });
    stage.run_for(200, 500);
    stage.world.power_cut();
    stage.world.disk().set_speed(DiskSpeed::default());
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.finish()
}

#[test]
fn a_power_cut_on_a_slow_disk_takes_nothing_back_that_was_told() {
    simulate("a_power_cut_on_a_slow_disk_takes_nothing_back_that_was_told", 4, power_cuts_on_a_slow_disk);
}

/// Where an error strikes: the operation, and what the path has in it.
const ERRORS: [(DiskOp, &str); 7] = [
    (DiskOp::Write, ".journal"),
    (DiskOp::Sync, ".journal"),
    (DiskOp::Write, ".log"),
    (DiskOp::Sync, ".log"),
    (DiskOp::Write, "/checkpoint/"),
    (DiskOp::Sync, "/checkpoint"),
    (DiskOp::Write, ".index"),
];

/// An operation of any kind on any file fails, some time from now: once, or from then on all.
pub fn fail_any(stage: &Stage, after_max: u64) {
    let world = &stage.world;
    let ops = [DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::Other];
    let op = ops[usize::try_from(world.pick(ops.len() as u64)).expect("an index")];
    let times = if world.one_in(4) { u64::MAX } else { 1 };
    let after = world.pick(after_max);
    world.disk().add_fault(Fault { op, path_contains: "/".to_owned(), after, times });
}

/// One kind of write or sync fails, once or for good, and the process takes its time to leave. If the broker did nothing
/// of that kind within `limit`, says which.
pub fn strike(stage: &Stage, limit: Duration) -> Option<String> {
    let world = &stage.world;
    let (op, path) = ERRORS[usize::try_from(world.pick(ERRORS.len() as u64)).expect("an index")];
    // Once only: what came after it would succeed, and must not be acked all the same.
    let times = if world.one_in(2) { 1 } else { u64::MAX };
    let after = world.pick(4);
    world.disk().add_fault(Fault { op, path_contains: path.to_owned(), after, times });
    let load = stage.clients.load.get();
    let struck = world.run_until_fenced(limit);
    if struck {
        world.history.push(Event::Fenced { when: world.sim.now() });
        stage.clients.load.set(Load { may_refuse: true, ..load });
        let why = world.fence_reason().unwrap_or_default();
        if !why.contains(path) {
            world.history.unexpected(format!("the error on {path} is told as: {why}"));
        }
        stage.run_for(30, 200);
    }
    world.disk().clear_faults();
    stage.clients.load.set(load);
    (!struck).then(|| format!("an error of {op:?} on {path}"))
}

pub fn io_errors(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.admin.create(&stage.world, "relaxed", 1, &[("flush.messages", "1000")]);
    stage.cast();
    stage.run_for(50, 150);
    if let Some(what) = strike(&stage, Duration::from_secs(20)) {
        stage.world.history.unexpected(format!("{what} was not noticed"));
    }
    if stage.world.one_in(2) {
        stage.world.kill()
    } else {
        stage.world.power_cut()
    }
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn nothing_is_acked_after_a_failed_write_or_sync() {
    simulate("nothing_is_acked_after_a_failed_write_or_sync", 4, io_errors);
}

/// Whatever a file is for: the broker leaves, or partitions are out of service until the next start, or nothing needed it.
pub fn errors_anywhere(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup { retention_check_ms: 30, ..Setup::default() }, Load::default());
    let shards = stage.any_shards();
    stage.start(shards);
    let (admin, world) = (&stage.admin, &stage.world);
    admin.create(world, "events", 2, &[]);
    admin.create_that(world, Shrinks::ByRequest, "trimmed", 1, &[SHORT_SEGMENTS]);
    admin.create_that(world, Shrinks::ByRetention, "by-size", 1, &[SHORT_SEGMENTS, ("retention.bytes", "60000")]);
    admin.create(world, "table", 1, &compaction::CONFIGS);
    stage.cast();
    let clients = stage.clients.clone();
    stage.world.sim.spawn(stage.world.clients[0], |rt| delete_records(rt, clients));
    for _ in 0..2 {
        stage.run_for(50, 150);
        fail_any(&stage, 300);
        stage.clients.load.set(Load { may_refuse: true, damage: Damage::Any, ..Load::default() });
        let limit = stage.world.between(Duration::from_millis(50), Duration::from_millis(400));
        if stage.world.run_until_fenced(limit) {
            stage.world.history.push(Event::Fenced { when: stage.world.sim.now() });
            stage.run_for(30, 200);
        }
        stage.world.disk().clear_faults();
        if stage.world.one_in(2) {
            stage.world.kill()
        } else {
            stage.world.power_cut()
        }
        // Answers that tell of it are still on their way.
        stage.run_for(20, 21);
        stage.clients.load.set(Load::default());
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn after_a_failed_operation_on_any_file_the_next_start_has_everything() {
    simulate("after_a_failed_operation_on_any_file_the_next_start_has_everything", 8, errors_anywhere);
}

pub fn full_disk(seed: u64) -> Outcome {
    let load = Load { may_be_full: true, ..Load::default() };
    let mut stage = Stage::new(seed, Setup::default(), load);
    stage.start(2);
    stage.admin.create(&stage.world, "events", 3, &[]);
    let old = stage.admin.create(&stage.world, "old", 2, &[]);
    stage.cast();
    stage.run_for(300, 600);
    let used = stage.world.disk().used_bytes();
    stage.world.disk().set_capacity(used + stage.world.pick(3 << 20));
    stage.run_for(400, 800);
    let refused = stage.clients.refusals.get();
    if refused == 0 {
        stage.world.history.unexpected("the disk is full and appends go on".to_owned());
    }
    stage.admin.scan(&stage.world);
    let before = stage.clients.acks.get();
    match (stage.world.one_in(2), old) {
        (true, Some(old)) => {
            stage.admin.delete(&stage.world, &old);
            stage.run_for(2_000, 3_000);
        }
        _ => {
            stage.world.disk().set_capacity(used * 20);
            stage.run_for(2_500, 4_000);
        }
    }
    // With more space than the ballast it goes on by itself.
    stage.world.disk().set_capacity(used * 20);
    stage.run_for(2_500, 4_000);
    if stage.clients.acks.get() == before {
        stage.world.history.unexpected("there is space again, and nothing is acked".to_owned());
    }
    if let Some(why) = stage.world.fence_reason() {
        stage.world.history.unexpected(format!("a full disk stopped the broker: {why}"));
    }
    stage.finish()
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_recovers_by_itself() {
    simulate("a_full_disk_refuses_appends_serves_reads_and_recovers_by_itself", 2, full_disk);
}

/// The disk fills up under load, the broker is killed, and nothing is left for the start but what was held back for it.
pub fn start_on_a_full_disk(seed: u64) -> Outcome {
    let load = Load { may_be_full: true, filler_max: 4_000, ..Load::default() };
    let mut stage = Stage::new(seed, Setup::default(), load);
    let mut shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    let old = stage.admin.create(&stage.world, "old", 2, &[]);
    stage.cast();
    stage.run_for(300, 600);
    let used = stage.world.disk().used_bytes();
    stage.world.disk().set_capacity(used + stage.world.pick(2 << 20));
    stage.run_for(500, 1_500);
    if stage.clients.refusals.get() == 0 {
        stage.world.history.unexpected("the disk is full and appends go on".to_owned());
    }
    for _ in 0..2 {
        if stage.world.one_in(2) {
            stage.world.kill()
        } else {
            stage.world.power_cut()
        }
        if stage.world.one_in(3) {
            // The first try of a start may be cut short: the second must do with the same space.
            shards = fewer(&stage, shards);
            stage.begin_start(shards);
            stage.run_for(0, 40);
            stage.world.kill();
        }
        shards = fewer(&stage, shards);
        if !stage.start(shards) {
            return stage.verdict();
        }
        stage.run_for(100, 500);
        stage.admin.scan(&stage.world);
    }
    if let Some(old) = old {
        stage.admin.delete(&stage.world, &old);
    }
    stage.run_for(500, 1_500);
    let before = stage.clients.acks.get();
    stage.world.disk().set_capacity(used * 20);
    for _ in 0..8 {
        if stage.clients.acks.get() > before {
            break;
        }
        stage.run_for(500, 501);
    }
    if stage.clients.acks.get() == before {
        stage.world.history.unexpected("there is space again, and nothing is acked".to_owned());
    }
    if let Some(why) = stage.world.fence_reason() {
        stage.world.history.unexpected(format!("a full disk stopped the broker: {why}"));
    }
    stage.finish()
}

/// What a start needs was held back for as many shards as there were.
fn fewer(stage: &Stage, shards: u32) -> u32 {
    1 + u32::try_from(stage.world.pick(u64::from(shards))).expect("small")
}

#[test]
fn a_broker_that_was_killed_on_a_full_disk_starts_on_it() {
    simulate("a_broker_that_was_killed_on_a_full_disk_starts_on_it", 2, start_on_a_full_disk);
}
