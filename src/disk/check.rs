//! Holds every byte of a data directory that counts against its checksums: segments batch by batch down to the records,
//! their indexes against them, and what names a directory's owner. Blocking.
//!
//! Invariant: nothing is written. Damage ends the check of what follows only as far as nothing says where to go on.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shards::batch::{Compression, Records, STORED_DECOMPRESSED_BYTES_MAX, decompress};
use shards::group::{GroupRecord, OFFSETS_TOPIC};
use shards::log::{
    FileKind, IndexEntry, METADATA_FILE, PartitionDir, SegmentAtRest, StoredBatch, WalkError, metadata_text,
};
use shards::runtime::is_out_of_descriptors;
use shards::shard::at_rest;
use shards::types::{Offset, PartitionId, TopicId};

use super::directory::{Directory, NamedPartition};
use super::files::{file_bytes, read_at};
use super::finding::{Finding, Lost};
use super::index::{Intervals, check_index};
use super::repair::Repair;
use crate::launch::meta::MetaError;

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    pub partitions: u64,
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// Of batches.
    pub bytes: u64,
    pub findings: Vec<Finding>,
    /// What can be made anew.
    pub repairs: Vec<Repair>,
}

/// Checks all of it. `advance` is told of bytes and records as they pass.
///
/// # Errors
/// Something may not be read by this user: that says nothing of what is in it.
pub fn check(directory: &Directory, advance: &mut dyn FnMut(u64, u64)) -> Result<Report, MetaError> {
    let report =
        Report { findings: directory.findings.clone(), repairs: directory.repairs.clone(), ..Report::default() };
    let mut checker = Checker { directory, report, advance };
    if directory.run.is_some() {
        let named = directory.named();
        for partition in &named {
            checker.partition(partition)?;
        }
        // Nothing says whose the others are.
        if !matches!(directory.partitions.get(&at_rest::METADATA), Some(Ok(_))) {
            let known: BTreeSet<String> = named.iter().map(|partition| partition.dir.name()).collect();
            for dir in lone_directories(directory)?.iter().filter(|dir| !known.contains(&dir.name())) {
                checker.report.partitions += 1;
                checker.lone_segments(dir)?;
            }
        }
    } else {
        for dir in lone_directories(directory)? {
            checker.lone_segments(&dir)?;
        }
    }
    Ok(checker.report)
}

/// How many bytes `check` will look at.
pub fn bytes_to_check(directory: &Directory) -> u64 {
    let states = directory.partitions.values().filter_map(|state| state.as_ref().ok());
    states.flat_map(|state| &state.segments).map(|segment| segment.size).sum()
}

struct Checker<'a> {
    directory: &'a Directory,
    report: Report,
    advance: &'a mut dyn FnMut(u64, u64),
}

