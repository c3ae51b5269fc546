//! JoinGroup: who may enter, with which id, and whether that makes a new generation. Owning core only; pure.

use std::sync::Arc;

use super::super::groups::AskId;
use super::super::request::{ClassicState, GroupError, GroupReply, Join, JoinRefused, Joined, JoinedMember};
use super::member::Member;
use super::{ClassicGroup, Turn, session};

/// A new member that waits for its first generation is forgotten after this: its client has no heartbeat to show that it
/// lives, and may come again and again.
const NEW_MEMBER_JOIN_MS: i32 = 5 * 60 * 1000;
/// Replies and records carry text of up to 32,767 bytes. A client's id may be as long as that itself, so of one that is long
/// the begin must do.
const MEMBER_ID_BYTES_MAX: usize = 1024;

impl ClassicGroup {
    pub fn join(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join) {
        if !self.has_room_for(&join.member, turn.settings.members_max) {
            self.remove(turn.deadlines, &join.member);
            refuse(turn, ask, GroupError::MaxSizeReached, "".into());
        } else if join.member.is_empty() {
            self.join_without_id(turn, ask, join);
        } else {
            self.join_with_id(turn, ask, join);
        }
    }

    fn has_room_for(&self, id: &str, members_max: usize) -> bool {
        match self.state {
            ClassicState::Empty => true,
            // Counted by who is waiting, so that a group that is too large loses those who come last.
            ClassicState::Preparing => {
                self.members.get(id).is_some_and(|member| member.join.is_some()) || self.joining < members_max
            }
            ClassicState::Completing | ClassicState::Stable => {
                self.members.contains_key(id) || self.members.len() < members_max
            }
        }
    }

    fn join_without_id(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join) {
        if !self.supports(&join) {
            return refuse(turn, ask, GroupError::InconsistentProtocol, "".into());
        }
        let id = member_id(join.instance.as_ref().unwrap_or(&join.client_id), join.fresh);
        let known = join.instance.as_ref().and_then(|instance| self.statics.get(instance)).cloned();
        match known {
            Some(old) => self.replace_static(turn, ask, join, &old, id),
            None if join.instance.is_none() && join.needs_id => {
                let at = turn.after(join.session_timeout_ms);
                let alarm = self.pending.entry(id.clone()).or_default();
                turn.deadlines.arm(alarm, at, || session(&self.id, &id));
                refuse(turn, ask, GroupError::MemberIdRequired, id);
            }
            None => self.add(turn, ask, join, id),
        }
    }

    fn join_with_id(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join) {
        let id = join.member.clone();
        if !self.supports(&join) {
            return refuse(turn, ask, GroupError::InconsistentProtocol, id);
        }
        if self.pending.contains_key(&id) && join.instance.is_none() {
            return self.add(turn, ask, join, id);
        }
        if let Err(error) = self.check_member(&id, join.instance.as_deref()) {
            let refused = JoinRefused { error, member: id };
            return turn.reply(ask, GroupReply::Joined(Err(refused)));
        }
        let is_changed = self.members.get(&id).is_some_and(|member| member.protocols != join.protocols);
        match self.state {
            ClassicState::Preparing => self.rejoin(turn, ask, join, "a member joins again"),
            ClassicState::Completing | ClassicState::Stable if is_changed => {
                self.rejoin(turn, ask, join, "a member changes what it says");
            }
            // The leader may have seen what no member's words show, such as a new partition.
            ClassicState::Stable if self.is_leader(&id) => self.rejoin(turn, ask, join, "the leader joins again"),
            // It missed the answer to its join, or asks for what it has: the generation as it is.
            ClassicState::Completing | ClassicState::Stable => {
                let members = match self.state {
                    ClassicState::Completing if self.is_leader(&id) => self.joined_members(),
                    _ => Vec::new(),
                };
                let joined = self.joined(id, members);
                turn.reply(ask, GroupReply::Joined(Ok(joined)));
            }
            ClassicState::Empty => refuse(turn, ask, GroupError::UnknownMember, id),
        }
    }

    fn add(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join, id: Arc<str>) {
        let reason = join.reason.clone();
        if self.state == ClassicState::Preparing && self.before == ClassicState::Empty {
            // The group is new: it waits some more.
            self.new_member_added = true;
        }
        let mut member = Member::joining(id.clone(), join, ask);
        // Its place in the order of time-outs comes along.
        member.session = self.pending.remove(&id).unwrap_or_default();
        let at = turn.after(NEW_MEMBER_JOIN_MS);
        turn.deadlines.arm(&mut member.session, at, || session(&self.id, &id));
        self.insert(member);
        self.prepare_or_complete(turn, reason.as_deref().unwrap_or("a member joins"));
    }

    fn rejoin(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join, why: &str) {
        let reason = join.reason.clone();
        let id = join.member.clone();
        self.update(turn, &id, join, ask);
        self.prepare_or_complete(turn, reason.as_deref().unwrap_or(why));
    }

