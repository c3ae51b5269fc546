//! A segment as tools find it while no broker runs: its file, and what the journal holds behind it. Pure; the caller reads.
//!
//! Invariant: a batch is given with what is right and wrong about it and never repaired; the walk goes on behind a wrong
//! CRC, since the head says where the next batch is, and ends where no head makes sense.

use bytes::Bytes;
use smallvec::SmallVec;
use thiserror::Error;

use super::files::FileKind;
use super::index::{Entry, IndexBuilder, sidecar};
use super::rope::Rope;
use super::segment::{Segment, Stage};
use super::state::PartitionLog;
use crate::batch::{BatchHeader, HEADER_BYTES, PREFIX_BYTES};
use crate::types::Offset;

/// Read at once.
const WINDOW_BYTES: u64 = 1 << 20;

/// Where the bytes of a segment are.
#[derive(Clone, Debug)]
pub struct SegmentAtRest {
    pub base: Offset,
    /// One past its last offset; `None` for a file by itself, of which nothing else is known.
    pub end_offset: Option<Offset>,
    /// Its offsets may jump: compaction made its file, or it is not known.
    pub has_gaps: bool,
    /// End of its batches, bytes.
    pub size: u64,
    /// Below this they are in the file.
    pub in_file: u64,
    /// The bytes from there to `size`.
    pub rest: SmallVec<[Bytes; 2]>,
    pub stage: Stage,
    /// Pages of the sidecar that count, below which position they say all; a sealed segment's sidecar counts whole.
    pub index_pages: u32,
    pub indexed_upto: u64,
    /// Entries of what is in no page.
    pub recent: Vec<Entry>,
    /// The cleaning whose file takes the segment's name with the next start, unless it has it already.
    pub awaits: Option<u64>,
}

impl PartitionLog {
    /// The segments, oldest first.
    pub fn segments_at_rest(&self) -> Vec<SegmentAtRest> {
        self.segments.iter().map(|segment| self.at_rest(segment)).collect()
    }

    fn at_rest(&self, segment: &Segment) -> SegmentAtRest {
        SegmentAtRest {
            base: segment.base,
            end_offset: Some(segment.end_offset),
            has_gaps: segment.cleaning > 0,
            size: segment.placed,
            in_file: segment.written,
            rest: self.tail.slices(segment.base, segment.end_offset, segment.written, segment.placed),
            stage: segment.stage,
            index_pages: segment.index_pages,
            indexed_upto: segment.index.as_ref().map_or(segment.durable, |index| index.from()),
            recent: segment.index.as_ref().map_or_else(Vec::new, |index| index.entries_before(u64::MAX)),
            awaits: None,
        }
    }
}

impl SegmentAtRest {
    /// A file of `bytes` by itself: its batches end where zeros begin, or with the file.
    pub fn lone(base: Offset, bytes: u64) -> SegmentAtRest {
        SegmentAtRest {
            base,
            end_offset: None,
            has_gaps: true,
            size: bytes,
            in_file: bytes,
            rest: SmallVec::new(),
            stage: Stage::Active,
            index_pages: 0,
            indexed_upto: 0,
            recent: Vec::new(),
            awaits: None,
        }
    }

    /// The name of its file, of those in its directory; `is_there` looks for one. A file of a cleaning that the next start puts
    /// in place counts for the one that still has the name.
    pub fn file_name(&self, kind: FileKind, is_there: impl FnOnce(&str) -> bool) -> String {
        let cleaned = self.awaits.map(|number| kind.cleaned_name(self.base, number));
        cleaned.filter(|name| is_there(name)).unwrap_or_else(|| kind.name(self.base))
    }

    /// Walks the batches from `position`, where one starts, with offset `expected` if that is known. `read` gives the
    /// file's bytes from a position on, fewer than asked for only at its end.
    pub fn walk<E, F>(&self, position: u64, expected: Option<Offset>, read: F) -> SegmentWalk<'_, F>
    where
        F: FnMut(u64, usize) -> Result<Bytes, E>,
    {
        SegmentWalk { segment: self, read, rope: Rope::new(position), at: position, expected, ended: false }
    }

    /// Its file is finished.
    pub fn is_sealed(&self) -> bool {
        self.end_offset.is_some() && self.stage == Stage::Sealed
    }

    /// The bytes of its sidecar, made anew from its batches, all of which must be right.
    pub fn sidecar<E, F>(&self, read: F) -> Result<Vec<u8>, WalkError<E>>
    where
        F: FnMut(u64, usize) -> Result<Bytes, E>,
    {
        let mut sidecar = SidecarBuilder::new(self.base);
        for batch in self.walk(0, Some(self.base), read) {
            let batch = batch?;
            let flaw =
                |what| WalkError::Flaw { position: batch.position, offset: Offset(batch.header.base_offset), what };
            if !batch.crc_is_right {
                return Err(flaw("the batch's CRC does not match"));
            }
            sidecar.add(&batch).map_err(flaw)?;
        }
        let (size, end) = (self.size, self.end_offset.unwrap_or(sidecar.end_offset));
        Ok(sidecar.finish(size, end))
    }
}

