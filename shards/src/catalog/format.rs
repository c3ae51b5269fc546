//! The bytes of metadata records, as Kafka writes them (KIP-631): frame version, type, version as varints, then the
//! message. Shard 0 writes them, every core reads them.
//!
//! Invariant: a record of an unknown kind or version, or one that says what this broker gives no meaning, is refused,
//! never skipped: a later release may have written what must not be lost.

use bytes::Bytes;
use thiserror::Error;

use super::record::{CatalogRecord, Endpoint, Registration};
use crate::codec::{DecodeError, EncodeError, Message, Reader, Writer};
use crate::message;
use crate::types::TopicId;

message! {
    TopicRecord, key 2, versions 0..=0, flexible 0..;
    name: str,
    topic_id: topic_id,
}

message! {
    PartitionRecord, key 3, versions 0..=2, flexible 0..;
    partition_id: i32 (0.., or -1),
    topic_id: topic_id,
    replicas: [i32],
    isr: [i32],
    removing_replicas: [i32],
    adding_replicas: [i32],
    leader: i32 (0.., or -1),
    leader_recovery_state: i8 (0.., tag 0),
    leader_epoch: i32 (0.., or -1),
    partition_epoch: i32 (0.., or -1),
    directories: [uuid] (1..),
    eligible_leader_replicas: [i32] (2.., null 2.., or None, tag 1),
    last_known_elr: [i32] (2.., null 2.., or None, tag 2),
}

message! {
    RemoveTopicRecord, key 9, versions 0..=0, flexible 0..;
    topic_id: topic_id,
}

message! {
    ConfigRecord, key 4, versions 0..=0, flexible 0..;
    resource_type: i8,
    resource_name: str,
    name: str,
    value: str (0.., null 0..),
}

message! {
    ProducerIdsRecord, key 15, versions 0..=0, flexible 0..;
    broker_id: i32,
    broker_epoch: i64 (0.., or -1),
    next_producer_id: i64,
}

message! {
    RegisterBrokerRecord, key 0, versions 0..=4, flexible 0..;
    broker_id: i32,
    is_migrating_zk_broker: bool (2..),
    incarnation_id: uuid,
    broker_epoch: i64,
    end_points: [BrokerEndpoint] { name: str, host: str, port: u16, security_protocol: i16 },
    features: [BrokerFeature] { name: str, min_supported_version: i16, max_supported_version: i16 },
    rack: str (0.., null 0..),
    fenced: bool (0.., or true),
    in_controlled_shutdown: bool (1..),
    log_dirs: [uuid] (3.., tag 0),
    cordoned_log_dirs: [uuid] (4.., null 4.., or None, tag 1),
}

message! {
    FeatureLevelRecord, key 12, versions 0..=0, flexible 0..;
    name: str,
    feature_level: i16,
}

const FRAME_VERSION: u32 = 1;

/// Kafka's numbers for the resources of a ConfigRecord. A broker's name is its number; the empty name is all brokers.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const RESOURCE_METRICS: i8 = 16;
const RESOURCE_GROUP: i8 = 32;

/// Kafka's directory id for "not said".
const DIRECTORY_UNASSIGNED: [u8; 16] = [0; 16];

/// Why bytes are no record that this broker may act on.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum RecordError {
    #[error("metadata record of frame version {found}, this broker knows {FRAME_VERSION}: a later release wrote it")]
    Frame { found: u32 },
    #[error("metadata record of unknown type {kind}, version {version}: a later release wrote it")]
    Unknown { kind: u32, version: u32 },
    #[error("damaged metadata record of type {kind}: {error}")]
    Damaged { kind: u32, error: DecodeError },
    #[error("{left} bytes after a metadata record of type {kind}")]
    Trailing { kind: u32, left: usize },
    #[error("{record}: {what} is not served by this release")]
    NotServed { record: &'static str, what: String },
}

