//! The broker's settings as DescribeConfigs tells them: those of the table of keys, and what tools ask of any Kafka broker
//! though nobody sets it here. At start only. Invariant: sizes are told in bytes, whatever unit they were given in.

use std::sync::Arc;

use shards::catalog::config::{ConfigKey, Kind as TopicKind, TOPIC_CONFIGS};

use crate::api::{BrokerConfig, ValueType};
use crate::config::Config;
use crate::config::keys::{Default, KEYS, Key, Kind};

/// Sorted by name.
pub(super) fn broker_configs(config: &Config, node_id: i32) -> Arc<[BrokerConfig]> {
    let fixed = |name, value: String, value_type, doc| BrokerConfig {
        name,
        value: Some(value.clone()),
        default: Some(value),
        is_default: true,
        value_type,
        doc,
    };
    let data_dir = config.text("data_dir").unwrap_or_default().to_owned();
    let mut configs: Vec<BrokerConfig> = KEYS.iter().map(|key| described(config, key)).collect();
    configs.extend([
        fixed("broker.id", node_id.to_string(), ValueType::Int, "The same as node.id."),
        fixed("log.dirs", data_dir, ValueType::List, "Directory of everything that is kept; set by data_dir."),
        fixed("process.roles", "broker,controller".into(), ValueType::List, "This process is both."),
        fixed(
            "unclean.leader.election.enable",
            "false".into(),
            ValueType::Boolean,
            "A replica that is behind never becomes the leader.",
        ),
    ]);
    configs.sort_by_key(|config| config.name);
    configs.into()
}

fn described(config: &Config, key: &'static Key) -> BrokerConfig {
    let topic = TOPIC_CONFIGS.iter().find(|topic| topic.broker_settings().any(|name| name == key.name));
    let default = match key.default {
        Default::Is(text) => Some(text.to_owned()),
        Default::Computed(_) => {
            topic.and_then(ConfigKey::default_setting).filter(|(name, _)| *name == key.name).map(|(_, value)| value)
        }
    };
    let given = match key.kind {
        Kind::Bytes { .. } => config.given(key.name).map(|_| config.bytes(key.name).to_string()),
        _ => config.given(key.name).map(str::to_owned),
    };
    BrokerConfig {
        name: key.name,
        is_default: given.is_none(),
        value: given.or_else(|| default.clone()),
        default,
        value_type: value_type(key, topic),
        doc: topic.filter(|_| key.doc.is_empty()).map_or(key.doc, |topic| topic.doc),
    }
}

fn value_type(key: &Key, topic: Option<&ConfigKey>) -> ValueType {
    match key.kind {
        Kind::Int { max, .. } if max <= i64::from(i32::MAX) => ValueType::Int,
        Kind::Int { .. } | Kind::Bytes { .. } => ValueType::Long,
        Kind::Bool => ValueType::Boolean,
        Kind::Listeners | Kind::IpCounts | Kind::Cores | Kind::CpuList => ValueType::List,
        Kind::Text | Kind::Path | Kind::OneOf(_) => ValueType::String,
        Kind::TopicDefault => match topic.map(|topic| topic.kind) {
            Some(TopicKind::Int { .. } | TopicKind::GzipLevel) => ValueType::Int,
            Some(TopicKind::Long { .. }) => ValueType::Long,
            Some(TopicKind::Ratio) => ValueType::Double,
            Some(TopicKind::Bool) => ValueType::Boolean,
            Some(TopicKind::ListOf(_) | TopicKind::ThrottledReplicas) => ValueType::List,
            Some(TopicKind::OneOf(_)) | None => ValueType::String,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flag;

    fn find<'a>(configs: &'a [BrokerConfig], name: &str) -> &'a BrokerConfig {
        configs.iter().find(|config| config.name == name).expect("a config of every broker")
    }

    #[test]
    fn what_is_set_is_told_in_bytes_and_the_rest_by_its_default() {
        let set = ["socket.request.max.bytes=1 MiB", "log.retention.ms=5"].map(|text| Flag::set(text).expect("a flag"));
        let config = Config::load(None, [], &set).expect("good settings");
        let configs = broker_configs(&config, 3);
        let size = find(&configs, "socket.request.max.bytes");
        assert_eq!((size.value.as_deref(), size.is_default), (Some("1048576"), false));
        assert_eq!(find(&configs, "log.retention.ms").value.as_deref(), Some("5"));
        let hours = find(&configs, "log.retention.hours");
        assert_eq!((hours.value.as_deref(), hours.is_default), (Some("168"), true));
        assert_eq!(find(&configs, "broker.id").value.as_deref(), Some("3"));
        assert!(configs.is_sorted_by_key(|config| config.name), "each once");
        assert!(configs.iter().all(|config| !config.doc.is_empty()));
    }
}
