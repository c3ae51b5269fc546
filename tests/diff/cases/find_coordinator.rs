//! FindCoordinator: groups, transactions and what there is not, one key and several.

use corelog::wire::Str;
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;

use super::states::State;
use crate::case::{Case, case};

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
