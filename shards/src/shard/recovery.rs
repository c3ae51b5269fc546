//! What a start reads of the last run, and how it becomes partitions again (R6, R7, R8). Shard 0 reads, every shard restores.
//!
//! A recovered partition is a live one fed from the journal instead of from sockets: the same log takes the bytes, and the
//! same write-behind puts them into segments.
//!
//! Invariant: bytes below the checkpoint, below the log start and of dropped topics are skipped; a gap takes the partition
//! offline and nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::zip;
use hashbrown::HashMap;

use super::Shard;
use super::catalog::{METADATA_PARTITION, fresh};
use super::core::ShardCore;
use super::hash::FixedState;
use super::partition::{Partition, Slot};
use super::settings::{Layout, ShardSettings};
use super::snapshot;
use super::snapshot::format::records_in;
use super::start::StartError;
use crate::batch::{self, BatchHeader, HEADER_BYTES};
use crate::catalog::{ApplyError, Catalog, CatalogRecord, CatalogSettings, Topic, TopicConfig};
use crate::group::OFFSETS_TOPIC;
use crate::journal::checkpoint::{Checkpoint, PartitionCheckpoint};
use crate::journal::format::{Entry, EntryKind};
use crate::journal::replay;
use crate::journal::run::Run;
use crate::log::{
    DiskBatches, FileKind, GOES, LogSnapshot, METADATA_FILE, PartitionDir, ReadPlan, Replacement, Replay, Replayed,
    Store, StoreError, aside_name, is_a_partitions, metadata_text,
};
use crate::partition::epochs::Epochs;
use crate::partition::producers::ProducerRoom;
use crate::planted::{PlantedFault, is_planted};
use crate::router::placement::owner;
use crate::runtime::Runtime;
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId};

/// What is known of one partition from the last run.
pub struct RestoredPartition {
    pub id: PartitionId,
    pub(super) checkpoint: Option<PartitionCheckpoint>,
    /// In the order in which they were written.
    pub(super) entries: Vec<Entry>,
}

/// All of the last run.
pub struct Recovered {
    /// The catalog before this run.
    pub catalog: Catalog,
    pub partitions: Vec<RestoredPartition>,
}

/// The checkpoints of the last run, one for each of its shards.
pub async fn checkpoints<R: Runtime>(rt: &R, layout: &Layout, last: Run) -> Result<Vec<Checkpoint>, StartError> {
    let mut found = Vec::new();
    for shard in 0..last.shards {
        found.push(Checkpoint::load(rt, &layout.checkpoints(), last, shard).await?);
    }
    Ok(found)
}

