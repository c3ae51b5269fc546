//! `corelog topic create`.

use serde_json::json;

use crate::cli::Failure;
use crate::cli::bootstrap::{Bootstrap, pair};
use crate::cli::report::Shown;
use crate::client;

/// Makes a topic.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The topic's name.
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
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let (partitions, replicas) = (args.partitions.unwrap_or(-1), args.replication_factor.unwrap_or(-1));
    let name = &args.name;
    client::create_topic(&mut args.bootstrap.connect()?, name, partitions, replicas, &args.configs)?;
    args.shown.show(&json!({ "topic": name, "created": true }), || format!("created {name}"))
}
