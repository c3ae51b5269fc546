//! Heartbeat: every state, every claim.

use corelog::wire::messages::heartbeat::HeartbeatRequest;

use super::states::{Group, State, claims};
use crate::case::{Case, case};

fn ask(group: Group, version: i16) -> HeartbeatRequest {
    let group_instance_id = group.instance.filter(|_| version >= 3);
    HeartbeatRequest { group_id: group.id, generation_id: group.generation, member_id: group.member, group_instance_id }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        for (claim, claimed) in claims() {
            cases.push(case(format!("{}: {claim}", state.name()), [0, 4], move |w, v| {
                let group = claimed(state.make(w));
                w.ask(ask(group, v), v);
            }));
        }
    }
    cases
}
