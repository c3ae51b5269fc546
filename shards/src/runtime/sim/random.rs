//! The simulator's one source of chance. Invariant: what it gives depends on the seed and on nothing else.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64: small, fast, and good enough to choose with.
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is above zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Within the range, mostly near its start, as latencies are.
    pub(super) fn latency(&mut self, range: &Range<Duration>) -> Duration {
        let span = (range.end - range.start).as_nanos() as u64;
        let share = self.below(1 << 16).min(self.below(1 << 16));
        range.start + Duration::from_nanos(((u128::from(span) * u128::from(share)) >> 16) as u64)
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.index(index + 1));
        }
    }
}
