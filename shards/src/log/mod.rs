//! The log of one partition: sealed segments and an active one, from placement to retention. Owning core only.
//!
//! `PartitionLog` and everything it plans are pure: no clock, no I/O. What it plans (`WriteJob`, `SyncJob`, `DiskRead`,
//! `TimestampSearch`, `ColdTail`) owns all it needs, so `Store` carries it out without a borrow of the state.
//!
//! Invariant: a byte is in memory from its journal commit until it is in the segment file, and at every moment memory and
//! file together hold the whole log: the file below `written`, memory from there on.

mod at_rest;
mod carry;
mod checksum;
pub mod compact;
mod files;
mod index;
mod load_index;
mod lru;
mod read_plan;
mod reader;
mod replay;
pub mod retention;
mod rope;
mod search;
mod segment;
mod snapshot;
mod state;
mod store;
mod tail;
mod timestamps;
mod write_plan;
mod writer;

pub use at_rest::{SegmentAtRest, SegmentWalk, SidecarBuilder, StoredBatch, WalkError};
pub use carry::Carry;
pub use checksum::PrefixSum;
pub use compact::replace::FileState;
pub use files::{
    At, FileKind, GOES, Gates, METADATA_FILE, PartitionDir, Removed, StoreError, aside_name, is_a_partitions,
    metadata_text,
};
pub use index::{Entry as IndexEntry, Page as IndexPage, PageError as IndexPageError};
pub use read_plan::{DiskBatches, DiskRead, ReadPlan};
pub use reader::{ReadFailure, ReadFailureKind};
pub use replay::{Replay, ReplayError, Replayed};
pub use search::{TimestampPlan, TimestampSearch};
pub use segment::Stage;
pub use snapshot::{LogSnapshot, OpenSegment, Replacement, SealedSegment};
pub use state::{KnownSegments, PartitionLog, Piece, Placement, RollRules, Seal};
pub use store::Store;
pub use write_plan::{ColdTail, SyncJob, WRITE_JOB_BYTES_MAX, WriteJob, WriteKind};

#[cfg(test)]
mod tests;
