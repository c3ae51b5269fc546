//! ConsumerGroupHeartbeat: every state, every claim, first heartbeats that are wrong, subscriptions, leaving.

use corelog::wire::Str;
use corelog::wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};

use super::states::{Group, INSTANCE, OTHER_ID, OWN_ID, State, beat, claims, first_beat};
use crate::case::{Case, case};
use crate::world::reply;

type Change = fn(ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatRequest;

/// What is wrong with a first heartbeat.
fn wrong() -> Vec<(&'static str, Change)> {
    type Beat = ConsumerGroupHeartbeatRequest;
    vec![
        ("an empty group id", |beat| Beat { group_id: "".into(), ..beat }),
        ("a group id of spaces", |beat| Beat { group_id: "  ".into(), ..beat }),
        ("no rebalance time-out", |beat| Beat { rebalance_timeout_ms: -1, ..beat }),
        ("a rebalance time-out of zero", |beat| Beat { rebalance_timeout_ms: 0, ..beat }),
        ("no subscription", |beat| Beat { subscribed_topic_names: None, ..beat }),
        ("an empty subscription", |beat| Beat { subscribed_topic_names: Some(vec![]), ..beat }),
        ("no partitions", |beat| Beat { topic_partitions: None, ..beat }),
        ("partitions at once", |beat| {
            let owned = TopicPartitions { topic_id: Default::default(), partitions: vec![0] };
            Beat { topic_partitions: Some(vec![owned]), ..beat }
        }),
        ("an unknown assignor", |beat| Beat { server_assignor: Some("nobody".into()), ..beat }),
        ("an empty assignor", |beat| Beat { server_assignor: Some("".into()), ..beat }),
        ("an empty instance", |beat| Beat { instance_id: Some("".into()), ..beat }),
        ("an empty rack", |beat| Beat { rack_id: Some("".into()), ..beat }),
        ("a topic twice", |beat| {
            let topics = beat.subscribed_topic_names.iter().flatten().cycle().take(2).cloned().collect();
            Beat { subscribed_topic_names: Some(topics), ..beat }
        }),
        ("a topic that there is not", |beat| Beat { subscribed_topic_names: Some(vec!["unknown".into()]), ..beat }),
        ("an empty and a bad topic", |beat| Beat {
            subscribed_topic_names: Some(vec!["".into(), "a b".into()]),
            ..beat
        }),
        ("an epoch below -2", |beat| Beat { member_epoch: -3, ..beat }),
        ("an epoch to come", |beat| Beat { member_epoch: 7, ..beat }),
        ("it leaves", |beat| Beat { member_epoch: -1, ..beat }),
        ("it leaves for a while", |beat| Beat { member_epoch: -2, ..beat }),
        ("it leaves for a while as an instance", |beat| Beat {
            member_epoch: -2,
            instance_id: Some(INSTANCE.into()),
            ..beat
        }),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, change) in wrong() {
        for state in [State::None, State::Consumer] {
            cases.push(case(format!("{}: {what}", state.name()), 0..=1, move |w, v| {
                let group = state.make(w);
                let beat = change(first_beat(w, &group.id));
                w.ask(beat, v);
            }));
        }
    }
    for state in [State::None, State::Empty, State::Left, State::Deleted, State::Consumer, State::ConsumerLeft] {
        cases.push(case(format!("{}: a first heartbeat", state.name()), 0..=1, move |w, v| {
            let group = state.make(w);
            let first = first_beat(w, &group.id);
            w.ask(ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), ..first }, v);
        }));
    }
    for state in State::ALL {
        for (claim, claimed) in claims() {
            cases.push(case(format!("{}: a heartbeat of {claim}", state.name()), 0..=1, move |w, v| {
                let group = claimed(state.make(w));
                w.ask(beat(&group), v);
            }));
        }
        cases.push(case(format!("{}: leaves, and again", state.name()), 0..=1, move |w, v| {
            let group = state.make(w);
            let leave = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat(&group) };
            w.ask(leave.clone(), v);
            w.ask(leave, v);
        }));
    }
    cases.extend(of_subscriptions());
    cases
}

