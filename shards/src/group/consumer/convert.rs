//! A classic group as a consumer group, and back (KIP-848, online migration). Owning core only; pure.
//!
//! Invariant: epoch and generation go on counting, so that members find themselves where they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::super::classic::ClassicGroup;
use super::super::record::{GroupRecord, MemberRecord};
use super::super::settings::GroupSettings;
use super::super::turn::Turn;
use super::classic::written;
use super::record::{ConsumerRecord, Current, GroupEpoch, MemberSaid, MemberState, TargetEpoch};
use super::{ConsumerGroup, Parts};

/// A member of a classic group, as a member of a consumer group.
#[derive(Debug, PartialEq, Eq)]
pub struct UpgradedMember {
    pub id: Arc<str>,
    pub said: MemberSaid,
    /// No partition that another has too.
    pub assigned: Parts,
}

impl ConsumerGroup {
    /// Puts a group into the log that has the members of a classic one, all with the target that their leader gave them.
    pub fn upgraded(turn: &mut Turn<'_>, id: Arc<str>, generation: i32, members: Vec<UpgradedMember>) -> ConsumerGroup {
        tracing::info!(group = %id, generation, members = members.len(), "the classic group becomes a consumer group");
        let mut made = ConsumerGroup::new(id);
        for member in &members {
            let value = Some(member.said.clone());
            made.put(turn, ConsumerRecord::Member { member: member.id.clone(), value });
        }
        // As of no topics: the first heartbeat begins an epoch. Members that share by their own rules may have left partitions to
        // nobody until their next generation, which does not come any more.
        made.put(turn, ConsumerRecord::Epoch(Some(GroupEpoch { epoch: generation, metadata_hash: 0 })));
        for member in &members {
            let value = Some(member.assigned.clone());
            made.put(turn, ConsumerRecord::Target { member: member.id.clone(), value });
        }
        made.put(turn, ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch: generation, at_ms: 0 })));
        for member in members {
            let since = |indexes: &BTreeSet<i32>| indexes.iter().map(|index| (*index, generation)).collect();
            let value = Some(Current {
                epoch: generation,
                previous_epoch: generation,
                state: MemberState::Stable,
                assigned: member.assigned.iter().map(|(topic, indexes)| (*topic, since(indexes))).collect(),
                revoking: BTreeMap::new(),
            });
            made.put(turn, ConsumerRecord::Current { member: member.id, value });
        }
        made
    }

    /// Whether only members of the classic protocol are left, and the group is to be theirs again.
    pub fn is_to_be_downgraded(&self, settings: &GroupSettings) -> bool {
        !self.members.is_empty()
            && self.classic_members == self.members.len()
            && settings.consumer_migration.may_downgrade()
            && self.members.len() <= settings.members_max
    }

    /// Takes all that the log has of the group out of it, and puts a classic group of its members there. They are called to a
    /// new generation, unless one of them only took the place of another and nothing else changed.
    pub fn downgraded(&self, turn: &mut Turn<'_>, is_replacement: bool) -> ClassicGroup {
        tracing::info!(group = %self.id, epoch = self.epoch.epoch, "the consumer group becomes a classic group");
        let each = |of: fn(Arc<str>) -> ConsumerRecord| self.members.keys().map(move |id| of(id.clone()));
        let tombstones = each(|member| ConsumerRecord::Current { member, value: None })
            .chain(each(|member| ConsumerRecord::Target { member, value: None }))
            .chain(each(|member| ConsumerRecord::Member { member, value: None }))
            .chain(self.tombstones());
        let tombstones = tombstones.map(|record| GroupRecord::Consumer { group: self.id.clone(), record });
        turn.effects.records.extend(tombstones);
        let nothing = Parts::new();
        let members = self.members.values().filter_map(|member| {
            let said = &member.said;
            let classic = said.classic.as_ref()?;
            let target = self.targets.get(&member.id).unwrap_or(&nothing);
            let words = classic.protocols.first().map(|(_, words)| words.clone()).unwrap_or_default();
            let assignment = written(turn, &words, target).unwrap_or_else(|_| Bytes::new());
            let line = MemberRecord {
                id: member.id.clone(),
                instance_id: said.instance.clone(),
                client_id: said.client_id.clone(),
                client_host: said.client_host.clone(),
                rebalance_timeout_ms: said.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                subscription: words,
                assignment,
            };
            Some((line, classic.protocols.clone()))
        });
        let members = members.collect();
        let must_rebalance = !is_replacement || self.target_epoch.epoch < self.epoch.epoch;
        ClassicGroup::downgraded(turn, self.id.clone(), self.epoch.epoch, members, must_rebalance)
    }
}
