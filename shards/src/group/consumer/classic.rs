//! Members of a consumer group that speak the classic protocol, while a group changes from one to the other (KIP-848).
//! JoinGroup says what they read and takes the next step toward the target, SyncGroup tells what they may read, Heartbeat
//! calls them to join again when there is another step. Owning core only; pure.
//!
//! Invariant: such a member is one with `said.classic`. The time-outs of its session, and of its next join or sync, are
//! those that it asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::super::embedded;
use super::super::request::{GroupError, Join, JoinRefused, Joined, Leaver, MemberRef, Sync, Synced};
use super::super::settings::Migration;
use super::super::turn::Turn;
use super::member::Member;
use super::record::{ClassicSaid, MemberSaid, MemberState, Parts};
use super::{CLASSIC_PROTOCOL, ConsumerGroup, revocation};

impl ConsumerGroup {
    pub fn classic_join(&mut self, turn: &mut Turn<'_>, join: &Join) -> Result<Joined, JoinRefused> {
        let id: Arc<str> = if join.member.is_empty() {
            uuid::Builder::from_random_bytes(join.fresh).into_uuid().to_string().into()
        } else {
            join.member.clone()
        };
        // As Kafka does, which tells the id to those that classic groups refuse.
        let refused = |error| JoinRefused { error, member: "".into() };
        self.may_join(turn, join, &id).map_err(refused)?;
        if join.member.is_empty() && join.instance.is_none() && join.needs_id {
            return Err(JoinRefused { member: id, ..refused(GroupError::MemberIdRequired) });
        }
        let replaced = self.classic_place(join, &id).map_err(refused)?;
        let (protocol, words) = join.protocols.first().ok_or_else(|| refused(GroupError::InconsistentProtocol))?;
        let embedded = embedded::subscription(words, turn.catalog).map_err(|_| refused(GroupError::Malformed))?;
        let before = self.members.get(replaced.as_ref().unwrap_or(&id));
        let is_new = before.is_none();
        let said_before = before.map_or_else(MemberSaid::nothing, |member| member.said.clone());
        let said = MemberSaid {
            instance: join.instance.clone().or_else(|| said_before.instance.clone()),
            rack: embedded.rack.or_else(|| said_before.rack.clone()),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            topics: embedded.topics,
            regex: None,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            assignor: None,
            classic: Some(ClassicSaid {
                session_timeout_ms: join.session_timeout_ms,
                protocols: join.protocols.clone(),
            }),
        };
        if let Some(old) = &replaced {
            self.replace_static(turn, old, &id);
        } else if is_new {
            tracing::info!(group = %self.id, member = %id, "a member of the classic protocol joins");
        }
        let read_changed = self.take_what_is_said(turn, &id, &said_before, said);
        // A group that becomes classic keeps the target that it has.
        if !self.is_to_be_downgraded(turn.settings) {
            self.compute_target_if_due(turn);
        }
        self.reconcile(turn, &id, Some(&embedded.owns), read_changed)
            .map_err(|_| refused(GroupError::UnknownMember))?;
        self.put_off_session(turn, &id);
        self.time_next_request(turn, &id);
        let generation = self.members.get(&id).map_or(-1, |member| member.current.epoch);
        Ok(Joined {
            member: id,
            generation,
            protocol_type: Some(CLASSIC_PROTOCOL.into()),
            protocol: Some(protocol.clone()),
            // Nobody leads: the broker assigns.
            leader: None,
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    fn may_join(&self, turn: &Turn<'_>, join: &Join, id: &str) -> Result<(), GroupError> {
        if turn.settings.consumer_migration == Migration::Disabled {
            return Err(GroupError::InconsistentProtocol);
        }
        if self.members.len() >= turn.settings.consumer_members_max && !self.members.contains_key(id) {
            return Err(GroupError::MaxSizeReached);
        }
        if self.supports(join) { Ok(()) } else { Err(GroupError::InconsistentProtocol) }
    }

    /// The static member whose place a new one takes: its client was started anew, with this protocol or the other.
    fn classic_place(&self, join: &Join, id: &Arc<str>) -> Result<Option<Arc<str>>, GroupError> {
        let Some(instance) = &join.instance else { return Ok(None) };
        match self.statics.get(instance) {
            known if join.member.is_empty() => Ok(known.cloned()),
            None => Err(GroupError::UnknownMember),
            Some(known) if known != id => Err(GroupError::FencedInstance),
            Some(_) => Ok(None),
        }
    }

    /// Whether there is a protocol that all members of the classic protocol and this one speak.
    fn supports(&self, join: &Join) -> bool {
        let is_spoken = |name: &Arc<str>| {
            let mut classic = self.members.values().filter_map(|member| member.said.classic.as_ref());
            classic.all(|said| said.protocols.iter().any(|(known, _)| known == name))
        };
        &*join.protocol_type == CLASSIC_PROTOCOL && join.protocols.iter().any(|(name, _)| is_spoken(name))
    }

    pub fn classic_sync(&mut self, turn: &mut Turn<'_>, sync: &Sync) -> Result<Synced, GroupError> {
        let id = &sync.member.member;
        let (member, classic) = self.classic_member(&sync.member)?;
        let (protocol, words) = classic.protocols.first().ok_or(GroupError::Malformed)?;
        let differs = |said: &Option<Arc<str>>, ours: &str| said.as_deref().is_some_and(|said| said != ours);
        if differs(&sync.protocol_type, CLASSIC_PROTOCOL) || differs(&sync.protocol, protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        // While it has to give something up, it must hear of that first.
        if self.target_epoch.epoch > member.current.epoch && member.current.state != MemberState::UnrevokedPartitions {
            self.time_join(turn, id);
            return Err(GroupError::RebalanceInProgress);
        }
        let assignment = written(turn, words, &member.current.assigned_parts())?;
        if let Some(member) = self.members.get_mut(id) {
            member.rebalance.disarm();
        }
        self.put_off_session(turn, id);
        Ok(Synced { protocol_type: sync.protocol_type.clone(), protocol: sync.protocol.clone(), assignment })
    }

    pub fn classic_heartbeat(&mut self, turn: &mut Turn<'_>, by: &MemberRef) -> Result<(), GroupError> {
        self.classic_member(by)?;
        // Nobody else may come to do it: members that speak the consumer protocol may all be gone or away.
        self.compute_target_if_due(turn);
        let (member, _) = self.classic_member(by)?;
        let has_a_step = member.current.epoch < self.target_epoch.epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        self.put_off_session(turn, &by.member);
        if has_a_step {
            self.time_join(turn, &by.member);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether somebody else still has what the member shall have.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.targets.get(&member.id).into_iter().flatten();
        let mut parts = target.flat_map(|(topic, indexes)| indexes.iter().map(move |index| (*topic, *index)));
        parts.any(|part| self.holders.get(&part).is_some_and(|holder| *holder != member.id))
    }

    /// LeaveGroup takes members of both protocols: an administrator does not know which one a member speaks.
    pub fn classic_leave(&mut self, turn: &mut Turn<'_>, leavers: &[Leaver]) -> Vec<Result<(), GroupError>> {
        let mut gone = BTreeSet::new();
        let answers = leavers.iter().map(|leaver| {
            self.leaver(leaver).map(|id| {
                tracing::info!(group = %self.id, member = %id, reason = leaver.reason.as_deref(), "a member leaves");
                gone.insert(id);
            })
        });
        let answers = answers.collect();
        self.remove_members(turn, &gone);
        answers
    }

    fn leaver(&self, leaver: &Leaver) -> Result<Arc<str>, GroupError> {
        let Some(instance) = &leaver.instance else {
            let known = self.members.get_key_value(&leaver.member);
            return known.map(|(id, _)| id.clone()).ok_or(GroupError::UnknownMember);
        };
        let known = self.statics.get(instance).ok_or(GroupError::UnknownMember)?;
        if leaver.member.is_empty() || *known == leaver.member {
            Ok(known.clone())
        } else {
            Err(GroupError::FencedInstance)
        }
    }

    /// The member of the classic protocol that a request is from.
    fn classic_member(&self, by: &MemberRef) -> Result<(&Member, &ClassicSaid), GroupError> {
        if let Some(instance) = &by.instance
            && *self.statics.get(instance).ok_or(GroupError::UnknownMember)? != by.member
        {
            return Err(GroupError::FencedInstance);
        }
        let member = self.members.get(&by.member).ok_or(GroupError::UnknownMember)?;
        let classic = member.said.classic.as_ref().ok_or(GroupError::UnknownMember)?;
        if by.generation == member.current.epoch { Ok((member, classic)) } else { Err(GroupError::IllegalGeneration) }
    }

    /// It has its rebalance time-out for its next request: for a sync after a join, or for a join after a call.
    fn time_next_request(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let at = turn.after(member.said.rebalance_timeout_ms);
        turn.deadlines.arm(&mut member.rebalance, at, || revocation(&self.id, id));
    }

    /// It is called to join; the first call counts.
    fn time_join(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        if self.members.get(id).is_some_and(|member| !member.rebalance.is_armed()) {
            self.time_next_request(turn, id);
        }
    }
}

/// An assignment in the version of the member's words.
pub(super) fn written(turn: &Turn<'_>, words: &Bytes, parts: &Parts) -> Result<Bytes, GroupError> {
    embedded::write_assignment(words, parts, turn.catalog).map_err(|_| GroupError::Malformed)
}