impl Checker<'_> {
    fn partition(&mut self, partition: &NamedPartition<'_>) -> Result<(), MetaError> {
        self.report.partitions += 1;
        let dir = &partition.dir;
        let state = match partition.state {
            Ok(state) => state,
            Err(why) => {
                // Without the journal it cannot be whole: that was told.
                if !self.directory.lacks_a_journal() {
                    let effect = match dir.id == at_rest::METADATA {
                        true => "no broker starts on it: put its files back from a copy",
                        false => "the broker serves all other partitions",
                    };
                    let lost = Lost::Words(format!("what no file of it holds; {effect}"));
                    let file = PathBuf::from("data").join(dir.name());
                    let finding = Finding::in_file(file, format!("it cannot be put together: {why}"), lost);
                    self.report.findings.push(Finding { partition: Some(dir.name()), ..finding });
                }
                return self.lone_segments(dir);
            }
        };
        if state.has_directory {
            self.owner(dir)?;
        }
        state.segments.iter().try_for_each(|segment| self.segment(dir, segment, true))
    }

    /// Whose the directory is.
    fn owner(&mut self, dir: &PartitionDir) -> Result<(), MetaError> {
        let path = self.directory.layout().partitions().join(dir.name()).join(METADATA_FILE);
        let what = match file_bytes(&path) {
            Ok(Some(bytes)) if *bytes == *metadata_text(dir.id.topic).as_bytes() => return Ok(()),
            Ok(Some(_)) => "it names another topic, or none".to_owned(),
            Ok(None) => "it is missing".to_owned(),
            Err(e) => may_be_read(&path, e)?.to_string(),
        };
        let why = "the catalog says whose the directory is; the next write or `--repair` makes the file anew";
        let finding = Finding::in_file(self.directory.inside(&path), what, Lost::Nothing(why.to_owned()));
        self.report.findings.push(Finding { partition: Some(dir.name()), ..finding });
        self.report.repairs.push(Repair::Owner { path, topic: dir.id.topic });
        Ok(())
    }

    /// Files of which nothing but their names is known.
    fn lone_segments(&mut self, dir: &PartitionDir) -> Result<(), MetaError> {
        let path = self.directory.layout().partitions().join(dir.name());
        let segments = lone_segments(&path)?;
        let count = segments.len();
        // Where the last one ends is for the journal to say.
        segments.iter().enumerate().try_for_each(|(n, segment)| self.segment(dir, segment, n + 1 < count))
    }

    /// `ends_whole`: all of its batches are wholly there.
    fn segment(&mut self, dir: &PartitionDir, segment: &SegmentAtRest, ends_whole: bool) -> Result<(), MetaError> {
        self.report.segments += 1;
        let file = match self.directory.open_segment(dir, segment) {
            Ok(file) => file,
            Err(e) => {
                let e = may_be_read(&self.directory.segment_path(dir, segment, FileKind::Log), e)?;
                let what = if e.kind() == io::ErrorKind::NotFound { "it is missing".to_owned() } else { e.to_string() };
                let lost = lost(segment.base, segment.end_offset);
                self.log_finding(dir, segment, what, lost, None);
                return Ok(());
            }
        };
        let length = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|file| file.len())).unwrap_or(0);
        if segment.is_sealed() && length > segment.size {
            let what = format!("{} bytes follow its last batch", length - segment.size);
            let lost = Lost::Nothing("they are no part of the log".to_owned());
            self.log_finding(dir, segment, what, lost, Some((segment.size, segment.end_offset)));
        }
        let index = check_index(self.directory, dir, segment, &mut self.report.findings);
        let before = self.report.findings.len();
        let mut intervals = Intervals::new(&index.entries);
        let read = |position, bytes| file.as_ref().map_or(Ok(Bytes::new()), |file| read_at(file, position, bytes));
        let (mut position, mut expected) = (0, Some(segment.base));
        loop {
            let mut stopped = None;
            for found in segment.walk(position, expected, read) {
                match found {
                    Ok(batch) => {
                        position = batch.end();
                        expected = Some(Offset(batch.header.last_offset() + 1));
                        self.batch(dir, segment, &batch);
                        if let Some(entry) = intervals.add(&batch) {
                            self.heads(dir, segment, &entry, expected);
                        }
                    }
                    Err(error) => stopped = Some(error),
                }
            }
            let Some(error) = stopped else { break };
            if !ends_whole && segment.end_offset.is_none() {
                return Ok(());
            }
            let (at, offset, what) = match error {
                WalkError::Flaw { position, offset, what } => (position, offset, what.to_owned()),
                WalkError::Read(e) => (position, expected.unwrap_or(segment.base), e.to_string()),
            };
            let next = index.entries.iter().find(|entry| entry.start() > at && entry.start() < length);
            let upto = next.map(|entry| entry.first_offset(segment.base)).or(segment.end_offset);
            self.log_finding(dir, segment, what, lost(offset, upto), Some((at, Some(offset))));
            let Some(next) = next else { break };
            (position, expected) = (next.start(), Some(next.first_offset(segment.base)));
        }
        if let (Some(end), Some(found)) = (segment.end_offset, expected)
            && self.report.findings.len() == before
            && end != found
            && !(segment.has_gaps && found < end)
        {
            let what = format!("its batches end at offset {}, and {} was known to follow them", found.0, end.0);
            self.log_finding(dir, segment, what, lost(found, Some(end)), Some((position, Some(found))));
        }
        if index.is_remade && self.report.findings.len() == before {
            self.report.repairs.push(Repair::Index { dir: dir.clone(), segment: segment.clone() });
        }
        Ok(())
    }

    fn batch(&mut self, dir: &PartitionDir, segment: &SegmentAtRest, batch: &StoredBatch) {
        let header = &batch.header;
        self.report.batches += 1;
        self.report.bytes += batch.bytes.len() as u64;
        let outcome =
            if batch.crc_is_right { self.records(dir, batch) } else { Err("its CRC does not match".to_owned()) };
        let records = match outcome {
            Ok(records) => records,
            Err(what) => {
                let lost = Lost::Records { from: header.base_offset, through: header.last_offset() };
                let at = Some((batch.position, Some(Offset(header.base_offset))));
                self.log_finding(dir, segment, what, lost, at);
                0
            }
        };
        self.report.records += records;
        (self.advance)(batch.bytes.len() as u64, records);
    }

    /// Reads all records of a batch; how many there are.
    fn records(&self, dir: &PartitionDir, batch: &StoredBatch) -> Result<u64, String> {
        let mut inflated = Vec::new();
        let codec = Compression::from_code(batch.header.compression_code()).map_err(|e| e.to_string())?;
        let payload = match codec {
            Compression::None => batch.payload(),
            codec => {
                decompress(codec, batch.payload(), STORED_DECOMPRESSED_BYTES_MAX, &mut inflated)
                    .map_err(|e| e.to_string())?;
                &inflated
            }
        };
        let is_group = &*dir.topic_name == OFFSETS_TOPIC && !batch.header.is_control();
        let (mut count, mut previous) = (0, -1);
        for record in Records::new(payload, batch.header.record_count).with_gaps() {
            let record = record.map_err(|e| e.to_string())?;
            if record.offset_delta <= previous || record.offset_delta > batch.header.last_offset_delta {
                return Err(format!("record {count} has offset delta {}", record.offset_delta));
            }
            previous = record.offset_delta;
            count += 1;
            if is_group {
                let owned = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
                let decoded = GroupRecord::decode(owned(record.key).as_ref(), owned(record.value).as_ref());
                decoded.map_err(|e| format!("record {}: {e}", count - 1))?;
            }
        }
        Ok(count)
    }

    /// The heads of the batches of an interval are not those that were indexed.
    fn heads(&mut self, dir: &PartitionDir, segment: &SegmentAtRest, entry: &IndexEntry, end: Option<Offset>) {
        let first = entry.first_offset(segment.base);
        let what = "the heads of the batches from there on do not match the index, which is whole: the broker does not serve them";
        self.log_finding(dir, segment, what.to_owned(), lost(first, end), Some((entry.start(), Some(first))));
    }

    fn log_finding(
        &mut self,
        dir: &PartitionDir,
        segment: &SegmentAtRest,
        what: String,
        lost: Lost,
        at: Option<(u64, Option<Offset>)>,
    ) {
        let path = self.directory.segment_path(dir, segment, FileKind::Log);
        let mut finding = Finding::in_file(self.directory.inside(&path), what, lost);
        finding.partition = Some(dir.name());
        finding.position = at.map(|(position, _)| position);
        finding.offset = at.and_then(|(_, offset)| offset).map(|offset| offset.0);
        // A million batches that are damaged alike, one behind the other, are one finding.
        if let Some(last) = self.report.findings.last_mut()
            && (&last.file, &last.what) == (&finding.file, &finding.what)
            && let (Lost::Records { through, .. }, Lost::Records { from, through: last }) =
                (&mut last.lost, &finding.lost)
            && (*through + 1 == *from || segment.has_gaps && *through < *from)
        {
            *through = *last;
            return;
        }
        self.report.findings.push(finding);
    }
}

