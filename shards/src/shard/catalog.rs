//! The catalog on a shard: every core applies its records, shard 0 leads it. Owning core only.
//!
//! Invariant: a record is applied on any core only after it is synced in the metadata log (R1), and in its order; one
//! change is decided at a time, on what is applied.

use std::sync::Arc;

use super::Shard;
use super::core::{Dropped, ShardCore};
use super::partition::Partition;
use super::snapshot::Snapshots;
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::catalog::{ApplyError, CatalogCommand, CatalogError, CatalogRecord, CatalogReply, Decision, TopicConfig};
use crate::group::OFFSETS_TOPIC;
use crate::log::PartitionLog;
use crate::partition::epochs::Epochs;
use crate::partition::producers::Producers;
use crate::planted::{PlantedFault, is_planted};
use crate::request::AppendPart;
use crate::router::placement::owner;
use crate::router::{CatalogAsk, Shards};
use crate::runtime::Runtime;
use crate::types::{LeaderEpoch, PartitionId, TopicId};

/// The metadata log's only partition.
pub const METADATA_PARTITION: PartitionId = PartitionId { topic: TopicId::METADATA, index: 0 };

/// Largest change of the catalog, bytes of the metadata log: topics with half a million partitions.
const CHANGE_BYTES_MAX: usize = 32 << 20;

