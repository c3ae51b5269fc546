//! All groups of one `__consumer_offsets` partition: requests, time-outs and records go to the group that they name.
//! Owning core only; pure.
//!
//! Invariant: every record in [`Effects`] is applied already, in that order.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::classic::Turn;
use super::deadlines::{Deadlines, Timer};
use super::group::{Group, Kind};
use super::offsets::{self, Offsets};
use super::record::GroupRecord;
use super::request::{Commit, GroupError, GroupReply, GroupRequest, Join, JoinRefused, ListedGroup};
use super::settings::GroupSettings;
use crate::types::Mono;

/// Both times of a step.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub mono: Mono,
    pub wall_ms: i64,
}

/// Names an asker whose answer may come in a later step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What a step asks of the shard.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be appended to the partition, as one batch.
    pub records: Vec<GroupRecord>,
    /// To be sent once everything appended so far, these records included, is durable.
    pub replies: Vec<(AskId, GroupReply)>,
}

/// The groups of one partition.
#[derive(Debug)]
pub struct Groups {
    settings: Arc<GroupSettings>,
    groups: BTreeMap<Arc<str>, Group>,
    deadlines: Deadlines,
}

impl Groups {
    pub fn new(settings: Arc<GroupSettings>) -> Groups {
        Groups { settings, groups: BTreeMap::new(), deadlines: Deadlines::default() }
    }