/// Reads the journals of the last run, of all its shards, behind their checkpoints, and the catalog out of both.
pub async fn recover<R: Runtime>(
    rt: &R,
    store: &Store<R>,
    settings: &ShardSettings,
    catalog_settings: &CatalogSettings,
    last: Option<(Run, Vec<Checkpoint>)>,
) -> Result<Recovered, StartError> {
    let mut known: BTreeMap<PartitionId, RestoredPartition> = BTreeMap::new();
    if let Some((last, checkpoints)) = last {
        for (shard, checkpoint) in (0..).zip(checkpoints) {
            let first = checkpoint.first_generation;
            for line in checkpoint.partitions {
                let id = line.id;
                restored(&mut known, id).checkpoint = Some(line);
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
    let metadata = known.get(&METADATA_PARTITION);
    let catalog = read_catalog(rt, store, &settings.layout, catalog_settings, metadata).await?;
    known.retain(|id, _| catalog.topic_with_log(id.topic).is_some_and(|topic| topic.partition(id.index).is_some()));
    hide_orphans(rt, &settings.layout.partitions(), &catalog, &known).await?;
    for partition in known.values_mut() {
        if let Some(topic) = catalog.topic_with_log(partition.id.topic) {
            let dir = PartitionDir { id: partition.id, topic_name: topic.name.clone() };
            finish_replacements(rt, store, &settings.layout, &dir, partition).await?;
        }
    }
    Ok(Recovered { catalog, partitions: known.into_values().collect() })
}

/// Carries out what compaction had named in the journal when the last run ended, and tells the checkpoint's line.
async fn finish_replacements<R: Runtime>(
    rt: &R,
    store: &Store<R>,
    layout: &Layout,
    dir: &PartitionDir,
    partition: &mut RestoredPartition,
) -> Result<(), StartError> {
    let due = take_replacements(partition);
    let Some(line) = &mut partition.checkpoint else { return Ok(()) };
    for (n, by) in due.iter().enumerate() {
        // One began when those before it were in place.
        if n + 1 == due.len() {
            let joined = line.log.joined_by(by);
            let installed = store.install_cleaned(dir, by, &joined, Duration::ZERO).await;
            match installed {
                // Of a file that somebody removed, readers will complain.
                Err(e) if e.source.kind() == io::ErrorKind::NotFound => refuse_lost(rt, layout, dir).await?,
                installed => installed.map_err(|StoreError { path, source }| StartError::Io { path, source })?,
            }
        }
        line.log.replaced(by);
    }
    Ok(())
}

/// What compaction had named in the journal and the checkpoint does not know to be in place, in order.
pub(super) fn take_replacements(partition: &mut RestoredPartition) -> Vec<Replacement> {
    let Some(line) = &partition.checkpoint else { return Vec::new() };
    let mut due: BTreeMap<u64, Replacement> = line.log.replacing.map(|by| (by.number, by)).into_iter().collect();
    partition.entries.retain(|entry| match entry.kind {
        EntryKind::Clean(by) => {
            due.insert(by.number, by);
            false
        }
        _ => true,
    });
    let known = line.log.cleanings;
    due.into_values().filter(|by| by.number > known).collect()
}

pub(super) fn restored(
    known: &mut BTreeMap<PartitionId, RestoredPartition>,
    id: PartitionId,
) -> &mut RestoredPartition {
    known.entry(id).or_insert_with(|| RestoredPartition { id, checkpoint: None, entries: Vec::new() })
}

/// Bytes of the metadata log read at once.
const CATALOG_READ_BYTES: u32 = 1 << 20;

/// Reads the newest snapshot, and the metadata log behind it from its segments and from what was replayed.
async fn read_catalog<R: Runtime>(
    rt: &R,
    store: &Store<R>,
    layout: &Layout,
    settings: &CatalogSettings,
    metadata: Option<&RestoredPartition>,
) -> Result<Catalog, StartError> {
    let mut catalog = Catalog::new(settings.clone());
    let Some(metadata) = metadata else {
        snapshot::forget(rt, layout).await?;
        return Ok(catalog);
    };
    let topic = catalog.metadata_topic();
    let mut room = ProducerRoom::new(0);
    let partition =
        restore_partition(metadata, topic.name.clone(), topic.config.clone(), LeaderEpoch(0), rt.wall_ms(), &mut room);
    let damaged = |offset: Offset, what: String| StartError::MetadataRecord { offset: offset.0, what };
    if let Some(why) = partition.offline_reason() {
        return Err(StartError::MetadataOffline(why));
    }
    let dir = partition.directory();
    let (start, end) = (partition.log.log_start(), partition.log.log_end());
    let mut at = snapshot::load(rt, layout, &mut catalog, start, end).await?;
    while at < end {
        let found = match partition.log.plan_read(at, CATALOG_READ_BYTES, end, true) {
            ReadPlan::Empty => return Err(damaged(at, "its bytes are missing".to_owned())),
            ReadPlan::Memory(found) => found,
            ReadPlan::Disk(read) => match store.read(&dir, &read).await? {
                DiskBatches::Found(found) => found,
                DiskBatches::Beyond(_) => return Err(damaged(at, "its bytes are missing".to_owned())),
            },
        };
        // A batch may lie across the end of the file and of memory: joined, it is whole.
        let bytes = found.concat();
        let before = at;
        for (position, header) in batch::walk(&bytes) {
            let payload = bytes.get(position + HEADER_BYTES..).unwrap_or_default();
            let body_bytes = header.total_bytes().unwrap_or(0).saturating_sub(HEADER_BYTES);
            for record in records_in(&header, payload.get(..body_bytes).unwrap_or_default()) {
                let record = record.map_err(|e| damaged(at, e.to_string()))?;
                catalog.apply(&record).map_err(|e| damaged(at, e.to_string()))?;
            }
            at = Offset(header.last_offset() + 1);
        }
        if at == before {
            return Err(damaged(at, "no whole batch is there".to_owned()));
        }
    }
    Ok(catalog)
}

/// Makes the partition that the last run left.
fn restore_partition(
    from: &RestoredPartition,
    topic_name: Arc<str>,
    config: Arc<TopicConfig>,
    epoch: LeaderEpoch,
    now_ms: i64,
    room: &mut ProducerRoom,
) -> Partition {
    let mut partition = fresh(from.id, topic_name, config, epoch);
    let known = from.checkpoint.as_ref().and_then(|line| line.offline.clone());
    let found_now = known.is_none();
    let outcome = match known {
        Some(why) => Err(why.to_string()),
        None => put_together(&mut partition, from, now_ms, room).map_err(|why| with_advice(&why)),
    };
    if let Err(why) = outcome {
        set_aside(&mut partition, from.checkpoint.clone(), &why, found_now, room);
        return partition;
    }
    partition.high_watermark = partition.log.log_end();
    partition.durable_log_start = partition.log.log_start();
    partition
}

fn with_advice(why: &str) -> String {
    format!(
        "{why}. What there is of it is untouched, and the last run's journals are kept: restore the data directory from a copy, or \
         delete the topic. `corelog log verify DIR`, with the broker stopped, tells what of the data directory is whole"
    )
}

/// Puts a partition out of service that cannot be put together, though half of it may be in place.
fn set_aside(
    partition: &mut Partition,
    known: Option<PartitionCheckpoint>,
    why: &str,
    keeps_journals: bool,
    room: &mut ProducerRoom,
) {
    tracing::error!(topic = %partition.topic_name, partition = partition.id.index, why, "partition is offline");
    partition.producers.clear(room);
    let mut empty = fresh(partition.id, partition.topic_name.clone(), partition.config.clone(), partition.epoch);
    // The run that could have explained it ends here: every later checkpoint says what is known, and its files stay.
    let known = known.unwrap_or_else(|| empty.checkpoint());
    empty.unreadable = Some(Box::new(PartitionCheckpoint { offline: Some(why.into()), ..known }));
    empty.keeps_journals = keeps_journals;
    empty.offline = Some(why.into());
    *partition = empty;
}

/// A partition that was put together, and whose next write goes on in a file that the last run has made.
pub struct Continued {
    slot: Slot,
    segment_base: Offset,
    /// In the file.
    synced: FilePos,
    /// What the checkpoint says of it.
    known: PartitionCheckpoint,
}

/// Looks whether the files are there in which partitions go on, before the last run's journals are given up for it. A partition
/// whose file is gone, or was cut, is out of service.
///
/// # Errors
/// Those of the disk; of a directory that is gone, as it comes back when its disk is mounted; and of a lost file of the metadata
/// log, without which there is no broker.
pub async fn look_for_files<R: Runtime>(shard: &Shard<R>, continued: Vec<Continued>) -> Result<(), StartError> {
    let queue = RefCell::new(continued);
    let worker = || async {
        loop {
            let next = queue.borrow_mut().pop();
            let Some(next) = next else { return Ok(()) };
            let dir = shard.step(|core, _, _| core.get(next.slot).map(Partition::directory));
            let Some(dir) = dir else { continue };
            let layout = shard.step(|core, _, _| core.settings.layout.clone());
            let there = match shard.store().segment_file_len(&dir, next.segment_base).await {
                Ok(len) => len,
                Err(error) if error.source.kind() == io::ErrorKind::NotFound && dir.id != METADATA_PARTITION => {
                    refuse_lost(shard.rt(), &layout, &dir).await?;
                    0
                }
                Err(error) => return Err(StartError::from(error)),
            };
            if there < next.synced.0 && dir.id != METADATA_PARTITION {
                let why = format!(
                    "{}: of {} bytes that were synced in it {there} are there; it held records from offset {} on",
                    layout.partitions().join(dir.name()).join(FileKind::Log.name(next.segment_base)).display(),
                    next.synced.0,
                    next.segment_base.0
                );
                shard.step(|core, _, _| core.lose(next.slot, next.known, &with_advice(&why)));
            }
        }
    };
    let ((a, b), (c, d)) = zip(zip(worker(), worker()), zip(worker(), worker())).await;
    a.and(b).and(c).and(d)
}

/// A start that went on would give up what the journal has of the partition, for a disk that is not mounted.
async fn refuse_lost<R: Runtime>(rt: &R, layout: &Layout, dir: &PartitionDir) -> Result<(), StartError> {
    let path = layout.partitions().join(dir.name());
    match rt.read_dir(&path).await {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StartError::DirectoryLost { path }),
        Err(source) => Err(StartError::Io { path, source }),
    }
}

impl ShardCore {
    fn lose(&mut self, slot: Slot, known: PartitionCheckpoint, why: &str) {
        let mut room = self.producer_room;
        let Some(partition) = self.get_mut(slot) else { return };
        set_aside(partition, Some(known), why, true, &mut room);
        self.producer_room = room;
        self.partitions_offline += 1;
    }
}

/// Gives a partition what the checkpoint and the journal say of it.
pub(super) fn put_together(
    partition: &mut Partition,
    from: &RestoredPartition,
    now_ms: i64,
    room: &mut ProducerRoom,
) -> Result<(), String> {
    let mut snapshot = LogSnapshot::default();
    if let Some(line) = &from.checkpoint {
        snapshot = line.log.clone();
        partition.epochs = Epochs::from_entries(line.epochs.clone()).map_err(|e| e.to_string())?;
        for producer in &line.producers {
            partition.producers.restore(producer, room).map_err(|e| e.to_string())?;
        }
    }
    let mut replay = Replay::new(snapshot);
    for entry in &from.entries {
        match &entry.kind {
            EntryKind::Data(bytes) => replay.data(entry.segment_base, entry.position, bytes.clone()),
            EntryKind::LogStart(_) if is_planted(PlantedFault::LogStartForgotten) => {}
            EntryKind::LogStart(start) => replay.log_start(*start),
            EntryKind::Seal => replay.seal(entry.segment_base, entry.position),
            EntryKind::Clean(by) => {
                return Err(format!("segment {} was compacted, but no checkpoint knows it", by.base.0));
            }
        }
    }
    let Replayed { log, batches } = replay.finish(now_ms).map_err(|e| e.to_string())?;
    partition.log = log;
    for header in batches.iter().filter_map(|bytes| BatchHeader::parse(bytes).ok()) {
        partition.learn(&header, now_ms, room);
    }
    partition.epochs.truncate_start(partition.log.log_start());
    Ok(())
}

/// Makes this shard's catalog and partitions; gives those whose files must be there.
pub fn restore(
    core: &mut ShardCore,
    catalog: &[CatalogRecord],
    partitions: Vec<RestoredPartition>,
    now_ms: i64,
) -> Result<Vec<Continued>, ApplyError> {
    let known = core.catalog.clone();
    let mut continued = Vec::new();
    let mut from: HashMap<PartitionId, RestoredPartition, FixedState> = HashMap::with_hasher(FixedState);
    from.extend(partitions.into_iter().map(|partition| (partition.id, partition)));
    for record in catalog {
        known.borrow_mut().apply(record)?;
    }
    let known = known.borrow();
    let (shards, index) = (core.settings.shards, core.index);
    for topic in std::iter::once(known.metadata_topic()).chain(known.topics()) {
        let epoch = known.leader_epoch(topic);
        for id in topic.partition_ids().filter(|id| owner(*id, shards) == index) {
            let (name, config) = (topic.name.clone(), topic.config.clone());
            let line = from.remove(&id);
            let partition = match &line {
                Some(line) => restore_partition(line, name, config, epoch, now_ms, &mut core.producer_room),
                None => fresh(id, name, config, epoch),
            };
            let goes_on = partition.log.goes_on_in();
            let slot = core.insert(partition);
            if let Some((segment_base, synced)) = goes_on
                && let Some(known) = line.and_then(|line| line.checkpoint)
            {
                continued.push(Continued { slot, segment_base, synced, known });
            }
            if &*topic.name == OFFSETS_TOPIC {
                core.add_coordinator(id, false);
            }
        }
    }
    Ok(continued)
}

/// Removes directories that belong to no partition: first the rename, then the unlink (R8).
async fn hide_orphans<R: Runtime>(
    rt: &R,
    dir: &Path,
    catalog: &Catalog,
    known: &BTreeMap<PartitionId, RestoredPartition>,
) -> Result<(), StartError> {
    let mut orphans = rt.read_dir(dir).await.map_err(|source| StartError::Io { path: dir.to_owned(), source })?;
    orphans.retain(|entry| entry.is_dir && !is_known(&entry.name, catalog, known));
    if orphans.is_empty() {
        return Ok(());
    }
    // Once: both directories and topics may be thousands.
    let topics = std::iter::once(catalog.metadata_topic()).chain(catalog.topics());
    let alive: HashMap<String, &Topic, FixedState> = topics.map(|topic| (metadata_text(topic.id), topic)).collect();
    for entry in orphans {
        let path = dir.join(&entry.name);
        match is_ours(rt, &path, &entry.name, &alive).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    directory = entry.name,
                    "was not made by a broker: it is left alone, and better kept elsewhere"
                );
                continue;
            }
            // A name that is no UTF-8 is not found by what it is listed as.
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                tracing::warn!(directory = entry.name, %error, "cannot be looked into: it is left alone");
                continue;
            }
            Err(source) => return Err(StartError::Io { path, source }),
        }
        tracing::info!(directory = entry.name, "belongs to no topic any more: removed");
        let aside = if entry.name.ends_with(GOES) { path.clone() } else { dir.join(aside_name(rt, &entry.name)) };
        let gone = async {
            rt.rename(&path, &aside).await?;
            rt.remove_dir_all(&aside).await
        };
        gone.await.map_err(|source| StartError::Io { path, source })?;
    }
    Ok(())
}

