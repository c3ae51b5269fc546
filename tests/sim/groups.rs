//! A group whose members join, leave, die and sleep while the broker is killed, cut off and stopped, and while messages are
//! late and connections are lost. Some members are static, and in half of the worlds all are cooperative. What must hold: one
//! owner of a partition in a generation, no acked commit goes back, nothing of an older generation is heard, and peace is followed by one generation of all. And a group
//! whose members change between the classic and the consumer protocol meanwhile.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use shards::batch::walk;

use crate::client::Load;
use crate::group_ledger::{Ledger, PARTITIONS};
use crate::group_member::{GroupMember, Habits, REBALANCE, SESSION, TOPIC};
use crate::scenario::{Outcome, Stage, must_hold, simulate};
use crate::world::{ROOT, Setup};

/// From the last fault on: whoever is dead is noticed, and the others are called and have their time twice.
const CONVERGED_MAX: Duration = Duration::from_secs(4 * (SESSION.as_secs() + REBALANCE.as_secs()));

/// Of a message on a network that is well.
const LATENCY: Range<Duration> = Duration::from_micros(10)..Duration::from_millis(1);

/// More than there are partitions.
const MEMBERS_MAX: u64 = 20;

pub fn members_come_and_go(seed: u64) -> Outcome {
    play(seed, MEMBERS_MAX, false).0
}

pub fn members_change_their_protocol(seed: u64) -> Outcome {
    play(seed, MEMBERS_MAX, true).0
}

/// The log of stored offsets has several segments after a few commits, and keeps the newest of each.
fn soon_compacted(setting: &str) -> Option<&'static str> {
    match setting {
        "log.roll.ms" => Some("50"),
        "log.cleaner.min.cleanable.ratio" => Some("0.1"),
        "log.cleaner.delete.retention.ms" => Some("200"),
        _ => None,
    }
}

/// The outcome, and how many records of stored offsets compaction has taken from the log in the end.
fn play(seed: u64, members_max: u64, changes_protocol: bool) -> (Outcome, i64) {
    let setup = Setup { topic_defaults: soon_compacted, ..Setup::default() };
    let mut stage = Stage::new(seed, setup, Load::default());
    // Half of the worlds commit all the time: a cut then falls between a write and its ack.
    let pause_max = Duration::from_millis(if stage.world.one_in(2) { 4 } else { 200 });
    stage.clients.load.set(Load { pause_max, ..Load::default() });
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, TOPIC, i32::from(PARTITIONS), &[]);
    let ledger = Ledger::new(stage.world.history.clone());
    let members = 1 + usize::try_from(stage.world.pick(members_max)).expect("small");
    let is_cooperative = stage.world.one_in(2);
    for number in 0..members {
        let habits = Habits { is_static: stage.world.one_in(3), is_cooperative, changes_protocol };
        let host = stage.world.clients[number % stage.world.clients.len()];
        let (clients, ledger) = (stage.clients.clone(), ledger.clone());
        stage.world.sim.spawn(host, move |rt| GroupMember::new(rt, clients, ledger, number, habits).run());
    }
    for _ in 0..3 {
        stage.run_for(500, 8_000);
        disturb_network(&mut stage);
        match stage.world.pick(4) {
            0 => stage.world.kill(),
            1 => stage.world.power_cut(),
            2 => {
                if !stage.world.stop() {
                    stage.world.history.unexpected("the stop was not clean".to_owned());
                }
            }
            _ => continue,
        }
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return (stage.verdict(), 0);
        }
    }
    ledger.calm_down();
    let is_at_rest = || if changes_protocol { ledger.is_shared(members) } else { ledger.has_converged(members) };
    if !stage.world.sim.run_until(CONVERGED_MAX, is_at_rest) {
        stage.world.history.unexpected(format!("{members} members have not converged: {}", ledger.describe()));
    }
    let taken = taken(&stage);
    (stage.verdict(), taken)
}

/// Offsets below the end of the files of `__consumer_offsets` that have no record any more.
fn taken(stage: &Stage) -> i64 {
    let (disk, data) = (stage.world.disk(), Path::new(ROOT).join("data"));
    let dirs = disk.list(&data).unwrap_or_default();
    let taken_of = |dir: &Path| {
        let (mut end, mut records) = (0, 0);
        for file in disk.list(dir).unwrap_or_default().iter().filter(|file| file.name.ends_with(".log")) {
            for (_, header) in walk(&disk.content(&dir.join(&file.name)).unwrap_or_default()) {
                end = end.max(header.last_offset() + 1);
                records += i64::from(header.record_count);
            }
        }
        end - records
    };
    let of_groups = dirs.iter().filter(|dir| dir.name.starts_with("__consumer_offsets-"));
    of_groups.map(|dir| taken_of(&data.join(&dir.name))).sum()
}

/// For a while messages are late, or wait until hosts reach each other again, or are lost with their connections.
fn disturb_network(stage: &mut Stage) {
    let broker = stage.world.broker;
    for _ in 0..stage.world.pick(4) {
        let at = usize::try_from(stage.world.pick(stage.world.clients.len() as u64)).expect("few");
        let host = stage.world.clients[at];
        match stage.world.pick(3) {
            0 => {
                let latency_max = Duration::from_millis(1 + stage.world.pick(600));
                stage.world.sim.set_latency(Duration::ZERO..latency_max);
            }
            1 => {
                stage.world.sim.cut(host, broker);
                stage.run_for(100, 5_000);
                stage.world.sim.heal(host, broker);
            }
            _ => stage.world.sim.reset_connections(host, broker),
        }
        stage.run_for(100, 2_000);
    }
    stage.world.sim.set_latency(LATENCY);
}

#[test]
fn partitions_have_one_owner_commits_stay_and_members_converge() {
    simulate("partitions_have_one_owner_commits_stay_and_members_converge", 70, members_come_and_go);
}

#[test]
fn a_group_goes_over_between_protocols_and_back_and_keeps_its_commits() {
    simulate("a_group_goes_over_between_protocols_and_back_and_keeps_its_commits", 30, members_change_their_protocol);
}

#[test]
fn partitions_that_a_classic_group_was_about_to_hand_over_find_a_reader_after_its_change() {
    must_hold("a_group_goes_over_between_protocols_and_back_and_keeps_its_commits", 50029, |seed| {
        play(seed, 8, true).0
    });
}

#[test]
fn a_member_that_hears_of_its_share_when_it_is_long_fenced_does_not_own_it() {
    must_hold("a_group_goes_over_between_protocols_and_back_and_keeps_its_commits", 85, members_change_their_protocol);
}

#[test]
fn stored_offsets_are_compacted_in_the_simulation() {
    let taken: i64 = (0..2).map(|seed| play(seed, MEMBERS_MAX, false).1).sum();
    assert!(taken > 100, "{taken} records were taken");
}