    /// Applies a record of the log: how a start makes the groups, and the only way by which what is durable changes.
    pub fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Offset { group, topic, partition, value } => {
                match self.groups.get_mut(group) {
                    Some(known) => known.offsets.apply(topic, *partition, value.as_ref()),
                    // Whoever stores offsets without joining makes a group too.
                    None if value.is_some() => {
                        let mut made = Group::new(group.clone());
                        made.offsets.apply(topic, *partition, value.as_ref());
                        self.groups.insert(group.clone(), made);
                    }
                    None => {}
                }
            }
            GroupRecord::Classic { group, value: Some(value) } => {
                let known = self.groups.entry(group.clone()).or_insert_with(|| Group::new(group.clone()));
                let Kind::Classic(classic) = &mut known.kind;
                classic.apply(value);
            }
            GroupRecord::Classic { group, value: None } => {
                let offsets = self.groups.remove(group).map(|known| known.offsets).unwrap_or_default();
                if !offsets.is_empty() {
                    self.groups.insert(group.clone(), Group { offsets, ..Group::new(group.clone()) });
                }
            }
        }
    }

    /// All records of the log are applied: members that were there get their time to come back.
    pub fn loaded(&mut self, now: Now) -> Effects {
        let mut effects = Effects::default();
        for group in self.groups.values_mut() {
            let mut turn =
                Turn { now, settings: &self.settings, deadlines: &mut self.deadlines, effects: &mut effects };
            let Kind::Classic(classic) = &mut group.kind;
            classic.loaded(&mut turn);
        }
        effects
    }

    /// Carries out a request. A join and a sync may be answered by a later step.
    pub fn handle(&mut self, now: Now, ask: AskId, request: GroupRequest) -> Effects {
        let mut effects = Effects::default();
        let id = request.group().clone();
        if let GroupRequest::Join(join) = &request
            && !self.settings.session_timeouts_ms.contains(&join.session_timeout_ms)
        {
            effects.replies.push((ask, refused(join, GroupError::InvalidSessionTimeout)));
            return effects;
        }
        if let GroupRequest::Join(join) = &request
            && join.member.is_empty()
            && !self.groups.contains_key(&id)
        {
            // The group is there from its first join on, whatever comes of that.
            let made = GroupRecord::Classic { group: id.clone(), value: Some(Group::first_record(now.wall_ms)) };
            self.append(made, &mut effects);
        }
        if let GroupRequest::Commit(commit) = &request {
            let reply = GroupReply::Committed(self.commit(now, commit, &mut effects));
            effects.replies.push((ask, reply));
            return effects;
        }
        let Some(group) = self.groups.get_mut(&id) else {
            effects.replies.push((ask, missing(&request)));
            return effects;
        };
        let mut turn = Turn { now, settings: &self.settings, deadlines: &mut self.deadlines, effects: &mut effects };
        let Kind::Classic(classic) = &mut group.kind;
        let reply = match request {
            GroupRequest::Join(join) => {
                classic.join(&mut turn, ask, join);
                return effects;
            }
            GroupRequest::Sync(sync) => {
                classic.sync(&mut turn, ask, sync);
                return effects;
            }
            GroupRequest::Heartbeat(member) => GroupReply::Heartbeat(classic.heartbeat(&mut turn, &member)),
            GroupRequest::Leave { members, .. } => GroupReply::Left(Ok(classic.leave(&mut turn, &members))),
            GroupRequest::FetchOffsets { topics, .. } => GroupReply::Offsets(group.offsets.fetch(topics.as_deref())),
            GroupRequest::Describe { .. } => GroupReply::Described(Ok(classic.describe())),
            GroupRequest::DeleteOffsets { topics, .. } => {
                GroupReply::OffsetsDeleted(self.delete_offsets(&id, &topics, &mut effects))
            }
            GroupRequest::Delete { .. } => GroupReply::Deleted(self.delete(&id, &mut effects)),
            GroupRequest::Commit(_) => unreachable!("answered above"),
        };
        effects.replies.push((ask, reply));
        effects
    }

    /// Fires what is due, `most` time-outs at once; what is left is due still.
    pub fn fire(&mut self, now: Now, most: usize) -> Effects {
        let mut effects = Effects::default();
        for _ in 0..most {
            let Some((place, timer)) = self.deadlines.pop(now.mono) else { break };
            let (Timer::Session { group, .. } | Timer::Join { group } | Timer::Sync { group }) = &timer;
            let Some(found) = self.groups.get_mut(group) else { continue };
            let mut turn =
                Turn { now, settings: &self.settings, deadlines: &mut self.deadlines, effects: &mut effects };
            let Kind::Classic(classic) = &mut found.kind;
            classic.fire(&mut turn, place, &timer);
        }
        effects
    }

    /// When [`Groups::fire`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.next()
    }

    /// Removes expired offsets, and groups that are left empty, among `most` groups after `from`; the last one looked at,
    /// or `None` when there are no more.
    pub fn expire(&mut self, now: Now, from: Option<&Arc<str>>, most: usize) -> (Effects, Option<Arc<str>>) {
        let mut effects = Effects::default();
        let start = from.map_or(Bound::Unbounded, Bound::Excluded);
        let ids: Vec<Arc<str>> =
            self.groups.range::<Arc<str>, _>((start, Bound::Unbounded)).take(most).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            let Some(group) = self.groups.get(id) else { continue };
            let Kind::Classic(classic) = &group.kind;
            let is_read = |topic: &str| classic.reads(topic);
            let from = classic.offsets_expire_from();
            let expired = group.offsets.expired(id, from, is_read, &self.settings, now.wall_ms);
            for record in expired {
                self.append(record, &mut effects);
            }
            if self.groups.get(id).is_some_and(|group| group.offsets.is_empty() && group.may_be_deleted().is_ok()) {
                self.append(GroupRecord::Classic { group: id.clone(), value: None }, &mut effects);
            }
        }
        let last = if ids.len() < most { None } else { ids.last().cloned() };
        (effects, last)
    }

    /// Topics are gone, and with them all offsets in them.
    pub fn forget_topics(&mut self, is_gone: impl Fn(&str) -> bool) -> Effects {
        let mut effects = Effects::default();
        let gone: Vec<GroupRecord> =
            self.groups.iter().flat_map(|(id, group)| group.offsets.topic_tombstones(id, &is_gone)).collect();
        for record in gone {
            self.append(record, &mut effects);
        }
        effects
    }

    /// All groups, by id.
    pub fn list(&self) -> Vec<ListedGroup> {
        let listed = self.groups.iter().map(|(id, group)| {
            let Kind::Classic(classic) = &group.kind;
            classic.list(id)
        });
        listed.collect()
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn commit(
        &mut self,
        now: Now,
        commit: &Commit,
        effects: &mut Effects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        match self.groups.get_mut(&commit.member.group) {
            Some(group) => {
                let Kind::Classic(classic) = &mut group.kind;
                let mut turn = Turn { now, settings: &self.settings, deadlines: &mut self.deadlines, effects };
                classic.may_commit(&mut turn, &commit.member)?;
            }
            // Nobody's member: the group is made by the offsets.
            None if commit.member.generation < 0 => {}
            None if commit.knows_missing_group => return Err(GroupError::UnknownGroup),
            None => return Err(GroupError::IllegalGeneration),
        }
        let (records, results) = offsets::commit(commit, &self.settings, now.wall_ms);
        for record in records {
            self.append(record, effects);
        }
        Ok(results)
    }

    fn delete_offsets(
        &mut self,
        id: &Arc<str>,
        topics: &[(Arc<str>, Vec<i32>)],
        effects: &mut Effects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self.groups.get(id).ok_or(GroupError::UnknownGroup)?;
        let Kind::Classic(classic) = &group.kind;
        classic.may_delete_offsets()?;
        let (mut results, mut records) = (Vec::new(), Vec::new());
        for (topic, partitions) in topics {
            let answer = if classic.reads(topic) { Err(GroupError::Subscribed) } else { Ok(()) };
            if answer.is_ok() {
                records.extend(group.offsets.tombstones(id, topic, partitions));
            }
            results.extend(partitions.iter().map(|_| answer));
        }
        for record in records {
            self.append(record, effects);
        }
        Ok(results)
    }

    fn delete(&mut self, id: &Arc<str>, effects: &mut Effects) -> Result<(), GroupError> {
        let group = self.groups.get(id).ok_or(GroupError::UnknownGroup)?;
        group.may_be_deleted()?;
        for record in group.offsets.topic_tombstones(id, |_| true) {
            self.append(record, effects);
        }
        self.append(GroupRecord::Classic { group: id.clone(), value: None }, effects);
        Ok(())
    }

    fn append(&mut self, record: GroupRecord, effects: &mut Effects) {
        self.apply(&record);
        effects.records.push(record);
    }
}

