//! `corelog topic describe`: a topic's id and, for each partition, who has it and what offsets are there.

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shown, numbers, table};
use crate::client::{self, ClientError, Cluster, OffsetAt, PartitionInfo};

/// Shows a topic's id and its partitions: leader, replicas, first and end offset.
#[derive(Debug, clap::Args)]
pub struct Arguments {
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
    let (mut rows, mut data) = (Vec::new(), Vec::new());
    for partition in &info.partitions {
        let (first, end) = offsets(&mut cluster, name, partition)?;
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

/// First and end offset; of a partition without a leader nobody can tell them.
fn offsets(
    cluster: &mut Cluster,
    name: &str,
    partition: &PartitionInfo,
) -> Result<(Option<i64>, Option<i64>), ClientError> {
    if partition.leader < 0 {
        return Ok((None, None));
    }
    let mut at = |at| client::offset_at(cluster, name, partition.index, at);
    Ok((at(OffsetAt::Beginning)?, at(OffsetAt::End)?))
}

fn told(offset: Option<i64>) -> String {
    offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string())
}
