//! Reads a `__consumer_offsets` partition into a coordinator, at a start and after an append that failed. Owning core only.
//!
//! Offsets of topics that were deleted are in the log until their tombstones are. Which topics those are is known from the
//! deletion, or at a start from the catalog: what it does not have was deleted.
//!
//! Invariant: a coordinator is ready only when every record of its log is applied, and a log that cannot be read is named
//! with its offset and serves nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::tasks::PER_STEP;
use super::{Coordinator, GoneTopic, State};
use crate::batch::{self, BatchHeader, Compression, HEADER_BYTES, Records};
use crate::catalog::Catalog;
use crate::group::{Effects, GroupRecord, Groups, Now};
use crate::planted::{PlantedFault, is_planted};
use crate::request::{FetchPart, Fetched, Isolation, ReadError};
use crate::router::oneshot::oneshot;
use crate::runtime::Runtime;
use crate::shard::Shard;
use crate::shard::core::ShardCore;
use crate::types::{Offset, PartitionId};

/// Bytes of the log read at once.
const READ_BYTES: u32 = 1 << 20;
/// Records may decompress to this many bytes a batch; ours are not compressed, Kafka's may be.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How long to wait for appends that are under way.
const PAUSE: Duration = Duration::from_millis(1);

/// Why a load ends early.
enum LoadError {
    /// The partition is gone, or the shard stops.
    Gone,
    Unreadable {
        offset: Offset,
        why: String,
    },
}

/// Loads whatever is to be loaded, one partition at a time.
pub async fn run<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.group_loads.wait().await;
        while let Some(partition) = shard.step(|core, _, _| core.groups.to_load.pop_front()) {
            if let Err(LoadError::Unreadable { offset, why }) = load(&shard, partition).await {
                tracing::error!(
                    partition = partition.index,
                    offset = offset.0,
                    why,
                    "__consumer_offsets cannot be read: its groups are not served"
                );
                shard.step(|core, _, _| {
                    if let Some(coordinator) = core.groups.of.get_mut(&partition) {
                        coordinator.state = State::Failed;
                        coordinator.gone.clear();
                    }
                });
            }
        }
    }
}

async fn load<R: Runtime>(shard: &Shard<R>, partition: PartitionId) -> Result<(), LoadError> {
    let mut at = shard.step(|core, _, _| {
        let slot = core.slot_of(partition).ok_or(LoadError::Gone)?;
        core.get(slot).map(|known| known.log.log_start()).ok_or(LoadError::Gone)
    })?;
    let mut replay = shard.step(|core, _, _| {
        let gone = core.groups.of.get(&partition).map_or(&[][..], |coordinator| &coordinator.gone);
        Replay::new(Groups::new(core.groups.settings.clone()), gone)
    });
    loop {
        let fetched = read(shard, partition, at).await?;
        if fetched.records.is_empty() {
            match finish(shard, partition, replay, at).await {
                Finish::Done { records: 0 } => return Ok(()),
                Finish::Done { records } => {
                    tracing::info!(partition = partition.index, records, "groups are loaded");
                    return Ok(());
                }
                Finish::MoreToCome(unfinished) => replay = *unfinished,
            }
            shard.rt().sleep_until(shard.now().after(PAUSE)).await;
            continue;
        }
        // A batch may lie across the end of the file and of memory: joined, it is whole.
        let bytes = Bytes::from(fetched.records.concat());
        let before = at;
        for (position, header) in batch::walk(&bytes) {
            let unreadable = |why| LoadError::Unreadable { offset: Offset(header.base_offset), why };
            let payload = bytes.get(position + HEADER_BYTES..).unwrap_or_default();
            let body_bytes = header.total_bytes().unwrap_or(0).saturating_sub(HEADER_BYTES);
            let payload = payload.get(..body_bytes).unwrap_or_default();
            let seen = replay.apply(&header, payload).map_err(unreadable)?;
            shard.step(|core, _, _| replay.note_absent(seen, &core.catalog.borrow()));
            at = Offset(header.last_offset() + 1);
            shard.rt().quantum().await;
        }
        if at == before {
            return Err(LoadError::Unreadable { offset: at, why: "no whole batch is there".to_owned() });
        }
    }
}

async fn read<R: Runtime>(shard: &Shard<R>, partition: PartitionId, at: Offset) -> Result<Fetched, LoadError> {
    let part =
        FetchPart { partition, offset: at, max_bytes: READ_BYTES, current_epoch: None, last_fetched_epoch: None };
    loop {
        let (reply, fetched) = oneshot();
        shard.step(|core, _, _| core.read(&[part], Isolation::ReadUncommitted, Some(READ_BYTES), reply));
        match fetched.await.and_then(|mut one| one.pop()) {
            Some(Ok(fetched)) => return Ok(fetched),
            Some(Err(ReadError::Unopened { reason })) => shard.wait_for_descriptor(&reason).await,
            None | Some(Err(ReadError::Unknown | ReadError::Stopping)) => return Err(LoadError::Gone),
            Some(Err(error)) => return Err(LoadError::Unreadable { offset: at, why: error.to_string() }),
        }
    }
}

