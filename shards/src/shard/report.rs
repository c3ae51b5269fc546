//! What a shard tells of itself: counters since its start, and how things stand. Made on the owning core, read elsewhere.
//!
//! Invariant: making one costs the same however many partitions there are.

use std::sync::Arc;

use super::core::ShardCore;
use super::partition::{Partition, Slot, Traffic};
use crate::types::Offset;

/// Counters since the start of the shard; each only grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    pub commits: u64,
    /// Bytes written to the journal, with headers and padding.
    pub commit_bytes: u64,
    pub appended_batches: u64,
    pub appended_records: u64,
    /// Bytes of batches as they came.
    pub appended_bytes: u64,
    /// Bytes of batches that fetches took from memory and from disk.
    pub read_memory_bytes: u64,
    pub read_disk_bytes: u64,
    pub segment_bytes: u64,
    /// Journal files made free again.
    pub turns: u64,
    /// Bytes that compaction read and wrote.
    pub compaction_read_bytes: u64,
    pub compaction_written_bytes: u64,
}

/// Counters of a shard, and how things stand there now.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardReport {
    pub counters: Counters,
    pub partitions: u64,
    pub partitions_offline: u64,
    /// Compaction leaves them as they are: it met a batch that it does not understand.
    pub partitions_uncleanable: u64,
    /// Idempotent producers, one for each partition that a producer wrote to, and the most there may be.
    pub producers: u64,
    pub producers_max: u64,
    pub groups: u64,
    /// What groups hold in memory, about.
    pub group_bytes: u64,
    /// Partitions of stored offsets that cannot be read: their groups are out of service.
    pub coordinators_failed: u64,
    /// Appends that wait for room in the journal or the window, or for a cold tail.
    pub appends_waiting: u64,
    /// Fetches parked until there are records for them.
    pub fetches_parked: u64,
    pub disk_reads_queued: u64,
    pub journal_bytes: u64,
    pub journal_used_percent: u64,
    pub journal_files: u64,
    /// Bytes in memory that are not yet in segments.
    pub window_bytes: u64,
    /// Bytes in memory that are in segments as well, kept for readers.
    pub cache_bytes: u64,
    /// No space on the disk: appends are refused until there is some.
    pub disk_full: bool,
    pub stopping: bool,
}

/// One partition, and how busy it was.
#[derive(Clone, Debug)]
pub struct PartitionLoad {
    pub topic: Arc<str>,
    pub index: i32,
    pub offline: bool,
    pub log_start: Offset,
    pub high_watermark: Offset,
    pub size_bytes: u64,
    pub traffic: Traffic,
}

impl ShardCore {
    /// Partitions that anything went through, out of `places` slots from this one on; then the slot to go on with.
    pub fn loads(&self, from: Slot, places: usize) -> (Vec<PartitionLoad>, Option<Slot>) {
        let (some, next) = self.partitions_from(from, places);
        let busy = some.filter(|p| p.traffic.appended_bytes + p.traffic.read_bytes > 0);
        let load = |p: &Partition| PartitionLoad {
            topic: p.topic_name.clone(),
            index: p.id.index,
            offline: p.offline.is_some(),
            log_start: p.log.log_start(),
            high_watermark: p.high_watermark,
            size_bytes: p.log.total_bytes(),
            traffic: p.traffic,
        };
        (busy.map(load).collect(), next)
    }

    pub fn report(&self) -> ShardReport {
        ShardReport {
            counters: self.counters,
            partitions: self.partition_count() as u64,
            partitions_offline: self.partitions_offline as u64,
            partitions_uncleanable: self.partitions_uncleanable as u64,
            producers: self.producer_room.used().into(),
            producers_max: self.producer_room.max().into(),
            groups: self.groups.count() as u64,
            group_bytes: self.groups.held_bytes() as u64,
            coordinators_failed: self.groups.failed() as u64,
            appends_waiting: self.waiting.len() as u64,
            fetches_parked: self.watches.count() as u64,
            disk_reads_queued: self.disk_jobs.len() as u64,
            journal_bytes: self.space.total_bytes(),
            journal_used_percent: self.space.used_percent() as u64,
            journal_files: self.space.files() as u64,
            window_bytes: self.window_bytes,
            cache_bytes: self.cache_bytes,
            disk_full: self.disk_full,
            stopping: self.stopping,
        }
    }
}
