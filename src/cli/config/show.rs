//! `corelog config show`: every setting as a broker with this file, environment and flags would have it.

use serde_json::{Value, json};

use super::Sources;
use crate::cli::Failure;
use crate::cli::report::{Shown, table};
use crate::config::keys::{KEYS, Key};
use crate::config::{Config, Origin};

/// Shows every setting with its value.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also where each value comes from: a line of the file, a variable, a flag, or the default.
    #[arg(long)]
    origin: bool,
    /// Only what is set, without defaults.
    #[arg(long)]
    own: bool,
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let config = args.sources.load()?;
    let shown = |key: &&Key| !args.own || config.given(key.name).is_some();
    let keys: Vec<&Key> = KEYS.iter().filter(shown).collect();
    let data = keys.iter().map(|key| {
        let origin = config.origin(key.name).to_string();
        json!({ "key": key.name, "value": config.in_force(key), "origin": origin })
    });
    args.shown.show(&data.collect::<Value>(), || {
        let head: &[&str] = if args.origin { &["key", "value", "origin"] } else { &["key", "value"] };
        table(head, &keys.iter().map(|key| row(&config, key, args.origin)).collect::<Vec<_>>())
    })
}

fn row(config: &Config, key: &Key, with_origin: bool) -> Vec<String> {
    let value = config.in_force(key).unwrap_or_else(|| format!("({})", key.default_words()));
    let mut row = vec![key.name.to_owned(), value];
    if with_origin {
        let origin = config.origin(key.name);
        row.push(if origin == Origin::Default { "default".to_owned() } else { origin.to_string() });
    }
    row
}
