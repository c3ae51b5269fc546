//! What a member of a classic group says late: it held a request back from before a rebalance (it stood still, or the request
//! lay somewhere on the way), and sends it when the group has long been in another generation.
//!
//! Invariant: nothing of it is heard, whatever partitions it names: they may be somebody else's by now.

use std::collections::BTreeMap;

use corelog::wire::messages::heartbeat::HeartbeatRequest;
use corelog::wire::messages::sync_group::SyncGroupRequest;
use corelog::wire::messages::{Request, Response};
use corelog::wire::{ErrorCode, Str};

use crate::client::{one_in, pick};
use crate::group_ledger::Share;
use crate::group_member::{GROUP, GroupMember, REPLY_MAX, another};
use crate::link::{Broken, Link};

/// What is held back.
pub struct Late {
    pub member: Str,
    pub generation: i32,
    /// To be committed.
    pub positions: BTreeMap<u8, i64>,
}

impl GroupMember {
    /// A share is over that was not given up by the member itself. Some hold back what they were about to say of it.
    pub fn hold_back(&mut self, generation: i32, positions: BTreeMap<u8, i64>) {
        // In a consumer group members that are behind may commit for what they have held since.
        if !self.habits.changes_protocol && one_in(&self.rt, 2) {
            self.late = Some(Late { member: self.id.clone(), generation, positions });
        }
    }

    /// In its new share, sooner or later: says what it held back, if that is of an older generation.
    pub async fn speak_late(&mut self, link: &mut Link, share: &Share) -> Result<(), Broken> {
        let Some(late) = self.late.take_if(|late| late.generation < share.generation && one_in(&self.rt, 5)) else {
            return Ok(());
        };
        let (request, version) = match pick(&self.rt, 4) {
            0 => {
                let beat = HeartbeatRequest {
                    group_id: GROUP.into(),
                    generation_id: late.generation,
                    member_id: late.member.clone(),
                    group_instance_id: self.instance.clone(),
                };
                (Request::from(beat), 4)
            }
            1 => {
                let sync = SyncGroupRequest {
                    group_id: GROUP.into(),
                    generation_id: late.generation,
                    member_id: late.member.clone(),
                    group_instance_id: self.instance.clone(),
                    protocol_type: Some("consumer".into()),
                    protocol_name: Some("range".into()),
                    assignments: Vec::new(),
                };
                (sync.into(), 5)
            }
            _ if late.positions.is_empty() => return Ok(()),
            _ => (self.offsets(&late.member, late.generation, &late.positions).into(), 9),
        };
        let (api, error) = match link.ask(request, version, REPLY_MAX).await? {
            Response::Heartbeat(heard) => ("Heartbeat", heard.error_code),
            Response::SyncGroup(synced) => ("SyncGroup", synced.error_code),
            Response::OffsetCommit(reply) => {
                let mut parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
                ("OffsetCommit", parts.next().ok_or_else(another)?.error_code)
            }
            _ => return Err(another()),
        };
        if error == ErrorCode::None {
            let what = format!("{api} of generation {} was heard in generation {}", late.generation, share.generation);
            self.clients.history.unexpected(what);
        } else {
            // Whatever it is told now says nothing of its new share.
            let _told = self.refused(api, error);
        }
        Ok(())
    }
}
