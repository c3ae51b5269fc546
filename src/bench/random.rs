//! Numbers that look random and come again with the same seed (splitmix64). Pure.

#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Over 0, up to 1.
    pub fn share(&mut self) -> f64 {
        // As many bits as an f64 holds exactly.
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}
