//! SyncGroup: every state, every claim, other protocols, assignments for nobody.

use bytes::Bytes;
use corelog::wire::Str;
use corelog::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::states::{Group, State, claims, sync_request};
use crate::case::{Case, case};

fn ask(group: &Group, version: i16) -> SyncGroupRequest {
    let asked = sync_request(group);
    SyncGroupRequest { group_instance_id: asked.group_instance_id.clone().filter(|_| version >= 3), ..asked }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        for (claim, claimed) in claims() {
            cases.push(case(format!("{}: {claim}", state.name()), [0, 5], move |w, v| {
                let group = claimed(state.make(w));
                w.ask(ask(&group, v), v);
            }));
        }
    }
    for state in [State::Completing, State::Stable, State::Preparing] {
        let protocols: [(&str, Option<&str>, Option<&str>); 5] = [
            ("another type of protocol", Some("connect"), Some("range")),
            ("another protocol", Some("consumer"), Some("roundrobin")),
            ("no type of protocol", None, Some("range")),
            ("no protocol", Some("consumer"), None),
            ("neither", None, None),
        ];
        for (what, protocol_type, protocol_name) in protocols {
            cases.push(case(format!("{}: {what}", state.name()), [5], move |w, v| {
                let group = state.make(w);
                let (protocol_type, protocol_name) = (protocol_type.map(Str::from), protocol_name.map(Str::from));
                w.ask(SyncGroupRequest { protocol_type, protocol_name, ..ask(&group, v) }, v);
            }));
        }
    }
    cases.push(case("completing: no assignments, then again", 0..=5, |w, v| {
        let group = State::Completing.make(w);
        w.ask(SyncGroupRequest { assignments: vec![], ..ask(&group, v) }, v);
        w.ask(ask(&group, v), v);
    }));
    cases.push(case("completing: an assignment for nobody, and one twice", 0..=5, |w, v| {
        let group = State::Completing.make(w);
        let to = |member: &Str, bytes: &'static [u8]| SyncGroupRequestAssignment {
            member_id: member.clone(),
            assignment: Bytes::from_static(bytes),
        };
        let assignments =
            vec![to(&"nobody".into(), b"none"), to(&group.member, b"first"), to(&group.member, b"second")];
        w.ask(SyncGroupRequest { assignments, ..ask(&group, v) }, v);
    }));
    cases
}