/// Makes a sidecar out of a segment's batches as they pass, from the first one on.
pub struct SidecarBuilder {
    base: Offset,
    index: IndexBuilder,
    end_offset: Offset,
}

impl SidecarBuilder {
    pub fn new(base: Offset) -> SidecarBuilder {
        SidecarBuilder { base, index: IndexBuilder::new(base, 0), end_offset: base }
    }

    /// Adds the batch that follows.
    ///
    /// # Errors
    /// A segment of this format cannot hold it.
    pub fn add(&mut self, batch: &StoredBatch) -> Result<(), &'static str> {
        let delta = batch.header.base_offset - self.base.0;
        if u32::try_from(delta).is_err() || u32::try_from(batch.end()).is_err() {
            return Err("it lies beyond 4 GiB or 4 billion offsets of its segment");
        }
        let (base, bytes) = (Offset(batch.header.base_offset), batch.bytes.len());
        self.index.add(base, batch.position, bytes, batch.header.max_timestamp, &batch.prefix);
        self.end_offset = Offset(batch.header.last_offset()).plus(1);
        Ok(())
    }

    /// One past the last offset that was added.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// The bytes of the sidecar of a segment of `size` bytes.
    pub fn finish(self, size: u64, end_offset: Offset) -> Vec<u8> {
        sidecar(self.base, &self.index.into_entries(), size, end_offset)
    }
}

/// A whole batch where it lies.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    pub position: u64,
    pub header: BatchHeader,
    pub prefix: [u8; PREFIX_BYTES],
    pub bytes: Bytes,
    /// Kafka's CRC is that of its bytes.
    pub crc_is_right: bool,
}

impl StoredBatch {
    pub fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }

    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// Where a walk cannot go on.
#[derive(Debug, Error)]
pub enum WalkError<E> {
    #[error(transparent)]
    Read(E),
    #[error("at byte {position}, offset {}: {what}", offset.0)]
    Flaw { position: u64, offset: Offset, what: &'static str },
}

/// The batches of a segment, in order.
pub struct SegmentWalk<'a, F> {
    segment: &'a SegmentAtRest,
    read: F,
    rope: Rope,
    at: u64,
    expected: Option<Offset>,
    ended: bool,
}

