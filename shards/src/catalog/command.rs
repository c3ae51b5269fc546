//! What can be asked of the catalog and what it answers. Crosses cores as plain values.
//!
//! Invariant: a reply with several items has them in the order asked, one each.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::config::{ConfigError, TopicConfig};
use super::record::Endpoint;
use crate::types::{ProducerId, TopicId};

/// A change that someone asks for. All items of a command become one journal commit.
#[derive(Debug, Clone)]
pub enum CatalogCommand {
    /// Runs every check and changes nothing when `validate_only`.
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    DeleteTopics {
        topics: Vec<TopicRef>,
    },
    CreatePartitions {
        topics: Vec<MorePartitions>,
        validate_only: bool,
    },
    AlterConfigs {
        changes: Vec<ConfigChange>,
        validate_only: bool,
    },
    /// The next block of producer ids, for one core to hand out.
    AllocateProducerIds,
    /// Once at every start, before the broker listens: the leader epoch of every partition grows by one.
    StartRun {
        incarnation: [u8; 16],
        endpoints: Vec<Endpoint>,
        rack: Option<String>,
    },
}

impl CatalogCommand {
    /// How many topic ids [`Catalog::decide`](super::Catalog::decide) may use up.
    pub fn fresh_ids_needed(&self) -> usize {
        match self {
            CatalogCommand::CreateTopics { topics, .. } => topics.len(),
            _ => 0,
        }
    }
}

/// A topic to make, as CreateTopics and auto-creation ask for it.
#[derive(Debug, Clone)]
pub struct NewTopic {
    pub name: String,
    /// -1: `num.partitions`.
    pub partitions: i32,
    /// -1: `default.replication.factor`.
    pub replication_factor: i16,
    /// Partition index and its brokers; empty when the broker chooses.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// A null value is an error for a new topic, as in Kafka.
    pub configs: BTreeMap<String, Option<String>>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn named(name: impl Into<String>) -> NewTopic {
        NewTopic {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// `count` is the new total. `assignments`: the brokers of each added partition; `None` when the broker chooses.
#[derive(Debug, Clone)]
pub struct MorePartitions {
    pub name: String,
    pub count: i32,
    pub assignments: Option<Vec<Vec<i32>>>,
}

#[derive(Debug, Clone)]
pub struct ConfigChange {
    pub resource: ConfigResource,
    pub edit: ConfigEdit,
}

/// What configs belong to, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigResource {
    pub kind: ResourceKind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    Topic,
    /// Named by its number; the empty name is all brokers of the cluster.
    Broker,
    /// The log levels of a broker.
    BrokerLogger,
    /// A group, whether it exists or not.
    Group,
    /// A subscription of client metrics.
    Metrics,
    /// By its number: what has no configs here.
    Other(i8),
}

#[derive(Debug, Clone)]
pub enum ConfigEdit {
    /// What is not named loses its override (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
    /// What is not named stays (IncrementalAlterConfigs, KIP-339).
    Incremental(Vec<(String, ConfigOp, Option<String>)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    Set,
    Delete,
    Append,
    Subtract,
    /// By its number: none that there is.
    Unknown(i8),
}

/// What was done, once it is synced and applied on every core; or checked, for `validate_only`. A name that was asked
/// for twice is answered twice, where Kafka answers it once.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogReply {
    TopicsCreated(Vec<Result<CreatedTopic, CatalogError>>),
    TopicsDeleted(Vec<Result<DeletedTopic, CatalogError>>),
    PartitionsCreated(Vec<Result<(), CatalogError>>),
    ConfigsAltered(Vec<Result<(), CatalogError>>),
    ProducerIds(ProducerIdBlock),
    RunStarted { run: u32 },
}

/// A topic as it was made; for `validate_only`, as it would have been (with an id that is not kept).
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub overrides: BTreeMap<String, String>,
    pub config: Arc<TopicConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    pub id: TopicId,
    pub name: Arc<str>,
}

/// `count` producer ids from `first` on, never given to anyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub count: i64,
}

/// Why an item, or a whole command, is refused. The text is Kafka's message where Kafka has one, for the client's eyes;
/// the number in brackets is the error code that Kafka 4.3 gives.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CatalogError {
    /// (36)
    #[error("Topic '{name}' already exists.")]
    TopicExists { name: String },
    /// (17)
    #[error("{why}")]
    InvalidTopicName { why: String },
    /// (17)
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    TopicCollides { name: String, existing: String },
    /// A name, an id or a config key twice in one command, or what contradicts itself (42).
    #[error("{why}")]
    InvalidRequest { why: String },
    /// (37)
    #[error("{why}")]
    InvalidPartitions { why: String },
    /// (38)
    #[error("{why}")]
    InvalidReplicationFactor { why: String },
    /// (39)
    #[error("{why}")]
    InvalidReplicaAssignment { why: String },
    /// (40)
    #[error(transparent)]
    InvalidConfig(#[from] ConfigError),
    /// (3). The text is that of AlterConfigs; DeleteTopics says "This server does not host this topic-partition.", and
    /// CreatePartitions nothing.
    #[error("The topic '{name}' does not exist.")]
    UnknownTopic { name: String },
    /// (100)
    #[error("This server does not host this topic ID.")]
    UnknownTopicId { id: TopicId },
    /// (44)
    #[error("{why}")]
    PolicyViolation { why: String },
    /// The broker's own limit, `partitions.max` (44).
    #[error("{asked} partitions asked, {there} there: this broker serves at most {max} (partitions.max)")]
    TooManyPartitions { asked: u64, there: u64, max: u64 },
    /// (-1)
    #[error("no producer ids are left")]
    ProducerIdsExhausted,
    /// The broker goes down; ask again later, elsewhere or here.
    #[error("the broker is stopping")]
    Stopping,
    /// The metadata log took nothing, as on a full or failed disk; ask again later (56).
    #[error("cannot write the metadata log: {why}")]
    NotStored { why: String },
    /// Kafka trips over such a request, and says no more than that (-1).
    #[error("config operation {op} is unknown")]
    UnknownConfigOp { op: i8 },
    /// A broken promise of ours, not of the peer (-1).
    #[error("internal error: {why}")]
    Internal { why: String },
}