    /// The member says something else than before, and waits for the next generation. Of two joins of one member the
    /// first is told to come again: its client has given it up, or would wait for ever.
    fn update(&mut self, turn: &mut Turn<'_>, id: &str, join: Join, ask: AskId) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.count(&member, -1);
        self.joining -= usize::from(member.join.is_some());
        if let Some(forgotten) = member.join.replace(ask) {
            turn.reply(forgotten, refused(GroupError::RebalanceInProgress, member.id.clone()));
        }
        member.protocols = join.protocols;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.session_timeout_ms = join.session_timeout_ms;
        self.joining += 1;
        self.count(&member, 1);
        self.members.insert(member.id.clone(), member);
    }

    /// A static member came without its id: it was restarted. It takes its old place under a new id (KIP-345).
    fn replace_static(&mut self, turn: &mut Turn<'_>, ask: AskId, join: Join, old: &Arc<str>, id: Arc<str>) {
        let Some(mut member) = self.members.remove(old) else { return };
        let leader_before = self.leader.clone();
        if let Some(ask) = member.join.take() {
            self.joining -= 1;
            let fenced = JoinRefused { error: GroupError::FencedInstance, member: old.clone() };
            turn.reply(ask, GroupReply::Joined(Err(fenced)));
        }
        if let Some(ask) = member.sync.take() {
            turn.reply(ask, GroupReply::Synced(Err(GroupError::FencedInstance)));
        }
        self.unsynced.remove(old);
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &member.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        member.id = id.clone();
        member.is_new = false;
        turn.deadlines.cancel(&mut member.session);
        self.members.insert(id.clone(), member);
        self.put_off_session(turn, &id);

        let (may_skip, reason) = (join.may_skip_assignment, join.reason.clone());
        self.update(turn, &id, join, ask);
        match self.state {
            ClassicState::Stable if self.choose_protocol() == self.protocol => {
                self.store(turn);
                self.answer_replaced(turn, &id, leader_before, may_skip);
            }
            ClassicState::Stable => self.prepare_or_complete(turn, "a static member changes the protocol"),
            // The leader may be about to assign to the old id.
            ClassicState::Completing => self.prepare(turn, reason.as_deref().unwrap_or("a static member came back")),
            ClassicState::Preparing | ClassicState::Empty => self.complete_if_all_joined(turn),
        }
    }

    /// The static member goes on in the generation that it was in.
    fn answer_replaced(
        &mut self,
        turn: &mut Turn<'_>,
        id: &Arc<str>,
        leader_before: Option<Arc<str>>,
        may_skip_assignment: bool,
    ) {
        let is_leader = self.is_leader(id);
        let joined = if may_skip_assignment {
            let members = if is_leader { self.joined_members() } else { Vec::new() };
            Joined { skip_assignment: is_leader, ..self.joined(id.clone(), members) }
        } else {
            // A client of before KIP-814 that were told to lead would assign anew: it is told the old leader.
            Joined { leader: leader_before, ..self.joined(id.clone(), Vec::new()) }
        };
        self.answer_join(turn, id, joined);
    }

    /// Gives a member the answer that it waits for, if it does.
    pub(super) fn answer_join(&mut self, turn: &mut Turn<'_>, id: &str, joined: Joined) {
        if let Some(ask) = self.members.get_mut(id).and_then(|member| member.join.take()) {
            self.joining -= 1;
            turn.reply(ask, GroupReply::Joined(Ok(joined)));
        }
    }

    /// A member goes while it waits for an answer: its client comes again, without an id.
    pub(super) fn turn_away(&mut self, turn: &mut Turn<'_>, id: &str) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(ask) = member.join.take() {
            self.joining -= 1;
            turn.reply(ask, refused(GroupError::UnknownMember, "".into()));
        }
        if let Some(ask) = member.sync.take() {
            turn.reply(ask, GroupReply::Synced(Err(GroupError::UnknownMember)));
        }
    }

    pub(super) fn joined(&self, member: Arc<str>, members: Vec<JoinedMember>) -> Joined {
        Joined {
            member,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            skip_assignment: false,
            members,
        }
    }

    /// All members, for the leader.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let members = self.members.values().map(|member| JoinedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            said: member.said_for(self.protocol.as_deref()),
        });
        members.collect()
    }

    /// Whether there is a protocol that all members and this one speak.
    fn supports(&self, join: &Join) -> bool {
        if self.state == ClassicState::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let of_all = |name: &Arc<str>| self.supported.of(name) == self.members.len();
        self.protocol_type.as_ref() == Some(&join.protocol_type) && join.protocols.iter().any(|(name, _)| of_all(name))
    }
}

/// Whose it is, for people, and a random part that tells it from all others; what is too long is cut from the former.
fn member_id(whose: &str, fresh: [u8; 16]) -> Arc<str> {
    let uuid = uuid::Builder::from_random_bytes(fresh).into_uuid().to_string();
    let room = MEMBER_ID_BYTES_MAX - uuid.len() - 1;
    let whose = whose.get(..whose.floor_char_boundary(room)).unwrap_or_default();
    format!("{whose}-{uuid}").into()
}

fn refused(error: GroupError, member: Arc<str>) -> GroupReply {
    GroupReply::Joined(Err(JoinRefused { error, member }))
}

fn refuse(turn: &mut Turn<'_>, ask: AskId, error: GroupError, member: Arc<str>) {
    turn.reply(ask, refused(error, member));
}
