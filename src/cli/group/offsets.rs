//! `corelog group offsets`: a group's stored offsets as lines of `topic,partition,offset`, out and in again. Kafka's own
//! tools write and read the same lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shape, Shown, visible};
use crate::cli::{Failure, output};
use crate::client::{self, ClientError, Cluster, Committer, OffsetAt, TopicPartition};

/// A group's stored offsets: export, import, delete.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Writes a line of topic,partition,offset for each stored offset.
    Export(Export),
    /// Stores the offsets of such lines. The group must have no members.
    Import(Import),
    /// Removes the stored offsets of a topic that no member reads.
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct Export {
    /// The group's name.
    group: String,
    /// Into this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The group's name.
    group: String,
    /// Lines as `export` writes them; standard input if left out.
    file: Option<PathBuf>,
    /// Checks the lines, the topics and that the group has no members, and stores nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// The group's name.
    group: String,
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Export(arguments) => export(&arguments),
        Verb::Import(arguments) => import(&arguments),
        Verb::Delete(arguments) => delete(&arguments),
    }
}

fn export(args: &Export) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let offsets = client::committed_offsets(&mut cluster, &args.group)?;
    if offsets.is_empty() {
        // A typing error looks like a group that has stored nothing.
        client::describe_group(&mut cluster, &args.group)?;
        output::note(&format!("group \"{}\" is there and has stored no offsets", args.group));
    }
    let lines = lines(&offsets);
    let Some(file) = &args.to else {
        return args.shown.show(&data(&args.group, &offsets), || lines);
    };
    let text = match args.shown.output {
        Shape::Table if lines.is_empty() => lines,
        Shape::Table => format!("{lines}\n"),
        Shape::Json | Shape::Yaml => return Err(Failure::Usage("--to writes lines: leave out -o".to_owned())),
    };
    fs::write(file, text).map_err(|e| Failure::Runtime(format!("{} cannot be written: {e}", file.display())))
}

fn import(args: &Import) -> Result<(), Failure> {
    let text = read(args.file.as_deref())?;
    let mut offsets = parse(&text).map_err(Failure::Usage)?;
    let mut cluster = args.bootstrap.connect()?;
    for (topic, partition) in offsets.keys() {
        // A typing error would otherwise stay in the group for good.
        cluster.topic(topic, false)?;
        cluster.leader(topic, *partition)?;
    }
    for told in within_logs(&mut cluster, &mut offsets)? {
        output::note(&told);
    }
    match args.dry_run {
        true => client::check_commit(&mut cluster, &args.group)?,
        false => client::commit_offsets(&mut cluster, &args.group, Committer::OUTSIDE, &offsets)?,
    }
    let mut data = data(&args.group, &offsets);
    if let Value::Object(map) = &mut data {
        map.insert("applied".to_owned(), json!(!args.dry_run));
    }
    args.shown.show(&data, || match args.dry_run {
        true => format!("{} offsets are sound; nothing was stored: --dry-run", offsets.len()),
        false => format!("{}: {} offsets stored", visible(&args.group), offsets.len()),
    })
}

/// Takes offsets that are not there to the nearest that is, as Kafka's tools do; a reader would fall over them. What was
/// changed, in words.
fn within_logs(cluster: &mut Cluster, offsets: &mut BTreeMap<TopicPartition, i64>) -> Result<Vec<String>, ClientError> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in offsets.keys() {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut bounds = BTreeMap::new();
    for (topic, partitions) in topics {
        let firsts = client::offsets_at(cluster, topic, &partitions, OffsetAt::Beginning)?;
        let ends = client::offsets_at(cluster, topic, &partitions, OffsetAt::End)?;
        for partition in partitions {
            let of = |offsets: &BTreeMap<i32, Option<i64>>| offsets.get(&partition).copied().flatten().unwrap_or(0);
            bounds.insert((topic.to_owned(), partition), (of(&firsts), of(&ends)));
        }
    }
    Ok(clamp(offsets, &bounds))
}

