//! Carries out write and sync jobs. Owning core only.
//!
//! Invariant: a job's bytes go out in pieces of `STAGING_BYTES`, at most four in flight, of which no two share a
//! block (R10). An error names its file and is final (R16), but for a disk without space: the same job may be tried again.

use std::cell::RefCell;

use bytes::Bytes;
use futures_lite::future::zip;
use smallvec::SmallVec;

use super::files::{At, FileKind, PartitionDir, StoreError};
use super::store::Store;
use super::write_plan::{SyncJob, WriteJob};
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::buf::{Frozen, IoBuf};
use crate::runtime::{BLOCK_BYTES, File, Runtime};

/// The device writes 2–3 GB/s in pieces of this size; larger ones gain nothing (R17).
pub(super) const STAGING_BYTES: usize = 512 << 10;

const _: () = assert!(STAGING_BYTES.is_multiple_of(BLOCK_BYTES), "pieces are whole blocks, so that they share none");

impl<R: Runtime> Store<R> {
    /// Writes a job's bytes and index pages; with a seal, cuts the file and syncs it, then the directory (R11).
    pub async fn write(&self, dir: &PartitionDir, job: &WriteJob) -> Result<(), StoreError> {
        let files = self.files();
        if job.make_directory {
            files.make_directory(dir, job.holds_files).await?;
        }
        let base = job.segment_base;
        let path = files.path(dir, base, FileKind::Log);
        let file = files.for_writing(dir, base, FileKind::Log, job.from.0 == 0).await?;
        self.write_pieces(&*file, job).await.at(&path)?;
        if let Some(size) = job.seal {
            if !is_planted(PlantedFault::SealNotCut) {
                file.resize(size.0).await.at(&path)?;
            }
            file.sync().await.at(&path)?;
        }
        self.write_index(dir, job).await?;
        if job.seal.is_some() {
            files.sync_directory(dir).await?;
        }
        Ok(())
    }

    async fn write_pieces(&self, file: &R::File, job: &WriteJob) -> std::io::Result<()> {
        let staging = RefCell::new(Staging::new(job));
        let worker = || async {
            loop {
                // Copied only when its turn comes: this bounds the staging memory.
                let next = staging.borrow_mut().next(|bytes| self.rt().alloc(bytes));
                let Some((position, piece)) = next else { return Ok(()) };
                let written = file.write(position, &piece).await;
                if written.is_err() {
                    staging.borrow_mut().stop();
                    return written;
                }
            }
        };
        let ((a, b), (c, d)) = zip(zip(worker(), worker()), zip(worker(), worker())).await;
        a.and(b).and(c).and(d)
    }

    async fn write_index(&self, dir: &PartitionDir, job: &WriteJob) -> Result<(), StoreError> {
        if job.index.is_empty() {
            return Ok(());
        }
        let path = self.files().path(dir, job.segment_base, FileKind::Index);
        let file = self.files().for_writing(dir, job.segment_base, FileKind::Index, true).await?;
        for page in &job.index {
            let mut block = self.rt().alloc(BLOCK_BYTES);
            block.extend_from_slice(&page.bytes);
            file.write(u64::from(page.number) * BLOCK_BYTES as u64, &block.freeze()).await.at(&path)?;
        }
        if job.seal.is_some() {
            file.sync().await.at(&path)?;
        }
        Ok(())
    }

    /// Makes a segment's file durable, and the names that lead to it (R12).
    pub async fn sync(&self, dir: &PartitionDir, job: &SyncJob) -> Result<(), StoreError> {
        let path = self.files().path(dir, job.segment_base, FileKind::Log);
        let file = self.files().for_writing(dir, job.segment_base, FileKind::Log, false).await?;
        file.sync().await.at(&path)?;
        self.files().sync_directory(dir).await
    }

    /// Makes all segments and all names durable, of whatever partition.
    pub async fn sync_all(&self) -> Result<(), StoreError> {
        self.files().sync_all().await
    }
}

/// Cuts the bytes of a job into pieces for the device.
struct Staging {
    position: u64,
    pieces: smallvec::IntoIter<[Bytes; 4]>,
    /// What is left of the piece that was cut.
    rest: Bytes,
}

impl Staging {
    fn new(job: &WriteJob) -> Staging {
        Staging { position: job.from.0, pieces: job.pieces.clone().into_iter(), rest: Bytes::new() }
    }

    fn next(&mut self, alloc: impl Fn(usize) -> IoBuf) -> Option<(u64, Frozen)> {
        let bytes = self.rest.len() + self.pieces.as_slice().iter().map(Bytes::len).sum::<usize>();
        if bytes == 0 {
            return None;
        }
        let mut buffer = alloc(bytes.min(STAGING_BYTES));
        let room = bytes.min(STAGING_BYTES);
        while buffer.len() < room {
            if self.rest.is_empty() {
                self.rest = self.pieces.next()?;
            }
            let take = self.rest.len().min(room - buffer.len());
            buffer.extend_from_slice(&self.rest.split_to(take));
        }
        buffer.pad_to_block();
        let position = self.position;
        self.position += buffer.len() as u64;
        Some((position, buffer.freeze()))
    }

    fn stop(&mut self) {
        self.rest = Bytes::new();
        self.pieces = SmallVec::new().into_iter();
    }
}
