//! `corelog topic`: makes, lists, describes, changes and deletes topics of any Kafka broker. One file per verb that has
//! something to say.

mod config;
mod create;
mod describe;

use serde_json::json;

use super::Failure;
use super::bootstrap::Bootstrap;
use super::report::{Shown, table};
use crate::client;

/// Topics: create, list, describe, alter, config, delete.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Create(create::Arguments),
    /// Names all topics, with their number of partitions.
    List(List),
    Describe(describe::Arguments),
    /// Gives a topic more partitions. Keys may then go to other partitions than before.
    Alter(Alter),
    Config(config::Arguments),
    /// Deletes a topic and its records.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Also those that the broker keeps for itself.
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Alter {
    /// The topic's name.
    name: String,
    /// How many there are to be; never fewer than there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// The topic's name.
    name: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Create(arguments) => create::run(&arguments),
        Verb::List(arguments) => list(&arguments),
        Verb::Describe(arguments) => describe::run(&arguments),
        Verb::Config(arguments) => config::run(arguments),
        Verb::Alter(Alter { name, partitions, shown, bootstrap }) => {
            client::create_partitions(&mut bootstrap.connect()?, &name, partitions)?;
            shown.show(&json!({ "topic": name, "partitions": partitions }), || {
                format!("{name} has {partitions} partitions")
            })
        }
        Verb::Delete(Delete { name, shown, bootstrap }) => {
            client::delete_topic(&mut bootstrap.connect()?, &name)?;
            shown.show(&json!({ "topic": name, "deleted": true }), || format!("deleted {name}"))
        }
    }
}

fn list(List { internal, shown, bootstrap }: &List) -> Result<(), Failure> {
    let mut topics = bootstrap.connect()?.all_topics()?;
    topics.retain(|topic| *internal || !topic.internal);
    let data = topics.iter().map(|topic| {
        json!({
            "topic": topic.name, "id": topic.id.to_string(), "internal": topic.internal,
            "partitions": topic.partitions.len(),
        })
    });
    let row = |topic: &client::TopicInfo| vec![topic.name.clone(), topic.partitions.len().to_string()];
    shown.show(&data.collect(), || table(&["topic", "partitions"], &topics.iter().map(row).collect::<Vec<_>>()))
}
