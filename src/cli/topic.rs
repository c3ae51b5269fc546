//! `corelog topic create|list|describe|delete`.

use super::Failure;
use super::broker::{Broker, pair};
use super::output;
use super::printer::table;
use crate::client::{self, Cluster, OffsetAt, TopicInfo};

/// Make, list, describe or delete topics.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a topic.
    Create {
        name: String,
        /// How many partitions; the broker's num.partitions if not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// How many replicas; the broker's default.replication.factor if not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A config of the topic, such as retention.ms=3600000; may be repeated
        #[arg(long = "config", value_name = "KEY=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        #[command(flatten)]
        broker: Broker,
    },
    /// List all topics.
    List {
        #[command(flatten)]
        broker: Broker,
    },
    /// Show a topic's partitions: leader, replicas, first and end offset.
    Describe {
        name: String,
        #[command(flatten)]
        broker: Broker,
    },
    /// Delete a topic and everything in it.
    Delete {
        name: String,
        #[command(flatten)]
        broker: Broker,
    },
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Create { name, partitions, replication_factor, configs, broker } => {
            let mut cluster = broker.connect()?;
            let replicas = replication_factor.unwrap_or(-1);
            client::create_topic(&mut cluster, &name, partitions.unwrap_or(-1), replicas, &configs)?;
            output::say(&format!("made topic \"{name}\""));
        }
        Verb::List { broker } => output::say(&list(&broker.connect()?.all_topics()?)),
        Verb::Describe { name, broker } => output::say(&describe(&mut broker.connect()?, &name)?),
        Verb::Delete { name, broker } => {
            client::delete_topic(&mut broker.connect()?, &name)?;
            output::say(&format!("deleted topic \"{name}\""));
        }
    }
    Ok(())
}

fn list(topics: &[TopicInfo]) -> String {
    let head = ["TOPIC", "PARTITIONS", "REPLICAS"].map(str::to_owned).to_vec();
    let row = |topic: &TopicInfo| {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        vec![topic.name.clone(), topic.partitions.len().to_string(), replicas.to_string()]
    };
    let shown = topics.iter().filter(|topic| !topic.internal);
    table(&[head].into_iter().chain(shown.map(row)).collect::<Vec<_>>())
}

fn describe(cluster: &mut Cluster, name: &str) -> Result<String, Failure> {
    let info = cluster.topic(name, false)?;
    let numbers = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let head = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "FIRST", "END"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for partition in &info.partitions {
        let mut offset = |at| -> Result<String, Failure> {
            let found = client::offset_at(cluster, name, partition.index, at)?;
            found
                .map(|offset| offset.to_string())
                .ok_or_else(|| Failure::Runtime(format!("{name}-{}: no offset was told", partition.index)))
        };
        let (first, end) = (offset(OffsetAt::Beginning)?, offset(OffsetAt::End)?);
        rows.push(vec![
            partition.index.to_string(),
            partition.leader.to_string(),
            partition.leader_epoch.to_string(),
            numbers(&partition.replicas),
            numbers(&partition.in_sync),
            first,
            end,
        ]);
    }
    Ok(table(&rows))
}
