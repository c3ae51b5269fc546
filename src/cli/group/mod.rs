//! `corelog group`: which groups there are, who is in them, how far behind they are, and changes to where they go on. One
//! file per verb that has something to say.

mod describe;
mod lag;
mod offsets;
mod progress;
mod reset;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use self::progress::GROUPS_AT_ONCE;
use super::Failure;
use super::bootstrap::Bootstrap;
use super::report::{Shown, table, visible};
use crate::client::{self, ClientError, Cluster, GroupListing};

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

/// Some at a time, and each for itself: what one group has against it says nothing of the others.
fn delete(Delete { groups, shown, bootstrap }: &Delete) -> Result<(), Failure> {
    let mut cluster = bootstrap.connect()?;
    let mut done = Vec::new();
    for some in groups.chunks(GROUPS_AT_ONCE) {
        // Without a broker there is no point in asking for the others.
        if delete_some(&mut cluster, some, &mut done) {
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

/// Notes in `done` what came of each, in the order of the names. Where a broker is gone, the first that nothing is known of stands
/// for the others. Whether it came to that.
fn delete_some<'a>(
    cluster: &mut Cluster,
    groups: &'a [String],
    done: &mut Vec<(&'a String, Result<(), ClientError>)>,
) -> bool {
    let names: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
    let mut outcomes = BTreeMap::new();
    let asked = client::delete_groups(cluster, &names.into_iter().collect::<Vec<_>>(), &mut outcomes);
    let mut broken = asked.err().filter(is_broken);
    let mut is_over = false;
    for group in groups {
        let outcome = match outcomes.remove(group) {
            Some(outcome) => outcome,
            None if is_over => continue,
            // One whose coordinator cannot be told keeps all of them from being asked for; or it is named twice.
            None => broken.take().map_or_else(|| client::delete_group(cluster, group), Err),
        };
        is_over |= outcome.as_ref().is_err_and(is_broken);
        done.push((group, outcome));
    }
    is_over
}

fn is_broken(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Broken { .. })
}
