//! Kafka's metadata records (KIP-631), as far as they say something of topics, configs and producer ids. Pure.
//!
//! Invariant: a record of a kind or version that is not known here is an error: what it says might change what others mean.

use bytes::Bytes;

use crate::catalog::format::{
    ConfigRecord, Header, PartitionRecord, ProducerIdsRecord, RecordError, RegisterBrokerRecord, RemoveTopicRecord,
    TopicRecord, config, topic,
};
use crate::catalog::record::CatalogRecord;
use crate::codec::Reader;
use crate::message;
use crate::types::TopicId;

message! {
    UnregisterBrokerRecord, key 1, versions 0..=0, flexible 0..;
    broker_id: i32,
    broker_epoch: i64,
}

message! {
    PartitionChangeRecord, key 5, versions 0..=2, flexible 0..;
    partition_id: i32 (0.., or -1),
    topic_id: topic_id,
    isr: [i32] (0.., null 0.., or None, tag 0),
    leader: i32 (0.., or -2, tag 1),
    replicas: [i32] (0.., null 0.., or None, tag 2),
    removing_replicas: [i32] (0.., null 0.., or None, tag 3),
    adding_replicas: [i32] (0.., null 0.., or None, tag 4),
    leader_recovery_state: i8 (0.., or -1, tag 5),
    eligible_leader_replicas: [i32] (2.., null 2.., or None, tag 6),
    last_known_elr: [i32] (2.., null 2.., or None, tag 7),
    directories: [uuid] (1.., null 1.., or None, tag 8),
}

/// Kafka's number for "the leader is who it was".
const SAME_LEADER: i32 = -2;

/// One record, cut to what an import needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaRecord {
    /// TopicRecord or ConfigRecord: the same as here.
    Same(CatalogRecord),
    RegisterBroker {
        broker: i32,
        /// How many log.dirs it has, if it says so.
        log_dirs: usize,
    },
    UnregisterBroker {
        broker: i32,
    },
    Partition {
        topic: TopicId,
        index: i32,
        replicas: Vec<i32>,
        leader_epoch: i32,
    },
    /// `elects`: a leader is named, even if it is the old one, and the epoch grows by one.
    PartitionChange {
        topic: TopicId,
        index: i32,
        replicas: Option<Vec<i32>>,
        elects: bool,
    },
    RemoveTopic {
        id: TopicId,
    },
    /// Every producer id below `next` is taken.
    ProducerIds {
        next: i64,
    },
    /// What follows counts only once it has ended (KIP-868).
    BeginTransaction,
    EndTransaction,
    AbortTransaction,
    /// What has no place here, in words for the one who imports.
    LeftOut(&'static str),
    /// What says nothing that outlives the node's run.
    Nothing,
}

impl KafkaRecord {
    /// Reads the value of a record.
    pub fn decode(value: &Bytes) -> Result<KafkaRecord, RecordError> {
        let mut reader = Reader::new(value);
        let header = Header::read(&mut reader)?;
        let reader = &mut reader;
        let record = match header.kind {
            0 => {
                let RegisterBrokerRecord { broker_id, log_dirs, .. } = header.message(reader)?;
                KafkaRecord::RegisterBroker { broker: broker_id, log_dirs: log_dirs.len() }
            }
            1 => KafkaRecord::UnregisterBroker { broker: header.message::<UnregisterBrokerRecord>(reader)?.broker_id },
            2 => KafkaRecord::Same(topic(header.message::<TopicRecord>(reader)?)),
            3 => {
                let PartitionRecord { topic_id, partition_id, replicas, leader_epoch, .. } = header.message(reader)?;
                KafkaRecord::Partition { topic: topic_id, index: partition_id, replicas, leader_epoch }
            }
            4 => match config(header.message::<ConfigRecord>(reader)?) {
                Ok(record) => KafkaRecord::Same(record),
                Err(RecordError::NotServed { .. }) => KafkaRecord::LeftOut("configs of what corelog does not have"),
                Err(error) => return Err(error),
            },
            5 => {
                let PartitionChangeRecord { topic_id, partition_id, replicas, leader, .. } = header.message(reader)?;
                let elects = leader != SAME_LEADER;
                KafkaRecord::PartitionChange { topic: topic_id, index: partition_id, replicas, elects }
            }
            9 => KafkaRecord::RemoveTopic { id: header.message::<RemoveTopicRecord>(reader)?.topic_id },
            15 => KafkaRecord::ProducerIds { next: header.message::<ProducerIdsRecord>(reader)?.next_producer_id },
            23 => return Ok(KafkaRecord::BeginTransaction),
            24 => return Ok(KafkaRecord::EndTransaction),
            25 => return Ok(KafkaRecord::AbortTransaction),
            other => return without_fields(other).ok_or_else(|| header.unknown()),
        };
        header.end(reader)?;
        Ok(record)
    }
}

/// Kinds of which it is enough to know that they are there.
fn without_fields(kind: u32) -> Option<KafkaRecord> {
    Some(match kind {
        10 => KafkaRecord::LeftOut("delegation tokens"),
        11 => KafkaRecord::LeftOut("users with SCRAM passwords"),
        14 => KafkaRecord::LeftOut("quotas of clients"),
        18 => KafkaRecord::LeftOut("access control lists"),
        // Fencing, levels of features, controllers, the passage from ZooKeeper, replicas that may lead, and the removal of
        // what is left out anyway.
        7 | 8 | 12 | 17 | 19 | 20 | 21 | 22 | 26 | 27 | 28 => KafkaRecord::Nothing,
        _ => return None,
    })
}
