//! What DescribeGroups and ListGroups tell of a classic group. Owning core only; pure.

use std::sync::Arc;

use bytes::Bytes;

use super::super::request::{ClassicState, Described, DescribedMember, GroupState, ListedGroup};
use super::ClassicGroup;

impl ClassicGroup {
    pub fn describe(&self) -> Described {
        // Between generations there is no protocol, and nobody's word for it; what was assigned last is still told.
        let is_stable = self.state == ClassicState::Stable;
        let protocol = self.protocol.clone().filter(|_| is_stable).unwrap_or_default();
        let members = self.members.values().map(|member| DescribedMember {
            member: member.id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            said: if is_stable { member.said_for(Some(&protocol)) } else { Bytes::new() },
            assignment: member.assignment.clone(),
        });
        let members = members.collect();
        Described {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol,
            members,
        }
    }

    pub fn list(&self, id: &Arc<str>) -> ListedGroup {
        ListedGroup {
            group: id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: GroupState::Classic(self.state),
        }
    }
}
