//! The configs of a topic: what holds and why, and changes to them (KIP-226, KIP-339). Blocking.

use super::admin::outcome;
use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::{ErrorCode, Str};

/// The protocol's number for configs of topics.
const TOPIC: i8 = 2;
/// … and for the two changes that are made here.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// One config of a topic, as the broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None`: the broker keeps it to itself.
    pub value: Option<String>,
    pub source: ConfigSource,
    /// What it does, if that was asked for and the broker tells.
    pub documentation: Option<String>,
}

/// Where the value of a config comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefault,
    BrokerFile,
    Default,
    /// A source that this client does not know.
    Other(i8),
}

impl ConfigSource {
    /// One word for it, stable.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::Topic => "topic",
            ConfigSource::DynamicBroker => "dynamic-broker",
            ConfigSource::DynamicDefault => "dynamic-default",
            ConfigSource::BrokerFile => "broker",
            ConfigSource::Default => "default",
            ConfigSource::Other(_) => "other",
        }
    }

    fn told(code: i8) -> ConfigSource {
        match code {
            1 => ConfigSource::Topic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefault,
            4 => ConfigSource::BrokerFile,
            5 => ConfigSource::Default,
            other => ConfigSource::Other(other),
        }
    }
}

/// A new value, or none: back to what the broker has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub key: String,
    pub value: Option<String>,
}

/// The configs of these keys, or all, as the broker orders them. Keys that it does not know are left out.
pub fn topic_configs(
    cluster: &mut Cluster,
    topic: &str,
    keys: &[String],
    documentation: bool,
) -> Result<Vec<ConfigEntry>, ClientError> {
    let keys: Vec<Str> = keys.iter().map(|key| Str::from(key.as_str())).collect();
    let reply = cluster.retrying(|cluster| {
        let resource = DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.into(),
            configuration_keys: Some(keys.clone()).filter(|keys| !keys.is_empty()),
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            include_documentation: documentation,
            ..Default::default()
        };
        match cluster.call_seed(request.into())? {
            Response::DescribeConfigs(reply) => Ok(reply),
            other => Err(unasked("the broker", &other)),
        }
    })?;
    let mut entries = Vec::new();
    let mut results = Vec::new();
    for result in reply.results {
        results.push((result.error_code, result.error_message));
        entries.extend(result.configs.into_iter().map(entry));
    }
    of_topic(topic, "configs are not told", results)?;
    Ok(entries)
}

/// Changes configs of a topic, all or none of them. `dry_run` has them checked only.
pub fn alter_topic_configs(
    cluster: &mut Cluster,
    topic: &str,
    changes: &[ConfigChange],
    dry_run: bool,
) -> Result<(), ClientError> {
    let change = |change: &ConfigChange| AlterableConfig {
        name: change.key.as_str().into(),
        config_operation: if change.value.is_some() { SET } else { DELETE },
        value: change.value.as_deref().map(Str::from),
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.into(),
        configs: changes.iter().map(change).collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: dry_run };
    let reply = match cluster.call_controller(request)? {
        Response::IncrementalAlterConfigs(reply) => reply,
        other => return Err(unasked("the controller", &other)),
    };
    let results = reply.responses.into_iter().map(|result| (result.error_code, result.error_message));
    of_topic(topic, "configs were not changed", results.collect())
}

fn of_topic(topic: &str, what: &str, results: Vec<(ErrorCode, Option<Str>)>) -> Result<(), ClientError> {
    if results.iter().any(|(code, _)| *code == ErrorCode::UnknownTopicOrPartition) {
        return Err(ClientError::NoTopic { topic: topic.to_owned() });
    }
    outcome(&format!("topic \"{topic}\": its {what}"), results.into_iter())
}

fn entry(told: DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: told.name.to_string(),
        value: told.value.map(|value| value.to_string()),
        source: ConfigSource::told(told.config_source),
        documentation: told.documentation.map(|text| text.to_string()),
    }
}
