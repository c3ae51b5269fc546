//! Reads the sidecar of a segment, and rebuilds from the batches what it lacks (R13). Owning core only.
//!
//! Invariant: the result has no gap. Batches that are indexed anew have passed their CRC; their heads are checked by their
//! order alone.

use std::rc::Rc;

use super::files::{At, FileKind, PartitionDir};
use super::index::{Entry, IndexBuilder, Page, PageError, sidecar};
use super::reader::{OpenSource, ReadFailureKind, ReadResult};
use super::store::{LoadedIndex, Store};
use crate::runtime::{BLOCK_BYTES, File, READ_BYTES_MAX, Runtime};
use crate::types::Offset;

/// Read at once while rebuilding.
const SCAN_BYTES: u64 = READ_BYTES_MAX as u64;

impl<R: Runtime> Store<R> {
    /// Entries of a segment below what its plan knows itself.
    pub(super) async fn index(&self, dir: &PartitionDir, open: &OpenSource<'_, R>) -> ReadResult<Rc<LoadedIndex>> {
        let key = (dir.id, open.source.base);
        let upto = open.source.recent_from;
        if let Some(cached) = self.cached_index(&key).filter(|cached| cached.upto >= upto) {
            return Ok(cached);
        }
        let mut stored = self.stored_entries(dir, open).await?;
        stored.sort_by_key(Entry::start);
        let mut entries: Vec<Entry> = Vec::with_capacity(stored.len());
        let mut at = 0;
        let mut is_whole = true;
        for entry in stored {
            // Pages of an earlier run may say the same again.
            if entry.start() < at || entry.end() > upto {
                continue;
            }
            if entry.start() > at {
                is_whole = false;
                self.scan(open, at, entry.start(), &mut entries).await?;
            }
            at = entry.end();
            entries.push(entry);
        }
        if at < upto {
            is_whole = false;
            self.scan(open, at, upto, &mut entries).await?;
        }
        if let (false, Some(end_offset)) = (is_whole, open.source.sealed_at) {
            self.store_index(dir, open.source.base, &entries, upto, end_offset).await;
        }
        let index = Rc::new(LoadedIndex { entries, upto });
        self.cache_index(key, index.clone());
        Ok(index)
    }

    async fn stored_entries(&self, dir: &PartitionDir, open: &OpenSource<'_, R>) -> ReadResult<Vec<Entry>> {
        let base = open.source.base;
        let path = self.files().path(dir, base, FileKind::Index);
        let mut entries = Vec::new();
        if open.source.sealed_at.is_none() && open.source.index_pages == 0 {
            return Ok(entries);
        }
        let file = match self.files().for_reading(dir, base, FileKind::Index).await {
            Ok(file) => file,
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => return Ok(entries),
            Err(e) => return Err(e.into()),
        };
        let len = file.len().await.at(&path)?;
        let pages = match open.source.sealed_at {
            Some(_) => len.div_ceil(BLOCK_BYTES as u64),
            None => u64::from(open.source.index_pages),
        };
        let mut at = 0;
        while at < pages * BLOCK_BYTES as u64 {
            let left = pages * BLOCK_BYTES as u64 - at;
            let bytes = file.read(at, left.min(READ_BYTES_MAX as u64) as usize).await.at(&path)?;
            if bytes.is_empty() {
                break;
            }
            at += bytes.len().next_multiple_of(BLOCK_BYTES) as u64;
            for page in bytes.chunks(BLOCK_BYTES) {
                match Page::decode(page, base) {
                    Ok(Page::Entries(found)) => entries.extend(found),
                    // Whether the segment is sealed and how long it is says the checkpoint.
                    Ok(Page::Footer { .. }) => {}
                    Err(PageError::Damaged) => {
                        tracing::warn!(path = %path.display(), "an index page is damaged: it is rebuilt from the segment");
                    }
                    Err(PageError::Version(version)) => return Err(ReadFailureKind::IndexVersion { path, version }),
                }
            }
        }
        Ok(entries)
    }

    /// Indexes the batches `from..upto`; both are ends of batches.
    async fn scan(&self, open: &OpenSource<'_, R>, from: u64, upto: u64, entries: &mut Vec<Entry>) -> ReadResult<()> {
        let base = open.source.base;
        let mut index = IndexBuilder::new(base, from);
        // Behind stored entries the first offset is taken as it is.
        let mut expected = (from == 0).then_some(base);
        let mut at = from;
        let mut window = SCAN_BYTES;
        while at < upto {
            let rope = open.fetch(at, upto.min(at + window)).await?;
            let before = at;
            while let Some(batch) = rope.batch_at(at) {
                let offset = Offset(batch.header.base_offset);
                let batch = open.batch(&rope, at, expected.unwrap_or(offset))?;
                if batch.end() > upto {
                    return Err(open.corrupt(at, offset, "a batch reaches over its segment's end"));
                }
                if batch.end() > rope.end() {
                    window = SCAN_BYTES.max(batch.bytes());
                    break;
                }
                if !rope.crc_is_right(&batch) {
                    return Err(open.corrupt(at, offset, "the batch's CRC does not match"));
                }
                index.add(offset, at, batch.bytes() as usize, batch.header.max_timestamp, &batch.prefix);
                at = batch.end();
                expected = Some(batch.last_offset().plus(1));
            }
            if at == before && rope.end() == upto && rope.batch_at(at).is_none() {
                return Err(open.corrupt(at, expected.unwrap_or(base), "a batch is cut off"));
            }
            self.rt().quantum().await;
        }
        entries.extend(index.into_entries());
        Ok(())
    }

    /// Puts a rebuilt sidecar in place, so that it is rebuilt only once. Without it reads are slower, not wrong.
    async fn store_index(&self, dir: &PartitionDir, base: Offset, entries: &[Entry], size: u64, end_offset: Offset) {
        let path = self.files().path(dir, base, FileKind::Index);
        let content = sidecar(base, entries, size, end_offset);
        if let Err(error) = self.files().replace(dir, base, FileKind::Index, &content).await {
            tracing::warn!(path = %path.display(), %error, "a rebuilt index could not be stored");
        }
    }
}
