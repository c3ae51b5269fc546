//! A data directory that Kafka has written becomes one of corelog's: topics with their ids and configs, records as they are,
//! committed offsets. No core's; blocking.
//!
//! `source` reads Kafka's directory, `metadata` its topics and configs, `partition` copies a log. What the bytes mean is for
//! `shards` to say (`catalog/kafka`, `shard/adopted`).
//!
//! Invariant: nothing is written into Kafka's directory; a directory of ours that is not filled to the end serves nobody.

mod metadata;
mod partition;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use shards::catalog::kafka::{Adopted, Image, ImageError, KafkaTopic, LeftOut};
use shards::group::OFFSETS_TOPIC;
use shards::journal::checkpoint::PartitionCheckpoint;
use shards::log::PartitionDir;
use shards::shard::adopted::{self, Forget, Unfit};
use shards::shard::settings::Layout;
use shards::types::{Offset, PartitionId, TopicId};

use self::source::Source;
use crate::launch::meta::{Filling, Meta, MetaError};

/// What Kafka keeps for groups whose members share partitions, which this release does not serve.
const SHARE_STATE: &str = "__share_group_state";
/// What an import puts into a directory, besides what says whose it is.
const PARTS: [&str; 5] = ["data", "checkpoint", "journal", "catalog", "run"];

#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("{} is not a data directory that Kafka has written with KRaft: {what}", dir.display())]
    NotKafkas { dir: PathBuf, what: String },
    #[error("a Kafka runs on {}: stop it first, or work on a copy of the directory", dir.display())]
    Running { dir: PathBuf },
    #[error(
        "{} cannot be read: {source}{}", path.display(),
        if source.kind() == io::ErrorKind::PermissionDenied { "; run this as Kafka's user, or as root" } else { "" }
    )]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}; run the same command again when that is mended: it begins anew", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}{}: {what}. {DAMAGED}", path.display(), told(place))]
    Damaged { path: PathBuf, place: Option<(u64, i64)>, what: String },
    #[error("{}: Kafka was stopped while it replaced segments. {DAMAGED}", path.display())]
    Unfinished { path: PathBuf },
    #[error("{}{}: {what}. {}", path.display(), told(place), skip(path))]
    Transaction { path: PathBuf, place: Option<(u64, i64)>, what: Unfit },
    #[error(
        "partition {partition}{} not in {}: Kafka has registered {log_dirs} log.dirs, and this is one of them. {ONE_DIR}, or \
         leave topics out with --skip", and_others(*others), dir.display()
    )]
    Elsewhere { partition: String, others: usize, dir: PathBuf, log_dirs: usize },
    #[error(
        "partition {partition}{} not in {}, and Kafka has not registered how many log.dirs it has. If there are others: {ONE_DIR}. If \
         this is the only one: {DAMAGED}", and_others(*others), dir.display()
    )]
    Absent { partition: String, others: usize, dir: PathBuf },
    #[error(
        "partition {partition}{} not in {}, which is the only one of Kafka's log.dirs. {DAMAGED}", and_others(*others),
        dir.display()
    )]
    NoPartition { partition: String, others: usize, dir: PathBuf },
    #[error(
        "{}: the log ends at offset {}, and Kafka has given readers what is below {}, as its replication-offset-checkpoint \
         says: records are lost. Restore the partition from a copy, or leave its topic out with --skip; or let Kafka start on \
         the directory and stop it in order: it goes on without them", path.display(), end.0, told.0
    )]
    EndsEarly { path: PathBuf, end: Offset, told: Offset },
    #[error(
        "{}, byte {}, offset {}: from here on records are in message format {format}, of a Kafka before 0.11, which corelog \
         does not read. Kafka does not write them anew by itself: let it copy them into a new topic (MirrorMaker, or \
         kafka-console-consumer.sh and kafka-console-producer.sh). {}", path.display(), place.0, place.1, skip(path)
    )]
    OldFormat { path: PathBuf, place: (u64, i64), format: u8 },
    #[error("{} is missing, which says whose the directory is. {DAMAGED}", path.display())]
    NoOwner { path: PathBuf },
    #[error("{} is not of the topic with id {topic}, which the metadata log names. {DAMAGED}", path.display())]
    OtherTopic { path: PathBuf, topic: TopicId },
    #[error(
        "partition {partition} has replicas on nodes {replicas:?}: corelog takes the directory of a Kafka of one node. Let \
         Kafka move all partitions to node {node} alone (kafka-reassign-partitions.sh), or leave the topic out with --skip"
    )]
    SeveralNodes { partition: String, replicas: Vec<i32>, node: i32 },
    #[error(
        "part of topic {topic} is in tiered storage (remote.storage.enable), which corelog does not read: let Kafka bring it \
         back, or leave the topic out with --skip {topic}"
    )]
    Remote { topic: String },
    #[error("there is no topic {topic} to skip")]
    NoTopic { topic: String },
    #[error("the metadata log cannot be carried over: {0}")]
    Image(#[from] ImageError),
    #[error("the catalog fits into no snapshot: {0}")]
    Encode(String),
    #[error(
        "{} has {free_mib} MiB free and {needed_mib} are to be copied: make room, or choose another directory", path.display()
    )]
    NoRoom { path: PathBuf, free_mib: u64, needed_mib: u64 },
    #[error("{} lies in Kafka's own directory: choose another one to import into", path.display())]
    Inside { path: PathBuf },
    #[error("{} belongs to node {theirs} of Kafka's, and node.id is {ours}: set node.id = {theirs}", path.display())]
    OtherNode { path: PathBuf, theirs: i32, ours: i64 },
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// What helps against damage.
const DAMAGED: &str = "Let Kafka start on the directory and stop it in order: it mends what a crash has left. What is \
                       damaged still then is to be restored from a copy, or its topic left out with --skip";