/// Expressions on which libraries differ.
const OF_RE2: &[&str] = &[
    r"\Qa.b!\E",
    r"\Qa.b!",
    r"[\w-.]+!",
    r"[\d-_]+!",
    r"[a-\d]",
    "a**",
    "a*+",
    "a{2}{3}",
    "a{1001}",
    "a{1000}!",
    "a{2,1}",
    "a{,3}!",
    "a{",
    "{2}",
    "(?x)a",
    "(?i)a!",
    "(?i-)a",
    "(?P<n>a)(?P<n>b)",
    "(?P<1>a)!",
    "(?=a)",
    "a)(b",
    "|*",
    "[a-z&&[^b]]",
    "[[a]b]!",
    "[a--b]",
    "[[:foo:]]",
    "[[:alpha]!",
    r"\w{1,249}!",
    r"[\w.]{1,249}!",
    ".{1,249}!",
    r"\pL+!",
    r"\p{greek}",
    r"\p{Alphabetic}",
    r"\q",
    r"a\Z",
    "\\",
];

fn of_subscriptions() -> Vec<Case> {
    vec![
        case("a regular expression that is none", [1], |w, v| {
            let group = State::None.make(w);
            for regex in ["(", "[", "*", "(?P<n>a)\\1", ""] {
                let first = first_beat(w, &group.id);
                let subscribed_topic_regex = Some(Str::from(regex));
                let subscribed_topic_names = None;
                w.note(regex);
                w.ask(ConsumerGroupHeartbeatRequest { subscribed_topic_regex, subscribed_topic_names, ..first }, v);
            }
        }),
        case("regular expressions as RE2 reads them", [1], |w, v| {
            let group = State::None.make(w);
            for (n, regex) in OF_RE2.iter().enumerate() {
                // None of them matches a topic of whatever case; each has a group of its own.
                let first = first_beat(w, &format!("{}-{n}", group.id).into());
                let subscribed_topic_regex = Some(Str::from(*regex));
                let ask = ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..first };
                let ask = ConsumerGroupHeartbeatRequest { subscribed_topic_regex, ..ask };
                // Kafka looks for topics behind the reply, and has no epoch for that before.
                let told = reply!(ConsumerGroupHeartbeat, w.aside(ask, v));
                w.note(&format!("{regex}: {:?}", told.error_code));
            }
        }),
        case("a member without an id", 0..=1, |w, v| {
            let group = State::None.make(w);
            let first = first_beat(w, &group.id);
            w.ask(ConsumerGroupHeartbeatRequest { member_id: "".into(), ..first }, v);
        }),
        case("a first heartbeat again", 0..=1, |w, v| {
            let group = State::Consumer.make(w);
            let first = first_beat(w, &group.id);
            w.ask(first, v);
        }),
        case("an instance that another member has", 0..=1, |w, v| {
            let group = State::None.make(w);
            let first =
                ConsumerGroupHeartbeatRequest { instance_id: Some(INSTANCE.into()), ..first_beat(w, &group.id) };
            w.ask(first.clone(), v);
            w.ask(ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), ..first.clone() }, v);
            // After it has left for a while the other takes its place.
            w.ask(ConsumerGroupHeartbeatRequest { member_epoch: -2, ..first.clone() }, v);
            w.ask(ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), ..first.clone() }, v);
            w.ask(ConsumerGroupHeartbeatRequest { member_epoch: 2, ..first }, v);
        }),
        case("partitions that are not its", 0..=1, |w, v| {
            let group = State::Consumer.make(w);
            let topic_id = w.id(super::states::TOPIC);
            for partitions in [vec![], vec![0], vec![5], vec![0, 0]] {
                let topic_partitions = Some(vec![TopicPartitions { topic_id, partitions }]);
                w.ask(ConsumerGroupHeartbeatRequest { topic_partitions, ..beat(&group) }, v);
            }
        }),
        case("an epoch before with what it had", 0..=1, |w, v| {
            let group = State::Consumer.make(w);
            let old = Group { generation: group.generation - 1, member: OWN_ID.into(), ..group };
            w.ask(ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![]), ..beat(&old) }, v);
        }),
    ]
}
