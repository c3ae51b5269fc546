//! What a start reads of the last run, and how it becomes partitions again (R6, R7, R8). Shard 0 reads, every shard restores.
//!
//! A recovered partition is a live one fed from the journal instead of from sockets: the same log takes the bytes, and the
//! same write-behind puts them into segments.
//!
//! Invariant: bytes below the checkpoint, below the log start and of dropped topics are skipped; a gap takes the partition
//! offline and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;

use super::catalog::METADATA_PARTITION;
use super::core::ShardCore;
use super::hash::FixedState;
use super::partition::Partition;
use super::settings::ShardSettings;
use super::start::StartError;
use crate::batch::{self, Records};
use crate::catalog::{Catalog, CatalogRecord, CatalogSettings, TopicConfig};
use crate::journal::checkpoint::{Checkpoint, PartitionCheckpoint};
use crate::journal::files;
use crate::journal::format::{Entry, EntryKind};
use crate::journal::replay;
use crate::journal::run::Run;
use crate::log::{LogSnapshot, PartitionLog, ReadPlan, Store};
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::Producers;
use crate::runtime::Runtime;
use crate::types::{LeaderEpoch, Offset, PartitionId};

/// What is known of one partition from the last run.
pub struct RestoredPartition {
    pub id: PartitionId,
    checkpoint: Option<PartitionCheckpoint>,
    /// In the order in which they were written.
    entries: Vec<Entry>,
}

/// All of the last run.
pub struct Recovered {
    /// The metadata log's records; the catalog before this run.
    pub catalog: Vec<CatalogRecord>,
    pub partitions: Vec<RestoredPartition>,
}

/// Reads checkpoints and journals of the last run, of all its shards, and the catalog out of them.
pub async fn recover<R: Runtime>(
    rt: &R,
    store: &Store<R>,
    settings: &ShardSettings,
    catalog_settings: &CatalogSettings,
    last: Option<Run>,
) -> Result<Recovered, StartError> {
    let mut known: BTreeMap<PartitionId, RestoredPartition> = BTreeMap::new();
    if let Some(last) = last {
        for shard in 0..last.shards {
            let checkpoint = Checkpoint::load(rt, &settings.layout.checkpoints(), last, shard).await?;
            let first = checkpoint.first_generation;
            for partition in checkpoint.partitions {
                restored(&mut known, partition.id).checkpoint = Some(partition);
            }
            let replayed = replay::replay(rt, &settings.layout.journal(shard), last, first).await?;
            if replayed.commits > 0 {
                tracing::info!(shard, commits = replayed.commits, "replayed the journal of run {}", last.number);
            }
            for entry in replayed.entries {
                restored(&mut known, entry.partition).entries.push(entry);
            }
        }
    }
    let (catalog, applied) = read_catalog(store, catalog_settings, known.get(&METADATA_PARTITION)).await?;
    known.retain(|id, _| {
        applied.topic_with_log(id.topic).is_some_and(|topic| topic.partition(id.index).is_some())
    });
    hide_orphans(rt, &settings.layout.partitions(), &applied, &known).await?;
    Ok(Recovered { catalog, partitions: known.into_values().collect() })
}

fn restored(known: &mut BTreeMap<PartitionId, RestoredPartition>, id: PartitionId) -> &mut RestoredPartition {
    known.entry(id).or_insert_with(|| RestoredPartition { id, checkpoint: None, entries: Vec::new() })
}

/// Reads the metadata log from its segments and from what was replayed.
async fn read_catalog<R: Runtime>(
    store: &Store<R>,
    settings: &CatalogSettings,
    metadata: Option<&RestoredPartition>,
) -> Result<(Vec<CatalogRecord>, Catalog), StartError> {
    let mut catalog = Catalog::new(settings.clone());
    let mut records = Vec::new();
    let Some(metadata) = metadata else { return Ok((records, catalog)) };
    let config = catalog.metadata_topic().config.clone();
    let name = catalog.metadata_topic().name.clone();
    let partition = restore_partition(metadata, name, config, LeaderEpoch(0))
        .map_err(|what| StartError::MetadataRecord { offset: 0, what })?;
    let dir = partition.directory();
    let mut at = partition.log.log_start();
    let end = partition.log.log_end();
    while at < end {
        let found = match partition.log.plan_read(at, CATALOG_READ_BYTES, end, true) {
            ReadPlan::Empty => break,
            ReadPlan::Memory(found) => found,
            ReadPlan::Disk(read) => store.read(&dir, read).await?,
        };
        for bytes in found {
            for (header, one) in batch::walk(&bytes) {
                at = header.base_offset_next();
                decode_into(&mut catalog, &mut records, &header, one)?;
            }
        }
    }
    Ok((records, catalog))
}

/// Bytes of the metadata log read at once.
const CATALOG_READ_BYTES: u32 = 1 << 20;
