//! LeaveGroup: every state, every claim, several members at once, one twice.

use corelog::wire::Str;
use corelog::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};

use super::states::{Group, INSTANCE, State, claims};
use crate::case::{Case, case};

fn ask(group: Group, version: i16) -> LeaveGroupRequest {
    if version < 3 {
        return LeaveGroupRequest { group_id: group.id, member_id: group.member, ..Default::default() };
    }
    let member = MemberIdentity { member_id: group.member, group_instance_id: group.instance, reason: None };
    LeaveGroupRequest { group_id: group.id, members: vec![member], ..Default::default() }
}

fn identity(member: &Str, instance: Option<&str>) -> MemberIdentity {
    MemberIdentity { member_id: member.clone(), group_instance_id: instance.map(Str::from), reason: None }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::CLASSIC {
        // A generation is not among what is said here.
        for (claim, claimed) in claims().into_iter().filter(|(claim, _)| !claim.contains("generation")) {
            cases.push(case(format!("{}: {claim}", state.name()), [0, 5], move |w, v| {
                let group = claimed(state.make(w));
                w.ask(ask(group, v), v);
            }));
        }
        cases.push(case(format!("{}: no members", state.name()), [3, 5], move |w, v| {
            let group = state.make(w);
            w.ask(LeaveGroupRequest { group_id: group.id, ..Default::default() }, v);
        }));
        cases.push(case(format!("{}: its member among others, and twice", state.name()), [3, 5], move |w, v| {
            let group = state.make(w);
            let member = identity(&group.member, None);
            let members = vec![identity(&"nobody".into(), None), member.clone(), identity(&"".into(), None), member];
            w.ask(LeaveGroupRequest { group_id: group.id, members, ..Default::default() }, v);
        }));
    }
    cases.push(case("static: by its instance alone, and again", [3, 5], |w, v| {
        let group = State::Static.make(w);
        let members = vec![identity(&"".into(), Some(INSTANCE))];
        let asked = LeaveGroupRequest { group_id: group.id, members, ..Default::default() };
        w.ask(asked.clone(), v);
        w.ask(asked, v);
    }));
    cases
}