fn refused(join: &Join, error: GroupError) -> GroupReply {
    GroupReply::Joined(Err(JoinRefused { error, member: join.member.clone(), not_the_member: false }))
}

/// What a request gets whose group does not exist.
fn missing(request: &GroupRequest) -> GroupReply {
    match request {
        GroupRequest::Join(join) => refused(join, GroupError::UnknownMember),
        GroupRequest::Sync(_) => GroupReply::Synced(Err(GroupError::UnknownMember)),
        GroupRequest::Heartbeat(_) => GroupReply::Heartbeat(Err(GroupError::UnknownMember)),
        GroupRequest::Leave { .. } => GroupReply::Left(Err(GroupError::UnknownMember)),
        GroupRequest::Commit(_) => GroupReply::Committed(Err(GroupError::UnknownGroup)),
        GroupRequest::FetchOffsets { topics, .. } => GroupReply::Offsets(Offsets::default().fetch(topics.as_deref())),
        GroupRequest::DeleteOffsets { .. } => GroupReply::OffsetsDeleted(Err(GroupError::UnknownGroup)),
        GroupRequest::Describe { .. } => GroupReply::Described(Err(GroupError::UnknownGroup)),
        GroupRequest::Delete { .. } => GroupReply::Deleted(Err(GroupError::UnknownGroup)),
    }
}

#[cfg(test)]
impl Groups {
    /// Whether a coordinator that replayed the log has what this one has, but for rebalances that are under way here.
    pub fn agrees_with(&self, replayed: &Groups) -> Result<(), String> {
        let ids = |groups: &Groups| groups.groups.keys().cloned().collect::<Vec<_>>();
        if ids(self) != ids(replayed) {
            return Err(format!("groups {:?}, replayed {:?}", ids(self), ids(replayed)));
        }
        for (id, live) in &self.groups {
            let Some(other) = replayed.groups.get(id) else { return Err(format!("{id} is not replayed")) };
            if live.offsets != other.offsets {
                return Err(format!("{:?}, replayed {:?}", live.offsets, other.offsets));
            }
            let (Kind::Classic(live), Kind::Classic(other)) = (&live.kind, &other.kind);
            if let Some((live, other)) = live.at_rest().map(|live| (live, other.at_rest()))
                && Some(&live) != other.as_ref()
            {
                return Err(format!("{live:?}, replayed {other:?}"));
            }
        }
        Ok(())
    }
}
