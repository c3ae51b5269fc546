//! `corelog group reset`: where a group goes on reading. Needs a group without members.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shown, table};
use crate::cli::time::{When, now_ms};
use crate::client::{self, ClientError, Cluster, Committer, OffsetAt, TopicPartition, commit_offsets, offsets_at};

/// Stores other offsets for a group, which its consumers then go on from. Stop them first.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The group's name; it may have no members.
    group: String,
    /// Only this topic, or only these partitions of it; may be repeated. Otherwise all that the group has offsets of.
    #[arg(long = "topic", value_name = "TOPIC[:N,N]", value_parser = Selected::parse)]
    topics: Vec<Selected>,
    #[command(flatten)]
    to: To,
    /// Shows what would be stored, and stores nothing. Refused as the change itself would be if the group has members.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// The first record that is there.
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record.
    #[arg(long)]
    to_latest: bool,
    /// This offset, or the nearest that is there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// The first record of this time or later: 2026-11-25T10:30:00Z, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = When::parse_point)]
    to_datetime: Option<When>,
    /// The first record that is no older than this: 90s, 15m, 2h, 7d, or P1DT2H.
    #[arg(long, value_name = "SPAN", value_parser = When::parse_span)]
    by_duration: Option<When>,
    /// So many records on, or back where it is negative; never beyond what is there.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
}

/// A topic on the command line: all of it, or some partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selected {
    topic: String,
    partitions: Option<Vec<i32>>,
}

impl Selected {
    fn parse(text: &str) -> Result<Selected, String> {
        let Some((topic, numbers)) = text.split_once(':') else {
            return Ok(Selected { topic: text.to_owned(), partitions: None });
        };
        let number = |text: &str| text.parse::<i32>().ok().filter(|number| *number >= 0);
        let partitions: Option<Vec<i32>> = numbers.split(',').map(number).collect();
        match partitions {
            Some(partitions) => Ok(Selected { topic: topic.to_owned(), partitions: Some(partitions) }),
            None => Err("write TOPIC, or TOPIC:0,1,2".to_owned()),
        }
    }
}

/// One partition's offsets: as it was and as it is to be.
struct Step {
    key: TopicPartition,
    before: Option<i64>,
    after: i64,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let committed = client::committed_offsets(&mut cluster, &args.group)?;
    let mut steps = Vec::new();
    for (topic, partitions) in selected(args, &mut cluster, &committed)? {
        steps.extend(plan(&args.to, &mut cluster, &topic, &partitions, &committed)?);
    }
    if args.dry_run {
        client::check_commit(&mut cluster, &args.group)?;
    } else {
        let offsets = steps.iter().map(|step| (step.key.clone(), step.after)).collect();
        commit_offsets(&mut cluster, &args.group, Committer::OUTSIDE, &offsets)?;
    }
    let data = steps.iter().map(
        |step| json!({ "topic": step.key.0, "partition": step.key.1, "before": step.before, "after": step.after }),
    );
    let data = json!({ "group": args.group, "applied": !args.dry_run, "offsets": data.collect::<Value>() });
    args.shown.show(&data, || {
        let row = |step: &Step| {
            let before = step.before.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
            vec![step.key.0.clone(), step.key.1.to_string(), before, step.after.to_string()]
        };
        let mut text = table(&["topic", "partition", "before", "after"], &steps.iter().map(row).collect::<Vec<_>>());
        if args.dry_run {
            text.push_str("\nnothing was stored: --dry-run");
        }
        text
    })
}

/// The partitions to change, by topic.
fn selected(
    args: &Arguments,
    cluster: &mut Cluster,
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<String, Vec<i32>>, Failure> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for selected in &args.topics {
        let partitions = match &selected.partitions {
            Some(partitions) => partitions.clone(),
            None => cluster.topic(&selected.topic, false)?.partitions.iter().map(|part| part.index).collect(),
        };
        topics.entry(selected.topic.clone()).or_default().extend(partitions);
    }
    if args.topics.is_empty() {
        for (topic, partition) in committed.keys() {
            topics.entry(topic.clone()).or_default().push(*partition);
        }
    }
    for partitions in topics.values_mut() {
        partitions.sort_unstable();
        partitions.dedup();
    }
    if topics.is_empty() {
        let hint = format!("group \"{}\" has no offsets; name what it is to read with --topic", args.group);
        return Err(Failure::Missing(hint));
    }
    Ok(topics)
}

