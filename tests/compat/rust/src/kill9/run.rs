//! The run: eras of cycles. A cycle loads the broker until its journals have been used up several times, kills it, starts
//! it with another number of shards and reads what is new; an era ends by reading everything.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::broker::{Broker, Shape};
use super::history::History;
use super::load::{Ending, Load, Target};
use super::newest::Newest;
use super::readers::{Follower, Stamps, offset_at, read_to_end};
use crate::client::Cluster;
use crate::random::Random;
use crate::report::{Failure, ensure};

/// Divisible by each number of shards, so that every shard takes the same load.
const PARTITIONS: i32 = 12;
const SHARDS: (u64, u64) = (2, 4);
const STEADY_PRODUCERS: u32 = 3;
const BRIEF_PRODUCERS: u32 = 2;
/// A topic is given up after this many cycles, so that a long run needs no more disk or memory than a short one.
const CYCLES_PER_ERA: u32 = 10;
/// Read again with each check, to see that old records stay.
const OVERLAP: i64 = 200;
/// Every byte acked passes the journal once: this many times its size means three recyclings at least.
const JOURNALS_PER_CYCLE: u64 = 4;
const CYCLE: Duration = Duration::from_secs(120);

/// Timestamps looked up in each partition at the end of an era.
const TIMES_ASKED: u32 = 25;
/// Faults printed; the first ones say most.
const TOLD_MAX: usize = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The broker to start and kill; without it a broker at `bootstrap` is only loaded and checked.
    pub binary: Option<PathBuf>,
    pub bootstrap: Option<String>,
    pub dir: PathBuf,
    pub cycles: u32,
    pub seed: u64,
    /// Journal of one core, in bytes.
    pub journal_bytes: u64,
    /// Plants a fault that the checker must catch: in the second cycle the broker starts on the data of the first one.
    pub roll_back: bool,
}

/// The history holds faults: the broker is to blame, not the run.
#[derive(Debug)]
pub struct Faulty(pub String);

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Faulty {}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub cycles: u32,
    pub kills: u32,
    pub kills_in_start: u32,
    pub clean_stops: u32,
    pub acked: u64,
    pub acked_bytes: u64,
    pub unknown_found: u64,
    pub start_max: Duration,
}

struct Run {
    plan: Plan,
    random: Random,
    broker: Option<Broker>,
    shape: Shape,
    cluster: Cluster,
    tally: Tally,
    producers: u32,
}

/// Runs all cycles, or ends at the first fault.
pub fn run(plan: &Plan) -> Result<Tally, Failure> {
    // Compaction is at work all the time.
    let settings = [format!("journal.bytes={}", plan.journal_bytes), "log.cleaner.backoff.ms=20".into()];
    let mut broker = plan.binary.as_ref().map(|binary| Broker::new(binary, &plan.dir, &settings)).transpose()?;
    let bootstrap = match (&broker, &plan.bootstrap) {
        (Some(broker), _) => broker.bootstrap(),
        (None, Some(bootstrap)) => bootstrap.clone(),
        (None, None) => return Err("a binary or a running broker is needed".into()),
    };
    let shape = Shape { shards: SHARDS.0, cores: 1 };
    if let Some(broker) = &mut broker {
        broker.start(shape)?;
    }
    let mut run = Run {
        plan: plan.clone(),
        random: Random::new(plan.seed),
        broker,
        shape,
        cluster: Cluster::new(&bootstrap),
        tally: Tally::default(),
        producers: 0,
    };
    let mut left = plan.cycles;
    for era in 0.. {
        let cycles = left.min(CYCLES_PER_ERA);
        run.era(era, cycles)?;
        left -= cycles;
        if left == 0 {
            break;
        }
    }
    if let Some(broker) = &mut run.broker {
        broker.stop()?;
    }
    Ok(run.tally)
}

impl Run {
    fn era(&mut self, era: u32, cycles: u32) -> Result<(), Failure> {
        // Clients know what happens to a topic that is there; one name for all eras also proves that nothing old comes back.
        // What a kill may not take from records that were synced, it may not from those that were only written.
        let settings = [("segment.bytes", "1048576"), ("flush.messages", "100000")];
        let settings = if era.is_multiple_of(2) { &settings[..1] } else { &settings[..] };
        let topic = self.cluster.create("kill9", PARTITIONS, settings)?;
        let newest = Newest::start(&self.cluster)?;
        let history = Arc::new(History::new(PARTITIONS));
        let (cluster, is_checked) = (self.cluster.clone(), Arc::default());
        let target = Target { cluster, topic, era, partitions: PARTITIONS, history, is_checked };
        let follower = Follower::start(&target)?;
        let steady: Vec<Load> =
            (0..STEADY_PRODUCERS).map(|_| self.load(&target, Ending::AllAcked)).collect::<Result<_, _>>()?;
        let mut checked = vec![0; PARTITIONS as usize];
        for _ in 0..cycles {
            self.cycle(&target, &mut checked, &newest)?;
        }
        steady.into_iter().try_for_each(Load::finish)?;
        let read = read_to_end(&target, &vec![0; PARTITIONS as usize]);
        judge(&target)?;
        self.check_times(&target, &read?)?;
        follower.finish()?;
        newest.finish(self.broker.is_some())?;
        let counts = target.history.counts();
        self.tally.acked += counts.acked;
        self.tally.acked_bytes += target.history.acked_bytes();
        self.tally.unknown_found += counts.unknown_found;
        self.cluster.delete(&target.topic)?.map_err(|code| format!("deleting the topic: {code}").into())
    }

