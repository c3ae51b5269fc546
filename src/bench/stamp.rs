//! What a record of a run carries at the front of its value: whose it is, its number, and when it was due. Pure.

/// Bytes of a stamp: no record is smaller.
pub const STAMP_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tells records of this run from all others in the topic.
    pub run: u32,
    pub client: u32,
    /// Counts what this client sent to this partition, from 0.
    pub sequence: u64,
    /// By the machine's monotonic clock.
    pub due_ns: u64,
}

impl Stamp {
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&self.run.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.client.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..].copy_from_slice(&self.due_ns.to_be_bytes());
        bytes
    }

    /// `None`: too short for a record of any run.
    pub fn parse(value: &[u8]) -> Option<Stamp> {
        let (run, rest) = value.split_first_chunk()?;
        let (client, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let due = rest.first_chunk()?;
        Some(Stamp {
            run: u32::from_be_bytes(*run),
            client: u32::from_be_bytes(*client),
            sequence: u64::from_be_bytes(*sequence),
            due_ns: u64::from_be_bytes(*due),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_a_short_value_has_none() {
        let stamp = Stamp { run: 7, client: u32::MAX, sequence: 1 << 40, due_ns: 12_345_678_901 };
        assert_eq!(Stamp::parse(&stamp.to_bytes()), Some(stamp));
        assert_eq!(Stamp::parse(&[0; STAMP_BYTES - 1]), None);
    }
}
