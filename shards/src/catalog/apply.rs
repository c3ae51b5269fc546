//! How a record changes the catalog: the same code live and at start. Every core.
//!
//! Invariant: an error means that the metadata log is damaged, or was written by a broker that knows more than this one;
//! nothing may be served from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::Catalog;
use super::config::{ConfigError, cleaner_changes, connection_limits, group_key, metrics_key};
use super::name::collision_key;
use super::record::{CatalogRecord, Registration};
use super::state::GroupOverrides;
use super::topic::Topic;
use crate::types::TopicId;

/// Why a record cannot follow what was applied before it.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ApplyError {
    #[error("topic {name} ({id}) is made twice")]
    TopicTwice { name: String, id: TopicId },
    #[error("a record speaks of topic {topic}, which there is not")]
    UnknownTopic { topic: String },
    #[error("topic {topic}: partition {index} follows {partitions} partitions")]
    PartitionOrder { topic: String, index: i32, partitions: i32 },
    #[error("topic {topic}: leader epoch {got} in run {run}, {partitions} partitions say {expected}")]
    LeaderEpoch { topic: String, got: i32, run: u32, partitions: i32, expected: i32 },
    #[error("topic {topic}: replicas {replicas:?}, and this is node {node_id} alone")]
    Replicas { topic: String, replicas: Vec<i32>, node_id: i32 },
    #[error("broker {broker} registers, and this is node {node_id}")]
    Broker { broker: i32, node_id: i32 },
    #[error("run {run} starts after run {last}")]
    RunOrder { run: u32, last: u32 },
    #[error("producer ids up to {next} are taken after those up to {last}")]
    ProducerIdOrder { next: i64, last: i64 },
    #[error("topic {topic}: {error}")]
    Config { topic: String, error: ConfigError },
    #[error("group {group}: {error}")]
    GroupConfig { group: String, error: ConfigError },
    #[error("client metrics {name}: {error}")]
    MetricsConfig { name: String, error: ConfigError },
    #[error("a dynamic setting of the broker: {error}")]
    BrokerConfig { error: ConfigError },
}

