//! Topics that are deleted and made again under the same name, under load and over crashes.

use std::path::Path;

use crate::changes::change_topics;
use crate::client::Load;
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::{ROOT, Setup};

pub fn deletions(seed: u64) -> Outcome {
    // Nearly as long as Kafka takes them: what is called after it and is removed needs a name, too.
    let name = "passing".repeat(33);
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "kept", 2, &[]);
    let mut passing = stage.admin.create(&stage.world, &name, 2, &[]);
    stage.cast();
    for _ in 0..4 {
        stage.run_for(20, 250);
        let cut_short = stage.world.one_in(3);
        match &passing {
            Some(topic) if cut_short => {
                stage.admin.begin_delete(&stage.world, topic);
                stage.run_for(0, 8);
            }
            Some(topic) => {
                stage.admin.delete(&stage.world, topic);
                stage.run_for(0, 30);
            }
            None => {}
        }
        if !cut_short && stage.world.one_in(2) {
            passing = stage.admin.create(&stage.world, &name, 2, &[]);
            stage.run_for(20, 100);
        }
        if cut_short || stage.world.one_in(2) {
            if stage.world.one_in(3) {
                stage.world.kill()
            } else {
                stage.world.power_cut()
            }
            let shards = stage.any_shards();
            if !stage.start(shards) {
                return stage.verdict();
            }
        }
        // Its deletion may have been lost: then the name is taken, by what nobody uses any more.
        passing = passing
            .filter(|topic| stage.clients.topic(topic.id).is_some())
            .or_else(|| stage.admin.create(&stage.world, &format!("{name}-{}", stage.world.pick(1 << 40)), 2, &[]));
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn a_topic_that_is_made_again_has_nothing_of_the_old_one() {
    simulate("a_topic_that_is_made_again_has_nothing_of_the_old_one", 2, deletions);
}

/// Topics come and go, so that a snapshot is under way in most crashes; some topics stay.
pub fn snapshots(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup { catalog_snapshot_bytes: 1 << 10, ..Setup::default() }, Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "kept", 2, &[]);
    stage.cast();
    let clients = stage.clients.clone();
    stage.world.sim.spawn(stage.world.clients[0], |rt| change_topics(rt, clients));
    for round in 0..4 {
        let mut passing = Vec::new();
        for n in 0..2 + stage.world.pick(4) {
            passing.extend(stage.admin.create(&stage.world, &format!("passing-{round}-{n}"), 2, &[]));
        }
        for topic in &passing {
            stage.admin.delete(&stage.world, topic);
        }
        if let Some(last) = stage.admin.create(&stage.world, &format!("last-{round}"), 1, &[]) {
            // The snapshot that this sets off is cut short, somewhere.
            stage.admin.begin_delete(&stage.world, &last);
        }
        stage.run_for(0, 6);
        if stage.world.one_in(3) {
            stage.world.kill()
        } else {
            stage.world.power_cut()
        }
        for _ in 0..stage.world.pick(3) {
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
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn a_crash_at_any_step_of_a_snapshot_loses_no_topic_and_brings_none_back() {
    simulate("a_crash_at_any_step_of_a_snapshot_loses_no_topic_and_brings_none_back", 4, snapshots);
}

/// Bytes below a directory of the broker's.
fn bytes_below(stage: &Stage, dir: &str) -> u64 {
    let path = Path::new(ROOT).join(dir);
    stage.world.disk().list(&path).unwrap_or_default().iter().map(|entry| entry.len).sum()
}

#[test]
fn ten_thousand_topics_that_came_and_went_cost_a_start_nothing() {
    const ROUNDS: usize = 100;
    const TOPICS: usize = 100;
    let setup = Setup { catalog_snapshot_bytes: 64 << 10, ..Setup::default() };
    let mut stage = Stage::new(1, setup, Load::default());
    stage.start(2);
    stage.admin.create(&stage.world, "kept", 2, &[]);
    let mut log_bytes_max = 0;
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..TOPICS).map(|n| format!("topic-{round}-{n}")).collect();
        stage.admin.create_and_delete(&stage.world, &names);
        let bytes = bytes_below(&stage, "data/__cluster_metadata-0") + bytes_below(&stage, "catalog");
        log_bytes_max = log_bytes_max.max(bytes);
    }
    // Two segments of a snapshot's distance each, one of them on its way out, and what the last one grew by.
    assert!(log_bytes_max <= 512 << 10, "{log_bytes_max} bytes of metadata");
    stage.world.power_cut();
    let before = stage.world.sim.now();
    assert!(stage.start(2));
    let took = stage.world.sim.now().since(before);
    assert!(took < std::time::Duration::from_secs(2), "the start took {took:?}");
    // The last snapshot may have been taken between the creation of a round's topics and their deletion.
    let snapshot_bytes = bytes_below(&stage, "catalog");
    assert!(snapshot_bytes < 16 << 10, "{snapshot_bytes} bytes are more than one round of topics");
    let outcome = stage.finish();
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations.first().map(ToString::to_string));
}
