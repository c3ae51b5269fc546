//! What a run found, and whether its figures may be believed. Pure.

use std::time::Duration;

use super::checker::Findings;
use super::intake::CatchUp;
use super::latency::{Latency, QUANTILES, time_text};
use super::meter::Tally;
use super::pace::Arrivals;
use super::plan::{Load, Plan};
use super::stages::{BrokerStages, Software};
use super::usage::Usage;

/// A figure that is more than this the generator's own, and by more than a tenth, is one of the generator.
const OWN_US_MAX: u64 = 100;
const OWN_SHARE_MAX: f64 = 0.1;
/// A reader that works for more than this share of its time has no room to wait for the broker.
const READER_BUSY_MAX: f64 = 0.8;
/// Fewer records than this share of what the rate asks for, and the rate was not held.
const RATE_SHARE_MIN: f64 = 0.99;
/// Nor was it if the last ack came later than this after the end, and than this share of what was measured.
const LAST_ACK_MAX: Duration = Duration::from_secs(1);
const LAST_ACK_SHARE_MAX: f64 = 0.01;

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

    /// What was measured in it, as far as it tells.
    pub fn tally(&self) -> Tally {
        let of = |counts: &str| Latency::from_counts_text(counts).unwrap_or_default();
        Tally {
            acked: self.acked,
            acked_bytes: self.acked_bytes,
            read: self.read,
            ack: of(&self.ack_counts_us),
            end_to_end: of(&self.end_to_end_counts_us),
            ..Tally::default()
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
    /// How long after the end of the measurement the last ack came.
    pub last_ack: Duration,
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
    /// The share of its time, from 0 to 1, that a reader worked: of several the one that did most.
    pub reader_busy: f64,
    /// What the broker spent on the measured part, if its process is known or it tells.
    pub broker: Option<Usage>,
    /// Where the broker's time went meanwhile, as it says itself; otherwise why that is not known.
    pub stages: Result<BrokerStages, String>,
    /// What the broker is and how it is set, if it is a corelog that tells.
    pub software: Option<Software>,
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
    /// Acked while it was measured: what comes later the broker did not hold.
    pub fn records_per_second(&self) -> f64 {
        self.tally.acked_in_time as f64 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Bytes of values, in units of 10^6.
    pub fn megabytes_per_second(&self) -> f64 {
        self.tally.acked_bytes_in_time as f64 / 1e6 / self.measured.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What the generator spends of a processor on each record that it makes, in microseconds.
    pub fn writer_cpu_us_per_record(&self) -> f64 {
        per(self.writer_cpu, self.acked)
    }

    /// The same for each record that is read and checked.
    pub fn reader_cpu_us_per_record(&self) -> f64 {
        per(self.reader_cpu, self.findings.seen)
    }

    /// What the broker spent, where somebody asked for that.
    pub fn broker_text(&self) -> Option<String> {
        let Some(usage) = &self.broker else {
            let why = "what it spent is not known: nothing was acked, or less than a tenth of a second was looked at";
            return self.plan.broker_pid.map(|_| why.to_owned());
        };
        let (cores, bytes, records) = (usage.cores(), usage.cpu_s_per_gib(), usage.cpu_us_per_record());
        Some(format!("{cores:.2} cores, {bytes:.1} s of processor for each GiB, {records:.2} µs for each record"))
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
        doubts.extend(self.nothing());
        doubts.extend(self.lag());
        doubts.extend(self.busy_reader());
        let Load::Rate(rate) = self.plan.load else { return doubts };
        if self.overrun {
            doubts.push(
                "the broker does not keep up: so many records waited for their acks that none were made for a time; \
                 ask for a lower --rate"
                    .to_owned(),
            );
        } else if !self.is_partial() {
            doubts.extend(self.not_held(rate));
        }
        doubts
    }

    /// Quantiles of no record at all are none, and would be shown as 0 µs.
    fn nothing(&self) -> Option<String> {
        (self.tally.ack.count() == 0 && !self.is_partial()).then(|| {
            "nothing was measured: no record was made between the warm-up and the end; ask for a longer --duration, or smaller \
             bursts"
                .to_owned()
        })
    }

    /// The first of the quantiles that are shown of which too much is the generator's own.
    fn lag(&self) -> Option<String> {
        let Tally { ack, bare_ack, .. } = &self.tally;
        let own_of = |(name, quantile): (&'static str, f64)| {
            let measured = ack.quantile_us(quantile);
            let own = measured.saturating_sub(bare_ack.quantile_us(quantile));
            let too_much = own > OWN_US_MAX && own as f64 > measured as f64 * OWN_SHARE_MAX;
            too_much.then_some((name, measured, own))
        };
        let (name, measured, own) = QUANTILES.into_iter().find_map(own_of)?;
        let (measured, own) = (time_text(measured), time_text(own));
        Some(match self.plan.load {
            Load::Rate(_) => format!(
                "the generator lags: of the {measured} at {name} until the ack, {own} are its own; give it more of the machine, \
                 --threads, or a lower --rate"
            ),
            Load::Max => format!(
                "the generator is the limit: of the {measured} at {name} until the ack, acks lay unread for {own}; give it more \
                 of the machine, --threads, or a cheaper --codec"
            ),
        })
    }

    /// What was read late, or slowly, may then be so because of the reader.
    fn busy_reader(&self) -> Option<String> {
        let told = self.plan.consume && self.reader_busy > READER_BUSY_MAX;
        told.then(|| {
            format!(
                "a reader of the generator was busy for {:.0} % of its time: what is said about reading is its own limit; read \
                 with more --group-members, or say --produce-only",
                self.reader_busy * 100.0
            )
        })
    }

    /// Too few acks came while it was measured, or some much later.
    fn not_held(&self, rate: f64) -> Option<String> {
        let late_max = LAST_ACK_MAX.max(self.measured.mul_f64(LAST_ACK_SHARE_MAX));
        if (self.tally.acked_in_time as f64) < self.least_acked(rate) {
            let got = self.records_per_second();
            let after = self.last_ack.as_secs_f64();
            return Some(format!(
                "the rate was not held: {got:.0} records/s were acked of {rate:.0} that were due, and the last ack came {after:.1} s \
                 after the end"
            ));
        }
        let after = self.last_ack.as_secs_f64();
        (self.last_ack > late_max)
            .then(|| format!("the rate was not held: the last ack came {after:.1} s after the end"))
    }

    /// Records that are acked in the measured time at least when a rate is held, however they come: all that are due but for
    /// those that are on their way at the end, as the slowest requests are.
    fn least_acked(&self, rate: f64) -> f64 {
        let due = rate * self.measured.as_secs_f64();
        let varies = match self.plan.arrivals {
            Arrivals::Constant => 1.0,
            // Four standard deviations.
            Arrivals::Poisson => 4.0 * due.sqrt(),
            // One that was not begun, and one that is on its way.
            Arrivals::Bursts(of) => f64::from(of) * 2.0,
        };
        let way = Duration::from_micros(self.tally.service.quantile_us(0.99)) + self.plan.linger;
        due * RATE_SHARE_MIN - varies - rate * way.min(LAST_ACK_MAX).as_secs_f64()
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
        let mut tally = Tally { acked, acked_in_time: acked, ..Tally::default() };
        tally.ack.record_n(2_000_000 + late_us * 1000, acked);
        tally.bare_ack.record_n(2_000_000, acked);
        tally.service.record_n(1_000_000, acked);
        tally.lateness.record_n(late_us * 1000, acked);
        Outcome {
            measured: plan.duration,
            plan,
            started_ms: 0,
            tally,
            seconds: Vec::new(),
            made: acked,
            acked,
            last_ack: Duration::from_millis(2),
            findings: Findings { seen: acked, ..Findings::default() },
            lost: 0,
            foreign: 0,
            catch_up: CatchUp::default(),
            writer_cpu: Duration::from_millis(1),
            reader_cpu: Duration::ZERO,
            reader_busy: 0.0,
            broker: None,
            stages: Err("not asked".to_owned()),
            software: None,
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
    fn a_generator_that_lags_at_any_quantile_that_is_shown_is_told_with_it() {
        for (records, quantile) in [(600, "p50"), (150, "p90"), (20, "p99"), (8, "p99.9"), (1, "p99.99")] {
            // The broker takes 0.4 ms always, and so many records in a thousand were made 240 ms late.
            let mut run = outcome(Arrivals::Constant, 1000, 0);
            run.tally.ack = Latency::default();
            run.tally.ack.record_n(400_000, 1000 - records);
            run.tally.ack.record_n(240_400_000, records);
            run.tally.bare_ack = Latency::default();
            run.tally.bare_ack.record_n(400_000, 1000);
            let doubts = run.doubts();
            assert!(doubts.len() == 1 && doubts[0].contains(&format!("at {quantile} ")), "{records}: {doubts:?}");
        }
        let mut run = outcome(Arrivals::Constant, 100_000, 0);
        run.measured = Duration::from_secs(100);
        run.tally.ack.record_n(240_400_000, 1);
        run.tally.bare_ack.record_n(400_000, 1);
        assert!(run.doubts().iter().any(|why| why.contains("at max ")), "{:?}", run.doubts());
        // What is slow because the broker is, stays believable.
        run.tally.bare_ack.record_n(230_400_000, 1);
        assert!(run.is_valid(), "{:?}", run.doubts());
    }

    #[test]
    fn acks_that_a_closed_loop_left_unread_and_readers_without_a_pause_are_told() {
        let mut run = outcome(Arrivals::Constant, 1000, 5000);
        run.plan.load = Load::Max;
        assert!(run.doubts().iter().any(|why| why.contains("acks lay unread for 5.00 ms")), "{:?}", run.doubts());
        let mut run = outcome(Arrivals::Constant, 1000, 0);
        run.reader_busy = 0.9;
        assert!(run.doubts().iter().any(|why| why.contains("busy for 90 %")), "{:?}", run.doubts());
        run.plan.consume = false;
        assert!(run.is_valid(), "nothing is said about reading");
    }

    #[test]
    fn acks_that_come_after_the_end_are_no_throughput() {
        let mut run = outcome(Arrivals::Constant, 1000, 0);
        run.tally.acked_in_time = 600;
        run.last_ack = Duration::from_millis(700);
        let doubts = run.doubts();
        assert_eq!(run.records_per_second(), 600.0);
        assert!(doubts.len() == 1 && doubts[0].contains("600 records/s were acked of 1000"), "{doubts:?}");
        // As many as are on their way when requests take so long, are missing in any run without a warm-up.
        run.tally.service.record_n(400_000_000, 1000);
        assert!(run.is_valid(), "{:?}", run.doubts());
        run.last_ack = Duration::from_millis(1001);
        assert!(run.doubts().iter().any(|why| why.contains("the last ack came 1.0 s after")), "{:?}", run.doubts());
    }

    #[test]
    fn a_rate_that_was_not_held_makes_the_run_invalid_unless_chance_explains_it() {
        assert!(!outcome(Arrivals::Constant, 970, 0).is_valid());
        assert!(outcome(Arrivals::Poisson, 970, 0).is_valid());
        assert!(!outcome(Arrivals::Poisson, 800, 0).is_valid());
    }

    #[test]
    fn a_run_that_measured_nothing_is_invalid_however_little_was_due_for_sure() {
        for load in [Load::Rate(1000.0), Load::Max] {
            let mut run = outcome(Arrivals::Bursts(500), 0, 0);
            run.plan.load = load;
            let doubts = run.doubts();
            assert!(doubts.len() == 1 && doubts[0].contains("nothing was measured"), "{doubts:?}");
            // Of one that broke off nothing else is expected, and that is told.
            run.failures.push("it broke".to_owned());
            assert!(!run.is_valid() && run.doubts().is_empty(), "{:?}", run.doubts());
        }
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
