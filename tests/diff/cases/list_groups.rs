//! ListGroups: every state under every filter. What is shown are the case's own groups.

use corelog::wire::Str;
use corelog::wire::messages::list_groups::ListGroupsRequest;

use super::states::State;
use crate::case::{Case, case};

fn words(words: &[&str]) -> Vec<Str> {
    words.iter().map(|word| Str::from(*word)).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for state in State::ALL {
        cases.push(case(format!("{}: listed", state.name()), [0, 3, 4, 5], move |w, v| {
            state.make(w);
            w.ask(ListGroupsRequest::default(), v);
        }));
        cases.push(case(format!("{}: by state", state.name()), [4, 5], move |w, v| {
            state.make(w);
            for states in [
                &["Stable"][..],
                &["Empty"],
                &["PreparingRebalance"],
                &["CompletingRebalance", "Dead"],
                &["stable", "EMPTY"],
                &["Assigning"],
                &["Reconciling"],
                &["NoSuchState"],
                &["", "Stable"],
            ] {
                w.note(&states.join(","));
                w.ask(ListGroupsRequest { states_filter: words(states), types_filter: vec![] }, v);
            }
        }));
        cases.push(case(format!("{}: by type", state.name()), [5], move |w, v| {
            state.make(w);
            for types in [
                &["classic"][..],
                &["consumer"],
                &["Consumer", "CLASSIC"],
                &["share"],
                &["streams"],
                &["nothing"],
                &[""],
            ] {
                w.note(&types.join(","));
                w.ask(ListGroupsRequest { states_filter: vec![], types_filter: words(types) }, v);
            }
        }));
    }
    cases
}
