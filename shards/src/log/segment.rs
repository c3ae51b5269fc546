//! One segment's positions and times. Pure, owning core only.
//!
//! Invariant: `file_synced` ≤ `written` ≤ `durable` ≤ `attached` ≤ `placed`; `written` is whole blocks, or the end of a padded
//! last block. A sealed segment has them all equal to its size.

use super::index::IndexBuilder;
use crate::runtime::BLOCK_BYTES;
use crate::types::Offset;

/// Timestamp of a segment without one.
pub const NO_TIMESTAMP: i64 = -1;
/// What never happens, and ends the broker if it does.
pub const ONLY_SYNCED: &str = "only synced bytes are in a segment (R9)";

/// How far a segment is from being a finished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Active,
    /// Takes no more batches; its file is not finished. Finishing waits until the seal entry is synced (R11).
    Rolled {
        seal_is_synced: bool,
    },
    Sealed,
}

#[derive(Debug)]
pub struct Segment {
    pub base: Offset,
    /// One past the last offset that has a place here.
    pub end_offset: Offset,
    pub placed: u64,
    pub attached: u64,
    pub durable: u64,
    pub written: u64,
    pub file_synced: u64,
    /// End of a padded block that was synced before it was warmed: good until something behind it is durable.
    pub padded_synced: u64,
    pub created_ms: i64,
    /// Largest timestamp of the first batch: `segment.ms` counts from it, as in Kafka.
    pub first_timestamp_ms: i64,
    /// Largest timestamp of what is durable.
    pub max_timestamp_ms: i64,
    pub stage: Stage,
    /// Given up at a start before anything of it was in a file.
    pub is_without_file: bool,
    /// Number of the cleaning that made its file; 0 if compaction never touched it. Else its offsets may jump.
    pub cleaning: u64,
    /// Index pages in the sidecar.
    pub index_pages: u32,
    /// Entries that are not in the sidecar; only where something was attached in this run.
    pub index: Option<Box<IndexBuilder>>,
}

impl Segment {
    pub fn new(base: Offset, now_ms: i64) -> Segment {
        Segment {
            base,
            end_offset: base,
            placed: 0,
            attached: 0,
            durable: 0,
            written: 0,
            file_synced: 0,
            padded_synced: 0,
            created_ms: now_ms,
            first_timestamp_ms: NO_TIMESTAMP,
            max_timestamp_ms: NO_TIMESTAMP,
            stage: Stage::Active,
            is_without_file: false,
            cleaning: 0,
            index_pages: 0,
            index: None,
        }
    }

    /// Compaction left nothing of it.
    pub fn is_emptied(&self) -> bool {
        self.is_sealed() && self.placed == 0
    }

    pub fn is_sealed(&self) -> bool {
        self.stage == Stage::Sealed
    }

    pub fn is_active(&self) -> bool {
        self.stage == Stage::Active
    }

    /// All of it is in the file and its last block was padded: that block must come back before it grows.
    pub fn is_cold(&self) -> bool {
        self.is_active() && self.written == self.placed && !self.written.is_multiple_of(BLOCK_BYTES as u64)
    }
}

/// Start of the block that holds `position`.
pub fn block_floor(position: u64) -> u64 {
    position - position % BLOCK_BYTES as u64
}
