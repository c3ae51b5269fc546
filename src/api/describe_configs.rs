//! DescribeConfigs (key 32): configs of topics and of this broker, with where each value comes from. Connection's core;
//! reads the applied catalog. Invariant: one result for each resource, in the request's order.

use std::future::Future;

use shards::catalog::check_topic_name;
use shards::catalog::config::{ConfigEntry, ConfigKey, ConfigSource, Kind, config_key};

use super::RequestContext;
use super::broker_configs::{BrokerConfig, ValueType};
use super::config_resources::{self, ResourceType};
use super::create_topics::source_code;
use super::table::Served;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, Str};

/// Sources on the wire, beside those of [`source_code`].
const STATIC_BROKER: i8 = 4;
const DEFAULT: i8 = 5;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeConfigsRequest,
) -> impl Future<Output = Served<DescribeConfigsResponse>> + use<> {
    let describer = Describer { ctx, request: &request };
    let results = request.resources.iter().map(|resource| describer.describe(resource)).collect();
    std::future::ready(DescribeConfigsResponse { results, ..Default::default() }.into())
}

struct Describer<'a> {
    ctx: &'a RequestContext<'a>,
    request: &'a DescribeConfigsRequest,
}

type Described = Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, Str)>;

impl Describer<'_> {
    fn describe(&self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let described = match ResourceType::from_code(resource.resource_type) {
            Some(ResourceType::Topic) => self.topic(&resource.resource_name),
            Some(ResourceType::Broker) => self.broker(&resource.resource_name),
            other => Err((
                ErrorCode::InvalidRequest,
                format!("Unsupported resource type: {}", other.map_or("UNKNOWN", ResourceType::name)).into(),
            )),
        };
        let (error_code, error_message, mut configs) = match described {
            Ok(configs) => (ErrorCode::None, "".into(), configs),
            Err((code, why)) => (code, why, Vec::new()),
        };
        if let Some(keys) = &resource.configuration_keys {
            configs.retain(|config| keys.contains(&config.name));
        }
        DescribeConfigsResult {
            error_code,
            error_message: Some(error_message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.as_str().into(),
            configs,
        }
    }

    fn topic(&self, name: &str) -> Described {
        check_topic_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why.into()))?;
        let catalog = self.ctx.core.shards.catalog();
        let topic = catalog.topic(name).ok_or((ErrorCode::UnknownTopicOrPartition, "".into()))?;
        let entries = catalog.settings().topic_defaults.entries(&topic.overrides);
        Ok(entries.filter_map(|entry| Some(self.topic_config(config_key(entry.name)?, &entry))).collect())
    }

    fn topic_config(&self, key: &ConfigKey, entry: &ConfigEntry<'_>) -> DescribeConfigsResourceResult {
        let mut synonyms = Vec::new();
        if self.request.include_synonyms {
            if entry.source == ConfigSource::Topic {
                synonyms.push(synonym(key.name, entry.value, source_code(ConfigSource::Topic)));
            }
            synonyms.extend(self.settings_behind(key));
        }
        DescribeConfigsResourceResult {
            name: key.name.into(),
            value: entry.value.map(|value| value.trim().into()),
            read_only: false,
            config_source: source_code(entry.source),
            is_sensitive: false,
            synonyms,
            config_type: topic_value_type(key).code(),
            documentation: self.documentation(|| topic_doc(key)),
        }
    }

    /// The broker's settings that give a topic config its default: those that are set, then Kafka's own default.
    fn settings_behind(&self, key: &ConfigKey) -> Vec<DescribeConfigsSynonym> {
        let configs = &self.ctx.core.settings.broker_configs;
        let set = key.broker_settings().filter_map(|name| {
            let found = configs.iter().find(|config| config.name == name && !config.is_default)?;
            Some(synonym(found.name, found.value.as_deref(), STATIC_BROKER))
        });
        let mut behind: Vec<_> = set.collect();
        if let Some((name, value)) = key.default_setting() {
            behind.push(synonym(name, Some(&value), DEFAULT));
        }
        behind
    }

    fn broker(&self, name: &str) -> Described {
        let node_id = self.ctx.core.settings.node_id;
        if name.is_empty() {
            // Cluster-wide defaults: nothing can be set there yet.
            return Ok(Vec::new());
        }
        config_resources::broker_id(name, node_id).map_err(|why| (ErrorCode::InvalidRequest, why.into()))?;
        Ok(self.ctx.core.settings.broker_configs.iter().map(|config| self.broker_config(config)).collect())
    }

    fn broker_config(&self, config: &BrokerConfig) -> DescribeConfigsResourceResult {
        let source = if config.is_default { DEFAULT } else { STATIC_BROKER };
        let mut synonyms = Vec::new();
        if self.request.include_synonyms {
            if let (false, Some(value)) = (config.is_default, &config.value) {
                synonyms.push(synonym(config.name, Some(value), STATIC_BROKER));
            }
            if let Some(default) = &config.default {
                synonyms.push(synonym(config.name, Some(default), DEFAULT));
            }
        }
        DescribeConfigsResourceResult {
            name: config.name.into(),
            value: config.value.as_deref().map(Str::from),
            // Settings of the broker change by its file and a restart.
            read_only: true,
            config_source: source,
            is_sensitive: false,
            synonyms,
            config_type: config.value_type.code(),
            documentation: self.documentation(|| config.doc.to_owned()),
        }
    }

    fn documentation(&self, doc: impl FnOnce() -> String) -> Option<Str> {
        self.request.include_documentation.then(|| doc().into())
    }
}

fn synonym(name: &'static str, value: Option<&str>, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.into(), value: value.map(Str::from), source }
}

fn topic_value_type(key: &ConfigKey) -> ValueType {
    match key.kind {
        Kind::Int { .. } | Kind::GzipLevel => ValueType::Int,
        Kind::Long { .. } => ValueType::Long,
        Kind::Ratio => ValueType::Double,
        Kind::Bool => ValueType::Boolean,
        Kind::OneOf(_) => ValueType::String,
        Kind::ListOf(_) | Kind::ThrottledReplicas => ValueType::List,
    }
}

/// What a config does; said of those, too, that do nothing yet.
fn topic_doc(key: &ConfigKey) -> String {
    if key.acted_on {
        key.doc.to_owned()
    } else {
        format!("{} (Accepted, checked and kept; not acted on yet.)", key.doc)
    }
}

#[cfg(test)]
mod tests {
    use shards::catalog::config::TOPIC_CONFIGS;

    use super::*;

    #[test]
    fn every_topic_config_has_a_type_and_says_whether_it_acts() {
        for key in &TOPIC_CONFIGS {
            assert_ne!(topic_value_type(key).code(), 0);
            assert_eq!(topic_doc(key).contains("not acted on yet"), !key.acted_on, "{}", key.name);
        }
    }
}
