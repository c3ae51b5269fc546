//! Two brokers under the same load, in turn, and whether they differ by more than the rounds do among themselves.
//!
//! Invariant: rounds alternate which broker is first, so that what changes with time favours neither. What was measured is
//! kept, however a comparison ends.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::BenchError;
use super::outcome::{Outcome, Second};
use super::plan::Plan;
use super::run::run;
use super::setup::Setup;

/// One figure of A over that of B.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratio {
    pub name: &'static str,
    pub unit: &'static str,
    /// Medians over the rounds.
    pub a: f64,
    pub b: f64,
    /// A over B, round by round: the middle, the least and the most of them.
    pub median: f64,
    pub least: f64,
    pub most: f64,
    /// The rounds show a difference: it is large beside what they differ by among themselves.
    differs: bool,
}

impl Ratio {
    /// Brokers that are equal come out like this, too.
    pub fn is_noise(&self) -> bool {
        !self.differs
    }

    pub fn verdict(&self) -> &'static str {
        match self.median {
            _ if self.is_noise() => "within noise",
            median if median < 1.0 => "A has less",
            _ => "A has more",
        }
    }
}

/// What was measured of two brokers, A and B.
#[derive(Default)]
pub struct Comparison {
    /// Whole rounds.
    pub rounds: Vec<[Outcome; 2]>,
    /// Of the round that was not ended: which broker, and its run, which may be partial itself.
    pub odd: Vec<(usize, Outcome)>,
    /// There are fewer rounds than were wanted.
    pub stopped: bool,
    /// Why a run could not begin.
    pub failed: Option<BenchError>,
}

impl Comparison {
    /// Any of the runs.
    pub fn first(&self) -> Option<&Outcome> {
        self.rounds.first().map(|[a, _]| a).or_else(|| self.odd.first().map(|(_, run)| run))
    }

    pub fn is_partial(&self) -> bool {
        self.stopped || self.failed.is_some()
    }
}

/// Runs the plan against both brokers so many times; ends early when `stop` says so, and when a run cannot begin. `tell`
/// hears of each second.
pub fn compare(
    plan: &Plan,
    brokers: [&str; 2],
    rounds: u32,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&str, &Second),
) -> Comparison {
    let of = |broker: usize| Plan { bootstrap: brokers[broker].to_owned(), ..plan.clone() };
    // Whatever can be wrong with either is known before anything is measured.
    let ready = |broker| {
        let plan = of(broker);
        plan.check().map_err(BenchError::Plan)?;
        Setup::new(&plan).map(|_| ())
    };
    if let Err(e) = ready(0).and_then(|()| ready(1)) {
        return Comparison { failed: Some(e), ..Comparison::default() };
    }
    in_turn(rounds, stop, &mut |broker| run(&of(broker), stop, &mut |second| tell(brokers[broker], second)))
}

fn in_turn(rounds: u32, stop: &AtomicBool, run: &mut dyn FnMut(usize) -> Result<Outcome, BenchError>) -> Comparison {
    let mut done = Comparison::default();
    for round in 0..rounds {
        for broker in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            match run(broker) {
                Ok(outcome) => done.odd.push((broker, outcome)),
                Err(e) => done.failed = Some(e),
            }
            done.stopped = stop.load(Ordering::Relaxed);
            if done.is_partial() {
                return done;
            }
        }
        done.odd.sort_by_key(|(broker, _)| *broker);
        let pair = std::mem::take(&mut done.odd).into_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>();
        let Ok(pair) = pair.try_into() else { unreachable!("both were run") };
        done.rounds.push(pair);
    }
    done
}

/// What is compared: name, unit, and the figure of a run; 0 where it has none.
const FIGURES: &[(&str, &str, fn(&Outcome) -> f64)] = &[
    ("records", "/s", Outcome::records_per_second),
    ("ack p50", "µs", |run| run.tally.ack.quantile_us(0.5) as f64),
    ("ack p99", "µs", |run| run.tally.ack.quantile_us(0.99) as f64),
    ("ack p99.9", "µs", |run| run.tally.ack.quantile_us(0.999) as f64),
    ("end to end p50", "µs", |run| run.tally.end_to_end.quantile_us(0.5) as f64),
    ("end to end p99", "µs", |run| run.tally.end_to_end.quantile_us(0.99) as f64),
];

