//! The applied state of the metadata log and the ways to read it. Each core has its own copy.
//!
//! Invariant: `topics`, `ids` and `sorted` name the same topics; `partitions` is the sum of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

use super::config::{CleanerChanges, GroupConfig, GroupDefaults, TopicConfig, TopicDefaults, connection_limits};
use super::name::METADATA_TOPIC;
use super::record::Registration;
use super::topic::{PartitionView, Topic};
use crate::types::{ConnectionLimits, LeaderEpoch, PartitionId, TopicId};

/// What the catalog is told at start and keeps for the run.
#[derive(Debug, Clone)]
pub struct CatalogSettings {
    pub cluster_id: String,
    pub node_id: i32,
    /// `num.partitions`: for a topic that does not say.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `partitions.max`: partitions of the whole broker.
    pub partitions_max: u64,
    /// Of the configuration at the start; what was changed since is in [`Catalog::topic_defaults`].
    pub topic_defaults: TopicDefaults,
    pub group_defaults: GroupDefaults,
}

impl CatalogSettings {
    /// Kafka's defaults for one node.
    pub fn new(cluster_id: impl Into<String>, node_id: i32) -> CatalogSettings {
        CatalogSettings {
            cluster_id: cluster_id.into(),
            node_id,
            num_partitions: 1,
            default_replication_factor: 1,
            partitions_max: 100_000,
            topic_defaults: TopicDefaults::default(),
            group_defaults: GroupDefaults::default(),
        }
    }
}

/// The applied state of the metadata log.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(super) settings: Arc<CatalogSettings>,
    /// What topics have that say nothing themselves, dynamic settings included.
    pub(super) topic_defaults: Arc<TopicDefaults>,
    /// In force, dynamic settings included.
    pub(super) connections: ConnectionLimits,
    pub(super) cleaner: CleanerChanges,
    /// What a topic without overrides uses.
    pub(super) plain_config: Arc<TopicConfig>,
    pub(super) replicas: [i32; 1],
    pub(super) registration: Option<Registration>,
    pub(super) features: BTreeMap<String, i16>,
    pub(super) next_producer_id: i64,
    pub(super) topics: HashMap<TopicId, Topic>,
    pub(super) ids: HashMap<Arc<str>, TopicId>,
    pub(super) sorted: BTreeMap<Arc<str>, TopicId>,
    /// Collision key → the topics that have it: more than one only if one command made them.
    pub(super) collisions: HashMap<Box<str>, BTreeSet<Arc<str>>>,
    /// Groups that have configs of their own; whether they exist is not known here.
    pub(super) groups: BTreeMap<Arc<str>, GroupOverrides>,
    /// Subscriptions of client metrics that have configs of their own: all that there are.
    pub(super) metrics: BTreeMap<Arc<str>, BTreeMap<String, String>>,
    pub(super) partitions: u64,
    pub(super) topic_changes: u64,
    metadata: Topic,
}

/// What is set for a group, and what is in force with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupOverrides {
    pub overrides: BTreeMap<String, String>,
    pub config: GroupConfig,
}

impl Catalog {
    /// An empty metadata log.
    pub fn new(settings: CatalogSettings) -> Catalog {
        let topic_defaults = Arc::new(settings.topic_defaults.clone());
        let plain_config = Arc::new(topic_defaults.config().clone());
        let metadata = Topic {
            id: TopicId::METADATA,
            name: METADATA_TOPIC.into(),
            partitions: 1,
            overrides: BTreeMap::new(),
            config: Arc::new(settings.topic_defaults.metadata_config()),
            made_in_run: 0,
        };
        let connections = connection_limits(topic_defaults.layers());
        Catalog {
            connections: connections.unwrap_or_else(|e| unreachable!("the settings of the start were checked: {e}")),
            cleaner: CleanerChanges::default(),
            replicas: [settings.node_id],
            settings: Arc::new(settings),
            topic_defaults,
            plain_config,
            registration: None,
            features: BTreeMap::new(),
            next_producer_id: 0,
            topics: HashMap::new(),
            ids: HashMap::new(),
            sorted: BTreeMap::new(),
            collisions: HashMap::new(),
            groups: BTreeMap::new(),
            metrics: BTreeMap::new(),
            partitions: 0,
            topic_changes: 0,
            metadata,
        }
    }

