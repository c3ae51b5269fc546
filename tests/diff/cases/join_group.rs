//! JoinGroup: what is answered at once in each state, protocols and time-outs that are wrong.

use bytes::Bytes;
use corelog::wire::Str;
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};

use super::states::{INSTANCE, State, join_request, settle};
use crate::case::{Case, case};

fn protocols(names: &[&str]) -> Vec<JoinGroupRequestProtocol> {
    let protocol =
        |name: &&str| JoinGroupRequestProtocol { name: Str::from(*name), metadata: Bytes::from_static(b"said") };
    names.iter().map(protocol).collect()
}

type Change = fn(JoinGroupRequest) -> JoinGroupRequest;

/// What is wrong with a join, whatever the group.
fn wrong() -> Vec<(&'static str, Change)> {
    vec![
        ("an unknown member", |ask| JoinGroupRequest { member_id: "nobody".into(), ..ask }),
        ("an empty group id", |ask| JoinGroupRequest { group_id: "".into(), ..ask }),
        ("no protocols", |ask| JoinGroupRequest { protocols: vec![], ..ask }),
        ("an empty type of protocol", |ask| JoinGroupRequest { protocol_type: "".into(), ..ask }),
        ("a session too short", |ask| JoinGroupRequest { session_timeout_ms: 5_999, ..ask }),
        ("a session too long", |ask| JoinGroupRequest { session_timeout_ms: 1_800_001, ..ask }),
        ("a session below zero", |ask| JoinGroupRequest { session_timeout_ms: -1, ..ask }),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::CLASSIC {
        for (what, change) in wrong() {
            cases.push(case(format!("{}: {what}", state.name()), [0, 4, 7, 9], move |w, v| {
                let group = state.make(w);
                w.ask(change(join_request(&group.id, &"".into(), None)), v);
            }));
        }
        cases.push(case(format!("{}: a new member is told its id", state.name()), [4, 9], move |w, v| {
            let group = state.make(w);
            w.ask(join_request(&group.id, &"".into(), None), v);
        }));
        cases.push(case(
            format!("{}: an instance under a member that is not its", state.name()),
            [5, 9],
            move |w, v| {
                let group = state.make(w);
                w.ask(join_request(&group.id, &"nobody".into(), Some(INSTANCE)), v);
            },
        ));
    }
    cases.extend(of_members());
    cases.extend(of_votes());
    cases
}

/// Two protocols in the order of preference, and the one that the group speaks.
fn preferring(first: &str, second: &str) -> Vec<JoinGroupRequestProtocol> {
    let names = [first, second, "range"];
    // None is said twice.
    let end = if names[..2].contains(&"range") { 2 } else { 3 };
    protocols(&names[..end])
}

/// Two members that each prefer another protocol: which one is spoken.
fn of_votes() -> Vec<Case> {
    let pairs = [
        ("range", "roundrobin"),
        ("roundrobin", "range"),
        ("sticky", "roundrobin"),
        ("cooperative-sticky", "range"),
        ("cooperative-sticky", "consumer"),
        ("zebra", "ant"),
    ];
    let cases = pairs.map(|(one, other)| {
        case(format!("stable: its member prefers {one}, a new one {other}"), [0, 5, 9], move |w, v| {
            let group = State::Stable.make(w);
            let new = join_request(&group.id, &"".into(), None);
            w.park(JoinGroupRequest { protocols: preferring(other, one), ..new }, 3);
            settle(w, &group.id, "PreparingRebalance");
            let again = join_request(&group.id, &group.member, None);
            w.ask(JoinGroupRequest { protocols: preferring(one, other), ..again }, v);
        })
    });
    cases.into()
}

fn of_members() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in [State::Preparing, State::Completing, State::Stable] {
        cases.push(case(format!("{}: its member comes again", state.name()), 0..=9, move |w, v| {
            let group = state.make(w);
            w.ask(join_request(&group.id, &group.member, None), v);
        }));
        for (what, kind, names) in [
            ("another type of protocol", "connect", &["range"][..]),
            ("no protocol in common", "consumer", &["roundrobin", "sticky"]),
        ] {
            cases.push(case(format!("{}: a new member with {what}", state.name()), [0, 3, 9], move |w, v| {
                let group = state.make(w);
                let asked = join_request(&group.id, &"".into(), None);
                let protocol_type = kind.into();
                w.ask(JoinGroupRequest { protocol_type, protocols: protocols(names), ..asked }, v);
            }));
        }
    }
    for state in [State::None, State::Empty, State::Left, State::Deleted, State::ConsumerLeft] {
        cases.push(case(format!("{}: a first member", state.name()), 0..=3, move |w, v| {
            let group = state.make(w);
            w.ask(join_request(&group.id, &"".into(), None), v);
        }));
        cases.push(case(format!("{}: a first static member", state.name()), [5, 9], move |w, v| {
            let group = state.make(w);
            w.ask(join_request(&group.id, &"".into(), Some(INSTANCE)), v);
        }));
    }
    cases.push(case("static: comes back without its id", 5..=9, |w, v| {
        let group = State::Static.make(w);
        w.ask(join_request(&group.id, &"".into(), Some(INSTANCE)), v);
        // The id that it had is fenced.
        w.ask(join_request(&group.id, &group.member, Some(INSTANCE)), v);
    }));
    cases.push(case("static: comes back with its id", 5..=9, |w, v| {
        let group = State::Static.make(w);
        w.ask(join_request(&group.id, &group.member, Some(INSTANCE)), v);
    }));
    cases.push(case("no group: the first of several protocols", [0, 3], |w, v| {
        let group = State::None.make(w);
        let asked = join_request(&group.id, &"".into(), None);
        w.ask(JoinGroupRequest { protocols: protocols(&["sticky", "range", "sticky"]), ..asked }, v);
    }));
    cases
}
