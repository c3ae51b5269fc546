//! A small seeded generator (SplitMix64), so that a run's choices can be repeated from its seed.

/// Equal seeds give equal sequences, on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `low..=high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range {low}..={high}");
        low + self.draw() % (high - low + 1)
    }

    /// True once in `of` times, on average.
    pub fn one_in(&mut self, of: u64) -> bool {
        self.within(1, of) == 1
    }
}

/// The finishing step of SplitMix64: a bijection that scatters nearby numbers.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
