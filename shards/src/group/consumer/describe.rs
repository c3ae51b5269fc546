//! What ConsumerGroupDescribe and ListGroups tell of a consumer group. Owning core only; pure.

use std::sync::Arc;

use super::super::request::{
    ConsumerDescribed, ConsumerMemberDescribed, ConsumerState, GroupState, ListedGroup, NamedParts,
};
use super::{ConsumerGroup, Parts};
use crate::catalog::Catalog;

impl ConsumerGroup {
    pub fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch.epoch > self.target_epoch.epoch {
            ConsumerState::Assigning
        } else if self.members.values().any(|member| !member.is_reconciled_to(self.target_epoch.epoch)) {
            ConsumerState::Reconciling
        } else {
            ConsumerState::Stable
        }
    }

    pub fn describe(&self, catalog: &Catalog) -> ConsumerDescribed {
        let members = self.members.values().map(|member| ConsumerMemberDescribed {
            member: member.id.clone(),
            epoch: member.current.epoch,
            said: member.said.clone(),
            assigned: named(&member.current.held_parts(), catalog),
            target: self.targets.get(&member.id).map(|target| named(target, catalog)).unwrap_or_default(),
        });
        ConsumerDescribed {
            state: self.state(),
            epoch: self.epoch.epoch,
            target_epoch: self.target_epoch.epoch,
            assignor: self.assignor().name(),
            members: members.collect(),
        }
    }

    pub fn list(&self, id: &Arc<str>) -> ListedGroup {
        ListedGroup { group: id.clone(), protocol_type: "consumer".into(), state: GroupState::Consumer(self.state()) }
    }
}

/// Topics that are gone have no name, and are not told.
fn named(parts: &Parts, catalog: &Catalog) -> Vec<NamedParts> {
    let topics = parts.iter().filter_map(|(id, indexes)| Some((catalog.topic_by_id(*id)?, indexes)));
    topics
        .map(|(topic, indexes)| NamedParts {
            name: topic.name.clone(),
            id: topic.id,
            partitions: indexes.iter().copied().collect(),
        })
        .collect()
}
