//! A data directory of Kafka's: whose it is, where each partition's log begins, its files. Blocking.
//!
//! Invariant: nothing of it is written, made or removed; no Kafka starts on it while this lives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use shards::batch::HEADER_BYTES;
use shards::log::{FileKind, METADATA_FILE, SegmentAtRest, StoredBatch, WalkError, metadata_text};
use shards::partition::epochs::EpochStart;
use shards::types::{LeaderEpoch, Offset, TopicId};

use super::AdoptError;
use crate::disk::read_at;
use crate::launch::meta::Meta;

/// Kafka's version of `meta.properties` with KRaft.
const VERSION: &str = "1";
/// The partition of Kafka's metadata log.
pub const METADATA_LOG: &str = "__cluster_metadata-0";
/// End names of what Kafka, stopped in the middle of replacing segments, finishes at its next start.
const UNFINISHED: [&str; 2] = ["swap", "cleaned"];

/// A directory that Kafka has written, held.
pub struct Source {
    pub root: PathBuf,
    pub meta: Meta,
    /// Kafka says so itself when it has stopped in order.
    pub was_stopped: bool,
    /// Of partitions whose first segment begins below.
    log_starts: BTreeMap<String, Offset>,
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
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(not_kafkas("there is no file meta.properties in it".to_owned()));
            }
            Err(source) => return Err(AdoptError::Read { path, source }),
        };
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim);
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
                "there is no {METADATA_LOG} in it: give the directory of the node that is both broker and controller"
            )));
        }
        let lock = hold(root)?;
        let was_stopped = root.join(".kafka_cleanshutdown").exists();
        let log_starts = log_starts(&root.join("log-start-offset-checkpoint"))?;
        Ok(Source { root: root.to_owned(), meta, was_stopped, log_starts, _lock: lock })
    }

    /// The directory of a partition, which must be the topic's of this id.
    pub fn partition(&self, name: &str, topic: TopicId) -> Result<PathBuf, AdoptError> {
        let dir = self.root.join(name);
        if !dir.is_dir() {
            return Err(AdoptError::NoPartition { partition: name.to_owned(), dir: self.root.clone() });
        }
        let path = dir.join(METADATA_FILE);
        let text = fs::read_to_string(&path).map_err(|source| AdoptError::Read { path: path.clone(), source })?;
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
            Err(WalkError::Flaw { position, offset, what }) => Err(damaged(position, offset.0, what)),
            Err(WalkError::Read(source)) => Err(AdoptError::Read { path: self.path.clone(), source }),
        }))
    }

    /// Whether a batch is in it. A file that was made in advance, or that a crash left, may be empty or all zeros.
    pub fn has_batches(&self) -> Result<bool, AdoptError> {
        let head = read_at(&self.open()?, 0, HEADER_BYTES);
        let head = head.map_err(|source| AdoptError::Read { path: self.path.clone(), source })?;
        Ok(head.iter().any(|byte| *byte != 0))
    }

    fn open(&self) -> Result<File, AdoptError> {
        File::open(&self.path).map_err(|source| AdoptError::Read { path: self.path.clone(), source })
    }
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

/// The lines of one of Kafka's checkpoint files: a version, a count, and so many lines. None if there is no such file.
fn checkpoint(path: &Path) -> Result<Vec<String>, AdoptError> {
    let damaged = |what: &str| AdoptError::Damaged { path: path.to_owned(), place: None, what: what.to_owned() };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(AdoptError::Read { path: path.to_owned(), source }),
    };
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(damaged("it does not begin with version 0"));
    }
    let count: usize = lines.next().and_then(|count| count.parse().ok()).ok_or_else(|| damaged("it has no count"))?;
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.len() == count { Ok(lines) } else { Err(damaged("it has not as many lines as it says")) }
}

/// Lines of topic, partition and offset, by partition.
fn log_starts(path: &Path) -> Result<BTreeMap<String, Offset>, AdoptError> {
    let start = |line: &String| {
        let mut words = line.split(' ');
        let (topic, index, offset) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some((format!("{topic}-{index}"), Offset(offset)))
    };
    let entry = |line: String| {
        let what = format!("{line:?} is no topic, partition and offset");
        start(&line).ok_or_else(|| AdoptError::Damaged { path: path.to_owned(), place: None, what })
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
