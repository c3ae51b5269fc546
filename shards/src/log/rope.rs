//! Bytes of a segment as a row of slices, read without joining them. Pure, owning core only.
//!
//! Invariant: the slices are contiguous from `start`.

use bytes::Bytes;
use smallvec::SmallVec;

use crc_fast::{CrcAlgorithm, Digest};

use super::checksum::{PREFIX_BYTES, crc32c};
use crate::types::{LeaderEpoch, Offset};

/// Bytes of a v2 batch's header, up to its records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// A batch's length field counts from here.
const LENGTH_COUNTS_FROM: u64 = 12;
/// Kafka's CRC covers a batch from here on.
const CRC_COVERS_FROM: u64 = 21;

#[derive(Debug, Default)]
pub struct Rope {
    start: u64,
    end: u64,
    parts: SmallVec<[(u64, Bytes); 4]>,
}

impl Rope {
    pub fn new(start: u64) -> Rope {
        Rope { start, end: start, parts: SmallVec::new() }
    }

    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let at = self.end;
            self.end += bytes.len() as u64;
            self.parts.push((at, bytes));
        }
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes `from..upto`, which must be in it.
    pub fn slices(&self, from: u64, upto: u64) -> SmallVec<[Bytes; 2]> {
        self.pieces(from, upto).map(|(bytes, a, b)| bytes.slice(a..b)).collect()
    }

    fn pieces(&self, from: u64, upto: u64) -> impl Iterator<Item = (&Bytes, usize, usize)> {
        assert!(self.start <= from && upto <= self.end, "a rope is asked for what it holds");
        let first = self.parts.partition_point(|(at, bytes)| at + bytes.len() as u64 <= from);
        self.parts[first..].iter().take_while(move |(at, _)| *at < upto).map(move |(at, bytes)| {
            let a = from.saturating_sub(*at) as usize;
            let b = (upto - at).min(bytes.len() as u64) as usize;
            (bytes, a, b)
        })
    }

    fn crc(&self, from: u64, upto: u64) -> u32 {
        let mut pieces = self.pieces(from, upto);
        let Some((bytes, a, b)) = pieces.next() else { return crc32c(&[]) };
        if (b - a) as u64 == upto - from {
            return crc32c(&bytes[a..b]);
        }
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&bytes[a..b]);
        for (bytes, a, b) in pieces {
            digest.update(&bytes[a..b]);
        }
        digest.finalize() as u32
    }

    /// The batch that starts at `at`; `None` if its header is not in the rope.
    pub fn batch_at(&self, at: u64) -> Option<BatchAt> {
        if at < self.start || at + BATCH_HEADER_BYTES as u64 > self.end {
            return None;
        }
        let mut header = [0; BATCH_HEADER_BYTES];
        let mut filled = 0;
        for (bytes, a, b) in self.pieces(at, at + BATCH_HEADER_BYTES as u64) {
            header[filled..filled + b - a].copy_from_slice(&bytes[a..b]);
            filled += b - a;
        }
        Some(BatchAt { position: at, header })
    }

    /// Kafka's CRC of a batch that is wholly in the rope is right.
    pub fn crc_is_right(&self, batch: &BatchAt) -> bool {
        self.crc(batch.position + CRC_COVERS_FROM, batch.end()) == batch.crc()
    }
}

/// A batch's header and where it stands; nothing of it is checked.
#[derive(Clone, Debug)]
pub struct BatchAt {
    pub position: u64,
    header: [u8; BATCH_HEADER_BYTES],
}

impl BatchAt {
    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.header[at..at + N]);
        out
    }

    pub fn prefix(&self) -> [u8; PREFIX_BYTES] {
        self.field(0)
    }

    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.field(0)))
    }

    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.saturating_add(i64::from(i32::from_be_bytes(self.field(23)))))
    }

    pub fn epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::from_be_bytes(self.field(12)))
    }

    pub fn magic(&self) -> u8 {
        self.header[16]
    }

    pub fn max_timestamp_ms(&self) -> i64 {
        i64::from_be_bytes(self.field(35))
    }

    fn crc(&self) -> u32 {
        u32::from_be_bytes(self.field(17))
    }

    /// All of its bytes; `None` if the field is below what a header needs.
    pub fn bytes(&self) -> Option<u64> {
        let length = u64::try_from(i32::from_be_bytes(self.field(8))).ok()?;
        let bytes = length + LENGTH_COUNTS_FROM;
        (bytes >= BATCH_HEADER_BYTES as u64).then_some(bytes)
    }

    pub fn end(&self) -> u64 {
        self.position + self.bytes().unwrap_or(0)
    }

    /// What is wrong with it as the batch that starts with `expected`, its CRC aside.
    pub fn flaw(&self, expected: Offset) -> Option<&'static str> {
        if self.magic() != 2 {
            Some("not a record batch of version 2")
        } else if self.bytes().is_none() {
            Some("its length is not that of a batch")
        } else if self.base_offset() != expected {
            Some("its offset does not follow the one before")
        } else if self.last_offset() < expected {
            Some("its last offset is below its first")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_over_several_slices_comes_as_their_parts() {
        let mut rope = Rope::new(10);
        rope.push(Bytes::from_static(b"abcd"));
        rope.push(Bytes::from_static(b"efgh"));
        let found: Vec<Bytes> = rope.slices(12, 16).into_vec();
        assert_eq!(found, [Bytes::from_static(b"cd"), Bytes::from_static(b"ef")]);
        assert_eq!(rope.crc(12, 16), crc32c(b"cdef"));
        assert!(rope.slices(14, 14).is_empty());
    }
}
