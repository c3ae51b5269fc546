//! Heartbeats, and members that go: by LeaveGroup or by silence. Owning core only; pure.

use std::sync::Arc;

use super::super::request::{ClassicState, GroupError, Leaver, MemberRef};
use super::{ClassicGroup, Turn};

impl ClassicGroup {
    pub fn heartbeat(&mut self, turn: &mut Turn<'_>, member: &MemberRef) -> Result<(), GroupError> {
        self.check_generation(member)?;
        match self.state {
            ClassicState::Empty => Err(GroupError::UnknownMember),
            ClassicState::Preparing => {
                self.put_off_session(turn, &member.member);
                Err(GroupError::RebalanceInProgress)
            }
            ClassicState::Completing | ClassicState::Stable => {
                self.put_off_session(turn, &member.member);
                Ok(())
            }
        }
    }

    /// All of them go, then the group looks once what that means for it.
    pub fn leave(&mut self, turn: &mut Turn<'_>, leavers: &[Leaver]) -> Vec<Result<(), GroupError>> {
        let answers: Vec<_> = leavers.iter().map(|leaver| self.leave_one(turn, leaver)).collect();
        if answers.iter().any(Result::is_ok) {
            match self.state {
                ClassicState::Stable | ClassicState::Completing => self.prepare(turn, "members leave"),
                ClassicState::Preparing => self.complete_if_all_joined(turn),
                ClassicState::Empty => {}
            }
        }
        answers
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaver: &Leaver) -> Result<(), GroupError> {
        let id: Arc<str> = if leaver.member.is_empty() {
            // An administrator names the instance only.
            let known = leaver.instance.as_ref().and_then(|instance| self.statics.get(instance));
            known.ok_or(GroupError::UnknownMember)?.clone()
        } else if self.pending.contains_key(&leaver.member) {
            leaver.member.clone()
        } else {
            self.check_member(&leaver.member, leaver.instance.as_deref())?;
            leaver.member.clone()
        };
        tracing::info!(group = %self.id, member = %id, reason = leaver.reason.as_deref(), "a member leaves");
        self.turn_away(turn, &id);
        self.remove(turn.deadlines, &id);
        Ok(())
    }

    /// A member, or an id that was given out, was silent for too long.
    pub(super) fn session_is_over(&mut self, turn: &mut Turn<'_>, id: &Arc<str>) {
        if self.pending.contains_key(id) {
            self.remove(turn.deadlines, id);
            return self.complete_if_nobody_is_missing(turn);
        }
        if self.members.get(id).is_none_or(|member| member.is_excused()) {
            return;
        }
        tracing::info!(group = %self.id, member = %id, "a member was silent for its session time-out");
        self.turn_away(turn, id);
        self.remove(turn.deadlines, id);
        match self.state {
            ClassicState::Stable | ClassicState::Completing => self.prepare(turn, "a member's session is over"),
            ClassicState::Preparing => self.complete_if_nobody_is_missing(turn),
            ClassicState::Empty => {}
        }
    }
}
