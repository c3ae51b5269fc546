//! The broker's defaults for topics, built out of its settings, and a topic's overrides on top. Every core; pure.
//!
//! Invariant: each default has passed the check of its key.

use std::collections::BTreeMap;

use super::effective::{CleanupPolicy, TopicConfig};
use super::error::{CONFIG_BYTES_MAX, ConfigError};
use super::layers::{Layer, Layers};
use super::table::{ConfigKey, Synonym, TOPIC_CONFIGS, config_key};

/// What a topic has that overrides nothing.
#[derive(Debug, Clone)]
pub struct TopicDefaults {
    config: TopicConfig,
    /// Value as text, and the broker setting that it is from; in the order of the table.
    values: Vec<(Option<String>, Option<(&'static str, Layer)>)>,
    layers: Layers,
}

/// One config of a topic, for descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigEntry<'a> {
    pub name: &'static str,
    /// As it was given.
    pub value: Option<&'a str>,
    pub source: ConfigSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// From this setting of the broker, which this layer set.
    Broker(&'static str, Layer),
    Default,
}

impl Default for TopicDefaults {
    fn default() -> TopicDefaults {
        let values = TOPIC_CONFIGS.iter().map(|key| (key.default.map(str::to_owned), None)).collect();
        TopicDefaults { config: TopicConfig::from_table(), values, layers: Layers::default() }
    }
}

impl TopicDefaults {
    /// Takes over the broker settings that stand behind topic configs (`log.segment.bytes`, `log.retention.hours`, …).
    /// `setting` gives the text of a setting that was set, `None` for one that was not.
    pub fn from_broker<'a>(setting: impl Fn(&str) -> Option<&'a str>) -> Result<TopicDefaults, ConfigError> {
        let defaults = TopicDefaults::from_layers(Layers::at_start(setting))?;
        defaults.config.check()?;
        Ok(defaults)
    }

    /// These with one more dynamic setting of the broker, or of the whole cluster; `None` undoes it. Checks the value, not
    /// what the settings say together, as Kafka does.
    pub(in crate::catalog) fn changed(
        &self,
        of_cluster: bool,
        name: &str,
        value: Option<&str>,
    ) -> Result<TopicDefaults, ConfigError> {
        let mut layers = self.layers.clone();
        layers.change(of_cluster, name, value)?;
        TopicDefaults::from_layers(layers)
    }

    fn from_layers(layers: Layers) -> Result<TopicDefaults, ConfigError> {
        let mut defaults = TopicDefaults::default();
        for (key, slot) in TOPIC_CONFIGS.iter().zip(&mut defaults.values) {
            let found = key.synonyms.iter().find_map(|synonym| Some((synonym, layers.get(synonym.key)?)));
            let Some((synonym, (given, layer))) = found else { continue };
            let text = scaled(synonym, given)?;
            defaults.config.set(key, key.parse_as(synonym.key, &text)?);
            *slot = (Some(text), Some((synonym.key, layer)));
        }
        Ok(TopicDefaults { layers, ..defaults })
    }

    /// Who set what.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    pub fn config(&self) -> &TopicConfig {
        &self.config
    }

    /// The default of a key as text, and the broker setting that it is from.
    pub fn value(&self, name: &str) -> (Option<&str>, Option<&'static str>) {
        let found = TOPIC_CONFIGS.iter().zip(&self.values).find(|(key, _)| key.name == name);
        found.map_or((None, None), |(_, (value, from))| (value.as_deref(), from.map(|(setting, _)| setting)))
    }

    /// What is in force with these overrides; checks each value, not what they say together.
    pub fn with(&self, overrides: &BTreeMap<String, String>) -> Result<TopicConfig, ConfigError> {
        if let Some(unknown) = overrides.keys().find(|name| config_key(name).is_none()) {
            return Err(ConfigError::Unknown { key: unknown.clone() });
        }
        let mut config = self.config.clone();
        for key in &TOPIC_CONFIGS {
            if let Some(text) = overrides.get(key.name) {
                config.set(key, key.parse(text)?);
            }
        }
        Ok(config)
    }

    /// As [`TopicDefaults::with`], with all of Kafka's checks: for overrides that someone asks for.
    pub fn validate(&self, overrides: &BTreeMap<String, String>) -> Result<TopicConfig, ConfigError> {
        let config = self.with(overrides)?;
        config.check()?;
        match overrides.iter().find(|(_, text)| text.len() > CONFIG_BYTES_MAX) {
            Some((key, text)) => Err(ConfigError::TooLong { key: key.clone(), bytes: text.len() }),
            None => Ok(config),
        }
    }

    /// Every config of a topic with these overrides, sorted as the table is; internal ones only when set.
    pub fn entries<'a>(&'a self, overrides: &'a BTreeMap<String, String>) -> impl Iterator<Item = ConfigEntry<'a>> {
        TOPIC_CONFIGS.iter().zip(&self.values).filter_map(|(key, (value, from))| {
            let set = overrides.get(key.name);
            if key.internal && set.is_none() {
                return None;
            }
            Some(match (set, from) {
                (Some(set), _) => ConfigEntry { name: key.name, value: Some(set), source: ConfigSource::Topic },
                (None, Some((from, layer))) => {
                    let source = ConfigSource::Broker(from, *layer);
                    ConfigEntry { name: key.name, value: value.as_deref(), source }
                }
                (None, None) => ConfigEntry { name: key.name, value: value.as_deref(), source: ConfigSource::Default },
            })
        })
    }

    /// For the metadata log: synced before each ack, nothing deleted, whatever the broker's defaults are.
    pub(in crate::catalog) fn metadata_config(&self) -> TopicConfig {
        TopicConfig {
            cleanup_policy: CleanupPolicy::default(),
            retention_ms: -1,
            retention_bytes: -1,
            flush_messages: 1,
            min_insync_replicas: 1,
            max_message_bytes: i32::MAX,
            // A snapshot has all of it, and nobody else reads it.
            file_delete_delay_ms: 0,
            ..TopicConfig::from_table()
        }
    }
}

/// The text of a topic config out of the broker setting behind it. Kafka takes any negative time for "no limit".
fn scaled(synonym: &Synonym, given: &str) -> Result<String, ConfigError> {
    if synonym.times == 1 {
        return Ok(given.to_owned());
    }
    let invalid =
        |why: &str| ConfigError::Invalid { key: synonym.key.to_owned(), value: given.to_owned(), why: why.to_owned() };
    let count: i32 = given.trim().parse().map_err(|_| invalid("Not a number of type INT"))?;
    Ok(if count < 0 { -1 } else { i64::from(count) * synonym.times }.to_string())
}

impl ConfigKey {
    /// The broker settings behind this key, first the one that counts first.
    pub fn broker_settings(&self) -> impl Iterator<Item = &'static str> {
        self.synonyms.iter().map(|synonym| synonym.key)
    }
}
