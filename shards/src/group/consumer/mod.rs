//! Consumer groups whose assignment is the broker's (KIP-848): members send heartbeats, the group computes a target, and
//! every member moves toward its part of it on its own. Owning core only; pure.
//!
//! `heartbeat` is the one request, `subscription` what members read, `target` who shall read what (with `assign`),
//! `reconcile` a member's next step, `leave` departures by request or by silence, `describe` what others are told. While a
//! group changes its protocol, `classic` serves the members that speak the other one, and `convert` makes it of a classic
//! group, or a classic group of it.
//!
//! Invariant: everything but time-outs is in the log; of a partition there is at most one holder.

pub mod assign;
mod classic;
mod convert;
mod describe;
mod format;
mod heartbeat;
mod leave;
mod member;
mod pattern;
mod reconcile;
mod record;
mod subscription;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;

pub use self::convert::UpgradedMember;
pub use self::format::{decode, encode};
use self::member::{Member, epoch_in};
pub use self::record::{
    ClassicSaid, ConsumerRecord, Current, GroupEpoch, MemberSaid, MemberState, Parts, ResolvedRegex, TargetEpoch,
};
use super::deadlines::{Deadlines, Place, Timer};
use super::memory;
use super::offsets::ExpiryFrom;
use super::record::GroupRecord;
use super::request::{Commit, GroupError};
use super::tally::Tally;
use super::turn::Turn;
use crate::catalog::Catalog;
use crate::planted::{PlantedFault, is_planted};
use crate::types::TopicId;

#[derive(Debug)]
pub struct ConsumerGroup {
    id: Arc<str>,
    epoch: GroupEpoch,
    target_epoch: TargetEpoch,
    members: BTreeMap<Arc<str>, Member>,
    /// How many of them speak the classic protocol.
    classic_members: usize,
    /// What members, and the topics of expressions, hold.
    bytes: usize,
    /// Member → its part of the target.
    targets: BTreeMap<Arc<str>, Parts>,
    /// Instance → member.
    statics: BTreeMap<Arc<str>, Arc<str>>,
    regexes: BTreeMap<Arc<str>, ResolvedRegex>,
    /// The topics and the expressions that members name.
    named: Tally,
    patterns: Tally,
    /// Every partition that somebody holds, and who: assigned to it, or not given up yet.
    holders: HashMap<(TopicId, i32), Arc<str>>,
    /// The state of the topics that the epoch takes account of; `None` after a start.
    topics_seen: Option<u64>,
}

