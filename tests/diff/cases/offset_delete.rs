//! OffsetDelete: every state, topics and partitions that are stored, subscribed to, unknown.

use corelog::wire::Str;
use corelog::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

use super::states::{State, TOPIC};
use crate::case::{Case, case};

fn ask(group: Str, topics: Vec<(Str, &[i32])>) -> OffsetDeleteRequest {
    let topic = |(name, indexes): (Str, &[i32])| OffsetDeleteRequestTopic {
        name,
        partitions: indexes.iter().map(|index| OffsetDeleteRequestPartition { partition_index: *index }).collect(),
    };
    OffsetDeleteRequest { group_id: group, topics: topics.into_iter().map(topic).collect() }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        cases.push(case(format!("{}: an offset", state.name()), [0], move |w, v| {
            let group = state.make(w);
            let name = w.name(TOPIC);
            w.ask(ask(group.id.clone(), vec![(name.clone(), &[0])]), v);
            w.ask(ask(group.id, vec![(name, &[0])]), v);
        }));
        cases.push(case(format!("{}: topics and partitions that there are not", state.name()), [0], move |w, v| {
            let group = state.make(w);
            let (name, unknown) = (w.name(TOPIC), w.name("unknown"));
            w.ask(ask(group.id, vec![(name, &[3, -1, 0]), (unknown, &[0]), ("x".into(), &[0])]), v);
        }));
        cases.push(case(format!("{}: nothing", state.name()), [0], move |w, v| {
            let group = state.make(w);
            let name = w.name(TOPIC);
            w.ask(ask(group.id.clone(), vec![]), v);
            w.ask(ask(group.id, vec![(name, &[])]), v);
        }));
        cases.push(case(
            format!("{}: topics without partitions, with others and alone", state.name()),
            [0],
            move |w, v| {
                let group = state.make(w);
                let (name, unknown) = (w.name(TOPIC), w.name("unknown"));
                w.ask(ask(group.id.clone(), vec![(name.clone(), &[0]), ("x".into(), &[]), (unknown.clone(), &[])]), v);
                w.ask(ask(group.id.clone(), vec![(name, &[]), (unknown.clone(), &[])]), v);
                w.ask(ask(group.id, vec![(unknown, &[0])]), v);
            },
        ));
    }
    cases.push(case("an empty group id", [0], |w, v| {
        let group = State::None.make(w);
        let name = w.name(TOPIC);
        w.ask(ask("".into(), vec![(name, &[0])]), v);
        w.ask(ask(group.id, vec![("".into(), &[0]), ("a b".into(), &[0])]), v);
    }));
    cases
}
