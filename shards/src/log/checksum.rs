//! The checksum over what Kafka's CRC leaves out of a batch. Pure.
//!
//! Invariant: the sum of a run of batches depends on their order.

use crate::batch::PREFIX_BYTES;
use crate::batch::crc::crc32c;

/// Runs over the 17 bytes of base offset, length, leader epoch and magic of each batch (R15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixSum(pub u32);

impl PrefixSum {
    pub fn add(&mut self, prefix: &[u8; PREFIX_BYTES]) {
        let mut chained = [0; 4 + PREFIX_BYTES];
        chained[..4].copy_from_slice(&self.0.to_le_bytes());
        chained[4..].copy_from_slice(prefix);
        self.0 = crc32c(&chained);
    }
}
