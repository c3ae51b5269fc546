//! Reads what a start would read of a data directory, and puts it together as a start would. Changes nothing.
//!
//! Invariant: what cannot be read is a finding and leaves the rest readable. A directory that a broker has, or of a newer
//! format, is refused before anything of it is looked at.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shards::catalog::{Catalog, CatalogRecord};
use shards::journal::checkpoint::{Checkpoint, DecodeError};
use shards::journal::files::run_of;
use shards::journal::format::FormatError;
use shards::journal::replay::{self, JournalFile, ReplayError, Replayed};
use shards::journal::run::Run;
use shards::log::{FileKind, PartitionDir, SegmentAtRest};
use shards::shard::at_rest::{self, PartitionAtRest};
use shards::shard::settings::Layout;
use shards::types::{Offset, PartitionId};

use super::files::{file_bytes, read_at};
use super::finding::{Finding, Lost};
use super::repair::Repair;
use crate::launch::meta::{AtRest, Meta, MetaError};

/// A data directory of which no broker runs.
pub struct Directory {
    pub root: PathBuf,
    pub meta: Option<Meta>,
    /// `None`: no broker has ever been ready on it, or the file is damaged.
    pub run: Option<Run>,
    /// One for each shard of the run.
    pub journals: Vec<Journal>,
    pub partitions: BTreeMap<PartitionId, Result<PartitionAtRest, String>>,
    pub catalog: Catalog,
    /// What was wrong on the way, and what of it can be made anew.
    pub findings: Vec<Finding>,
    pub repairs: Vec<Repair>,
    journals_are_whole: bool,
    _held: AtRest,
}

/// One core's journal.
pub struct Journal {
    pub shard: u32,
    /// All of its files, of whatever run, by name.
    pub files: Vec<JournalFile>,
    /// The first generation that counts.
    pub first_generation: Option<u64>,
    /// Where the chain of what counts ends.
    pub cut: Option<(PathBuf, u64)>,
}

/// A partition with the name of its topic.
pub struct NamedPartition<'a> {
    pub dir: PartitionDir,
    pub state: &'a Result<PartitionAtRest, String>,
}

impl Directory {
    /// Reads all but the segments. `changed`: other tools are kept out as well.
    ///
    /// # Errors
    /// It is in use, not ours or of another format; or something could not be read for another reason than damage.
    pub fn open(root: &Path, changed: bool, now_ms: i64) -> Result<Directory, MetaError> {
        let mut held = AtRest::hold(root, changed)?;
        let mut findings = Vec::new();
        let meta = match std::mem::replace(&mut held.meta, Err(MetaError::NotOurs { dir: root.to_owned() })) {
            Ok(meta) => Some(meta),
            Err(MetaError::Damaged { what, .. }) => {
                let cure =
                    "it names the cluster and the node only; put it back from a copy, no broker starts without it";
                findings.push(Finding::in_file("meta", what, Lost::Nothing(cure.to_owned())));
                None
            }
            Err(other) => return Err(other),
        };
        let mut directory = Directory {
            root: root.to_owned(),
            meta,
            run: None,
            journals: Vec::new(),
            partitions: BTreeMap::new(),
            catalog: at_rest::empty_catalog(0),
            findings,
            repairs: Vec::new(),
            journals_are_whole: true,
            _held: held,
        };
        directory.read_run()?;
        if let Some(run) = directory.run {
            directory.read_shards(run, now_ms)?;
            directory.read_catalog()?;
        }
        Ok(directory)
    }

    /// Part of what was acked may be out of reach, whichever partition it belongs to.
    pub fn lacks_a_journal(&self) -> bool {
        !self.journals_are_whole
    }

    pub fn layout(&self) -> Layout {
        Layout { root: self.root.clone() }
    }

