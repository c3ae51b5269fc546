//! A data directory of Kafka's: whose it is, where each partition's log begins, its files. Blocking.
//!
//! Invariant: nothing of it is written, made or removed; no Kafka starts on it while this lives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FlockOperation, fcntl_lock};
use shards::batch::{HEADER_BYTES, PREFIX_BYTES, legacy_bytes, legacy_format};
use shards::log::{FileKind, METADATA_FILE, SegmentAtRest, StoredBatch, WalkError, metadata_text};
use shards::partition::epochs::EpochStart;
use shards::types::{LeaderEpoch, Offset, TopicId};

use super::{AdoptError, ONE_DIR};
use crate::config::import::properties;
use crate::disk::read_at;
use crate::launch::meta::Meta;

/// Kafka's version of `meta.properties` with KRaft.
const VERSION: &str = "1";
/// The partition of Kafka's metadata log.
pub const METADATA_LOG: &str = "__cluster_metadata-0";
/// End names of what Kafka, stopped in the middle of replacing segments, finishes at its next start.
const UNFINISHED: [&str; 2] = ["swap", "cleaned"];
/// What Kafka adds, behind a random id, to the name of a partition's directory that it has set aside, or fills to be moved.
const SET_ASIDE: [&str; 2] = ["stray", "future"];
/// Read at once where nothing but zeros should be.
const WINDOW_BYTES: usize = 1 << 20;

/// A directory that Kafka has written, held.
pub struct Source {
    pub root: PathBuf,
    pub meta: Meta,
    /// Kafka says so itself when it has stopped in order.
    pub was_stopped: bool,
    /// Of partitions whose first segment begins below.
    log_starts: BTreeMap<String, Offset>,
    /// Up to where readers were given records, a little while before Kafka ended or when it did.
    high_watermarks: BTreeMap<String, Offset>,
    _lock: Option<File>,
}

/// A segment's file. It is open only while it is read: a log may have thousands.
pub struct SegmentFile {
    pub base: Offset,
    pub path: PathBuf,
    pub bytes: u64,
    /// The file as one of which nothing but its name is known.
    pub at_rest: SegmentAtRest,
}