    fn cycle(&mut self, target: &Target, checked: &mut [i64], newest: &Newest) -> Result<(), Failure> {
        let begun = Instant::now();
        let before = target.history.acked_bytes();
        let brief: Vec<Load> =
            (0..BRIEF_PRODUCERS).map(|_| self.load(target, Ending::AtOnce)).collect::<Result<_, _>>()?;
        let goal = before + JOURNALS_PER_CYCLE * self.plan.journal_bytes * self.shape.shards;
        while target.history.acked_bytes() < goal {
            ensure(begun.elapsed() < CYCLE, || {
                format!("{} of {} bytes acked in {CYCLE:?}", target.history.acked_bytes() - before, goal - before)
            })?;
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_micros(self.random.within(0, 300_000)));
        let loaded = begun.elapsed();
        let ended = self.end_and_start(brief)?;
        let from: Vec<i64> = checked.iter().map(|end| (end - OVERLAP).max(0)).collect();
        target.is_checked.store(true, Ordering::Relaxed);
        let read = read_to_end(target, &from);
        // What the history says comes first: a fault may well be why the reader failed.
        judge(target)?;
        for ((end, from), stamps) in checked.iter_mut().zip(from).zip(read?) {
            *end = from + stamps.len() as i64;
        }
        let (left, written) = newest.check()?;
        target.is_checked.store(false, Ordering::Relaxed);
        self.tally.cycles += 1;
        println!(
            "cycle {}: {} MiB acked in {:.1} s, {ended}; {} records so far and {left} of {written} by key, read and checked in \
             {:.1} s",
            self.tally.cycles,
            (target.history.acked_bytes() - before) >> 20,
            loaded.as_secs_f64(),
            checked.iter().sum::<i64>(),
            (begun.elapsed() - loaded).as_secs_f64(),
        );
        Ok(())
    }

    /// Kills the broker, ends the `brief` producers while it is away and starts it with another number of shards; tells
    /// what it did.
    fn end_and_start(&mut self, brief: Vec<Load>) -> Result<String, Failure> {
        let Some(broker) = &mut self.broker else {
            brief.into_iter().try_for_each(Load::finish)?;
            return Ok("not killed".into());
        };
        let random = &mut self.random;
        broker.kill()?;
        brief.into_iter().try_for_each(Load::finish)?;
        self.tally.kills += 1;
        match (self.plan.roll_back, self.tally.cycles) {
            (true, 0) => broker.keep_data()?,
            (true, 1) => broker.roll_back()?,
            _ => {}
        }
        let mut told = format!("killed with {} shards", self.shape.shards);
        // Each step of a start may be interrupted and repeated (and with another number of shards, too).
        while random.one_in(3) {
            self.shape = other_shape(random, self.shape);
            broker.start_and_kill(self.shape, Duration::from_micros(random.within(0, 250_000)))?;
            self.tally.kills_in_start += 1;
            told.push_str(", killed in its start");
        }
        self.shape = other_shape(random, self.shape);
        let mut took = broker.start(self.shape)?;
        if random.one_in(5) {
            std::thread::sleep(Duration::from_millis(random.within(0, 500)));
            broker.stop()?;
            self.tally.clean_stops += 1;
            told.push_str(", stopped");
            took = broker.start(self.shape)?;
        }
        self.tally.start_max = self.tally.start_max.max(took);
        Ok(format!("{told}, started with {} in {} ms", self.shape.shards, took.as_millis()))
    }

    /// Offsets are found by timestamp in what was written before, between and after the kills.
    fn check_times(&mut self, target: &Target, stamps: &Stamps) -> Result<(), Failure> {
        let first = stamps.iter().flatten().min().copied().unwrap_or_default();
        let last = stamps.iter().flatten().max().copied().unwrap_or_default();
        for _ in 0..TIMES_ASKED {
            let at = self.random.within(first as u64, last as u64 + 1) as i64;
            for (partition, (found, stamps)) in offset_at(target, at)?.into_iter().zip(stamps).enumerate() {
                let right = stamps.iter().position(|stamp| *stamp >= at).map(|offset| offset as i64);
                ensure(found == right, || {
                    format!("partition {partition}: the first record at or after {at} ms is {right:?}, found {found:?}")
                })?;
            }
        }
        Ok(())
    }

    fn load(&mut self, target: &Target, ending: Ending) -> Result<Load, Failure> {
        self.producers += 1;
        Load::start(target, self.producers, ending)
    }
}

/// Another number of shards than before, and any number of cores that this machine has.
fn other_shape(random: &mut Random, before: Shape) -> Shape {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let shards = loop {
        let shards = random.within(SHARDS.0, SHARDS.1);
        if shards != before.shards {
            break shards;
        }
    };
    Shape { shards, cores: random.within(1, cores) }
}

fn judge(target: &Target) -> Result<(), Failure> {
    let (told, total) = target.history.faults();
    if total == 0 {
        return Ok(());
    }
    Err(Faulty(format!("{total} faults:\n  {}", told[..told.len().min(TOLD_MAX)].join("\n  "))).into())
}
