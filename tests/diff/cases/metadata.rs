//! Metadata: all topics, some, none; by name and by id; what makes topics and what may not.

use corelog::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use corelog::wire::{Str, TopicId};

use crate::case::{Case, case};

fn named(name: Str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name), topic_id: TopicId::ZERO }
}

fn with_id(topic_id: TopicId, name: Option<Str>) -> MetadataRequestTopic {
    MetadataRequestTopic { name, topic_id }
}

/// Topics that are asked for, and not made.
fn ask(topics: Vec<MetadataRequestTopic>, version: i16) -> MetadataRequest {
    MetadataRequest { topics: Some(topics), allow_auto_topic_creation: version < 4, ..Default::default() }
}

/// Of this topic, as other cases ask for it.
pub fn of(topic: Str) -> MetadataRequest {
    ask(vec![named(topic)], 12)
}

/// An id that no topic has.
const NOBODYS: TopicId = TopicId([0x5a; 16]);

pub fn cases() -> Vec<Case> {
    vec![
        case("a topic of three partitions", 0..=13, |w, v| {
            let topic = w.topic("three", 3);
            w.ask(ask(vec![named(topic)], v), v);
        }),
        case("all topics", 0..=13, |w, v| {
            w.topic("a", 1);
            w.topic("b", 2);
            let topics = (v == 0).then(Vec::new);
            w.ask(MetadataRequest { topics, ..Default::default() }, v);
        }),
        case("no topics", 1..=13, |w, v| {
            w.topic("a", 1);
            w.ask(ask(vec![], v), v);
        }),
        case("an unknown topic that may not be made", 4..=13, |w, v| {
            let name = w.name("unknown");
            w.ask(ask(vec![named(name.clone())], v), v);
            w.ask(ask(vec![named(name)], v), v);
        }),
        case("an unknown topic that is made", 0..=13, |w, v| {
            let name = w.name("made");
            let asked = MetadataRequest { topics: Some(vec![named(name)]), ..Default::default() };
            w.ask(asked.clone(), v);
            w.settled("made");
            w.ask(asked, v);
        }),
        case("unknown topics of the broker's own", 4..=13, |w, v| {
            // Those of which no case has Kafka make them.
            for name in ["__share_group_state", "__cluster_metadata", "__other"] {
                w.ask(ask(vec![named(name.into())], v), v);
            }
        }),
        case("names that no topic can have", 0..=13, |w, v| {
            for name in ["", ".", "..", "a b", "ü", &"n".repeat(250)] {
                w.ask(MetadataRequest { topics: Some(vec![named(name.into())]), ..Default::default() }, v);
            }
        }),
        case("a topic twice", 1..=13, |w, v| {
            let topic = w.topic("twice", 1);
            w.ask(ask(vec![named(topic.clone()), named(topic)], v), v);
        }),
        case("a topic by its id", 10..=13, |w, v| {
            w.topic("a", 1);
            let id = w.id("a");
            w.ask(ask(vec![with_id(id, (v < 12).then(Str::default))], v), v);
        }),
        case("an id that no topic has", 12..=13, |w, v| {
            w.ask(ask(vec![with_id(NOBODYS, None)], v), v);
        }),
        case("neither name nor id", 10..=13, |w, v| {
            w.ask(ask(vec![with_id(TopicId::ZERO, None)], v), v);
        }),
        case("a name and an id", 10..=13, |w, v| {
            let name = w.topic("a", 1);
            let id = w.id("a");
            w.ask(ask(vec![with_id(id, Some(name))], v), v);
        }),
        case("authorized operations of topics", 8..=13, |w, v| {
            let topic = w.topic("a", 1);
            let topics = [topic, w.name("unknown"), "a b".into()].map(named).to_vec();
            w.ask(MetadataRequest { include_topic_authorized_operations: true, ..ask(topics, v) }, v);
        }),
        case("authorized operations of the cluster", 8..=10, |w, v| {
            w.ask(MetadataRequest { include_cluster_authorized_operations: true, ..ask(vec![], v) }, v);
        }),
    ]
}
