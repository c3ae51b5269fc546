//! AlterConfigs and IncrementalAlterConfigs: what holds for every resource, topics, groups and client metrics. Shard 0 only.
//!
//! Invariant: records carry only what changes.

use std::collections::BTreeMap;

use super::super::command::{CatalogError, ConfigChange, ConfigEdit, ConfigOp, ConfigResource, ResourceKind};
use super::super::config::{ConfigError, config_key, validate_metrics};
use super::super::name::check_topic_name;
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::super::topic::Topic;
use super::count_by;

/// All configs of all groups and client metrics, with their names, bytes: every core keeps them, and whoever asks makes some.
const NAMED_CONFIGS_BYTES_MAX: usize = 8 << 20;

pub(super) type Settings = BTreeMap<String, String>;

impl Catalog {
    pub(super) fn alter_configs(
        &self,
        changes: &[ConfigChange],
        validate_only: bool,
        records: &mut Vec<CatalogRecord>,
    ) -> Vec<Result<(), CatalogError>> {
        let resources = count_by(changes, |change| &change.resource);
        let is_named =
            |change: &ConfigChange| matches!(change.resource.kind, ResourceKind::Group | ResourceKind::Metrics);
        let held = if changes.iter().any(is_named) { self.named_configs_bytes() } else { 0 };
        let mut room = NAMED_CONFIGS_BYTES_MAX.saturating_sub(held);
        let records_before = records.len();
        let check = |change: &ConfigChange| {
            if resources.get(&change.resource).is_some_and(|&times| times > 1) {
                return Err(invalid("Each resource must appear at most once."));
            }
            check_keys(&change.edit)
        };
        let replies = changes.iter().map(|change| {
            check(change)?;
            let ConfigResource { kind, name } = &change.resource;
            let changed = match kind {
                ResourceKind::Topic => self.alter_topic(name, &change.edit)?,
                ResourceKind::Broker => self.alter_broker(name, &change.edit)?,
                ResourceKind::Group => self.alter_group(name, &change.edit, &mut room)?,
                ResourceKind::Metrics => self.alter_metrics(name, &change.edit, &mut room)?,
                ResourceKind::BrokerLogger => return self.alter_logger(name, &change.edit),
                ResourceKind::Other(kind) => return Err(invalid(&format!("Unknown resource type {kind}"))),
            };
            if !validate_only {
                records.extend(changed);
            }
            Ok(())
        });
        let mut replies: Vec<_> = replies.collect();
        // Kafka's controller trips over an operation that there is not, and so over all that it is handed with it: all that
        // its broker does not answer itself.
        let is_handed_on = |change: &ConfigChange, reply: &Result<(), CatalogError>| match change.resource.kind {
            ResourceKind::Topic | ResourceKind::Group | ResourceKind::Metrics => check(change).is_ok(),
            ResourceKind::Broker => reply.is_ok(),
            ResourceKind::BrokerLogger | ResourceKind::Other(_) => false,
        };
        let unknown = |reply: &Result<(), CatalogError>| match reply {
            Err(CatalogError::UnknownConfigOp { op }) => Some(*op),
            _ => None,
        };
        let mut handed_on = changes.iter().zip(&replies).filter(|(change, reply)| is_handed_on(change, reply));
        if let Some(op) = handed_on.find_map(|(_, reply)| unknown(reply)) {
            records.truncate(records_before);
            for (change, reply) in changes.iter().zip(&mut replies) {
                if is_handed_on(change, reply) {
                    *reply = Err(CatalogError::UnknownConfigOp { op });
                }
            }
        }
        replies
    }

    fn named_configs_bytes(&self) -> usize {
        let groups = self.groups.iter().map(|(name, known)| named_bytes(name, &known.overrides));
        groups.chain(self.metrics.iter().map(|(name, overrides)| named_bytes(name, overrides))).sum()
    }

    fn alter_topic(&self, name: &str, edit: &ConfigEdit) -> Result<Vec<CatalogRecord>, CatalogError> {
        // In Kafka's order: what is wrong with the configs is told before that there is no such topic.
        let (found, nothing) = (self.topic(name), Settings::new());
        let after = edited(found.map_or(&nothing, |topic| &topic.overrides), edit, append_to_topic)?;
        if name.is_empty() {
            return Err(invalid("Default topic resources are not allowed."));
        }
        check_topic_name(name).map_err(|why| CatalogError::InvalidTopicName { why })?;
        self.topic_defaults.validate(&after)?;
        let topic = found.ok_or_else(|| CatalogError::UnknownTopic { name: name.to_owned() })?;
        Ok(topic_records(topic, &after))
    }

    /// `room`: bytes that the configs of groups and client metrics may take more.
    fn alter_group(&self, name: &str, edit: &ConfigEdit, room: &mut usize) -> Result<Vec<CatalogRecord>, CatalogError> {
        if name.is_empty() {
            return Err(invalid("Default group resources are not allowed."));
        }
        let nothing = Settings::new();
        let before = self.group_overrides(name).unwrap_or(&nothing);
        let after = edited(before, edit, |key, op| Err(not_a_list(key, op)))?;
        self.settings.group_defaults.validate(&after)?;
        take_room(name, before, &after, room)?;
        let changes = difference(before, &after);
        Ok(changes.map(|(key, value)| CatalogRecord::GroupConfig { group: name.to_owned(), key, value }).collect())
    }