/// Makes the coordinator ready if `at` is the end of the log; gives the work back if there is more to come.
async fn finish<R: Runtime>(shard: &Shard<R>, partition: PartitionId, mut replay: Replay, at: Offset) -> Finish {
    if !shard.step(|core, _, _| core.is_all_read(partition, at)) {
        return Finish::MoreToCome(Box::new(replay));
    }
    // Nothing is appended before it is ready, so that it may take several steps.
    let (mut effects, mut from) = (Effects::default(), None);
    loop {
        from = shard.step(|core, mono, wall_ms| {
            let now = Now { mono, wall_ms };
            replay.groups.loaded(now, &core.catalog.borrow(), from.as_ref(), PER_STEP, &mut effects)
        });
        if from.is_none() {
            break;
        }
        shard.rt().quantum().await;
    }
    shard.step(|core, now, wall_ms| {
        if !core.is_all_read(partition, at) {
            return Finish::MoreToCome(Box::new(replay));
        }
        let Some(coordinator) = core.groups.of.get_mut(&partition) else { return Finish::Done { records: 0 } };
        let (groups, records) = replay.end(&mut coordinator.gone, at);
        coordinator.state = State::Ready(groups);
        core.carry_out(now, wall_ms, partition, effects);
        Finish::Done { records }
    })
}

impl ShardCore {
    /// Whether the log ends at `at`, for as long as its coordinator appends nothing. That of one that is gone does.
    fn is_all_read(&self, partition: PartitionId, at: Offset) -> bool {
        let end = self.slot_of(partition).and_then(|slot| self.get(slot)).map(|known| known.log.log_end());
        let unsynced = self.groups.of.get(&partition).map_or(0, Coordinator::unsynced);
        end.is_none_or(|end| at >= end) && unsynced == 0
    }
}

enum Finish {
    Done { records: u64 },
    MoreToCome(Box<Replay>),
}

/// A coordinator that is being made.
pub(super) struct Replay {
    groups: Groups,
    /// Applied so far.
    records: u64,
    /// Topics with offsets that the catalog does not have.
    absent: BTreeSet<Arc<str>>,
    /// Deleted topics and where the log ended then, in that order; the first `begun` of them are behind.
    gone: Vec<(Offset, Arc<str>)>,
    begun: usize,
}

impl Replay {
    /// `gone`: what was deleted while the last coordinator was there, in the order of the log.
    pub(super) fn new(groups: Groups, gone: &[GoneTopic]) -> Replay {
        let gone = gone.iter().map(|topic| (topic.log_end, topic.name.clone())).collect();
        Replay { groups, records: 0, absent: BTreeSet::new(), gone, begun: 0 }
    }

    /// Applies the records of a batch; the topics whose offsets it holds.
    pub(super) fn apply(&mut self, header: &BatchHeader, payload: &[u8]) -> Result<BTreeSet<Arc<str>>, String> {
        let mut seen = BTreeSet::new();
        while let Some((_, topic)) = self.gone.get(self.begun).filter(|(end, _)| end.0 <= header.base_offset) {
            self.groups.forget_topic(topic.clone());
            self.begun += 1;
        }
        if header.is_control() {
            return Ok(seen);
        }
        let codec = Compression::from_code(header.compression_code()).map_err(|e| e.to_string())?;
        let mut plain = Vec::new();
        let payload = if codec == Compression::None {
            payload
        } else {
            batch::decompress(codec, payload, BATCH_BYTES_MAX, &mut plain).map_err(|e| e.to_string())?;
            &plain
        };
        for record in Records::new(payload, header.record_count).with_gaps() {
            let record = record.map_err(|e| e.to_string())?;
            let [key, value] = [record.key, record.value].map(|bytes| bytes.map(Bytes::copy_from_slice));
            // Other kinds of groups keep their records here too: those of a later release are left alone.
            if let Some(record) = GroupRecord::decode(key.as_ref(), value.as_ref()).map_err(|e| e.to_string())? {
                if is_planted(PlantedFault::LoadKeepsOldest) && self.groups.has_stored(&record) {
                    continue;
                }
                self.groups.apply(&record);
                if let GroupRecord::Offset { topic, value: Some(_), .. } = record {
                    seen.insert(topic);
                }
            }
            self.records += 1;
        }
        Ok(seen)
    }

    pub(super) fn note_absent(&mut self, seen: BTreeSet<Arc<str>>, catalog: &Catalog) {
        self.absent.extend(seen.into_iter().filter(|topic| catalog.topic(topic).is_none()));
    }

    /// The log ends here: what was deleted meanwhile, or is not in the catalog, is to be forgotten. The number of records.
    pub(super) fn end(mut self, gone: &mut Vec<GoneTopic>, log_end: Offset) -> (Groups, u64) {
        gone.extend(self.absent.into_iter().map(|name| GoneTopic::new(name, log_end)));
        for topic in gone.iter().skip(self.begun) {
            self.groups.forget_topic(topic.name.clone());
        }
        for topic in gone {
            topic.walk = self.groups.next_walk();
        }
        (self.groups, self.records)
    }
}
