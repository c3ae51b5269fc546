//! CreateTopics: the checks of Kafka 4.3's controller, in its order. Shard 0 only.
//!
//! Invariant: the first check that fails names the error; a later item counts the partitions of the earlier ones.

use std::collections::BTreeMap;

use super::super::command::{CatalogError, CreatedTopic, NewTopic};
use super::super::name::{METADATA_TOPIC, check_topic_name, collision_key};
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::{PARTITIONS_PER_COMMAND_MAX, count_by, duplicate_name};
use crate::types::TopicId;

type Created = Result<CreatedTopic, CatalogError>;

impl Catalog {
    pub(super) fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
        fresh_ids: &[TopicId],
        records: &mut Vec<CatalogRecord>,
    ) -> Result<Vec<Created>, CatalogError> {
        if topics.iter().map(|topic| self.partitions_asked(topic)).sum::<u64>() > PARTITIONS_PER_COMMAND_MAX {
            let why = "Excessively large number of partitions per request.".to_owned();
            return Err(CatalogError::PolicyViolation { why });
        }
        if fresh_ids.len() < topics.len() {
            let why = format!("{} topic ids for {} topics", fresh_ids.len(), topics.len());
            return Err(CatalogError::Internal { why });
        }
        let names = count_by(topics, |topic| topic.name.as_str());
        let mut partitions = self.partition_count();
        let replies = topics.iter().zip(fresh_ids).map(|(topic, &id)| {
            if names.get(topic.name.as_str()).is_some_and(|&times| times > 1) {
                return Err(duplicate_name());
            }
            let created = self.check_new(topic, id, partitions)?;
            partitions += created.partitions.unsigned_abs() as u64;
            if !validate_only {
                records.extend(self.topic_records(&topic.name, &created));
            }
            Ok(created)
        });
        Ok(replies.collect())
    }

    /// How many partitions a topic counts for before it was checked.
    fn partitions_asked(&self, topic: &NewTopic) -> u64 {
        let count = match topic {
            NewTopic { assignments, .. } if !assignments.is_empty() => return assignments.len() as u64,
            NewTopic { partitions, .. } if *partitions < 0 => self.settings.num_partitions,
            NewTopic { partitions, .. } => *partitions,
        };
        u64::try_from(count).unwrap_or(0)
    }

    /// `partitions_before`: of all topics, those made by earlier items included.
    fn check_new(&self, topic: &NewTopic, id: TopicId, partitions_before: u64) -> Created {
        let name = &topic.name;
        if name == METADATA_TOPIC {
            let why = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
            return Err(CatalogError::InvalidRequest { why });
        }
        check_topic_name(name).map_err(|why| CatalogError::InvalidTopicName { why })?;
        if self.topic(name).is_some() {
            return Err(CatalogError::TopicExists { name: name.clone() });
        }
        // As Kafka: with a topic that is there, not with one that the same command makes.
        if let Some(existing) = collision_key(name).and_then(|key| self.collisions.get(&*key)?.first()) {
            return Err(CatalogError::TopicCollides { name: name.clone(), existing: existing.to_string() });
        }
        if id == TopicId::ZERO || self.topic_with_log(id).is_some() {
            return Err(CatalogError::Internal { why: format!("topic id {id} is taken") });
        }
        let overrides = new_overrides(&topic.configs)?;
        let config = if overrides.is_empty() {
            self.plain_config.clone()
        } else {
            self.topic_defaults.validate(&overrides)?.into()
        };
        let partitions = self.partitions_of(topic)?;
        self.check_room(partitions.unsigned_abs().into(), partitions_before)?;
        Ok(CreatedTopic { id, partitions, replication_factor: 1, overrides, config })
    }

    /// The number of partitions of a new topic, from its assignments, its count or the default.
    fn partitions_of(&self, topic: &NewTopic) -> Result<i32, CatalogError> {
        if topic.assignments.is_empty() {
            self.partitions_by_count(topic)
        } else {
            self.partitions_by_assignment(topic)
        }
    }

    fn partitions_by_count(&self, topic: &NewTopic) -> Result<i32, CatalogError> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let why = "Replication factor must be larger than 0, or -1 to use the default value.".to_owned();
            return Err(CatalogError::InvalidReplicationFactor { why });
        }
        if topic.partitions < -1 || topic.partitions == 0 {
            let why = "Number of partitions was set to an invalid non-positive value.".to_owned();
            return Err(CatalogError::InvalidPartitions { why });
        }
        let factor = if topic.replication_factor == -1 {
            self.settings.default_replication_factor
        } else {
            topic.replication_factor
        };
        if factor != 1 {
            let why = format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be \
                 reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
            );
            return Err(CatalogError::InvalidReplicationFactor { why });
        }
        Ok(if topic.partitions == -1 { self.settings.num_partitions } else { topic.partitions })
    }

    fn partitions_by_assignment(&self, topic: &NewTopic) -> Result<i32, CatalogError> {
        let contradiction = |what| {
            let why = format!("A manual partition assignment was specified, but {what} was not set to -1.");
            Err(CatalogError::InvalidRequest { why })
        };
        if topic.replication_factor != -1 {
            return contradiction("replication factor");
        }
        if topic.partitions != -1 {
            return contradiction("numPartitions");
        }
        let mut indexes = BTreeMap::new();
        for (index, brokers) in &topic.assignments {
            if indexes.insert(*index, ()).is_some() {
                let why = format!("Found multiple manual partition assignments for partition {index}");
                return Err(CatalogError::InvalidReplicaAssignment { why });
            }
            self.check_replicas(brokers)?;
        }
        if !indexes.keys().copied().eq(0..indexes.len() as i32) {
            let why = "partitions should be a consecutive 0-based integer sequence".to_owned();
            return Err(CatalogError::InvalidReplicaAssignment { why });
        }
        Ok(indexes.len() as i32)
    }

    fn topic_records(&self, name: &str, created: &CreatedTopic) -> impl Iterator<Item = CatalogRecord> {
        let head = CatalogRecord::Topic { name: name.to_owned(), id: created.id };
        let configs = created.overrides.iter().map(|(key, value)| CatalogRecord::TopicConfig {
            topic: name.to_owned(),
            key: key.clone(),
            value: Some(value.clone()),
        });
        let partitions = self.partition_records(created.id, 0, created.partitions, 0);
        std::iter::once(head).chain(configs).chain(partitions)
    }
}

/// A new topic has nothing that null could remove.
fn new_overrides(configs: &BTreeMap<String, Option<String>>) -> Result<BTreeMap<String, String>, CatalogError> {
    let nulls: Vec<&str> = configs.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
    if nulls.is_empty() {
        return Ok(configs.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect());
    }
    let keys = nulls.join(",");
    Err(super::super::config::ConfigError::Null { keys }.into())
}
