//! OffsetCommit: every state, every claim; topics, partitions and metadata that are wrong.

use corelog::wire::messages::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition};
use corelog::wire::{Str, TopicId};

use super::states::{Group, State, TOPIC, claims, commit_request};
use crate::case::{Case, case};
use crate::world::World;

fn ask(w: &mut World, group: &Group, version: i16) -> OffsetCommitRequest {
    let mut asked = commit_request(w, group, 9);
    if version < 7 {
        asked.group_instance_id = None;
    }
    if version >= 10 {
        asked.topics[0].topic_id = w.id(TOPIC);
    }
    asked
}

fn partitions(indexes: &[i32]) -> Vec<OffsetCommitRequestPartition> {
    indexes.iter().map(|index| OffsetCommitRequestPartition { partition_index: *index, ..Default::default() }).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        for (claim, claimed) in claims() {
            cases.push(case(format!("{}: {claim}", state.name()), [2, 8, 9, 10], move |w, v| {
                let group = claimed(state.make(w));
                let asked = ask(w, &group, v);
                w.ask(asked, v);
            }));
        }
        cases.push(case(format!("{}: nobody's", state.name()), [2, 7, 8, 9, 10], move |w, v| {
            let group = Group { member: "".into(), generation: -1, instance: None, ..state.make(w) };
            let asked = ask(w, &group, v);
            w.ask(asked, v);
        }));
    }
    cases.extend(of_offsets());
    cases
}

fn of_offsets() -> Vec<Case> {
    vec![
        case("partitions that there are not", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            let mut asked = ask(w, &group, v);
            asked.topics[0].partitions = partitions(&[1, -1, 0, i32::MAX]);
            w.ask(asked, v);
        }),
        case("a topic that there is not", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            let mut asked = ask(w, &group, v);
            (asked.topics[0].name, asked.topics[0].topic_id) = (w.name("unknown"), TopicId([7; 16]));
            w.ask(asked, v);
        }),
        case("a topic of the zero id", [10], |w, v| {
            let group = State::Stable.make(w);
            let mut asked = ask(w, &group, v);
            asked.topics[0].topic_id = TopicId::ZERO;
            w.ask(asked, v);
        }),
        case("an empty and a bad topic name", 2..=9, |w, v| {
            let group = State::Empty.make(w);
            let nobody = Group { member: "".into(), generation: -1, ..group };
            for name in ["", "a b", "."] {
                let mut asked = ask(w, &nobody, v);
                asked.topics[0].name = name.into();
                w.ask(asked, v);
            }
        }),
        case("no topics, no partitions", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            let asked = ask(w, &group, v);
            w.ask(OffsetCommitRequest { topics: vec![], ..asked.clone() }, v);
            let mut without = asked;
            without.topics[0].partitions = vec![];
            w.ask(without, v);
        }),
        case("topics without partitions, with others and alone", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            let mut asked = ask(w, &group, v);
            let mut without = asked.topics[0].clone();
            without.partitions = vec![];
            let mut unknown = without.clone();
            (unknown.name, unknown.topic_id) = (w.name("unknown"), TopicId([7; 16]));
            asked.topics.extend([without.clone(), unknown.clone()]);
            w.ask(asked.clone(), v);
            w.ask(OffsetCommitRequest { member_id: "nobody".into(), ..asked.clone() }, v);
            w.ask(OffsetCommitRequest { topics: vec![without, unknown], ..asked }, v);
        }),
        case("metadata: null, empty, as long as may be, too long", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            for said in [None, Some(0), Some(4096), Some(4097)] {
                let mut asked = ask(w, &group, v);
                asked.topics[0].partitions[0].committed_metadata = said.map(|len| Str::from("m".repeat(len)));
                w.ask(asked, v);
            }
        }),
        case("offsets and epochs below zero", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            for (committed_offset, committed_leader_epoch) in [(-1, -1), (i64::MIN, -1), (1, -2), (i64::MAX, i32::MAX)]
            {
                let mut asked = ask(w, &group, v);
                asked.topics[0].partitions[0].committed_offset = committed_offset;
                asked.topics[0].partitions[0].committed_leader_epoch = committed_leader_epoch;
                w.ask(asked, v);
            }
        }),
        case("a partition twice, a topic twice", 2..=10, |w, v| {
            let group = State::Stable.make(w);
            let mut asked = ask(w, &group, v);
            asked.topics[0].partitions = partitions(&[0, 0]);
            asked.topics.push(asked.topics[0].clone());
            w.ask(asked, v);
        }),
        case("times to keep", 2..=4, |w, v| {
            let group = State::Stable.make(w);
            for retention_time_ms in [-1, 0, 1000, -2] {
                let asked = ask(w, &group, v);
                w.ask(OffsetCommitRequest { retention_time_ms, ..asked }, v);
            }
        }),
    ]
}
