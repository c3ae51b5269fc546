//! Carries out reads of segment files. Owning core only.
//!
//! Whole index intervals are read, since the checksum over what Kafka's CRC leaves out is theirs; of those, the batches asked
//! for are given as slices of what was read.
//!
//! Invariant: a batch from the file is given only after its CRC32C and its interval's checksum were found right (R15).

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::Bytes;
use futures_lite::future::zip;
use smallvec::SmallVec;
use thiserror::Error;

use super::checksum::PrefixSum;
use super::files::{At, FileKind, PartitionDir, StoreError};
use super::index::Entry;
use super::read_plan::{DiskBatches, DiskRead, SegmentSource};
use super::rope::{BatchAt, Rope};
use super::search::{Step, TimestampSearch};
use super::segment::block_floor;
use super::store::{Store, joined};
use super::timestamps;
use super::write_plan::ColdTail;
use crate::batch::STORED_DECOMPRESSED_BYTES_MAX;
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::{BLOCK_BYTES, File, READ_BYTES_MAX, Runtime, is_out_of_descriptors};
use crate::types::{Listed, Offset};

/// Most that one read takes from a file, whatever its limit says, unless a single interval is larger.
const READ_BYTES_AT_ONCE_MAX: u64 = 8 << 20;

/// Decompressed records of which so many are looked through on the core, in about a millisecond; more of them beside it.
const LOOK_BYTES: usize = 1 << 20;

/// A read of a segment failed: the partition goes offline, unless the segment was dropped meanwhile or there was no descriptor.
#[derive(Debug, Error)]
#[error("{kind}")]
pub struct ReadFailure {
    pub segment_base: Offset,
    /// The cleaning that made the file which the plan was for.
    pub cleaning: u64,
    pub kind: ReadFailureKind,
}

#[derive(Debug, Error)]
pub enum ReadFailureKind {
    #[error(transparent)]
    Io(#[from] StoreError),
    #[error("{} is damaged at byte {position}, offset {offset}: {what}", path.display(), offset = offset.0)]
    Corrupt { path: PathBuf, position: u64, offset: Offset, what: &'static str },
    #[error("{}: index format version {version} is not known to this build; removing the file makes it anew", path.display())]
    IndexVersion { path: PathBuf, version: u16 },
}

pub(super) type ReadResult<T> = Result<T, ReadFailureKind>;

impl ReadFailure {
    /// It could not be opened for want of a descriptor: that says nothing of the segment.
    pub fn is_for_descriptors(&self) -> bool {
        matches!(&self.kind, ReadFailureKind::Io(error) if is_out_of_descriptors(&error.source))
    }
}

impl<R: Runtime> Store<R> {
    /// The batches of a planned read, in order.
    pub async fn read(&self, dir: &PartitionDir, read: &DiskRead) -> Result<DiskBatches, ReadFailure> {
        self.read_batches(dir, read).await.map_err(|kind| read.source.failure(kind))
    }

    async fn read_batches(&self, dir: &PartitionDir, read: &DiskRead) -> ReadResult<DiskBatches> {
        let open = self.open(dir, &read.source).await?;
        let wanted = u64::from(read.max_bytes).min(READ_BYTES_AT_ONCE_MAX);
        let mut at = 0;
        loop {
            let intervals = self.intervals_from(dir, &open, read.from, at, wanted).await?;
            let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else {
                return Err(open.corrupt(at, read.from, "the index has no entry for it"));
            };
            let rope = self.fetch_large(&open, first.start(), last.end()).await?;
            if let Some((from, upto)) = self.pick(&open, &rope, &intervals, read).await? {
                return Ok(DiskBatches::Found(rope.slices(from, upto)));
            }
            // Compaction took the batches that these intervals had from there on.
            at = last.end();
            match read.source.sealed_at {
                Some(end) if at >= read.source.end => return Ok(DiskBatches::Beyond(end)),
                _ => {}
            }
        }
    }

    /// The answer to a search by timestamp; `Offset::UNKNOWN` if no record qualifies.
    pub async fn search(&self, dir: &PartitionDir, search: &TimestampSearch) -> Result<Listed, ReadFailure> {
        for step in &search.steps {
            let found = match step {
                Step::Disk(source) => {
                    self.search_segment(dir, source, search).await.map_err(|kind| source.failure(kind))?
                }
                Step::Memory(batch) => self.look_into(batch, search).await,
            };
            if let Some(found) = found {
                return Ok(found);
            }
            self.rt().quantum().await;
        }
        Ok(Listed::NOT_FOUND)
    }

    async fn search_segment(
        &self,
        dir: &PartitionDir,
        source: &SegmentSource,
        search: &TimestampSearch,
    ) -> ReadResult<Option<Listed>> {
        let open = self.open(dir, source).await?;
        for interval in self.intervals_from(dir, &open, search.from.max(source.base), 0, u64::MAX).await? {
            if interval.max_timestamp_ms < search.at {
                continue;
            }
            let rope = open.fetch(interval.start(), interval.end()).await?;
            let mut candidates: SmallVec<[BatchAt; 4]> = SmallVec::new();
            open.check(&rope, &interval, |batch| {
                let is_candidate = batch.header.max_timestamp >= search.at
                    && batch.last_offset() >= search.from
                    && batch.last_offset() < search.upto;
                if is_candidate {
                    candidates.push(*batch);
                }
                is_candidate
            })?;
            for batch in candidates {
                let bytes = joined(rope.slices(batch.position, batch.end()));
                let found = self.look_into(&bytes, search).await;
                if found.is_some() {
                    return Ok(found);
                }
                self.rt().quantum().await;
            }
        }
        Ok(None)
    }

    async fn look_into(&self, batch: &Bytes, search: &TimestampSearch) -> Option<Listed> {
        let (at, from) = (search.at, search.from);
        if let Ok(found) = timestamps::first_record(batch, at, from, LOOK_BYTES) {
            return found;
        }
        let batch = batch.clone();
        let look = move || timestamps::first_record(&batch, at, from, STORED_DECOMPRESSED_BYTES_MAX);
        self.beside(look).await.unwrap_or_default()
    }

    /// The partial block of a cold tail. Not checked: it goes back to where it was, and readers check it there.
    pub async fn read_tail(&self, dir: &PartitionDir, tail: ColdTail) -> Result<Bytes, ReadFailure> {
        let source = SegmentSource {
            base: tail.segment_base,
            disk_end: tail.upto.0,
            tail: SmallVec::new(),
            end: tail.upto.0,
            cleaning: 0,
            sealed_at: None,
            index_pages: 0,
            recent: Vec::new(),
            recent_from: tail.upto.0,
        };
        let read = async {
            let open = self.open(dir, &source).await?;
            let rope = open.fetch(tail.from.0, tail.upto.0).await?;
            Ok(joined(rope.slices(tail.from.0, tail.upto.0)))
        };
        read.await.map_err(|kind| source.failure(kind))
    }

    pub(super) async fn open<'a>(
        &self,
        dir: &PartitionDir,
        source: &'a SegmentSource,
    ) -> ReadResult<OpenSource<'a, R>> {
        let path = self.files().path(dir, source.base, FileKind::Log);
        let file = self.files().for_reading(dir, source.base, source.cleaning, FileKind::Log).await?;
        Ok(OpenSource { source, path, file })
    }

