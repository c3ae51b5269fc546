//! Takes in the records that were read: checks each against what was sent, and notes how long it took. One thread's, or
//! behind a lock of several.

use std::time::Duration;

use super::checker::{Checker, Findings};
use super::error::BenchError;
use super::meter::Stretch;
use super::plan::Plan;
use super::stamp::Stamp;

/// By client, how many were acked of each partition.
pub type Acked = Vec<(u32, Vec<u64>)>;

/// Records that were stored before anybody read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatchUp {
    pub records: u64,
    pub bytes: u64,
    /// From the beginning of the reading until the last of them had come.
    pub took: Duration,
}

impl CatchUp {
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.took.as_secs_f64().max(1e-6)
    }

    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.took.as_secs_f64().max(1e-6)
    }
}

/// What reading leaves behind.
#[derive(Debug)]
pub struct Read {
    pub findings: Findings,
    /// Acked, and never seen; 0 if reading failed, as then nobody knows.
    pub lost: u64,
    /// Records of others in the same topic.
    pub foreign: u64,
    pub catch_up: CatchUp,
    pub spent: Spent,
    pub failed: Option<BenchError>,
}

/// What the reading took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Of all threads.
    pub cpu_ns: u64,
    /// The share of its time that a thread worked, from 0 to 1: of several the one that did most.
    pub busy: f64,
}

impl Spent {
    /// Of one thread that took so long.
    pub fn new(cpu_ns: u64, took_ns: u64) -> Spent {
        Spent { cpu_ns, busy: cpu_ns as f64 / took_ns.max(1) as f64 }
    }

    pub fn and(self, other: Spent) -> Spent {
        Spent { cpu_ns: self.cpu_ns + other.cpu_ns, busy: self.busy.max(other.busy) }
    }
}

#[derive(Debug)]
pub struct Intake {
    run: u32,
    /// Records due from then on are measured.
    warm_ns: u64,
    checker: Checker,
    /// When the reading began.
    since_ns: u64,
    /// Records of this run that came, again or not.
    came: u64,
    foreign: u64,
    catch_up: CatchUp,
}

impl Intake {
    pub fn new(plan: &Plan, run: u32, warm_ns: u64) -> Intake {
        let checker = Checker::new(plan.clients as usize, plan.partitions as usize);
        Intake { run, warm_ns, checker, since_ns: 0, came: 0, foreign: 0, catch_up: CatchUp::default() }
    }

    /// The reading begins: what is due before is stored already.
    pub fn begin(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    pub fn see(&mut self, partition: i32, value: &[u8], now_ns: u64, stretch: &mut Stretch) {
        let Some(stamp) = Stamp::parse(value).filter(|stamp| stamp.run == self.run) else {
            self.foreign += 1;
            return;
        };
        self.checker.see(stamp.client, usize::try_from(partition).unwrap_or(usize::MAX), stamp.sequence);
        self.came += 1;
        if stamp.due_ns < self.since_ns {
            self.catch_up.records += 1;
            self.catch_up.bytes += value.len() as u64;
            self.catch_up.took = Duration::from_nanos(now_ns.saturating_sub(self.since_ns));
        }
        let tally = stretch.of(stamp.due_ns, self.warm_ns);
        tally.end_to_end.record(now_ns.saturating_sub(stamp.due_ns));
        tally.read += 1;
        tally.read_bytes += value.len() as u64;
    }

    pub fn came(&self) -> u64 {
        self.came
    }

    /// Acked records that have not come.
    pub fn missing(&self, acked: &Acked) -> u64 {
        acked.iter().map(|(client, counts)| self.checker.lost(*client, counts)).sum()
    }

    pub fn ended(self, acked: Option<&Acked>, spent: Spent, failed: Option<BenchError>) -> Read {
        Read {
            findings: self.checker.findings(),
            lost: acked.filter(|_| failed.is_none()).map_or(0, |acked| self.missing(acked)),
            foreign: self.foreign,
            catch_up: self.catch_up,
            spent,
            failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::tests::plan;

    #[test]
    fn what_was_due_before_the_reading_began_is_its_backlog() {
        let mut intake = Intake::new(&plan(), 7, 0);
        let mut stretch = Stretch::default();
        intake.begin(1_000_000);
        for (sequence, due_ns, now_ns) in [(0, 10, 1_500_000), (1, 999_999, 3_000_000), (2, 1_000_000, 3_100_000)] {
            let value = Stamp { run: 7, client: 0, sequence, due_ns }.to_bytes();
            intake.see(0, &value, now_ns, &mut stretch);
        }
        intake.see(0, b"somebody else's", 4_000_000, &mut stretch);
        let read = intake.ended(Some(&vec![(0, vec![4])]), Spent::default(), None);
        assert_eq!(read.catch_up, CatchUp { records: 2, bytes: 48, took: Duration::from_millis(2) });
        assert_eq!((read.findings.seen, read.lost, read.foreign, stretch.measured.read), (3, 1, 1, 3));
    }

    #[test]
    fn of_several_threads_the_busiest_counts_and_the_time_of_all() {
        let both = Spent::new(900, 1000).and(Spent::new(100, 1000));
        assert_eq!((both.cpu_ns, both.busy), (1000, 0.9));
    }
}
