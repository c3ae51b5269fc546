//! A group whose members join, leave, die and sleep while the broker is killed, cut off and stopped. What must hold:
//! one owner of a partition in a generation, no acked commit goes back, and peace is followed by one generation of all.

use std::time::Duration;

use crate::client::Load;
use crate::group_ledger::{Ledger, PARTITIONS};
use crate::group_member::{GroupMember, REBALANCE, SESSION, TOPIC};
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

/// From the last fault on: whoever is dead is noticed, and the others are called and have their time twice.
const CONVERGED_MAX: Duration = Duration::from_secs(4 * (SESSION.as_secs() + REBALANCE.as_secs()));

fn members_come_and_go(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    // Half of the worlds commit all the time: a cut then falls between a write and its ack.
    let pause_max = Duration::from_millis(if stage.world.one_in(2) { 4 } else { 200 });
    stage.clients.load.set(Load { pause_max, ..Load::default() });
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, TOPIC, i32::from(PARTITIONS), &[]);
    let ledger = Ledger::new(stage.world.history.clone());
    let members = 1 + usize::try_from(stage.world.pick(8)).expect("small");
    for number in 0..members {
        let host = stage.world.clients[number % stage.world.clients.len()];
        let (clients, ledger) = (stage.clients.clone(), ledger.clone());
        stage.world.sim.spawn(host, move |rt| GroupMember::new(rt, clients, ledger, number).run());
    }
    for _ in 0..3 {
        stage.run_for(500, 8_000);
        match stage.world.pick(4) {
            0 => stage.world.kill(),
            1 => stage.world.power_cut(),
            2 => {
                stage.world.stop();
            }
            _ => continue,
        }
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    ledger.calm_down();
    if !stage.world.sim.run_until(CONVERGED_MAX, || ledger.has_converged(members)) {
        stage.world.history.unexpected(format!("{members} members have not converged: {}", ledger.describe()));
    }
    stage.verdict()
}

#[test]
fn partitions_have_one_owner_commits_stay_and_members_converge() {
    simulate("partitions_have_one_owner_commits_stay_and_members_converge", 20, members_come_and_go);
}
