//! The classic protocol (KIP-62, 345, 394, 814): members join, one of them leads and assigns, all sync. Owning core only;
//! pure.
//!
//! `member` is a member, `join` and `sync` the two requests of a rebalance, `rebalance` what moves a group from one state
//! to the next, `leave` heartbeats and departures by request or by silence, `describe` what others are told, `convert` the way
//! to a consumer group and back.
//!
//! Invariant: a group is `Empty` or `Stable` exactly as its last record says, or it rebalances: then nothing of what it
//! does is in the log yet, and a start finds the generation before.

mod convert;
mod describe;
mod join;
mod leave;
mod member;
mod rebalance;
mod subscription;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::member::Member;
use super::deadlines::{Alarm, Deadlines, Place, Timer};
use super::memory;
use super::record::{ClassicRecord, GroupRecord, MemberRecord};
use super::request::{ClassicState, GroupError, MemberRef};
use super::tally::Tally;
use super::turn::Turn;
use crate::planted::{PlantedFault, is_planted};

/// What the end of the time to join means.
#[derive(Debug, Clone, Copy)]
enum JoinWait {
    /// The group is new: more members are waited for as long as some come, up to a rebalance time-out in all.
    Initial {
        delay_ms: i32,
        remaining_ms: i32,
    },
    Rebalance,
}

#[derive(Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    state: ClassicState,
    /// The state before; a rebalance that began with an empty group waits for more members.
    before: ClassicState,
    since_ms: Option<i64>,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    /// Instance → member.
    statics: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were given out and have not joined yet.
    pending: BTreeMap<Arc<str>, Alarm>,
    /// Members that wait for the answer to a join.
    joining: usize,
    /// Members of this generation that have not synced yet.
    unsynced: BTreeSet<Arc<str>>,
    /// Protocol → how many members speak it.
    supported: Tally,
    /// What members hold, and of it what the leader gave out last.
    bytes: usize,
    bytes_assigned: usize,
    /// What members read, if their protocol tells.
    topics: Option<BTreeSet<Arc<str>>>,
    new_member_added: bool,
    join_wait: JoinWait,
    join_alarm: Alarm,
    sync_alarm: Alarm,
}

impl ClassicGroup {
    pub fn new(id: Arc<str>) -> ClassicGroup {
        ClassicGroup {
            id,
            state: ClassicState::Empty,
            before: ClassicState::Empty,
            since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            pending: BTreeMap::new(),
            joining: 0,
            unsynced: BTreeSet::new(),
            supported: Tally::default(),
            bytes: 0,
            bytes_assigned: 0,
            topics: None,
            new_member_added: false,
            join_wait: JoinWait::Rebalance,
            join_alarm: Alarm::default(),
            sync_alarm: Alarm::default(),
        }
    }

    /// A generation is in the log. Live, it is the one that the members are in: what they wait for stays. At a start the
    /// members are made of it.
    pub fn apply(&mut self, record: &ClassicRecord) {
        self.take_generation(record);
        let kept: BTreeSet<&str> = record.members.iter().map(|member| &*member.id).collect();
        let gone: Vec<Arc<str>> = self.members.keys().filter(|id| !kept.contains(&***id)).cloned().collect();
        for id in gone {
            // Nobody is waited for while a log is read; live, the members are those of the record.
            self.take_out(&id);
        }
        for line in &record.members {
            match self.members.remove(&line.id) {
                Some(mut member) => {
                    self.count(&member, -1);
                    member.take_over(line, record);
                    self.count(&member, 1);
                    self.members.insert(member.id.clone(), member);
                }
                None => self.insert(Member::from_record(line, record)),
            }
        }
        self.leader = record.leader.clone();
        self.topics = self.read_topics();
        self.count_assigned();
    }

    /// All that a record says but for the members.
    fn take_generation(&mut self, record: &ClassicRecord) {
        self.before = self.state;
        self.state = if record.members.is_empty() { ClassicState::Empty } else { ClassicState::Stable };
        self.since_ms = record.since_ms;
        self.generation = record.generation;
        self.protocol_type = record.protocol_type.clone();
        self.protocol = record.protocol.clone();
        self.leader = record.leader.clone();
    }

    fn count_assigned(&mut self) {
        self.bytes_assigned = self.members.values().map(|member| member.assignment.len()).sum();
    }

