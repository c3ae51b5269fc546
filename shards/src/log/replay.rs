//! A log put together again from a checkpoint and the journal's entries (R7, R8). Pure; any core, at start only.
//!
//! Entries are physical redo in any order and as often as they like: what counts is that their bytes, laid over each other,
//! continue the segment files without a gap. The result is a live log whose bytes are all synced and wait for write-behind.
//!
//! Invariant: entries end where batches end. Only the first byte above a file's synced end may lie inside a batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use thiserror::Error;

use super::index::IndexBuilder;
use super::rope::Rope;
use super::segment::{NO_TIMESTAMP, Segment, Stage, block_floor};
use super::snapshot::{LogSnapshot, OpenSegment};
use super::state::PartitionLog;
use super::tail::Held;
use crate::batch::PREFIX_BYTES;
use crate::types::{FilePos, Offset};

/// Why a partition cannot be put together: it goes offline, nothing else does.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReplayError {
    #[error("segment {base}: the journal holds nothing from byte {from} on, but something behind it", base = base.0)]
    Gap { base: Offset, from: u64 },
    #[error("segment {base}: the journal lacks bytes {from}..{end} that the checkpoint counts on", base = base.0)]
    Missing { base: Offset, from: u64, end: u64 },
    #[error("segment {base} does not follow offset {end}", base = base.0, end = end.0)]
    Apart { base: Offset, end: Offset },
    #[error("segment {base}: no batch at byte {position}: {what}", base = base.0)]
    NoBatch { base: Offset, position: u64, what: &'static str },
    #[error("segment {base} was sealed at {size} bytes, but {found} are there", base = base.0)]
    SealedElsewhere { base: Offset, size: u64, found: u64 },
}

/// A log that is whole again. Segments below its log start may have lost their files already: `take_dropped` gives them.
#[derive(Debug)]
pub struct Replayed {
    pub log: PartitionLog,
    /// The batches above the checkpoint's log end, in order: producers and epochs learn from them.
    pub batches: Vec<Bytes>,
}

/// Collects what is known of one partition.
#[derive(Debug, Default)]
pub struct Replay {
    snapshot: LogSnapshot,
    log_start: Offset,
    /// Where entries start, for each segment; the longest of those that start together.
    extents: BTreeMap<Offset, BTreeMap<u64, Bytes>>,
    seals: BTreeMap<Offset, u64>,
}

impl Replay {
    /// From the checkpoint's line; the default if it has none for this partition.
    pub fn new(snapshot: LogSnapshot) -> Replay {
        Replay { log_start: snapshot.log_start, snapshot, ..Replay::default() }
    }

    /// Bytes of a segment: batches, or a carried block.
    pub fn data(&mut self, segment_base: Offset, position: FilePos, bytes: Bytes) {
        let extents = self.extents.entry(segment_base).or_default();
        if extents.get(&position.0).is_none_or(|known| known.len() < bytes.len()) {
            extents.insert(position.0, bytes);
        }
    }

    pub fn seal(&mut self, segment_base: Offset, size: FilePos) {
        self.seals.insert(segment_base, size.0);
    }

    pub fn log_start(&mut self, start: Offset) {
        self.log_start = self.log_start.max(start);
    }

    /// Puts the log together. `now_ms` is when new segments count as made.
    pub fn finish(mut self, now_ms: i64) -> Result<Replayed, ReplayError> {
        let mut log = PartitionLog::new();
        log.directory_was_made = self.snapshot.has_directory;
        log.cleanings = self.snapshot.cleanings;
        log.cleaned_upto = self.snapshot.cleaned_upto;
        log.segments.extend(self.snapshot.sealed.iter().map(|sealed| sealed.restore(now_ms)));
        let mut batches = Vec::new();
        let open = std::mem::take(&mut self.snapshot.open);
        // Where the log ends so far; unknown until there is a segment or a log start.
        let mut end = log.segments.back().map(|s| s.end_offset);
        for known in &open {
            end = Some(self.open_segment(&mut log, known, end, &mut batches)?);
        }
        let known_end = end.unwrap_or(Offset::ZERO).max(self.snapshot.log_end);
        let end = end.or((self.snapshot.log_end > Offset::ZERO).then_some(self.snapshot.log_end));
        let mut end = end.unwrap_or_else(|| self.extents.keys().next().copied().unwrap_or(known_end));
        // What is left below was sealed or dropped before the checkpoint.
        for base in self.extents.keys().copied().filter(|base| *base >= known_end).collect::<Vec<_>>() {
            let fresh = OpenSegment {
                base,
                end_offset: base,
                synced: FilePos(0),
                end: FilePos(0),
                created_ms: now_ms,
                first_timestamp_ms: NO_TIMESTAMP,
                max_timestamp_ms: NO_TIMESTAMP,
                index_pages: 0,
                runs: Vec::new(),
                rolled: false,
            };
            end = self.open_segment(&mut log, &fresh, Some(end), &mut batches)?;
        }
        let newest = log.segments.len().saturating_sub(1);
        for (index, segment) in log.segments.iter_mut().enumerate() {
            if index < newest && segment.is_active() {
                segment.stage = Stage::Rolled { seal_is_synced: true };
            }
        }
        log.log_end = end.max(self.log_start);
        log.durable_end = log.log_end;
        log.log_start = self.log_start;
        give_up_below(&mut log, self.log_start);
        Ok(Replayed { log, batches })
    }

