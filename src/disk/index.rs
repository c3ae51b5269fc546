//! Holds the index of a segment against itself and against the batches of its log.
//!
//! Invariant: the index is derived: whatever is wrong with it, nothing is lost.

use shards::log::{
    FileKind, IndexEntry, IndexPage, IndexPageError, PartitionDir, PrefixSum, SegmentAtRest, StoredBatch,
};
use shards::runtime::BLOCK_BYTES;

use super::directory::Directory;
use super::files::{file_bytes, sidecar};
use super::finding::{Finding, Lost};

/// What a segment's index says, as far as it can be read.
pub struct CheckedIndex {
    /// Those that follow each other, by position.
    pub entries: Vec<IndexEntry>,
    /// Something is wrong with it, and it can be made anew. What a newer build wrote is that build's to replace.
    pub is_remade: bool,
}

/// Reads a segment's index and tells what is wrong with it.
pub fn check_index(
    directory: &Directory,
    dir: &PartitionDir,
    segment: &SegmentAtRest,
    findings: &mut Vec<Finding>,
) -> CheckedIndex {
    let before = findings.len();
    let (entries, is_newer) = read_index(directory, dir, segment, findings);
    CheckedIndex { entries, is_remade: segment.is_sealed() && findings.len() > before && !is_newer }
}

/// The entries, and whether a newer build wrote some.
fn read_index(
    directory: &Directory,
    dir: &PartitionDir,
    segment: &SegmentAtRest,
    findings: &mut Vec<Finding>,
) -> (Vec<IndexEntry>, bool) {
    let path = directory.segment_path(dir, segment, FileKind::Index);
    let is_sealed = segment.is_sealed();
    let why = if is_sealed {
        "the next read makes it anew from the log, and so does `--repair`"
    } else {
        "reads look into the log instead, and it is made anew once the segment is sealed"
    };
    let mut tell = |what: String, at: Option<u64>| {
        let finding = Finding::in_file(directory.inside(&path), what, Lost::Nothing(why.to_owned()));
        findings.push(Finding { position: at, partition: Some(dir.name()), ..finding });
    };
    // A file by itself: its pages are held against its batches, but nobody says how many there should be.
    let is_lone = segment.end_offset.is_none();
    let bytes = match file_bytes(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            if is_sealed || segment.index_pages > 0 {
                tell("it is missing".to_owned(), None);
            }
            return (segment.recent.clone(), false);
        }
        Err(e) => {
            tell(e.to_string(), None);
            return (segment.recent.clone(), false);
        }
    };
    let counts = |number: u32| is_sealed || is_lone || number < segment.index_pages;
    let mut found = sidecar(&bytes, segment.base);
    found.pages.retain(|(number, _)| counts(*number));
    found.wrong.retain(|(number, _)| counts(*number));
    let is_newer = found.wrong.iter().any(|(_, error)| matches!(error, IndexPageError::Version(_)));
    for (number, error) in &found.wrong {
        tell(error.to_string(), Some(u64::from(*number) * BLOCK_BYTES as u64));
    }
    let footer = found.pages.iter().find_map(|(number, page)| match page {
        IndexPage::Footer { size, end_offset, .. } => Some((*number, *size, *end_offset)),
        IndexPage::Entries(_) => None,
    });
    if is_sealed && found.wrong.is_empty() {
        match footer {
            Some((_, size, end)) if size == segment.size && Some(end) == segment.end_offset => {}
            Some((number, size, end)) => {
                let what = format!("it says that the log ends at byte {size}, offset {}, which it does not", end.0);
                tell(what, Some(u64::from(number) * BLOCK_BYTES as u64));
            }
            None => tell("its last page is missing".to_owned(), None),
        }
    }
    let upto = if is_sealed || is_lone { segment.size } else { segment.indexed_upto };
    let mut entries: Vec<IndexEntry> = Vec::new();
    let (mut at, mut gap) = (0, None);
    for entry in found.entries() {
        // Pages of an earlier run may say the same again.
        if entry.start() < at || entry.end() > upto {
            continue;
        }
        if entry.start() > at {
            gap = gap.or(Some((at, entry.start())));
        }
        at = entry.end();
        entries.push(entry);
    }
    if at < upto {
        gap = gap.or(Some((at, upto)));
    }
    if let Some((from, to)) = gap.filter(|_| is_sealed && found.wrong.is_empty()) {
        tell(format!("it has nothing of bytes {from} to {to} of the log"), None);
    }
    entries.extend(segment.recent.iter().filter(|entry| entry.start() >= at));
    (entries, is_newer)
}

/// Adds up the batches of each interval as they pass.
pub struct Intervals<'a> {
    left: &'a [IndexEntry],
    sum: PrefixSum,
    /// Where the batch must begin that goes on with the first of `left`.
    at: Option<u64>,
}

impl<'a> Intervals<'a> {
    pub fn new(entries: &'a [IndexEntry]) -> Intervals<'a> {
        Intervals { left: entries, sum: PrefixSum::default(), at: None }
    }

    /// Adds the next batch. Gives the interval that ends with it or inside of it, if it is not what was indexed.
    pub fn add(&mut self, batch: &StoredBatch) -> Option<IndexEntry> {
        while let [first, rest @ ..] = self.left {
            let begins = self.at.unwrap_or(first.start());
            if begins >= batch.position {
                break;
            }
            // Damage lies between: what was left out was told.
            (self.left, self.at, self.sum) = (rest, None, PrefixSum::default());
        }
        let [first, rest @ ..] = self.left else { return None };
        if self.at.unwrap_or(first.start()) != batch.position {
            return None;
        }
        self.sum.add(&batch.prefix);
        if batch.end() < first.end() {
            self.at = Some(batch.end());
            return None;
        }
        let is_right = batch.end() == first.end() && self.sum == first.sum;
        (self.left, self.at, self.sum) = (rest, None, PrefixSum::default());
        (!is_right).then_some(*first)
    }
}
