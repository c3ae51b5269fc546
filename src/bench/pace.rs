//! When each record is due. Pure: time is an argument.
//!
//! Invariant: what is due depends on the start and the rate alone, never on when anybody asked or what was late.

use super::clock::NANOS_PER_SECOND;

/// The times at which one thread's records are due, in nanoseconds of the run's clock.
#[derive(Debug)]
pub struct Pace {
    start_ns: u64,
    every_ns: f64,
    /// The record that comes next.
    number: u64,
}

impl Pace {
    /// So many records a second, the first at `start_ns`.
    pub fn constant(per_second: f64, start_ns: u64) -> Pace {
        Pace { start_ns, every_ns: NANOS_PER_SECOND as f64 / per_second, number: 0 }
    }

    /// When the next record is due.
    pub fn next_ns(&self) -> u64 {
        // From the record's number, so that rounding does not add up.
        self.start_ns + (self.number as f64 * self.every_ns) as u64
    }

    /// The next record was made.
    pub fn advance(&mut self) {
        self.number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_gives_as_many_records_as_it_says_however_odd_it_is() {
        for rate in [0.5, 3.0, 7_001.0, 333_333.3] {
            let mut pace = Pace::constant(rate, 5);
            assert_eq!(pace.next_ns(), 5);
            let mut made = 0u64;
            while pace.next_ns() < 5 + 100 * NANOS_PER_SECOND {
                pace.advance();
                made += 1;
            }
            assert!((made as f64 - 100.0 * rate).abs() <= 1.0, "{rate}: {made}");
        }
    }

    #[test]
    fn whoever_asks_late_finds_the_same_times() {
        let mut pace = Pace::constant(1000.0, 0);
        let dues: Vec<u64> = std::iter::from_fn(|| {
            let due = pace.next_ns();
            pace.advance();
            Some(due)
        })
        .take(4)
        .collect();
        assert_eq!(dues, [0, 1_000_000, 2_000_000, 3_000_000]);
    }
}
