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
use super::report::{Shown, table};
use crate::client::{self, GroupListing};

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
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Delete {
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
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

fn delete(Delete { groups, shown, bootstrap }: &Delete) -> Result<(), Failure> {
    let mut cluster = bootstrap.connect()?;
    for group in groups {
        client::delete_group(&mut cluster, group)?;
    }
    let data = groups.iter().map(|group| json!({ "group": group, "deleted": true }));
    shown.show(&data.collect(), || groups.iter().map(|group| format!("deleted {group}")).collect::<Vec<_>>().join("\n"))
}
