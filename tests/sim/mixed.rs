//! Everything at once: strict and relaxed topics, logs that lose their oldest records by request and by retention, topics
//! that are deleted and made again, disks that fill up or fail, other numbers of shards, and every way in which a process
//! can end.

use std::time::Duration;

use shards::runtime::sim::DiskSpeed;

use crate::changes::change_topics;
use crate::client::{Load, Shrinks, Topic};
use crate::compaction;
use crate::disks::strike;
use crate::offsets::{delete_all, delete_records};
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

/// Segments end soon, so that there is something to delete.
pub const SHORT_SEGMENTS: (&str, &str) = ("segment.ms", "40");

pub fn mixed(seed: u64) -> Outcome {
    mixed_at(seed, DiskSpeed::default())
}

/// Syncs take long, so that a power cut finds most of what is decided not durable yet.
pub fn mixed_on_a_slow_disk(seed: u64) -> Outcome {
    let ms = Duration::from_millis;
    mixed_at(seed, DiskSpeed { write: ms(2)..ms(30), sync: ms(2)..ms(30), ..DiskSpeed::default() })
}

/// At this speed of the disk between a start and what ends it.
fn mixed_at(seed: u64, speed: DiskSpeed) -> Outcome {
    let mut stage = Stage::new(seed, Setup { retention_check_ms: 30, ..Setup::default() }, Load::default());
    let is_tight = stage.world.one_in(4);
    stage.clients.load.set(Load { may_be_full: is_tight, ..Load::default() });
    let shards = stage.any_shards();
    stage.start(shards);
    let (admin, world) = (&stage.admin, &stage.world);
    admin.create(world, "events", 2, &[]);
    admin.create(world, "relaxed", 1, &[("flush.messages", "1000")]);
    admin.create_that(world, Shrinks::ByRequest, "trimmed", 1, &[SHORT_SEGMENTS]);
    admin.create_that(world, Shrinks::ByRequest, "trimmed-relaxed", 1, &[("flush.messages", "1000")]);
    admin.create_that(world, Shrinks::ByRetention, "by-size", 1, &[SHORT_SEGMENTS, ("retention.bytes", "60000")]);
    admin.create_that(world, Shrinks::ByRetention, "by-time", 1, &[SHORT_SEGMENTS, ("retention.ms", "100")]);
    admin.create(world, "table", 1, &compaction::CONFIGS);
    let both =
        [&compaction::CONFIGS[1..], &[("cleanup.policy", "compact,delete"), ("retention.bytes", "60000")]].concat();
    admin.create_that(world, Shrinks::ByRetention, "table-by-size", 1, &both);
    let mut passing = admin.create(world, "passing", 1, &[]);
    stage.cast();
    let clients = stage.clients.clone();
    stage.world.sim.spawn(stage.world.clients[0], |rt| delete_records(rt, clients));
    let clients = stage.clients.clone();
    stage.world.sim.spawn(stage.world.clients[1], |rt| change_topics(rt, clients));
    for _ in 0..3 {
        stage.world.disk().set_speed(speed.clone());
        stage.run_for(20, 160);
        if is_tight {
            let disk = stage.world.disk();
            disk.set_capacity(disk.used_bytes() + stage.world.pick(2 << 20));
        }
        passing = make_again(&stage, passing);
        stage.run_for(0, 40);
        stage.world.disk().set_capacity(u64::MAX);
        match stage.world.pick(6) {
            0 => stage.world.kill(),
            1 => {
                // What it fails may not come to pass in this time.
                strike(&stage, Duration::from_millis(100));
                if stage.world.one_in(2) { stage.world.kill() } else { stage.world.power_cut() }
            }
            2 => {
                if !stage.world.stop() {
                    stage.world.history.unexpected("the stop was not clean".to_owned());
                }
                if stage.world.one_in(2) {
                    stage.world.power_cut();
                }
            }
            _ => stage.world.power_cut(),
        }
        stage.world.disk().set_speed(DiskSpeed::default());
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
    stage.run_for(20, 80);
    stage.finish()
}

#[test]
fn whatever_happens_on_a_slow_disk_nothing_acked_is_lost_and_nothing_deleted_comes_back() {
    simulate(
        "whatever_happens_on_a_slow_disk_nothing_acked_is_lost_and_nothing_deleted_comes_back",
        2,
        mixed_on_a_slow_disk,
    );
}

/// Deletes the topic, at times without waiting for the answer, and makes it again under the same name.
fn make_again(stage: &Stage, passing: Option<Topic>) -> Option<Topic> {
    let name = match &passing {
        Some(topic) if stage.clients.topic(topic.id).is_some() => {
            if stage.world.one_in(3) {
                return passing;
            }
            if stage.world.one_in(3) {
                // Whatever comes next may cut it short.
                stage.admin.begin_delete(&stage.world, topic);
                return passing;
            }
            stage.admin.delete(&stage.world, topic);
            // Until nothing is on its way any more that knows the old one by its name.
            stage.run_for(20, 60);
            topic.name.clone()
        }
        Some(topic) => topic.name.clone(),
        // The deletion was lost in a crash, and the name is taken by what nobody uses any more.
        None => format!("passing-{}", stage.world.pick(1 << 40)),
    };
    let configs = if stage.world.one_in(2) { &compaction::CONFIGS[..] } else { &[] };
    stage.admin.create(&stage.world, &name, 1, configs)
}

#[test]
fn whatever_happens_nothing_acked_is_lost_and_nothing_deleted_comes_back() {
    simulate("whatever_happens_nothing_acked_is_lost_and_nothing_deleted_comes_back", 100, mixed);
}

/// Topics that rest for several turns of the journal, so that their last blocks leave memory padded, and then go on.
pub fn resting(seed: u64) -> Outcome {
    let load = Load { filler_max: 8_000, pause_max: Duration::from_micros(500), ..Load::default() };
    let mut stage = Stage::new(seed, Setup { window_bytes: 2 << 20, ..Setup::default() }, load);
    stage.start(1);
    let quiet = stage.admin.create_that(&stage.world, Shrinks::ByRequest, "quiet", 4, &[]);
    stage.admin.create(&stage.world, "busy", 4, &[]);
    stage.cast();
    stage.run_for(10, 30);
    for _ in 0..2 {
        stage.clients.resting.set(quiet.as_ref().map(|topic| topic.id));
        stage.run_for(150, 300);
        stage.clients.resting.set(None);
        if let Some(quiet) = quiet.clone().filter(|_| stage.world.one_in(2)) {
            // All that it has goes while the first append after the rest is on its way.
            let (clients, host) = (stage.clients.clone(), stage.world.clients[0]);
            stage.world.sim.spawn(host, |rt| delete_all(rt, clients, quiet));
        }
        if stage.world.one_in(2) {
            stage.expect_progress();
        } else {
            stage.run_for(0, 20);
        }
        stage.world.power_cut();
        if !stage.start(1) {
            return stage.verdict();
        }
    }
    stage.run_for(10, 30);
    stage.finish()
}

#[test]
fn a_log_that_rested_for_turns_of_the_journal_goes_on_without_loss() {
    simulate("a_log_that_rested_for_turns_of_the_journal_goes_on_without_loss", 2, resting);
}

/// The broker's wall clock jumps a day ahead and back: no record is a day old for that.
pub fn clock_jumps(seed: u64) -> Outcome {
    const DAY_MS: i64 = 86_400_000;
    let mut stage = Stage::new(seed, Setup { retention_check_ms: 30, ..Setup::default() }, Load::default());
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "hours", 2, &[SHORT_SEGMENTS, ("retention.ms", "3600000")]);
    stage.cast();
    stage.run_for(60, 200);
    // The watch on the clock looks once a second, and so does a producer's broker that dates what it gets.
    stage.clients.load.set(Load { pause_max: Duration::from_millis(100), ..Load::default() });
    stage.world.sim.jump_wall(stage.world.broker, DAY_MS);
    stage.run_for(1_000, 2_500);
    stage.world.sim.jump_wall(stage.world.broker, -DAY_MS);
    stage.run_for(20, 1_500);
    stage.world.power_cut();
    let shards = stage.any_shards();
    if !stage.start(shards) {
        return stage.verdict();
    }
    stage.finish()
}

#[test]
fn retention_does_not_believe_a_clock_that_jumps() {
    simulate("retention_does_not_believe_a_clock_that_jumps", 1, clock_jumps);
}
