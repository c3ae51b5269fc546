//! The numbers that govern one shard; made from the broker's configuration, the same on every core.

use std::path::PathBuf;

use crate::group::GroupSettings;

/// Largest buffer of a commit with more than one entry, bytes. At 2 GB/s a write of it takes 2 ms: more would only add
/// latency.
pub const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Smallest buffer of a commit, bytes.
pub const COMMIT_BYTES_MIN: usize = 8 << 10;
const _: () = assert!(COMMIT_BYTES_MIN < COMMIT_BYTES_MAX, "a commit's buffer grows from the one to the other");

/// Where a data directory keeps what.
#[derive(Clone, Debug)]
pub struct Layout {
    pub root: PathBuf,
}

impl Layout {
    /// One directory a partition.
    pub fn partitions(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn journal(&self, shard: u32) -> PathBuf {
        self.root.join("journal").join(shard.to_string())
    }

    pub fn journals(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// Snapshots of the catalog.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog")
    }

    pub fn ballast(&self, shard: u32) -> PathBuf {
        self.journal(shard).join("ballast")
    }
}

/// How a core compacts its logs.
#[derive(Clone, Copy, Debug)]
pub struct CleanerSettings {
    pub enabled: bool,
    /// Memory of the map of keys while a log is cleaned, bytes.
    pub map_bytes: usize,
    /// Bytes read and written a second at most.
    pub bytes_per_second: u64,
    /// How often to look for work when there was none.
    pub backoff_ms: u64,
}

impl Default for CleanerSettings {
    /// As tuning.md says, for one core.
    fn default() -> CleanerSettings {
        CleanerSettings { enabled: true, map_bytes: 128 << 20, bytes_per_second: u64::MAX, backoff_ms: 15_000 }
    }
}

#[derive(Clone, Debug)]
pub struct ShardSettings {
    pub layout: Layout,
    pub node_id: i32,
    pub shards: u32,
    /// What a start makes, and how far the journal grows while busy, bytes.
    pub journal_bytes: u64,
    pub journal_bytes_max: u64,
    /// Bytes of a core that are synced and not yet in segments (R17), and how many it may be with partitions.
    pub window_bytes: u64,
    pub window_bytes_max: u64,
    /// Bytes of a core that stay readable from memory after they are in segments (R17).
    pub cache_bytes: u64,
    /// A turn that finds as many segments unsynced syncs the file system instead of each.
    pub segments_synced_singly: usize,
    /// Open segment files of a core.
    pub open_files: usize,
    /// Bytes of loaded indexes of a core.
    pub index_cache_bytes: usize,
    pub producer_ids_max: u32,
    pub producer_expiration_ms: i64,
    pub retention_check_ms: u64,
    pub cleaner: CleanerSettings,
    /// Bytes of the metadata log after which the catalog is put into a snapshot and the log starts behind it.
    pub catalog_snapshot_bytes: u64,
    /// Bytes in flight to another shard, and messages.
    pub mailbox_bytes: usize,
    pub mailbox_messages: usize,
    pub groups: GroupSettings,
}
