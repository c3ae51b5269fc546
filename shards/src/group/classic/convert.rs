//! A classic group on its way to a consumer group and back (KIP-848, online migration). Owning core only; pure.
//!
//! Invariant: what the members know of their group, its generation and what they have in it, stays true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::super::consumer::{ClassicSaid, MemberSaid, Parts, UpgradedMember};
use super::super::deadlines::Alarm;
use super::super::embedded;
use super::super::record::MemberRecord;
use super::super::request::{ClassicState, GroupError, GroupReply, JoinRefused};
use super::member::{Member, Protocol};
use super::subscription::CONSUMER;
use super::{ClassicGroup, Turn};
use crate::types::TopicId;

impl ClassicGroup {
    /// The members as a consumer group has them; or why that cannot be.
    pub fn members_to_upgrade(&self, turn: &Turn<'_>) -> Result<Vec<UpgradedMember>, String> {
        let refused = |why: &str| format!("Cannot upgrade classic group {} to consumer group because {why}.", self.id);
        if !turn.settings.consumer_migration.may_upgrade() {
            return Err(refused("online upgrade is disabled"));
        }
        if !self.speaks_consumer() {
            return Err(refused("the group does not use the consumer embedded protocol"));
        }
        if self.members.len() > turn.settings.consumer_members_max {
            return Err(refused("the group size exceeds the consumer group maximum size"));
        }
        let mut taken = BTreeSet::new();
        let members = self.members.values().map(|member| self.upgraded(member, turn, &mut taken));
        members.collect::<Result<_, _>>().map_err(refused)
    }

    fn upgraded(
        &self,
        member: &Member,
        turn: &Turn<'_>,
        taken: &mut BTreeSet<(TopicId, i32)>,
    ) -> Result<UpgradedMember, &'static str> {
        let words = member.words(self.protocol.as_deref());
        let malformed = |_| "the embedded consumer protocol is malformed";
        let embedded = embedded::subscription(&words, turn.catalog).map_err(malformed)?;
        let assigned = embedded::assignment(&member.assignment, turn.catalog).map_err(malformed)?;
        if assigned.has_user_data {
            return Err(
                "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default \
                        assignor before re-attempting the upgrade",
            );
        }
        let mut parts: BTreeMap<_, BTreeSet<i32>> = Parts::new();
        for (topic, indexes) in assigned.parts {
            // A leader that gave a partition to two members was wrong: the first has it.
            let free: BTreeSet<i32> = indexes.into_iter().filter(|index| taken.insert((topic, *index))).collect();
            if !free.is_empty() {
                parts.insert(topic, free);
            }
        }
        let said = MemberSaid {
            instance: member.instance.clone(),
            rack: embedded.rack,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            topics: embedded.topics,
            regex: None,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            assignor: None,
            classic: Some(ClassicSaid {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols.clone(),
            }),
        };
        Ok(UpgradedMember { id: member.id.clone(), said, assigned: parts })
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The group becomes another: who waits for an answer is to ask again.
    pub fn turn_all_away(&mut self, turn: &mut Turn<'_>) {
        for (id, member) in &mut self.members {
            if let Some(ask) = member.join.take() {
                let refused = JoinRefused { error: GroupError::RebalanceInProgress, member: id.clone() };
                turn.reply(ask, GroupReply::Joined(Err(refused)));
            }
            if let Some(ask) = member.sync.take() {
                turn.reply(ask, GroupReply::Synced(Err(GroupError::RebalanceInProgress)));
            }
        }
        self.joining = 0;
    }

    /// Puts a stable group into the log out of what were members of a consumer group, each with its protocols. The first of
    /// them leads. They are called to a new generation if what they have is not what they shall have.
    pub fn downgraded(
        turn: &mut Turn<'_>,
        id: Arc<str>,
        generation: i32,
        members: Vec<(MemberRecord, Vec<Protocol>)>,
        must_rebalance: bool,
    ) -> ClassicGroup {
        let mut made = ClassicGroup::new(id);
        for (line, protocols) in members {
            made.insert(Member::converted(line, protocols));
        }
        made.state = ClassicState::Stable;
        made.generation = generation;
        made.protocol = made.choose_protocol();
        made.store(turn);
        made.loaded(turn);
        if must_rebalance {
            made.prepare_or_complete(turn, "it was a consumer group");
        }
        made
    }
}

impl Member {
    fn converted(line: MemberRecord, protocols: Vec<Protocol>) -> Member {
        Member {
            id: line.id,
            instance: line.instance_id,
            client_id: line.client_id,
            client_host: line.client_host,
            rebalance_timeout_ms: line.rebalance_timeout_ms,
            session_timeout_ms: line.session_timeout_ms,
            protocol_type: CONSUMER.into(),
            protocols,
            assignment: line.assignment,
            join: None,
            sync: None,
            is_new: false,
            session: Alarm::default(),
        }
    }

    /// What it says for the chosen protocol, or for the first of its own while none is chosen.
    fn words(&self, protocol: Option<&str>) -> Bytes {
        let chosen = self.protocols.iter().find(|(name, _)| Some(&**name) == protocol);
        chosen.or(self.protocols.first()).map(|(_, words)| words.clone()).unwrap_or_default()
    }
}
