//! A file of Kafka's broker settings becomes one of ours. Pure.
//!
//! Invariant: every setting of the file is in the result, as a setting or in a comment that says why it is none.

mod foreign;
pub mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::properties::Property;
use super::keys::{self, Key, Kind};
use super::load::Config;
use super::origin::ConfigError;
use super::value;

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A configuration file of ours.
    pub toml: String,
    /// Settings taken over.
    pub taken: usize,
    /// Each setting that was left out or changed, with its line in Kafka's file, and why.
    pub notes: Vec<Note>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub line: usize,
    pub key: String,
    pub why: String,
}

/// Translates the text of a `server.properties`. The path is for error texts.
pub fn import(path: &Path, text: &str) -> Result<Imported, ConfigError> {
    let all =
        properties::parse(text).map_err(|(line, why)| ConfigError::Properties { path: path.to_owned(), line, why })?;
    let mut import = Import { kafka: Kafka::of(&all), lines: Vec::new(), taken: 0, notes: Vec::new() };
    for property in &all {
        // As in Java, of a name that stands twice the last counts.
        if all.iter().any(|later| later.line > property.line && later.key == property.key) {
            import.leave(property, "it is set again further down".to_owned());
        } else {
            import.take(property);
        }
    }
    if import.kafka.listeners.is_none() {
        import.lines.push("# Kafka listens on every address where `listeners` is not set.".to_owned());
        import.lines.push("listeners = \"PLAINTEXT://:9092\"".to_owned());
    }
    let toml = import.lines.join("\n") + "\n";
    Config::of_text(path, &toml)?;
    Ok(Imported { toml, taken: import.taken, notes: import.notes })
}

/// What settings say about others.
struct Kafka {
    /// Names of listeners that are the controller's.
    controller: BTreeSet<String>,
    /// Protocols by the names of listeners, where the two differ.
    protocols: BTreeMap<String, String>,
    listeners: Option<String>,
    named: BTreeSet<String>,
}

impl Kafka {
    fn of(all: &[Property]) -> Kafka {
        let get =
            |name: &str| all.iter().rev().find(|property| property.key == name).map(|p| p.value.trim().to_owned());
        let parts = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        let protocols = parts(&get("listener.security.protocol.map").unwrap_or_default());
        let controller = parts(&get("controller.listener.names").unwrap_or_default());
        let pair = |pair: &String| {
            let (name, protocol) = pair.split_once(':')?;
            Some((value::listener_name(name), value::listener_name(protocol)))
        };
        Kafka {
            controller: controller.iter().map(|name| value::listener_name(name)).collect(),
            protocols: protocols.iter().filter_map(pair).collect(),
            listeners: get("listeners"),
            named: all.iter().map(|property| property.key.clone()).collect(),
        }
    }

    /// Those of a list of listeners that can be here, and why the others cannot.
    fn parted(&self, text: &str) -> (Vec<String>, Vec<String>) {
        let (mut kept, mut left) = (Vec::new(), Vec::new());
        for listener in text.split(',').map(str::trim).filter(|listener| !listener.is_empty()) {
            let name = name_of(listener);
            let protocol = self.protocols.get(&name).unwrap_or(&name);
            if self.controller.contains(&name) {
                left.push(format!("{listener} is the controller's, and there is none here"));
            } else if self.protocols.contains_key(&name) && protocol != "PLAINTEXT"
                || value::SECURED.contains(&name.as_str())
            {
                left.push(format!("{listener} is {protocol}, which is not there yet"));
            } else {
                kept.push(listener.to_owned());
            }
        }
        (kept, left)
    }
}

fn name_of(listener: &str) -> String {
    value::listener_name(listener.split("://").next().unwrap_or_default())
}

struct Import {
    kafka: Kafka,
    lines: Vec<String>,
    taken: usize,
    notes: Vec<Note>,
}

