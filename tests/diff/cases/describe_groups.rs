//! DescribeGroups: every state, with and without operations; several at once, one twice, none.

use corelog::wire::messages::describe_groups::DescribeGroupsRequest;

use super::states::State;
use crate::case::{Case, case};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        cases.push(case(format!("{}: described", state.name()), 0..=6, move |w, v| {
            let group = state.make(w);
            w.ask(DescribeGroupsRequest { groups: vec![group.id], ..Default::default() }, v);
        }));
        cases.push(case(format!("{}: with what may be done to it", state.name()), [3, 6], move |w, v| {
            let group = state.make(w);
            w.ask(DescribeGroupsRequest { groups: vec![group.id], include_authorized_operations: true }, v);
        }));
    }
    cases.push(case("an empty id, one twice, an unknown one", 0..=6, |w, v| {
        let group = State::Empty.make(w);
        let groups = vec!["".into(), group.id.clone(), w.name("unknown"), group.id];
        w.ask(DescribeGroupsRequest { groups, ..Default::default() }, v);
    }));
    cases.push(case("none", 0..=6, |w, v| {
        w.ask(DescribeGroupsRequest::default(), v);
    }));
    cases
}