    /// Intervals from the one that holds `from`, or from byte `at` if that is behind, up to `bytes` of them; the first
    /// whatever its size.
    async fn intervals_from(
        &self,
        dir: &PartitionDir,
        open: &OpenSource<'_, R>,
        from: Offset,
        at: u64,
        bytes: u64,
    ) -> ReadResult<Vec<Entry>> {
        let source = open.source;
        let is_recent = source.recent.first().is_some_and(|e| e.first_offset(source.base) <= from);
        let loaded = if is_recent { None } else { Some(self.index(dir, open).await?) };
        let older = loaded.as_ref().map_or(&[][..], |index| &index.entries);
        // An index loaded later than the plan knows more of the same.
        let older = &older[..older.partition_point(|e| e.start() < source.recent_from)];
        let entries = older.iter().chain(&source.recent);
        let count_before = |part: &[Entry]| part.partition_point(|e| e.first_offset(source.base) <= from);
        let behind = usize::from(!is_planted(PlantedFault::IndexOffByOne));
        let first = (count_before(older) + count_before(&source.recent)).saturating_sub(behind);
        let mut left = bytes;
        let mut found = Vec::new();
        for entry in entries.skip(first).skip_while(|e| e.start() < at) {
            if !found.is_empty() && left < u64::from(entry.length) {
                break;
            }
            left = left.saturating_sub(u64::from(entry.length));
            found.push(*entry);
        }
        Ok(found)
    }

    /// As `OpenSource::fetch`, but only one at a time of those that the disk needs long for: what many of them ask for at once
    /// lies before the next commit, and brings no reader more bytes a second.
    async fn fetch_large(&self, open: &OpenSource<'_, R>, start: u64, end: u64) -> ReadResult<Rope> {
        let _alone = match end - start > READ_BYTES_MAX as u64 {
            true => Some(self.large_reads().enter().await),
            false => None,
        };
        open.fetch(start, end).await
    }

    /// Which bytes of the intervals a read gives: from the first batch that it wants as far as its limits go, perhaps none. `None`
    /// if they hold no batch that it wants. The checksums of megabytes take milliseconds: others have their turn in between.
    async fn pick(
        &self,
        open: &OpenSource<'_, R>,
        rope: &Rope,
        intervals: &[Entry],
        read: &DiskRead,
    ) -> ReadResult<Option<(u64, u64)>> {
        let mut given: Option<(u64, u64)> = None;
        let mut full = false;
        for interval in intervals {
            open.check(rope, interval, |batch| {
                if batch.last_offset() < read.from || full {
                    return false;
                }
                let (from, upto) = given.unwrap_or((batch.position, batch.position));
                let fits = batch.end() - from <= u64::from(read.max_bytes) || (read.at_least_one && from == upto);
                full = !fits || batch.last_offset() >= read.upto;
                given = Some((from, if full { upto } else { batch.end() }));
                !full
            })?;
            self.rt().quantum().await;
        }
        Ok(given)
    }
}

