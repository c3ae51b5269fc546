//! What a shard tells of itself: counters since its start, and how things stand. Made on the owning core, read elsewhere.
//!
//! Invariant: making one costs the same however many partitions there are.

use super::core::ShardCore;

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
    /// No space on the disk: appends wait for some.
    pub disk_full: bool,
    pub stopping: bool,
}

impl ShardCore {
    pub fn report(&self) -> ShardReport {
        ShardReport {
            counters: self.counters,
            partitions: self.partition_count() as u64,
            partitions_offline: self.partitions_offline as u64,
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
