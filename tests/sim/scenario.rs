//! Runs one seed after the other of a scenario; a failure says how to see it again.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use shards::batch::crc::crc32c;
use shards::batch::{BatchHeader, CRC_FROM, walk};

use crate::admin::Admin;
use crate::checker::{Violation, check};
use crate::client::{Clients, Load};
use crate::consumer::Consumer;
use crate::history::Event;
use crate::producer::Producer;
use crate::world::{ROOT, Setup, World};

/// Seeds of the mixed scenario, as CI runs them; each other scenario runs its share of as many, in percent.
const SEEDS_DEFAULT: u64 = 500;

/// Time in which the last records arrive and compaction is done with them.
const COMPACTED: Duration = Duration::from_millis(500);

/// A world with a broker that is up and clients that push.
pub struct Stage {
    pub world: World,
    pub clients: Clients,
    pub admin: Admin,
}

impl Stage {
    /// Starts the broker; clients come with `cast`.
    pub fn new(seed: u64, setup: Setup, load: Load) -> Stage {
        let world = World::new(seed, setup);
        let clients = Clients::new(&world, load);
        let admin = Admin::new(&world, &clients);
        Stage { world, clients, admin }
    }

    /// Two producers and one consumer on each client host.
    pub fn cast(&mut self) {
        for host in self.world.clients.clone() {
            for _ in 0..2 {
                let clients = self.clients.clone();
                self.world.sim.spawn(host, |rt| Producer::new(rt, clients).run());
            }
            let clients = self.clients.clone();
            self.world.sim.spawn(host, |rt| Consumer::new(rt, clients).run());
        }
    }

    /// Starts, surveys, lets the clients go on. Whether the broker came up.
    pub fn start(&mut self, shards: u32) -> bool {
        let started = self.try_start(shards);
        if let Err(why) = &started {
            self.world.history.unexpected(format!("the start failed: {why}"));
        }
        started.is_ok()
    }

    /// As `start`, where the broker may refuse; says why it did.
    pub fn try_start(&mut self, shards: u32) -> Result<(), String> {
        self.begin_start(shards);
        self.world.wait_ready()?;
        self.admin.survey(&self.world);
        self.world.open_gate();
        Ok(())
    }

    /// Starts without waiting.
    pub fn begin_start(&mut self, shards: u32) {
        self.world.history.push(Event::Starting);
        self.world.spawn_broker(shards);
    }

    /// A segment that is followed by another ends with its last batch: Kafka's own tools must find nothing behind it.
    pub fn look_at_sealed_segments(&self) {
        let disk = self.world.disk();
        let data = Path::new(ROOT).join("data");
        for dir in disk.list(&data).unwrap_or_default() {
            let path = data.join(&dir.name);
            let names = disk.list(&path).unwrap_or_default();
            let mut logs: Vec<_> = names.iter().filter(|file| file.name.ends_with(".log")).collect();
            logs.pop();
            for log in logs {
                let content = disk.content(&path.join(&log.name)).unwrap_or_default();
                let end = walk(&content).last().map_or(0, |(at, head)| at + head.total_bytes().unwrap_or(0));
                if end != content.len() {
                    let what = format!("{}/{} goes on behind its last batch, at {end}", dir.name, log.name);
                    self.world.history.unexpected(what);
                }
            }
        }
    }

    /// After a power cut: notes how far the batches go that are in segment files.
    pub fn look_at_cut_segments(&self) {
        let disk = self.world.disk();
        for topic in self.clients.topics.borrow().iter() {
            for part in topic.parts() {
                let dir = Path::new(ROOT).join("data").join(format!("{}-{}", topic.name, part.index));
                let mut end = 0;
                for log in disk.list(&dir).unwrap_or_default().iter().filter(|file| file.name.ends_with(".log")) {
                    let content = disk.content(&dir.join(&log.name)).unwrap_or_default();
                    let is_whole = |(at, head): &(usize, BatchHeader)| {
                        let end = at + head.total_bytes().unwrap_or(0);
                        content.get(at + CRC_FROM..end).is_some_and(|covered| crc32c(covered) == head.crc)
                    };
                    let last = walk(&content).take_while(is_whole).last();
                    end = end.max(last.map_or(0, |(_, head)| head.base_offset + i64::from(head.last_offset_delta) + 1));
                }
                self.world.history.push(Event::InSegments { part, end });
            }
        }
    }