impl ConsumerGroup {
    /// Kafka counts from 1; the first member that reads anything makes it 2.
    pub fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup {
            id,
            epoch: GroupEpoch { epoch: 1, metadata_hash: 0 },
            target_epoch: TargetEpoch::default(),
            members: BTreeMap::new(),
            classic_members: 0,
            bytes: 0,
            targets: BTreeMap::new(),
            statics: BTreeMap::new(),
            regexes: BTreeMap::new(),
            named: Tally::default(),
            patterns: Tally::default(),
            holders: HashMap::new(),
            topics_seen: None,
        }
    }

    /// How a record changes the group, live and at a start alike. The group's own tombstone is not for it.
    pub fn apply(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Epoch(value) => self.epoch = value.unwrap_or(self.epoch),
            ConsumerRecord::TargetEpoch(value) => self.target_epoch = value.unwrap_or_default(),
            ConsumerRecord::Member { member, value: Some(said) } => self.take_word(member, said),
            ConsumerRecord::Member { member, value: None } => self.forget(member),
            ConsumerRecord::Target { member, value } => match value {
                Some(parts) => drop(self.targets.insert(member.clone(), parts.clone())),
                None => drop(self.targets.remove(member)),
            },
            ConsumerRecord::Current { member, value: Some(current) } => self.take_place(member, current),
            ConsumerRecord::Current { member, value: None } => {
                if self.members.contains_key(member) {
                    self.take_place(member, &Current { epoch: -1, previous_epoch: -1, ..Current::default() });
                }
            }
            ConsumerRecord::Regex { regex, value } => {
                self.bytes += value.as_ref().map_or(0, ResolvedRegex::bytes);
                let before = match value {
                    Some(resolved) => self.regexes.insert(regex.clone(), resolved.clone()),
                    None => self.regexes.remove(regex),
                };
                self.bytes -= before.as_ref().map_or(0, ResolvedRegex::bytes);
            }
        }
    }

    fn take_word(&mut self, id: &Arc<str>, said: &MemberSaid) {
        let member = self.members.entry(id.clone()).or_insert_with(|| Member::new(id.clone()));
        if let Some(instance) = &said.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.classic_members -= usize::from(member.said.classic.is_some());
        self.classic_members += usize::from(said.classic.is_some());
        self.bytes += said.bytes();
        self.bytes -= member.said.bytes();
        let before = std::mem::replace(&mut member.said, said.clone());
        if before.topics != said.topics || before.pattern() != said.pattern() {
            self.count_read(&before, -1);
            self.count_read(said, 1);
        }
    }

    /// A member reads, with 1, or reads no longer, with -1, what it says.
    fn count_read(&mut self, said: &MemberSaid, by: isize) {
        said.topics.iter().for_each(|topic| self.named.add(topic, by));
        said.pattern().into_iter().for_each(|pattern| self.patterns.add(pattern, by));
    }

    fn take_place(&mut self, id: &Arc<str>, current: &Current) {
        let member = self.members.entry(id.clone()).or_insert_with(|| Member::new(id.clone()));
        for part in member.current.held() {
            if self.holders.get(&part) == Some(id) {
                self.holders.remove(&part);
            }
        }
        member.current = current.clone();
        for part in member.current.held() {
            self.holders.insert(part, id.clone());
        }
    }

    fn forget(&mut self, id: &Arc<str>) {
        let Some(member) = self.members.remove(id) else { return };
        self.classic_members -= usize::from(member.said.classic.is_some());
        self.bytes -= member.said.bytes();
        self.count_read(&member.said, -1);
        for part in member.current.held() {
            if self.holders.get(&part) == Some(id) {
                self.holders.remove(&part);
            }
        }
        // A static member that came back has its instance under another id by now.
        if let Some(instance) = &member.said.instance
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    /// Puts a record into the log and into the group.
    fn put(&mut self, turn: &mut Turn<'_>, record: ConsumerRecord) {
        if let ConsumerRecord::Member { member, value: None } = &record
            && let Some(gone) = self.members.get_mut(member)
        {
            gone.cancel_all(turn.deadlines);
        }
        self.apply(&record);
        turn.effects.records.push(GroupRecord::Consumer { group: self.id.clone(), record });
    }

    /// The log is read: members that are there must be heard of, and go on with what they were about.
    pub fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            self.put_off_session(turn, &id);
            self.time_revocation(turn, &id);
        }
    }

    /// The group is gone, or is of another kind.
    pub fn cancel_all(&mut self, deadlines: &mut Deadlines) {
        self.members.values_mut().for_each(|member| member.cancel_all(deadlines));
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.members.len() * memory::CONSUMER + self.holders.len() * memory::PARTITION
    }

    pub(super) fn bytes_of(&self, id: &str) -> usize {
        self.members.get(id).map_or(0, |member| memory::CONSUMER + member.id.len() + member.said.bytes())
    }

    /// Whether the group reads a topic.
    pub fn reads(&self, topic: &str) -> bool {
        self.named.has(topic) || self.regexes.values().any(|resolved| resolved.topics.contains(topic))
    }

    pub fn offsets_expire_from(&self) -> ExpiryFrom {
        ExpiryFrom::Commit
    }

    /// Tombstones of all that the log has of an empty group.
    pub fn tombstones(&self) -> Vec<ConsumerRecord> {
        let mut records = vec![ConsumerRecord::TargetEpoch(None)];
        records.extend(self.regexes.keys().map(|regex| ConsumerRecord::Regex { regex: regex.clone(), value: None }));
        records.push(ConsumerRecord::Epoch(None));
        records
    }

    /// Whether the member may store these offsets. One that is an epoch or more behind may for what it has held since.
    pub fn may_commit(&self, commit: &Commit, catalog: &Catalog) -> Result<(), GroupError> {
        let by = &commit.member;
        if by.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.members.get(&by.member).ok_or(GroupError::UnknownMember)?;
        if member.said.classic.is_none() && !commit.knows_missing_group {
            return Err(GroupError::UnsupportedVersion);
        }
        let stale = if member.said.classic.is_some() { GroupError::IllegalGeneration } else { GroupError::StaleEpoch };
        if by.generation == member.current.epoch {
            return Ok(());
        }
        if by.generation > member.current.epoch || by.generation < 0 {
            return Err(stale);
        }
        for one in &commit.offsets {
            let id = match one.topic_id {
                TopicId::ZERO => catalog.topic(&one.topic).ok_or(stale)?.id,
                given => given,
            };
            let held = epoch_in(&member.current.assigned, id, one.partition)
                .or_else(|| epoch_in(&member.current.revoking, id, one.partition));
            if held.is_none_or(|since| by.generation < since) {
                return Err(stale);
            }
        }
        Ok(())
    }

    /// Whether somebody may ask for offsets; `None`: it does not say that it is a member.
    pub fn may_fetch(&self, member: Option<&(Arc<str>, i32)>) -> Result<(), GroupError> {
        let Some((id, epoch)) = member else { return Ok(()) };
        let member = self.members.get(id).ok_or(GroupError::UnknownMember)?;
        match (member.current.epoch == *epoch, &member.said.classic) {
            (true, _) => Ok(()),
            (false, None) => Err(GroupError::StaleEpoch),
            (false, Some(_)) => Err(GroupError::IllegalGeneration),
        }
    }

    /// A time-out has its place now; acts if it is still meant.
    pub fn fire(&mut self, turn: &mut Turn<'_>, place: Place, timer: &Timer) {
        let (Timer::Session { member, .. } | Timer::Revocation { member, .. }) = timer else { return };
        if is_planted(PlantedFault::DeadMemberKept) {
            return;
        }
        let Some(known) = self.members.get_mut(member) else { return };
        let (alarm, why) = match timer {
            Timer::Revocation { .. } if known.said.classic.is_some() => {
                (&mut known.rebalance, "it did not join or sync in time")
            }
            Timer::Revocation { .. } => (&mut known.rebalance, "it did not give up in time what it was asked to"),
            _ => (&mut known.session, "it was silent for its session time-out"),
        };
        if turn.deadlines.is_due(alarm, place, turn.now.mono, timer) {
            tracing::info!(group = %self.id, %member, why, "a member is fenced");
            self.remove_members(turn, &BTreeSet::from([member.clone()]));
        }
    }

    /// The member has its session time-out again.
    fn put_off_session(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let at = turn.after(match &member.said.classic {
            Some(said) => said.session_timeout_ms,
            None => turn.catalog.group_config(&self.id).session_timeout_ms,
        });
        turn.deadlines.arm(&mut member.session, at, || Timer::Session { group: self.id.clone(), member: id.clone() });
    }

    /// A member that is to give something up has its rebalance time-out for it. One of the classic protocol has that for its
    /// next request instead.
    fn time_revocation(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get_mut(id).filter(|member| member.said.classic.is_none()) else { return };
        if member.current.state != MemberState::UnrevokedPartitions {
            return member.rebalance.disarm();
        }
        let at = turn.after(member.said.rebalance_timeout_ms);
        turn.deadlines.arm(&mut member.rebalance, at, || revocation(&self.id, id));
    }
}

/// The protocol type of the members of the classic protocol.
const CLASSIC_PROTOCOL: &str = "consumer";

/// The end of a member's time to do what it was asked to.
fn revocation(group: &Arc<str>, member: &Arc<str>) -> Timer {
    Timer::Revocation { group: group.clone(), member: member.clone() }
}

/// The same in the log; time-outs apart.
#[cfg(test)]
impl PartialEq for ConsumerGroup {
    fn eq(&self, other: &ConsumerGroup) -> bool {
        let members = |group: &ConsumerGroup| {
            group
                .members
                .values()
                .map(|one| (one.id.clone(), one.said.clone(), one.current.clone()))
                .collect::<Vec<_>>()
        };
        self.epoch == other.epoch
            && self.target_epoch == other.target_epoch
            && members(self) == members(other)
            && self.targets == other.targets
            && self.statics == other.statics
            && self.regexes == other.regexes
            && self.named == other.named
            && self.patterns == other.patterns
            && self.holders == other.holders
    }
}
