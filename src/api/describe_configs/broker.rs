//! The settings of this broker, and those changed for the whole cluster. Invariant: each value is the one that acts.

use shards::catalog::Catalog;
use shards::catalog::config::{ConfigKey, Layer, Synonym, TOPIC_CONFIGS, is_dynamic, setting_key};

use super::super::ApiSettings;
use super::super::config_resources::{layer_code, topic_type_code, type_code};
use super::{Asked, synonym, topic};
use crate::config::described::{BrokerSetting, SettingType};
use crate::wire::Str;
use crate::wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

pub(super) fn described(
    catalog: &Catalog,
    settings: &ApiSettings,
    asked: &Asked<'_>,
) -> Vec<DescribeConfigsResourceResult> {
    let own = settings.described.iter().filter(|setting| asked.wants(setting.name));
    let of_topics = TOPIC_CONFIGS.iter().flat_map(|key| key.synonyms.iter().map(move |setting| (key, setting)));
    let of_topics = of_topics.filter(|(_, setting)| asked.wants(setting.key));
    let all = own.map(|setting| own_setting(catalog, setting, asked));
    let mut all: Vec<_> =
        all.chain(of_topics.map(|(key, setting)| topic_default(catalog, key, setting, asked))).collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What was changed for all brokers.
pub(super) fn cluster(
    catalog: &Catalog,
    settings: &ApiSettings,
    asked: &Asked<'_>,
) -> Vec<DescribeConfigsResourceResult> {
    let changed = catalog.topic_defaults().layers().dynamic(true);
    let wanted = changed.iter().filter(|(name, _)| asked.wants(name));
    let told = wanted.filter_map(|(name, value)| {
        let of_topics = setting_key(name).map(|(key, one)| (one.key, setting_type(key, one), doc(key, one)));
        let (name, config_type, doc) = match of_topics {
            Some(found) => found,
            None => {
                let own = settings.described.iter().find(|setting| setting.name == name)?;
                (own.name, type_code(own.kind), Str::from(own.doc.as_ref()))
            }
        };
        let name = Str::from_static(name);
        let value = Some(Str::from(value.as_str()));
        let only =
            DescribeConfigsSynonym { name: name.clone(), value: value.clone(), source: layer_code(Layer::Cluster) };
        let (config_source, synonyms) = asked.sources(vec![only]);
        let documentation = asked.doc(doc);
        // Only what may change can have been changed.
        let read_only = false;
        Some(DescribeConfigsResourceResult {
            name,
            value,
            read_only,
            config_source,
            synonyms,
            config_type,
            documentation,
            ..Default::default()
        })
    });
    told.collect()
}

/// A setting that no topic has.
fn own_setting(catalog: &Catalog, setting: &BrokerSetting, asked: &Asked<'_>) -> DescribeConfigsResourceResult {
    let name = Str::from_static(setting.name);
    let layers = catalog.topic_defaults().layers();
    let all = [
        (layers.dynamic(false).get(setting.name), Layer::Broker),
        (layers.dynamic(true).get(setting.name), Layer::Cluster),
        (setting.given.as_ref(), Layer::Start),
        (setting.default.as_ref(), Layer::Default),
    ];
    let all = all.into_iter().filter_map(|(value, layer)| {
        let value = Some(Str::from(value?.as_str()));
        Some(DescribeConfigsSynonym { name: name.clone(), value, source: layer_code(layer) })
    });
    let all: Vec<_> = all.collect();
    let value = all.first().and_then(|first| first.value.clone());
    let (config_source, synonyms) = asked.sources(all);
    DescribeConfigsResourceResult {
        name: name.clone(),
        value,
        read_only: !is_dynamic(setting.name),
        config_source,
        synonyms,
        config_type: type_code(setting.kind),
        documentation: asked.doc(setting.doc.as_ref()),
        ..Default::default()
    }
}

/// A setting that topics take their default from.
fn topic_default(
    catalog: &Catalog,
    key: &ConfigKey,
    setting: &Synonym,
    asked: &Asked<'_>,
) -> DescribeConfigsResourceResult {
    let all = catalog.topic_defaults().layers().synonyms(setting.key);
    let value = all.first().map(|first| Str::from(key.described(first.value)));
    let (config_source, synonyms) = asked.sources(all.iter().map(synonym).collect());
    DescribeConfigsResourceResult {
        name: Str::from_static(setting.key),
        value,
        read_only: !setting.dynamic,
        config_source,
        synonyms,
        config_type: setting_type(key, setting),
        documentation: asked.doc(doc(key, setting)),
        ..Default::default()
    }
}

/// The coarser units are small numbers.
fn setting_type(key: &ConfigKey, setting: &Synonym) -> i8 {
    if setting.times == 1 { topic_type_code(key) } else { type_code(SettingType::Int) }
}

fn doc(key: &ConfigKey, setting: &Synonym) -> Str {
    let unit = if setting.times == 1 { "" } else { ", in a coarser unit" };
    Str::from(format!("Default of the topic config {}{unit}. {}", key.name, topic::doc(key).as_str()))
}
