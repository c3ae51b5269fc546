//! The configs of a topic. Invariant: every config is told, internal ones only when set.

use shards::catalog::config::{ConfigKey, TOPIC_CONFIGS};
use shards::catalog::{Catalog, Topic};

use super::super::config_resources::{SOURCE_TOPIC, topic_type_code};
use super::{Asked, synonym};
use crate::wire::Str;
use crate::wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

/// What is said of a config that is kept and does nothing.
const NOT_ACTED_ON: &str = "Checked, kept and described; this broker does not act on it.";

pub(super) fn described(catalog: &Catalog, topic: &Topic, asked: &Asked<'_>) -> Vec<DescribeConfigsResourceResult> {
    let wanted = TOPIC_CONFIGS.iter().filter(|key| asked.wants(key.name));
    let mut configs: Vec<_> = wanted.filter_map(|key| config(catalog, topic, key, asked)).collect();
    configs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    configs
}

fn config(
    catalog: &Catalog,
    topic: &Topic,
    key: &ConfigKey,
    asked: &Asked<'_>,
) -> Option<DescribeConfigsResourceResult> {
    let defaults = catalog.topic_defaults();
    let name = Str::from_static(key.name);
    let overridden = topic.overrides.get(key.name);
    let value = match overridden {
        Some(text) => Some(text.as_str()),
        None if key.internal => return None,
        None => defaults.value(key.name).0,
    };
    let value = value.map(|text| Str::from(key.described(text)));
    // As Kafka, under the finest unit only: a default out of `log.retention.hours` has no synonym, and the source of a default.
    let setting = key.broker_settings().next().unwrap_or_default();
    let own =
        overridden.map(|_| DescribeConfigsSynonym { name: name.clone(), value: value.clone(), source: SOURCE_TOPIC });
    let brokers = defaults.layers().synonyms(setting);
    let (config_source, synonyms) = asked.sources(own.into_iter().chain(brokers.iter().map(synonym)).collect());
    Some(DescribeConfigsResourceResult {
        name,
        value,
        config_source,
        synonyms,
        config_type: topic_type_code(key),
        documentation: asked.doc(doc(key)),
        ..Default::default()
    })
}

pub(super) fn doc(key: &ConfigKey) -> Str {
    if key.acted_on { Str::from_static(key.doc) } else { Str::from(format!("{} {NOT_ACTED_ON}", key.doc)) }
}
