//! What a run found, and whether its figures may be believed. Pure.

use std::time::Duration;

use super::checker::Findings;
use super::intake::CatchUp;
use super::meter::Tally;
use super::pace::Arrivals;
use super::plan::{Load, Plan};
use super::stages::BrokerStages;
use super::usage::Usage;

/// A generator that is later than this, and by more than a tenth of what it measures, measures itself.
const LATENESS_US_MAX: u64 = 1000;
const LATENESS_SHARE_MAX: f64 = 0.1;
/// Fewer records than this share of what the rate asks for, and the rate was not held.
const RATE_SHARE_MIN: f64 = 0.99;

/// One second of a run, for the picture over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Second {
    /// Since the start, warm-up included; its end.
    pub at_s: f64,
    pub acked: u64,
    pub acked_bytes: u64,
    pub read: u64,
    pub ack_p50_us: u64,
    pub ack_p99_us: u64,
    pub ack_max_us: u64,
    pub end_to_end_p50_us: u64,
    pub end_to_end_p99_us: u64,
    /// What these are the quantiles of, see [`Latency::counts_text`].
    pub ack_counts_us: String,
    pub end_to_end_counts_us: String,
}

impl Second {
    /// The second that ends then, of what was measured in it.
    pub fn of(at_s: f64, tally: &Tally) -> Second {
        Second {
            at_s,
            acked: tally.acked,
            acked_bytes: tally.acked_bytes,
            read: tally.read,
            ack_p50_us: tally.ack.quantile_us(0.5),
            ack_p99_us: tally.ack.quantile_us(0.99),
            ack_max_us: tally.ack.max_us(),
            end_to_end_p50_us: tally.end_to_end.quantile_us(0.5),
            end_to_end_p99_us: tally.end_to_end.quantile_us(0.99),
            ack_counts_us: tally.ack.counts_text(),
            end_to_end_counts_us: tally.end_to_end.counts_text(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Outcome {
    pub plan: Plan,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// How long was measured; shorter than planned in a run that broke off.
    pub measured: Duration,
    pub tally: Tally,
    pub seconds: Vec<Second>,
    /// Records of the whole run, warm-up included.
    pub made: u64,
    pub acked: u64,
    pub findings: Findings,
    /// Acked, and never read.
    pub lost: u64,
    /// Records of others in the same topic.
    pub foreign: u64,
    /// How the readers dealt with what was stored before they began.
    pub catch_up: CatchUp,
    /// Of the threads that write and of those that read, over the whole run.
    pub writer_cpu: Duration,
    pub reader_cpu: Duration,
    /// What the broker spent on the measured part, if its process is known.
    pub broker: Option<Usage>,
    /// Where the broker's time went meanwhile, as it says itself; otherwise why that is not known.
    pub stages: Result<BrokerStages, String>,
    /// No record was made for a time, because too many had no ack yet.
    pub overrun: bool,
    /// What ended the run early, or kept records from being checked.
    pub failures: Vec<String>,
    /// The results that this one was made of; none of a run itself.
    pub merged_from: Vec<String>,
    /// Why one of those does not say what it was to find out.
    pub merged_doubts: Vec<String>,
}

impl Outcome {
    pub fn records_per_second(&self) -> f64 {
        self.tally.acked as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Bytes of values, in units of 10^6.
    pub fn megabytes_per_second(&self) -> f64 {
        self.tally.acked_bytes as f64 / 1e6 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What the generator spends of a processor on each record that it makes, in microseconds.
    pub fn writer_cpu_us_per_record(&self) -> f64 {
        per(self.writer_cpu, self.acked)
    }

    /// The same for each record that is read and checked.
    pub fn reader_cpu_us_per_record(&self) -> f64 {
        per(self.reader_cpu, self.findings.seen)
    }

    /// It broke off before its end; its figures are of what came until then.
    pub fn is_partial(&self) -> bool {
        !self.failures.is_empty()
    }

    /// What the broker did that no broker may do.
    pub fn faults(&self) -> Vec<String> {
        let Findings { duplicated, reordered, .. } = self.findings;
        let faults = [
            (self.lost, "acked and never came"),
            (duplicated, "came more than once"),
            (reordered, "came out of order"),
        ];
        let found = faults.into_iter().filter(|(count, _)| *count > 0);
        found.map(|(count, what)| format!("{count} record{} {what}", if count == 1 { "" } else { "s" })).collect()
    }

    /// Why the figures do not say what the run was to find out.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = self.merged_doubts.clone();
        let Load::Rate(rate) = self.plan.load else { return doubts };
        let late = self.tally.lateness.quantile_us(0.99);
        let measured = self.tally.ack.quantile_us(0.99);
        if late > LATENESS_US_MAX && late as f64 > measured as f64 * LATENESS_SHARE_MAX {
            doubts.push(format!(
                "the generator lags: one record in a hundred was made {late} µs or more after it was due, of {measured} µs \
                 measured; give it more of the machine, --threads, or a lower --rate"
            ));
        }
        if self.overrun {
            doubts.push(
                "the broker does not keep up: so many records waited for their acks that none were made for a time; \
                 ask for a lower --rate"
                    .to_owned(),
            );
        } else if !self.is_partial() && (self.tally.acked as f64) < self.least_due(rate) {
            let got = self.records_per_second();
            doubts.push(format!("the rate was not held: {got:.0} records/s were acked of {rate:.0} that were due"));
        }
        doubts
    }

    /// Records that a rate makes in the measured time at least, however they come.
    fn least_due(&self, rate: f64) -> f64 {
        let due = rate * self.measured.as_secs_f64();
        let varies = match self.plan.arrivals {
            Arrivals::Constant => 1.0,
            // Four standard deviations.
            Arrivals::Poisson => 4.0 * due.sqrt(),
            Arrivals::Bursts(of) => f64::from(of) * f64::from(self.plan.threads),
        };
        due * RATE_SHARE_MIN - varies
    }

    /// It is told how fast readers caught up: they were to begin late.
    pub fn has_backlog(&self) -> bool {
        let late = !self.plan.consume || !self.plan.read_after.is_zero();
        late && self.catch_up.records > 0
    }

    /// Whole, believable, and without a fault.
    pub fn is_valid(&self) -> bool {
        !self.is_partial() && self.faults().is_empty() && self.doubts().is_empty()
    }
}

fn per(cpu: Duration, records: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / (records.max(1) as f64)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A second at 1000 records/s, each acked after 2 ms and made late by so much.
    pub fn outcome(arrivals: Arrivals, acked: u64, late_us: u64) -> Outcome {
        let plan = Plan { arrivals, ..crate::bench::plan::tests::plan() };
        let mut tally = Tally { acked, ..Tally::default() };
        tally.ack.record_n(2_000_000 + late_us * 1000, acked);
        tally.lateness.record_n(late_us * 1000, acked);
        Outcome {
            measured: plan.duration,
            plan,
            started_ms: 0,
            tally,
            seconds: Vec::new(),
            made: acked,
            acked,
            findings: Findings { seen: acked, ..Findings::default() },
            lost: 0,
            foreign: 0,
            catch_up: CatchUp::default(),
            writer_cpu: Duration::from_millis(1),
            reader_cpu: Duration::ZERO,
            broker: None,
            stages: Err("not asked".to_owned()),
            overrun: false,
            failures: Vec::new(),
            merged_from: Vec::new(),
            merged_doubts: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_is_whole_on_time_and_without_a_fault_is_valid() {
        let run = outcome(Arrivals::Constant, 1000, 100);
        assert!(run.is_valid(), "{:?} {:?}", run.faults(), run.doubts());
        assert_eq!((run.records_per_second(), run.writer_cpu_us_per_record()), (1000.0, 1.0));
    }

    #[test]
    fn a_generator_that_lags_makes_the_run_invalid() {
        let doubts = outcome(Arrivals::Constant, 1000, 5000).doubts();
        assert!(doubts.len() == 1 && doubts.iter().all(|why| why.contains("the generator lags")), "{doubts:?}");
    }

    #[test]
    fn a_rate_that_was_not_held_makes_the_run_invalid_unless_chance_explains_it() {
        assert!(!outcome(Arrivals::Constant, 970, 0).is_valid());
        assert!(outcome(Arrivals::Poisson, 970, 0).is_valid());
        assert!(!outcome(Arrivals::Poisson, 800, 0).is_valid());
    }

    #[test]
    fn one_lost_repeated_or_reordered_record_fails_the_run() {
        let planted: [fn(&mut Outcome); 3] =
            [|run| run.lost = 1, |run| run.findings.duplicated = 1, |run| run.findings.reordered = 1];
        for plant in planted {
            let mut run = outcome(Arrivals::Constant, 1000, 0);
            plant(&mut run);
            assert!(run.faults().len() == 1 && !run.is_valid(), "{:?}", run.faults());
        }
    }
}
