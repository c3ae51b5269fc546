//! Reads a `__consumer_offsets` partition into a coordinator, at a start and after an append that failed. Owning core only.
//!
//! Invariant: a coordinator is ready only when every record of its log is applied, and a log that cannot be read is named
//! with its offset and serves nothing.

use std::time::Duration;

use bytes::Bytes;

use super::State;
use crate::batch::{self, BatchHeader, Compression, HEADER_BYTES, Records};
use crate::group::{GroupRecord, Groups, Now};
use crate::request::{FetchPart, Fetched, Isolation, ReadError};
use crate::router::oneshot::oneshot;
use crate::runtime::Runtime;
use crate::shard::Shard;
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
                    }
                });
            }
        }
    }
}

async fn load<R: Runtime>(shard: &Shard<R>, partition: PartitionId) -> Result<(), LoadError> {
    let mut groups = shard.step(|core, _, _| Groups::new(core.groups.settings.clone()));
    let mut at = shard.step(|core, _, _| {
        let slot = core.slot_of(partition).ok_or(LoadError::Gone)?;
        core.get(slot).map(|known| known.log.log_start()).ok_or(LoadError::Gone)
    })?;
    let mut records = 0u64;
    loop {
        let fetched = read(shard, partition, at).await?;
        if fetched.records.is_empty() {
            match finish(shard, partition, groups, at) {
                None => break,
                Some(unfinished) => groups = unfinished,
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
            records += apply_batch(&mut groups, &header, payload).map_err(unreadable)?;
            at = Offset(header.last_offset() + 1);
            shard.rt().quantum().await;
        }
        if at == before {
            return Err(LoadError::Unreadable { offset: at, why: "no whole batch is there".to_owned() });
        }
    }
    if records > 0 {
        tracing::info!(partition = partition.index, records, "groups are loaded");
    }
    Ok(())
}

async fn read<R: Runtime>(shard: &Shard<R>, partition: PartitionId, at: Offset) -> Result<Fetched, LoadError> {
    let part =
        FetchPart { partition, offset: at, max_bytes: READ_BYTES, current_epoch: None, last_fetched_epoch: None };
    let (reply, fetched) = oneshot();
    shard.step(|core, _, _| core.read(&[part], Isolation::ReadUncommitted, READ_BYTES, reply));
    match fetched.await.and_then(|mut one| one.pop()) {
        Some(Ok(fetched)) => Ok(fetched),
        None | Some(Err(ReadError::Unknown | ReadError::Stopping)) => Err(LoadError::Gone),
        Some(Err(error)) => Err(LoadError::Unreadable { offset: at, why: error.to_string() }),
    }
}

/// Makes the coordinator ready if `at` is the end of the log; gives the groups back if there is more to come.
fn finish<R: Runtime>(shard: &Shard<R>, partition: PartitionId, mut groups: Groups, at: Offset) -> Option<Groups> {
    shard.step(|core, now, wall_ms| {
        let end = core.slot_of(partition).and_then(|slot| core.get(slot)).map(|known| known.log.log_end());
        let coordinator = core.groups.of.get_mut(&partition)?;
        if end.is_some_and(|end| at < end) || coordinator.unsynced > 0 {
            return Some(groups);
        }
        let time = Now { mono: now, wall_ms };
        let mut effects = groups.loaded(time, &core.catalog.borrow());
        // Deleted just before the last run ended, and the offsets were still there.
        let forgotten = groups.forget_topics(|topic| core.catalog.borrow().topic(topic).is_none());
        effects.records.extend(forgotten.records);
        coordinator.state = State::Ready(groups);
        core.carry_out(now, wall_ms, partition, effects);
        None
    })
}

/// Applies the records of a batch; returns their number.
fn apply_batch(groups: &mut Groups, header: &BatchHeader, payload: &[u8]) -> Result<u64, String> {
    if header.is_control() {
        return Ok(0);
    }
    let codec = Compression::from_code(header.compression_code()).map_err(|e| e.to_string())?;
    let mut plain = Vec::new();
    let payload = if codec == Compression::None {
        payload
    } else {
        batch::decompress(codec, payload, BATCH_BYTES_MAX, &mut plain).map_err(|e| e.to_string())?;
        &plain
    };
    let mut applied = 0;
    for record in Records::new(payload, header.record_count).with_gaps() {
        let record = record.map_err(|e| e.to_string())?;
        let [key, value] = [record.key, record.value].map(|bytes| bytes.map(Bytes::copy_from_slice));
        // Other kinds of groups keep their records here too: those of a later release are left alone.
        if let Some(record) = GroupRecord::decode(key.as_ref(), value.as_ref()).map_err(|e| e.to_string())? {
            groups.apply(&record);
        }
        applied += 1;
    }
    Ok(applied)
}
