//! Fetch sessions (KIP-227): what an incremental reply holds, epochs and ids that are wrong, names against ids.

use corelog::wire::TopicId;
use corelog::wire::messages::fetch::{FetchRequest, FetchTopic, ForgottenTopic};
use corelog::wire::messages::{ApiKey, Response};

use super::fetch::{ask, from, to};
use crate::batches::batch;
use crate::case::{Case, case};
use crate::world::World;

/// An epoch after the first.
fn in_session(session_id: i32, session_epoch: i32, topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest { session_id, session_epoch, ..ask(topics) }
}

/// Opens a session over these topics; gives its id.
fn open(w: &mut World, topics: Vec<FetchTopic>, version: i16) -> i32 {
    match w.ask(in_session(0, 0, topics), version) {
        Some(Response::Fetch(reply)) => reply.session_id,
        other => panic!("no session: {other:?}"),
    }
}

/// A topic of two partitions, three records in the first.
fn two(w: &mut World, tag: &str) {
    let topic = w.topic(tag, 2);
    w.append(&topic, 0, &batch(w, 0, &["a", "b", "c"]));
}

fn forget(w: &mut World, tag: &str, partitions: &[i32], version: i16) -> ForgottenTopic {
    let topic_id = if version < 13 { TopicId::ZERO } else { w.id(tag) };
    ForgottenTopic { topic: w.name(tag), topic_id, partitions: partitions.to_vec() }
}

pub fn cases() -> Vec<Case> {
    let mut cases = of_replies();
    cases.extend(of_epochs());
    cases.extend(of_names());
    cases
}

fn of_replies() -> Vec<Case> {
    vec![
        case("unchanged partitions are left out", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3), from(1, 0)], v);
            let id = open(w, vec![topic], v);
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("partitions with records come again until the offset moves", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0), from(1, 0)], v);
            let id = open(w, vec![topic], v);
            w.ask(in_session(id, 1, vec![]), v);
            let moved = to(w, "a", vec![from(0, 3)], v);
            w.ask(in_session(id, 2, vec![moved]), v);
            w.ask(in_session(id, 3, vec![]), v);
        }),
        case("a partition whose high watermark moved comes once", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3), from(1, 0)], v);
            let id = open(w, vec![topic], v);
            let name = w.name("a");
            w.append(&name, 1, &batch(w, 0, &["d"]));
            w.ask(in_session(id, 1, vec![]), v);
            let moved = to(w, "a", vec![from(1, 1)], v);
            w.ask(in_session(id, 2, vec![moved]), v);
            w.ask(in_session(id, 3, vec![]), v);
        }),
        case("requests that do not wait for each other's replies", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3), from(1, 0)], v);
            let id = open(w, vec![topic], v);
            let name = w.name("a");
            w.append(&name, 1, &batch(w, 0, &["d"]));
            let moved = to(w, "a", vec![from(1, 1)], v);
            let frames =
                [vec![], vec![moved], vec![]].into_iter().zip(1..).map(|(topics, epoch)| in_session(id, epoch, topics));
            let frames: Vec<_> = frames.map(|asked| w.bytes(asked, v)).collect();
            w.send(&frames.concat(), ApiKey::Fetch, v);
            w.next(ApiKey::Fetch, v);
            w.next(ApiKey::Fetch, v);
        }),
        case("partitions are added, and forgotten", 7..=18, |w, v| {
            two(w, "a");
            two(w, "b");
            let first = to(w, "a", vec![from(0, 0)], v);
            let id = open(w, vec![first], v);
            let added = to(w, "b", vec![from(0, 0), from(1, 0)], v);
            w.ask(in_session(id, 1, vec![added]), v);
            let gone = forget(w, "a", &[0], v);
            w.ask(FetchRequest { forgotten_topics_data: vec![gone], ..in_session(id, 2, vec![]) }, v);
            let never = forget(w, "a", &[0, 7], v);
            w.ask(FetchRequest { forgotten_topics_data: vec![never], ..in_session(id, 3, vec![]) }, v);
        }),
        case("a partition forgotten and fetched by one request", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0), from(1, 0)], v);
            let id = open(w, vec![topic.clone()], v);
            let gone = forget(w, "a", &[0], v);
            w.ask(FetchRequest { forgotten_topics_data: vec![gone], ..in_session(id, 1, vec![topic]) }, v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("failing partitions come in each reply", 7..=12, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3), from(1, 9), from(7, 0)], v);
            let unknown = to(w, "unknown", vec![from(0, 0)], v);
            let id = open(w, vec![topic, unknown], v);
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("failing partitions come in each reply, by id", 13..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3), from(1, 9), from(7, 0)], v);
            let unknown = FetchTopic { topic_id: TopicId([0x5a; 16]), ..topic.clone() };
            let id = open(w, vec![topic, unknown], v);
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("a topic deleted under a session", 7..=18, |w, v| {
            two(w, "a");
            two(w, "b");
            let (a, b) = (to(w, "a", vec![from(0, 3)], v), to(w, "b", vec![from(0, 3)], v));
            let id = open(w, vec![a, b], v);
            let name = w.name("b");
            w.delete(&name);
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("nothing to fetch opens no session", 7..=18, |w, v| {
            w.ask(in_session(0, 0, vec![]), v);
        }),
        case("a limit moves on to the partitions that got nothing", 7..=18, |w, v| {
            let topic = w.topic("a", 3);
            for index in 0..3 {
                w.append(&topic, index, &batch(w, 0, &[&"x".repeat(100)]));
            }
            let topic = to(w, "a", (0..3).map(|index| from(index, 0)).collect(), v);
            let first = FetchRequest { max_bytes: 1, ..in_session(0, 0, vec![topic]) };
            let Some(Response::Fetch(reply)) = w.ask(first, v) else { panic!("no session") };
            for epoch in 1..4 {
                w.ask(FetchRequest { max_bytes: 1, ..in_session(reply.session_id, epoch, vec![]) }, v);
            }
        }),
    ]
}