    /// `room` as for groups.
    fn alter_metrics(
        &self,
        name: &str,
        edit: &ConfigEdit,
        room: &mut usize,
    ) -> Result<Vec<CatalogRecord>, CatalogError> {
        let nothing = Settings::new();
        let before = self.metrics_overrides(name).unwrap_or(&nothing);
        let after = edited(before, edit, |key, op| Err(not_a_list(key, op)))?;
        if name.is_empty() {
            return Err(invalid("Subscription name can't be empty"));
        }
        validate_metrics(&after)?;
        take_room(name, before, &after, room)?;
        let changes = difference(before, &after);
        Ok(changes.map(|(key, value)| CatalogRecord::MetricsConfig { name: name.to_owned(), key, value }).collect())
    }
}

fn take_room(name: &str, before: &Settings, after: &Settings, room: &mut usize) -> Result<(), CatalogError> {
    let more = named_bytes(name, after).saturating_sub(named_bytes(name, before));
    if more > *room {
        let why = format!(
            "The configs of all groups and client metrics may be {NAMED_CONFIGS_BYTES_MAX} bytes, names included; there is \
             no room for those of {name}."
        );
        return Err(CatalogError::PolicyViolation { why });
    }
    *room -= more;
    Ok(())
}

/// What the configs of a group or of client metrics take.
fn named_bytes(name: &str, settings: &Settings) -> usize {
    let values: usize = settings.iter().map(|(key, value)| key.len() + value.len()).sum();
    if settings.is_empty() { 0 } else { name.len() + values }
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
        return Err(invalid(&format!("Null value not supported for : {}", nulls.join(", "))));
    }
    Ok(())
}

/// What is set after an edit. `list_before` tells what a list has that is not set, or why its key has no list.
pub(super) fn edited(
    before: &Settings,
    edit: &ConfigEdit,
    list_before: impl Fn(&str, ConfigOp) -> Result<&'static str, CatalogError>,
) -> Result<Settings, CatalogError> {
    let edits = match edit {
        ConfigEdit::Replace(values) => {
            return Ok(values.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect());
        }
        ConfigEdit::Incremental(edits) => edits,
    };
    let mut after = before.clone();
    for (key, op, value) in edits {
        let value = value.as_deref().unwrap_or_default();
        let joined = match op {
            ConfigOp::Set => value.to_owned(),
            ConfigOp::Delete => {
                after.remove(key);
                continue;
            }
            ConfigOp::Append | ConfigOp::Subtract => {
                let unset = list_before(key, *op)?;
                merged(after.get(key).map_or(unset, String::as_str), *op, value)
            }
            ConfigOp::Unknown(op) => return Err(CatalogError::UnknownConfigOp { op: *op }),
        };
        after.insert(key.clone(), joined);
    }
    Ok(after)
}

/// A list with items appended that it lacks, or without those subtracted.
fn merged(before: &str, op: ConfigOp, value: &str) -> String {
    let mut parts: Vec<&str> = before.split(',').filter(|part| !part.is_empty()).collect();
    for part in split(value) {
        let at = parts.iter().position(|&p| p == part);
        match (op, at) {
            (ConfigOp::Append, None) => parts.push(part),
            (ConfigOp::Subtract, Some(at)) => {
                parts.remove(at);
            }
            _ => {}
        }
    }
    parts.join(",")
}

/// As Java splits: without the empty parts at the end, though nothing at all is one part.
fn split(value: &str) -> impl Iterator<Item = &str> {
    let kept = value.trim_end_matches(',');
    let is_none = kept.is_empty() && !value.is_empty();
    kept.split(',').filter(move |_| !is_none)
}

/// Without an override Kafka starts from the key's own default, whatever the broker's is.
fn append_to_topic(key: &str, op: ConfigOp) -> Result<&'static str, CatalogError> {
    match config_key(key).filter(|known| known.is_list()) {
        Some(known) => Ok(known.default.unwrap_or_default()),
        None => Err(not_a_list(key, op)),
    }
}

fn not_a_list(key: &str, op: ConfigOp) -> CatalogError {
    let verb = if op == ConfigOp::Append { "APPEND" } else { "SUBTRACT" };
    ConfigError::NotAList { verb, key: key.to_owned() }.into()
}

fn topic_records(topic: &Topic, after: &Settings) -> Vec<CatalogRecord> {
    let changes = difference(&topic.overrides, after);
    changes.map(|(key, value)| CatalogRecord::TopicConfig { topic: topic.name.to_string(), key, value }).collect()
}

/// Each key that changes, with its new value.
pub(super) fn difference(before: &Settings, after: &Settings) -> impl Iterator<Item = (String, Option<String>)> {
    let gone = before.keys().filter(|&key| !after.contains_key(key)).map(|key| (key.clone(), None));
    let set = after.iter().filter(|&(key, value)| before.get(key) != Some(value));
    gone.chain(set.map(|(key, value)| (key.clone(), Some(value.clone()))))
}

pub(super) fn invalid(why: &str) -> CatalogError {
    CatalogError::InvalidRequest { why: why.to_owned() }
}
