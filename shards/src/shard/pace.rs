//! Keeps a task's reads and writes to so many bytes a second. Owning core only.
//!
//! Invariant: over any time, what was spent exceeds the limit by no more than one step and `SLACK`.

use std::time::Duration;

use super::timers::TICK;
use crate::runtime::Runtime;
use crate::types::Mono;

/// Shorter waits are saved up: each costs a timer.
const SLACK: Duration = Duration::from_millis(5);

pub struct Pace {
    bytes_per_second: u64,
    /// When all bytes so far are paid for.
    paid_at: Mono,
}

impl Pace {
    pub fn new(bytes_per_second: u64, now: Mono) -> Pace {
        Pace { bytes_per_second: bytes_per_second.max(1), paid_at: now }
    }

    /// Notes bytes that were moved, and waits until more may be: `limit` says how many a second, and may say another number at any
    /// time.
    pub async fn spend<R: Runtime>(&mut self, rt: &R, bytes: u64, limit: impl Fn() -> u64) {
        self.change(rt.now(), limit());
        let mut owed = self.owe(rt.now(), bytes);
        while let Some(until) = owed {
            rt.sleep_until(until.min(rt.now().after(TICK))).await;
            self.change(rt.now(), limit());
            owed = self.owe(rt.now(), 0);
        }
    }

    /// What is owed is owed at the new limit.
    fn change(&mut self, now: Mono, bytes_per_second: u64) {
        let (before, after) = (self.bytes_per_second, bytes_per_second.max(1));
        if before != after {
            self.bytes_per_second = after;
            let wait = self.paid_at.since(now).as_secs_f64() * (before as f64 / after as f64);
            self.paid_at = now.after(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        }
    }

    /// Notes bytes that were moved: until when to wait before more are, if that is worth a timer.
    pub fn owe(&mut self, now: Mono, bytes: u64) -> Option<Mono> {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.paid_at = self.paid_at.max(now).after(cost);
        (self.paid_at.since(now) > SLACK).then_some(self.paid_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::sim::Sim;

    #[test]
    fn a_limit_holds_over_many_small_steps_and_unused_time_is_not_saved_up() {
        let sim = Sim::new(1);
        let host = sim.add_host("broker");
        sim.block_on(host, |rt| async move {
            let mut pace = Pace::new(1 << 20, rt.now());
            rt.sleep_until(rt.now().after(Duration::from_secs(60))).await;
            let began = rt.now();
            for _ in 0..1_000 {
                pace.spend(&rt, 4 << 10, || 1 << 20).await;
            }
            let took = rt.now().since(began);
            // Timers are late, never early.
            let least = Duration::from_secs_f64(4_000.0 / 1024.0) - SLACK;
            assert!((least..least.mul_f64(1.02)).contains(&took), "{took:?}");
        });
    }

    #[test]
    fn a_limit_that_is_raised_acts_on_the_wait_under_way() {
        let sim = Sim::new(1);
        let host = sim.add_host("broker");
        sim.block_on(host, |rt| async move {
            let began = rt.now();
            let limit = || if rt.now().since(began) < Duration::from_secs(10) { 1 } else { 1 << 20 };
            let mut pace = Pace::new(1 << 20, began);
            // Twelve days, at first.
            pace.spend(&rt, 1 << 20, limit).await;
            let took = rt.now().since(began);
            assert!((Duration::from_secs(10)..Duration::from_secs(13)).contains(&took), "{took:?}");
        });
    }
}
