//! DeleteTopics: by name and by id, twice, unknown, both and neither.

use corelog::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use corelog::wire::{Str, TopicId};

use crate::case::{Case, case};
use crate::world::TIMEOUT_MS;

/// Names where the version has its place for them.
fn names(names: &[Str], version: i16) -> DeleteTopicsRequest {
    let mut ask = DeleteTopicsRequest { timeout_ms: TIMEOUT_MS, ..Default::default() };
    if version < 6 {
        ask.topic_names = names.to_vec();
    } else {
        ask.topics =
            names.iter().map(|name| DeleteTopicState { name: Some(name.clone()), topic_id: TopicId::ZERO }).collect();
    }
    ask
}

fn states(topics: &[(Option<Str>, TopicId)]) -> DeleteTopicsRequest {
    let topics = topics.iter().map(|(name, topic_id)| DeleteTopicState { name: name.clone(), topic_id: *topic_id });
    DeleteTopicsRequest { topics: topics.collect(), timeout_ms: TIMEOUT_MS, ..Default::default() }
}

const NOBODYS: TopicId = TopicId([0x5a; 16]);

pub fn cases() -> Vec<Case> {
    vec![
        case("a topic, twice in turn", 1..=6, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(names(std::slice::from_ref(&topic), v), v);
            w.gone("a");
            w.ask(names(&[topic], v), v);
        }),
        case("several topics, one unknown", 1..=6, |w, v| {
            let (a, b) = (w.topic("a", 1), w.topic("b", 2));
            let unknown = w.name("unknown");
            w.ask(names(&[a, unknown, b], v), v);
        }),
        case("a name twice, beside another", 1..=6, |w, v| {
            let (twice, other) = (w.topic("twice", 1), w.topic("other", 1));
            w.ask(names(&[twice.clone(), other, twice], v), v);
        }),
        case("no topics", 1..=6, |w, v| {
            w.ask(names(&[], v), v);
        }),
        case("names that no topic can have", 1..=6, |w, v| {
            w.ask(names(&["".into(), ".".into(), "a b".into()], v), v);
        }),
        case("by id, twice in turn", 6..=6, |w, v| {
            w.topic("a", 1);
            let id = w.id("a");
            w.ask(states(&[(None, id)]), v);
            w.gone("a");
            w.ask(states(&[(None, id)]), v);
        }),
        case("an id that no topic has", 6..=6, |w, v| {
            w.ask(states(&[(None, NOBODYS)]), v);
        }),
        case("a name and its id", 6..=6, |w, v| {
            let name = w.topic("a", 1);
            let id = w.id("a");
            w.ask(states(&[(Some(name.clone()), id)]), v);
            w.ask(states(&[(Some(name), NOBODYS)]), v);
        }),
        case("neither a name nor an id", 6..=6, |w, v| {
            w.ask(states(&[(None, TopicId::ZERO)]), v);
        }),
        case("an id twice", 6..=6, |w, v| {
            w.topic("a", 1);
            let id = w.id("a");
            w.ask(states(&[(None, id), (None, id)]), v);
        }),
        case("one topic by its name and by its id", 6..=6, |w, v| {
            let name = w.topic("a", 1);
            let id = w.id("a");
            w.ask(states(&[(Some(name), TopicId::ZERO), (None, id)]), v);
        }),
        case("no time to wait", 1..=6, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(DeleteTopicsRequest { timeout_ms: 0, ..names(&[topic], v) }, v);
        }),
    ]
}
