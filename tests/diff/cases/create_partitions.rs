//! CreatePartitions: more, as many, fewer; assignments; twice; unknown; only validated.

use corelog::wire::Str;
use corelog::wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};

use crate::case::{Case, case};
use crate::world::TIMEOUT_MS;

fn to(name: Str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic { name, count, assignments: None }
}

fn ask(topics: Vec<CreatePartitionsTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest { topics, timeout_ms: TIMEOUT_MS, validate_only: false }
}

fn on(brokers: &[&[i32]]) -> Option<Vec<CreatePartitionsAssignment>> {
    Some(brokers.iter().map(|ids| CreatePartitionsAssignment { broker_ids: ids.to_vec() }).collect())
}

pub fn cases() -> Vec<Case> {
    vec![
        case("more partitions", 0..=3, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(ask(vec![to(topic.clone(), 3)]), v);
            w.settled("a");
            w.ask(crate::cases::metadata::of(topic), 12);
        }),
        case("more partitions, only validated", 0..=3, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(CreatePartitionsRequest { validate_only: true, ..ask(vec![to(topic.clone(), 3)]) }, v);
            w.ask(crate::cases::metadata::of(topic), 12);
        }),
        case("as many as there are, and fewer", 0..=3, |w, v| {
            let topic = w.topic("a", 2);
            for count in [2, 1, 0, -1, i32::MIN] {
                w.ask(ask(vec![to(topic.clone(), count)]), v);
                w.ask(CreatePartitionsRequest { validate_only: true, ..ask(vec![to(topic.clone(), count)]) }, v);
            }
        }),
        case("an unknown topic", 0..=3, |w, v| {
            let name = w.name("unknown");
            w.ask(ask(vec![to(name, 2)]), v);
        }),
        case("names that no topic can have", 0..=3, |w, v| {
            w.ask(ask(["", ".", "a b"].map(|name| to(name.into(), 2)).to_vec()), v);
        }),
        case("a topic twice, beside another", 0..=3, |w, v| {
            let (twice, other) = (w.topic("twice", 1), w.topic("other", 1));
            w.ask(ask(vec![to(twice.clone(), 2), to(other, 2), to(twice, 3)]), v);
        }),
        case("no topics", 0..=3, |w, v| {
            w.ask(ask(vec![]), v);
        }),
        case("assignments that fit", 0..=3, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(ask(vec![CreatePartitionsTopic { assignments: on(&[&[1], &[1]]), ..to(topic, 3) }]), v);
        }),
        case("assignments that do not fit", 0..=3, |w, v| {
            let topic = w.topic("a", 1);
            let wrong: &[&[&[i32]]] =
                &[&[], &[&[1]], &[&[1], &[1], &[1]], &[&[1], &[]], &[&[1], &[9]], &[&[1], &[1, 1]], &[&[9], &[9]]];
            for assignments in wrong {
                let asked = CreatePartitionsTopic { assignments: on(assignments), ..to(topic.clone(), 3) };
                w.ask(ask(vec![asked]), v);
            }
        }),
        case("a good and a bad topic", 0..=3, |w, v| {
            let (good, bad) = (w.topic("good", 1), w.name("unknown"));
            w.ask(ask(vec![to(bad, 2), to(good, 2)]), v);
        }),
    ]
}
