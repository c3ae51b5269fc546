//! What a start would find in a data directory, put together for tools while no broker runs. Pure: the caller reads files.
//!
//! Invariant: the same code as at a start decides what is whole; nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{METADATA_PARTITION, fresh};
use super::recovery::{RestoredPartition, put_together, restored};
use crate::catalog::{Catalog, CatalogSettings};
use crate::journal::checkpoint::PartitionCheckpoint;
use crate::journal::format::Entry;
use crate::log::SegmentAtRest;
use crate::partition::epochs::EpochStart;
use crate::partition::producers::{ProducerRoom, ProducerSnapshot};
use crate::types::{LeaderEpoch, Offset, PartitionId};

pub use super::snapshot::format::{read as snapshot_records, records_in};
pub use super::snapshot::offset_of as snapshot_offset;

/// The partition of the metadata log.
pub const METADATA: PartitionId = METADATA_PARTITION;

/// One partition as it would come up.
#[derive(Debug)]
pub struct PartitionAtRest {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Oldest first, without those that the log start has left behind.
    pub segments: Vec<SegmentAtRest>,
    pub has_directory: bool,
    pub epochs: Vec<EpochStart>,
    pub producers: Vec<ProducerSnapshot>,
}

/// All partitions that checkpoints and journals name, each as it would come up, or why it would be offline.
pub fn partitions(
    checkpoints: impl IntoIterator<Item = PartitionCheckpoint>,
    entries: impl IntoIterator<Item = Entry>,
    now_ms: i64,
) -> BTreeMap<PartitionId, Result<PartitionAtRest, String>> {
    let mut known = BTreeMap::new();
    for line in checkpoints {
        let id = line.id;
        restored(&mut known, id).checkpoint = Some(line);
    }
    for entry in entries {
        restored(&mut known, entry.partition).entries.push(entry);
    }
    // What a topic says of itself changes nothing of what its files hold.
    let plain = empty_catalog(0);
    let topic = plain.metadata_topic();
    let at_rest = |(id, from): (PartitionId, RestoredPartition)| {
        let mut partition = fresh(id, topic.name.clone(), topic.config.clone(), LeaderEpoch(0));
        let offline: Option<Arc<str>> = from.checkpoint.as_ref().and_then(|line| line.offline.clone());
        let outcome = match offline {
            Some(why) => Err(why.to_string()),
            None => put_together(&mut partition, &from, now_ms, &mut ProducerRoom::new(u32::MAX)),
        };
        let found = outcome.map(|()| {
            let start = partition.log.log_start();
            partition.log.take_dropped(start);
            PartitionAtRest {
                log_start: start,
                log_end: partition.log.log_end(),
                segments: partition.log.segments_at_rest(),
                has_directory: partition.log.has_directory(),
                epochs: partition.epochs.entries().to_vec(),
                producers: partition.producers.snapshot(),
            }
        });
        (id, found)
    };
    known.into_iter().map(at_rest).collect()
}

/// The catalog of the node `node` before the first record.
pub fn empty_catalog(node: i32) -> Catalog {
    Catalog::new(CatalogSettings::new("", node))
}
