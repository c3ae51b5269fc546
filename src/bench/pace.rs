//! When each record is due. Pure: time is an argument.
//!
//! Invariant: what is due depends on the start and the rate alone, never on when anybody asked or what was late.

use super::clock::NANOS_PER_SECOND;
use super::random::Random;

/// How the records of a rate are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// At random and independent of each other, as from many unrelated sources.
    Poisson,
    /// So many at once, then none until as many are due again.
    Bursts(u32),
}

impl Arrivals {
    /// As the flag has it: `constant`, `poisson`, `bursts:N`. `None`: it is none of them.
    pub fn parse(text: &str) -> Option<Arrivals> {
        match (text, text.strip_prefix("bursts:").map(str::parse)) {
            ("constant", _) => Some(Arrivals::Constant),
            ("poisson", _) => Some(Arrivals::Poisson),
            (_, Some(Ok(of @ 1..))) => Some(Arrivals::Bursts(of)),
            _ => None,
        }
    }

    /// As the flag has it.
    pub fn text(self) -> String {
        match self {
            Arrivals::Constant => "constant".to_owned(),
            Arrivals::Poisson => "poisson".to_owned(),
            Arrivals::Bursts(of) => format!("bursts:{of}"),
        }
    }
}

/// The times at which one thread's records are due, in nanoseconds of the run's clock.
#[derive(Debug)]
pub struct Pace {
    start_ns: u64,
    every_ns: f64,
    arrivals: Arrivals,
    /// The record that comes next.
    number: u64,
    /// Since the start, of a Poisson process.
    elapsed_ns: f64,
    random: Random,
}

impl Pace {
    /// So many records a second on average, from `start_ns` on.
    pub fn new(arrivals: Arrivals, per_second: f64, start_ns: u64, random: Random) -> Pace {
        let every_ns = NANOS_PER_SECOND as f64 / per_second;
        Pace { start_ns, every_ns, arrivals, number: 0, elapsed_ns: 0.0, random }
    }

    /// When the next record is due.
    pub fn next_ns(&self) -> u64 {
        // From the record's number where that can be, so that rounding does not add up.
        let elapsed_ns = match self.arrivals {
            Arrivals::Constant => self.number as f64 * self.every_ns,
            Arrivals::Poisson => self.elapsed_ns,
            Arrivals::Bursts(of) => (self.number - self.number % u64::from(of.max(1))) as f64 * self.every_ns,
        };
        self.start_ns + elapsed_ns as u64
    }

    /// The time between two records, if they come one by one.
    pub fn even_ns(&self) -> Option<f64> {
        (!matches!(self.arrivals, Arrivals::Bursts(_))).then_some(self.every_ns)
    }

    /// The next record was made.
    pub fn advance(&mut self) {
        self.number += 1;
        if self.arrivals == Arrivals::Poisson {
            self.elapsed_ns -= self.random.share().ln() * self.every_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(arrivals: Arrivals, per_second: f64, until_ns: u64) -> Vec<u64> {
        let mut pace = Pace::new(arrivals, per_second, 5, Random::new(1));
        let due = || {
            let due = pace.next_ns();
            pace.advance();
            Some(due)
        };
        std::iter::from_fn(due).take_while(|due| *due < until_ns).collect()
    }

    #[test]
    fn a_constant_rate_gives_as_many_records_as_it_says_however_odd_it_is() {
        for rate in [0.5, 3.0, 7_001.0, 33_333.3] {
            let made = dues(Arrivals::Constant, rate, 5 + 100 * NANOS_PER_SECOND).len();
            assert!((made as f64 - 100.0 * rate).abs() <= 1.0, "{rate}: {made}");
        }
    }

    #[test]
    fn constant_records_are_due_at_even_times_and_bursts_all_at_once() {
        let until = 5 + 4_000_000;
        assert_eq!(dues(Arrivals::Constant, 1000.0, until), [5, 1_000_005, 2_000_005, 3_000_005]);
        assert_eq!(dues(Arrivals::Bursts(2), 1000.0, until), [5, 5, 2_000_005, 2_000_005]);
    }

    #[test]
    fn random_arrivals_hold_the_rate_and_their_gaps_vary_as_much_as_they_last() {
        let dues = dues(Arrivals::Poisson, 1000.0, 100 * NANOS_PER_SECOND);
        assert!((99_000..101_000).contains(&dues.len()), "{}", dues.len());
        let gaps: Vec<f64> = dues.windows(2).map(|two| (two[1] - two[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{} of {mean}", variance.sqrt());
    }
}