/// An error that says something of the file itself.
fn may_be_read(path: &Path, error: io::Error) -> Result<io::Error, MetaError> {
    let is_about_us = error.kind() == io::ErrorKind::PermissionDenied || is_out_of_descriptors(&error);
    if is_about_us { Err(MetaError::Unreadable { path: path.to_owned(), source: error }) } else { Ok(error) }
}

/// The records from one offset to below another, if there is one.
fn lost(from: Offset, end: Option<Offset>) -> Lost {
    match end {
        Some(end) => Lost::Records { from: from.0, through: end.0 - 1 },
        None => Lost::Words(format!("the records of this file from offset {} on", from.0)),
    }
}

/// The files of logs in a partition's directory, each by itself.
pub fn lone_segments(path: &Path) -> Result<Vec<SegmentAtRest>, MetaError> {
    let mut found = Vec::new();
    for entry in entries(path)? {
        if let Some((FileKind::Log, base)) = entry.file_name().to_str().and_then(FileKind::of) {
            found.push(SegmentAtRest::lone(base, entry.metadata().map_or(0, |file| file.len())));
        }
    }
    found.sort_by_key(|segment| segment.base);
    Ok(found)
}

/// What is in a directory; nothing is in one that is not there.
fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>, MetaError> {
    let read = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.and_then(Iterator::collect),
    };
    read.map_err(|source| MetaError::Unreadable { path: dir.to_owned(), source })
}

/// The directories of partitions, of which only the names are known.
fn lone_directories(directory: &Directory) -> Result<Vec<PartitionDir>, MetaError> {
    let mut found = Vec::new();
    for entry in entries(&directory.layout().partitions())? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((topic, index)) = name.rsplit_once('-')
            && let Ok(index) = index.parse()
        {
            let id = PartitionId { topic: TopicId::ZERO, index };
            found.push(PartitionDir { id, topic_name: topic.into() });
        }
    }
    found.sort_by_key(PartitionDir::name);
    Ok(found)
}
