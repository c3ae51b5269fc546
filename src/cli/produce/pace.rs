//! So many records a second. Pure: time is an argument.
//!
//! Invariant: in any stretch of time no more are due than the rate gives, save for what was late before it.

use std::time::{Duration, Instant};

/// What was late is made up for, but no further back than this: after a pause there is no burst.
const LATE_MAX: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Pace {
    every: Duration,
    /// When the next record is due.
    next: Instant,
}

impl Pace {
    /// The first record is due at once.
    pub fn new(per_second: u32, now: Instant) -> Pace {
        Pace { every: Duration::from_secs(1) / per_second.max(1), next: now }
    }

    /// How long until the next record is due; `None` if it is.
    pub fn early(&self, now: Instant) -> Option<Duration> {
        Some(self.next.saturating_duration_since(now)).filter(|early| !early.is_zero())
    }

    pub fn sent(&mut self, now: Instant) {
        let oldest = now.checked_sub(LATE_MAX).unwrap_or(now);
        self.next = self.next.max(oldest) + self.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_the_rate_and_a_pause_is_no_debt() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(100, start);
        assert_eq!(pace.early(start), None);
        pace.sent(start);
        assert_eq!(pace.early(at(4)), Some(Duration::from_millis(6)));
        assert_eq!(pace.early(at(10)), None);
        pace.sent(at(35));
        assert_eq!(pace.early(at(35)), None, "two more were due at 20 and 30");
        pace.sent(at(10_000));
        let burst = (0..).take_while(|_| {
            let due = pace.early(at(10_000)).is_none();
            pace.sent(at(10_000));
            due
        });
        assert_eq!(burst.count(), 10);
    }
}