    /// The log is read: members that are there must be heard of within their session time-outs.
    pub fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            self.put_off_session(turn, &id);
        }
        if self.members.len() > turn.settings.members_max {
            self.prepare(turn, "the group is larger than group.max.size");
        }
    }

    pub fn is_empty(&self) -> bool {
        self.state == ClassicState::Empty
    }

    /// Puts the group's generation into the log, and the group into the state that it says.
    fn store(&mut self, turn: &mut Turn<'_>) {
        let record = self.record(turn.now.wall_ms);
        self.apply(&record);
        turn.effects.records.push(GroupRecord::Classic { group: self.id.clone(), value: Some(record) });
    }

    /// As [`ClassicGroup::store`] for the generation that is being completed: its members are as the record is made of them,
    /// and what they read was noted when it began. A group may be large.
    fn store_completed(&mut self, turn: &mut Turn<'_>) {
        let record = self.record(turn.now.wall_ms);
        self.take_generation(&record);
        self.count_assigned();
        turn.effects.records.push(GroupRecord::Classic { group: self.id.clone(), value: Some(record) });
    }

    /// The generation as the log has it.
    fn record(&self, since_ms: i64) -> ClassicRecord {
        let members = self.members.values().map(|member| MemberRecord {
            id: member.id.clone(),
            instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.said_for(self.protocol.as_deref()),
            assignment: member.assignment.clone(),
        });
        ClassicRecord {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            since_ms: Some(since_ms),
            members: members.collect(),
        }
    }

    fn enter(&mut self, state: ClassicState, wall_ms: i64) {
        self.before = self.state;
        self.state = state;
        self.since_ms = Some(wall_ms);
    }

    fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.count(&member, 1);
        self.joining += usize::from(member.join.is_some());
        self.members.insert(member.id.clone(), member);
    }

    /// Forgets a member, or an id that was given out. Who waits for an answer must have it before.
    fn remove(&mut self, deadlines: &mut Deadlines, id: &str) {
        if let Some(mut alarm) = self.take_out(id) {
            deadlines.cancel(&mut alarm);
        }
    }

    /// As [`ClassicGroup::remove`]; the time-out that is to be cancelled.
    fn take_out(&mut self, id: &str) -> Option<Alarm> {
        let mut alarm = self.pending.remove(id);
        if let Some(member) = self.members.remove(id) {
            self.count(&member, -1);
            self.joining -= usize::from(member.join.is_some());
            if let Some(instance) = &member.instance {
                self.statics.remove(instance);
            }
            alarm = Some(member.session);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.unsynced.remove(id);
        alarm
    }

    /// The group is gone, or is of another kind.
    pub fn cancel_all(&mut self, deadlines: &mut Deadlines) {
        let of_members = self.members.values_mut().map(|member| &mut member.session);
        let all = of_members.chain(self.pending.values_mut()).chain([&mut self.join_alarm, &mut self.sync_alarm]);
        all.for_each(|alarm| deadlines.cancel(alarm));
    }

    /// A member comes, with 1, or goes, with -1: whenever what it speaks changes it goes and comes.
    fn count(&mut self, member: &Member, by: isize) {
        self.bytes = self.bytes.saturating_add_signed(by * member.bytes().cast_signed());
        for (name, _) in &member.protocols {
            self.supported.add(name, by);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.bytes_assigned + self.pending.len() * memory::PENDING
    }

    pub(super) fn bytes_assigned(&self) -> usize {
        self.bytes_assigned
    }

    /// What a member holds; an id that was given out has its place already.
    pub(super) fn bytes_of(&self, id: &str) -> usize {
        let pending = if self.pending.contains_key(id) { memory::PENDING } else { 0 };
        self.members.get(id).map_or(pending, Member::bytes)
    }

    /// Whether a request's member and instance are those of the group.
    fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.statics.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(known) if **known != *id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    fn check_generation(&self, member: &MemberRef) -> Result<(), GroupError> {
        self.check_member(&member.member, member.instance.as_deref())?;
        let is_old = member.generation < self.generation;
        let is_heard = member.generation == self.generation || (is_old && is_planted(PlantedFault::OldGenerationHeard));
        if is_heard { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// Whether the member may store offsets; a member that does so lives.
    pub fn may_commit(&mut self, turn: &mut Turn<'_>, member: &MemberRef) -> Result<(), GroupError> {
        if member.generation < 0 && self.is_empty() {
            return Ok(());
        }
        if member.generation >= 0 || !member.member.is_empty() || member.instance.is_some() {
            self.check_generation(member)?;
        } else if !self.is_empty() {
            return Err(GroupError::UnknownMember);
        }
        match self.state {
            // Whoever has the generation knows of the rebalance from the answer to its join.
            ClassicState::Completing => return Err(GroupError::RebalanceInProgress),
            ClassicState::Stable | ClassicState::Preparing => self.put_off_session(turn, &member.member),
            ClassicState::Empty => {}
        }
        Ok(())
    }

    pub fn may_delete_offsets(&self) -> Result<(), GroupError> {
        if self.is_empty() || self.speaks_consumer() { Ok(()) } else { Err(GroupError::NotEmpty) }
    }

    /// The member has its session time-out again.
    fn put_off_session(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let at = turn.after(member.session_timeout_ms);
        turn.deadlines.arm(&mut member.session, at, || session(&self.id, id));
    }

    /// A time-out has its place now; acts if it is still meant.
    pub fn fire(&mut self, turn: &mut Turn<'_>, place: Place, timer: &Timer) {
        let alarm = match timer {
            Timer::Join { .. } => &mut self.join_alarm,
            Timer::Sync { .. } => &mut self.sync_alarm,
            Timer::Revocation { .. } => return,
            Timer::Session { member, .. } => match self.members.get_mut(member) {
                Some(member) => &mut member.session,
                None => match self.pending.get_mut(member) {
                    Some(alarm) => alarm,
                    None => return,
                },
            },
        };
        if !turn.deadlines.is_due(alarm, place, turn.now.mono, timer) {
            return;
        }
        match timer {
            Timer::Join { .. } => self.join_time_is_over(turn),
            Timer::Sync { .. } => self.sync_time_is_over(turn),
            Timer::Session { .. } if is_planted(PlantedFault::DeadMemberKept) => {}
            Timer::Session { member, .. } => self.session_is_over(turn, member),
            Timer::Revocation { .. } => {}
        }
    }
}

#[cfg(test)]
impl ClassicGroup {
    /// What is durable of a group that does not rebalance.
    pub fn at_rest(&self) -> Option<(ClassicState, ClassicRecord)> {
        let is_at_rest = matches!(self.state, ClassicState::Empty | ClassicState::Stable);
        let record = self.record(self.since_ms.unwrap_or(-1));
        is_at_rest.then_some((self.state, record))
    }
}

/// The time-out of a member's silence.
fn session(group: &Arc<str>, member: &Arc<str>) -> Timer {
    Timer::Session { group: group.clone(), member: member.clone() }
}