impl ShardCore {
    /// Applies synced records and makes this shard's partitions agree with them.
    ///
    /// # Errors
    /// A record that cannot follow those before it: our own invariant is broken.
    pub fn apply_catalog(&mut self, records: &[CatalogRecord]) -> Result<(), ApplyError> {
        let mut touched: Vec<TopicId> = Vec::new();
        let mut removed: Vec<Arc<str>> = Vec::new();
        let mut dropped: Vec<PartitionId> = Vec::new();
        {
            let mut catalog = self.catalog.borrow_mut();
            for record in records {
                if let CatalogRecord::RemoveTopic { id } = record
                    && let Some(topic) = catalog.topic_by_id(*id)
                {
                    removed.push(topic.name.clone());
                    dropped.extend(topic.partition_ids().filter(|id| owner(*id, self.settings.shards) == self.index));
                }
                catalog.apply(record)?;
                match record {
                    CatalogRecord::Topic { id, .. } => touched.push(*id),
                    CatalogRecord::Partition { topic, .. } => touched.push(*topic),
                    CatalogRecord::TopicConfig { topic, .. } => {
                        touched.extend(catalog.topic(topic).map(|topic| topic.id));
                    }
                    // A new run: every leader epoch has grown. A new default: it is in every topic's config.
                    CatalogRecord::RegisterBroker(_) | CatalogRecord::BrokerConfig { .. } => {
                        touched.extend(catalog.topics().map(|topic| topic.id));
                    }
                    // Coordinators look a group's configs up when they need them, and nobody those of client metrics.
                    CatalogRecord::RemoveTopic { .. }
                    | CatalogRecord::GroupConfig { .. }
                    | CatalogRecord::MetricsConfig { .. }
                    | CatalogRecord::ProducerIds { .. }
                    | CatalogRecord::FeatureLevel { .. } => {}
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for id in dropped {
            self.drop_partition(id);
        }
        for topic in touched {
            self.agree_on(topic);
        }
        self.forget_offsets_of(&removed);
        // More partitions may need a larger journal.
        self.signals.turn.notify();
        Ok(())
    }

    /// Adds and reconfigures the partitions of one topic that this shard owns, if it has not been removed since.
    fn agree_on(&mut self, topic: TopicId) {
        let catalog = self.catalog.clone();
        let catalog = catalog.borrow();
        let Some(known) = catalog.topic_with_log(topic) else { return };
        let epoch = catalog.leader_epoch(known);
        for id in known.partition_ids() {
            if owner(id, self.settings.shards) != self.index {
                continue;
            }
            match self.slot_of(id).and_then(|slot| self.get_mut(slot)) {
                Some(partition) => {
                    partition.config = known.config.clone();
                    partition.epoch = epoch;
                }
                None => {
                    self.insert(fresh(id, known.name.clone(), known.config.clone(), epoch));
                    if &*known.name == OFFSETS_TOPIC {
                        self.add_coordinator(id, true);
                    }
                }
            }
        }
    }

    pub(super) fn drop_partition(&mut self, id: PartitionId) {
        let Some(partition) = self.remove(id) else { return };
        self.remove_coordinator(id);
        for watch in &partition.watches {
            watch.fire();
        }
        self.forget(*partition);
    }

    fn forget(&mut self, mut partition: Partition) {
        // Before a topic of the same name can be made, on whatever core: its files are not this one's.
        self.removed.add(partition.id);
        partition.producers.clear(&mut self.producer_room);
        for part in partition.waiting_for_tail.drain(..) {
            part.fail(crate::request::AppendError::Unknown);
        }
        // Whether it has a directory is not always known: the log of one that could not be read knows nothing of what is on disk, and
        // the last run may have made it behind its last checkpoint.
        if partition.is_worth_a_checkpoint() {
            let delay = partition.removal_delay();
            self.dropped.push_back(Dropped::Partition { dir: partition.directory(), delay });
            self.signals.clean_up.notify();
        }
    }
}

/// A partition without a record.
pub fn fresh(id: PartitionId, topic_name: Arc<str>, config: Arc<TopicConfig>, epoch: LeaderEpoch) -> Partition {
    Partition::new(id, topic_name, config, epoch, PartitionLog::new(), Epochs::default(), Producers::default())
}

/// Carries out changes of the catalog, one at a time, until the askers are gone; puts it into a snapshot now and then.
pub async fn lead<R: Runtime>(shard: Shard<R>, shards: Shards, asks: flume::Receiver<CatalogAsk>) {
    let mut snapshots = Snapshots::default();
    snapshots.look(&shard, &shards).await;
    while let Ok(CatalogAsk { command, reply }) = asks.recv_async().await {
        reply.send(change(&shard, &shards, command).await);
        snapshots.look(&shard, &shards).await;
    }
}

/// Decides, makes durable, applies everywhere.
pub async fn change<R: Runtime>(
    shard: &Shard<R>,
    shards: &Shards,
    command: CatalogCommand,
) -> Result<CatalogReply, CatalogError> {
    let ids: Vec<TopicId> = (0..command.fresh_ids_needed()).map(|_| random_topic_id(shard)).collect();
    let Decision { records, reply } = shards.catalog().decide(&command, &ids)?;
    if !records.is_empty() {
        commit(shard, shards, records).await?;
    }
    Ok(reply)
}

async fn commit<R: Runtime>(
    shard: &Shard<R>,
    shards: &Shards,
    records: Vec<CatalogRecord>,
) -> Result<(), CatalogError> {
    let batch = batch_of(&records, shard.wall_ms())?;
    let part = AppendPart { partition: METADATA_PARTITION, batch, acks_all: false };
    let appended = shards.append(shard.now(), vec![part]);
    if is_planted(PlantedFault::CatalogToldEarly) {
        shards.apply_everywhere(records.into()).await;
        return Ok(());
    }
    let appended = appended.await;
    if let Some(Err(error)) = appended.into_iter().find(Result::is_err) {
        return Err(CatalogError::NotStored { why: error.to_string() });
    }
    shards.apply_everywhere(records.into()).await;
    Ok(())
}

/// A change is one batch, and so in one commit of the journal: a start finds all of it or nothing.
fn batch_of(records: &[CatalogRecord], now_ms: i64) -> Result<ValidBatch, CatalogError> {
    let mut builder = BatchBuilder::new(now_ms);
    for record in records {
        let value = record.encode().map_err(|e| CatalogError::Internal { why: e.to_string() })?;
        builder.push(&NewRecord { timestamp_ms: now_ms, value: Some(&value), ..NewRecord::default() });
    }
    let bytes = builder.bytes();
    if bytes > CHANGE_BYTES_MAX {
        let why =
            format!("The change takes {bytes} bytes of the metadata log, and {CHANGE_BYTES_MAX} at once are allowed.");
        return Err(CatalogError::PolicyViolation { why });
    }
    let bytes = builder.finish().map_err(|e| CatalogError::Internal { why: e.to_string() })?;
    ValidBatch::parse(bytes).map_err(|e| CatalogError::Internal { why: e.to_string() })
}

/// Version 4 UUID, never one that begins with a dash in Kafka's base 64 (its tools take that for an option).
fn random_topic_id<R: Runtime>(shard: &Shard<R>) -> TopicId {
    loop {
        let random = u128::from(shard.random()) << 64 | u128::from(shard.random());
        let id = TopicId(uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().into_bytes());
        // The first six bits are 62: '-' in the URL-safe alphabet.
        if id.0[0] >> 2 != 62 && id != TopicId::ZERO && id != TopicId::METADATA {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::{METADATA_FILE, metadata_text};
    use crate::shard::room_tests::{BIG, SMALL, settings, with_shard};

    fn levels(count: usize, name_bytes: usize) -> Vec<CatalogRecord> {
        let name = "t".repeat(name_bytes);
        (0..count).map(|_| CatalogRecord::FeatureLevel { name: name.clone(), level: 1 }).collect()
    }

    #[test]
    fn the_directory_of_a_partition_that_could_not_be_read_goes_with_its_topic() {
        with_shard(|bench| async move {
            let directory = settings().layout.partitions().join("t-1");
            let whose = metadata_text(SMALL.topic);
            let made = bench.rt.make_dir_with(&directory, METADATA_FILE, whose.as_bytes()).await;
            assert!(made.expect("made"), "nothing was there before");
            bench.started.shard.step(|core, _, _| {
                let partition = core.get_mut(bench.small).expect("it was added");
                assert!(!partition.log.has_directory());
                partition.unreadable = Some(Box::new(partition.checkpoint()));
                [SMALL, BIG].into_iter().for_each(|id| core.drop_partition(id));
                assert!(core.removed.contains(SMALL) && core.removed.contains(BIG), "before any other step");
            });
            bench.rt.sleep_until(bench.rt.now().after(Duration::from_secs(1))).await;
            assert!(bench.rt.disk().list(&directory).is_none());
        });
    }

    #[test]
    fn a_change_is_one_batch_or_refused() {
        let batch = batch_of(&levels(100_000, 40), 0).expect("of a few MiB");
        assert_eq!(batch.header().record_count, 100_000);
        let refused = batch_of(&levels(1100, 32_000), 0).expect_err("34 MB").to_string();
        assert!(refused.contains("at once are allowed"), "{refused}");
    }
}
