//! AlterConfigs and IncrementalAlterConfigs of topics. Shard 0 only.
//!
//! Invariant: records carry only what changes.

use std::collections::BTreeMap;

use super::super::command::{CatalogError, ConfigChange, ConfigEdit, ConfigOp};
use super::super::config::{ConfigError, config_key};
use super::super::name::check_topic_name;
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::super::topic::Topic;
use super::count_by;

type Overrides = BTreeMap<String, String>;

impl Catalog {
    pub(super) fn alter_configs(
        &self,
        changes: &[ConfigChange],
        validate_only: bool,
        records: &mut Vec<CatalogRecord>,
    ) -> Vec<Result<(), CatalogError>> {
        let names = count_by(changes, |change| change.topic.as_str());
        let replies = changes.iter().map(|change| {
            if names.get(change.topic.as_str()).is_some_and(|&times| times > 1) {
                return Err(invalid("Each resource must appear at most once."));
            }
            let (topic, after) = self.check_change(change)?;
            if !validate_only {
                records.extend(difference(topic, &after));
            }
            Ok(())
        });
        replies.collect()
    }

    /// The topic and its overrides after the change.
    fn check_change(&self, change: &ConfigChange) -> Result<(&Topic, Overrides), CatalogError> {
        check_keys(&change.edit)?;
        let name = &change.topic;
        if name.is_empty() {
            return Err(invalid("Default topic resources are not allowed."));
        }
        check_topic_name(name).map_err(|why| CatalogError::InvalidTopicName { why })?;
        let topic = self.topic(name).ok_or_else(|| CatalogError::UnknownTopic { name: name.clone() })?;
        let after = match &change.edit {
            ConfigEdit::Replace(values) => {
                values.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
            }
            ConfigEdit::Incremental(edits) => {
                let mut after = topic.overrides.clone();
                for (key, op, value) in edits {
                    edit(&mut after, key, *op, value.as_deref().unwrap_or_default())?;
                }
                after
            }
        };
        self.settings.topic_defaults.validate(&after)?;
        Ok((topic, after))
    }
}

/// No key twice, and no null where a value is asked.
fn check_keys(edit: &ConfigEdit) -> Result<(), CatalogError> {
    let (keys, nulls): (Vec<&str>, Vec<&str>) = match edit {
        ConfigEdit::Replace(values) => (
            values.iter().map(|(key, _)| key.as_str()).collect(),
            values.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect(),
        ),
        ConfigEdit::Incremental(edits) => (
            edits.iter().map(|(key, ..)| key.as_str()).collect(),
            edits
                .iter()
                .filter(|(_, op, value)| *op != ConfigOp::Delete && value.is_none())
                .map(|(key, ..)| key.as_str())
                .collect(),
        ),
    };
    if count_by(&keys, |key| *key).len() < keys.len() {
        return Err(invalid("Error due to duplicate config keys"));
    }
    if !nulls.is_empty() {
        // Kafka's two requests join the keys differently.
        let comma = if matches!(edit, ConfigEdit::Replace(_)) { "," } else { ", " };
        return Err(invalid(&format!("Null value not supported for : {}", nulls.join(comma))));
    }
    Ok(())
}

fn edit(overrides: &mut Overrides, key: &str, op: ConfigOp, value: &str) -> Result<(), CatalogError> {
    match op {
        ConfigOp::Set => {
            overrides.insert(key.to_owned(), value.to_owned());
        }
        ConfigOp::Delete => {
            overrides.remove(key);
        }
        ConfigOp::Append | ConfigOp::Subtract => {
            let listed = config_key(key).filter(|known| known.is_list());
            let Some(known) = listed else {
                let verb = if op == ConfigOp::Append { "APPEND" } else { "SUBTRACT" };
                return Err(ConfigError::NotAList { verb, key: key.to_owned() }.into());
            };
            // Without an override Kafka starts from the key's own default, whatever the broker's is.
            let before = overrides.get(key).map_or(known.default.unwrap_or_default(), String::as_str);
            let mut parts: Vec<&str> = before.split(',').filter(|part| !part.is_empty()).collect();
            for part in value.split(',') {
                let at = parts.iter().position(|&p| p == part);
                match (op, at) {
                    (ConfigOp::Append, None) => parts.push(part),
                    (ConfigOp::Subtract, Some(at)) => {
                        parts.remove(at);
                    }
                    _ => {}
                }
            }
            let joined = parts.join(",");
            overrides.insert(key.to_owned(), joined);
        }
    }
    Ok(())
}

fn difference(topic: &Topic, after: &Overrides) -> Vec<CatalogRecord> {
    let record =
        |key: &str, value| CatalogRecord::TopicConfig { topic: topic.name.to_string(), key: key.to_owned(), value };
    let gone = topic.overrides.keys().filter(|&key| !after.contains_key(key)).map(|key| record(key, None));
    let set = after.iter().filter(|&(key, value)| topic.overrides.get(key) != Some(value));
    gone.chain(set.map(|(key, value)| record(key, Some(value.clone())))).collect()
}

fn invalid(why: &str) -> CatalogError {
    CatalogError::InvalidRequest { why: why.to_owned() }
}
