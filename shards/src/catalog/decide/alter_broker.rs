//! AlterConfigs and IncrementalAlterConfigs of brokers: settings that may change while the broker runs. Shard 0 only.
//!
//! Invariant: a setting that does not act at once is refused, never taken and forgotten.

use super::super::command::{CatalogError, ConfigEdit, ConfigOp};
use super::super::config::{CONFIG_BYTES_MAX, ConfigError, ConnectionKey, check_dynamic, is_dynamic, setting_key};
use super::super::logger::logger_change;
use super::super::record::CatalogRecord;
use super::super::state::Catalog;
use super::alter::{Settings, difference, edited, invalid};

impl Catalog {
    /// `name` is this broker's number, or nothing for all brokers of the cluster.
    pub(super) fn alter_broker(&self, name: &str, edit: &ConfigEdit) -> Result<Vec<CatalogRecord>, CatalogError> {
        let ours = self.settings.node_id;
        let broker = match name {
            "" => None,
            _ => match node_number(name)? {
                id if id == ours => Some(id),
                id => return Err(invalid(&format!("Unexpected broker id, expected {ours}, but received {id}"))),
            },
        };
        let before = self.topic_defaults.layers().dynamic(broker.is_none());
        let after = edited(before, edit, append_to_setting).map_err(|e| match e {
            CatalogError::UnknownConfigOp { op } => invalid(&format!("Unknown operations type {op}")),
            other => other,
        })?;
        check_settings(&after)?;
        self.check_together(&after)?;
        let changes = difference(before, &after);
        Ok(changes.map(|(key, value)| CatalogRecord::BrokerConfig { broker, key, value }).collect())
    }

    /// Whether the log levels of this broker may be changed so. They are the process's: whoever asked changes them then.
    pub(super) fn alter_logger(&self, name: &str, edit: &ConfigEdit) -> Result<(), CatalogError> {
        let ConfigEdit::Incremental(edits) = edit else { return Err(invalid("Unknown resource type 8")) };
        let (ours, id) = (self.settings.node_id, node_number(name)?);
        if id != ours {
            return Err(invalid(&format!("Unexpected node id. Expected {ours}, but received {id}")));
        }
        logger_change(edits).map(|_| ())
    }

    /// What a setting by itself may say, and not what this broker is left with: one that deletes everything at once, or that lets
    /// nobody in who could take it back.
    fn check_together(&self, settings: &Settings) -> Result<(), CatalogError> {
        let is_zero = |name: &str| settings.get(name).is_some_and(|text| text.trim().parse() == Ok(0));
        if is_zero("log.retention.ms") {
            return Err(invalid("log.retention.ms must be unlimited (-1) or at least 1"));
        }
        if is_zero(ConnectionKey::Total.name()) {
            return Err(invalid(
                "max.connections of 0 would close every connection, and nobody could change it any more",
            ));
        }
        let overrides = ConnectionKey::PerIpOverrides.name();
        let known = self.topic_defaults.layers().get(overrides).map(|(text, _)| text);
        let is_overridden = settings.get(overrides).map(String::as_str).or(known).is_some_and(|text| !text.is_empty());
        if is_zero(ConnectionKey::PerIp.name()) && !is_overridden {
            return Err(invalid(&format!("max.connections.per.ip may be 0 only where {overrides} lets somebody in")));
        }
        Ok(())
    }
}

fn node_number(name: &str) -> Result<i32, CatalogError> {
    name.parse().map_err(|_| invalid(&format!("Node id must be an integer, but it is: {name}")))
}

/// Without a change Kafka starts from the setting's own default, whatever the broker was started with.
fn append_to_setting(key: &str, op: ConfigOp) -> Result<&'static str, CatalogError> {
    match setting_key(key).filter(|(known, _)| known.is_list()) {
        Some((known, setting)) => Ok(known.setting_default(setting).unwrap_or_default()),
        None => {
            let verb = if op == ConfigOp::Append { "append" } else { "subtract" };
            Err(ConfigError::NotAListSetting { verb, key: key.to_owned() }.into())
        }
    }
}

/// Only settings that may change, each with a value that is one. Kafka answers INVALID_REQUEST here, where a topic gets
/// INVALID_CONFIG.
fn check_settings(settings: &Settings) -> Result<(), CatalogError> {
    let fixed: Vec<&str> = settings.keys().map(String::as_str).filter(|name| !is_dynamic(name)).collect();
    if !fixed.is_empty() {
        return Err(invalid(&format!("Cannot update these configs dynamically: [{}]", fixed.join(", "))));
    }
    for (name, text) in settings {
        check_dynamic(name, text).map_err(|e| invalid(&e.to_string()))?;
        if text.len() > CONFIG_BYTES_MAX {
            let too_long = ConfigError::TooLong { key: name.clone(), bytes: text.len() };
            return Err(invalid(&too_long.to_string()));
        }
    }
    Ok(())
}