impl Import {
    fn take(&mut self, property: &Property) {
        let value = property.value.trim();
        if value.contains("${") {
            return self
                .leave(property, "it names what Kafka puts in when it starts: write the value itself".to_owned());
        }
        match property.key.as_str() {
            "log.dir" if self.kafka.named.contains("log.dirs") => self.leave(property, "log.dirs counts".to_owned()),
            "log.dir" | "log.dirs" => self.data_dir(property, value),
            "broker.id" if self.kafka.named.contains("node.id") => self.leave(property, "node.id counts".to_owned()),
            "broker.id" => self.set(property, "node.id", value),
            "listeners" | "advertised.listeners" => self.listeners(property, value),
            name => match keys::find(name) {
                Some(_) => self.set(property, name, value),
                None => {
                    let unknown = "no setting of Kafka's of this name is known here: check its spelling";
                    self.leave(property, foreign::reason(name).unwrap_or(unknown).to_owned());
                }
            },
        }
    }

    fn data_dir(&mut self, property: &Property, value: &str) {
        let mut dirs = value.split(',').map(str::trim).filter(|dir| !dir.is_empty());
        let first = dirs.next().unwrap_or_default().to_owned();
        let others: Vec<&str> = dirs.collect();
        let mut why =
            "a directory of Kafka's is refused: choose another one, empty at the first start, and take Kafka's topics \
                       over with `corelog log import DIR --config FILE` if you want them"
                .to_owned();
        if !others.is_empty() {
            why = format!("there is one data directory, so {} is left out; {why}", others.join(", "));
        }
        self.note(property, why);
        self.set(property, "data_dir", &first);
    }

    fn listeners(&mut self, property: &Property, value: &str) {
        let (mut kept, mut left) = self.kafka.parted(value);
        if property.key == "advertised.listeners" {
            let there = self.kafka.parted(self.kafka.listeners.as_deref().unwrap_or("PLAINTEXT://:9092")).0;
            kept.retain(|told| {
                let known = there.iter().any(|listener| name_of(listener) == name_of(told));
                if !known {
                    left.push(format!("{told} is none of `listeners`"));
                }
                known
            });
        }
        if kept.is_empty() {
            left.push("none is left".to_owned());
        }
        if !left.is_empty() {
            self.note(property, left.join("; "));
        }
        if !kept.is_empty() {
            self.set(property, &property.key, &kept.join(","));
        }
    }

    /// One of our settings, if it may have this value.
    fn set(&mut self, property: &Property, name: &str, text: &str) {
        let Some(key) = keys::find(name) else { unreachable!("{name} is one of our keys") };
        // Kafka takes any case here.
        let lower = text.to_ascii_lowercase();
        let text = if matches!(lower.as_str(), "true" | "false") { lower.as_str() } else { text };
        if let Err(why) = value::check(key, text) {
            return self.leave(property, why);
        }
        if let Some(config) = key.topic_config().filter(|config| !config.acted_on) {
            self.note(property, format!("{} is stored and described, and does nothing yet", config.name));
        }
        self.lines.push(format!("{} = {}", toml_key(name), toml_value(key, text)));
        self.taken += 1;
    }

    /// The setting stays in the file as a comment.
    fn leave(&mut self, property: &Property, why: String) {
        self.note(property, why);
        self.lines.push(format!("# {} = {}", commented(&property.key), commented(&property.value)));
    }

    /// Stands above the line that it is about.
    fn note(&mut self, property: &Property, why: String) {
        self.lines.push(format!("# {}: {}", commented(&property.key), commented(&why)));
        self.notes.push(Note { line: property.line, key: property.key.clone(), why });
    }
}

/// A comment of TOML has no control characters but tabs, and no line has an end within.
fn commented(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

/// Only bare keys go without quotes.
fn toml_key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

fn toml_value(key: &Key, text: &str) -> String {
    let bare = match key.kind {
        Kind::Int { .. } | Kind::Bytes { .. } | Kind::Bool | Kind::TopicDefault => bare(text),
        _ => None,
    };
    bare.unwrap_or_else(|| quoted(text))
}

/// A number as TOML writes it, whatever Java lets pass (08, .5), or a truth.
fn bare(text: &str) -> Option<String> {
    if matches!(text, "true" | "false") {
        return Some(text.to_owned());
    }
    let whole = text.parse::<i64>().map(|number| number.to_string());
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    whole.ok().or_else(|| number(text).map(|number| format!("{number:?}")))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests;
