//! What crosses cores: requests to a partition's owner and its replies, as plain values. Nothing else does.
//!
//! Invariant: partitions are named by topic id and index, never by a topic's name (R4).

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use thiserror::Error;

use crate::batch::ValidBatch;
use crate::catalog::CatalogRecord;
use crate::group::{GroupError, GroupReply, GroupRequest, ListedGroup};
use crate::router::Stage;
use crate::router::oneshot::Reply;
pub use crate::types::Listed;
use crate::types::{LeaderEpoch, Mono, Offset, PartitionId, ProducerId};

/// Which records a reader may see (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// One batch for one partition, checked by the connection's core: CRC, counts, size, timestamps, codec.
#[derive(Debug)]
pub struct AppendPart {
    pub partition: PartitionId,
    pub batch: ValidBatch,
    /// acks = -1: `min.insync.replicas` counts.
    pub acks_all: bool,
}

/// Where a batch stands. For a duplicate: where the original stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// Timestamp that the log holds for a LogAppendTime topic or a duplicate; -1 for a fresh CreateTime batch.
    pub log_append_time_ms: i64,
    pub log_start: Offset,
    pub marks: Marks,
}

/// When an append came how far on its owner's core; 0 where it did not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub taken_up: Mono,
    /// There was room in the open commit.
    pub placed: Mono,
    pub appended: Mono,
    pub write_started: Mono,
    /// Where the sync is an operation of its own.
    pub written: Mono,
    pub released: Mono,
}

impl Marks {
    /// The stages that they bound, with their ends, in order.
    pub fn each(&self, mut stage: impl FnMut(Stage, Mono)) {
        stage(Stage::Route, self.taken_up);
        if self.placed == Mono(0) {
            // The answer was there already: a duplicate's.
            return stage(Stage::Queue, self.released);
        }
        stage(Stage::Queue, self.placed);
        stage(Stage::Append, self.appended);
        if self.write_started == Mono(0) {
            return stage(Stage::CommitWait, self.released);
        }
        stage(Stage::CommitWait, self.write_started);
        if self.written == Mono(0) {
            stage(Stage::WriteSync, self.released);
        } else {
            stage(Stage::Write, self.written);
            if self.released > self.written {
                stage(Stage::Sync, self.released);
            }
        }
    }
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    #[error("no such partition here")]
    Unknown,
    #[error("partition is offline: {reason}")]
    Offline { reason: String },
    #[error("the disk is full: appends are refused until there is space")]
    DiskFull,
    #[error("{isr} in-sync replicas, {min} asked by min.insync.replicas")]
    NotEnoughReplicas { isr: i32, min: i32 },
    #[error("batch of {bytes} bytes is larger than segment.bytes {max}")]
    LargerThanSegment { bytes: u64, max: u64 },
    #[error("producer {producer_id:?}: sequence {got}, expected {expected}")]
    OutOfOrderSequence { producer_id: ProducerId, got: i32, expected: i32 },
    #[error("producer {producer_id:?}: epoch {got} is older than {current}")]
    OldProducerEpoch { producer_id: ProducerId, got: i16, current: i16 },
    #[error("transactions are not served")]
    Transactional,
    #[error(
        "no room for another idempotent producer: a core keeps {max} of them, one for each partition that a producer writes to, until they are silent for producer.id.expiration.ms; raise producer.ids.max"
    )]
    TooManyProducers { max: u32 },
    #[error("the broker is stopping")]
    Stopping,
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchPart {
    pub partition: PartitionId,
    pub offset: Offset,
    pub max_bytes: u32,
    /// The epoch that the reader believes in; `None` when it does not say.
    pub current_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that the reader has (KIP-595); `None` when it does not say.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// A fetch over any number of partitions; answers come in the order asked.
#[derive(Debug)]
pub struct FetchAsk {
    pub parts: Vec<FetchPart>,
    pub isolation: Isolation,
    /// Limit of the whole reply; only the first non-empty partition may exceed it.
    pub max_bytes: u32,
    pub min_bytes: u32,
    /// When to answer with what there is. `Mono(0)`: at once.
    pub deadline: Mono,
}

#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Whole record batches, in order, as slices of the log.
    pub records: SmallVec<[Bytes; 2]>,
    pub high_watermark: Offset,
    pub last_stable: Offset,
    pub log_start: Offset,
    /// Aborted transactions (producer id, first offset) that touch the records; empty until transactions are served.
    pub aborted: Vec<(ProducerId, Offset)>,
    /// The reader's log parts from ours here (KIP-595): largest common epoch and its end.
    pub diverging: Option<EpochEnd>,
    /// What could be read from the asked offset on, up to the partition's own limit: it may be more than was read. Of
    /// what lies in an older segment or on the disk as much as is asked for, as nobody who is so far behind should wait.
    pub available_bytes: u32,
    /// The records had to be read from the disk.
    pub from_disk: bool,
}

