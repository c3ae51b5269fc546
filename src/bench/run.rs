//! Carries out a plan: topic, connections, threads, and what they measured second by second. The caller's thread.
//!
//! Invariant: whatever breaks off a run, what was measured until then is in the outcome.

use std::any::Any;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender as Tell, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::checker::Findings;
use super::clock::{NANOS_PER_SECOND, duration_ns, now_ns};
use super::error::BenchError;
use super::group::Group;
use super::intake::{Acked, CatchUp, Intake, Read};
use super::meter::{Meter, Stretch, Tally};
use super::outcome::{Outcome, Second};
use super::plan::Plan;
use super::reader::Reader;
use super::sender::Shared;
use super::setup::{self, Setup};
use super::stages::{self, BrokerStages};
use super::usage::{Usage, process_cpu};
use super::writer::{Times, Written};

/// From the making of the threads to the first record.
const START_IN_NS: u64 = 100_000_000;

/// Runs a plan to its end, or until `stop`; `tell` hears of every second.
pub fn run(plan: &Plan, stop: &AtomicBool, tell: &mut dyn FnMut(&Second)) -> Result<Outcome, BenchError> {
    plan.check().map_err(BenchError::Plan)?;
    let run = now_ns() as u32;
    let mut setup = Setup::new(plan)?;
    let source = stages::source(plan, setup.cluster_id())?;
    let writers = setup.writers(plan, run)?;
    let inlets = setup.inlets()?;
    let group = plan.group_members.map(|members| Group::join(plan, members, setup::CLIENT_ID, run)).transpose()?;

    let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, duration_ns);
    let now = now_ns();
    let wall_ms_at_zero = (wall_ns / 1_000_000) as i64 - (now / 1_000_000) as i64;
    let start_ns = now + START_IN_NS;
    let warm_ns = start_ns + duration_ns(plan.warmup);
    let times = Times { start_ns, warm_ns, end_ns: warm_ns + duration_ns(plan.duration) };

    let meters: Vec<Arc<Meter>> = (0..writers.len() + plan.group_members.map_or(1, |members| members as usize))
        .map(|_| Arc::new(Meter::default()))
        .collect();
    let acked = OnceLock::new();
    let mut watch = Watch {
        warm_ns,
        end_ns: times.end_ns,
        broker_pid: plan.broker_pid,
        broker_since: None,
        broker: None,
        meters: &meters,
        start_ns,
        empty: Stretch::default(),
        total: Tally::default(),
        seconds: Vec::new(),
    };
    let threads = writers.len();
    let (written, read, stages) = thread::scope(|scope| {
        let (word, ended) = channel();
        let (writing_on, over) = channel();
        let looking = source.map(|http| scope.spawn(move || stages::watch(&http, times, &over)));
        let mut writing = Vec::new();
        for (number, (writer, meter)) in writers.into_iter().zip(&meters).enumerate() {
            let to = Shared {
                plan,
                run,
                topic: plan.topic.as_str().into(),
                warm_ns,
                wall_ms_at_zero,
                linger_ns: duration_ns(plan.linger),
                meter,
            };
            let pace = setup::pace(plan, number, threads, start_ns, run);
            let word = Word(word.clone());
            writing.push(scope.spawn(move || {
                let _word = word;
                writer.run(&to, pace, times, stop)
            }));
        }
        let intake = Intake::new(plan, run, warm_ns);
        let read = || {
            let (word, acked, meters) = (Word(word.clone()), &acked, meters.get(threads..).unwrap_or_default());
            scope.spawn(move || {
                let _word = word;
                match group {
                    Some(group) => group.run(intake, meters, acked),
                    None => {
                        let meter = meters.first().cloned().unwrap_or_default();
                        let reader = Reader { inlets, intake, topic: plan.topic.as_str().into(), meter };
                        reader.run(start_ns + duration_ns(plan.read_after), acked)
                    }
                }
            })
        };
        let reading = if plan.consume {
            let reading = read();
            watch.until_ended(&ended, threads, tell);
            reading
        } else {
            watch.until_ended(&ended, threads, tell);
            // Read only now, so that it costs the measurement nothing.
            read()
        };
        drop(writing_on);
        let stages = looking.and_then(|looking| joined(looking).unwrap_or_else(|e| Err(e.to_string())));
        let written: Vec<Result<Written, BenchError>> = writing.into_iter().map(joined).collect();
        let all = written.iter().flatten().flat_map(|written| written.acked.clone()).collect::<Acked>();
        acked.get_or_init(|| all);
        watch.until_ended(&ended, 1, &mut |_| {});
        (written, joined(reading), stages)
    });
    Ok(outcome(plan, wall_ns, times, watch, written, read, stages))
}

/// Says that its thread has ended, however it did.
struct Word(Tell<()>);

impl Drop for Word {
    fn drop(&mut self) {
        // Nobody listens any more: nobody waits either.
        let _gone = self.0.send(());
    }
}

