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
use std::path::{Path, PathBuf};

use shards::catalog::kafka::{Adopted, Image, ImageError, LeftOut};
use shards::journal::checkpoint::PartitionCheckpoint;
use shards::log::PartitionDir;
use shards::shard::adopted::{self, Unfit};
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
    #[error("{} cannot be read: {source}", path.display())]
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
        "partition {partition} is not in {}: Kafka keeps it in another of its log.dirs. Let Kafka move all partitions into \
         one (kafka-reassign-partitions.sh), or leave its topic out with --skip", dir.display()
    )]
    NoPartition { partition: String, dir: PathBuf },
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

fn told(place: &Option<(u64, i64)>) -> String {
    place.map_or_else(String::new, |(position, offset)| format!(", byte {position}, offset {offset}"))
}

/// How to go on without the topic whose partition has this path, or holds it.
fn skip(path: &Path) -> String {
    let dir = if path.extension().is_some_and(|ending| ending == "log") { path.parent() } else { Some(path) };
    let name = dir.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let topic = name.rsplit_once('-').map_or(name.as_str(), |(topic, _)| topic);
    format!("Leave the topic out with --skip {topic}, or import it when such records are deleted")
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
        matches!(self, AdoptError::Damaged { .. } | AdoptError::Unfinished { .. } | AdoptError::OtherTopic { .. })
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
    pub topics: Vec<AdoptedTopic>,
    pub left_out: Vec<LeftOut>,
}

/// Kafka's directory, read so far that it is known what there is to copy.
pub struct Import {
    source: Source,
    image: Image,
    metadata_end: Offset,
    left_out: Vec<LeftOut>,
}

impl Import {
    /// Reads Kafka's directory without its records. Topics in `skipped` are left out.
    pub fn open(from: &Path, skipped: &[String]) -> Result<Import, AdoptError> {
        let source = Source::open(from)?;
        let (mut image, metadata_end) = metadata::read(&source)?;
        let mut left_out = Vec::new();
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
        Ok(Import { source, image, metadata_end, left_out })
    }

    pub fn meta(&self) -> &Meta {
        &self.source.meta
    }

    /// The bytes of all segments, which are as many as will be copied or a little more.
    pub fn bytes(&self) -> Result<u64, AdoptError> {
        let mut bytes = 0;
        for dir in self.partitions() {
            let segments = self.source.segments(&self.source.partition(&dir.name(), dir.id.topic)?)?;
            bytes += segments.iter().map(|segment| segment.bytes).sum::<u64>();
        }
        Ok(bytes)
    }

    /// All partitions, by topic and index.
    fn partitions(&self) -> Vec<PartitionDir> {
        let of = |topic: &shards::catalog::kafka::KafkaTopic| {
            let (id, name) = (topic.id, topic.name.as_str().into());
            let dir = |index: &i32| PartitionDir {
                id: PartitionId { topic: id, index: *index },
                topic_name: Clone::clone(&name),
            };
            topic.partitions.keys().map(dir).collect::<Vec<PartitionDir>>()
        };
        self.image.topics().into_iter().flat_map(of).collect()
    }

    /// Fills the directory `to`, which is new or empty, or was left by an import that was cut short.
    pub fn run(mut self, to: &Path, now_ms: i64, advance: &mut dyn FnMut(u64, u64)) -> Result<Report, AdoptError> {
        if is_inside(to, &self.source.root) {
            return Err(AdoptError::Inside { path: to.to_owned() });
        }
        let filling = Filling::take(to, &self.source.meta, &PARTS)?;
        self.check_room(to)?;
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
        for dir in self.partitions() {
            let copied = topics.get_mut(&dir.id.topic).map(|topic| &mut topic.copied);
            let mut nowhere = Copied::default();
            let copied = copied.unwrap_or(&mut nowhere);
            let line = partition::copy(&self.source, &dir, &layout.partitions(), copied, advance)?;
            let last = line.epochs.last().map_or(0, |entry| entry.epoch.0);
            epochs.entry(dir.id.topic).and_modify(|epoch| *epoch = last.max(*epoch));
            lines.push(line);
        }
        partition::sync_dir(&layout.partitions())?;
        let Adopted { catalog, left_out } = self.image.catalog(self.source.meta.node_id, &epochs)?;
        self.left_out.extend(left_out);
        let run_id = u128::from_le_bytes(crate::launch::random());
        let files = adopted::files(&layout, run_id, &catalog, self.metadata_end, lines, now_ms);
        for (path, content) in files.map_err(|e| AdoptError::Encode(e.to_string()))? {
            partition::store(&path, &content)?;
        }
        for dir in [layout.checkpoints(), layout.journals(), layout.journal(0), layout.catalog(), layout.root] {
            partition::sync_dir(&dir)?;
        }
        filling.finish()?;
        let mut topics: Vec<AdoptedTopic> = topics.into_values().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let Source { meta, was_stopped, .. } = self.source;
        Ok(Report { meta, was_stopped, topics, left_out: self.left_out })
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

/// Whether `path`, or the directory that it would be made in, lies in `dir` or is it.
fn is_inside(path: &Path, dir: &Path) -> bool {
    let Ok(dir) = fs::canonicalize(dir) else { return false };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find_map(|above| fs::canonicalize(above).ok()).is_some_and(|above| above.starts_with(dir))
}
