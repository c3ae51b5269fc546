//! One member of a classic group. Owning core only; plain state.

use std::sync::Arc;

use bytes::Bytes;

use super::super::deadlines::Alarm;
use super::super::groups::AskId;
use super::super::memory::MEMBER;
use super::super::record::{ClassicRecord, MemberRecord};
use super::super::request::Join;

/// A protocol's name and what the member says for it.
pub(super) type Protocol = (Arc<str>, Bytes);

#[derive(Debug)]
pub(super) struct Member {
    pub id: Arc<str>,
    /// Of a static member (KIP-345).
    pub instance: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocol_type: Arc<str>,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Waits for the answer to its join, or to its sync.
    pub join: Option<AskId>,
    pub sync: Option<AskId>,
    /// Was in no generation yet: it cannot send heartbeats, so its join itself has a time limit.
    pub is_new: bool,
    pub session: Alarm,
}

impl Member {
    /// A member out of its first join.
    pub fn joining(id: Arc<str>, join: Join, ask: AskId) -> Member {
        Member {
            id,
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocol_type: join.protocol_type,
            protocols: join.protocols,
            assignment: Bytes::new(),
            join: Some(ask),
            sync: None,
            is_new: true,
            session: Alarm::default(),
        }
    }

    /// A member as the log knows it: of its protocols only the chosen one.
    pub fn from_record(line: &MemberRecord, group: &ClassicRecord) -> Member {
        Member {
            id: line.id.clone(),
            instance: line.instance_id.clone(),
            client_id: line.client_id.clone(),
            client_host: line.client_host.clone(),
            rebalance_timeout_ms: line.rebalance_timeout_ms,
            session_timeout_ms: line.session_timeout_ms,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocols: group.protocol.iter().map(|name| (name.clone(), line.subscription.clone())).collect(),
            assignment: line.assignment.clone(),
            join: None,
            sync: None,
            is_new: false,
            session: Alarm::default(),
        }
    }

    /// A later generation has the member too. Live, it is as the record says already, and knows more protocols.
    pub fn take_over(&mut self, line: &MemberRecord, group: &ClassicRecord) {
        let chosen = group.protocol.as_ref().map(|name| (name.clone(), line.subscription.clone()));
        if !chosen.as_ref().is_some_and(|chosen| self.protocols.contains(chosen)) {
            self.protocols = chosen.into_iter().collect();
        }
        self.rebalance_timeout_ms = line.rebalance_timeout_ms;
        self.session_timeout_ms = line.session_timeout_ms;
        self.assignment = line.assignment.clone();
    }

    /// What it holds beside its assignment, about; only what it speaks changes that.
    pub fn bytes(&self) -> usize {
        let protocols: usize = self.protocols.iter().map(|(name, said)| name.len() + said.len()).sum();
        let ids = self.client_id.len() + self.client_host.len() + self.instance.as_ref().map_or(0, |id| id.len());
        MEMBER + 2 * ids + protocols
    }

    /// What it says for a protocol; nothing if it does not speak it.
    pub fn said_for(&self, protocol: Option<&str>) -> Bytes {
        let said = self.protocols.iter().find(|(name, _)| Some(&**name) == protocol);
        said.map(|(_, said)| said.clone()).unwrap_or_default()
    }

    /// Whether silence is no sign of death: it waits for us.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }
}
