//! From one generation to the next: when members are called, how long they are waited for, who leads and which protocol
//! is spoken. Owning core only; pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::deadlines::Timer;
use super::super::java_hash;
use super::super::request::{ClassicState, GroupError};
use super::{ClassicGroup, JoinWait, Turn};

impl ClassicGroup {
    /// Something changed: calls the members, or looks whether all that were called are there.
    pub(super) fn prepare_or_complete(&mut self, turn: &mut Turn<'_>, why: &str) {
        if self.state == ClassicState::Preparing {
            self.complete_if_all_joined(turn);
        } else {
            self.prepare(turn, why);
        }
    }

    /// Calls the members to a new generation.
    pub(super) fn prepare(&mut self, turn: &mut Turn<'_>, why: &str) {
        if self.state == ClassicState::Completing {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
            }
            self.answer_syncs(turn, Err(GroupError::RebalanceInProgress));
        }
        self.unsynced.clear();
        self.sync_alarm.disarm();
        let is_new = self.state == ClassicState::Empty;
        self.enter(ClassicState::Preparing, turn.now.wall_ms);
        tracing::info!(group = %self.id, generation = self.generation, why, "rebalancing");
        if is_new {
            let delay_ms = turn.settings.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.wait_for_joins(turn, delay_ms, JoinWait::Initial { delay_ms, remaining_ms });
        } else if self.all_joined() {
            self.complete(turn);
        } else {
            self.wait_for_joins(turn, self.rebalance_timeout_ms(), JoinWait::Rebalance);
        }
    }

    /// Goes on if nobody is missing; a new group waits for its time all the same.
    pub(super) fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        if self.state == ClassicState::Preparing && self.before != ClassicState::Empty && self.all_joined() {
            self.complete(turn);
        }
    }

    /// As [`ClassicGroup::complete_if_all_joined`] when somebody is no longer waited for: a new group goes on too.
    pub(super) fn complete_if_nobody_is_missing(&mut self, turn: &mut Turn<'_>) {
        if self.state == ClassicState::Preparing && self.all_joined() {
            self.complete(turn);
        }
    }

    pub(super) fn join_time_is_over(&mut self, turn: &mut Turn<'_>) {
        if self.state != ClassicState::Preparing {
            return;
        }
        match self.join_wait {
            JoinWait::Initial { delay_ms, remaining_ms } if self.new_member_added && remaining_ms != 0 => {
                self.new_member_added = false;
                let next_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
                let remaining_ms = remaining_ms.saturating_sub(delay_ms).max(0);
                self.wait_for_joins(turn, next_ms, JoinWait::Initial { delay_ms: next_ms, remaining_ms });
            }
            JoinWait::Initial { .. } | JoinWait::Rebalance => self.complete(turn),
        }
    }

    /// Begins the next generation with whoever is there.
    fn complete(&mut self, turn: &mut Turn<'_>) {
        self.join_alarm.disarm();
        let absent = self.members.values().filter(|member| member.join.is_none() && member.instance.is_none());
        let absent: Vec<Arc<str>> = absent.map(|member| member.id.clone()).collect();
        for id in &absent {
            self.remove(turn.deadlines, id);
        }
        if !absent.is_empty() {
            tracing::info!(group = %self.id, members = absent.len(), "members did not join in time");
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // Static members all of them, and none is there: they have until their session time-outs.
            return self.wait_for_joins(turn, self.rebalance_timeout_ms(), JoinWait::Rebalance);
        }
        self.generation = self.generation.wrapping_add(1);
        self.unsynced.clear();
        self.new_member_added = false;
        if self.members.is_empty() {
            self.protocol = None;
            self.store(turn);
            tracing::info!(group = %self.id, generation = self.generation, "the group is empty");
            return;
        }
        self.protocol = self.choose_protocol();
        self.topics = self.read_topics();
        self.enter(ClassicState::Completing, turn.now.wall_ms);
        self.announce(turn);
    }

    /// Tells every member that joined of the generation, and gives all of them time to sync.
    fn announce(&mut self, turn: &mut Turn<'_>) {
        // The leader first: all others wait for its assignment.
        let others = self.members.keys().filter(|id| !self.is_leader(id));
        let ids: Vec<Arc<str>> = self.leader.iter().chain(others).cloned().collect();
        for id in &ids {
            let members = if self.is_leader(id) { self.joined_members() } else { Vec::new() };
            let joined = self.joined(id.clone(), members);
            self.answer_join(turn, id, joined);
            self.put_off_session(turn, id);
            if let Some(member) = self.members.get_mut(id) {
                member.is_new = false;
            }
            self.unsynced.insert(id.clone());
        }
        let at = turn.after(self.rebalance_timeout_ms());
        let group = &self.id;
        turn.deadlines.arm(&mut self.sync_alarm, at, || Timer::Sync { group: group.clone() });
    }

    /// Members that took too long to sync go, and the others begin again.
    pub(super) fn sync_time_is_over(&mut self, turn: &mut Turn<'_>) {
        if !matches!(self.state, ClassicState::Completing | ClassicState::Stable) || self.unsynced.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.unsynced) {
            self.remove(turn.deadlines, &id);
        }
        self.prepare(turn, "members did not sync in time");
    }

    fn wait_for_joins(&mut self, turn: &mut Turn<'_>, wait_ms: i32, what: JoinWait) {
        self.join_wait = what;
        let at = turn.after(wait_ms);
        let group = &self.id;
        turn.deadlines.arm(&mut self.join_alarm, at, || Timer::Join { group: group.clone() });
    }

    fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending.is_empty()
    }

    /// The longest of the members'.
    fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// The leader stays if it is there, or the first who is becomes it. Whether there is one.
    fn elect_leader(&mut self) -> bool {
        let is_there = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.join.is_some());
        match &self.leader {
            None => false,
            Some(leader) if is_there(leader) => true,
            Some(_) => {
                let next = self.members.values().find(|member| member.join.is_some()).map(|member| member.id.clone());
                let found = next.is_some();
                if found {
                    self.leader = next;
                }
                found
            }
        }
    }

    /// Of the protocols that all speak the one that most prefer; among equals the first in Kafka's map of votes.
    pub(super) fn choose_protocol(&self) -> Option<Arc<str>> {
        let is_spoken_by_all = |name: &Arc<str>| self.supported.of(name) == self.members.len();
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| is_spoken_by_all(name)) {
                *votes.entry(name).or_insert(0) += 1;
            }
        }
        let first = votes.into_iter().min_by_key(|(name, count)| (Reverse(*count), bucket(name)));
        first.map(|(name, _)| name.clone())
    }
}

/// The bucket of a text in a Java HashMap of the least size, which is enough for the votes on a dozen protocols.
fn bucket(name: &str) -> i32 {
    let hash = java_hash(name);
    (hash ^ (hash.cast_unsigned() >> 16).cast_signed()) & 15
}
