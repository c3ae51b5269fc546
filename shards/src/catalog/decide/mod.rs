//! What a command would do to the catalog: checks, records, reply. Shard 0 only; changes nothing.
//!
//! Invariant: applying the records in order never fails, and an item that is refused leaves no record.

mod alter;
mod alter_broker;
mod create;
mod delete;
mod partitions;

use std::hash::Hash;

use hashbrown::HashMap;

use super::command::{CatalogCommand, CatalogError, CatalogReply, ProducerIdBlock};
use super::record::{CatalogRecord, Endpoint, Registration};
use super::state::Catalog;
use crate::types::{ProducerId, TopicId};

/// Producer ids per block, as Kafka's.
const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// Partitions that one command may add, as Kafka's; a command is one journal commit.
const PARTITIONS_PER_COMMAND_MAX: u64 = 10_000;

/// The records are those of Kafka 4.3's `metadata.version`.
const METADATA_VERSION: (&str, i16) = ("metadata.version", 30);

/// What to append, and what to answer once it is synced and applied everywhere. Without records: answer once everything
/// applied so far is synced.
#[derive(Debug)]
pub struct Decision {
    pub records: Vec<CatalogRecord>,
    pub reply: CatalogReply,
}

impl Catalog {
    /// Decides on a command; an error refuses all of it. `fresh_ids`: random topic ids, never used before, at least
    /// [`CatalogCommand::fresh_ids_needed`] of them.
    pub fn decide(&self, command: &CatalogCommand, fresh_ids: &[TopicId]) -> Result<Decision, CatalogError> {
        let mut records = Vec::new();
        let reply = match command {
            CatalogCommand::CreateTopics { topics, validate_only } => {
                CatalogReply::TopicsCreated(self.create_topics(topics, *validate_only, fresh_ids, &mut records)?)
            }
            CatalogCommand::DeleteTopics { topics } => {
                CatalogReply::TopicsDeleted(self.delete_topics(topics, &mut records))
            }
            CatalogCommand::CreatePartitions { topics, validate_only } => {
                CatalogReply::PartitionsCreated(self.create_partitions(topics, *validate_only, &mut records))
            }
            CatalogCommand::AlterConfigs { changes, validate_only } => {
                CatalogReply::ConfigsAltered(self.alter_configs(changes, *validate_only, &mut records))
            }
            CatalogCommand::AllocateProducerIds => CatalogReply::ProducerIds(self.allocate_producer_ids(&mut records)?),
            CatalogCommand::StartRun { incarnation, endpoints, rack } => {
                let run = self.start_run(*incarnation, endpoints, rack.as_deref(), &mut records)?;
                CatalogReply::RunStarted { run }
            }
        };
        Ok(Decision { records, reply })
    }

    fn allocate_producer_ids(&self, records: &mut Vec<CatalogRecord>) -> Result<ProducerIdBlock, CatalogError> {
        let (first, count) = (self.next_producer_id, PRODUCER_IDS_PER_BLOCK);
        let next = first.checked_add(count).ok_or(CatalogError::ProducerIdsExhausted)?;
        records.push(CatalogRecord::ProducerIds { broker: self.settings.node_id, run: self.run(), next });
        Ok(ProducerIdBlock { first: ProducerId(first), count })
    }

    fn start_run(
        &self,
        incarnation: [u8; 16],
        endpoints: &[Endpoint],
        rack: Option<&str>,
        records: &mut Vec<CatalogRecord>,
    ) -> Result<u32, CatalogError> {
        let run = self
            .run()
            .checked_add(1)
            .ok_or_else(|| CatalogError::Internal { why: "no run numbers are left".into() })?;
        let (name, level) = METADATA_VERSION;
        if self.feature(name) != Some(level) {
            records.push(CatalogRecord::FeatureLevel { name: name.to_owned(), level });
        }
        records.push(CatalogRecord::RegisterBroker(Registration {
            broker: self.settings.node_id,
            run,
            incarnation,
            endpoints: endpoints.to_vec(),
            rack: rack.map(str::to_owned),
        }));
        Ok(run)
    }

    /// Refuses a command that would take the broker over `partitions.max`.
    fn check_room(&self, asked: u64, there: u64) -> Result<(), CatalogError> {
        let max = self.settings.partitions_max;
        if there.saturating_add(asked) > max {
            Err(CatalogError::TooManyPartitions { asked, there, max })
        } else {
            Ok(())
        }
    }

    /// Checks the brokers that a request wants for one partition.
    pub fn check_replicas(&self, brokers: &[i32]) -> Result<(), CatalogError> {
        let invalid = |why: String| Err(CatalogError::InvalidReplicaAssignment { why });
        if brokers.is_empty() {
            return invalid("The manual partition assignment includes an empty replica list.".into());
        }
        let mut sorted = brokers.to_vec();
        sorted.sort_unstable();
        let mut before = None;
        for broker in sorted {
            if broker != self.settings.node_id {
                return invalid(format!(
                    "The manual partition assignment includes broker {broker}, but no such broker is registered."
                ));
            }
            if before == Some(broker) {
                return invalid(format!(
                    "The manual partition assignment includes the broker {broker} more than once."
                ));
            }
            before = Some(broker);
        }
        Ok(())
    }

    /// The records of partitions `from..to` of a topic.
    fn partition_records(
        &self,
        topic: TopicId,
        from: i32,
        to: i32,
        leader_epoch: i32,
    ) -> impl Iterator<Item = CatalogRecord> {
        let replicas = self.replicas;
        (from..to).map(move |index| CatalogRecord::Partition {
            topic,
            index,
            replicas: replicas.to_vec(),
            leader_epoch,
        })
    }
}

fn duplicate_name() -> CatalogError {
    CatalogError::InvalidRequest { why: "Duplicate topic name.".into() }
}

/// How often each key comes.
fn count_by<'a, T, K: Hash + Eq>(items: &'a [T], key: impl Fn(&'a T) -> K) -> HashMap<K, u32> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(key(item)).or_insert(0) += 1;
    }
    counts
}