    /// A path as findings name it.
    pub fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    /// The partitions of topics that exist, by name. What is left of deleted ones is not among them.
    pub fn named(&self) -> Vec<NamedPartition<'_>> {
        let mut named: Vec<NamedPartition<'_>> = Vec::new();
        for (id, state) in &self.partitions {
            let topic = self.catalog.topic_with_log(id.topic).filter(|topic| topic.partition(id.index).is_some());
            if let Some(topic) = topic {
                named.push(NamedPartition { dir: PartitionDir { id: *id, topic_name: topic.name.clone() }, state });
            }
        }
        named.sort_by(|a, b| (&a.dir.topic_name, a.dir.id.index).cmp(&(&b.dir.topic_name, b.dir.id.index)));
        named
    }

    pub fn segment_path(&self, dir: &PartitionDir, segment: &SegmentAtRest, kind: FileKind) -> PathBuf {
        let inside = self.layout().partitions().join(dir.name());
        let name = segment.file_name(kind, |name| inside.join(name).exists());
        inside.join(name)
    }

    /// The file of a segment; `None` if none of its bytes are in one.
    pub fn open_segment(&self, dir: &PartitionDir, segment: &SegmentAtRest) -> io::Result<Option<File>> {
        if segment.in_file == 0 {
            return Ok(None);
        }
        File::open(self.segment_path(dir, segment, FileKind::Log)).map(Some)
    }

    fn read_run(&mut self) -> Result<(), MetaError> {
        let path = self.root.join("run");
        let lost = || {
            Lost::Words(
                "without it it cannot be told which journals count, and so what is behind the segments; put it back \
                 from a copy"
                    .to_owned(),
            )
        };
        match file_bytes(&path).map_err(|source| unreadable(&path, source))? {
            Some(bytes) => match Run::decode(&bytes) {
                Ok(run) => self.run = Some(run),
                Err(what) => self.findings.push(Finding::in_file("run", what, lost())),
            },
            // Before its first run a directory has no journal that anybody was told of.
            None if self.layout().partitions().is_dir() && has_entries(&self.layout().partitions()) => {
                self.findings.push(Finding::in_file("run", "it is missing", lost()));
            }
            None => {}
        }
        Ok(())
    }

    fn read_shards(&mut self, run: Run, now_ms: i64) -> Result<(), MetaError> {
        let (mut lines, mut entries) = (Vec::new(), Vec::new());
        for shard in 0..run.shards {
            let checkpoint = self.read_checkpoint(run, shard)?;
            let first_generation = checkpoint.as_ref().map(|checkpoint| checkpoint.first_generation);
            let files = self.read_journal(shard)?;
            let mut cut = None;
            if let Some(first) = first_generation {
                let replayed = self.replay(run, &files, first)?;
                cut = replayed.cut;
                entries.extend(replayed.entries);
            }
            lines.extend(checkpoint.into_iter().flat_map(|checkpoint| checkpoint.partitions));
            self.journals.push(Journal { shard, files, first_generation, cut });
        }
        self.partitions = at_rest::partitions(lines, entries, now_ms);
        Ok(())
    }

    /// What of a journal counts.
    fn replay(&mut self, run: Run, files: &[JournalFile], first: u64) -> Result<Replayed, MetaError> {
        let current: Vec<JournalFile> = files.iter().filter(|file| is_of(&file.path, run)).cloned().collect();
        let (path, position, what, lost) = match replay::chain(&current, run, first) {
            Ok(replayed) => return Ok(replayed),
            // The checksum of what says so is right.
            Err(ReplayError::Format {
                path,
                source: source @ (FormatError::Version { .. } | FormatError::Kind { .. }),
                ..
            }) => {
                return Err(MetaError::Newer { path, what: source.to_string() });
            }
            Err(ReplayError::Io { path, source }) => return Err(unreadable(&path, source)),
            Err(ReplayError::Damaged { path, position, sequence, proof }) => (
                path,
                position,
                format!("commit {sequence} is unreadable, yet commit {proof} says that it was synced and acked"),
                format!(
                    "what commit {sequence} and those behind it hold and no segment has yet; no broker starts on this: put \
                     the file back from a copy"
                ),
            ),
            Err(ReplayError::Format { path, position, source }) => (
                path,
                position,
                source.to_string(),
                "what the journal holds from there on and no segment has yet".to_owned(),
            ),
        };
        self.journals_are_whole = false;
        self.findings.push(Finding::in_file(self.inside(&path), what, Lost::Words(lost)).at(position));
        Ok(Replayed::default())
    }

    /// The newer copy that is whole.
    fn read_checkpoint(&mut self, run: Run, shard: u32) -> Result<Option<Checkpoint>, MetaError> {
        let mut whole: Option<(Checkpoint, PathBuf)> = None;
        let mut wrong = Vec::new();
        for path in Checkpoint::copies(&self.layout().checkpoints(), run.number, shard) {
            let found = match file_bytes(&path).map_err(|source| unreadable(&path, source))? {
                None => Err("it is missing".to_owned()),
                Some(bytes) => match Checkpoint::decode(&bytes) {
                    Ok(checkpoint) if checkpoint.run == run && checkpoint.shard == shard => Ok(checkpoint),
                    Ok(_) => Err("it belongs to another run".to_owned()),
                    Err(DecodeError::Damaged(what)) => Err(what),
                    Err(newer @ DecodeError::Version(_)) => {
                        return Err(MetaError::Newer { path, what: newer.to_string() });
                    }
                },
            };
            match found {
                Ok(checkpoint) => whole = whole.or(Some((checkpoint, path))),
                Err(what) => wrong.push((path, what)),
            }
        }
        for (path, what) in wrong {
            let lost = if let Some((_, of)) = &whole {
                self.repairs.push(Repair::Copy { path: path.clone(), of: of.clone() });
                Lost::Nothing("the other copy is whole; `--repair` makes this one anew".to_owned())
            } else {
                self.journals_are_whole = false;
                Lost::Words("which data is whole cannot be told; put one of the copies back".to_owned())
            };
            self.findings.push(Finding::in_file(self.inside(&path), what, lost));
        }
        Ok(whole.map(|(checkpoint, _)| checkpoint))
    }

    fn read_journal(&mut self, shard: u32) -> Result<Vec<JournalFile>, MetaError> {
        let dir = self.layout().journal(shard);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let lost = Lost::Words("what the journal held and no segment has yet".to_owned());
                self.findings.push(Finding::in_file(self.inside(&dir), "the directory is missing", lost));
                self.journals_are_whole = false;
                return Ok(Vec::new());
            }
            Err(source) => return Err(unreadable(&dir, source)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| unreadable(&dir, source))?.path();
            let is_journal = path.file_name().and_then(|name| name.to_str()).and_then(run_of).is_some();
            if is_journal && let Some(bytes) = file_bytes(&path).map_err(|source| unreadable(&path, source))? {
                files.push(JournalFile { path, bytes });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Snapshots of the catalog, by offset.
    pub fn snapshots(&self) -> Result<Vec<(Offset, PathBuf, Bytes)>, MetaError> {
        let dir = self.layout().catalog();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(unreadable(&dir, source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| unreadable(&dir, source))?.path();
            let offset = path.file_name().and_then(|name| name.to_str()).and_then(at_rest::snapshot_offset);
            if let Some(offset) = offset
                && let Some(bytes) = file_bytes(&path).map_err(|source| unreadable(&path, source))?
            {
                found.push((offset, path, bytes));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The newest whole snapshot, and the metadata log behind it.
    fn read_catalog(&mut self) -> Result<(), MetaError> {
        let Some(Ok(metadata)) = self.partitions.get(&at_rest::METADATA) else { return Ok(()) };
        let (start, end, segments) = (metadata.log_start, metadata.log_end, metadata.segments.clone());
        let mut snapshot = None;
        for (offset, path, bytes) in self.snapshots()?.into_iter().rev() {
            if offset < start || offset > end {
                continue;
            }
            match at_rest::snapshot_records(&bytes) {
                Ok(records) => snapshot = snapshot.or(Some((offset, records))),
                Err(error) => {
                    let lost = if offset > start || snapshot.is_some() {
                        Lost::Nothing("the metadata log has all of it".to_owned())
                    } else {
                        Lost::Words("the topics and configs from before it; put it back from a copy".to_owned())
                    };
                    self.findings.push(Finding::in_file(self.inside(&path), error.to_string(), lost));
                }
            }
        }
        if start > Offset::ZERO && snapshot.is_none() {
            let what =
                format!("the metadata log begins at {}, and there is no whole snapshot of what was before", start.0);
            let lost = Lost::Words("the topics and configs from before it".to_owned());
            self.findings.push(Finding::in_file("catalog", what, lost));
        }
        let (from, records) = snapshot.unwrap_or((start, Vec::new()));
        let mut changes: Vec<Change> = records.into_iter().map(|record| Change { record, at: None }).collect();
        let topic_name = self.catalog.metadata_topic().name.clone();
        let dir = PartitionDir { id: at_rest::METADATA, topic_name };
        for segment in &segments {
            self.read_changes(&dir, segment, from, &mut changes);
        }
        // Of the file that names the node nothing is needed: every run begins by saying who it is.
        let node = changes.iter().find_map(|change| match &change.record {
            CatalogRecord::RegisterBroker(registration) => Some(registration.broker),
            _ => None,
        });
        self.catalog = at_rest::empty_catalog(node.unwrap_or(0));
        for Change { record, at } in changes {
            if let Err(error) = self.catalog.apply(&record) {
                self.findings.push(refused_change(at, error.to_string(), &dir));
            }
        }
        Ok(())
    }

    /// The changes in a segment of the metadata log from an offset on, up to where it cannot be read: checking it tells why.
    fn read_changes(&mut self, dir: &PartitionDir, segment: &SegmentAtRest, from: Offset, changes: &mut Vec<Change>) {
        let path = self.segment_path(dir, segment, FileKind::Log);
        let Ok(file) = self.open_segment(dir, segment) else { return };
        let read = |position, bytes| file.as_ref().map_or(Ok(Bytes::new()), |file| read_at(file, position, bytes));
        for batch in segment.walk(0, Some(segment.base), read).map_while(Result::ok) {
            let offset = batch.header.base_offset;
            if offset < from.0 || !batch.crc_is_right {
                continue;
            }
            let at = Some((self.inside(&path), batch.position, offset));
            for record in at_rest::records_in(&batch.header, batch.payload()) {
                match record {
                    Ok(record) => changes.push(Change { record, at: at.clone() }),
                    Err(error) => self.findings.push(refused_change(at.clone(), error.to_string(), dir)),
                }
            }
        }
    }
}

/// A record of the metadata log, and where it is: file, byte, offset. A snapshot's has no place.
struct Change {
    record: CatalogRecord,
    at: Option<(PathBuf, u64, i64)>,
}

fn refused_change(at: Option<(PathBuf, u64, i64)>, what: String, dir: &PartitionDir) -> Finding {
    let lost = Lost::Words("this change of the catalog: no broker of this version starts on it".to_owned());
    match at {
        Some((file, position, offset)) => Finding::in_file(file, what, lost).at(position).of(&dir.name(), offset),
        None => Finding::in_file("catalog", what, lost),
    }
}

fn is_of(path: &Path, run: Run) -> bool {
    path.file_name().and_then(|name| name.to_str()).and_then(run_of) == Some(run.number)
}

fn has_entries(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn unreadable(path: &Path, source: io::Error) -> MetaError {
    MetaError::Unreadable { path: path.to_owned(), source }
}
