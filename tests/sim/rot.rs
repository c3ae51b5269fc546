//! One bit of the broker's files is wrong: it is found and named, or does no harm. No wrong record is ever served, and
//! nothing is gone for good: with the bit as it was, a start that was refused succeeds.

use std::path::{Path, PathBuf};

use crate::client::{Damage, Load};
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::{ROOT, Setup, World};

/// A bit of the medium.
struct Bit {
    path: PathBuf,
    byte: u64,
    bit: u8,
}

impl Bit {
    /// Flips a random bit of a random file of those that `may_rot`.
    fn flip_any(world: &World, may_rot: impl Fn(&str) -> bool) -> Option<Bit> {
        let mut files = Vec::new();
        list(world, Path::new(ROOT), &mut files);
        files.retain(|(path, len)| *len > 0 && path.to_str().is_some_and(&may_rot));
        if files.is_empty() {
            return None;
        }
        let (path, len) = files.swap_remove(usize::try_from(world.pick(files.len() as u64)).expect("an index"));
        // Most of what is written stands at the beginning.
        let within = if world.one_in(2) { len } else { len.min(16 << 10) };
        let bit = Bit { path, byte: world.pick(within), bit: u8::try_from(world.pick(8)).expect("small") };
        bit.flip(world);
        Some(bit)
    }

    fn flip(&self, world: &World) {
        assert!(world.disk().flip_bit(&self.path, self.byte, self.bit), "the file was listed");
    }

    /// Whom its damage may reach: a file of a client's partition is of use to that one alone.
    fn reach(&self, stage: &Stage) -> Damage {
        let dir = self.path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let topics = stage.clients.topics.borrow();
        let mut parts =
            topics.iter().flat_map(|topic| topic.parts().map(|part| (format!("{}-{}", topic.name, part.index), part)));
        let of = parts.find(|(name, _)| dir.as_ref() == Some(name)).map(|(_, part)| part);
        of.map_or(Damage::Any, Damage::Of)
    }

    /// Whether an error names the file, or the partition that it is of.
    fn is_named_in(&self, why: &str) -> bool {
        let name = |path: &Path| path.file_name().is_some_and(|name| why.contains(&*name.to_string_lossy()));
        name(&self.path) || self.path.parent().is_some_and(|dir| dir != Path::new(ROOT) && name(dir))
    }
}

fn list(world: &World, dir: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in world.disk().list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        if entry.is_dir { list(world, &path, files) } else { files.push((path, entry.len)) }
    }
}

pub fn one_bit(seed: u64) -> Outcome {
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 3, &[("segment.ms", "100")]);
    stage.admin.create(&stage.world, "orders", 1, &[]);
    stage.cast();
    stage.run_for(100, 400);
    let of_segments = |path: &str| path.ends_with(".log") || path.ends_with(".index");
    let bit = match stage.world.pick(3) {
        // While it runs; what the journal has is read after a crash only.
        0 => {
            let bit = Bit::flip_any(&stage.world, of_segments);
            let damage = bit.as_ref().map_or(Damage::Nothing, |bit| bit.reach(&stage));
            stage.clients.load.set(Load { damage, ..Load::default() });
            stage.run_for(50, 200);
            stage.world.power_cut();
            bit
        }
        // A torn commit at the journal's end and a damaged one are the same to it (R6), so its files are left alone.
        1 => {
            stage.world.power_cut();
            Bit::flip_any(&stage.world, |path| !path.ends_with(".journal"))
        }
        _ => {
            if !stage.world.stop() {
                stage.world.history.unexpected("the stop was not clean".to_owned());
            }
            Bit::flip_any(&stage.world, |_| true)
        }
    };
    let Some(bit) = bit else { return stage.finish() };
    let shards = stage.any_shards();
    let damage = bit.reach(&stage);
    stage.clients.load.set(Load { damage, ..Load::default() });
    match stage.try_start(shards) {
        Ok(()) => stage.run_for(50, 200),
        Err(why) => {
            if damage != Damage::Any {
                let path = bit.path.display();
                stage
                    .world
                    .history
                    .unexpected(format!("{path} is damaged, and the whole broker refuses to start: {why}"));
            }
            if !bit.is_named_in(&why) {
                let (path, byte) = (bit.path.display(), bit.byte);
                stage.world.history.unexpected(format!("{path}, byte {byte}, is damaged, and the start says: {why}"));
            }
            stage.world.kill();
            bit.flip(&stage.world);
            stage.clients.load.set(Load::default());
            if !stage.start(shards) {
                return stage.verdict();
            }
        }
    }
    stage.finish()
}

#[test]
fn a_wrong_bit_is_found_and_named_or_does_no_harm() {
    simulate("a_wrong_bit_is_found_and_named_or_does_no_harm", 16, one_bit);
}
