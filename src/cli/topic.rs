//! `corelog topic`: makes, lists, describes and deletes topics of any Kafka broker.

use clap::{Args, Subcommand};

use super::output::say;
use super::{Bootstrap, Failure};
use crate::client::driver::Client;
use crate::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig};

/// Topics: create, list, describe, delete.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a topic.
    Create(Create),
    /// Names all topics, with their number of partitions.
    List(Bootstrap),
    /// Shows a topic's id and where its partitions are.
    Describe(Named),
    /// Deletes a topic and its records.
    Delete(Named),
}

#[derive(Debug, Args)]
struct Create {
    name: String,
    /// -1: the broker's default.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    partitions: i32,
    /// -1: the broker's default.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    replication_factor: i16,
    /// A topic config, such as `--config retention.ms=3600000`; repeatable.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, Args)]
struct Named {
    name: String,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Create(create) => make(create),
        Action::List(bootstrap) => list(&bootstrap),
        Action::Describe(named) => describe(&named),
        Action::Delete(named) => {
            Client::connect(&named.bootstrap.bootstrap)?.delete_topic(&named.name)?;
            say(&format!("deleted {}", named.name));
            Ok(())
        }
    }
}

fn make(create: Create) -> Result<(), Failure> {
    let config =
        |(name, value): (String, String)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    let topic = CreatableTopic {
        name: create.name.clone().into(),
        num_partitions: create.partitions,
        replication_factor: create.replication_factor,
        configs: create.configs.into_iter().map(config).collect(),
        ..Default::default()
    };
    Client::connect(&create.bootstrap.bootstrap)?.create_topic(topic)?;
    say(&format!("created {}", create.name));
    Ok(())
}

fn list(bootstrap: &Bootstrap) -> Result<(), Failure> {
    let mut topics = Client::connect(&bootstrap.bootstrap)?.metadata(None)?.topics;
    topics.sort_by(|a, b| a.name.as_ref().map(|n| n.as_str()).cmp(&b.name.as_ref().map(|n| n.as_str())));
    for topic in topics.iter().filter(|topic| !topic.is_internal) {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        say(&format!("{name}\t{}", topic.partitions.len()));
    }
    Ok(())
}

fn describe(named: &Named) -> Result<(), Failure> {
    let topic = Client::connect(&named.bootstrap.bootstrap)?.topic(&named.name)?;
    say(&format!("{}\tid {}\t{} partitions", named.name, topic.topic_id, topic.partitions.len()));
    for partition in &topic.partitions {
        say(&format!(
            "{}\tleader {}\tepoch {}\treplicas {:?}\tin sync {:?}",
            partition.partition_index,
            partition.leader_id,
            partition.leader_epoch,
            partition.replica_nodes,
            partition.isr_nodes
        ));
    }
    Ok(())
}

/// Splits `KEY=VALUE` at the first `=`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}