/// What all threads have measured so far.
struct Watch<'a> {
    meters: &'a [Arc<Meter>],
    start_ns: u64,
    /// To be filled next.
    empty: Stretch,
    total: Tally,
    seconds: Vec<Second>,
    warm_ns: u64,
    end_ns: u64,
    broker_pid: Option<u32>,
    /// When the measurement had begun, and what the broker had spent by then.
    broker_since: Option<(u64, Duration)>,
    broker: Option<Usage>,
}

impl Watch<'_> {
    /// Collects every second until so many threads have ended.
    fn until_ended(&mut self, ended: &Receiver<()>, mut threads: usize, tell: &mut dyn FnMut(&Second)) {
        while threads > 0 {
            let next_ns = self.start_ns + (self.seconds.len() as u64 + 1) * NANOS_PER_SECOND;
            match ended.recv_timeout(Duration::from_nanos(next_ns.saturating_sub(now_ns()))) {
                Ok(()) => threads -= 1,
                Err(RecvTimeoutError::Timeout) => {
                    self.collect();
                    if let Some(second) = self.seconds.last() {
                        tell(second);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn collect(&mut self) {
        let mut all = Tally::default();
        for meter in self.meters {
            let mut stretch = meter.take(std::mem::take(&mut self.empty));
            self.total.add(&stretch.measured);
            all.add(&stretch.warmup);
            all.add(&stretch.measured);
            stretch.clear();
            self.empty = stretch;
        }
        self.look_at_broker(&all);
        let at_s = now_ns().saturating_sub(self.start_ns) as f64 / NANOS_PER_SECOND as f64;
        self.seconds.push(Second::of(at_s, &all));
    }

    /// Sums up what the broker spends while it is measured.
    fn look_at_broker(&mut self, since_last: &Tally) {
        let now = now_ns();
        let Some(cpu) = self.broker_pid.and_then(process_cpu).filter(|_| now >= self.warm_ns) else { return };
        let Some((since_ns, spent)) = self.broker_since else {
            self.broker_since = Some((now, cpu));
            return;
        };
        // What comes after the last record was due is no part of it; a late second is.
        if now <= self.end_ns + NANOS_PER_SECOND / 2 {
            let so_far = self.broker.get_or_insert_default();
            so_far.cpu = cpu.saturating_sub(spent);
            so_far.over = Duration::from_nanos(now - since_ns);
            so_far.records += since_last.acked;
            so_far.bytes += since_last.acked_bytes;
        }
    }
}

pub fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> Result<T, BenchError> {
    handle.join().map_err(|panic| BenchError::Panicked(words(panic.as_ref())))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it does not say why").to_owned()
}

fn outcome(
    plan: &Plan,
    wall_ns: u64,
    times: Times,
    mut watch: Watch<'_>,
    written: Vec<Result<Written, BenchError>>,
    read: Result<Read, BenchError>,
    stages: Result<BrokerStages, String>,
) -> Outcome {
    // What came since the last full second.
    watch.collect();
    let mut outcome = Outcome {
        plan: plan.clone(),
        started_ms: (wall_ns / 1_000_000) as i64,
        measured: plan.duration,
        tally: watch.total,
        seconds: watch.seconds,
        made: 0,
        acked: 0,
        findings: Findings::default(),
        lost: 0,
        foreign: 0,
        catch_up: CatchUp::default(),
        writer_cpu: Duration::ZERO,
        reader_cpu: Duration::ZERO,
        broker: watch.broker,
        stages,
        overrun: false,
        failures: Vec::new(),
        merged_from: Vec::new(),
        merged_doubts: Vec::new(),
    };
    for written in written {
        match written {
            Ok(written) => {
                outcome.made += written.made;
                outcome.acked += written.acked.iter().flat_map(|(_, counts)| counts).sum::<u64>();
                outcome.writer_cpu += Duration::from_nanos(written.cpu_ns);
                outcome.overrun |= written.overrun;
                let ran_ns = written.ended_ns.clamp(times.warm_ns, times.end_ns) - times.warm_ns;
                outcome.measured = outcome.measured.min(Duration::from_nanos(ran_ns));
                outcome.failures.extend(written.failed.map(|e| e.to_string()));
            }
            Err(e) => outcome.failures.push(e.to_string()),
        }
    }
    if outcome.made > outcome.acked && outcome.failures.is_empty() {
        outcome.failures.push(format!("{} records were not acked in time", outcome.made - outcome.acked));
    }
    match read {
        Ok(read) => {
            outcome.findings = read.findings;
            outcome.lost = read.lost;
            outcome.foreign = read.foreign;
            outcome.catch_up = read.catch_up;
            outcome.reader_cpu = Duration::from_nanos(read.cpu_ns);
            outcome.failures.extend(read.failed.map(|e| e.to_string()));
        }
        Err(e) => outcome.failures.push(e.to_string()),
    }
    if outcome.measured < plan.duration && outcome.failures.is_empty() {
        outcome.failures.push("it was stopped before its end".to_owned());
    }
    outcome
}
