//! The commit being filled: the one copy of an append goes here (R17). Owning core only.
//!
//! Invariant: the body CRC covers every byte pushed so far; nothing pushed is ever changed again.

use std::ops::Range;

use bytes::Bytes;

use super::format::{
    CLEAN_BYTES, CommitHeader, ENTRY_BYTES, EntryHead, HEADER_BYTES, KIND_CLEAN, KIND_DATA, KIND_LOG_START, KIND_SEAL,
    RunId,
};
use crate::batch::crc::Crc32c;
use crate::log::Replacement;
use crate::runtime::buf::{Frozen, IoBuf};
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId};

/// Where an entry belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: PartitionId,
    pub epoch: LeaderEpoch,
    pub segment_base: Offset,
    pub position: FilePos,
}

/// A commit that still takes entries.
pub struct OpenCommit {
    buf: IoBuf,
    crc: Crc32c,
}

/// What only the journal's files know when a commit is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    pub run: RunId,
    pub generation: u64,
    pub position: u64,
    pub sequence: u64,
    pub synced_through: u64,
    pub previous_crc: u32,
}

impl OpenCommit {
    pub fn new(mut buf: IoBuf) -> OpenCommit {
        buf.extend_from_slice(&[0; HEADER_BYTES]);
        OpenCommit { buf, crc: Crc32c::new() }
    }

    /// Bytes that a data entry of `payload` bytes takes.
    pub fn entry_bytes(payload: usize) -> usize {
        ENTRY_BYTES + payload
    }

    /// Free bytes.
    pub fn remaining(&self) -> usize {
        self.buf.remaining()
    }

    /// Bytes on disk if it were closed now.
    pub fn padded_bytes(&self) -> usize {
        self.buf.len().next_multiple_of(crate::runtime::BLOCK_BYTES)
    }

    pub fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    /// Bytes so far, with the header.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buf.len() == HEADER_BYTES
    }

    /// Moves everything into a larger buffer.
    pub fn grow(&mut self, mut larger: IoBuf) {
        larger.extend_from_slice(self.buf.as_slice());
        self.buf = larger;
    }

    /// Copies a record batch in, lets `stamp` write the offset and epoch into the copy, and returns where it stands.
    pub fn push_batch(&mut self, place: Place, batch: &[u8], stamp: impl FnOnce(&mut [u8])) -> Range<usize> {
        let start = self.push_head(KIND_DATA, place, batch.len());
        let payload = start + ENTRY_BYTES..start + ENTRY_BYTES + batch.len();
        self.buf.extend_from_slice(batch);
        stamp(&mut self.buf.as_mut_slice()[payload.clone()]);
        self.crc.update(&self.buf.as_slice()[start..payload.end]);
        payload
    }

    /// Redo of bytes that are in the log already (R12).
    pub fn push_carry(&mut self, place: Place, bytes: &[Bytes]) {
        let len = bytes.iter().map(Bytes::len).sum();
        let start = self.push_head(KIND_DATA, place, len);
        for piece in bytes {
            self.buf.extend_from_slice(piece);
        }
        self.crc.update(&self.buf.as_slice()[start..]);
    }

    /// The segment ends at `place.position`.
    pub fn push_seal(&mut self, place: Place) {
        self.push_bare(KIND_SEAL, place);
    }

    pub fn push_log_start(&mut self, partition: PartitionId, epoch: LeaderEpoch, start: Offset) {
        self.push_bare(KIND_LOG_START, Place { partition, epoch, segment_base: start, position: FilePos(0) });
    }

    /// Compaction is about to change names.
    pub fn push_clean(&mut self, partition: PartitionId, epoch: LeaderEpoch, by: &Replacement) {
        let place = Place { partition, epoch, segment_base: by.base, position: by.size };
        let start = self.push_head(KIND_CLEAN, place, CLEAN_BYTES);
        self.buf.extend_from_slice(&by.number.to_le_bytes());
        for word in [by.end_offset.0, by.first_timestamp_ms, by.max_timestamp_ms] {
            self.buf.extend_from_slice(&word.to_le_bytes());
        }
        self.crc.update(&self.buf.as_slice()[start..]);
    }

    /// Ends the commit: writes its header and gives the bytes to be written, with the CRC that the next header repeats.
    pub fn close(mut self, closing: Closing) -> (Frozen, u32) {
        let header = CommitHeader {
            run: closing.run,
            generation: closing.generation,
            position: closing.position,
            sequence: closing.sequence,
            synced_through: closing.synced_through,
            previous_crc: closing.previous_crc,
            body_bytes: u32::try_from(self.buf.len() - HEADER_BYTES).expect("a commit is below 4 GiB"),
            body_crc: self.crc.value(),
        };
        let crc = header.encode(self.buf.as_mut_slice());
        self.buf.pad_to_block();
        (self.buf.freeze(), crc)
    }

    fn push_bare(&mut self, kind: u8, place: Place) {
        let start = self.push_head(kind, place, 0);
        self.crc.update(&self.buf.as_slice()[start..]);
    }

    fn push_head(&mut self, kind: u8, place: Place, payload: usize) -> usize {
        let start = self.buf.len();
        let head = EntryHead {
            kind,
            partition: place.partition,
            epoch: place.epoch,
            segment_base: place.segment_base,
            position: place.position,
            payload_bytes: u32::try_from(payload).expect("an entry is below 4 GiB"),
        };
        self.buf.extend_from_slice(&head.encode());
        start
    }
}
