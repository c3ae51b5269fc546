//! `corelog topology`: draws which cores run which shards, and which shard owns which partition.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shards::router::placement::owner;
use shards::types::PartitionId;

use super::bootstrap::Bootstrap;
use super::config::Sources;
use super::report::Shown;
use super::{Failure, output};
use crate::client::TopicInfo;
use crate::config::keys::binary;
use crate::config::machine::Machine;
use crate::config::topology::{Topology, ranges};
use crate::launch::broker::{self, Outline};

/// Draws the plan of cores and shards that a broker with these settings would have on this machine.
///
/// With topics, also the shard that owns each of their partitions: by the topic's id, which a broker is asked for, and
/// the number of shards, which these settings give. Give it the settings that the broker has.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Shows where the partitions of this topic are; repeatable.
    #[arg(long = "topic", value_name = "NAME")]
    names: Vec<String>,
    /// Shows where the partitions of all topics are.
    #[arg(long, conflicts_with = "names")]
    topics: bool,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Partitions of each topic, of one shard.
type Owned = BTreeMap<String, Vec<usize>>;

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let machine = Machine::look();
    let Outline { topology, memory, .. } = broker::outline(&args.sources.load()?, &machine)?;
    let Topology { cpus, warnings } = topology;
    let owned = owned(&topics(args)?, cpus.len());
    let data = json!({
        "machine": { "cpus": machine.cpus, "quota": machine.quota, "memory_bytes": machine.memory_bytes },
        "shards": cpus.iter().zip(&owned).enumerate().map(|(shard, (cpu, owned))| json!({
            "shard": shard, "cpu": cpu, "memory_bytes": memory.share(), "partitions": owned,
        })).collect::<Value>(),
        "warnings": warnings,
    });
    args.shown.show(&data, || {
        let quota = machine.quota.map_or_else(String::new, |quota| format!(", quota {quota:.1}"));
        let head = format!(
            "CPUs {}{quota}, memory {}; {} shards of {}",
            ranges(&machine.cpus),
            rounded(machine.memory_bytes),
            cpus.len(),
            rounded(memory.share())
        );
        format!("{head}\n\n{}", drawing(&machine.cpus, &cpus, &owned))
    })?;
    for warning in warnings {
        output::note(&format!("warning: {warning}"));
    }
    Ok(())
}

fn topics(args: &Arguments) -> Result<Vec<TopicInfo>, Failure> {
    if args.topics {
        return Ok(args.bootstrap.connect()?.all_topics()?);
    }
    if args.names.is_empty() {
        return Ok(Vec::new());
    }
    let mut cluster = args.bootstrap.connect()?;
    Ok(args.names.iter().map(|name| cluster.topic(name, false)).collect::<Result<_, _>>()?)
}

/// What each shard owns.
fn owned(topics: &[TopicInfo], shards: usize) -> Vec<Owned> {
    let mut owned = vec![Owned::new(); shards];
    let count = u32::try_from(shards).unwrap_or(u32::MAX);
    for topic in topics {
        for partition in &topic.partitions {
            let shard = owner(PartitionId { topic: topic.id, index: partition.index }, count);
            if let Some(owned) = owned.get_mut(shard.0 as usize) {
                let index = usize::try_from(partition.index).unwrap_or(0);
                owned.entry(topic.name.clone()).or_default().push(index);
            }
        }
    }
    owned
}

/// A line for each shard, those of one CPU joined.
fn drawing(allowed: &[usize], cpus: &[Option<usize>], owned: &[Owned]) -> String {
    let mut groups: BTreeMap<Option<usize>, Vec<usize>> = allowed.iter().map(|cpu| (Some(*cpu), Vec::new())).collect();
    for (shard, cpu) in cpus.iter().enumerate() {
        groups.entry(*cpu).or_default().push(shard);
    }
    let pinned = cpus.iter().any(Option::is_some);
    let mut lines = Vec::new();
    for (cpu, shards) in groups {
        let name = cpu.map_or_else(|| "any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
        if shards.is_empty() && pinned {
            lines.push(format!("{name:<8} not used"));
        }
        let last = shards.len().saturating_sub(1);
        for (at, shard) in shards.into_iter().enumerate() {
            let (name, joint) = match at {
                0 if last == 0 => (name.as_str(), "──"),
                0 => (name.as_str(), "┬─"),
                _ if at == last => ("", "└─"),
                _ => ("", "├─"),
            };
            let partitions = owned.get(shard).map(told).unwrap_or_default();
            lines.push(format!("{name:<8} {joint} shard {shard:<3} {partitions}").trim_end().to_owned());
        }
    }
    lines.join("\n")
}

fn told(owned: &Owned) -> String {
    let topics = owned.iter().map(|(name, partitions)| format!("{name} {}", ranges(partitions)));
    topics.collect::<Vec<_>>().join("; ")
}

/// Bytes to the nearest MiB below, for eyes.
fn rounded(bytes: u64) -> String {
    match bytes >> 20 {
        mib @ 10_240.. => format!("{} GiB", mib >> 10),
        mib => binary(mib << 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_one_cpu_are_joined_and_unused_cpus_are_told() {
        let orders = |partitions: &[usize]| Owned::from([("orders".to_owned(), partitions.to_vec())]);
        let owned = [orders(&[0, 1, 2, 5]), Owned::new(), orders(&[3])];
        let drawn = drawing(&[0, 1, 2], &[Some(0), Some(1), Some(0)], &owned);
        let wanted = "CPU 0    ┬─ shard 0   orders 0-2,5\n         └─ shard 2   orders 3\n\
                      CPU 1    ── shard 1\nCPU 2    not used";
        assert_eq!(drawn, wanted);
        assert_eq!(drawing(&[0], &[None, None], &owned), {
            "any CPU  ┬─ shard 0   orders 0-2,5\n         └─ shard 1"
        });
    }
}
