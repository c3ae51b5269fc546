//! The last slow requests of one core, each with where its time went. Owning core only.
//!
//! Invariant: at most [`KEPT`] are kept; the oldest goes first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use shards::router::{Stage, Trace};

/// Of each core. Some 400 bytes each.
const KEPT: usize = 64;

/// A request that took longer than `slow.request.ms`, the wait of a fetch for records left out.
#[derive(Clone, Debug)]
pub struct SlowRequest {
    /// Kafka's name.
    pub api: &'static str,
    pub peer: SocketAddr,
    /// When its reply had left, milliseconds since 1970.
    pub ended_ms: i64,
    pub total: Duration,
    /// In order; they add up to `total`.
    pub steps: Vec<(Stage, Duration)>,
}

pub struct Slow {
    threshold: Duration,
    kept: RefCell<VecDeque<SlowRequest>>,
}

impl Slow {
    pub fn new(threshold: Duration) -> Slow {
        Slow { threshold, kept: RefCell::default() }
    }

    /// Keeps a request that is over, if it was slow.
    pub fn ended(&self, trace: &Trace, peer: SocketAddr, wall_ms: impl FnOnce() -> i64) {
        if trace.busy() < self.threshold {
            return;
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(SlowRequest {
            api: trace.api(),
            peer,
            ended_ms: wall_ms(),
            total: trace.total(),
            steps: trace.steps(),
        });
    }

    /// Oldest first.
    pub fn kept(&self) -> Vec<SlowRequest> {
        self.kept.borrow().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use shards::router::Class;
    use shards::types::Mono;

    use super::*;

    #[test]
    fn the_last_of_the_slow_ones_are_kept() {
        let slow = Slow::new(Duration::from_nanos(100));
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        for nanos in (0..200).chain([99]) {
            let trace = Trace::new(Mono(0));
            trace.name("Produce", Class::Produce);
            trace.step(Stage::WriteSync, Mono(nanos));
            slow.ended(&trace, peer, || nanos as i64);
        }
        let kept = slow.kept();
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].ended_ms, kept[KEPT - 1].ended_ms), (136, 199));
        assert_eq!(kept[0].steps, [(Stage::WriteSync, Duration::from_nanos(136))]);
    }

    #[test]
    fn a_fetch_that_waits_for_records_is_not_slow() {
        let slow = Slow::new(Duration::from_nanos(100));
        let trace = Trace::new(Mono(0));
        trace.step(Stage::Wait, Mono(500));
        trace.step(Stage::ReadMemory, Mono(550));
        slow.ended(&trace, SocketAddr::from(([127, 0, 0, 1], 9)), || 0);
        assert!(slow.kept().is_empty());
    }
}
