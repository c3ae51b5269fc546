//! Topics that are deleted and made again under the same name, under load and over crashes.

use crate::client::Load;
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

fn deletions(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.several_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "kept", 2, &[]);
    let mut passing = stage.admin.create(&stage.world, "passing", 2, &[]);
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
            passing = stage.admin.create(&stage.world, "passing", 2, &[]);
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
            .or_else(|| stage.admin.create(&stage.world, &format!("passing-{}", stage.world.pick(1 << 40)), 2, &[]));
    }
    stage.run_for(20, 100);
    stage.finish()
}

#[test]
fn a_topic_that_is_made_again_has_nothing_of_the_old_one() {
    simulate("a_topic_that_is_made_again_has_nothing_of_the_old_one", 5, deletions);
}