    pub fn any_shards(&self) -> u32 {
        1 + u32::try_from(self.world.pick(4)).expect("small")
    }

    /// Between 2 and 4 shards.
    pub fn several_shards(&self) -> u32 {
        2 + u32::try_from(self.world.pick(3)).expect("small")
    }

    pub fn run_for(&self, from_ms: u64, to_ms: u64) {
        let time = self.world.between(Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        self.world.sim.run_for(time);
    }

    /// Everybody gets on, everything is read, space comes back; judges.
    pub fn finish(self) -> Outcome {
        self.expect_progress();
        self.scan();
        self.expect_space_back();
        self.verdict()
    }

    /// Reads everything. Compacted logs are read at rest: a reader who is overtaken sees neither the old record nor the new one.
    pub fn scan(&self) {
        if self.clients.topics.borrow().iter().any(|topic| topic.compacted) {
            self.world.close_gate();
            self.world.sim.run_for(COMPACTED);
        }
        self.admin.scan(&self.world);
    }

    /// Judges without another read: the broker is down.
    pub fn verdict(self) -> Outcome {
        self.world.gate.finish();
        let trace = self.world.sim.trace();
        let violations = self.world.history.with(check);
        let acks = self.clients.acks.get();
        Outcome { violations, trace, acks }
    }
}

pub struct Outcome {
    pub violations: Vec<Violation>,
    pub trace: u64,
    /// Batches acked.
    pub acks: u64,
}

pub type Scenario = fn(u64) -> Outcome;

/// Seeds of a scenario that has this share of all, in percent.
fn seeds(percent: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    if let Some(seed) = number("CORELOG_SIM_SEED") {
        return vec![seed];
    }
    let from: u64 = number("CORELOG_SIM_FROM").unwrap_or(0);
    let total = number("CORELOG_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT);
    (from..from + (total * percent).div_ceil(100)).collect()
}

/// Runs a scenario's share of the seeds, several at a time; `name` is the test's.
pub fn simulate(name: &str, percent: u64, scenario: Scenario) {
    let seeds = seeds(percent);
    let next = AtomicUsize::new(0);
    let acks = AtomicU64::new(0);
    // Each world lives on one thread; the first that breaks ends its thread, and the test with the others.
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, NonZero::get).min(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    acks.fetch_add(must_hold(name, *seed, scenario), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(acks.into_inner() > 0, "{name}: nothing was acked at all");
}

/// Runs one seed; the batches acked.
pub fn must_hold(name: &str, seed: u64, scenario: Scenario) -> u64 {
    if std::env::var_os("CORELOG_SIM_LOG").is_some() {
        // Set already when another seed ran before.
        drop(tracing_subscriber::fmt().with_test_writer().try_init());
    }
    let replay =
        format!("CORELOG_SIM_SEED={seed} cargo test --test sim {name}  (CORELOG_SIM_LOG=1 shows the broker's log)");
    match catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
        Err(panic) => {
            eprintln!("{name}: seed {seed} panicked; replay with\n    {replay}");
            std::panic::resume_unwind(panic);
        }
        Ok(outcome) if outcome.violations.is_empty() => outcome.acks,
        Ok(outcome) => {
            let list: Vec<String> = outcome.violations.iter().map(|v| format!("    {v}")).collect();
            panic!("{name}: seed {seed} breaks\n{}\nreplay with\n    {replay}", list.join("\n"));
        }
    }
}
