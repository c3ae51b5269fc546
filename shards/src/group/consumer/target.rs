//! The target assignment: who shall read what, computed for the whole group when its epoch is ahead. Owning core only; pure.
//!
//! Invariant: a new target is not computed before the interval since the last one is over, so that members that come
//! together cost one rebalance.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::super::turn::Turn;
use super::assign::{Assignor, Subscriber};
use super::record::{ConsumerRecord, TargetEpoch};
use super::{ConsumerGroup, Parts};
use crate::types::TopicId;

impl ConsumerGroup {
    /// Computes a target for the group's epoch, if there is none and the time has come.
    pub(super) fn compute_target_if_due(&mut self, turn: &mut Turn<'_>) {
        if self.target_epoch.epoch >= self.epoch.epoch || !self.may_compute_target(turn) {
            return;
        }
        let assignor = self.assignor();
        let partitions = self.read_topics(turn.catalog);
        // Most say the same, and what that stands for is looked up once.
        let mut known: BTreeMap<_, Rc<BTreeSet<TopicId>>> = BTreeMap::new();
        let subscribers = self.members.values().map(|member| {
            let said = &member.said;
            let topics = known.entry((said.pattern(), &said.topics));
            Subscriber {
                name: said.instance.as_ref().unwrap_or(&member.id).clone(),
                topics: topics.or_insert_with(|| Rc::new(self.topics_of(said, turn.catalog))).clone(),
                has: self.targets.get(&member.id).cloned().unwrap_or_default(),
            }
        });
        let subscribers: Vec<Subscriber> = subscribers.collect();
        let parts = assignor.assign(&subscribers, &partitions);
        let assigned: Vec<(Arc<str>, Parts)> = self.members.keys().cloned().zip(parts).collect();
        for (member, parts) in assigned {
            if self.targets.get(&member) != Some(&parts) {
                self.put(turn, ConsumerRecord::Target { member, value: Some(parts) });
            }
        }
        let target = TargetEpoch { epoch: self.epoch.epoch, at_ms: turn.now.wall_ms };
        self.put(turn, ConsumerRecord::TargetEpoch(Some(target)));
    }

    fn may_compute_target(&self, turn: &Turn<'_>) -> bool {
        let (last_ms, now_ms) = (self.target_epoch.at_ms, turn.now.wall_ms);
        let interval_ms = i64::from(turn.catalog.group_config(&self.id).assignment_interval_ms);
        // A clock that was set back must not hold a group up.
        last_ms == 0 || now_ms < last_ms || now_ms - last_ms >= interval_ms
    }

    /// The assignor that most members would like.
    pub(super) fn assignor(&self) -> Assignor {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.said.assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let liked = votes.into_iter().max_by_key(|(_, count)| *count).and_then(|(name, _)| Assignor::named(name));
        liked.unwrap_or(Assignor::Uniform)
    }
}
