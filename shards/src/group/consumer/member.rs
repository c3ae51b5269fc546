//! One member of a consumer group. Owning core only; plain state.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::deadlines::{Alarm, Deadlines};
use super::super::memory::TOPIC;
use super::record::{Current, MemberSaid, MemberState, Owned, Parts};
use crate::types::TopicId;

/// A static member that is away for a short while has this epoch.
pub const AWAY: i32 = -2;

#[derive(Debug)]
pub struct Member {
    pub id: Arc<str>,
    pub said: MemberSaid,
    pub current: Current,
    /// It must be heard of before.
    pub session: Alarm,
    /// It must have given up before what it is to give up.
    pub rebalance: Alarm,
}

impl MemberSaid {
    /// Of a member that has said nothing yet.
    pub fn nothing() -> MemberSaid {
        MemberSaid {
            instance: None,
            rack: None,
            client_id: "".into(),
            client_host: "".into(),
            topics: BTreeSet::new(),
            regex: None,
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }

    /// What it holds, about.
    pub fn bytes(&self) -> usize {
        let texts = [&self.instance, &self.rack, &self.regex, &self.assignor].into_iter().flatten();
        let topics = self.topics.iter().map(|topic| TOPIC + topic.len());
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        texts.map(|text| text.len()).sum::<usize>()
            + self.client_id.len()
            + self.client_host.len()
            + topics.sum::<usize>()
            + protocols.map(|(name, words)| name.len() + words.len()).sum::<usize>()
    }

    /// The expression that it reads by, if it has one.
    pub fn pattern(&self) -> Option<&Arc<str>> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }
}

impl Member {
    pub fn new(id: Arc<str>) -> Member {
        Member {
            id,
            said: MemberSaid::nothing(),
            current: Current::default(),
            session: Alarm::default(),
            rebalance: Alarm::default(),
        }
    }

    pub fn cancel_all(&mut self, deadlines: &mut Deadlines) {
        deadlines.cancel(&mut self.session);
        deadlines.cancel(&mut self.rebalance);
    }

    /// Whether it has all of the target of this epoch.
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == target_epoch
    }
}

impl Current {
    /// What the member may read.
    pub fn assigned_parts(&self) -> Parts {
        parts_of(&self.assigned)
    }

    /// As [`Current::held`], by topic.
    pub fn held_parts(&self) -> Parts {
        let mut parts = Parts::default();
        self.held().for_each(|(topic, index)| {
            parts.entry(topic).or_default().insert(index);
        });
        parts
    }

    /// All partitions that nobody else may have.
    pub fn held(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        let all = self.assigned.iter().chain(&self.revoking);
        all.flat_map(|(topic, epochs)| epochs.keys().map(move |index| (*topic, *index)))
    }
}

/// Partitions without their epochs.
pub fn parts_of(owned: &Owned) -> Parts {
    owned.iter().map(|(topic, epochs)| (*topic, epochs.keys().copied().collect())).collect()
}

/// The epoch at which a partition was given to its owner.
pub fn epoch_in(owned: &Owned, topic: TopicId, index: i32) -> Option<i32> {
    owned.get(&topic)?.get(&index).copied()
}
