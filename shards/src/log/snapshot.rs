//! What a checkpoint says of a log (R13). Pure; plain values, any core.
//!
//! Invariant: it names only what is synced, but for a move of the log's start: how far that is synced is the partition's to
//! know. Bytes of open segments from `synced` to `end` are in the journal.

use super::index::Entry;
use super::state::PartitionLog;
use crate::types::{FilePos, Offset};

/// Where a partition's segments stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSnapshot {
    pub log_start: Offset,
    /// One past the last synced offset.
    pub log_end: Offset,
    pub has_directory: bool,
    /// Oldest first.
    pub sealed: Vec<SealedSegment>,
    /// Newer than all sealed ones, oldest first; only the last one may take more.
    pub open: Vec<OpenSegment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    pub base: Offset,
    /// One past its last offset.
    pub end_offset: Offset,
    pub size: FilePos,
    pub max_timestamp_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSegment {
    pub base: Offset,
    /// One past its last synced offset.
    pub end_offset: Offset,
    /// Synced end of the file: the journal holds the rest.
    pub synced: FilePos,
    /// End of what is durable.
    pub end: FilePos,
    pub created_ms: i64,
    pub first_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    /// The index mark: pages that the sidecar holds.
    pub index_pages: u32,
    /// Checksums of what is in none of those pages, up to `end` (R15).
    pub runs: Vec<Entry>,
    /// Takes no more batches.
    pub rolled: bool,
}

impl PartitionLog {
    /// What the checkpoint says of this log.
    pub fn snapshot(&self) -> LogSnapshot {
        let sealed = self.segments.iter().filter(|s| s.is_sealed()).map(|s| SealedSegment {
            base: s.base,
            end_offset: s.end_offset,
            size: FilePos(s.placed),
            max_timestamp_ms: s.max_timestamp_ms,
        });
        let open = self.unsealed().filter(|s| s.durable > 0).map(|s| OpenSegment {
            base: s.base,
            end_offset: s.end_offset.min(self.durable_end),
            // A warmed block is in the journal for certain only when a batch behind it is.
            synced: FilePos(if s.durable == s.padded_synced { s.durable } else { s.file_synced }),
            end: FilePos(s.durable),
            created_ms: s.created_ms,
            first_timestamp_ms: s.first_timestamp_ms,
            max_timestamp_ms: s.max_timestamp_ms,
            index_pages: s.index_pages,
            runs: s.index.as_ref().map_or_else(Vec::new, |index| index.runs().to_vec()),
            rolled: !s.is_active() && s.durable == s.placed,
        });
        LogSnapshot {
            log_start: self.log_start,
            log_end: self.durable_end,
            has_directory: self.has_directory(),
            sealed: sealed.collect(),
            open: open.collect(),
        }
    }
}
