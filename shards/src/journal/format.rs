//! Bytes of a journal commit: one header, then entries, padded to the block. Pure; the same on every core.
//!
//! Invariant: replay trusts a commit only if its header CRC, its body CRC and its place in the chain all agree (R5, R6).
//! All integers are little-endian.

use bytes::Bytes;
use thiserror::Error;

use crate::batch::crc::crc32c;
use crate::log::Replacement;
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId, TopicId};

/// "CLJN": the first bytes of every commit.
const MAGIC: [u8; 4] = *b"CLJN";
/// Version of commits and entries. A start refuses any other (R5).
pub const VERSION: u16 = 1;
/// Bytes of a commit header.
pub const HEADER_BYTES: usize = 80;
/// Bytes of an entry's head; its payload follows.
pub const ENTRY_BYTES: usize = 48;

/// Identifies one start of the broker; random, so that the bytes of earlier runs never look like ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunId(pub u128);

/// Head of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitHeader {
    pub run: RunId,
    /// Which use of which file: grows by one with every file taken into use.
    pub generation: u64,
    /// Where the commit stands in its file, bytes.
    pub position: u64,
    /// Grows by one with every commit of the run, from 1.
    pub sequence: u64,
    /// The last commit known to be synced when this one was made.
    pub synced_through: u64,
    /// CRC of the header before this one; 0 for the first of a run.
    pub previous_crc: u32,
    /// Bytes of entries after the header, without padding.
    pub body_bytes: u32,
    pub body_crc: u32,
}

impl CommitHeader {
    /// Bytes that the commit takes in its file: header, body and padding.
    pub fn padded_bytes(&self) -> u64 {
        (HEADER_BYTES as u64 + u64::from(self.body_bytes)).next_multiple_of(crate::runtime::BLOCK_BYTES as u64)
    }

