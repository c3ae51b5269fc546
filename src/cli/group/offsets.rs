//! `corelog group offsets`: a group's stored offsets as lines of `topic,partition,offset`, out and in again. Kafka's own
//! tools write and read the same lines.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shape, Shown};
use crate::client::{self, Committer, TopicPartition};

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
    group: String,
    /// Lines as `export` writes them; standard input if left out.
    file: Option<PathBuf>,
    /// Checks the lines and the topics, and stores nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Delete {
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
    let offsets = client::committed_offsets(&mut args.bootstrap.connect()?, &args.group)?;
    let lines = lines(&offsets);
    let Some(file) = &args.to else {
        return args.shown.show(&data(&args.group, &offsets), || lines);
    };
    let text = match args.shown.output {
        Shape::Table => format!("{lines}\n"),
        Shape::Json | Shape::Yaml => return Err(Failure::Usage("--to writes lines: leave out -o".to_owned())),
    };
    fs::write(file, text).map_err(|e| Failure::Runtime(format!("{} cannot be written: {e}", file.display())))
}

fn import(args: &Import) -> Result<(), Failure> {
    let text = read(args.file.as_deref())?;
    let offsets = parse(&text).map_err(Failure::Usage)?;
    let mut cluster = args.bootstrap.connect()?;
    for (topic, partition) in offsets.keys() {
        // A typing error would otherwise stay in the group for good.
        cluster.topic(topic, false)?;
        cluster.leader(topic, *partition)?;
    }
    if !args.dry_run {
        client::commit_offsets(&mut cluster, &args.group, Committer::OUTSIDE, &offsets)?;
    }
    let mut data = data(&args.group, &offsets);
    if let Value::Object(map) = &mut data {
        map.insert("applied".to_owned(), json!(!args.dry_run));
    }
    args.shown.show(&data, || match args.dry_run {
        true => format!("{} offsets are sound; nothing was stored: --dry-run", offsets.len()),
        false => format!("{}: {} offsets stored", args.group, offsets.len()),
    })
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
        format!("{}: {} offsets of {} removed", args.group, offsets.len(), args.topic)
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
