//! The segment files of one core: carries out what the logs plan. Owning core only; shared by its tasks.
//!
//! Invariant: no state of a log is borrowed here; a job owns all it needs.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::files::{At, FileKind, Files, Gate, Gates, PartitionDir, Removed, StoreError};
use super::index::Entry;
use super::lru::Lru;
use super::state::KnownSegments;
use crate::runtime::{File, OpenMode, Runtime};
use crate::types::{Mono, Offset, PartitionId};

/// Entries of one segment below `upto`, without a gap.
#[derive(Debug)]
pub(super) struct LoadedIndex {
    pub entries: Vec<Entry>,
    pub upto: u64,
}

/// With the cleaning that made the segment's file.
pub(super) type IndexKey = (PartitionId, Offset, u64);

pub struct Store<R: Runtime> {
    inner: Rc<Inner<R>>,
}

struct Inner<R: Runtime> {
    rt: R,
    files: Files<R>,
    indexes: RefCell<Lru<IndexKey, Rc<LoadedIndex>>>,
    /// Who is inside enters none of the names' gates.
    large_reads: Gate,
    large_batches: Gate,
}

impl<R: Runtime> Clone for Store<R> {
    fn clone(&self) -> Store<R> {
        Store { inner: self.inner.clone() }
    }
}

impl<R: Runtime> Store<R> {
    /// Partition directories are in `root`. At most `open_files` are kept open, and `index_cache_bytes` of indexes in memory.
    /// `gates` are those of all cores that have partitions in `root`.
    pub fn new(rt: R, root: PathBuf, open_files: usize, index_cache_bytes: usize, gates: Arc<Gates>) -> Store<R> {
        let files = Files::new(rt.clone(), root, open_files, gates);
        let indexes = RefCell::new(Lru::new(index_cache_bytes));
        Store { inner: Rc::new(Inner { rt, files, indexes, large_reads: Gate::new(), large_batches: Gate::new() }) }
    }

    pub(super) fn rt(&self) -> &R {
        &self.inner.rt
    }

    pub(super) fn files(&self) -> &Files<R> {
        &self.inner.files
    }

    /// Lets one large read in at a time.
    pub(super) fn large_reads(&self) -> &Gate {
        &self.inner.large_reads
    }

    /// Looks into a batch that takes longer than a task may run: beside this core, one at a time. Who is inside enters no gate.
    pub async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _one = self.inner.large_batches.enter().await;
        let (done, outcome) = flume::bounded(1);
        // Where nobody waits for it any more, the work is done all the same.
        let work = move || drop(done.try_send(work()));
        self.rt().beside(work).await;
        outcome.try_recv().expect("the work is done")
    }

    /// Partitions whose files nobody may touch by name any more; who learns of a deletion adds them at once.
    pub fn removed(&self) -> &Removed {
        self.files().removed()
    }

    pub(super) fn cached_index(&self, key: &IndexKey) -> Option<Rc<LoadedIndex>> {
        self.inner.indexes.borrow_mut().get(key)
    }

    pub(super) fn cache_index(&self, key: IndexKey, index: Rc<LoadedIndex>) {
        let weight = std::mem::size_of::<LoadedIndex>() + index.entries.len() * std::mem::size_of::<Entry>();
        self.inner.indexes.borrow_mut().insert(key, index, weight);
    }

    pub(super) fn forget_indexes(&self, dir: &PartitionDir, base: Offset) {
        self.inner.indexes.borrow_mut().remove_range((dir.id, base, 0)..=(dir.id, base, u64::MAX));
    }

    /// Opens a file that is none of a segment's; for want of a descriptor, one that is kept open gives up its own.
    pub async fn open_at(&self, path: &Path, mode: OpenMode) -> io::Result<R::File> {
        self.files().open_at(path, mode).await
    }

    /// Length of a segment's file; `NotFound` if there is none. It is not kept open.
    pub async fn segment_file_len(&self, dir: &PartitionDir, base: Offset) -> Result<u64, StoreError> {
        let path = self.files().path(dir, base, FileKind::Log);
        let file = self.open_at(&path, OpenMode::Read).await.at(&path)?;
        let len = file.len().await.at(&path)?;
        file.close().await.at(&path)?;
        Ok(len)
    }

    /// The core stops: no name is being changed any more, nor will be.
    pub async fn close(&self) {
        self.files().close().await;
    }

    /// Takes the files of segments out of service that the log gave up (R8); they go after `delay`.
    pub async fn remove_segments(
        &self,
        dir: &PartitionDir,
        bases: &[Offset],
        delay: Duration,
    ) -> Result<(), StoreError> {
        for base in bases {
            self.forget_indexes(dir, *base);
        }
        self.files().remove_segments(dir, bases, delay).await
    }

    /// When the next of what is out of service is due to go, if there is any.
    pub fn next_removal(&self) -> Option<Mono> {
        self.files().next_removal()
    }

    /// Removes one thing that is out of service and due by `now`; `None` if there is none.
    pub async fn remove_due(&self, now: Mono) -> Option<Result<(), StoreError>> {
        self.files().remove_due(now).await
    }

    /// Removes what is in the partition's directory and not in its log; see `Files::remove_strays`.
    pub async fn remove_strays(&self, dir: &PartitionDir, log: &KnownSegments) -> Result<bool, StoreError> {
        self.files().remove_strays(dir, log).await
    }

    /// Takes all of a partition out of service whose topic is deleted; it goes after `delay`. Writes and reads of it that are under way
    /// may fail with `NotFound`.
    pub async fn remove_partition(&self, dir: &PartitionDir, delay: Duration) -> Result<(), StoreError> {
        let all = (dir.id, Offset(i64::MIN), 0)..=(dir.id, Offset(i64::MAX), u64::MAX);
        self.inner.indexes.borrow_mut().remove_range(all);
        self.files().remove_partition(dir, delay).await
    }
}

/// Bytes that were joined, where they came in one piece without a copy.
pub(super) fn joined(mut slices: smallvec::SmallVec<[Bytes; 2]>) -> Bytes {
    match slices.len() {
        1 => slices.swap_remove(0),
        _ => slices.concat().into(),
    }
}
