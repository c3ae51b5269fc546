//! All groups of one `__consumer_offsets` partition: requests, time-outs and records go to the group that they name.
//! Owning core only; pure.
//!
//! Invariant: every record in [`Effects`] is applied already, in that order.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::classic::ClassicGroup;
use super::consumer::{ConsumerGroup, ConsumerRecord};
use super::deadlines::Deadlines;
use super::forget::Forgetting;
use super::group::{Group, Kind};
use super::offsets::{self, Offsets};
use super::record::GroupRecord;
use super::request::{
    Commit, ConsumerBeat, ConsumerTold, GroupError, GroupReply, GroupRequest, Join, JoinRefused, ListedGroup, Refused,
};
use super::settings::GroupSettings;
use super::turn::Turn;
use crate::catalog::Catalog;
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
    /// To be appended to the partition; those of one group as one batch.
    pub records: Vec<GroupRecord>,
    /// To be sent once everything appended so far, these records included, is durable.
    pub replies: Vec<(AskId, GroupReply)>,
}

/// The groups of one partition.
#[derive(Debug)]
pub struct Groups {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) deadlines: Deadlines,
    pub(super) forgetting: Forgetting,
    /// What all of them hold, about.
    pub(super) bytes: usize,
}

impl Groups {
    pub fn new(settings: Arc<GroupSettings>) -> Groups {
        Groups {
            settings,
            groups: BTreeMap::new(),
            deadlines: Deadlines::default(),
            forgetting: Forgetting::default(),
            bytes: 0,
        }
    }

