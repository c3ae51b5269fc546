//! Power cuts and kills under load, restarts with other numbers of shards.

use crate::client::Load;
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

fn power_cuts(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[]);
    stage.admin.create(&stage.world, "orders", 2, &[]);
    stage.cast();
    for _ in 0..3 {
        stage.run_for(20, 800);
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
    simulate("power_cuts_under_load_lose_nothing_that_was_acked", 30, power_cuts);
}