impl Source {
    /// Opens a directory of Kafka's.
    ///
    /// # Errors
    /// It is none, of another version, or a Kafka runs on it.
    pub fn open(root: &Path) -> Result<Source, AdoptError> {
        let path = root.join("meta.properties");
        let not_kafkas = |what: String| AdoptError::NotKafkas { dir: root.to_owned(), what };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !root.exists() && names_several(root) => {
                return Err(not_kafkas(format!("it names several directories, and an import reads one. {ONE_DIR}")));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(not_kafkas("there is no file meta.properties in it".to_owned()));
            }
            Err(source) => return Err(AdoptError::Read { path, source }),
        };
        let written = properties::parse(&text)
            .map_err(|(line, why)| not_kafkas(format!("line {line} of its meta.properties: {why}")))?;
        let value = |key: &str| written.iter().rev().find(|one| one.key == key).map(|one| one.value.trim());
        let version = value("version").unwrap_or("none");
        if version != VERSION {
            return Err(not_kafkas(format!(
                "its meta.properties has version {version}, and that of a Kafka with KRaft is {VERSION}: let Kafka 4.3 \
                 start on it first"
            )));
        }
        let node_id = value("node.id").and_then(|id| id.parse().ok());
        let node_id = node_id.ok_or_else(|| not_kafkas("its meta.properties names no node.id".to_owned()))?;
        let cluster_id = value("cluster.id").filter(|id| !id.is_empty());
        let cluster_id = cluster_id.ok_or_else(|| not_kafkas("its meta.properties names no cluster.id".to_owned()))?;
        let meta = Meta { cluster_id: cluster_id.to_owned(), node_id };
        if !root.join(METADATA_LOG).is_dir() {
            return Err(not_kafkas(format!(
                "there is no {METADATA_LOG} in it: give the directory of the node that is both broker and controller, and of \
                 several log.dirs the one that holds it; if Kafka's metadata.log.dir is another one, copy its {METADATA_LOG} into \
                 this one while Kafka is stopped"
            )));
        }
        let lock = hold(root)?;
        let was_stopped = root.join(".kafka_cleanshutdown").exists();
        let log_starts = offsets(&root.join("log-start-offset-checkpoint"))?;
        let high_watermarks = offsets(&root.join("replication-offset-checkpoint"))?;
        Ok(Source { root: root.to_owned(), meta, was_stopped, log_starts, high_watermarks, _lock: lock })
    }

    /// Whether there is a directory of this partition.
    pub fn has(&self, partition: &str) -> bool {
        self.root.join(partition).is_dir()
    }

    /// The directories of partitions, by name. Those of deleted topics, which Kafka is about to remove, are none.
    pub fn partition_dirs(&self) -> Result<Vec<String>, AdoptError> {
        let read = |source| AdoptError::Read { path: self.root.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != METADATA_LOG && is_partition(&name) && entry.path().is_dir() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The directory of a partition, which is there and must be the topic's of this id.
    pub fn partition(&self, name: &str, topic: TopicId) -> Result<PathBuf, AdoptError> {
        let dir = self.root.join(name);
        let path = dir.join(METADATA_FILE);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(AdoptError::NoOwner { path }),
            read => read.map_err(|source| AdoptError::Read { path: path.clone(), source })?,
        };
        if text.trim_end() != metadata_text(topic).trim_end() {
            return Err(AdoptError::OtherTopic { path, topic });
        }
        Ok(dir)
    }

    /// Where the log of a partition begins that has these segments.
    pub fn log_start(&self, partition: &str, segments: &[SegmentFile]) -> Offset {
        let first = segments.first().map_or(Offset::ZERO, |segment| segment.base);
        self.log_starts.get(partition).map_or(first, |start| first.max(*start))
    }

    /// Up to where records of a partition were known to be committed, as Kafka last wrote it down.
    pub fn high_watermark(&self, partition: &str) -> Option<Offset> {
        self.high_watermarks.get(partition).copied()
    }

    /// The files of a log, by base offset.
    pub fn segments(&self, dir: &Path) -> Result<Vec<SegmentFile>, AdoptError> {
        let read = |source| AdoptError::Read { path: dir.to_owned(), source };
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if UNFINISHED.iter().any(|ending| path.extension().is_some_and(|found| found == *ending)) {
                return Err(AdoptError::Unfinished { path });
            }
            if let Some((FileKind::Log, base)) = FileKind::of(name) {
                segments.push(SegmentFile::find(base, path)?);
            }
        }
        segments.sort_by_key(|segment| segment.base);
        Ok(segments)
    }
}

impl SegmentFile {
    pub fn find(base: Offset, path: PathBuf) -> Result<SegmentFile, AdoptError> {
        let bytes = fs::metadata(&path).map_err(|source| AdoptError::Read { path: path.clone(), source })?.len();
        Ok(SegmentFile { base, path, bytes, at_rest: SegmentAtRest::lone(base, bytes) })
    }

    /// The batches of the file, in order, each held against its CRC.
    pub fn batches(&self) -> Result<impl Iterator<Item = Result<StoredBatch, AdoptError>> + use<'_>, AdoptError> {
        let damaged = |position: u64, offset: i64, what: &str| AdoptError::Damaged {
            path: self.path.clone(),
            place: Some((position, offset)),
            what: what.to_owned(),
        };
        let file = self.open()?;
        let walk = self.at_rest.walk(0, Some(self.base), move |position, bytes| read_at(&file, position, bytes));
        Ok(walk.map(move |found| match found {
            Ok(batch) if batch.crc_is_right => Ok(batch),
            Ok(batch) => Err(damaged(batch.position, batch.header.base_offset, "the batch's CRC does not match")),
            Err(WalkError::Flaw { position, offset, what }) => match self.legacy_format(position)? {
                Some(format) => {
                    let (path, place) = (self.path.clone(), (position, offset.0));
                    Err(AdoptError::OldFormat { path, place, format })
                }
                None => Err(damaged(position, offset.0, what)),
            },
            Err(WalkError::Read(source)) => Err(AdoptError::Read { path: self.path.clone(), source }),
        }))
    }

    /// Whether a batch is in it. A file that was made in advance, or that a crash left, may be empty or all zeros.
    pub fn has_batches(&self) -> Result<bool, AdoptError> {
        let head = self.read_at(&self.open()?, 0, HEADER_BYTES)?;
        Ok(head.iter().any(|byte| *byte != 0))
    }

    /// Whether nothing but zeros follows from `position` on, as in a file that was made in advance.
    pub fn is_zero_from(&self, mut position: u64) -> Result<bool, AdoptError> {
        let file = self.open()?;
        loop {
            let bytes = self.read_at(&file, position, WINDOW_BYTES)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if bytes.len() < WINDOW_BYTES {
                return Ok(true);
            }
            position += bytes.len() as u64;
        }
    }

    /// The format of the message at `position`, if it is one of those before batches.
    fn legacy_format(&self, position: u64) -> Result<Option<u8>, AdoptError> {
        let file = self.open()?;
        let head = self.read_at(&file, position, PREFIX_BYTES)?;
        // A length beyond the file is none that memory should be taken for.
        let left = self.bytes.saturating_sub(position);
        let Some(bytes) = legacy_bytes(&head).filter(|bytes| *bytes as u64 <= left) else { return Ok(None) };
        Ok(legacy_format(&self.read_at(&file, position, bytes)?))
    }

    fn read_at(&self, file: &File, position: u64, bytes: usize) -> Result<Bytes, AdoptError> {
        read_at(file, position, bytes).map_err(|source| AdoptError::Read { path: self.path.clone(), source })
    }

    fn open(&self) -> Result<File, AdoptError> {
        File::open(&self.path).map_err(|source| AdoptError::Read { path: self.path.clone(), source })
    }
}

