//! What the records of Kafka's metadata log come to, and the catalog of this broker that says the same. Pure.
//!
//! Invariant: the catalog has the topics that the image has, each with its id and all of its partitions, or there is none.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::record::KafkaRecord;
use crate::catalog::name::check_topic_name;
use crate::catalog::record::{CatalogRecord, Registration};
use crate::catalog::state::{Catalog, CatalogSettings};
use crate::catalog::{ApplyError, METADATA_TOPIC};
use crate::types::TopicId;

/// Why a catalog cannot be made.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ImageError {
    #[error("a record speaks of topic {topic}, which there is not")]
    UnknownTopic { topic: TopicId },
    #[error("a record speaks of partition {index} of topic {topic}, which there is not")]
    UnknownPartition { topic: String, index: i32 },
    #[error("topic {topic} lacks partition {index}")]
    Gap { topic: String, index: i32 },
    #[error("{why}")]
    Name { why: String },
    #[error("a metadata transaction ends that has not begun")]
    NotBegun,
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Kafka's metadata at one offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    topics: BTreeMap<TopicId, KafkaTopic>,
    /// As the last record has it; none for what was unset.
    configs: BTreeMap<(Owner, String), String>,
    /// With how many log.dirs each has said to have.
    brokers: BTreeMap<i32, usize>,
    next_producer_id: i64,
    left_out: BTreeSet<&'static str>,
    /// Of a metadata transaction that has not ended.
    pending: Option<Vec<KafkaRecord>>,
}

