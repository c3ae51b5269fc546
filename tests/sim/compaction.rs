//! Compacted topics under load, over power cuts, kills, stops and failed writes: the newest record of each key stays, and offsets
//! mean what they meant.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::{Load, Topic};
use crate::disks::strike;
use crate::history::Event;
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

/// Segments are closed after a few batches, and are due as soon as they are; tombstones go while the clients are at it.
pub const CONFIGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "15"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("delete.retention.ms", "40"),
];

/// The outcome, and how many offsets of the compacted topic were found to be empty.
fn compacted(seed: u64) -> (Outcome, usize) {
    let load = Load { filler_max: 300, ..Load::default() };
    let mut stage = Stage::new(seed, Setup::default(), load);
    let shards = stage.several_shards();
    stage.start(shards);
    let table = stage.admin.create(&stage.world, "table", 2, &CONFIGS);
    stage.admin.create(&stage.world, "events", 1, &[]);
    stage.cast();
    for _ in 0..3 {
        stage.run_for(50, 600);
        match stage.world.pick(5) {
            0 => stage.world.kill(),
            4 => {
                // What it fails may not come to pass in this time.
                strike(&stage, Duration::from_millis(100));
                if stage.world.one_in(2) { stage.world.kill() } else { stage.world.power_cut() }
            }
            1 => {
                if !stage.world.stop() {
                    stage.world.history.unexpected("the stop was not clean".to_owned());
                }
                stage.look_at_sealed_segments();
            }
            _ => stage.world.power_cut(),
        }
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return (stage.verdict(), 0);
        }
    }
    stage.run_for(50, 300);
    stage.expect_progress();
    stage.scan();
    stage.expect_space_back();
    let holes = table.map_or(0, |table| holes(&stage, &table));
    (stage.verdict(), holes)
}

/// Offsets of a topic at which the last whole reads found nothing.
fn holes(stage: &Stage, topic: &Topic) -> usize {
    stage.world.history.with(|events| {
        let holes_of = |event: &Event| match event {
            Event::Scanned { part, from, end, found, .. } if part.topic == topic.id => {
                let there: BTreeSet<i64> = found.iter().map(|f| f.offset).collect();
                (*from..*end).filter(|offset| !there.contains(offset)).count()
            }
            _ => 0,
        };
        events.iter().map(holes_of).sum()
    })
}

pub fn compacting(seed: u64) -> Outcome {
    compacted(seed).0
}

#[test]
fn the_newest_record_of_each_key_outlives_every_crash() {
    simulate("the_newest_record_of_each_key_outlives_every_crash", 8, compacting);
}

#[test]
fn compaction_is_at_work_in_the_simulation() {
    let holes: usize = (0..3).map(|seed| compacted(seed).1).sum();
    assert!(holes > 100, "{holes} records were taken");
}
