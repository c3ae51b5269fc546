//! `corelog topic`: makes, lists, describes and deletes topics of any Kafka broker.

use super::bootstrap::{Bootstrap, pair};
use super::printer::table;
use super::{Failure, output};
use crate::client::{self, Cluster, OffsetAt};

/// Topics: create, list, describe, delete.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Makes a topic.
    Create(Create),
    /// Names all topics, with their number of partitions.
    List(Bootstrap),
    /// Shows a topic's id and its partitions: leader, replicas, first and end offset.
    Describe(Named),
    /// Deletes a topic and its records.
    Delete(Named),
}

#[derive(Debug, clap::Args)]
struct Create {
    name: String,
    /// How many partitions; without it, the broker's num.partitions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas; without it, the broker's default.replication.factor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A topic config, such as `--config retention.ms=3600000`; repeatable.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = pair)]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Named {
    name: String,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Create(Create { name, partitions, replication_factor, configs, bootstrap }) => {
            let (partitions, replicas) = (partitions.unwrap_or(-1), replication_factor.unwrap_or(-1));
            client::create_topic(&mut bootstrap.connect()?, &name, partitions, replicas, &configs)?;
            output::say(&format!("created {name}"));
        }
        Verb::List(bootstrap) => {
            for topic in bootstrap.connect()?.all_topics()?.iter().filter(|topic| !topic.internal) {
                output::say(&format!("{}\t{}", topic.name, topic.partitions.len()));
            }
        }
        Verb::Describe(Named { name, bootstrap }) => output::say(&describe(&mut bootstrap.connect()?, &name)?),
        Verb::Delete(Named { name, bootstrap }) => {
            client::delete_topic(&mut bootstrap.connect()?, &name)?;
            output::say(&format!("deleted {name}"));
        }
    }
    Ok(())
}

fn describe(cluster: &mut Cluster, name: &str) -> Result<String, Failure> {
    let info = cluster.topic(name, false)?;
    let numbers = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let mut rows =
        vec![["partition", "leader", "epoch", "replicas", "in sync", "first", "end"].map(str::to_owned).to_vec()];
    for partition in &info.partitions {
        let mut offset = |at| -> Result<String, Failure> {
            let found = client::offset_at(cluster, name, partition.index, at)?;
            let missing = || Failure::Runtime(format!("{name}-{}: the broker tells no offset", partition.index));
            found.map(|offset| offset.to_string()).ok_or_else(missing)
        };
        rows.push(vec![
            partition.index.to_string(),
            partition.leader.to_string(),
            partition.leader_epoch.to_string(),
            numbers(&partition.replicas),
            numbers(&partition.in_sync),
            offset(OffsetAt::Beginning)?,
            offset(OffsetAt::End)?,
        ]);
    }
    Ok(format!("{name}  id {}  {} partitions\n{}", info.id, info.partitions.len(), table(&rows)))
}
