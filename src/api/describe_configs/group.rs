//! The configs of a group, whether it exists or not. Invariant: every config is told.

use shards::catalog::Catalog;
use shards::catalog::config::{ConfigKey, GROUP_CONFIGS, Layer};

use super::super::config_resources::{SOURCE_GROUP, layer_code, topic_type_code};
use super::{Asked, topic};
use crate::wire::Str;
use crate::wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

pub(super) fn described(catalog: &Catalog, group: &str, asked: &Asked<'_>) -> Vec<DescribeConfigsResourceResult> {
    let wanted = GROUP_CONFIGS.iter().map(|group| &group.key).filter(|key| asked.wants(key.name));
    let mut configs: Vec<_> = wanted.map(|key| config(catalog, group, key, asked)).collect();
    configs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    configs
}

fn config(catalog: &Catalog, group: &str, key: &ConfigKey, asked: &Asked<'_>) -> DescribeConfigsResourceResult {
    let one = |name: &'static str, text: &str, source| DescribeConfigsSynonym {
        name: Str::from_static(name),
        value: Some(Str::from(key.described(text))),
        source,
    };
    let own = catalog.group_overrides(group).and_then(|overrides| overrides.get(key.name));
    // A config without a setting of the broker is its own default.
    let setting = key.synonyms.first().map_or(key.name, |synonym| synonym.key);
    let given = catalog.settings().group_defaults.given(setting);
    let all = own.map(|text| one(key.name, text, SOURCE_GROUP)).into_iter();
    let all = all.chain(given.map(|text| one(setting, text, layer_code(Layer::Start))));
    let all = all.chain(key.default.map(|text| one(setting, text, layer_code(Layer::Default))));
    let all: Vec<_> = all.collect();
    let value = all.first().and_then(|first| first.value.clone());
    let (config_source, synonyms) = asked.sources(all);
    DescribeConfigsResourceResult {
        name: Str::from_static(key.name),
        value,
        config_source,
        synonyms,
        config_type: topic_type_code(key),
        documentation: asked.doc(topic::doc(key)),
        ..Default::default()
    }
}
