//! The catalog as records, a bounded number at a time, so that the core serves others while a snapshot is made. Every core;
//! pure.
//!
//! Invariant: all of them, in their order, rebuild this state from an empty catalog with the same settings.

use std::ops::Bound;
use std::sync::Arc;

use super::record::CatalogRecord;
use super::state::Catalog;
use super::topic::Topic;

/// Where the records of a snapshot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotPlace {
    /// The first of them: what is no group's, no topic's and not of client metrics.
    Head,
    /// With the subscription of client metrics after this one, or the first.
    Metrics { after: Option<Arc<str>> },
    /// With the group after this one, or the first.
    Groups { after: Option<Arc<str>> },
    /// With the topic after this one, or the first.
    Topics { after: Option<Arc<str>> },
    /// With this partition of a topic.
    Partitions { of: Arc<str>, from: i32 },
}

impl Catalog {
    /// All records of a snapshot.
    pub fn snapshot(&self) -> Vec<CatalogRecord> {
        let mut all = Vec::new();
        let mut place = Some(SnapshotPlace::Head);
        while let Some(at) = place {
            let (records, next) = self.snapshot_from(&at, usize::MAX);
            all.extend(records);
            place = next;
        }
        all
    }

    /// About `most` records of a snapshot: more only by the configs of one of them. And where the next ones are;
    /// `None` after the last.
    pub fn snapshot_from(&self, place: &SnapshotPlace, most: usize) -> (Vec<CatalogRecord>, Option<SnapshotPlace>) {
        match place {
            SnapshotPlace::Head => (self.snapshot_head(), Some(SnapshotPlace::Metrics { after: None })),
            SnapshotPlace::Metrics { after } => self.snapshot_metrics(after.as_ref(), most),
            SnapshotPlace::Groups { after } => self.snapshot_groups(after.as_ref(), most),
            SnapshotPlace::Topics { after } => self.snapshot_topics(after.as_ref(), most),
            SnapshotPlace::Partitions { of, from } => {
                let mut records = Vec::new();
                let next = self.topic(of).and_then(|topic| self.push_partitions(topic, *from, most, &mut records));
                (records, Some(next.unwrap_or_else(|| SnapshotPlace::Topics { after: Some(of.clone()) })))
            }
        }
    }

    fn snapshot_head(&self) -> Vec<CatalogRecord> {
        let features =
            self.features.iter().map(|(name, &level)| CatalogRecord::FeatureLevel { name: name.clone(), level });
        let mut records: Vec<CatalogRecord> = features.collect();
        records.extend(self.registration.clone().map(CatalogRecord::RegisterBroker));
        if self.next_producer_id > 0 {
            let (broker, run) = (self.settings.node_id, self.run());
            records.push(CatalogRecord::ProducerIds { broker, run, next: self.next_producer_id });
        }
        for (of_cluster, broker) in [(true, None), (false, Some(self.settings.node_id))] {
            let settings = self.topic_defaults.layers().dynamic(of_cluster);
            records.extend(settings.iter().map(|(key, value)| CatalogRecord::BrokerConfig {
                broker,
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        records
    }

    fn snapshot_metrics(&self, after: Option<&Arc<str>>, most: usize) -> (Vec<CatalogRecord>, Option<SnapshotPlace>) {
        let mut records = Vec::new();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (name, overrides) in self.metrics.range::<Arc<str>, _>((from, Bound::Unbounded)) {
            records.extend(overrides.iter().map(|(key, value)| CatalogRecord::MetricsConfig {
                name: name.to_string(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
            if records.len() >= most {
                return (records, Some(SnapshotPlace::Metrics { after: Some(name.clone()) }));
            }
        }
        (records, Some(SnapshotPlace::Groups { after: None }))
    }

    fn snapshot_groups(&self, after: Option<&Arc<str>>, most: usize) -> (Vec<CatalogRecord>, Option<SnapshotPlace>) {
        let mut records = Vec::new();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (group, known) in self.groups.range::<Arc<str>, _>((from, Bound::Unbounded)) {
            records.extend(known.overrides.iter().map(|(key, value)| CatalogRecord::GroupConfig {
                group: group.to_string(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
            if records.len() >= most {
                return (records, Some(SnapshotPlace::Groups { after: Some(group.clone()) }));
            }
        }
        (records, Some(SnapshotPlace::Topics { after: None }))
    }

    fn snapshot_topics(&self, after: Option<&Arc<str>>, most: usize) -> (Vec<CatalogRecord>, Option<SnapshotPlace>) {
        let mut records = Vec::new();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let topics = self.sorted.range::<Arc<str>, _>((from, Bound::Unbounded));
        for topic in topics.filter_map(|(_, id)| self.topics.get(id)) {
            records.push(CatalogRecord::Topic { name: topic.name.to_string(), id: topic.id });
            records.extend(topic.overrides.iter().map(|(key, value)| CatalogRecord::TopicConfig {
                topic: topic.name.to_string(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
            if let Some(place) = self.push_partitions(topic, 0, most, &mut records) {
                return (records, Some(place));
            }
            if records.len() >= most {
                return (records, Some(SnapshotPlace::Topics { after: Some(topic.name.clone()) }));
            }
        }
        (records, None)
    }

    /// Adds the partitions of a topic up to `most` records; where the others are.
    fn push_partitions(
        &self,
        topic: &Topic,
        from: i32,
        most: usize,
        records: &mut Vec<CatalogRecord>,
    ) -> Option<SnapshotPlace> {
        for index in from..topic.partitions {
            if records.len() >= most {
                return Some(SnapshotPlace::Partitions { of: topic.name.clone(), from: index });
            }
            records.push(CatalogRecord::Partition {
                topic: topic.id,
                index,
                replicas: self.replicas.to_vec(),
                leader_epoch: self.leader_epoch(topic).0,
            });
        }
        None
    }
}
