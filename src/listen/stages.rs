//! How long a request takes in the hands of `listen`, as histograms in microseconds. Owning core only.

use std::cell::RefCell;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time told apart, in µs: ten minutes. What takes longer counts as that.
const MICROS_MAX: u64 = 600_000_000;

/// The histograms of one core.
pub struct Stages {
    first_stage: RefCell<Histogram<u64>>,
    reply: RefCell<Histogram<u64>>,
    whole: RefCell<Histogram<u64>>,
}

impl Default for Stages {
    fn default() -> Stages {
        Stages { first_stage: histogram(), reply: histogram(), whole: histogram() }
    }
}

impl Stages {
    /// A request was decoded, checked and handed to the owners of its partitions.
    pub fn first_stage(&self, took: Duration) {
        record(&self.first_stage, took);
    }

    /// Replies were written in one go: how long that took, and for each of them the time since its request came.
    pub fn written(&self, took: Duration, whole: impl Iterator<Item = Duration>) {
        record(&self.reply, took);
        for time in whole {
            record(&self.whole, time);
        }
    }

    /// Name and histogram (µs) of each stage: `decode` up to the hand-over, `reply` the write to the socket, `request`
    /// from the last byte of a request to the last of its reply (a fetch that waits for records waits in it).
    pub fn snapshot(&self) -> [(&'static str, Histogram<u64>); 3] {
        [
            ("decode", self.first_stage.borrow().clone()),
            ("reply", self.reply.borrow().clone()),
            ("request", self.whole.borrow().clone()),
        ]
    }
}

fn histogram() -> RefCell<Histogram<u64>> {
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    RefCell::new(Histogram::new_with_bounds(1, MICROS_MAX, 2).expect("the bounds are valid"))
}

fn record(histogram: &RefCell<Histogram<u64>>, took: Duration) {
    let micros = u64::try_from(took.as_micros()).unwrap_or(MICROS_MAX);
    histogram.borrow_mut().saturating_record(micros);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_scale_count_as_its_end() {
        let stages = Stages::default();
        stages.first_stage(Duration::ZERO);
        stages.first_stage(Duration::from_micros(10));
        stages.written(Duration::from_secs(100_000), [Duration::MAX].into_iter());
        let [(_, decode), (_, reply), (_, request)] = stages.snapshot();
        assert_eq!((decode.len(), reply.len(), request.len()), (2, 1, 1));
        assert!(reply.max() >= MICROS_MAX && decode.max() == 10);
    }
}
