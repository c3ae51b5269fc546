//! CRC32C as the log uses it. Pure. Invariant: `PrefixSum` of a run of batches depends on their order.

use crc_fast::{CrcAlgorithm, checksum};

pub const PREFIX_BYTES: usize = 17;

pub fn crc32c(bytes: &[u8]) -> u32 {
    // The crate widens every checksum to 64 bits.
    checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Runs over what Kafka's CRC leaves out of each batch: the 17 bytes of base offset, length, leader epoch and magic (R15).
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
