//! SyncGroup: the leader brings the assignment, which makes the generation durable; every member takes its part. Owning
//! core only; pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::groups::AskId;
use super::super::request::{ClassicState, GroupError, GroupReply, Sync, Synced};
use super::{ClassicGroup, Turn};

impl ClassicGroup {
    pub fn sync(&mut self, turn: &mut Turn<'_>, ask: AskId, sync: Sync) {
        let id = sync.member.member.clone();
        if let Err(error) = self.may_sync(&sync) {
            return turn.reply(ask, GroupReply::Synced(Err(error)));
        }
        self.unsynced.remove(&id);
        if self.unsynced.is_empty() {
            self.sync_alarm.disarm();
        }
        if self.state == ClassicState::Stable {
            let assignment = self.members.get(&id).map(|member| member.assignment.clone()).unwrap_or_default();
            let synced = self.synced(assignment);
            return turn.reply(ask, GroupReply::Synced(Ok(synced)));
        }
        if let Some(member) = self.members.get_mut(&id)
            && let Some(forgotten) = member.sync.replace(ask)
        {
            // It asks again: the first answer would find nobody.
            turn.reply(forgotten, GroupReply::Synced(Err(GroupError::RebalanceInProgress)));
        }
        if self.is_leader(&id) {
            let mut parts: BTreeMap<Arc<str>, bytes::Bytes> = sync.assignments.into_iter().collect();
            for member in self.members.values_mut() {
                // Whom the leader forgot has nothing to read.
                member.assignment = parts.remove(&member.id).unwrap_or_default();
            }
            self.store_completed(turn);
            self.answer_syncs(turn, Ok(()));
        }
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        self.check_generation(&sync.member)?;
        let differs =
            |asked: &Option<Arc<str>>, ours: &Option<Arc<str>>| asked.is_some() && ours.is_some() && asked != ours;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.state {
            ClassicState::Empty => Err(GroupError::UnknownMember),
            ClassicState::Preparing => Err(GroupError::RebalanceInProgress),
            ClassicState::Completing | ClassicState::Stable => Ok(()),
        }
    }

    /// Answers every sync that waits. From then on silence counts again.
    pub(super) fn answer_syncs(&mut self, turn: &mut Turn<'_>, outcome: Result<(), GroupError>) {
        let waiting = self.members.values_mut().filter_map(|member| Some((member.id.clone(), member.sync.take()?)));
        let waiting: Vec<(Arc<str>, AskId)> = waiting.collect();
        for (id, ask) in waiting {
            let assignment = self.members.get(&id).map(|member| member.assignment.clone()).unwrap_or_default();
            let reply = outcome.map(|()| self.synced(assignment));
            turn.reply(ask, GroupReply::Synced(reply));
            self.put_off_session(turn, &id);
        }
    }

    fn synced(&self, assignment: bytes::Bytes) -> Synced {
        Synced { protocol_type: self.protocol_type.clone(), protocol: self.protocol.clone(), assignment }
    }
}
