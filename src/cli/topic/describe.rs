//! `corelog topic describe`: a topic's id and, for each partition, who has it and what offsets are there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shown, numbers, table};
use crate::client::{self, OffsetAt};

/// Shows a topic's id and its partitions: leader, replicas, first and end offset.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The topic's name.
    name: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let name = args.name.as_str();
    let info = cluster.topic(name, false)?;
    // Of a partition without a leader nobody can tell them.
    let led: Vec<i32> = info.partitions.iter().filter(|part| part.leader >= 0).map(|part| part.index).collect();
    let firsts = client::offsets_at(&mut cluster, name, &led, OffsetAt::Beginning)?;
    let ends = client::offsets_at(&mut cluster, name, &led, OffsetAt::End)?;
    let (mut rows, mut data) = (Vec::new(), Vec::new());
    for partition in &info.partitions {
        let of = |offsets: &BTreeMap<i32, Option<i64>>| offsets.get(&partition.index).copied().flatten();
        let (first, end) = (of(&firsts), of(&ends));
        rows.push(vec![
            partition.index.to_string(),
            partition.leader.to_string(),
            partition.leader_epoch.to_string(),
            numbers(&partition.replicas),
            numbers(&partition.in_sync),
            told(first),
            told(end),
        ]);
        data.push(json!({
            "partition": partition.index, "leader": partition.leader, "epoch": partition.leader_epoch,
            "replicas": partition.replicas, "in_sync": partition.in_sync, "first": first, "end": end,
        }));
    }
    let id = info.id.to_string();
    let all = json!({ "topic": name, "id": id, "internal": info.internal, "partitions": Value::Array(data) });
    args.shown.show(&all, || {
        let head = ["partition", "leader", "epoch", "replicas", "in sync", "first", "end"];
        format!("{name}  id {id}  {} partitions\n{}", info.partitions.len(), table(&head, &rows))
    })
}

fn told(offset: Option<i64>) -> String {
    offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string())
}