/// Whether a directory was a partition's: by its name, and by what says so in it. A power cut may have taken the latter, or have come
/// while it was being removed: then there is nothing else in it than what a partition has.
/// `alive`: the topics that are there, by what is said of them in their partitions' directories.
async fn is_ours<R: Runtime>(
    rt: &R,
    path: &Path,
    name: &str,
    alive: &HashMap<String, &Topic, FixedState>,
) -> io::Result<bool> {
    // What was moved aside has its topic's id behind the index, and a point in between.
    let (name, goes) = name.strip_suffix(GOES).map_or((name, false), |name| (name, true));
    let (topic, index) = name.rsplit_once('-').unwrap_or_default();
    let index = if goes { index.split('.').next().unwrap_or_default() } else { index };
    let Ok(index) = index.parse() else { return Ok(false) };
    let inside = rt.read_dir(path).await?;
    if !inside.iter().any(|entry| entry.name == METADATA_FILE) {
        return Ok(is_a_partitions(&inside));
    }
    let metadata = rt.read_whole(&path.join(METADATA_FILE)).await?;
    // A topic that is there has its partitions under their own names: elsewhere its id is in a copy that somebody made.
    let owner = std::str::from_utf8(&metadata).ok().and_then(|text| alive.get(text));
    Ok(goes || owner.is_none_or(|owner| &*owner.name == topic && owner.partition(index).is_some()))
}

/// Whether a directory is that of a partition which has data.
fn is_known(name: &str, catalog: &Catalog, known: &BTreeMap<PartitionId, RestoredPartition>) -> bool {
    let Some((topic, index)) = name.rsplit_once('-') else { return false };
    let Ok(index) = index.parse() else { return false };
    let metadata = catalog.metadata_topic();
    let topic = if topic == &*metadata.name { Some(metadata) } else { catalog.topic(topic) };
    topic.and_then(|topic| topic.partition(index)).is_some_and(|id| known.contains_key(&id))
}