/// The ratios of all figures that every run has.
pub fn ratios(rounds: &[[Outcome; 2]]) -> Vec<Ratio> {
    let figure = |&(name, unit, of): &(&'static str, &'static str, fn(&Outcome) -> f64)| {
        let pairs: Vec<[f64; 2]> = rounds.iter().map(|[a, b]| [of(a), of(b)]).collect();
        ratio(name, unit, &pairs)
    };
    FIGURES.iter().filter_map(figure).collect()
}

fn ratio(name: &'static str, unit: &'static str, pairs: &[[f64; 2]]) -> Option<Ratio> {
    if pairs.iter().flatten().any(|value| *value <= 0.0) {
        return None;
    }
    let a = sorted(pairs.iter().map(|pair| pair[0]));
    let b = sorted(pairs.iter().map(|pair| pair[1]));
    let over = sorted(pairs.iter().map(|pair| pair[0] / pair[1]));
    let (least, most) = (*over.first()?, *over.last()?);
    Some(Ratio {
        name,
        unit,
        a: median(&a)?,
        b: median(&b)?,
        median: median(&over)?,
        least,
        most,
        differs: differ(&over, step(pairs)),
    })
}

/// Student's t that equal brokers exceed in one comparison of a hundred, by the number of rounds, from two on; more rounds
/// than there are here are held to the last.
const T_OF_ROUNDS: [f64; 29] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921,
    2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756,
];

/// Latencies are whole microseconds, and above 2048 of them have three digits.
const STEP_MIN: f64 = 1.0 / 2048.0;

/// What a figure can be off by, as a share of it, because it is rounded.
fn step(pairs: &[[f64; 2]]) -> f64 {
    let least = pairs.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    (1.0 / least).max(STEP_MIN)
}