impl CatalogRecord {
    /// The value of a record of the metadata log; its key is null. Fails only for text over 32,767 bytes, which `decide`
    /// lets none pass of.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            CatalogRecord::Topic { name, id } => framed(&TopicRecord { name: name.as_str().into(), topic_id: *id }),
            CatalogRecord::Partition { topic, index, replicas, leader_epoch } => {
                framed(&partition_record(*topic, *index, replicas, *leader_epoch))
            }
            CatalogRecord::RemoveTopic { id } => framed(&RemoveTopicRecord { topic_id: *id }),
            CatalogRecord::TopicConfig { topic, key, value } => framed(&ConfigRecord {
                resource_type: RESOURCE_TOPIC,
                resource_name: topic.as_str().into(),
                name: key.as_str().into(),
                value: value.as_deref().map(Into::into),
            }),
            CatalogRecord::BrokerConfig { broker, key, value } => framed(&ConfigRecord {
                resource_type: RESOURCE_BROKER,
                resource_name: broker.map_or_else(String::new, |id| id.to_string()).as_str().into(),
                name: key.as_str().into(),
                value: value.as_deref().map(Into::into),
            }),
            CatalogRecord::GroupConfig { group, key, value } => framed(&ConfigRecord {
                resource_type: RESOURCE_GROUP,
                resource_name: group.as_str().into(),
                name: key.as_str().into(),
                value: value.as_deref().map(Into::into),
            }),
            CatalogRecord::MetricsConfig { name, key, value } => framed(&ConfigRecord {
                resource_type: RESOURCE_METRICS,
                resource_name: name.as_str().into(),
                name: key.as_str().into(),
                value: value.as_deref().map(Into::into),
            }),
            CatalogRecord::ProducerIds { broker, run, next } => framed(&ProducerIdsRecord {
                broker_id: *broker,
                broker_epoch: i64::from(*run),
                next_producer_id: *next,
            }),
            CatalogRecord::RegisterBroker(registration) => framed(&registration_record(registration)),
            CatalogRecord::FeatureLevel { name, level } => {
                framed(&FeatureLevelRecord { name: name.as_str().into(), feature_level: *level })
            }
        }
    }

    /// Reads the value of a record of the metadata log.
    pub fn decode(value: &Bytes) -> Result<CatalogRecord, RecordError> {
        let mut reader = Reader::new(value);
        let header = Header::read(&mut reader)?;
        let record = header.record(&mut reader)?;
        header.end(&reader)?;
        Ok(record)
    }
}

/// What is in front of every record.
pub(super) struct Header {
    pub kind: u32,
    version: u32,
}

impl Header {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Header, RecordError> {
        let mut varint = |kind| reader.uvarint().map_err(|error| RecordError::Damaged { kind, error });
        let found = varint(0)?;
        if found != FRAME_VERSION {
            return Err(RecordError::Frame { found });
        }
        let kind = varint(0)?;
        Ok(Header { kind, version: varint(kind)? })
    }

    /// Nothing follows the record.
    pub(super) fn end(&self, reader: &Reader<'_>) -> Result<(), RecordError> {
        match reader.left() {
            0 => Ok(()),
            left => Err(RecordError::Trailing { kind: self.kind, left }),
        }
    }

    fn record(&self, reader: &mut Reader<'_>) -> Result<CatalogRecord, RecordError> {
        Ok(match self.kind {
            0 => CatalogRecord::RegisterBroker(registration(self.message(reader)?)?),
            2 => topic(self.message(reader)?),
            3 => partition(self.message(reader)?)?,
            4 => config(self.message(reader)?)?,
            9 => CatalogRecord::RemoveTopic { id: self.message::<RemoveTopicRecord>(reader)?.topic_id },
            12 => {
                let FeatureLevelRecord { name, feature_level } = self.message(reader)?;
                CatalogRecord::FeatureLevel { name: name.to_string(), level: feature_level }
            }
            15 => producer_ids(self.message(reader)?)?,
            _ => return Err(self.unknown()),
        })
    }

    pub(super) fn message<M: Message>(&self, reader: &mut Reader<'_>) -> Result<M, RecordError> {
        let version = i16::try_from(self.version).map_err(|_| self.unknown())?;
        M::decode(reader, version).map_err(|error| match error {
            DecodeError::UnsupportedVersion { .. } => self.unknown(),
            error => RecordError::Damaged { kind: self.kind, error },
        })
    }

    pub(super) fn unknown(&self) -> RecordError {
        RecordError::Unknown { kind: self.kind, version: self.version }
    }
}

/// Writes a record in its newest version.
fn framed<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::default();
    let version = M::VERSIONS.max;
    writer.uvarint(FRAME_VERSION);
    writer.uvarint(M::KEY.unsigned_abs().into());
    writer.uvarint(version.unsigned_abs().into());
    message.encode(&mut writer, version)?;
    Ok(writer.into_bytes())
}