impl SegmentSource {
    fn failure(&self, kind: ReadFailureKind) -> ReadFailure {
        ReadFailure { segment_base: self.base, cleaning: self.cleaning, kind }
    }
}

/// A segment's file, with what the plan knows of it.
pub(super) struct OpenSource<'a, R: Runtime> {
    pub source: &'a SegmentSource,
    path: PathBuf,
    file: std::rc::Rc<R::File>,
}

impl<R: Runtime> OpenSource<'_, R> {
    pub fn corrupt(&self, position: u64, offset: Offset, what: &'static str) -> ReadFailureKind {
        ReadFailureKind::Corrupt { path: self.path.clone(), position, offset, what }
    }

    /// The bytes from the block that holds `start`, or before, up to `end`: from the file, and from memory what the file has not.
    pub async fn fetch(&self, start: u64, end: u64) -> ReadResult<Rope> {
        // What memory holds begins where the file ends, be that above `start` or below.
        let block_start = block_floor(start).min(self.source.disk_end);
        let disk_end = end.min(self.source.disk_end);
        let chunks = self.read_chunks(block_start, disk_end).await?;
        let mut rope = Rope::new(block_start);
        for chunk in chunks {
            let needed = disk_end - rope.end();
            if (chunk.len() as u64) < needed.min(READ_BYTES_MAX as u64) {
                let what = "the file ends before the log does";
                return Err(self.corrupt(rope.end() + chunk.len() as u64, self.source.base, what));
            }
            rope.push(chunk.slice(..chunk.len().min(needed as usize)));
        }
        let mut missing = end - rope.end();
        for bytes in &self.source.tail {
            let take = missing.min(bytes.len() as u64);
            rope.push(bytes.slice(..take as usize));
            missing -= take;
        }
        assert!(rope.end() >= end, "a plan holds what its file has not");
        Ok(rope)
    }

    async fn read_chunks(&self, from: u64, upto: u64) -> ReadResult<Vec<Bytes>> {
        let count = upto.saturating_sub(from).div_ceil(READ_BYTES_MAX as u64) as usize;
        let chunks = RefCell::new(vec![Bytes::new(); count]);
        let next = std::cell::Cell::new(0);
        let worker = || async {
            loop {
                let index = next.replace(next.get() + 1);
                if index >= count {
                    return Ok(());
                }
                let position = from + (index * READ_BYTES_MAX) as u64;
                let blocks = (upto - position).next_multiple_of(BLOCK_BYTES as u64);
                let read = self.file.read(position, blocks.min(READ_BYTES_MAX as u64) as usize).await;
                if read.is_err() {
                    next.set(count);
                }
                chunks.borrow_mut()[index] = read?;
            }
        };
        if count == 1 {
            worker().await.at(&self.path)?;
        } else {
            let (a, b): (std::io::Result<()>, std::io::Result<()>) = zip(worker(), worker()).await;
            a.and(b).at(&self.path)?;
        }
        Ok(chunks.into_inner())
    }

    /// Walks an interval; the CRC of those batches is checked that `wants` asks for.
    pub fn check(&self, rope: &Rope, interval: &Entry, mut wants: impl FnMut(&BatchAt) -> bool) -> ReadResult<()> {
        let mut at = interval.start();
        let mut expected = interval.first_offset(self.source.base);
        let mut sum = PrefixSum::default();
        while at < interval.end() {
            let batch = self.batch(rope, at, expected)?;
            if batch.end() > interval.end() {
                return Err(self.corrupt(at, expected, "a batch is longer than the index says"));
            }
            sum.add(&batch.prefix);
            if wants(&batch) && !rope.crc_is_right(&batch) {
                return Err(self.corrupt(at, expected, "the batch's CRC does not match"));
            }
            at = batch.end();
            expected = batch.last_offset().plus(1);
        }
        if sum != interval.sum {
            let what = "the heads of the batches do not match the index";
            return Err(self.corrupt(interval.start(), interval.first_offset(self.source.base), what));
        }
        Ok(())
    }

    /// The batch at `at`, which must start with offset `expected`, or behind where compaction made gaps. Its end may lie behind the rope's.
    pub fn batch(&self, rope: &Rope, at: u64, expected: Offset) -> ReadResult<BatchAt> {
        let batch = rope.batch_at(at).ok_or_else(|| self.corrupt(at, expected, "a batch is cut off"))?;
        match batch.flaw(expected, self.source.cleaning > 0) {
            Some(what) => Err(self.corrupt(at, expected, what)),
            None => Ok(batch),
        }
    }
}
