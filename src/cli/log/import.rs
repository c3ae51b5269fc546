//! `corelog log import`: makes a data directory of corelog out of one that Kafka has written.

use std::path::PathBuf;

use serde_json::{Value, json};
use shards::shard::adopted::Forget;

use crate::adopt::{AdoptError, Import, Report};
use crate::cli::progress::Progress;
use crate::cli::report::{Shown, table, visible};
use crate::cli::run::variables;
use crate::cli::time::now_ms;
use crate::cli::{Failure, output};
use crate::config::Config;
use crate::launch::broker;

/// Makes a data directory out of that of an Apache Kafka 4 of one node, which is only read: topics with their ids and
/// configs, records as they are at their offsets, committed offsets.
///
/// Kafka must be stopped; or give it a copy of the directory. Every batch is checked on the way. The broker that runs on the
/// new directory has Kafka's node.id and cluster id. Producers that have written nothing for producer.id.expiration.ms are not
/// carried over. An import that was cut short leaves a directory on which no broker starts; run it again, and it begins anew.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Kafka's data directory, as in its log.dirs: the only one of them, or the one in which all partitions are.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The directory to make or to fill; it must be empty.
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    data_dir: Option<PathBuf>,
    /// Fill the data_dir of this configuration, for which Kafka's node.id must be that of the directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave this topic out; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    skip: Vec<String>,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let import = Import::open(&args.directory, &args.skip)?;
    let config = match &args.config {
        Some(file) => Config::load(Some(file), variables(), &[])?,
        None => Config::default(),
    };
    let to = target(args, &config, import.meta().node_id)?;
    let forget = Forget { now_ms: now_ms(), after_ms: config.int("producer.id.expiration.ms") };
    let mut progress = Progress::new(Some(import.bytes()?), true);
    let report = import.run(&to, forget, &mut |bytes, records| progress.advance(bytes, records));
    drop(progress);
    let report = report?;
    for name in &report.unknown {
        let name = visible(name);
        output::note(&format!("{name}: the metadata log knows no such partition, so it is not carried over"));
    }
    if report.log_dirs > 1 {
        output::note(&format!("Kafka had {} log.dirs; this one holds all partitions", report.log_dirs));
    }
    if !report.was_stopped {
        output::note(
            "Kafka has not written down that it was stopped in order: if it was killed, what it had not written to disk is \
             in no file",
        );
    }
    args.shown.show(&data(args, &to, &report), || lines(args, &to, &report))
}

/// The directory to fill.
fn target(args: &Arguments, config: &Config, theirs: i32) -> Result<PathBuf, Failure> {
    if let Some(to) = &args.data_dir {
        return Ok(to.clone());
    }
    let ours = config.int("node.id");
    if ours != i64::from(theirs) {
        let path = args.directory.clone();
        return Err(AdoptError::OtherNode { path, theirs, ours }.into());
    }
    Ok(broker::data_dir(config)?)
}

impl From<AdoptError> for Failure {
    fn from(error: AdoptError) -> Failure {
        let text = error.to_string();
        match error {
            AdoptError::Meta(error) => error.into(),
            AdoptError::OtherNode { .. } | AdoptError::Inside { .. } => Failure::Usage(text),
            error if error.is_damage() => Failure::Damaged(text),
            error if error.is_missing() => Failure::Missing(text),
            _ => Failure::Runtime(text),
        }
    }
}

fn data(args: &Arguments, to: &std::path::Path, report: &Report) -> Value {
    let topics = report.topics.iter().map(|topic| {
        json!({
            "name": topic.name, "id": topic.id.to_string(), "partitions": topic.partitions,
            "segments": topic.copied.segments, "batches": topic.copied.batches, "records": topic.copied.records,
            "bytes": topic.copied.bytes,
        })
    });
    json!({
        "from": args.directory.display().to_string(),
        "directory": to.display().to_string(),
        "cluster": report.meta.cluster_id, "node": report.meta.node_id,
        "stopped_in_order": report.was_stopped,
        "topics": topics.collect::<Value>(),
        "log_dirs": report.log_dirs,
        "unknown_directories": report.unknown,
        "left_out": report.left_out.iter().map(|one| json!({ "what": one.what, "why": one.why })).collect::<Value>(),
    })
}

fn lines(args: &Arguments, to: &std::path::Path, report: &Report) -> String {
    let row = |topic: &crate::adopt::AdoptedTopic| {
        let copied = &topic.copied;
        let numbers = [topic.partitions as u64, copied.segments, copied.batches, copied.records, copied.bytes];
        std::iter::once(topic.name.clone()).chain(numbers.iter().map(u64::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = report.topics.iter().map(row).collect();
    let mut text = table(&["topic", "partitions", "segments", "batches", "records", "bytes"], &rows);
    for one in &report.left_out {
        text.push_str(&format!("\nleft out: {}: {}", one.what, one.why));
    }
    let (from, to, node) = (args.directory.display(), to.display(), report.meta.node_id);
    text.push_str(&format!(
        "\n{from}: {} topics are in {to}\nnext: start corelog with data_dir = \"{to}\" and node.id = {node}; settings of Kafka's \
         server.properties are read by `corelog config import`, and topics without a retention of their own are kept as long as \
         log.retention.* say, 7 days unless they are set",
        report.topics.len()
    ));
    text
}