impl Catalog {
    /// Applies one record. After an error the state is as before.
    pub fn apply(&mut self, record: &CatalogRecord) -> Result<(), ApplyError> {
        if let CatalogRecord::Topic { .. } | CatalogRecord::Partition { .. } | CatalogRecord::RemoveTopic { .. } =
            record
        {
            self.topic_changes += 1;
        }
        match record {
            CatalogRecord::Topic { name, id } => self.add_topic(name, *id),
            CatalogRecord::Partition { topic, index, replicas, leader_epoch } => {
                self.add_partition(*topic, *index, replicas, *leader_epoch)
            }
            CatalogRecord::RemoveTopic { id } => self.remove_topic(*id),
            CatalogRecord::TopicConfig { topic, key, value } => self.set_config(topic, key, value.as_deref()),
            CatalogRecord::GroupConfig { group, key, value } => self.set_group_config(group, key, value.as_deref()),
            CatalogRecord::MetricsConfig { name, key, value } => self.set_metrics_config(name, key, value.as_deref()),
            CatalogRecord::BrokerConfig { broker, key, value } => {
                self.set_broker_config(*broker, key, value.as_deref())
            }
            CatalogRecord::ProducerIds { broker, run: _, next } => self.take_producer_ids(*broker, *next),
            CatalogRecord::RegisterBroker(registration) => self.register(registration),
            CatalogRecord::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
                Ok(())
            }
        }
    }

    fn add_topic(&mut self, name: &str, id: TopicId) -> Result<(), ApplyError> {
        let taken = id == TopicId::ZERO || id == TopicId::METADATA || self.topics.contains_key(&id);
        if taken || self.ids.contains_key(name) {
            return Err(ApplyError::TopicTwice { name: name.to_owned(), id });
        }
        let name: Arc<str> = name.into();
        if let Some(key) = collision_key(&name) {
            self.collisions.entry(key.into()).or_default().insert(name.clone());
        }
        self.ids.insert(name.clone(), id);
        self.sorted.insert(name.clone(), id);
        let topic = Topic {
            id,
            name,
            partitions: 0,
            overrides: BTreeMap::new(),
            config: self.plain_config.clone(),
            made_in_run: self.run(),
        };
        self.topics.insert(id, topic);
        Ok(())
    }

    fn add_partition(
        &mut self,
        id: TopicId,
        index: i32,
        replicas: &[i32],
        leader_epoch: i32,
    ) -> Result<(), ApplyError> {
        let (run, node_id) = (self.run(), self.settings.node_id);
        let topic = self.topics.get_mut(&id).ok_or_else(|| ApplyError::UnknownTopic { topic: id.to_string() })?;
        if index != topic.partitions {
            return Err(ApplyError::PartitionOrder {
                topic: topic.name.to_string(),
                index,
                partitions: topic.partitions,
            });
        }
        if replicas != [node_id] {
            return Err(ApplyError::Replicas { topic: topic.name.to_string(), replicas: replicas.to_vec(), node_id });
        }
        // A snapshot makes the topic anew: its first partition tells the run that it is from.
        let made_in_run = u32::try_from(leader_epoch).ok().and_then(|epoch| run.checked_sub(epoch));
        match made_in_run {
            Some(made) if index == 0 || made == topic.made_in_run => topic.made_in_run = made,
            _ => {
                return Err(ApplyError::LeaderEpoch {
                    topic: topic.name.to_string(),
                    got: leader_epoch,
                    run,
                    partitions: topic.partitions,
                    expected: i32::try_from(run.saturating_sub(topic.made_in_run)).unwrap_or(i32::MAX),
                });
            }
        }
        topic.partitions += 1;
        self.partitions += 1;
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ApplyError> {
        let topic = self.topics.remove(&id).ok_or_else(|| ApplyError::UnknownTopic { topic: id.to_string() })?;
        self.ids.remove(&topic.name);
        self.sorted.remove(&topic.name);
        if let Some(key) = collision_key(&topic.name)
            && let Some(names) = self.collisions.get_mut(key.as_ref())
        {
            names.remove(&topic.name);
            if names.is_empty() {
                self.collisions.remove(key.as_ref());
            }
        }
        self.partitions -= u64::try_from(topic.partitions).unwrap_or(0);
        Ok(())
    }

    fn set_config(&mut self, name: &str, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        let topic = self.ids.get(name).and_then(|id| self.topics.get_mut(id));
        let topic = topic.ok_or_else(|| ApplyError::UnknownTopic { topic: name.to_owned() })?;
        let mut overrides = topic.overrides.clone();
        match value {
            Some(value) => overrides.insert(key.to_owned(), value.to_owned()),
            None => overrides.remove(key),
        };
        topic.config = if overrides.is_empty() {
            self.plain_config.clone()
        } else {
            // Only what each value must be by itself: the records of one change pass through states that, together,
            // `decide` would not let stand.
            let config = self.topic_defaults.with(&overrides);
            Arc::new(config.map_err(|error| ApplyError::Config { topic: name.to_owned(), error })?)
        };
        topic.overrides = overrides;
        Ok(())
    }

    /// Only what the value must be by itself: the bounds are the broker's of today.
    fn set_group_config(&mut self, group: &str, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        let damaged = |error| ApplyError::GroupConfig { group: group.to_owned(), error };
        let known = group_key(key).ok_or_else(|| damaged(ConfigError::UnknownOfGroup { key: key.to_owned() }))?;
        let mut overrides = self.group_overrides(group).cloned().unwrap_or_default();
        match value {
            Some(value) => {
                known.key.parse(value).map_err(damaged)?;
                overrides.insert(key.to_owned(), value.to_owned());
            }
            None => drop(overrides.remove(key)),
        }
        if overrides.is_empty() {
            self.groups.remove(group);
        } else {
            let config = self.settings.group_defaults.with(&overrides);
            self.groups.insert(group.into(), GroupOverrides { overrides, config });
        }
        Ok(())
    }

    fn set_metrics_config(&mut self, name: &str, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        let damaged = |error| ApplyError::MetricsConfig { name: name.to_owned(), error };
        let known = metrics_key(key).ok_or_else(|| damaged(ConfigError::UnknownOfMetrics { key: key.to_owned() }))?;
        let mut overrides = self.metrics_overrides(name).cloned().unwrap_or_default();
        match value {
            Some(value) => {
                known.parse(value).map_err(damaged)?;
                overrides.insert(key.to_owned(), value.to_owned());
            }
            None => drop(overrides.remove(key)),
        }
        if overrides.is_empty() {
            self.metrics.remove(name);
        } else {
            self.metrics.insert(name.into(), overrides);
        }
        Ok(())
    }

    /// Topics follow at once: what they do not override comes from the broker's settings.
    fn set_broker_config(&mut self, broker: Option<i32>, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        if let Some(broker) = broker {
            self.own(broker)?;
        }
        let defaults = self.topic_defaults.changed(broker.is_none(), key, value);
        let defaults = Arc::new(defaults.map_err(|error| ApplyError::BrokerConfig { error })?);
        let plain = Arc::new(defaults.config().clone());
        for topic in self.topics.values_mut() {
            topic.config = if topic.overrides.is_empty() {
                plain.clone()
            } else {
                // Each value passed when it was set, and none is checked against another here.
                let config = defaults.with(&topic.overrides);
                Arc::new(config.map_err(|error| ApplyError::Config { topic: topic.name.to_string(), error })?)
            };
        }
        let connections = connection_limits(defaults.layers());
        self.connections = connections.map_err(|error| ApplyError::BrokerConfig { error })?;
        self.cleaner = cleaner_changes(defaults.layers()).map_err(|error| ApplyError::BrokerConfig { error })?;
        self.topic_defaults = defaults;
        self.plain_config = plain;
        Ok(())
    }

    fn take_producer_ids(&mut self, broker: i32, next: i64) -> Result<(), ApplyError> {
        self.own(broker)?;
        if next < self.next_producer_id {
            return Err(ApplyError::ProducerIdOrder { next, last: self.next_producer_id });
        }
        self.next_producer_id = next;
        Ok(())
    }

    fn register(&mut self, registration: &Registration) -> Result<(), ApplyError> {
        self.own(registration.broker)?;
        if registration.run <= self.run() {
            return Err(ApplyError::RunOrder { run: registration.run, last: self.run() });
        }
        self.registration = Some(registration.clone());
        Ok(())
    }

    fn own(&self, broker: i32) -> Result<(), ApplyError> {
        let node_id = self.settings.node_id;
        if broker == node_id { Ok(()) } else { Err(ApplyError::Broker { broker, node_id }) }
    }
}
