//! Bytes of a segment as a row of slices, read without joining them. Pure, owning core only.
//!
//! Invariant: the slices are contiguous from `start`.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::batch::crc::{Crc32c, crc32c};
use crate::batch::{BatchHeader, CRC_FROM, HEADER_BYTES, PREFIX_BYTES};
use crate::types::Offset;

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
        let mut crc = Crc32c::new();
        crc.update(&bytes[a..b]);
        for (bytes, a, b) in pieces {
            crc.update(&bytes[a..b]);
        }
        crc.value()
    }

    /// The batch that starts at `at`; `None` if its header is not in the rope.
    pub fn batch_at(&self, at: u64) -> Option<BatchAt> {
        if at < self.start || at + HEADER_BYTES as u64 > self.end {
            return None;
        }
        let mut head = [0; HEADER_BYTES];
        let mut filled = 0;
        for (bytes, a, b) in self.pieces(at, at + HEADER_BYTES as u64) {
            head[filled..filled + b - a].copy_from_slice(&bytes[a..b]);
            filled += b - a;
        }
        let header = BatchHeader::parse(&head).ok()?;
        Some(BatchAt { position: at, header, prefix: *head.first_chunk()? })
    }

    /// Kafka's CRC of a batch that is wholly in the rope is right.
    pub fn crc_is_right(&self, batch: &BatchAt) -> bool {
        self.crc(batch.position + CRC_FROM as u64, batch.end()) == batch.header.crc
    }
}

/// A batch's header and where it stands; nothing of it is checked.
#[derive(Clone, Copy, Debug)]
pub struct BatchAt {
    pub position: u64,
    pub header: BatchHeader,
    pub prefix: [u8; PREFIX_BYTES],
}

impl BatchAt {
    pub fn last_offset(&self) -> Offset {
        Offset(self.header.last_offset())
    }

    /// Its bytes; 0 if the length makes no sense.
    pub fn bytes(&self) -> u64 {
        self.header.total_bytes().unwrap_or(0) as u64
    }

    pub fn end(&self) -> u64 {
        self.position + self.bytes()
    }

    /// What is wrong with it as the batch that starts with `expected`, or behind if there may be `gaps`, its CRC aside.
    pub fn flaw(&self, expected: Offset, gaps: bool) -> Option<&'static str> {
        if self.header.magic != 2 {
            Some("not a record batch of version 2")
        } else if self.bytes() == 0 {
            Some("its length is not that of a batch")
        } else if self.header.base_offset < expected.0 || (self.header.base_offset > expected.0 && !gaps) {
            Some("its offset does not follow the one before")
        } else if self.last_offset().0 < self.header.base_offset {
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
