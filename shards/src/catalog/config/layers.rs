//! The broker's settings behind topic configs, and those of its own that may change, by who set them: the configuration of
//! the start, a change for the whole cluster, a change for this broker. Every core; pure.
//!
//! Invariant: every name is one of a setting in the table of topic configs, a limit of connections or a setting of
//! compaction, and every dynamic one may be dynamic. The start of compaction's is not here: it is each core's own.

use std::collections::BTreeMap;

use super::cleaner::CleanerKey;
use super::connections::ConnectionKey;
use super::error::ConfigError;
use super::table::{TOPIC_CONFIGS, setting_key};

/// Who set a value; the first that did counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A change for this broker alone, kept in the metadata log.
    Broker,
    /// A change for every broker of the cluster, kept in the metadata log.
    Cluster,
    /// The configuration that the broker was started with.
    Start,
    /// Nobody.
    Default,
}

/// A setting's value in one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayeredValue<'a> {
    pub name: &'static str,
    /// As it was given.
    pub value: &'a str,
    pub layer: Layer,
}

/// What was set, by layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    broker: BTreeMap<String, String>,
    cluster: BTreeMap<String, String>,
    start: BTreeMap<&'static str, String>,
}

impl Layers {
    /// Only the configuration of the start: `setting` gives the text of a setting that was set.
    pub(super) fn at_start<'a>(setting: impl Fn(&str) -> Option<&'a str>) -> Layers {
        let of_topics = TOPIC_CONFIGS.iter().flat_map(|key| key.synonyms).map(|synonym| synonym.key);
        let names = of_topics.chain(ConnectionKey::ALL.map(ConnectionKey::name));
        let start = names.filter_map(|name| Some((name, setting(name)?.to_owned()))).collect();
        Layers { start, ..Layers::default() }
    }

    /// What was changed while the broker ran: for this broker, or for all of the cluster.
    pub fn dynamic(&self, of_cluster: bool) -> &BTreeMap<String, String> {
        if of_cluster { &self.cluster } else { &self.broker }
    }

    /// Notes a change; `None` undoes it.
    pub(super) fn change(&mut self, of_cluster: bool, name: &str, value: Option<&str>) -> Result<(), ConfigError> {
        match value {
            Some(value) => check_dynamic(name, value)?,
            None if is_dynamic(name) => {}
            None => return Err(ConfigError::Unknown { key: name.to_owned() }),
        }
        let changed = if of_cluster { &mut self.cluster } else { &mut self.broker };
        match value {
            Some(value) => {
                changed.insert(name.to_owned(), value.to_owned());
            }
            None => {
                changed.remove(name);
            }
        }
        Ok(())
    }

    /// The text of a setting that was changed since the start.
    pub(super) fn changed(&self, name: &str) -> Option<&str> {
        self.broker.get(name).or_else(|| self.cluster.get(name)).map(String::as_str)
    }

    /// The text of a setting that somebody set, and who did.
    pub(in crate::catalog) fn get(&self, name: &str) -> Option<(&str, Layer)> {
        let broker = self.broker.get(name).map(|text| (text, Layer::Broker));
        let found = broker.or_else(|| self.cluster.get(name).map(|text| (text, Layer::Cluster)));
        let found = found.or_else(|| self.start.get(name).map(|text| (text, Layer::Start)));
        found.map(|(text, layer)| (text.as_str(), layer))
    }

    /// Everything that gives a setting behind a topic config its value, what counts first: Kafka's synonyms. Empty where the
    /// setting itself has no value, though one of another unit may have.
    pub fn synonyms(&self, name: &str) -> Vec<LayeredValue<'_>> {
        let Some((key, _)) = setting_key(name) else { return Vec::new() };
        let of = |layer: Layer| {
            key.synonyms.iter().filter_map(move |one| {
                let value = match layer {
                    Layer::Broker => self.broker.get(one.key).map(String::as_str),
                    Layer::Cluster => self.cluster.get(one.key).map(String::as_str),
                    Layer::Start => self.start.get(one.key).map(String::as_str),
                    Layer::Default => key.setting_default(one),
                };
                Some(LayeredValue { name: one.key, value: value?, layer })
            })
        };
        let all = [Layer::Broker, Layer::Cluster, Layer::Start, Layer::Default].into_iter().flat_map(of);
        all.skip_while(|value| value.name != name).collect()
    }
}

/// Whether a setting may change while the broker runs.
pub fn is_dynamic(name: &str) -> bool {
    setting_key(name).is_some_and(|(_, setting)| setting.dynamic)
        || ConnectionKey::named(name).is_some()
        || CleanerKey::named(name).is_some()
}

/// Whether a dynamic setting may have this value.
pub(in crate::catalog) fn check_dynamic(name: &str, value: &str) -> Result<(), ConfigError> {
    if let Some((key, _)) = setting_key(name).filter(|(_, setting)| setting.dynamic) {
        return key.parse_as(name, value).map(drop);
    }
    match (ConnectionKey::named(name), CleanerKey::named(name)) {
        (Some(key), _) => key.check(value),
        (None, Some(key)) => key.check(value),
        (None, None) => Err(ConfigError::Unknown { key: name.to_owned() }),
    }
}
