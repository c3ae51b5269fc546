//! Snapshots of the catalog, so that the metadata log needs no record from before: `DIR/catalog/OFFSET-EPOCH.checkpoint`.
//! Shard 0 only, between two changes of the catalog.
//!
//! A snapshot is written and synced under another name, gets its own by rename, and only then the log's start moves to its
//! offset, by the journal as any log's start does (R8). A crash between any two of these leaves a log that is whole: a start
//! takes the newest whole snapshot between the log's start and its end, and the log from there.
//!
//! Invariant: the log never starts behind its newest whole snapshot.

pub mod format;

use std::path::{Path, PathBuf};

use self::format::{SnapshotEncodeError, SnapshotError, SnapshotWriter};
use super::catalog::METADATA_PARTITION;
use super::settings::Layout;
use super::start::StartError;
use super::{Shard, fail};
use crate::catalog::{Catalog, SnapshotPlace};
use crate::log::{At, StoreError};
use crate::request::Upto;
use crate::router::Shards;
use crate::router::oneshot::oneshot;
use crate::runtime::{Runtime, is_shortage};
use crate::types::{LeaderEpoch, Offset};

/// Records put into a snapshot in one step, as one batch: below the largest that every reader takes.
const RECORDS_PER_STEP: usize = 1000;
/// Ends a snapshot's name, as in Kafka.
const ENDING: &str = "checkpoint";

/// Decides when a snapshot is due.
#[derive(Default)]
pub struct Snapshots {
    /// The log's bytes at the last try.
    tried_at_bytes: u64,
}

