//! The configs of a subscription of client metrics, whether it exists or not. Invariant: every config is told.

use shards::catalog::Catalog;
use shards::catalog::config::METRICS_CONFIGS;

use super::super::config_resources::{SOURCE_DEFAULT, SOURCE_METRICS, topic_type_code};
use super::{Asked, topic};
use crate::wire::Str;
use crate::wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsSynonym};

pub(super) fn described(catalog: &Catalog, name: &str, asked: &Asked<'_>) -> Vec<DescribeConfigsResourceResult> {
    let overrides = catalog.metrics_overrides(name);
    let wanted = METRICS_CONFIGS.iter().filter(|key| asked.wants(key.name));
    let told = wanted.map(|key| {
        let own = overrides.and_then(|overrides| overrides.get(key.name)).map(|text| Str::from(key.described(text)));
        // Kafka tells no synonym of a default here.
        let synonyms = own.iter().filter(|_| asked.synonyms).map(|value| DescribeConfigsSynonym {
            name: Str::from_static(key.name),
            value: Some(value.clone()),
            source: SOURCE_METRICS,
        });
        DescribeConfigsResourceResult {
            name: Str::from_static(key.name),
            synonyms: synonyms.collect(),
            config_source: if own.is_some() { SOURCE_METRICS } else { SOURCE_DEFAULT },
            value: own.or(key.default.map(Str::from_static)),
            config_type: topic_type_code(key),
            documentation: asked.doc(topic::doc(key)),
            ..Default::default()
        }
    });
    told.collect()
}
