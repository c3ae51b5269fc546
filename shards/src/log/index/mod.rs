//! The index of a segment: for each interval of batches where it starts, its largest timestamp, and the checksum of what
//! Kafka's CRC leaves out. Pure, owning core only.
//!
//! Invariant: an interval is `INTERVAL_BYTES` of log or more, ends where a batch ends, and the next one starts there.
//! Losing entries loses time, not data: they are rebuilt from the batches.

mod page;

use super::checksum::PrefixSum;
use crate::batch::PREFIX_BYTES;
use crate::types::Offset;

pub use page::{ENTRIES_PER_PAGE, Page, PageError, PageImage, sidecar};

/// Least length of an interval: what a read takes too much at both of its ends.
pub const INTERVAL_BYTES: u32 = 32 << 10;

/// Least length of a run: what a read takes too much of what was not in the sidecar when the last run of the broker ended.
const RUN_BYTES: u32 = 512 << 10;

/// One interval of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First offset, less the segment's base.
    pub offset_delta: u32,
    pub position: u32,
    pub length: u32,
    /// Over the prefixes of its batches, in order.
    pub sum: PrefixSum,
    pub max_timestamp_ms: i64,
}

impl Entry {
    pub fn start(&self) -> u64 {
        u64::from(self.position)
    }

    pub fn end(&self) -> u64 {
        u64::from(self.position) + u64::from(self.length)
    }

    pub fn first_offset(&self, base: Offset) -> Offset {
        base.plus(i64::from(self.offset_delta))
    }

    fn is_closed(&self) -> bool {
        self.length >= INTERVAL_BYTES
    }
}

/// Entries of a growing segment that are not in its sidecar.
///
/// Besides, the same batches in few long entries, the *runs*: the checkpoint keeps those, so that after a start the checksums
/// of what is in no page are still known. A run never lies across the start of a page.
#[derive(Debug)]
pub struct IndexBuilder {
    base: Offset,
    /// Where the first entry starts.
    from: u64,
    end: u64,
    entries: Vec<Entry>,
    runs: Vec<Entry>,
}

impl IndexBuilder {
    /// Indexes what is added from `position` on; a batch starts there.
    pub fn new(base: Offset, position: u64) -> IndexBuilder {
        IndexBuilder { base, from: position, end: position, entries: Vec::new(), runs: Vec::new() }
    }

