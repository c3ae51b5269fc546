//! The broker's settings behind topic configs, by who set them: the configuration of the start, a change for the whole
//! cluster, a change for this broker. Every core; pure.
//!
//! Invariant: every name is one of a setting in the table of topic configs, and every dynamic one may be dynamic.

use std::collections::BTreeMap;

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
        let names = TOPIC_CONFIGS.iter().flat_map(|key| key.synonyms).map(|synonym| synonym.key);
        let start = names.filter_map(|name| Some((name, setting(name)?.to_owned()))).collect();
        Layers { start, ..Layers::default() }
    }

    /// What was changed while the broker ran: for this broker, or for all of the cluster.
    pub fn dynamic(&self, of_cluster: bool) -> &BTreeMap<String, String> {
        if of_cluster { &self.cluster } else { &self.broker }
    }

    /// Notes a change; `None` undoes it.
    pub(super) fn change(&mut self, of_cluster: bool, name: &str, value: Option<&str>) -> Result<(), ConfigError> {
        let dynamic = setting_key(name).filter(|(_, setting)| setting.dynamic);
        let Some((key, _)) = dynamic else { return Err(ConfigError::Unknown { key: name.to_owned() }) };
        let changed = if of_cluster { &mut self.cluster } else { &mut self.broker };
        match value {
            Some(value) => {
                key.parse_as(name, value)?;
                changed.insert(name.to_owned(), value.to_owned());
            }
            None => {
                changed.remove(name);
            }
        }
        Ok(())
    }

    /// The text of a setting that somebody set, and who did.
    pub(super) fn get(&self, name: &str) -> Option<(&str, Layer)> {
        let broker = self.broker.get(name).map(|text| (text, Layer::Broker));
        let found = broker.or_else(|| self.cluster.get(name).map(|text| (text, Layer::Cluster)));
        let found = found.or_else(|| self.start.get(name).map(|text| (text, Layer::Start)));
        found.map(|(text, layer)| (text.as_str(), layer))
    }

    /// Everything that gives a setting its value, what counts first: Kafka's synonyms. Empty where the setting itself has
    /// no value, though one of another unit may have.
    pub fn synonyms(&self, name: &str) -> Vec<LayeredValue<'_>> {
        let Some((key, _)) = setting_key(name) else { return Vec::new() };
        let of = |layer: Layer| {
            key.synonyms.iter().filter_map(move |setting| {
                let value = match layer {
                    Layer::Broker => self.broker.get(setting.key).map(String::as_str),
                    Layer::Cluster => self.cluster.get(setting.key).map(String::as_str),
                    Layer::Start => self.start.get(setting.key).map(String::as_str),
                    Layer::Default => key.setting_default(setting),
                };
                Some(LayeredValue { name: setting.key, value: value?, layer })
            })
        };
        let all = [Layer::Broker, Layer::Cluster, Layer::Start, Layer::Default].into_iter().flat_map(of);
        all.skip_while(|value| value.name != name).collect()
    }
}
