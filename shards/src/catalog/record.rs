//! The records of the metadata log, as the catalog sees them. Every core; plain values.
//!
//! Invariant: each is one of Kafka's metadata records (KIP-631), cut to what this broker gives a meaning.

use crate::types::TopicId;

/// One record of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogRecord {
    /// TopicRecord. The topic has no partitions yet.
    Topic { name: String, id: TopicId },
    /// PartitionRecord. `leader_epoch` is that of its topic when the record is written.
    Partition { topic: TopicId, index: i32, replicas: Vec<i32>, leader_epoch: i32 },
    /// RemoveTopicRecord: its partitions and overrides go with it.
    RemoveTopic { id: TopicId },
    /// ConfigRecord of a topic; `None` removes the override.
    TopicConfig { topic: String, key: String, value: Option<String> },
    /// ConfigRecord of one broker, or of all (`None`): a setting changed while it ran. A value of `None` undoes it.
    BrokerConfig { broker: Option<i32>, key: String, value: Option<String> },
    /// ConfigRecord of a group; `None` removes the override. The group need not exist.
    GroupConfig { group: String, key: String, value: Option<String> },
    /// ConfigRecord of a subscription of client metrics; `None` removes the override, and the last takes the subscription with
    /// it.
    MetricsConfig { name: String, key: String, value: Option<String> },
    /// ProducerIdsRecord: every id below `next` is taken.
    ProducerIds { broker: i32, run: u32, next: i64 },
    /// RegisterBrokerRecord: a run starts. Its broker epoch is the number of the run.
    RegisterBroker(Registration),
    /// FeatureLevelRecord: `metadata.version` says which records a reader must know.
    FeatureLevel { name: String, level: i16 },
}

/// A run of the broker: who it is and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub broker: i32,
    /// Counts starts from 1.
    pub run: u32,
    /// Random, new at every start.
    pub incarnation: [u8; 16],
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
}

/// An advertised listener. `security_protocol` is Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
}
