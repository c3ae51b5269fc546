//! `corelog group`: which groups there are, who is in them, how far behind they are, and changes to where they go on. One
//! file per verb that has something to say.

mod describe;
mod lag;
mod offsets;
mod progress;
mod reset;

use serde_json::json;

use super::Failure;
use super::bootstrap::Bootstrap;
use super::report::{Shown, table, visible};
use crate::client::{self, ClientError, GroupListing};

/// Consumer groups: list, describe, lag, reset, delete, offsets.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Names all groups, with their kind and state.
    List(List),
    Describe(describe::Arguments),
    Lag(lag::Arguments),
    Reset(reset::Arguments),
    /// Deletes groups without members, and their offsets.
    Delete(Delete),
    Offsets(offsets::Arguments),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only groups in this state, such as Stable or Empty; may be repeated.
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<&'static str>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// Their names.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Those of both protocols.
const STATES: [&str; 8] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Empty", "Dead", "Assigning", "Reconciling", "NotReady"];

/// In any case.
fn state(text: &str) -> Result<&'static str, String> {
    let known = STATES.into_iter().find(|state| state.eq_ignore_ascii_case(text));
    known.ok_or_else(|| format!("a group's state is one of {}", STATES.join(", ")))
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::List(arguments) => list(&arguments),
        Verb::Describe(arguments) => describe::run(&arguments),
        Verb::Lag(arguments) => lag::run(&arguments),
        Verb::Reset(arguments) => reset::run(&arguments),
        Verb::Delete(arguments) => delete(&arguments),
        Verb::Offsets(arguments) => offsets::run(arguments),
    }
}

fn list(List { states, shown, bootstrap }: &List) -> Result<(), Failure> {
    let mut groups = client::list_groups(&mut bootstrap.connect()?)?;
    groups.retain(|group| states.is_empty() || states.iter().any(|state| state.eq_ignore_ascii_case(&group.state)));
    let data = groups.iter().map(|group| {
        json!({
            "group": group.id, "kind": group.kind, "protocol_type": group.protocol_type, "state": group.state,
        })
    });
    let told = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let row = |group: &GroupListing| {
        vec![group.id.clone(), told(&group.kind), told(&group.protocol_type), told(&group.state)]
    };
    shown.show(&data.collect(), || {
        table(&["group", "kind", "protocol", "state"], &groups.iter().map(row).collect::<Vec<_>>())
    })
}

/// Each by itself: what one group has against it says nothing of the others.
fn delete(Delete { groups, shown, bootstrap }: &Delete) -> Result<(), Failure> {
    let mut cluster = bootstrap.connect()?;
    let mut done = Vec::new();
    for group in groups {
        let outcome = client::delete_group(&mut cluster, group);
        // Without a broker there is no point in asking for the others.
        let broken =
            outcome.as_ref().is_err_and(|e| matches!(e, ClientError::Unreachable { .. } | ClientError::Broken { .. }));
        done.push((group, outcome));
        if broken {
            break;
        }
    }
    let told = |(group, outcome): &(&String, Result<(), ClientError>)| match outcome {
        Ok(()) => json!({ "group": group, "deleted": true }),
        Err(e) => json!({ "group": group, "deleted": false, "error": e.to_string() }),
    };
    let deleted = |(group, outcome): &(&String, Result<(), ClientError>)| {
        outcome.is_ok().then(|| format!("deleted {}", visible(group)))
    };
    shown.show(&done.iter().map(told).collect(), || done.iter().filter_map(deleted).collect::<Vec<_>>().join("\n"))?;
    Failure::of_several(done.into_iter().filter_map(|(_, outcome)| outcome.err()))
}
