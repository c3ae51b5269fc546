//! Carries out a plan: topic, connections, threads, and what they measured second by second. The caller's thread.
//!
//! Invariant: whatever breaks off a run, what was measured until then is in the outcome.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
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
use super::stages::{self, BrokerStages, Software};
use super::usage::{self, Usage};
use super::writer::{Times, Written};

/// From the making of the threads to the first record.
const START_IN_NS: u64 = 100_000_000;

/// Runs a plan to its end, or until `stop`; `tell` hears of every second.
pub fn run(plan: &Plan, stop: &AtomicBool, tell: &mut dyn FnMut(&Second)) -> Result<Outcome, BenchError> {
    plan.check().map_err(BenchError::Plan)?;
    let run = now_ns() as u32;
    let mut setup = Setup::new(plan)?;
    let (http, software) = match stages::source(plan, setup.cluster_id())? {
        Ok(source) => (Ok(source.http), Some(source.software)),
        Err(why) => (Err(why), None),
    };
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
    // One that fails stops the others: what they measure after it is no part of the load that was asked for.
    let failed = AtomicBool::new(false);
    let mut watch = Watch {
        meters: &meters,
        start_ns,
        next_ns: start_ns + NANOS_PER_SECOND,
        empty: Stretch::default(),
        total: Tally::default(),
        seconds: Vec::new(),
    };
    let threads = writers.len();
    let measured = thread::scope(|scope| {
        let (word, ended) = channel();
        let [(writing_on, over), (writing_still, over_too)] = [channel(), channel()];
        let looking = http.as_ref().map(|http| scope.spawn(move || stages::watch(http, times, &over)));
        // A process on this machine is better looked at than asked.
        let spending = match (plan.broker_pid, &http) {
            (Some(pid), _) => Some(scope.spawn(move || usage::watch(|| usage::process_cpu(pid), times, &over_too))),
            (None, Ok(http)) => Some(scope.spawn(move || usage::watch(|| stages::process_cpu(http), times, &over_too))),
            (None, Err(_)) => None,
        };
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
            let (word, failed) = (Word(word.clone()), &failed);
            writing.push(scope.spawn(move || {
                let _word = word;
                let stopped = || stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
                let written = writer.run(&to, pace, times, &stopped);
                failed.fetch_or(written.failed.is_some(), Ordering::Relaxed);
                written
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
        drop((writing_on, writing_still));
        let spent = spending.and_then(|spending| joined(spending).ok().flatten());
        let stages = looking.map_err(Clone::clone);
        let stages = stages.and_then(|looking| joined(looking).unwrap_or_else(|e| Err(e.to_string())));
        // One that was started anew has told of two processes.
        let spent = spent.filter(|_| plan.broker_pid.is_some() || stages.is_ok());
        let written: Vec<Result<Written, BenchError>> = writing.into_iter().map(joined).collect();
        let all = written.iter().flatten().flat_map(|written| written.acked.clone()).collect::<Acked>();
        acked.get_or_init(|| all);
        watch.until_ended(&ended, 1, &mut |_| {});
        Measured { written, read: joined(reading), stages, spent, software }
    });
    Ok(outcome(plan, wall_ns, times, watch, measured))
}

/// What the threads of a run leave behind.
struct Measured {
    written: Vec<Result<Written, BenchError>>,
    read: Result<Read, BenchError>,
    stages: Result<BrokerStages, String>,
    /// The broker's processor time, and over which time it was.
    spent: Option<(Duration, Duration)>,
    software: Option<Software>,
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
    /// When the second ends that goes on.
    next_ns: u64,
    /// To be filled next.
    empty: Stretch,
    total: Tally,
    seconds: Vec<Second>,
}

impl Watch<'_> {
    /// Collects every second until so many threads have ended.
    fn until_ended(&mut self, ended: &Receiver<()>, mut threads: usize, tell: &mut dyn FnMut(&Second)) {
        while threads > 0 {
            match ended.recv_timeout(Duration::from_nanos(self.next_ns.saturating_sub(now_ns()))) {
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
        let passed_ns = now_ns().saturating_sub(self.start_ns);
        self.next_ns = self.start_ns + next_second_ns(passed_ns);
        self.seconds.push(Second::of(passed_ns as f64 / NANOS_PER_SECOND as f64, &all));
    }
}

/// When the next second of a run ends: at least half of one after so long. A stall makes one second long and none short.
fn next_second_ns(passed_ns: u64) -> u64 {
    ((passed_ns + NANOS_PER_SECOND / 2) / NANOS_PER_SECOND + 1) * NANOS_PER_SECOND
}

pub fn joined<T>(handle: ScopedJoinHandle<'_, T>) -> Result<T, BenchError> {
    handle.join().map_err(|panic| BenchError::Panicked(words(panic.as_ref())))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it does not say why").to_owned()
}

fn outcome(plan: &Plan, wall_ns: u64, times: Times, mut watch: Watch<'_>, measured: Measured) -> Outcome {
    let Measured { written, read, stages, spent, software } = measured;
    // What came since the last full second.
    watch.collect();
    // Both looks are at the ends of what was measured: the acks in between are those that came in time.
    let (records, bytes) = (watch.total.acked_in_time, watch.total.acked_bytes_in_time);
    let broker = spent.filter(|_| records > 0).map(|(cpu, over)| Usage { cpu, over, records, bytes });
    let mut outcome = Outcome {
        plan: plan.clone(),
        started_ms: (wall_ns / 1_000_000) as i64,
        measured: plan.duration,
        tally: watch.total,
        seconds: watch.seconds,
        made: 0,
        acked: 0,
        last_ack: Duration::ZERO,
        findings: Findings::default(),
        lost: 0,
        foreign: 0,
        catch_up: CatchUp::default(),
        writer_cpu: Duration::ZERO,
        reader_cpu: Duration::ZERO,
        reader_busy: 0.0,
        broker,
        stages,
        software,
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
                let last_ack = Duration::from_nanos(written.last_ack_ns.saturating_sub(times.end_ns));
                outcome.last_ack = outcome.last_ack.max(last_ack);
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
            outcome.reader_cpu = Duration::from_nanos(read.spent.cpu_ns);
            outcome.reader_busy = read.spent.busy;
            outcome.failures.extend(read.failed.map(|e| e.to_string()));
        }
        Err(e) => outcome.failures.push(e.to_string()),
    }
    if outcome.measured < plan.duration && outcome.failures.is_empty() {
        outcome.failures.push("it was stopped before its end".to_owned());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_end_at_whole_ones_and_a_stall_makes_one_of_them_long() {
        let second = |tenths: u64| next_second_ns(tenths * NANOS_PER_SECOND / 10) / NANOS_PER_SECOND;
        // In time, a bit late, a bit early, and after a stall.
        assert_eq!([second(10), second(11), second(9), second(56), second(54)], [2, 2, 2, 7, 6]);
    }
}
