//! CreatePartitions: more partitions for topics that there are. Shard 0 only.
//!
//! Invariant: a topic's partitions only ever grow, and by no more than the broker has room for.

use super::super::command::{CatalogError, MorePartitions};
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::super::topic::Topic;
use super::{PARTITIONS_PER_COMMAND_MAX, count_by, duplicate_name};

impl Catalog {
    pub(super) fn create_partitions(
        &self,
        topics: &[MorePartitions],
        validate_only: bool,
        records: &mut Vec<CatalogRecord>,
    ) -> Vec<Result<(), CatalogError>> {
        let names = count_by(topics, |topic| topic.name.as_str());
        let mut total = self.partition_count();
        let mut added_in_command = 0u64;
        let replies = topics.iter().map(|asked| {
            if names.get(asked.name.as_str()).is_some_and(|&times| times > 1) {
                return Err(duplicate_name());
            }
            let topic =
                self.topic(&asked.name).ok_or_else(|| CatalogError::UnknownTopic { name: asked.name.clone() })?;
            let added = self.check_more(asked, topic)?;
            if added_in_command + added > PARTITIONS_PER_COMMAND_MAX {
                let why = "Excessively large number of partitions per request.".to_owned();
                return Err(CatalogError::PolicyViolation { why });
            }
            self.check_room(added, total)?;
            added_in_command += added;
            total += added;
            if !validate_only {
                let epoch = self.leader_epoch(topic).0;
                records.extend(self.partition_records(topic.id, topic.partitions, asked.count, epoch));
            }
            Ok(())
        });
        replies.collect()
    }

    /// How many partitions are added.
    fn check_more(&self, asked: &MorePartitions, topic: &Topic) -> Result<u64, CatalogError> {
        let (count, there) = (asked.count, topic.partitions);
        let invalid = |why| Err(CatalogError::InvalidPartitions { why });
        if count == there {
            return invalid(format!("Topic already has {there} partition(s)."));
        }
        if count < there {
            let name = &topic.name;
            return invalid(format!(
                "The topic {name} currently has {there} partition(s); {count} would not be an increase."
            ));
        }
        let added = count.abs_diff(there);
        if let Some(assignments) = &asked.assignments {
            if assignments.len() != added as usize {
                let why = format!(
                    "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                );
                return Err(CatalogError::InvalidReplicaAssignment { why });
            }
            assignments.iter().try_for_each(|brokers| self.check_replicas(brokers))?;
        }
        Ok(added.into())
    }
}