    /// Applies a record of the log: how a start makes the groups, and the only way by which what is durable changes.
    pub fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Offset { group, topic, partition, value } => {
                if value.is_some() {
                    self.forgetting.note_stored(group, topic, *partition);
                }
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
                if let Kind::Consumer(_) = known.kind {
                    known.kind = Kind::Classic(ClassicGroup::new(group.clone()));
                }
                if let Kind::Classic(classic) = &mut known.kind {
                    classic.apply(value);
                }
            }
            // Of a group that is another kind by now, the tombstone says nothing.
            GroupRecord::Classic { group, value: None } if self.is_classic(group) => self.forget(group),
            GroupRecord::Consumer { group, record: ConsumerRecord::Epoch(None) } if !self.is_classic(group) => {
                self.forget(group);
            }
            GroupRecord::Classic { value: None, .. } => {}
            GroupRecord::Consumer { group, record } => self.apply_consumer(group, record),
        }
        self.count(record.group());
    }

    fn apply_consumer(&mut self, group: &Arc<str>, record: &ConsumerRecord) {
        // A tombstone makes no group.
        if record.is_tombstone() && self.is_classic(group) {
            return;
        }
        let known = self.groups.entry(group.clone()).or_insert_with(|| Group::new(group.clone()));
        if let Kind::Classic(_) = known.kind {
            known.kind = Kind::Consumer(Box::new(ConsumerGroup::new(group.clone())));
        }
        if let Kind::Consumer(consumer) = &mut known.kind {
            consumer.apply(record);
        }
    }

    /// Whether an offset is stored of the partition that this record has one of.
    pub fn has_stored(&self, record: &GroupRecord) -> bool {
        let GroupRecord::Offset { group, topic, partition, .. } = record else { return false };
        self.groups.get(group).is_some_and(|known| known.offsets.get(topic, *partition).is_some())
    }

    /// Whether a group is classic, or does not exist.
    fn is_classic(&self, group: &str) -> bool {
        self.groups.get(group).is_none_or(|known| matches!(known.kind, Kind::Classic(_)))
    }

    /// The group is gone; its offsets, if it has any, are a group of their own.
    fn forget(&mut self, group: &Arc<str>) {
        let Some(mut known) = self.groups.remove(group) else { return };
        self.discount(&known);
        known.kind.cancel_all(&mut self.deadlines);
        let offsets = known.offsets;
        if !offsets.is_empty() {
            self.groups.insert(group.clone(), Group { offsets, ..Group::new(group.clone()) });
        }
    }

    /// All records of the log are applied: members that were there get their time to come back. For `most` groups behind
    /// `from`; the last one, or `None` when there are no more.
    pub fn loaded(
        &mut self,
        now: Now,
        catalog: &Catalog,
        from: Option<&Arc<str>>,
        most: usize,
        effects: &mut Effects,
    ) -> Option<Arc<str>> {
        let (mut count, mut last) = (0, None);
        for (id, group) in self.groups.range_mut::<Arc<str>, _>(behind(from)).take(most) {
            let mut turn = Turn { now, settings: &self.settings, catalog, deadlines: &mut self.deadlines, effects };
            match &mut group.kind {
                Kind::Classic(classic) => classic.loaded(&mut turn),
                Kind::Consumer(consumer) => consumer.loaded(&mut turn),
            }
            (count, last) = (count + 1, Some(id));
        }
        last.filter(|_| count == most).cloned()
    }

    /// Carries out a request. A join and a sync may be answered by a later step.
    pub fn handle(&mut self, now: Now, catalog: &Catalog, ask: AskId, request: GroupRequest) -> Effects {
        let id = request.group().clone();
        let effects = self.carry_out(now, catalog, ask, &id, request);
        self.count(&id);
        effects
    }

    fn carry_out(&mut self, now: Now, catalog: &Catalog, ask: AskId, id: &Arc<str>, request: GroupRequest) -> Effects {
        let mut effects = Effects::default();
        if let GroupRequest::Join(join) = &request {
            if !self.settings.session_timeouts_ms.contains(&join.session_timeout_ms) {
                effects.replies.push((ask, refused(join, GroupError::InvalidSessionTimeout)));
                return effects;
            }
            self.make_room_for(now, join, &mut effects);
        }
        let reply = match request {
            GroupRequest::Commit(commit) => GroupReply::Committed(self.commit(now, catalog, &commit, &mut effects)),
            GroupRequest::ConsumerBeat(beat) => {
                GroupReply::ConsumerBeat(self.consumer_beat(now, catalog, &beat, &mut effects))
            }
            GroupRequest::DeleteOffsets { topics, .. } => {
                GroupReply::OffsetsDeleted(self.delete_offsets(id, &topics, &mut effects))
            }
            GroupRequest::Delete { .. } => GroupReply::Deleted(self.delete(id, &mut effects)),
            request => {
                let Some(group) = self.groups.get_mut(id) else {
                    effects.replies.push((ask, missing(&request, catalog)));
                    return effects;
                };
                let (settings, deadlines) = (&self.settings, &mut self.deadlines);
                let mut turn = Turn { now, settings, catalog, deadlines, effects: &mut effects };
                match &mut group.kind {
                    Kind::Consumer(consumer) => {
                        let reply = consumer_reply(consumer, &group.offsets, &mut turn, &request);
                        // Whoever only reads may ask while nothing can be stored.
                        if !request.only_reads() {
                            let is_replacement = matches!(request, GroupRequest::Join(_));
                            self.downgrade_if_due(now, catalog, id, is_replacement, &mut effects);
                        }
                        reply
                    }
                    Kind::Classic(classic) => match request {
                        GroupRequest::Join(join) => {
                            classic.join(&mut turn, ask, join);
                            return effects;
                        }
                        GroupRequest::Sync(sync) => {
                            classic.sync(&mut turn, ask, sync);
                            return effects;
                        }
                        request => classic_reply(classic, &group.offsets, &mut turn, &request),
                    },
                }
            }
        };
        effects.replies.push((ask, reply));
        effects
    }

    /// A group is there from its first join on, whatever comes of that. An empty group of the other kind makes way.
    fn make_room_for(&mut self, now: Now, join: &Join, effects: &mut Effects) {
        if let Some(known) = self.groups.get(&join.group)
            && matches!(known.kind, Kind::Consumer(_))
            && known.kind.is_empty()
        {
            for record in known.tombstones(&join.group) {
                self.append(record, effects);
            }
        }
        if join.member.is_empty() && !self.groups.contains_key(&join.group) {
            let made =
                GroupRecord::Classic { group: join.group.clone(), value: Some(Group::first_record(now.wall_ms)) };
            self.append(made, effects);
        }
    }

    fn consumer_beat(
        &mut self,
        now: Now,
        catalog: &Catalog,
        beat: &ConsumerBeat,
        effects: &mut Effects,
    ) -> Result<ConsumerTold, Refused> {
        match self.groups.get_mut(&beat.group).map(|known| &mut known.kind) {
            Some(Kind::Consumer(consumer)) => {
                let (settings, deadlines) = (&self.settings, &mut self.deadlines);
                let told = consumer.heartbeat(&mut Turn { now, settings, catalog, deadlines, effects }, beat);
                self.downgrade_if_due(now, catalog, &beat.group, false, effects);
                told
            }
            Some(Kind::Classic(_)) if beat.epoch != 0 => {
                let why = format!("Group {} is not a consumer group.", beat.group);
                Err(Refused { error: GroupError::NotConsumer, why })
            }
            None if beat.epoch != 0 => Err(no_consumer_group(&beat.group)),
            Some(Kind::Classic(_)) | None => self.upgrade(now, catalog, beat, effects),
        }
    }

    /// Does what is due, `most` time-outs and groups with offsets of gone topics at once; what is left is due still. Who goes
    /// from a consumer group ends it: the new epoch is made of all that its members read.
    pub fn fire(&mut self, now: Now, catalog: &Catalog, most: usize) -> Effects {
        let mut effects = Effects::default();
        // Half of a step at most, so that nobody's time-out waits for it.
        let most = most - self.forget_some(most.div_ceil(2), &mut effects);
        for _ in 0..most {
            let Some((place, timer)) = self.deadlines.pop(now.mono) else { break };
            let Some(found) = self.groups.get_mut(timer.group()) else { continue };
            let (is_consumer, before) = (matches!(found.kind, Kind::Consumer(_)), effects.records.len());
            let (settings, deadlines) = (&self.settings, &mut self.deadlines);
            let mut turn = Turn { now, settings, catalog, deadlines, effects: &mut effects };
            match &mut found.kind {
                Kind::Classic(classic) => classic.fire(&mut turn, place, &timer),
                Kind::Consumer(consumer) => consumer.fire(&mut turn, place, &timer),
            }
            self.downgrade_if_due(now, catalog, timer.group(), false, &mut effects);
            self.count(timer.group());
            if is_consumer && effects.records.len() > before {
                break;
            }
        }
        effects
    }

    /// When [`Groups::fire`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.is_forgetting() { Some(Mono(0)) } else { self.deadlines.next() }
    }

    /// Removes expired offsets, and groups that are left empty, among `most` groups after `from`; the last one looked at,
    /// or `None` when there are no more.
    pub fn expire(&mut self, now: Now, from: Option<&Arc<str>>, most: usize) -> (Effects, Option<Arc<str>>) {
        let mut effects = Effects::default();
        let ids: Vec<Arc<str>> =
            self.groups.range::<Arc<str>, _>(behind(from)).take(most).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            let Some(group) = self.groups.get(id) else { continue };
            let is_read = |topic: &str| group.kind.reads(topic);
            let from = group.kind.offsets_expire_from();
            let expired = group.offsets.expired(id, from, is_read, &self.settings, now.wall_ms);
            for record in expired {
                self.append(record, &mut effects);
            }
            let Some(group) = self.groups.get(id) else { continue };
            if group.offsets.is_empty() && group.may_be_deleted().is_ok() {
                for record in group.tombstones(id) {
                    self.append(record, &mut effects);
                }
            }
        }
        let last = if ids.len() < most { None } else { ids.last().cloned() };
        (effects, last)
    }

    /// The first `most` groups behind `from`, by id.
    pub fn list(&self, from: Option<&Arc<str>>, most: usize) -> impl Iterator<Item = ListedGroup> {
        self.groups.range::<Arc<str>, _>(behind(from)).take(most).map(|(id, group)| group.kind.list(id))
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
        catalog: &Catalog,
        commit: &Commit,
        effects: &mut Effects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        match self.groups.get_mut(&commit.member.group) {
            Some(Group { kind: Kind::Consumer(consumer), .. }) => consumer.may_commit(commit, catalog)?,
            Some(Group { kind: Kind::Classic(classic), .. }) => {
                let (settings, deadlines) = (&self.settings, &mut self.deadlines);
                classic.may_commit(&mut Turn { now, settings, catalog, deadlines, effects }, &commit.member)?;
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
        group.kind.may_delete_offsets()?;
        let (mut results, mut records) = (Vec::new(), Vec::new());
        for (topic, partitions) in topics {
            let answer = if group.kind.reads(topic) { Err(GroupError::Subscribed) } else { Ok(()) };
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
        let mut records = group.offsets.all_tombstones(id);
        records.extend(group.tombstones(id));
        for record in records {
            self.append(record, effects);
        }
        Ok(())
    }

    pub(super) fn append(&mut self, record: GroupRecord, effects: &mut Effects) {
        self.apply(&record);
        effects.records.push(record);
    }
}

/// All ids that come after this one; all there are without one.
fn behind(from: Option<&Arc<str>>) -> (Bound<&Arc<str>>, Bound<&Arc<str>>) {
    (from.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// What a classic group answers at once.
fn classic_reply(
    classic: &mut ClassicGroup,
    offsets: &Offsets,
    turn: &mut Turn<'_>,
    request: &GroupRequest,
) -> GroupReply {
    match request {
        GroupRequest::Heartbeat(member) => GroupReply::Heartbeat(classic.heartbeat(turn, member)),
        GroupRequest::Leave { members, .. } => GroupReply::Left(Ok(classic.leave(turn, members))),
        GroupRequest::FetchOffsets { topics, .. } => {
            GroupReply::Offsets(Ok(offsets.fetch(topics.as_deref(), turn.catalog)))
        }
        GroupRequest::Describe { .. } => GroupReply::Described(Ok(classic.describe())),
        GroupRequest::DescribeConsumer { .. } => GroupReply::ConsumerDescribed(Err(GroupError::NotConsumer)),
        other => missing(other, turn.catalog),
    }
}

/// What a consumer group answers to requests of the classic protocol and of those who look at it.
fn consumer_reply(
    consumer: &mut ConsumerGroup,
    offsets: &Offsets,
    turn: &mut Turn<'_>,
    request: &GroupRequest,
) -> GroupReply {
    match request {
        GroupRequest::Join(join) => GroupReply::Joined(consumer.classic_join(turn, join)),
        GroupRequest::Sync(sync) => GroupReply::Synced(consumer.classic_sync(turn, sync)),
        GroupRequest::Heartbeat(member) => GroupReply::Heartbeat(consumer.classic_heartbeat(turn, member)),
        GroupRequest::Leave { members, .. } => GroupReply::Left(Ok(consumer.classic_leave(turn, members))),
        GroupRequest::FetchOffsets { topics, member, .. } => {
            let allowed = consumer.may_fetch(member.as_ref());
            GroupReply::Offsets(allowed.map(|()| offsets.fetch(topics.as_deref(), turn.catalog)))
        }
        GroupRequest::Describe { .. } => GroupReply::Described(Err(GroupError::NotClassic)),
        GroupRequest::DescribeConsumer { .. } => GroupReply::ConsumerDescribed(Ok(consumer.describe(turn.catalog))),
        other => missing(other, turn.catalog),
    }
}

fn refused(join: &Join, error: GroupError) -> GroupReply {
    GroupReply::Joined(Err(JoinRefused { error, member: join.member.clone() }))
}

fn no_consumer_group(group: &str) -> Refused {
    Refused { error: GroupError::UnknownGroup, why: format!("Consumer group {group} not found.") }
}

/// What a request gets whose group does not exist.
fn missing(request: &GroupRequest, catalog: &Catalog) -> GroupReply {
    match request {
        GroupRequest::Join(join) => refused(join, GroupError::UnknownMember),
        GroupRequest::Sync(_) => GroupReply::Synced(Err(GroupError::UnknownMember)),
        GroupRequest::Heartbeat(_) => GroupReply::Heartbeat(Err(GroupError::UnknownMember)),
        GroupRequest::Leave { members, .. } => {
            GroupReply::Left(Ok(members.iter().map(|_| Err(GroupError::UnknownMember)).collect()))
        }
        GroupRequest::Commit(_) => GroupReply::Committed(Err(GroupError::UnknownGroup)),
        GroupRequest::FetchOffsets { topics, .. } => {
            GroupReply::Offsets(Ok(Offsets::default().fetch(topics.as_deref(), catalog)))
        }
        GroupRequest::DeleteOffsets { .. } => GroupReply::OffsetsDeleted(Err(GroupError::UnknownGroup)),
        GroupRequest::Describe { .. } => GroupReply::Described(Err(GroupError::UnknownGroup)),
        GroupRequest::DescribeConsumer { .. } => GroupReply::ConsumerDescribed(Err(GroupError::UnknownGroup)),
        GroupRequest::ConsumerBeat(beat) => GroupReply::ConsumerBeat(Err(no_consumer_group(&beat.group))),
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
        for groups in [self, replayed] {
            let all: usize = groups.groups.values().map(Group::bytes).sum();
            if groups.bytes != all {
                return Err(format!("{} bytes are counted, {all} held", groups.bytes));
            }
        }
        for (id, live) in &self.groups {
            let Some(other) = replayed.groups.get(id) else { return Err(format!("{id} is not replayed")) };
            if live.offsets != other.offsets {
                return Err(format!("{:?}, replayed {:?}", live.offsets, other.offsets));
            }
            let is_same = match (&live.kind, &other.kind) {
                (Kind::Classic(live), Kind::Classic(other)) => {
                    live.at_rest().is_none_or(|live| Some(live) == other.at_rest())
                }
                (Kind::Consumer(live), Kind::Consumer(other)) => live == other,
                (Kind::Classic(_), Kind::Consumer(_)) | (Kind::Consumer(_), Kind::Classic(_)) => false,
            };
            if !is_same {
                return Err(format!("{live:?}, replayed {other:?}"));
            }
        }
        Ok(())
    }
}
