//! Writes the file that takes the place of cleaned segments. Owning core only.
//!
//! Invariant: batches come in order and stand one behind the other, as in any sealed segment; when `finish` has returned, the file
//! and its index are on the disk under names of their own, and nothing else has changed.

use std::path::PathBuf;
use std::time::Duration;

use super::super::files::{At, FileKind, PartitionDir, StoreError};
use super::super::index::{IndexBuilder, sidecar};
use super::super::segment::NO_TIMESTAMP;
use super::super::snapshot::Replacement;
use super::super::store::Store;
use super::super::writer::STAGING_BYTES;
use crate::batch::{BatchError, BatchHeader, PREFIX_BYTES};
use crate::runtime::buf::IoBuf;
use crate::runtime::{File, Runtime};
use crate::types::{FilePos, Offset};

pub struct CleanedFile<R: Runtime> {
    store: Store<R>,
    dir: PartitionDir,
    path: PathBuf,
    file: R::File,
    staging: IoBuf,
    /// Bytes that are in the file.
    written: u64,
    index: IndexBuilder,
    /// What it replaces, and with how much so far.
    replacement: Replacement,
}

impl<R: Runtime> Store<R> {
    /// Begins the file of cleaning `number`, for the segments `base..end_offset`.
    ///
    /// # Errors
    /// Those of the disk; `NotFound` if the partition is being removed.
    pub async fn begin_cleaned(
        &self,
        dir: &PartitionDir,
        number: u64,
        base: Offset,
        end_offset: Offset,
    ) -> Result<CleanedFile<R>, StoreError> {
        let file = self.files().begin_cleaned(dir, base, number).await?;
        Ok(CleanedFile {
            store: self.clone(),
            dir: dir.clone(),
            path: self.files().cleaned_path(dir, base, number, FileKind::Log),
            file,
            staging: self.rt().alloc(STAGING_BYTES),
            written: 0,
            index: IndexBuilder::new(base, 0),
            replacement: Replacement {
                number,
                base,
                end_offset,
                size: FilePos(0),
                first_timestamp_ms: NO_TIMESTAMP,
                max_timestamp_ms: NO_TIMESTAMP,
            },
        })
    }

    /// Puts a finished file in its place (see `Files::install_cleaned`). `joined` are the segments behind the first that it holds.
    /// What it replaces goes after `delay`.
    ///
    /// # Errors
    /// Those of the disk; `NotFound` if the partition is being removed.
    pub async fn install_cleaned(
        &self,
        dir: &PartitionDir,
        by: &Replacement,
        joined: &[Offset],
        delay: Duration,
    ) -> Result<(), StoreError> {
        self.files().install_cleaned(dir, by.base, by.number, joined, delay).await?;
        for base in std::iter::once(&by.base).chain(joined) {
            self.forget_indexes(dir, *base);
        }
        Ok(())
    }

    /// A finished file that is not needed after all.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn drop_cleaned(&self, dir: &PartitionDir, by: &Replacement) -> Result<(), StoreError> {
        self.files().drop_cleaned(dir, by.base, by.number).await
    }
}

impl<R: Runtime> CleanedFile<R> {
    /// Adds one whole batch.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn push(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        let head = |e: BatchError| std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string());
        let header = BatchHeader::parse(batch).map_err(head).at(&self.path)?;
        let prefix = batch.first_chunk::<PREFIX_BYTES>().expect("a batch that has a header has its prefix");
        let replacement = &mut self.replacement;
        let position = replacement.size.0;
        self.index.add(Offset(header.base_offset), position, batch.len(), header.max_timestamp, prefix);
        if position == 0 {
            replacement.first_timestamp_ms = header.max_timestamp;
        }
        // A batch without records keeps its timestamp, and no search finds anything in it.
        if header.record_count > 0 {
            replacement.max_timestamp_ms = replacement.max_timestamp_ms.max(header.max_timestamp);
        }
        replacement.size.0 += batch.len() as u64;
        let mut rest = batch;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.staging.remaining()));
            self.staging.extend_from_slice(now);
            rest = later;
            if self.staging.remaining() == 0 {
                self.write().await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        let mut full = std::mem::replace(&mut self.staging, self.store.rt().alloc(STAGING_BYTES));
        full.pad_to_block();
        let bytes = full.len() as u64;
        self.file.write(self.written, &full.freeze()).await.at(&self.path)?;
        self.written += bytes;
        Ok(())
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.replacement.size.0
    }

    /// Ends and syncs the file and its index. After an error nothing of it is left, if the disk lets it be removed: a full disk needs
    /// the space.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn finish(self) -> Result<Replacement, StoreError> {
        let (store, dir, by) = (self.store.clone(), self.dir.clone(), self.replacement);
        let finished = self.end().await;
        if finished.is_err()
            && let Err(error) = store.drop_cleaned(&dir, &by).await
        {
            tracing::debug!(path = %error.path.display(), error = %error.source, "not removed yet");
        }
        finished
    }

    async fn end(mut self) -> Result<Replacement, StoreError> {
        if !self.staging.is_empty() {
            self.write().await?;
        }
        let Replacement { number, base, end_offset, size, .. } = self.replacement;
        self.file.resize(size.0).await.at(&self.path)?;
        self.file.sync().await.at(&self.path)?;
        self.file.close().await.at(&self.path)?;
        let index = sidecar(base, &self.index.into_entries(), size.0, end_offset);
        self.store.files().end_cleaned(&self.dir, base, number, &index).await?;
        Ok(self.replacement)
    }

    /// Gives the file up; a failure leaves something for the next cleaning or start to remove.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn discard(self) -> Result<(), StoreError> {
        self.file.close().await.at(&self.path)?;
        self.store.files().drop_cleaned(&self.dir, self.replacement.base, self.replacement.number).await
    }
}
