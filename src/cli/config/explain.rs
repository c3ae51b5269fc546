//! `corelog config explain KEY`: what a setting of the broker, or a topic config, does, takes and costs.

use serde_json::{Value, json};
use shards::catalog::config::{ConfigKey, TOPIC_CONFIGS};

use crate::cli::Failure;
use crate::cli::report::Shown;
use crate::config::keys::{self, Key, topic_range};

/// Explains a setting: what it does and costs, its range, its default, and how to set it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    key: String,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let (name, parts) = if let Some(key) = keys::find(&args.key) {
        (key.name, setting(key))
    } else if let Some(config) = TOPIC_CONFIGS.iter().find(|config| config.name == args.key) {
        (config.name, topic_config(config))
    } else {
        let nearest = keys::nearest(&args.key).name;
        return Err(Failure::Missing(format!(
            "there is no key `{}`; the nearest is `{nearest}`: `corelog config explain {nearest}`",
            args.key
        )));
    };
    let mut data = serde_json::Map::from_iter([("key".to_owned(), json!(name))]);
    data.extend(parts.iter().map(|(what, text)| ((*what).to_owned(), json!(text))));
    args.shown.show(&Value::Object(data), || {
        let lines = parts.iter().map(|(what, text)| format!("  {what:<12}{text}"));
        std::iter::once(name.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
    })
}

fn setting(key: &Key) -> Vec<(&'static str, String)> {
    let example = key.default_text().filter(|text| !text.is_empty()).unwrap_or_else(|| "VALUE".to_owned());
    let topic_config = key.topic_config();
    let mut parts = vec![
        ("does", key.explanation().to_owned()),
        ("takes", topic_config.map_or_else(|| key.kind.range(), |config| topic_range(config.kind))),
        ("default", key.default_text().unwrap_or_else(|| key.default_words())),
        ("variable", format!("{}={example}", key.variable())),
        ("flag", format!("--set {}={example}", key.name)),
    ];
    parts.extend(topic_config.map(|config| ("topic", format!("the default of the topic config {}", config.name))));
    parts
}

fn topic_config(config: &ConfigKey) -> Vec<(&'static str, String)> {
    let brokers: Vec<&str> = config.broker_settings().collect();
    let mut parts = vec![
        ("does", config.doc.to_owned()),
        ("takes", topic_range(config.kind)),
        ("default", config.default.unwrap_or("unset").to_owned()),
        ("set", format!("corelog topic config set TOPIC {}=VALUE", config.name)),
    ];
    if !brokers.is_empty() {
        parts.push((
            "broker",
            format!("{} set the default for all topics; the first that is set counts", brokers.join(", ")),
        ));
    }
    if !config.acted_on {
        parts.push(("note", "it is checked, stored and described, and does nothing yet".to_owned()));
    }
    parts
}