fn of_epochs() -> Vec<Case> {
    vec![
        case("wrong epochs, and the session survives", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], v);
            let id = open(w, vec![topic], v);
            for epoch in [2, 7, i32::MAX, -2] {
                w.ask(in_session(id, epoch, vec![]), v);
            }
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 1, vec![]), v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
        case("ids of no session", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], v);
            for (id, epoch) in [(0, 1), (123, 1), (-1, 1), (-1, 0), (123, 0), (123, -1)] {
                w.note(&format!("epoch {epoch} of session {id}"));
                w.ask(in_session(id, epoch, vec![topic.clone()]), v);
            }
        }),
        case("a session is closed", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], v);
            let id = open(w, vec![topic.clone()], v);
            w.ask(in_session(id, -1, vec![topic]), v);
            w.ask(in_session(id, 1, vec![]), v);
        }),
        case("a session is replaced by a new one", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], v);
            let id = open(w, vec![topic.clone()], v);
            w.ask(in_session(id, 0, vec![topic]), v);
            w.ask(in_session(id, 1, vec![]), v);
        }),
        case("a session with all of its partitions forgotten", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], v);
            let id = open(w, vec![topic], v);
            let gone = forget(w, "a", &[0], v);
            w.ask(FetchRequest { forgotten_topics_data: vec![gone], ..in_session(id, 1, vec![]) }, v);
            w.ask(in_session(id, 2, vec![]), v);
        }),
    ]
}

fn of_names() -> Vec<Case> {
    vec![
        case("a session of names goes on with ids", 12..=12, |w, _| {
            two(w, "a");
            let (named, with_id) = (to(w, "a", vec![from(0, 0)], 12), to(w, "a", vec![from(0, 3)], 13));
            let id = open(w, vec![named.clone()], 12);
            w.ask(in_session(id, 1, vec![with_id]), 13);
            w.ask(in_session(id, 1, vec![named]), 12);
            w.ask(in_session(id, 1, vec![]), 13);
        }),
        case("a session of ids goes on with names", 13..=13, |w, _| {
            two(w, "a");
            let (named, with_id) = (to(w, "a", vec![from(0, 0)], 12), to(w, "a", vec![from(0, 3)], 13));
            let id = open(w, vec![with_id.clone()], 13);
            w.ask(in_session(id, 1, vec![named]), 12);
            w.ask(in_session(id, 1, vec![with_id]), 13);
        }),
        case("a session goes on in other versions", 8..=8, |w, _| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 0)], 8);
            let id = open(w, vec![topic], 8);
            w.ask(in_session(id, 1, vec![]), 11);
            w.ask(in_session(id, 2, vec![]), 7);
        }),
        case("a topic deleted and made anew under a session", 7..=18, |w, v| {
            two(w, "a");
            let topic = to(w, "a", vec![from(0, 3)], v);
            let id = open(w, vec![topic], v);
            let name = w.name("a");
            w.delete(&name);
            two(w, "a");
            w.ask(in_session(id, 1, vec![]), v);
            let topic = to(w, "a", vec![from(0, 0)], v);
            w.ask(in_session(id, 2, vec![topic]), v);
        }),
    ]
}