fn plan(
    to: &To,
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    committed: &BTreeMap<TopicPartition, i64>,
) -> Result<Vec<Step>, ClientError> {
    let firsts = offsets_at(cluster, topic, partitions, OffsetAt::Beginning)?;
    let ends = offsets_at(cluster, topic, partitions, OffsetAt::End)?;
    let times = match to.to_datetime.or(to.by_duration) {
        Some(when) => offsets_at(cluster, topic, partitions, OffsetAt::Timestamp(when.ms(now_ms())))?,
        None => BTreeMap::new(),
    };
    let of = |offsets: &BTreeMap<i32, Option<i64>>, partition| offsets.get(&partition).copied().flatten();
    let step = |&partition: &i32| {
        let key = (topic.to_owned(), partition);
        let before = committed.get(&key).copied();
        let (first, end) = (of(&firsts, partition).unwrap_or(0), of(&ends, partition).unwrap_or(0));
        Step { before, after: target(to, before, first, end, of(&times, partition)), key }
    };
    Ok(partitions.iter().map(step).collect())
}

/// Where one partition goes on. `at`: the first record of the time that was asked for.
fn target(to: &To, before: Option<i64>, first: i64, end: i64, at: Option<i64>) -> i64 {
    let wanted = if to.to_earliest {
        first
    } else if to.to_datetime.is_some() || to.by_duration.is_some() {
        at.unwrap_or(end)
    } else if let Some(by) = to.shift_by {
        before.unwrap_or(first).saturating_add(by)
    } else {
        to.to_offset.unwrap_or(end)
    };
    wanted.clamp(first, end.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: To = To {
        to_earliest: false,
        to_latest: false,
        to_offset: None,
        to_datetime: None,
        by_duration: None,
        shift_by: None,
    };

    #[test]
    fn a_target_is_never_outside_of_what_is_there() {
        for (to, before, at, wanted) in [
            (To { to_earliest: true, ..NOWHERE }, Some(7), None, 5),
            (To { to_latest: true, ..NOWHERE }, Some(7), None, 20),
            (To { to_offset: Some(9), ..NOWHERE }, None, None, 9),
            (To { to_offset: Some(99), ..NOWHERE }, None, None, 20),
            (To { to_offset: Some(1), ..NOWHERE }, None, None, 5),
            (To { shift_by: Some(3), ..NOWHERE }, Some(7), None, 10),
            (To { shift_by: Some(-3), ..NOWHERE }, Some(7), None, 5),
            (To { shift_by: Some(i64::MAX), ..NOWHERE }, Some(7), None, 20),
            (To { shift_by: Some(2), ..NOWHERE }, None, None, 7),
            (To { by_duration: Some(When::Ago(1)), ..NOWHERE }, Some(7), Some(12), 12),
            (To { to_datetime: Some(When::At(1)), ..NOWHERE }, Some(7), None, 20),
        ] {
            assert_eq!(target(&to, before, 5, 20, at), wanted, "{to:?}");
        }
    }

    #[test]
    fn a_topic_may_name_its_partitions() {
        let selected = |topic: &str, partitions: Option<&[i32]>| {
            Ok(Selected { topic: topic.to_owned(), partitions: partitions.map(<[i32]>::to_vec) })
        };
        assert_eq!(Selected::parse("orders"), selected("orders", None));
        assert_eq!(Selected::parse("orders:0,2"), selected("orders", Some(&[0, 2])));
        for wrong in ["orders:", "orders:x", "orders:-1", "orders:1,"] {
            assert!(Selected::parse(wrong).is_err(), "{wrong}");
        }
    }
}