    pub fn cluster_id(&self) -> &str {
        &self.settings.cluster_id
    }

    pub fn node_id(&self) -> i32 {
        self.settings.node_id
    }

    pub fn settings(&self) -> &CatalogSettings {
        &self.settings
    }

    /// How many connections this broker may have.
    pub fn connections(&self) -> &ConnectionLimits {
        &self.connections
    }

    /// What of compaction is not as it was at the start.
    pub fn cleaner(&self) -> CleanerChanges {
        self.cleaner
    }

    /// The broker's defaults for topics as they are now.
    pub fn topic_defaults(&self) -> &TopicDefaults {
        &self.topic_defaults
    }

    /// The number of the last run that was started; 0 before the first.
    pub fn run(&self) -> u32 {
        self.registration.as_ref().map_or(0, |r| r.run)
    }

    /// What the broker said of itself at the last start.
    pub fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// Finalized level of a feature.
    pub fn feature(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }

    /// A topic that clients may see. The metadata log is not among them.
    #[inline]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.ids.get(name)?)
    }

    /// As [`Catalog::topic`], by id.
    #[inline]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// The metadata log itself: one partition, led by shard 0, always synced before the ack, never cut.
    pub fn metadata_topic(&self) -> &Topic {
        &self.metadata
    }

    /// Whatever has a log here, the metadata log included: for the shards, never for requests.
    pub fn topic_with_log(&self, id: TopicId) -> Option<&Topic> {
        if id == TopicId::METADATA { Some(&self.metadata) } else { self.topics.get(&id) }
    }

    /// All topics that clients may see, sorted by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.sorted.values().filter_map(|id| self.topics.get(id))
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Partitions of all topics, without the metadata log's.
    pub fn partition_count(&self) -> u64 {
        self.partitions
    }

    /// Grows whenever a topic or a partition comes or goes; says nothing across starts.
    pub fn topic_changes(&self) -> u64 {
        self.topic_changes
    }

    /// What is in force for a consumer group.
    pub fn group_config(&self, group: &str) -> GroupConfig {
        self.groups.get(group).map_or_else(|| self.settings.group_defaults.config(), |known| known.config)
    }

    /// What is set for a group itself; `None`: nothing.
    pub fn group_overrides(&self, group: &str) -> Option<&BTreeMap<String, String>> {
        self.groups.get(group).map(|known| &known.overrides)
    }

    /// The groups that have configs of their own, sorted by name.
    pub fn groups_with_configs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// What is set for a subscription of client metrics; `None`: there is no such one.
    pub fn metrics_overrides(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.metrics.get(name)
    }

    /// The subscriptions of client metrics, sorted by name.
    pub fn metrics_with_configs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.metrics.keys()
    }

    /// Runs started since the topic was made: 0 for a new one.
    #[inline]
    pub fn leader_epoch(&self, topic: &Topic) -> LeaderEpoch {
        LeaderEpoch(i32::try_from(self.run().saturating_sub(topic.made_in_run)).unwrap_or(i32::MAX))
    }

    /// `None` when the topic has no such partition.
    pub fn partition<'a>(&'a self, topic: &Topic, index: i32) -> Option<PartitionView<'a>> {
        let id: PartitionId = topic.partition(index)?;
        Some(PartitionView {
            id,
            leader: self.settings.node_id,
            leader_epoch: self.leader_epoch(topic),
            replicas: &self.replicas,
            isr: &self.replicas,
        })
    }
}

/// The same topics, configs, ids and runs, for tests that compare a replayed state with a live one.
impl PartialEq for Catalog {
    fn eq(&self, other: &Catalog) -> bool {
        self.registration == other.registration
            && self.features == other.features
            && self.topic_defaults.layers() == other.topic_defaults.layers()
            && self.next_producer_id == other.next_producer_id
            && self.topics == other.topics
            && self.ids == other.ids
            && self.sorted == other.sorted
            && self.collisions == other.collisions
            && self.groups == other.groups
            && self.metrics == other.metrics
            && self.partitions == other.partitions
    }
}