/// What helps where partitions are in several directories.
const ONE_DIR: &str = "Let Kafka move all partitions into one directory, that of the metadata log \
                       (kafka-reassign-partitions.sh with log_dirs), and import that";

fn and_others(others: usize) -> String {
    match others {
        0 => " is".to_owned(),
        others => format!(" and {others} more are"),
    }
}

fn told(place: &Option<(u64, i64)>) -> String {
    place.map_or_else(String::new, |(position, offset)| format!(", byte {position}, offset {offset}"))
}

/// How to go on without the topic whose partition has this path, or holds it.
fn skip(path: &Path) -> String {
    let dir = if path.extension().is_some_and(|ending| ending == "log") { path.parent() } else { Some(path) };
    let name = dir.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let topic = name.rsplit_once('-').map_or(name.as_str(), |(topic, _)| topic);
    let cost = match topic {
        OFFSETS_TOPIC => {
            ": no group has its offsets then, unless you take them over by yourself (kafka-consumer-groups.sh --export, and `corelog \
             group offsets import` afterwards)"
        }
        _ => "",
    };
    format!("Leave the topic out with --skip {topic}, or import it when such records are deleted{cost}")
}

impl AdoptError {
    fn write(path: &Path, source: io::Error) -> AdoptError {
        AdoptError::Write { path: path.to_owned(), source }
    }

    fn unfit(path: &Path, place: Option<(u64, i64)>, unfit: Unfit) -> AdoptError {
        let path = path.to_owned();
        match unfit {
            Unfit::Aborted { .. } | Unfit::Open { .. } => AdoptError::Transaction { path, place, what: unfit },
            other => AdoptError::Damaged { path, place, what: other.to_string() },
        }
    }

    /// Bytes of Kafka's are not what they were.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            AdoptError::Damaged { .. }
                | AdoptError::Unfinished { .. }
                | AdoptError::OtherTopic { .. }
                | AdoptError::NoOwner { .. }
                | AdoptError::NoPartition { .. }
                | AdoptError::EndsEarly { .. }
        )
    }

    /// What was named is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, AdoptError::NotKafkas { .. } | AdoptError::NoTopic { .. })
    }
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}

/// A topic that was carried over.
#[derive(Debug)]
pub struct AdoptedTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: usize,
    pub copied: Copied,
}

/// What an import did.
#[derive(Debug)]
pub struct Report {
    pub meta: Meta,
    /// Kafka has written down that it stopped in order.
    pub was_stopped: bool,
    /// How many log.dirs Kafka had, if it has said so; all of its partitions are in the one that was read.
    pub log_dirs: usize,
    pub topics: Vec<AdoptedTopic>,
    pub left_out: Vec<LeftOut>,
    /// Names of directories of partitions of which the metadata log knows nothing.
    pub unknown: Vec<String>,
}