/// Whose a config is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Broker(Option<i32>),
    Group(String),
    Metrics(String),
    Topic(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTopic {
    pub id: TopicId,
    pub name: String,
    pub partitions: BTreeMap<i32, KafkaPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaPartition {
    pub replicas: Vec<i32>,
    pub leader_epoch: i32,
}

/// Something that Kafka had and the catalog has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub what: String,
    pub why: String,
}

/// The catalog that was made.
#[derive(Debug)]
pub struct Adopted {
    pub catalog: Catalog,
    pub left_out: Vec<LeftOut>,
}

impl Image {
    /// Applies one record, in the order of the log.
    pub fn apply(&mut self, record: KafkaRecord) -> Result<(), ImageError> {
        match record {
            KafkaRecord::BeginTransaction => self.pending = Some(Vec::new()),
            KafkaRecord::AbortTransaction => drop(self.pending.take().ok_or(ImageError::NotBegun)?),
            KafkaRecord::EndTransaction => {
                for record in self.pending.take().ok_or(ImageError::NotBegun)? {
                    self.apply_now(record)?;
                }
            }
            record => match &mut self.pending {
                Some(pending) => pending.push(record),
                None => self.apply_now(record)?,
            },
        }
        Ok(())
    }

    fn apply_now(&mut self, record: KafkaRecord) -> Result<(), ImageError> {
        match record {
            KafkaRecord::Same(CatalogRecord::Topic { name, id }) => {
                check_topic_name(&name).map_err(|why| ImageError::Name { why })?;
                self.topics.insert(id, KafkaTopic { id, name, partitions: BTreeMap::new() });
            }
            KafkaRecord::Same(CatalogRecord::TopicConfig { topic, key, value }) => {
                self.configure(Owner::Topic(topic), key, value);
            }
            KafkaRecord::Same(CatalogRecord::GroupConfig { group, key, value }) => {
                self.configure(Owner::Group(group), key, value);
            }
            KafkaRecord::Same(CatalogRecord::BrokerConfig { broker, key, value }) => {
                self.configure(Owner::Broker(broker), key, value);
            }
            KafkaRecord::Same(CatalogRecord::MetricsConfig { name, key, value }) => {
                self.configure(Owner::Metrics(name), key, value);
            }
            KafkaRecord::RegisterBroker { broker, log_dirs } => drop(self.brokers.insert(broker, log_dirs)),
            KafkaRecord::UnregisterBroker { broker } => drop(self.brokers.remove(&broker)),
            KafkaRecord::Partition { topic, index, replicas, leader_epoch } => {
                let topic = self.topics.get_mut(&topic).ok_or(ImageError::UnknownTopic { topic })?;
                topic.partitions.insert(index, KafkaPartition { replicas, leader_epoch });
            }
            KafkaRecord::PartitionChange { topic, index, replicas, elects } => {
                let topic = self.topics.get_mut(&topic).ok_or(ImageError::UnknownTopic { topic })?;
                let unknown = || ImageError::UnknownPartition { topic: topic.name.clone(), index };
                let partition = topic.partitions.get_mut(&index).ok_or_else(unknown)?;
                if let Some(replicas) = replicas {
                    partition.replicas = replicas;
                }
                partition.leader_epoch = partition.leader_epoch.saturating_add(i32::from(elects));
            }
            KafkaRecord::RemoveTopic { id } => {
                let topic = self.topics.remove(&id).ok_or(ImageError::UnknownTopic { topic: id })?;
                let owner = Owner::Topic(topic.name);
                self.configs.retain(|(of, _), _| *of != owner);
            }
            KafkaRecord::ProducerIds { next } => self.next_producer_id = self.next_producer_id.max(next),
            KafkaRecord::LeftOut(what) => drop(self.left_out.insert(what)),
            KafkaRecord::Same(_)
            | KafkaRecord::Nothing
            | KafkaRecord::BeginTransaction
            | KafkaRecord::EndTransaction
            | KafkaRecord::AbortTransaction => {}
        }
        Ok(())
    }

    fn configure(&mut self, owner: Owner, key: String, value: Option<String>) {
        match value {
            Some(value) => drop(self.configs.insert((owner, key), value)),
            None => drop(self.configs.remove(&(owner, key))),
        }
    }

    /// The topics, sorted by name.
    pub fn topics(&self) -> Vec<&KafkaTopic> {
        let mut topics: Vec<&KafkaTopic> = self.topics.values().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// What is set for a topic itself.
    pub fn topic_config(&self, topic: &str, key: &str) -> Option<&str> {
        self.configs.get(&(Owner::Topic(topic.to_owned()), key.to_owned())).map(String::as_str)
    }

    /// How many log.dirs the broker `node` has registered with; none if it did not say.
    pub fn log_dirs(&self, node: i32) -> usize {
        self.brokers.get(&node).copied().unwrap_or(0)
    }

    /// Forgets a topic that is not to be carried over.
    pub fn skip(&mut self, topic: &str) {
        self.topics.retain(|_, known| known.name != topic);
        let owner = Owner::Topic(topic.to_owned());
        self.configs.retain(|(of, _), _| *of != owner);
    }

    /// The catalog of the node `node` alone. `epochs`: the last leader epoch of each topic's partitions; those of the topic
    /// here grow from it on. The catalog's run is so large that no epoch lies before it.
    pub fn catalog(&self, node: i32, epochs: &BTreeMap<TopicId, i32>) -> Result<Adopted, ImageError> {
        let epoch_of = |id: &TopicId| epochs.get(id).copied().unwrap_or(0).max(0);
        let last = self.topics.keys().map(epoch_of).max().unwrap_or(0);
        let mut catalog = Catalog::new(CatalogSettings::new("", node));
        let mut left_out: Vec<LeftOut> = Vec::new();
        let run = last.max(1).unsigned_abs();
        let (incarnation, endpoints) = ([0; 16], Vec::new());
        catalog.apply(&CatalogRecord::RegisterBroker(Registration {
            broker: node,
            run,
            incarnation,
            endpoints,
            rack: None,
        }))?;
        if self.next_producer_id > 0 {
            catalog.apply(&CatalogRecord::ProducerIds { broker: node, run, next: self.next_producer_id })?;
        }
        for topic in self.topics() {
            if topic.name == METADATA_TOPIC {
                return Err(ImageError::Name { why: format!("{METADATA_TOPIC} is no topic of clients") });
            }
            catalog.apply(&CatalogRecord::Topic { name: topic.name.clone(), id: topic.id })?;
            for (index, (found, partition)) in (0..).zip(&topic.partitions) {
                if index != *found {
                    return Err(ImageError::Gap { topic: topic.name.clone(), index });
                }
                let (replicas, leader_epoch) = (partition.replicas.clone(), epoch_of(&topic.id));
                catalog.apply(&CatalogRecord::Partition { topic: topic.id, index, replicas, leader_epoch })?;
            }
        }
        for ((owner, key), value) in &self.configs {
            let (value, key) = (Some(value.clone()), key.clone());
            let (whose, record) = match owner {
                Owner::Broker(None) => {
                    ("all brokers".to_owned(), CatalogRecord::BrokerConfig { broker: None, key, value })
                }
                Owner::Broker(Some(id)) => {
                    (format!("broker {id}"), CatalogRecord::BrokerConfig { broker: Some(*id), key, value })
                }
                Owner::Group(group) => {
                    (format!("group {group}"), CatalogRecord::GroupConfig { group: group.clone(), key, value })
                }
                Owner::Metrics(name) => {
                    (format!("client metrics {name}"), CatalogRecord::MetricsConfig { name: name.clone(), key, value })
                }
                // Of a topic that was skipped nothing is here any more.
                Owner::Topic(topic) => {
                    (format!("topic {topic}"), CatalogRecord::TopicConfig { topic: topic.clone(), key, value })
                }
            };
            if let Err(error) = catalog.apply(&record) {
                let key = match record {
                    CatalogRecord::BrokerConfig { key, .. }
                    | CatalogRecord::GroupConfig { key, .. }
                    | CatalogRecord::MetricsConfig { key, .. }
                    | CatalogRecord::TopicConfig { key, .. } => key,
                    other => unreachable!("configs are applied here: {other:?}"),
                };
                left_out.push(LeftOut { what: format!("{key} of {whose}"), why: error.to_string() });
            }
        }
        let served = |what: &&str| LeftOut { what: (*what).to_owned(), why: "not served by this release".to_owned() };
        left_out.extend(self.left_out.iter().map(served));
        Ok(Adopted { catalog, left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TopicId = TopicId([7; 16]);

    fn topic(name: &str) -> KafkaRecord {
        KafkaRecord::Same(CatalogRecord::Topic { name: name.to_owned(), id: ID })
    }

    fn config(key: &str, value: Option<&str>) -> KafkaRecord {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        KafkaRecord::Same(CatalogRecord::TopicConfig { topic: "orders".to_owned(), key, value })
    }

    fn partition(index: i32) -> KafkaRecord {
        KafkaRecord::Partition { topic: ID, index, replicas: vec![3], leader_epoch: 4 }
    }

    fn image(records: impl IntoIterator<Item = KafkaRecord>) -> Image {
        let mut image = Image::default();
        records.into_iter().for_each(|record| image.apply(record).expect("it follows"));
        image
    }

    #[test]
    fn a_catalog_has_what_the_image_has_and_says_what_it_lacks() {
        let image = image([
            topic("orders"),
            partition(1),
            partition(0),
            config("retention.ms", Some("5")),
            config("retention.bytes", Some("6")),
            config("retention.bytes", None),
            config("moon.phase", Some("full")),
            KafkaRecord::LeftOut("quotas of clients"),
            KafkaRecord::ProducerIds { next: 2000 },
        ]);
        let Adopted { catalog, left_out } = image.catalog(3, &BTreeMap::from([(ID, 6)])).expect("a catalog");
        let made = catalog.topic("orders").expect("the topic");
        assert_eq!((made.id, made.partitions, catalog.leader_epoch(made).0), (ID, 2, 6));
        assert_eq!(made.overrides, BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]));
        let what: Vec<&str> = left_out.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(what, ["moon.phase of topic orders", "quotas of clients"]);
        let mut again = Catalog::new(CatalogSettings::new("", 3));
        for record in catalog.snapshot() {
            again.apply(&record).expect("a snapshot reads back");
        }
        assert_eq!(again, catalog);
    }

    #[test]
    fn a_topic_that_was_removed_leaves_no_config_to_the_next_of_its_name() {
        let again = TopicId([8; 16]);
        let image = image([
            topic("orders"),
            config("retention.ms", Some("5")),
            KafkaRecord::RemoveTopic { id: ID },
            KafkaRecord::Same(CatalogRecord::Topic { name: "orders".to_owned(), id: again }),
        ]);
        assert_eq!(image.topic_config("orders", "retention.ms"), None);
        assert_eq!(image.topics().len(), 1);
    }

    #[test]
    fn a_metadata_transaction_counts_when_it_ends_and_not_when_it_is_aborted() {
        let begun = [KafkaRecord::BeginTransaction, topic("orders")];
        let with = |last: Option<KafkaRecord>| image(begun.iter().cloned().chain(last)).topics().len();
        assert_eq!(with(None), 0);
        assert_eq!(with(Some(KafkaRecord::AbortTransaction)), 0);
        assert_eq!(with(Some(KafkaRecord::EndTransaction)), 1);
    }

    #[test]
    fn configs_of_client_metrics_are_carried_over() {
        let (name, key, value) = ("slow".to_owned(), "interval.ms".to_owned(), Some("1000".to_owned()));
        let image = image([KafkaRecord::Same(CatalogRecord::MetricsConfig { name, key, value })]);
        let adopted = image.catalog(3, &BTreeMap::new()).expect("a catalog");
        assert_eq!(adopted.left_out, []);
        assert_eq!(adopted.catalog.metrics_overrides("slow").map(BTreeMap::len), Some(1));
    }

    #[test]
    fn an_election_adds_to_the_epoch_and_a_change_without_one_does_not() {
        let change = |elects| KafkaRecord::PartitionChange { topic: ID, index: 0, replicas: None, elects };
        let image = image([topic("orders"), partition(0), change(true), change(false)]);
        assert_eq!(image.topics()[0].partitions[&0].leader_epoch, 5);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |records: Vec<KafkaRecord>| {
            let mut image = Image::default();
            records.into_iter().try_for_each(|record| image.apply(record)).is_err()
        };
        assert!(refused(vec![partition(0)]));
        assert!(refused(vec![topic("../escape")]));
        assert!(refused(vec![KafkaRecord::EndTransaction]));
        let gap = image([topic("orders"), partition(1)]);
        assert_eq!(
            gap.catalog(3, &BTreeMap::new()).map(|_| ()),
            Err(ImageError::Gap { topic: "orders".to_owned(), index: 0 })
        );
        let elsewhere = image([topic("orders"), partition(0)]);
        assert!(matches!(elsewhere.catalog(1, &BTreeMap::new()), Err(ImageError::Apply(_))));
    }
}