    /// Goes on behind the runs that a checkpoint kept, which end at `position`. Without such it begins there.
    pub fn after(base: Offset, position: u64, runs: &[Entry]) -> IndexBuilder {
        let follow = runs.windows(2).all(|pair| pair[0].end() == pair[1].start());
        match runs {
            [first, .., last] | [first @ last] if follow && last.end() == position => {
                IndexBuilder { base, from: first.start(), end: position, entries: runs.to_vec(), runs: runs.to_vec() }
            }
            _ => IndexBuilder::new(base, position),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that is in no page, in entries of `RUN_BYTES` or more.
    pub fn runs(&self) -> &[Entry] {
        &self.runs
    }

    pub fn from(&self) -> u64 {
        self.from
    }

    /// Adds the batch that follows.
    pub fn add(
        &mut self,
        base_offset: Offset,
        position: u64,
        bytes: usize,
        max_timestamp_ms: i64,
        prefix: &[u8; PREFIX_BYTES],
    ) {
        assert_eq!(position, self.end, "batches are indexed in order");
        let fits = "a segment is shorter than 4 GiB and its offsets fit 31 bits: rolling sees to it";
        let length = u32::try_from(bytes).expect(fits);
        self.end += u64::from(length);
        let fresh = Entry {
            offset_delta: u32::try_from(base_offset.0 - self.base.0).expect(fits),
            position: u32::try_from(position).expect(fits),
            length: 0,
            sum: PrefixSum::default(),
            max_timestamp_ms,
        };
        let mut begins_page = false;
        if self.entries.last().is_none_or(Entry::is_closed) {
            begins_page = self.entries.len().is_multiple_of(ENTRIES_PER_PAGE);
            self.entries.push(fresh);
        }
        if self.runs.last().is_none_or(|run| begins_page || run.length >= RUN_BYTES) {
            self.runs.push(fresh);
        }
        for open in [self.entries.last_mut(), self.runs.last_mut()].into_iter().flatten() {
            open.length += length;
            open.max_timestamp_ms = open.max_timestamp_ms.max(max_timestamp_ms);
            open.sum.add(prefix);
        }
    }

    /// Entries of the intervals that start below `position`.
    pub fn entries_before(&self, position: u64) -> Vec<Entry> {
        let count = self.entries.partition_point(|e| e.start() < position);
        self.entries[..count].to_vec()
    }

    /// Pages, numbered from `first_number`, that are full and lie below `upto`; with `finish` all that is left as well.
    pub fn pages(&self, first_number: u32, upto: u64, finish: bool) -> Vec<PageImage> {
        (first_number..)
            .zip(self.entries.chunks(ENTRIES_PER_PAGE))
            .take_while(|(_, entries)| {
                let full = entries.len() == ENTRIES_PER_PAGE
                    && entries.last().is_some_and(|last| last.is_closed() && last.end() <= upto);
                full || finish
            })
            .map(|(number, entries)| PageImage::data(self.base, number, entries))
            .collect()
    }

    /// The first `count` entries are in the sidecar.
    pub fn forget(&mut self, count: usize) {
        self.entries.drain(..count);
        self.from = self.entries.first().map_or(self.end, Entry::start);
        let from = self.from;
        self.runs.retain(|run| run.start() >= from);
    }

    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(batches: usize, bytes: usize) -> IndexBuilder {
        let mut index = IndexBuilder::new(Offset(100), 0);
        for n in 0..batches {
            index.add(Offset(100 + n as i64), (n * bytes) as u64, bytes, n as i64, &[n as u8; PREFIX_BYTES]);
        }
        index
    }

    #[test]
    fn intervals_hold_32_kib_or_one_larger_batch() {
        assert_eq!(filled(64, 1024).into_entries().len(), 2);
        assert_eq!(filled(3, 40_000).into_entries().len(), 3);
    }

    #[test]
    fn a_page_is_due_when_it_is_full_and_written() {
        let index = filled(ENTRIES_PER_PAGE + 1, 40_000);
        let full = (ENTRIES_PER_PAGE * 40_000) as u64;
        assert!(index.pages(0, full - 1, false).is_empty());
        assert_eq!(index.pages(0, full, false).len(), 1);
        assert_eq!(index.pages(0, full, true).len(), 2);
    }

    #[test]
    fn runs_hold_512_kib_and_end_where_a_page_ends() {
        let mut index = filled(ENTRIES_PER_PAGE + 30, 40_000);
        let page_end = (ENTRIES_PER_PAGE * 40_000) as u64;
        assert!(index.runs().windows(2).all(|pair| pair[0].end() == pair[1].start()));
        assert!(index.runs().iter().any(|run| run.start() == page_end));
        assert!(index.runs().len() <= (ENTRIES_PER_PAGE * 40_000).div_ceil(RUN_BYTES as usize) + 3);
        index.forget(ENTRIES_PER_PAGE);
        assert_eq!(index.runs().first().map(Entry::start), Some(page_end));
        assert_eq!(index.runs().last().map(Entry::end), Some(page_end + 30 * 40_000));
    }

    #[test]
    fn a_builder_that_goes_on_behind_runs_sums_as_if_it_had_never_stopped() {
        let whole = filled(60, 20_000);
        let before = filled(21, 20_000);
        let mut after = IndexBuilder::after(Offset(100), 21 * 20_000, before.runs());
        assert_eq!(after.from(), 0);
        for n in 21..60 {
            after.add(Offset(100 + n as i64), n * 20_000, 20_000, n as i64, &[n as u8; PREFIX_BYTES]);
        }
        assert_eq!(after.runs(), whole.runs());
        assert_eq!(
            IndexBuilder::after(Offset(100), 7, before.runs()).from(),
            7,
            "runs that end elsewhere are of no use"
        );
    }

    #[test]
    fn forgetting_written_entries_moves_the_start_to_the_next_one() {
        let mut index = filled(3, 40_000);
        index.forget(2);
        assert_eq!(index.from(), 80_000);
        index.forget(1);
        assert_eq!(index.from(), 120_000);
    }
}