/// Kafka's directory, read so far that it is known what there is to copy.
pub struct Import {
    source: Source,
    image: Image,
    metadata_end: Offset,
    left_out: Vec<LeftOut>,
    unknown: Vec<String>,
}

impl Import {
    /// Reads Kafka's directory without its records. Topics in `skipped` are left out.
    pub fn open(from: &Path, skipped: &[String]) -> Result<Import, AdoptError> {
        let source = Source::open(from)?;
        let (mut image, metadata_end) = metadata::read(&source)?;
        let mut left_out = Vec::new();
        let known: BTreeSet<String> = partitions(&image).iter().map(PartitionDir::name).collect();
        let mut unknown = source.partition_dirs()?;
        unknown.retain(|name| !known.contains(name));
        let names: BTreeSet<String> = image.topics().iter().map(|topic| topic.name.clone()).collect();
        for topic in skipped {
            if !names.contains(topic) {
                return Err(AdoptError::NoTopic { topic: topic.clone() });
            }
            image.skip(topic);
            left_out.push(LeftOut { what: format!("topic {topic}"), why: "--skip".to_owned() });
        }
        if names.contains(SHARE_STATE) && !skipped.iter().any(|topic| topic == SHARE_STATE) {
            image.skip(SHARE_STATE);
            let why = "share groups are not served by this release".to_owned();
            left_out.push(LeftOut { what: format!("topic {SHARE_STATE}"), why });
        }
        let node = source.meta.node_id;
        for topic in image.topics() {
            if image.topic_config(&topic.name, "remote.storage.enable") == Some("true") {
                return Err(AdoptError::Remote { topic: topic.name.clone() });
            }
            for (index, partition) in &topic.partitions {
                if partition.replicas != [node] {
                    let (partition, replicas) = (format!("{}-{index}", topic.name), partition.replicas.clone());
                    return Err(AdoptError::SeveralNodes { partition, replicas, node });
                }
            }
        }
        let mut absent: Vec<String> = partitions(&image).iter().map(PartitionDir::name).collect();
        absent.retain(|name| !source.has(name));
        if let Some(partition) = absent.first().cloned() {
            let (others, dir, log_dirs) = (absent.len() - 1, source.root, image.log_dirs(node));
            return Err(match log_dirs {
                0 => AdoptError::Absent { partition, others, dir },
                1 => AdoptError::NoPartition { partition, others, dir },
                log_dirs => AdoptError::Elsewhere { partition, others, dir, log_dirs },
            });
        }
        Ok(Import { source, image, metadata_end, left_out, unknown })
    }

    pub fn meta(&self) -> &Meta {
        &self.source.meta
    }

    /// The bytes of all segments, which are as many as will be copied or a little more.
    pub fn bytes(&self) -> Result<u64, AdoptError> {
        let mut bytes = 0;
        for dir in partitions(&self.image) {
            let segments = self.source.segments(&self.source.partition(&dir.name(), dir.id.topic)?)?;
            bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
        }
        Ok(bytes)
    }

