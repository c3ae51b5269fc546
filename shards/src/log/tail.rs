//! The newest bytes of a log, kept in memory as slices of journal buffers. Pure, owning core only.
//!
//! Invariant: one contiguous run that ends at the attached end. Only the front piece may start inside a batch.

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::types::Offset;

/// One batch, or the rest of some whose head is on disk only.
#[derive(Debug, Clone)]
pub struct Held {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// Where its bytes start in the segment.
    pub position: u64,
    pub max_timestamp_ms: i64,
    /// Journal commit whose buffer it is a slice of.
    pub commit: u64,
    pub bytes: Bytes,
    /// Starts inside a batch, or holds several.
    pub fragment: bool,
    /// A copy of its own: it pins no journal buffer.
    pub owned: bool,
    /// A small part of its journal buffer.
    pub is_sliver: bool,
}

impl Held {
    pub fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

#[derive(Debug, Default)]
pub struct Tail {
    pieces: VecDeque<Held>,
}

impl Tail {
    pub fn push(&mut self, piece: Held) {
        self.pieces.push_back(piece);
    }

    pub fn front(&self) -> Option<&Held> {
        self.pieces.front()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn get(&self, index: usize) -> Option<&Held> {
        self.pieces.get(index)
    }

    pub fn get_mut(&mut self, index: usize) -> Option<&mut Held> {
        self.pieces.get_mut(index)
    }

    pub fn pop_front(&mut self) -> Option<Held> {
        let piece = self.pieces.pop_front();
        if self.pieces.is_empty() {
            // An idle partition keeps no memory.
            self.pieces = VecDeque::new();
        }
        piece
    }

    pub fn clear(&mut self) {
        self.pieces = VecDeque::new();
    }

    /// Index of the first piece that ends at or after `offset`.
    pub fn index_at(&self, offset: Offset) -> usize {
        self.pieces.partition_point(|p| p.last_offset < offset)
    }

    pub fn starting_at(&self, index: usize) -> impl Iterator<Item = &Held> {
        self.pieces.range(index.min(self.pieces.len())..)
    }

    /// Pieces of the segment with offsets `base..end_offset` from the one that holds `from` on.
    pub fn in_segment(&self, base: Offset, end_offset: Offset, from: u64) -> impl Iterator<Item = &Held> {
        let first =
            self.pieces.partition_point(|p| p.last_offset < base || (p.last_offset < end_offset && p.end() <= from));
        self.starting_at(first).take_while(move |p| p.last_offset < end_offset)
    }

    /// The bytes `from..upto` of that segment, as slices. All of them must be in memory.
    pub fn slices<const N: usize>(&self, base: Offset, end_offset: Offset, from: u64, upto: u64) -> SmallVec<[Bytes; N]>
    where
        [Bytes; N]: smallvec::Array<Item = Bytes>,
    {
        let mut found = SmallVec::new();
        let mut at = from;
        for piece in self.in_segment(base, end_offset, from) {
            if at >= upto {
                break;
            }
            assert!(piece.position <= at, "memory lacks {at}..{} of segment {}", piece.position, base.0);
            let take = upto.min(piece.end()) - at;
            let skip = at - piece.position;
            found.push(piece.bytes.slice(skip as usize..(skip + take) as usize));
            at += take;
        }
        assert!(at >= upto, "memory lacks {at}..{upto} of segment {}", base.0);
        found
    }
}
