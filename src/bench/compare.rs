//! Two brokers under the same load, in turn, and whether they differ by more than the rounds do among themselves.
//!
//! Invariant: rounds alternate which broker is first, so that what changes with time favours neither.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::BenchError;
use super::outcome::{Outcome, Second};
use super::plan::Plan;
use super::run::run;

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
}

impl Ratio {
    /// Some rounds say that A has more of it, and some that B has: nothing is shown.
    pub fn is_noise(&self) -> bool {
        (self.least..=self.most).contains(&1.0)
    }

    pub fn verdict(&self) -> &'static str {
        match self.median {
            _ if self.is_noise() => "within noise: rounds disagree",
            median if median < 1.0 => "A has less, in every round",
            _ => "A has more, in every round",
        }
    }
}

/// Runs the plan against both brokers so many times; ends early when `stop` says so, and when a run cannot begin: then with
/// what was measured and why. `tell` hears of each second.
pub fn compare(
    plan: &Plan,
    brokers: [&str; 2],
    rounds: u32,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&str, &Second),
) -> (Vec<[Outcome; 2]>, Option<BenchError>) {
    let mut done = Vec::new();
    let [a, b] = brokers;
    for round in 0..rounds {
        let mut one = |broker: &str| {
            let plan = Plan { bootstrap: broker.to_owned(), ..plan.clone() };
            run(&plan, stop, &mut |second| tell(broker, second))
        };
        let mut pair = || -> Result<[Outcome; 2], BenchError> {
            if round % 2 == 0 {
                let first = one(a)?;
                return Ok([first, one(b)?]);
            }
            let first = one(b)?;
            Ok([one(a)?, first])
        };
        match pair() {
            Ok(_) if stop.load(Ordering::Relaxed) => break,
            Ok(pair) => done.push(pair),
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
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
    Some(Ratio { name, unit, a: median(&a)?, b: median(&b)?, median: median(&over)?, least, most })
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

    #[test]
    fn rounds_that_disagree_are_noise_and_rounds_that_agree_are_not() {
        let noise = ratio("x", "µs", &[[10.0, 11.0], [10.0, 9.0], [10.0, 10.0]]).expect("a ratio");
        assert!(noise.is_noise() && noise.median == 1.0, "{noise:?}");
        let real = ratio("x", "µs", &[[5.0, 10.0], [6.0, 10.0], [4.0, 10.0], [5.0, 10.0]]).expect("a ratio");
        assert!(!real.is_noise(), "{real:?}");
        assert_eq!((real.a, real.b, real.median, real.least, real.most), (5.0, 10.0, 0.5, 0.4, 0.6));
    }

    #[test]
    fn a_figure_that_some_run_lacks_has_no_ratio() {
        assert_eq!(ratio("x", "µs", &[[0.0, 1.0]]), None);
        assert_eq!(ratio("x", "µs", &[]), None);
    }
}