    /// Fills the directory `to`, which is new or empty, or was left by an import that was cut short. Producers that have to be
    /// forgotten by now are not carried over.
    pub fn run(mut self, to: &Path, forget: Forget, advance: &mut dyn FnMut(u64, u64)) -> Result<Report, AdoptError> {
        let to = &resolved(to);
        if is_inside(to, &self.source.root) {
            return Err(AdoptError::Inside { path: to.to_owned() });
        }
        let filling = Filling::take(to, &self.source.meta, &PARTS)?;
        self.check_room(to)?;
        // Opened before anything is written, so that it learns of every write that fails.
        let synced = fs::File::open(to).map_err(|e| AdoptError::write(to, e))?;
        let layout = Layout { root: to.to_owned() };
        for dir in [layout.partitions(), layout.checkpoints(), layout.journals(), layout.journal(0), layout.catalog()] {
            fs::create_dir(&dir).map_err(|e| AdoptError::write(&dir, e))?;
        }
        let mut epochs: BTreeMap<TopicId, i32> = BTreeMap::new();
        let mut topics: BTreeMap<TopicId, AdoptedTopic> = BTreeMap::new();
        for topic in self.image.topics() {
            let epoch = topic.partitions.values().map(|partition| partition.leader_epoch).max();
            epochs.insert(topic.id, epoch.unwrap_or(0));
            let (name, id, partitions) = (topic.name.clone(), topic.id, topic.partitions.len());
            topics.insert(id, AdoptedTopic { name, id, partitions, copied: Copied::default() });
        }
        let mut lines: Vec<PartitionCheckpoint> = Vec::new();
        for dir in partitions(&self.image) {
            let copied = topics.get_mut(&dir.id.topic).map(|topic| &mut topic.copied);
            let mut nowhere = Copied::default();
            let copied = copied.unwrap_or(&mut nowhere);
            let line = partition::copy(&self.source, &dir, &layout.partitions(), forget, copied, advance)?;
            let last = line.epochs.last().map_or(0, |entry| entry.epoch.0);
            epochs.entry(dir.id.topic).and_modify(|epoch| *epoch = last.max(*epoch));
            lines.push(line);
        }
        let Adopted { catalog, left_out } = self.image.catalog(self.source.meta.node_id, &epochs)?;
        self.left_out.extend(left_out);
        let run_id = u128::from_le_bytes(crate::launch::random());
        let files = adopted::files(&layout, run_id, &catalog, self.metadata_end, lines, forget.now_ms);
        for (path, content) in files.map_err(|e| AdoptError::Encode(e.to_string()))? {
            partition::store(&path, &content)?;
        }
        // Each by itself, thousands of small files would take minutes.
        rustix::fs::syncfs(&synced).map_err(|e| AdoptError::write(to, e.into()))?;
        filling.finish()?;
        let mut topics: Vec<AdoptedTopic> = topics.into_values().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let Source { meta, was_stopped, .. } = self.source;
        let log_dirs = self.image.log_dirs(meta.node_id);
        Ok(Report { meta, was_stopped, log_dirs, topics, left_out: self.left_out, unknown: self.unknown })
    }

    /// A full disk would be met only after a long time.
    fn check_room(&self, to: &Path) -> Result<(), AdoptError> {
        let needed = self.bytes()?;
        let told = rustix::fs::statvfs(to).map_err(|e| AdoptError::Read { path: to.to_owned(), source: e.into() })?;
        let free = told.f_bavail.saturating_mul(told.f_frsize);
        if free >= needed {
            return Ok(());
        }
        Err(AdoptError::NoRoom { path: to.to_owned(), free_mib: free >> 20, needed_mib: needed.div_ceil(1 << 20) })
    }
}

/// All partitions, by topic and index.
fn partitions(image: &Image) -> Vec<PartitionDir> {
    let of = |topic: &KafkaTopic| {
        let (id, name): (TopicId, Arc<str>) = (topic.id, topic.name.as_str().into());
        let dir = |index: &i32| PartitionDir { id: PartitionId { topic: id, index: *index }, topic_name: name.clone() };
        topic.partitions.keys().map(dir).collect::<Vec<PartitionDir>>()
    };
    image.topics().into_iter().flat_map(of).collect()
}

/// Where `path` is, or will be: what of it is not there yet will be plain directories, and `..` leaves one of those again.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut at = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            at.pop();
        } else {
            at.push(part);
        }
        at = fs::canonicalize(&at).unwrap_or(at);
    }
    at
}

/// Whether `path`, which is resolved, lies in `dir` or is it.
fn is_inside(path: &Path, dir: &Path) -> bool {
    fs::canonicalize(dir).is_ok_and(|dir| path.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_as_the_kernel_would_once_it_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = fs::canonicalize(dir.path()).expect("it is there");
        fs::create_dir_all(root.join("real/deep")).expect("made");
        std::os::unix::fs::symlink(root.join("real/deep"), root.join("link")).expect("made");
        for (path, wanted) in [
            ("new", "new"),
            ("new/../real/x", "real/x"),
            ("new/x/../../link/y", "real/deep/y"),
            ("link/../z", "real/z"),
            ("./new/./x", "new/x"),
        ] {
            assert_eq!(resolved(&root.join(path)), root.join(wanted), "{path}");
        }
        assert!(is_inside(&resolved(&root.join("new/../link/x")), &root.join("real")));
        assert!(!is_inside(&resolved(&root.join("real/../new")), &root.join("real")));
    }
}