/// Whether ratios of rounds tell two brokers apart: the mean of their logarithms, of which a ratio and its inverse have the same
/// but for the sign, is far from 0 by Student's test. That all rounds agree would not be enough: five rounds of equal brokers do
/// so in one of 16 comparisons, and a table has six figures. Nor is it needed: of forty rounds one may well disagree. Rounds whose
/// figures are rounded to the same do not scatter, and are not as sure as that looks: each is taken to be off by one step.
fn differ(ratios: &[f64], step: f64) -> bool {
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    let rounds = logs.len();
    let Some(&needed) = rounds.checked_sub(2).and_then(|at| T_OF_ROUNDS.get(at.min(T_OF_ROUNDS.len() - 1))) else {
        return false;
    };
    let mean = logs.iter().sum::<f64>() / rounds as f64;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let error = (squares / (rounds - 1) as f64 / rounds as f64).sqrt();
    mean.abs() > needed * error.max(step / (rounds as f64).sqrt())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::tests::outcome;
    use crate::bench::pace::Arrivals;
    use crate::bench::random::Random;

    #[test]
    fn what_was_measured_is_kept_when_the_other_broker_fails_or_somebody_stops_it() {
        let measured = |records| outcome(Arrivals::Constant, records, 100);
        let compared = |ends: &dyn Fn(usize, &AtomicBool) -> bool| {
            let (stop, mut number) = (AtomicBool::new(false), 0);
            in_turn(2, &stop, &mut |broker| {
                number += 1;
                let failed = || BenchError::Plan("it cannot begin".to_owned());
                if ends(number, &stop) { Ok(measured(100 + broker as u64)) } else { Err(failed()) }
            })
        };
        let shape = |done: &Comparison| {
            let odd: Vec<usize> = done.odd.iter().map(|(broker, _)| *broker).collect();
            let acked = |outcome: &Outcome| outcome.acked;
            let rounds: Vec<[u64; 2]> = done.rounds.iter().map(|pair| pair.each_ref().map(acked)).collect();
            (rounds, odd, done.is_partial())
        };
        let whole = compared(&|_, _| true);
        assert_eq!(shape(&whole), (vec![[100, 101]; 2], vec![], false));
        let failed = compared(&|number, _| number < 4);
        assert_eq!(shape(&failed), (vec![[100, 101]], vec![1], true));
        assert!(failed.failed.is_some() && !failed.stopped);
        let stopped = compared(&|number, stop| {
            stop.store(number == 2, Ordering::Relaxed);
            true
        });
        assert_eq!(shape(&stopped), (vec![], vec![0, 1], true));
    }

    #[test]
    fn what_rounds_differ_by_among_themselves_is_noise_between_brokers() {
        let noise = ratio("x", "µs", &[[10.0, 11.0], [10.0, 9.0], [10.0, 10.0]]).expect("a ratio");
        assert!(noise.is_noise() && noise.median == 1.0, "{noise:?}");
        let chance = ratio("x", "µs", &[[10.1, 10.0], [15.0, 10.0], [10.2, 10.0], [10.1, 10.0], [19.0, 10.0]]);
        assert!(chance.expect("a ratio").is_noise(), "five that agree by chance");
        assert!(
            ratio("x", "µs", &[[5.0, 10.0]]).expect("a ratio").is_noise(),
            "one round has nothing to be held against"
        );
        let rounds = [[500.0, 1000.0], [600.0, 1000.0], [400.0, 1000.0], [500.0, 1000.0]];
        let real = ratio("x", "µs", &rounds).expect("a ratio");
        assert!(!real.is_noise(), "{real:?}");
        assert_eq!((real.a, real.b, real.median, real.least, real.most), (500.0, 1000.0, 0.5, 0.4, 0.6));
    }

    /// Of comparisons whose rounds scatter by so much around a ratio, the share that tells the brokers apart.
    fn told_apart(ratio: f64, scatter: f64, rounds: usize) -> f64 {
        let mut random = Random::new(7);
        // Twelve shares of chance add up to something close to a normal distribution.
        let mut log = || ratio.ln() + scatter * ((0..12).map(|_| random.share()).sum::<f64>() - 6.0);
        let mut comparison = || (0..rounds).map(|_| log().exp()).collect::<Vec<f64>>();
        (0..20_000).filter(|_| differ(&comparison(), 0.0)).count() as f64 / 20_000.0
    }

    #[test]
    fn equal_brokers_whose_figures_are_rounded_are_not_told_apart_by_that() {
        let mut random = Random::new(7);
        for (middle, scatter, rounds) in [(100.0, 0.5, 2), (100.0, 1.0, 3), (250.0, 1.0, 2), (400.0, 0.7, 3)] {
            let mut figure = || {
                let normal = (0..12).map(|_| random.share()).sum::<f64>() - 6.0;
                f64::round(middle + 0.4 + scatter * normal)
            };
            let mut comparison = || (0..rounds).map(|_| [figure(), figure()]).collect::<Vec<[f64; 2]>>();
            let apart = (0..20_000).filter(|_| ratio("x", "µs", &comparison()).is_some_and(|ratio| !ratio.is_noise()));
            let wrong = apart.count() as f64 / 20_000.0;
            assert!(wrong < 0.012, "{rounds} rounds at {middle} µs: {wrong}");
        }
    }

    #[test]
    fn equal_brokers_are_told_apart_in_one_of_a_hundred_comparisons_and_others_nearly_always() {
        for rounds in [2, 3, 5, 10, 40] {
            let wrong = told_apart(1.0, 0.2, rounds);
            assert!(wrong < 0.012, "{rounds} rounds: {wrong}");
        }
        assert!(told_apart(1.1, 0.02, 5) > 0.95);
        assert!(told_apart(1.1, 0.05, 10) > 0.9);
    }

    #[test]
    fn a_figure_that_some_run_lacks_has_no_ratio() {
        assert_eq!(ratio("x", "µs", &[[0.0, 1.0]]), None);
        assert_eq!(ratio("x", "µs", &[]), None);
    }
}