impl<E, F: FnMut(u64, usize) -> Result<Bytes, E>> SegmentWalk<'_, F> {
    fn step(&mut self) -> Result<Option<StoredBatch>, WalkError<E>> {
        let (at, size) = (self.at, self.segment.size);
        if at >= size {
            return Ok(None);
        }
        self.fetch(HEADER_BYTES as u64)?;
        let is_lone = self.segment.end_offset.is_none();
        let Some(batch) = self.rope.batch_at(at) else {
            // Less than a head is left: of a file by itself it may be zeros.
            return if is_lone && self.is_zero(size) { Ok(None) } else { Err(self.flaw("a batch is cut off")) };
        };
        if is_lone && batch.header.batch_length == 0 && self.is_zero(at + HEADER_BYTES as u64) {
            return Ok(None);
        }
        if let Some(what) = batch.flaw(self.expected.unwrap_or(Offset(batch.header.base_offset)), self.segment.has_gaps)
        {
            return Err(self.flaw(what));
        }
        if batch.end() > size {
            return Err(self.flaw("a batch reaches over its segment's end"));
        }
        self.fetch(batch.bytes())?;
        if batch.end() > self.rope.end() {
            return Err(self.flaw("the file ends before the log does"));
        }
        let mut slices = self.rope.slices(at, batch.end());
        let bytes = if slices.len() == 1 { slices.swap_remove(0) } else { slices.concat().into() };
        self.at = batch.end();
        self.expected = Some(batch.last_offset().plus(1));
        let crc_is_right = self.rope.crc_is_right(&batch);
        Ok(Some(StoredBatch { position: at, header: batch.header, prefix: batch.prefix, bytes, crc_is_right }))
    }

    /// Sees to it that `bytes` from here on are in the rope, as far as there are so many.
    fn fetch(&mut self, bytes: u64) -> Result<(), WalkError<E>> {
        let SegmentAtRest { size, in_file, rest, .. } = self.segment;
        if self.at + bytes <= self.rope.end() || self.rope.end() >= *size {
            return Ok(());
        }
        let upto = (self.at + bytes.max(WINDOW_BYTES)).min(*size);
        let mut rope = Rope::new(self.at);
        if self.at < *in_file {
            let wanted = upto.min(*in_file) - self.at;
            let found = (self.read)(self.at, wanted as usize).map_err(WalkError::Read)?;
            let is_short = (found.len() as u64) < wanted;
            rope.push(found);
            if is_short {
                let is_cut = self.segment.end_offset.is_some() && rope.end() < self.at + bytes;
                self.rope = rope;
                return if is_cut { Err(self.flaw("the file ends before the log does")) } else { Ok(()) };
            }
        }
        if let Some(mut skip) = rope.end().checked_sub(*in_file) {
            for piece in rest {
                let from = skip.min(piece.len() as u64);
                skip -= from;
                rope.push(piece.slice(from as usize..));
            }
        }
        self.rope = rope;
        Ok(())
    }

    /// The bytes from here to `upto` are zeros, as far as the rope has them.
    fn is_zero(&self, upto: u64) -> bool {
        let upto = upto.min(self.rope.end());
        self.rope.slices(self.at, upto).iter().all(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    fn flaw(&self, what: &'static str) -> WalkError<E> {
        WalkError::Flaw { position: self.at, offset: self.expected.unwrap_or(self.segment.base), what }
    }
}

impl<E, F: FnMut(u64, usize) -> Result<Bytes, E>> Iterator for SegmentWalk<'_, F> {
    type Item = Result<StoredBatch, WalkError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::batch::{BatchBuilder, NewRecord, stamp};
    use crate::types::LeaderEpoch;

    /// Ten batches of two records each, from offset 100 on.
    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        for n in 0..10 {
            let mut builder = BatchBuilder::new(n);
            for value in [b"one", b"two"] {
                builder.push(&NewRecord { timestamp_ms: n, value: Some(value), ..NewRecord::default() });
            }
            let mut batch = builder.finish().expect("a batch").to_vec();
            stamp(&mut batch, Offset(100 + 2 * n), LeaderEpoch(0));
            log.extend(batch);
        }
        log
    }

    /// A segment whose file holds the first bytes of `log`, and memory the others.
    fn segment(log: &[u8], in_file: usize) -> SegmentAtRest {
        SegmentAtRest {
            end_offset: Some(Offset(120)),
            has_gaps: false,
            in_file: in_file as u64,
            rest: [Bytes::copy_from_slice(&log[in_file..])].into_iter().collect(),
            ..SegmentAtRest::lone(Offset(100), log.len() as u64)
        }
    }

    fn reader(file: &[u8]) -> impl FnMut(u64, usize) -> Result<Bytes, Infallible> {
        |position, bytes| {
            let from = (position as usize).min(file.len());
            Ok(Bytes::copy_from_slice(&file[from..(from + bytes).min(file.len())]))
        }
    }

    fn offsets(segment: &SegmentAtRest, file: &[u8]) -> (Vec<i64>, Option<String>) {
        let (mut found, mut error) = (Vec::new(), None);
        for batch in segment.walk(0, Some(segment.base), reader(file)) {
            match batch {
                Ok(batch) => found.push(batch.header.base_offset),
                Err(e) => error = Some(e.to_string()),
            }
        }
        (found, error)
    }

    #[test]
    fn batches_are_found_wherever_the_file_ends_and_the_journal_goes_on() {
        let log = log();
        let all: Vec<i64> = (100..120).step_by(2).collect();
        for in_file in [0, 1, 60, 61, 62, 500, log.len() - 1, log.len()] {
            assert_eq!(offsets(&segment(&log, in_file), &log[..in_file]), (all.clone(), None), "{in_file}");
        }
    }

    #[test]
    fn a_file_by_itself_ends_where_zeros_begin() {
        let mut log = log();
        log.resize(4096, 0);
        let (found, error) = offsets(&SegmentAtRest::lone(Offset(100), 4096), &log);
        assert_eq!((found.len(), error), (10, None));
    }

    #[test]
    fn a_wrong_crc_is_told_and_passed_and_a_wrong_head_ends_the_walk_with_its_place() {
        let whole = log();
        let batch_bytes = whole.len() / 10;
        let mut wrong = whole.clone();
        wrong[batch_bytes - 1] ^= 1;
        let segment = segment(&whole, whole.len());
        let right: Vec<bool> =
            segment.walk(0, None, reader(&wrong)).map(|batch| batch.expect("a batch").crc_is_right).collect();
        assert_eq!((right[0], right[1..].iter().all(|right| *right), right.len()), (false, true, 10));
        wrong[2 * batch_bytes + 7] ^= 1;
        let (found, error) = offsets(&segment, &wrong);
        let error = error.expect("an error");
        assert_eq!(found.len(), 2);
        assert!(error.starts_with(&format!("at byte {}, offset 104", 2 * batch_bytes)), "{error}");
        let (found, error) = offsets(&segment, &whole[..whole.len() / 2 - 1]);
        assert_eq!((found.len(), error.is_some()), (4, true));
    }

    #[test]
    fn a_sidecar_is_made_anew_from_right_batches_only() {
        let log = log();
        let segment = segment(&log, log.len());
        let made = segment.sidecar(reader(&log)).expect("a sidecar");
        assert_eq!(made.len(), 2 * crate::runtime::BLOCK_BYTES);
        let mut wrong = log.clone();
        wrong[log.len() - 1] ^= 1;
        assert!(segment.sidecar(reader(&wrong)).is_err());
    }
}
