//! DeleteGroups: every state, then again; several at once, one twice.

use corelog::wire::messages::delete_groups::DeleteGroupsRequest;

use super::states::State;
use crate::case::{Case, case};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        cases.push(case(format!("{}: deleted, and again", state.name()), [0, 1, 2], move |w, v| {
            let group = state.make(w);
            w.ask(DeleteGroupsRequest { groups_names: vec![group.id.clone()] }, v);
            w.ask(DeleteGroupsRequest { groups_names: vec![group.id] }, v);
        }));
    }
    cases.push(case("an empty id, one twice, an unknown one", 0..=2, |w, v| {
        let group = State::Empty.make(w);
        let unknown = w.name("unknown");
        w.ask(DeleteGroupsRequest { groups_names: vec!["".into(), group.id.clone(), unknown, group.id] }, v);
    }));
    cases.push(case("none", 0..=2, |w, v| {
        w.ask(DeleteGroupsRequest::default(), v);
    }));
    cases
}