    /// Writes the header into the first `HEADER_BYTES` of `into`; returns its CRC, which the next header repeats.
    pub fn encode(&self, into: &mut [u8]) -> u32 {
        into[0..4].copy_from_slice(&MAGIC);
        into[4..6].copy_from_slice(&VERSION.to_le_bytes());
        into[6..8].fill(0);
        into[8..24].copy_from_slice(&self.run.0.to_le_bytes());
        into[24..32].copy_from_slice(&self.generation.to_le_bytes());
        into[32..40].copy_from_slice(&self.position.to_le_bytes());
        into[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        into[48..56].copy_from_slice(&self.synced_through.to_le_bytes());
        into[56..60].copy_from_slice(&self.previous_crc.to_le_bytes());
        into[60..64].copy_from_slice(&self.body_bytes.to_le_bytes());
        into[64..68].copy_from_slice(&self.body_crc.to_le_bytes());
        into[68..76].fill(0);
        let crc = crc32c(&into[..76]);
        into[76..80].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads a header. `Ok(None)`: these bytes are no header (never written, torn, or of something else).
    pub fn decode(from: &[u8]) -> Result<Option<(CommitHeader, u32)>, FormatError> {
        let Some(head) = from.get(..HEADER_BYTES) else { return Ok(None) };
        if head[0..4] != MAGIC || le32(head, 76) != crc32c(&head[..76]) {
            return Ok(None);
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != VERSION {
            return Err(FormatError::Version { version });
        }
        let mut run = [0; 16];
        run.copy_from_slice(&head[8..24]);
        let header = CommitHeader {
            run: RunId(u128::from_le_bytes(run)),
            generation: le64(head, 24),
            position: le64(head, 32),
            sequence: le64(head, 40),
            synced_through: le64(head, 48),
            previous_crc: le32(head, 56),
            body_bytes: le32(head, 60),
            body_crc: le32(head, 64),
        };
        Ok(Some((header, le32(head, 76))))
    }
}

/// What an entry redoes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Bytes of the segment `segment_base`, at `position`.
    Data(Bytes),
    /// The log start moves to this offset.
    LogStart(Offset),
    /// The segment `segment_base` ends at `position` bytes.
    Seal,
    /// Compaction puts a file of `position` bytes in the place of segments from `segment_base` on.
    Clean(Replacement),
}

/// One redo: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub partition: PartitionId,
    pub epoch: LeaderEpoch,
    pub segment_base: Offset,
    pub position: FilePos,
    pub kind: EntryKind,
}

/// The fixed part of an entry, as it is written.
#[derive(Clone, Copy, Debug)]
pub struct EntryHead {
    pub kind: u8,
    pub partition: PartitionId,
    pub epoch: LeaderEpoch,
    pub segment_base: Offset,
    pub position: FilePos,
    pub payload_bytes: u32,
}

pub const KIND_DATA: u8 = 1;
pub const KIND_LOG_START: u8 = 2;
pub const KIND_SEAL: u8 = 3;
// 4 is free, as topics go by the metadata log; 6 is kept for large appends that bypass the journal (R10).
pub const KIND_CLEAN: u8 = 5;
/// Payload of a `Clean` entry: number, end offset, first and largest timestamp.
pub const CLEAN_BYTES: usize = 32;

impl EntryHead {
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut b = [0; ENTRY_BYTES];
        b[0] = self.kind;
        b[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        b[8..24].copy_from_slice(&self.partition.topic.0);
        b[24..28].copy_from_slice(&self.partition.index.to_le_bytes());
        b[28..32].copy_from_slice(&self.epoch.0.to_le_bytes());
        b[32..40].copy_from_slice(&self.segment_base.0.to_le_bytes());
        b[40..48].copy_from_slice(&self.position.0.to_le_bytes());
        b
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    #[error("journal format version {version} is not known to this build")]
    Version { version: u16 },
    #[error("journal entry of unknown kind {kind}: written by a newer build")]
    Kind { kind: u8 },
    #[error("a journal entry says {claimed} bytes where {left} are left")]
    Overrun { claimed: usize, left: usize },
}

/// Reads all entries of a commit's body, sharing its bytes.
pub fn entries(mut body: Bytes) -> Result<Vec<Entry>, FormatError> {
    let mut found = Vec::new();
    while !body.is_empty() {
        if body.len() < ENTRY_BYTES {
            return Err(FormatError::Overrun { claimed: ENTRY_BYTES, left: body.len() });
        }
        let head = body.split_to(ENTRY_BYTES);
        let claimed = le32(&head, 4) as usize;
        if claimed > body.len() {
            return Err(FormatError::Overrun { claimed, left: body.len() });
        }
        let payload = body.split_to(claimed);
        let mut topic = [0; 16];
        topic.copy_from_slice(&head[8..24]);
        let segment_base = Offset(le64(&head, 32).cast_signed());
        let kind = match head[0] {
            KIND_DATA => EntryKind::Data(payload),
            KIND_LOG_START => EntryKind::LogStart(segment_base),
            KIND_SEAL => EntryKind::Seal,
            KIND_CLEAN if claimed == CLEAN_BYTES => EntryKind::Clean(Replacement {
                number: le64(&payload, 0),
                base: segment_base,
                end_offset: Offset(le64(&payload, 8).cast_signed()),
                size: FilePos(le64(&head, 40)),
                first_timestamp_ms: le64(&payload, 16).cast_signed(),
                max_timestamp_ms: le64(&payload, 24).cast_signed(),
            }),
            kind => return Err(FormatError::Kind { kind }),
        };
        found.push(Entry {
            partition: PartitionId { topic: TopicId(topic), index: le32(&head, 24).cast_signed() },
            epoch: LeaderEpoch(le32(&head, 28).cast_signed()),
            segment_base,
            position: FilePos(le64(&head, 40)),
            kind,
        });
    }
    Ok(found)
}

fn le32(b: &[u8], at: usize) -> u32 {
    let mut v = [0; 4];
    v.copy_from_slice(&b[at..at + 4]);
    u32::from_le_bytes(v)
}

fn le64(b: &[u8], at: usize) -> u64 {
    let mut v = [0; 8];
    v.copy_from_slice(&b[at..at + 8]);
    u64::from_le_bytes(v)
}