impl Fetched {
    pub fn bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }

    /// Only where the partition stands is told.
    pub fn forget_records(&mut self) {
        self.records.clear();
        self.aborted.clear();
    }
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    #[error("no such partition here")]
    Unknown,
    #[error("partition is offline: {reason}")]
    Offline { reason: String },
    #[error("it cannot be opened for now: {reason}")]
    Unopened { reason: String },
    #[error("offset {asked:?} is outside {start:?}..={end:?}")]
    OutOfRange { asked: Offset, start: Offset, end: Offset },
    #[error("leader epoch {asked:?} is older than ours, {ours:?}")]
    FencedEpoch { asked: LeaderEpoch, ours: LeaderEpoch },
    #[error("leader epoch {asked:?} is newer than ours, {ours:?}")]
    UnknownEpoch { asked: LeaderEpoch, ours: LeaderEpoch },
    #[error("the last fetched epoch is newer than ours")]
    FutureFetchedEpoch,
    #[error("the broker is stopping")]
    Stopping,
}

/// What ListOffsets may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    Earliest,
    /// High watermark, or last stable offset for `ReadCommitted`.
    Latest,
    MaxTimestamp,
    /// First record whose timestamp is not below this, in milliseconds.
    Timestamp(i64),
}

#[derive(Clone, Copy, Debug)]
pub struct ListPart {
    pub partition: PartitionId,
    pub at: OffsetAt,
    pub isolation: Isolation,
    pub current_epoch: Option<LeaderEpoch>,
}

#[derive(Clone, Copy, Debug)]
pub struct EpochPart {
    pub partition: PartitionId,
    pub epoch: LeaderEpoch,
    pub current_epoch: Option<LeaderEpoch>,
}

/// The largest epoch not above the one asked, and the offset where it ends; both unknown (-1) if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end: Offset,
}

/// Where to move a log start (DeleteRecords).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upto {
    HighWatermark,
    Offset(Offset),
}

/// Size and offsets of a partition, for admin requests and the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartitionSize {
    pub bytes: u64,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub log_end: Offset,
}

/// A group among those of a core: they are in the order of their coordinators, and of their names there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPlace {
    pub partition: PartitionId,
    pub group: Arc<str>,
}

/// Groups of a core, and the last of them if there may be more behind it.
#[derive(Debug, Default)]
pub struct GroupsPart {
    pub groups: Vec<ListedGroup>,
    pub last: Option<GroupPlace>,
}

/// Names a parked fetch, by the core that asks and a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u64);

/// Everything that one core may ask of the owner of partitions. Same core: a plain call; another core: one message.
pub enum ShardRequest {
    Append {
        parts: Vec<AppendPart>,
        reply: Reply<Vec<Result<Appended, AppendError>>>,
    },
    Read {
        parts: Vec<FetchPart>,
        isolation: Isolation,
        /// `None`: no records, only where the partitions stand.
        max_bytes: Option<u32>,
        reply: Reply<Vec<Result<Fetched, ReadError>>>,
    },
    /// Answered when `missing_bytes` came in, at the deadline, or when one of the partitions must be looked at again.
    /// A partition comes with the end that its reader saw.
    Watch {
        id: WatchId,
        seen: Vec<(PartitionId, Offset)>,
        isolation: Isolation,
        missing_bytes: u32,
        deadline: Mono,
        reply: Reply<()>,
    },
    Unwatch {
        id: WatchId,
    },
    List {
        parts: Vec<ListPart>,
        reply: Reply<Vec<Result<Listed, ReadError>>>,
    },
    EpochEnds {
        parts: Vec<EpochPart>,
        reply: Reply<Vec<Result<EpochEnd, ReadError>>>,
    },
    MoveLogStart {
        parts: Vec<(PartitionId, Upto)>,
        reply: Reply<Vec<Result<Offset, ReadError>>>,
    },
    Sizes {
        partitions: Vec<PartitionId>,
        reply: Reply<Vec<Result<PartitionSize, ReadError>>>,
    },
    /// To the coordinator that has its groups in `partition`. A join and a sync are answered when the group moves on.
    Group {
        partition: PartitionId,
        request: Box<GroupRequest>,
        reply: Reply<Result<GroupReply, GroupError>>,
    },
    /// Some of the groups of the coordinators there, those behind `after`.
    ListGroups {
        after: Option<GroupPlace>,
        reply: Reply<Result<GroupsPart, GroupError>>,
    },
    /// Synced records of the metadata log, in order.
    ApplyCatalog {
        records: Arc<[CatalogRecord]>,
        reply: Reply<()>,
    },
}

impl ShardRequest {
    /// What it holds in a mailbox, bytes.
    pub fn bytes(&self) -> usize {
        const BASE: usize = 256;
        BASE + match self {
            ShardRequest::Append { parts, .. } => parts.iter().map(|p| p.batch.bytes().len() + BASE).sum(),
            ShardRequest::Read { parts, .. } => parts.len() * size_of::<FetchPart>(),
            ShardRequest::Watch { seen, .. } => seen.len() * size_of::<(PartitionId, Offset)>(),
            ShardRequest::List { parts, .. } => parts.len() * size_of::<ListPart>(),
            ShardRequest::EpochEnds { parts, .. } => parts.len() * size_of::<EpochPart>(),
            ShardRequest::MoveLogStart { parts, .. } => parts.len() * size_of::<(PartitionId, Upto)>(),
            ShardRequest::Sizes { partitions, .. } => partitions.len() * size_of::<PartitionId>(),
            ShardRequest::Group { request, .. } => request.bytes(),
            ShardRequest::Unwatch { .. } | ShardRequest::ListGroups { .. } | ShardRequest::ApplyCatalog { .. } => 0,
        }
    }
}
