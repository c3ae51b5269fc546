//! OffsetFetch: every state, all offsets and some, claims of members, topics that there are not.

use corelog::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use corelog::wire::{Str, TopicId};

use super::states::{Group, State, TOPIC, claims};
use crate::case::{Case, case};
use crate::world::World;

/// `None` for all; else these partitions of the topic of this tag.
type Wanted = Option<Vec<(&'static str, Vec<i32>)>>;

fn ask(w: &mut World, group: &Group, wanted: &Wanted, version: i16) -> OffsetFetchRequest {
    if version < 8 {
        let topic = |(tag, indexes): &(&'static str, Vec<i32>)| OffsetFetchRequestTopic {
            name: w.name(tag),
            partition_indexes: indexes.clone(),
        };
        let topics = wanted.as_ref().map(|wanted| wanted.iter().map(topic).collect());
        return OffsetFetchRequest { group_id: group.id.clone(), topics, ..Default::default() };
    }
    OffsetFetchRequest { groups: vec![of_group(w, group, wanted, version)], ..Default::default() }
}

fn of_group(w: &mut World, group: &Group, wanted: &Wanted, version: i16) -> OffsetFetchRequestGroup {
    let mut topic = |(tag, indexes): &(&'static str, Vec<i32>)| OffsetFetchRequestTopics {
        name: w.name(tag),
        topic_id: match *tag {
            _ if version < 10 => TopicId::ZERO,
            "unknown" => TopicId([7; 16]),
            tag => w.id(tag),
        },
        partition_indexes: indexes.clone(),
    };
    let topics = wanted.as_ref().map(|wanted| wanted.iter().map(&mut topic).collect());
    OffsetFetchRequestGroup { group_id: group.id.clone(), member_id: None, member_epoch: -1, topics }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        cases.push(case(format!("{}: all, and some", state.name()), 1..=10, move |w, v| {
            let group = state.make(w);
            if v >= 2 {
                let asked = ask(w, &group, &None, v);
                w.ask(asked, v);
            }
            let some = Some(vec![(TOPIC, vec![0, 5, -1]), ("unknown", vec![0])]);
            let asked = ask(w, &group, &some, v);
            w.ask(asked, v);
            let asked = ask(w, &group, &Some(vec![]), v);
            w.ask(asked, v);
        }));
        for (claim, claimed) in claims() {
            cases.push(case(format!("{}: {claim}", state.name()), [9, 10], move |w, v| {
                let group = claimed(state.make(w));
                let mut asked = of_group(w, &group, &Some(vec![(TOPIC, vec![0])]), v);
                (asked.member_id, asked.member_epoch) = (Some(group.member), group.generation);
                w.ask(OffsetFetchRequest { groups: vec![asked], ..Default::default() }, v);
            }));
        }
    }
    cases.extend(of_groups());
    cases
}

fn of_groups() -> Vec<Case> {
    vec![
        case("several groups, one twice, none", 8..=10, |w, v| {
            let group = State::Empty.make(w);
            let mut named = |id: Str| {
                let group = Group { id, ..group.clone() };
                of_group(w, &group, &Some(vec![(TOPIC, vec![0])]), v)
            };
            let groups = vec![named(group.id.clone()), named("unknown".into()), named(group.id.clone())];
            w.ask(OffsetFetchRequest { groups, ..Default::default() }, v);
            w.ask(OffsetFetchRequest::default(), v);
        }),
        case("only what no transaction may change", 7..=10, |w, v| {
            let group = State::Empty.make(w);
            let asked = ask(w, &group, &Some(vec![(TOPIC, vec![0])]), v);
            w.ask(OffsetFetchRequest { require_stable: true, ..asked }, v);
        }),
        case("an empty group id", 1..=10, |w, v| {
            let group = Group { id: "".into(), ..State::None.make(w) };
            let asked = ask(w, &group, &Some(vec![(TOPIC, vec![0])]), v);
            w.ask(asked, v);
        }),
        case("a partition twice, a topic twice", 1..=10, |w, v| {
            let group = State::Empty.make(w);
            let asked = ask(w, &group, &Some(vec![(TOPIC, vec![0, 0]), (TOPIC, vec![0])]), v);
            w.ask(asked, v);
        }),
    ]
}
