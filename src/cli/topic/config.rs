//! `corelog topic config`: a topic's configs with their values and where these come from; sets and unsets them.

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::{Bootstrap, pair};
use crate::cli::report::{Shown, table};
use crate::client::{self, ConfigChange, ConfigEntry, ConfigSource};

/// A topic's configs: show, set, unset.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Shows values, and where they come from.
    Show(Show),
    /// Sets configs of one topic. Records that are there are kept or dropped by the new ones.
    Set(Set),
    /// Takes configs back, so that the broker's own values hold again.
    Unset(Unset),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The topic's name.
    topic: String,
    /// Only these; all if none is named.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Only those that were set for this topic.
    #[arg(long)]
    own: bool,
    /// Also what each of them does.
    #[arg(long)]
    docs: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The topic's name.
    topic: String,
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
struct Unset {
    /// The topic's name.
    topic: String,
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    change: Change,
}

/// What both kinds of change take.
#[derive(Debug, clap::Args)]
struct Change {
    /// Have the broker check it, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Show(arguments) => show(&arguments),
        Verb::Set(Set { topic, configs, change }) => {
            let changes = configs.into_iter().map(|(key, value)| ConfigChange { key, value: Some(value) }).collect();
            change.apply(&topic, changes)
        }
        Verb::Unset(Unset { topic, keys, change }) => {
            change.apply(&topic, keys.into_iter().map(|key| ConfigChange { key, value: None }).collect())
        }
    }
}

impl Change {
    fn apply(&self, topic: &str, changes: Vec<ConfigChange>) -> Result<(), Failure> {
        client::alter_topic_configs(&mut self.bootstrap.connect()?, topic, &changes, self.dry_run)?;
        let changed: serde_json::Map<String, Value> =
            changes.iter().map(|change| (change.key.clone(), json!(change.value))).collect();
        let data = json!({ "topic": topic, "applied": !self.dry_run, "configs": changed });
        self.shown.show(&data, || {
            let line = |change: &ConfigChange| match &change.value {
                Some(value) => format!("{topic}: {}={value}", change.key),
                None => format!("{topic}: {} unset", change.key),
            };
            let mut lines: Vec<String> = changes.iter().map(line).collect();
            lines.extend(self.dry_run.then(|| "nothing was changed: --dry-run".to_owned()));
            lines.join("\n")
        })
    }
}

fn show(args: &Show) -> Result<(), Failure> {
    let mut entries = client::topic_configs(&mut args.bootstrap.connect()?, &args.topic, &args.keys, args.docs)?;
    if let Some(missing) = args.keys.iter().find(|key| entries.iter().all(|entry| entry.name != **key)) {
        return Err(Failure::Missing(format!(
            "the broker knows no topic config \"{missing}\"; `corelog topic config show {}` lists those it knows",
            args.topic
        )));
    }
    entries.retain(|entry| !args.own || entry.source == ConfigSource::Topic);
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let data = entries.iter().map(|entry| {
        let mut data = json!({ "key": entry.name, "value": entry.value, "source": entry.source.name() });
        if let (Some(doc), Value::Object(map)) = (&entry.documentation, &mut data) {
            map.insert("doc".to_owned(), json!(doc));
        }
        data
    });
    let data = json!({ "topic": args.topic, "configs": data.collect::<Value>() });
    args.shown.show(&data, || {
        let head: &[&str] = if args.docs { &["key", "value", "source", "doc"] } else { &["key", "value", "source"] };
        table(head, &entries.iter().map(|entry| row(entry, args.docs)).collect::<Vec<_>>())
    })
}

fn row(entry: &ConfigEntry, docs: bool) -> Vec<String> {
    let value = entry.value.clone().unwrap_or_else(|| "(hidden)".to_owned());
    let mut row = vec![entry.name.clone(), value, entry.source.name().to_owned()];
    row.extend(docs.then(|| entry.documentation.clone().unwrap_or_default()));
    row
}