    /// Continues one segment with what the journal has of it; returns where its offsets end.
    fn open_segment(
        &mut self,
        log: &mut PartitionLog,
        known: &OpenSegment,
        before: Option<Offset>,
        batches: &mut Vec<Bytes>,
    ) -> Result<Offset, ReplayError> {
        let base = known.base;
        if let Some(end) = before.filter(|end| *end != base) {
            return Err(ReplayError::Apart { base, end });
        }
        let extents = self.extents.remove(&base).unwrap_or_default();
        let goes_on = extents.iter().any(|(at, bytes)| at + bytes.len() as u64 > known.synced.0);
        // A padded last block that was written again is in the journal from its start (R10).
        let from = if goes_on { block_floor(known.synced.0) } else { known.synced.0 };
        let bytes = lay(base, &extents, from)?;
        if bytes.end() < known.end.0 {
            return Err(ReplayError::Missing { base, from: bytes.end(), end: known.end.0 });
        }
        let mut segment = Segment::new(base, known.created_ms);
        segment.first_timestamp_ms = known.first_timestamp_ms;
        segment.max_timestamp_ms = known.max_timestamp_ms;
        segment.index_pages = known.index_pages;
        segment.written = from;
        segment.file_synced = from;
        segment.end_offset = if bytes.end() > known.end.0 { base } else { known.end_offset };
        // Where batches begin again: the checkpoint's end, or the segment's start.
        let whole_from = if from == 0 { 0 } else { known.end.0 };
        if whole_from > from {
            log.tail.push(Held {
                base_offset: base,
                last_offset: known.end_offset.plus(-1),
                position: from,
                max_timestamp_ms: known.max_timestamp_ms,
                commit: 0,
                bytes: joined(&bytes, from, whole_from),
                fragment: true,
                owned: false,
                is_sliver: false,
            });
        }
        let mut expected = if whole_from == 0 { base } else { known.end_offset };
        let mut index = IndexBuilder::after(base, whole_from, if from == 0 { &[] } else { &known.runs });
        let mut at = whole_from;
        while at < bytes.end() {
            let (held, prefix) = batch(&bytes, base, at, expected)?;
            if at == 0 {
                segment.first_timestamp_ms = held.max_timestamp_ms;
            }
            index.add(held.base_offset, at, held.bytes.len(), held.max_timestamp_ms, &prefix);
            segment.max_timestamp_ms = segment.max_timestamp_ms.max(held.max_timestamp_ms);
            if at >= known.end.0 {
                batches.push(held.bytes.clone());
            }
            at = held.end();
            expected = held.last_offset.plus(1);
            log.tail.push(held);
        }
        segment.end_offset = expected;
        segment.placed = bytes.end();
        segment.attached = bytes.end();
        segment.durable = bytes.end();
        segment.index = (!index.is_empty()).then(|| Box::new(index));
        match self.seals.get(&base) {
            Some(size) if *size != segment.placed => {
                return Err(ReplayError::SealedElsewhere { base, size: *size, found: segment.placed });
            }
            Some(_) => segment.stage = Stage::Rolled { seal_is_synced: true },
            None if known.rolled => segment.stage = Stage::Rolled { seal_is_synced: true },
            None => {}
        }
        log.segments.push_back(segment);
        Ok(expected)
    }
}

/// Nothing is written any more to closed segments below the log start: their files may be gone.
fn give_up_below(log: &mut PartitionLog, start: Offset) {
    for segment in log.segments.iter_mut().take_while(|s| !s.is_active() && s.end_offset <= start) {
        segment.is_without_file |= segment.stage != Stage::Sealed && segment.written == 0;
        segment.stage = Stage::Sealed;
        segment.written = segment.placed;
        segment.file_synced = segment.placed;
        segment.index = None;
        while log.tail.front().is_some_and(|piece| piece.last_offset < segment.end_offset) {
            log.tail.pop_front();
        }
    }
}

/// Lays the extents over each other from `from` on, without a gap.
fn lay(base: Offset, extents: &BTreeMap<u64, Bytes>, from: u64) -> Result<Rope, ReplayError> {
    let mut rope = Rope::new(from);
    for (start, bytes) in extents {
        let end = start + bytes.len() as u64;
        if end <= rope.end() {
            continue;
        }
        if *start > rope.end() {
            return Err(ReplayError::Gap { base, from: rope.end() });
        }
        rope.push(bytes.slice((rope.end() - start) as usize..));
    }
    Ok(rope)
}

fn batch(rope: &Rope, base: Offset, at: u64, expected: Offset) -> Result<(Held, [u8; PREFIX_BYTES]), ReplayError> {
    let no_batch = |what| ReplayError::NoBatch { base, position: at, what };
    let head = rope.batch_at(at).ok_or(no_batch("the journal's bytes end inside it"))?;
    if let Some(what) = head.flaw(expected, false) {
        return Err(no_batch(what));
    }
    if head.end() > rope.end() {
        return Err(no_batch("the journal's bytes end inside it"));
    }
    let held = Held {
        base_offset: expected,
        last_offset: head.last_offset(),
        position: at,
        max_timestamp_ms: head.header.max_timestamp,
        commit: 0,
        bytes: joined(rope, at, head.end()),
        fragment: false,
        owned: false,
        is_sliver: false,
    };
    Ok((held, head.prefix))
}

/// One slice if the bytes lie together, else a copy.
fn joined(rope: &Rope, from: u64, upto: u64) -> Bytes {
    let mut slices = rope.slices(from, upto);
    match slices.len() {
        1 => slices.swap_remove(0),
        _ => slices.concat().into(),
    }
}
