//! ConsumerGroupDescribe: every state, with and without operations; several at once, one twice, none.

use corelog::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;

use super::states::State;
use crate::case::{Case, case};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        for (what, include_authorized_operations) in [("described", false), ("with what may be done to it", true)] {
            cases.push(case(format!("{}: {what}", state.name()), 0..=1, move |w, v| {
                let group = state.make(w);
                w.ask(ConsumerGroupDescribeRequest { group_ids: vec![group.id], include_authorized_operations }, v);
            }));
        }
    }
    cases.push(case("an empty id, one twice, an unknown one", 0..=1, |w, v| {
        let group = State::Consumer.make(w);
        let group_ids = vec!["".into(), group.id.clone(), w.name("unknown"), group.id];
        w.ask(ConsumerGroupDescribeRequest { group_ids, ..Default::default() }, v);
    }));
    cases.push(case("none", 0..=1, |w, v| {
        w.ask(ConsumerGroupDescribeRequest::default(), v);
    }));
    cases
}