fn clamp(offsets: &mut BTreeMap<TopicPartition, i64>, bounds: &BTreeMap<TopicPartition, (i64, i64)>) -> Vec<String> {
    let mut told = Vec::new();
    for (key, offset) in offsets {
        let Some(&(first, end)) = bounds.get(key) else { continue };
        let there = (*offset).clamp(first, end.max(first));
        if there != *offset {
            told.push(format!("{}-{} has offsets {first} to {end}: {there} instead of {offset}", key.0, key.1));
            *offset = there;
        }
    }
    told
}

fn delete(args: &Delete) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let mut offsets = client::committed_offsets(&mut cluster, &args.group)?;
    offsets.retain(|(topic, _), _| *topic == args.topic);
    if offsets.is_empty() {
        let what = format!("group \"{}\" has no offsets of {}", args.group, args.topic);
        return Err(Failure::Missing(format!("{what}; `corelog group offsets export` shows those it has")));
    }
    let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
    client::delete_offsets(&mut cluster, &args.group, &partitions)?;
    args.shown.show(&data(&args.group, &offsets), || {
        format!("{}: {} offsets of {} removed", visible(&args.group), offsets.len(), args.topic)
    })
}

fn data(group: &str, offsets: &BTreeMap<TopicPartition, i64>) -> Value {
    let one = |((topic, partition), offset): (&TopicPartition, &i64)| json!({ "topic": topic, "partition": partition, "offset": offset });
    json!({ "group": group, "offsets": offsets.iter().map(one).collect::<Value>() })
}

fn lines(offsets: &BTreeMap<TopicPartition, i64>) -> String {
    let line = |((topic, partition), offset): (&TopicPartition, &i64)| format!("{topic},{partition},{offset}");
    offsets.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let mut text = String::new();
    let (name, read) = match file {
        Some(file) => (file.display().to_string(), fs::read_to_string(file).map(|all| text = all)),
        None => ("standard input".to_owned(), stdin().read_to_string(&mut text).map(|_| ())),
    };
    read.map(|()| text).map_err(|e| Failure::Usage(format!("{name} cannot be read: {e}")))
}

/// Blank lines are passed over.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let mut offsets = BTreeMap::new();
    for (at, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.trim().split(',');
        let key = fields.next().zip(fields.next().and_then(|n| n.parse().ok()).filter(|n: &i32| *n >= 0));
        let offset = fields.next().and_then(|n| n.parse().ok()).filter(|n: &i64| *n >= 0);
        match (key, offset, fields.next()) {
            (Some((topic, partition)), Some(offset), None) if !topic.is_empty() => {
                if offsets.insert((topic.to_owned(), partition), offset).is_some() {
                    return Err(format!("line {at} names {topic}-{partition} again; keep one"));
                }
            }
            _ => return Err(format!("line {at} is not topic,partition,offset: {line}")),
        }
    }
    match offsets.is_empty() {
        true => Err("there is no line of topic,partition,offset".to_owned()),
        false => Ok(offsets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_exported_is_imported() {
        let offsets = BTreeMap::from([(("a".to_owned(), 1), 7), (("b.c-d".to_owned(), 0), 0)]);
        assert_eq!(parse(&lines(&offsets)), Ok(offsets));
    }

    #[test]
    fn an_offset_that_is_not_there_becomes_the_nearest_that_is_and_is_told() {
        let key = |partition| ("t".to_owned(), partition);
        let bounds = BTreeMap::from([(key(0), (5, 11)), (key(1), (5, 11)), (key(2), (5, 11)), (key(3), (0, 0))]);
        let mut offsets = BTreeMap::from([(key(0), 9999), (key(1), 4), (key(2), 11), (key(3), 1)]);
        let told = clamp(&mut offsets, &bounds);
        assert_eq!(offsets.into_values().collect::<Vec<_>>(), [11, 5, 11, 0]);
        assert_eq!(told.len(), 3);
        assert_eq!(told.first().map(String::as_str), Some("t-0 has offsets 5 to 11: 11 instead of 9999"));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, part) in [
            ("a,0,1\nb", "line 2"),
            ("a,0", "line 1"),
            ("a,0,-1", "line 1"),
            ("a,-1,0", "line 1"),
            (",0,1", "line 1"),
            ("a,0,1,2", "line 1"),
            ("a,0,1\n\na,0,2", "line 3 names a-0 again"),
            ("\n", "no line"),
        ] {
            assert!(parse(text).is_err_and(|e| e.contains(part)), "{text}");
        }
    }
}
