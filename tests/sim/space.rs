//! Whether space comes back: what was deleted, replaced or moved aside is gone from the disk when the broker has had the time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use shards::runtime::sim::SimDisk;

use crate::client::Damage;
use crate::history::Event;
use crate::scenario::Stage;
use crate::world::ROOT;

const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_FILE: &str = "partition.metadata";

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Retention looks every second at the latest.
const LOOKS_MAX: usize = 12;

/// What the broker says of a partition.
#[derive(Clone, Copy, Default)]
pub struct Standing {
    /// Nothing of it is removed: it may be needed for mending.
    pub is_damaged: bool,
    /// Where its log starts, if that is known.
    pub log_start: Option<i64>,
    /// `retention.bytes`, if it is bounded.
    pub bytes_max: Option<u64>,
}

impl Stage {
    /// Clients rest, and then nothing is on the disk that no partition needs.
    pub fn expect_space_back(&self) {
        if self.clients.load.get().damage == Damage::Any {
            return;
        }
        self.world.close_gate();
        let mut left = Vec::new();
        for _ in 0..LOOKS_MAX {
            self.world.sim.run_for(LOOK_EVERY);
            let Some(standings) = self.standings() else { return };
            left = leftovers(&self.world.disk(), &standings);
            if left.is_empty() {
                return;
            }
        }
        self.world.history.push(Event::SpaceKept { what: left.join(", ") });
    }

    /// Of each partition that the broker has, by its directory's name.
    fn standings(&self) -> Option<BTreeMap<String, Standing>> {
        let names = self.admin.partitions(&self.world)?;
        self.admin.ask_starts(&self.world);
        let mut standings: BTreeMap<String, Standing> =
            names.into_iter().map(|name| (name, Standing::default())).collect();
        standings.entry(format!("{METADATA_TOPIC}-0")).or_default();
        self.world.history.with(|events| {
            for topic in self.clients.topics.borrow().iter() {
                for part in topic.parts() {
                    let newest = events.iter().rev().find_map(|event| match event {
                        Event::Starts { part: of, log_start, .. } if *of == part => Some(*log_start),
                        _ => None,
                    });
                    let is_damaged = self.clients.load.get().damage.reaches(part);
                    let standing = Standing { is_damaged, log_start: newest, bytes_max: topic.bytes_max };
                    standings.insert(format!("{}-{}", topic.name, part.index), standing);
                }
            }
        });
        Some(standings)
    }
}

/// What is on the disk and of no use.
fn leftovers(disk: &SimDisk<'_>, standings: &BTreeMap<String, Standing>) -> Vec<String> {
    let data = Path::new(ROOT).join("data");
    let mut left = Vec::new();
    for dir in disk.list(&data).unwrap_or_default() {
        match standings.get(&dir.name) {
            None => left.push(format!("data/{}", dir.name)),
            Some(standing) if standing.is_damaged => {}
            Some(standing) => {
                let of_partition = leftovers_of(disk, &data.join(&dir.name), *standing);
                left.extend(of_partition.into_iter().map(|what| format!("data/{}/{what}", dir.name)));
            }
        }
    }
    // Files of a run are called after it.
    let shards: Vec<String> =
        disk.list(&Path::new(ROOT).join("journal")).unwrap_or_default().into_iter().map(|dir| dir.name).collect();
    let journals = shards.iter().map(|shard| format!("journal/{shard}"));
    for dirs in [vec!["checkpoint".to_owned()], journals.collect()] {
        let names = dirs.iter().flat_map(|dir| disk.list(&Path::new(ROOT).join(dir)).unwrap_or_default());
        let runs: BTreeSet<String> = names.filter_map(|file| Some(file.name.split_once('-')?.0.to_owned())).collect();
        if runs.len() > 1 {
            left.push(format!("files of the runs {runs:?} in {dirs:?}"));
        }
    }
    left
}

fn leftovers_of(disk: &SimDisk<'_>, dir: &Path, standing: Standing) -> Vec<String> {
    let files = disk.list(dir).unwrap_or_default();
    let base_of = |name: &str, ending: &str| name.strip_suffix(ending)?.parse::<i64>().ok();
    let logs: BTreeMap<i64, u64> =
        files.iter().filter_map(|file| Some((base_of(&file.name, ".log")?, file.len))).collect();
    let is_used = |name: &str| {
        let has_log = base_of(name, ".index").is_some_and(|base| logs.contains_key(&base));
        has_log || base_of(name, ".log").is_some() || name == METADATA_FILE
    };
    let mut left: Vec<String> =
        files.iter().filter(|file| !is_used(&file.name)).map(|file| file.name.clone()).collect();
    // The last segment that begins at or below the start is the first that has something.
    let start = standing.log_start.unwrap_or(0);
    let first = logs.range(..=start).next_back().map_or(0, |(base, _)| *base);
    left.extend(logs.range(..first).map(|(base, _)| format!("{base:020}.log, wholly below the log start")));
    // Without the first, and without the last, which is not closed: both may be there.
    let live: Vec<u64> = logs.range(first..).map(|(_, bytes)| *bytes).collect();
    let closed: u64 = live.iter().skip(1).take(live.len().saturating_sub(2)).sum();
    if standing.bytes_max.is_some_and(|bytes_max| closed >= bytes_max) {
        left.push("more than retention.bytes behind its first segment".to_owned());
    }
    left
}