impl Snapshots {
    /// Takes a snapshot if the metadata log has grown enough since the last one.
    pub async fn look<R: Runtime>(&mut self, shard: &Shard<R>, shards: &Shards) {
        let (bytes, bound) = shard.step(|core, _, _| {
            let log = core.slot_of(METADATA_PARTITION).and_then(|slot| core.get(slot)).map(|p| p.log.total_bytes());
            (log.unwrap_or(0), core.settings.catalog_snapshot_bytes)
        });
        if bytes < self.tried_at_bytes {
            self.tried_at_bytes = 0;
        }
        if bytes - self.tried_at_bytes < bound {
            return;
        }
        self.tried_at_bytes = bytes;
        match take(shard, shards).await {
            Ok(end) => tracing::info!(offset = end.0, log_bytes = bytes, "the catalog is in a snapshot"),
            // The log is whole without it: there is another try when it has grown as much again.
            Err(Failure::Store(error)) if is_shortage(&error.source) => {
                tracing::warn!(%error, "no room for a snapshot of the catalog");
            }
            Err(Failure::Store(error)) => {
                shard.fence().trip(fail(&error.path, "writing a snapshot of the catalog", &error.source));
            }
            Err(Failure::Encode(error)) => tracing::error!(%error, "the catalog fits into no snapshot"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Encode(#[from] SnapshotEncodeError),
}

/// Writes what is applied now, then lets the log start behind it. Nothing is changed meanwhile: the leader waits.
async fn take<R: Runtime>(shard: &Shard<R>, shards: &Shards) -> Result<Offset, Failure> {
    let (end, epoch, layout) = shard.step(|core, _, _| {
        let partition = core.slot_of(METADATA_PARTITION).and_then(|slot| core.get(slot));
        let (end, epoch) = partition.map_or_else(Default::default, |p| (p.log.log_end(), p.epoch));
        (end, epoch, core.settings.layout.clone())
    });
    let mut writer = SnapshotWriter::new(epoch, shard.wall_ms())?;
    let mut place = Some(SnapshotPlace::Head);
    while let Some(at) = place {
        let (records, next) = shards.catalog().snapshot_from(&at, RECORDS_PER_STEP);
        if !records.is_empty() {
            writer.push(&records)?;
        }
        shard.rt().quantum().await;
        place = next;
    }
    let bytes = writer.finish()?;
    let path = layout.catalog().join(file_name(end, epoch));
    let stored = store(shard.rt(), &layout, &path, bytes).await;
    if stored.is_err() {
        // Part of it is of no use. What could not be made is not there.
        let _missing = shard.rt().remove_file(&beside(&path)).await;
    }
    stored?;

    let (reply, moved) = oneshot();
    shard.step(|core, _, _| core.move_log_starts(&[(METADATA_PARTITION, Upto::Offset(end))], reply));
    // Without an answer the shard has stopped: the log is longer than it must be, and its next start does not mind.
    match moved.await.and_then(|mut moved| moved.pop()) {
        Some(Err(error)) => {
            tracing::warn!(%error, "the metadata log could not be cut at its new snapshot: it is longer than it must be");
        }
        Some(Ok(_)) if shard.fence().why().is_none() => {
            remove_others(shard.rt(), &layout, Some((end, end))).await?;
        }
        _ => {}
    }
    Ok(end)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

async fn store<R: Runtime>(rt: &R, layout: &Layout, path: &Path, bytes: Vec<u8>) -> Result<(), StoreError> {
    let dir = layout.catalog();
    rt.create_dir_all(&dir).await.at(&dir)?;
    rt.sync_dir(&layout.root).await.at(&layout.root)?;
    rt.write_whole(&beside(path), bytes).await.at(path)?;
    rt.rename(&beside(path), path).await.at(path)?;
    rt.sync_dir(&dir).await.at(&dir)
}

/// The snapshots that are there, by offset.
async fn found<R: Runtime>(rt: &R, layout: &Layout) -> Result<Vec<(Offset, PathBuf)>, StoreError> {
    let dir = layout.catalog();
    let entries = match rt.read_dir(&dir).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        entries => entries.at(&dir)?,
    };
    let mut found: Vec<(Offset, PathBuf)> =
        entries.iter().filter_map(|entry| Some((offset_of(&entry.name)?, dir.join(&entry.name)))).collect();
    found.sort_unstable();
    Ok(found)
}

/// The name of a snapshot behind which the log goes on at `end`, the record before it being of `epoch`.
pub fn file_name(end: Offset, epoch: LeaderEpoch) -> String {
    format!("{:020}-{:010}.{ENDING}", end.0, epoch.0)
}

/// All of a catalog as the bytes of a snapshot.
pub fn whole(catalog: &Catalog, epoch: LeaderEpoch, now_ms: i64) -> Result<Vec<u8>, SnapshotEncodeError> {
    let mut writer = SnapshotWriter::new(epoch, now_ms)?;
    let mut place = Some(SnapshotPlace::Head);
    while let Some(at) = place {
        let (records, next) = catalog.snapshot_from(&at, RECORDS_PER_STEP);
        writer.push(&records)?;
        place = next;
    }
    writer.finish()
}

/// The offset at which the log goes on behind the snapshot of this name.
pub fn offset_of(name: &str) -> Option<Offset> {
    let (offset, epoch) = name.strip_suffix(ENDING)?.strip_suffix('.')?.split_once('-')?;
    epoch.parse::<u32>().ok()?;
    offset.parse().ok().map(Offset)
}

/// Removes all but those with an offset in `kept`, and what never got its name.
async fn remove_others<R: Runtime>(rt: &R, layout: &Layout, kept: Option<(Offset, Offset)>) -> Result<(), StoreError> {
    let dir = layout.catalog();
    let entries = match rt.read_dir(&dir).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at(&dir)?,
    };
    for entry in entries {
        let is_kept = |offset| kept.is_some_and(|(first, last)| first <= offset && offset <= last);
        let is_unfinished =
            entry.name.strip_suffix(".new").is_some_and(|name| offset_of(&format!("{name}{ENDING}")).is_some());
        // Other names are not ours.
        if is_unfinished || offset_of(&entry.name).is_some_and(|offset| !is_kept(offset)) {
            let path = dir.join(&entry.name);
            rt.remove_file(&path).await.at(&path)?;
        }
    }
    Ok(())
}

/// Applies the newest whole snapshot of a metadata log from `start` to `end` to the empty `catalog`; the offset from which
/// the log goes on. What belongs to no part of that log goes away.
pub async fn load<R: Runtime>(
    rt: &R,
    layout: &Layout,
    catalog: &mut Catalog,
    start: Offset,
    end: Offset,
) -> Result<Offset, StartError> {
    remove_others(rt, layout, Some((start, end))).await?;
    let empty = catalog.clone();
    for (offset, path) in found(rt, layout).await?.into_iter().rev() {
        let bytes = rt.read_whole(&path).await.at(&path)?;
        let damage = match format::read(&bytes) {
            Ok(records) => match records.iter().try_for_each(|record| catalog.apply(record)) {
                Ok(()) => return Ok(offset),
                Err(error) => error.to_string(),
            },
            Err(error @ (SnapshotError::Version(_) | SnapshotError::Record(_))) => {
                return Err(StartError::Snapshot { path, why: error.to_string() });
            }
            Err(SnapshotError::Damaged(what)) => what,
        };
        tracing::error!(snapshot = %path.display(), damage, "a snapshot of the catalog is damaged: an older one is tried");
        *catalog = empty.clone();
        if offset == start {
            return Err(StartError::Snapshot {
                path,
                why: format!(
                    "{damage}. The metadata log begins behind it, so there is no other copy: restore it from a backup"
                ),
            });
        }
    }
    if start > Offset::ZERO {
        return Err(StartError::Snapshot {
            path: layout.catalog(),
            why: format!("the metadata log begins at {}, and there is no snapshot of what was before", start.0),
        });
    }
    Ok(start)
}

/// A directory without a metadata log: no snapshot there is of this broker's catalog.
pub async fn forget<R: Runtime>(rt: &R, layout: &Layout) -> Result<(), StartError> {
    Ok(remove_others(rt, layout, None).await?)
}