/// Whether this is what log.dirs says: directories with commas between.
fn names_several(path: &Path) -> bool {
    path.to_string_lossy().contains(',')
}

/// Whether a directory of this name is a partition's: TOPIC-INDEX, or that with an id and why it was set aside.
fn is_partition(name: &str) -> bool {
    let set_aside = |name: &str| {
        let (partition, rest) = name.rsplit_once('.')?;
        let (_, why) = rest.split_once('-')?;
        SET_ASIDE.contains(&why).then(|| partition.to_owned())
    };
    let partition = set_aside(name).unwrap_or_else(|| name.to_owned());
    partition.rsplit_once('-').is_some_and(|(topic, index)| !topic.is_empty() && index.parse::<u32>().is_ok())
}

/// Keeps Kafka out, which locks this file as long as it runs. A copy may lack it.
fn hold(root: &Path) -> Result<Option<File>, AdoptError> {
    let path = root.join(".lock");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AdoptError::Read { path, source }),
    };
    match fcntl_lock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Err(AdoptError::Running { dir: root.to_owned() }),
        Err(e) => Err(AdoptError::Read { path, source: e.into() }),
    }
}

/// The lines of one of Kafka's checkpoint files: a version, a count, and so many lines. None if there is no such file, or nothing
/// in it yet, as Kafka makes it.
fn checkpoint(path: &Path) -> Result<Vec<String>, AdoptError> {
    let damaged = |what: &str| AdoptError::Damaged { path: path.to_owned(), place: None, what: what.to_owned() };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(AdoptError::Read { path: path.to_owned(), source }),
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(damaged("it does not begin with version 0"));
    }
    let count: usize = lines.next().and_then(|count| count.parse().ok()).ok_or_else(|| damaged("it has no count"))?;
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() == count { Ok(lines) } else { Err(damaged("it has not as many lines as it says")) }
}

/// Lines of topic, partition and offset, by partition.
fn offsets(path: &Path) -> Result<BTreeMap<String, Offset>, AdoptError> {
    let offset = |line: &String| {
        let mut words = line.split(' ');
        let (topic, index, offset) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some((format!("{topic}-{index}"), Offset(offset)))
    };
    let entry = |line: String| {
        let what = format!("{line:?} is no topic, partition and offset");
        offset(&line).ok_or_else(|| AdoptError::Damaged { path: path.to_owned(), place: None, what })
    };
    checkpoint(path)?.into_iter().map(entry).collect()
}

/// Where each leader epoch of a partition began, as Kafka has kept it.
pub fn epochs(dir: &Path) -> Result<Vec<EpochStart>, AdoptError> {
    let path = dir.join("leader-epoch-checkpoint");
    let start = |line: &String| {
        let (epoch, start) = line.split_once(' ')?;
        Some(EpochStart { epoch: LeaderEpoch(epoch.parse().ok()?), start: Offset(start.parse().ok()?) })
    };
    let entry = |line: String| {
        let what = format!("{line:?} is no epoch and offset");
        start(&line).ok_or_else(|| AdoptError::Damaged { path: path.clone(), place: None, what })
    };
    checkpoint(&path)?.into_iter().map(entry).collect()
}
