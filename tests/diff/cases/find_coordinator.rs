//! FindCoordinator: groups, transactions and what there is not, one key and several.

use corelog::wire::Str;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;

use super::states::State;
use crate::case::{Case, case};

const TOPIC: i8 = 2;

fn ask(keys: &[&str], key_type: i8, version: i16) -> FindCoordinatorRequest {
    let keys = keys.iter().map(|key| Str::from(*key));
    if version < 4 {
        return FindCoordinatorRequest { key: keys.collect::<Vec<_>>().remove(0), key_type, ..Default::default() };
    }
    FindCoordinatorRequest { coordinator_keys: keys.collect(), key_type, ..Default::default() }
}

pub fn cases() -> Vec<Case> {
    vec![
        case("of a group", 0..=6, |w, v| {
            State::None.make(w);
            w.ask(ask(&["group"], 0, v), v);
        }),
        case("of a group, and the topic that is made for it", 4..=4, |w, _| {
            State::None.make(w);
            let keys = ["compression.type", "cleanup.policy", "segment.bytes"].map(Str::from);
            let topic = DescribeConfigsResource {
                resource_type: TOPIC,
                resource_name: "__consumer_offsets".into(),
                configuration_keys: Some(keys.to_vec()),
            };
            w.ask(DescribeConfigsRequest { resources: vec![topic], ..Default::default() }, 4);
        }),
        case("of an empty group id", 0..=6, |w, v| {
            State::None.make(w);
            w.ask(ask(&[""], 0, v), v);
        }),
        case("of several, one twice", 4..=6, |w, v| {
            State::None.make(w);
            w.ask(ask(&["a", "", "b", "a"], 0, v), v);
        }),
        case("of none", 4..=6, |w, v| {
            w.ask(ask(&[], 0, v), v);
        }),
        case("types that there are not", 1..=6, |w, v| {
            State::None.make(w);
            for key_type in [3, -1, 127] {
                w.ask(ask(&["a"], key_type, v), v);
            }
        }),
        case("share groups, of keys that are wrong", 1..=6, |w, v| {
            State::None.make(w);
            for key in ["", "a", "a:b", "a:b:c"] {
                w.ask(ask(&[key], 2, v), v);
            }
        }),
    ]
}