pub(super) fn topic(record: TopicRecord) -> CatalogRecord {
    CatalogRecord::Topic { name: record.name.to_string(), id: record.topic_id }
}

fn not_served(record: &'static str, what: impl Into<String>) -> RecordError {
    RecordError::NotServed { record, what: what.into() }
}

fn partition_record(topic_id: TopicId, partition_id: i32, replicas: &[i32], leader_epoch: i32) -> PartitionRecord {
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: replicas.first().copied().unwrap_or(-1),
        leader_epoch,
        partition_epoch: 0,
        directories: vec![DIRECTORY_UNASSIGNED; replicas.len()],
        ..PartitionRecord::default()
    }
}

fn partition(record: PartitionRecord) -> Result<CatalogRecord, RecordError> {
    let PartitionRecord { topic_id, partition_id, leader_epoch, .. } = record;
    // One node: whatever differs from what it would write itself was written by a cluster.
    if record != partition_record(topic_id, partition_id, &record.replicas, leader_epoch) {
        return Err(not_served("PartitionRecord", "a partition whose replicas are not all in sync"));
    }
    Ok(CatalogRecord::Partition { topic: topic_id, index: partition_id, replicas: record.replicas, leader_epoch })
}

pub(super) fn config(record: ConfigRecord) -> Result<CatalogRecord, RecordError> {
    let key = record.name.to_string();
    let value = record.value.map(|value| value.to_string());
    match (record.resource_type, record.resource_name.as_str()) {
        (RESOURCE_TOPIC, topic) => Ok(CatalogRecord::TopicConfig { topic: topic.to_owned(), key, value }),
        (RESOURCE_GROUP, group) => Ok(CatalogRecord::GroupConfig { group: group.to_owned(), key, value }),
        (RESOURCE_METRICS, name) => Ok(CatalogRecord::MetricsConfig { name: name.to_owned(), key, value }),
        (RESOURCE_BROKER, "") => Ok(CatalogRecord::BrokerConfig { broker: None, key, value }),
        (RESOURCE_BROKER, name) => match name.parse() {
            Ok(broker) => Ok(CatalogRecord::BrokerConfig { broker: Some(broker), key, value }),
            Err(_) => Err(not_served("ConfigRecord", format!("a config of broker {name:?}"))),
        },
        (other, _) => Err(not_served("ConfigRecord", format!("a config of resource type {other}"))),
    }
}

fn producer_ids(record: ProducerIdsRecord) -> Result<CatalogRecord, RecordError> {
    let run = run_number("ProducerIdsRecord", record.broker_epoch)?;
    Ok(CatalogRecord::ProducerIds { broker: record.broker_id, run, next: record.next_producer_id })
}

fn registration_record(registration: &Registration) -> RegisterBrokerRecord {
    let end_points = registration.endpoints.iter().map(|endpoint| BrokerEndpoint {
        name: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    RegisterBrokerRecord {
        broker_id: registration.broker,
        incarnation_id: registration.incarnation,
        broker_epoch: i64::from(registration.run),
        end_points: end_points.collect(),
        rack: registration.rack.as_deref().map(Into::into),
        fenced: false,
        ..RegisterBrokerRecord::default()
    }
}

fn registration(record: RegisterBrokerRecord) -> Result<Registration, RecordError> {
    let endpoints = record.end_points.iter().map(|endpoint| Endpoint {
        name: endpoint.name.to_string(),
        host: endpoint.host.to_string(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let registration = Registration {
        broker: record.broker_id,
        run: run_number("RegisterBrokerRecord", record.broker_epoch)?,
        incarnation: record.incarnation_id,
        endpoints: endpoints.collect(),
        rack: record.rack.as_deref().map(str::to_owned),
    };
    if record != registration_record(&registration) {
        return Err(not_served(
            "RegisterBrokerRecord",
            "a broker that is fenced, migrating or has several directories",
        ));
    }
    Ok(registration)
}

/// The broker epoch that a record carries is the number of the run.
fn run_number(record: &'static str, epoch: i64) -> Result<u32, RecordError> {
    u32::try_from(epoch).map_err(|_| not_served(record, format!("broker epoch {epoch}")))
}
