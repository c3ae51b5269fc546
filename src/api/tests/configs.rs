//! The APIs of configs: what is set is described, acts, and comes back after a change of its mind; with Kafka's words.

use std::sync::{Mutex, MutexGuard};

use shards::catalog::LoggerChange;
use tracing::level_filters::LevelFilter;

use super::*;
use crate::api::Logger;
use crate::wire::Str;
use crate::wire::messages::alter_configs::{self, AlterConfigsRequest};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
};
use crate::wire::messages::list_config_resources::ListConfigResourcesRequest;

const SET: i8 = 0;
const DELETE: i8 = 1;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;

async fn alter(
    client: &mut Client,
    kind: i8,
    name: &str,
    edits: &[(&str, i8, Option<&str>)],
) -> AlterConfigsResourceResponse {
    let configs = edits.iter().map(|(name, config_operation, value)| AlterableConfig {
        name: (*name).into(),
        config_operation: *config_operation,
        value: value.map(Into::into),
    });
    let resource = AlterConfigsResource { resource_type: kind, resource_name: name.into(), configs: configs.collect() };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    ask!(client, IncrementalAlterConfigs, request, 1).responses.remove(0)
}

async fn describe(client: &mut Client, kind: i8, name: &str, keys: &[&str]) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: Some(keys.iter().map(|&key| key.into()).collect()),
    };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
    ask!(client, DescribeConfigs, request, 4).results.remove(0)
}

/// Value, source and synonyms of one config.
fn told(config: &DescribeConfigsResourceResult) -> (Option<&str>, i8, Vec<(&str, i8)>) {
    let synonyms = config.synonyms.iter().map(|synonym| (synonym.name.as_str(), synonym.source));
    (config.value.as_deref(), config.config_source, synonyms.collect())
}

fn refused(code: ErrorCode, message: Option<&str>) -> (ErrorCode, Option<&str>) {
    (code, message)
}

#[test]
fn what_is_set_for_a_topic_is_described_with_its_sources_and_acts() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 2).await, ErrorCode::None);
        let set = [("max.message.bytes", SET, Some(" 10 ")), ("cleanup.policy", SET, Some(" delete, delete "))];
        assert_eq!(alter(&mut client, TOPIC, "t", &set).await.error_code, ErrorCode::None);
        let keys = ["max.message.bytes", "cleanup.policy", "retention.ms", "no.such.key"];
        let described = describe(&mut client, TOPIC, "t", &keys).await;
        assert_eq!((described.error_code, described.error_message.as_deref()), (ErrorCode::None, Some("")));
        let configs: Vec<_> = described.configs.iter().map(told).collect();
        let expected = [
            (Some("delete,delete"), 1, vec![("cleanup.policy", 1), ("log.cleanup.policy", 5)]),
            (Some("10"), 1, vec![("max.message.bytes", 1), ("message.max.bytes", 5)]),
            (Some("604800000"), 5, vec![]),
        ];
        assert_eq!(configs, expected);
        assert_eq!(described.configs.iter().map(|config| config.config_type).collect::<Vec<_>>(), [7, 3, 5]);
        let told = produce(&mut client, "t", vec![(0, batch(&["a"]))]).await;
        assert_eq!(told[0].error_code, ErrorCode::MessageTooLarge);
        assert_eq!(describe(&mut client, TOPIC, "t", &[]).await.configs.len(), 33, "all but the internal one");
    });
}

#[test]
fn a_config_that_does_nothing_says_so() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        for config in describe(&mut client, TOPIC, "t", &[]).await.configs {
            let key = shards::catalog::config::config_key(&config.name).expect("a topic config");
            let doc = config.documentation.expect("asked for");
            assert_eq!(doc.contains("does not act on it"), !key.acted_on, "{}", config.name);
        }
    });
}

#[test]
fn a_brokers_setting_reaches_topics_at_once_and_lies_over_the_clusters() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 4).await, ErrorCode::None);
        for (broker, bytes) in [("", "2000"), ("1", "10")] {
            let set = [("message.max.bytes", SET, Some(bytes))];
            assert_eq!(alter(&mut client, BROKER, broker, &set).await.error_code, ErrorCode::None);
        }
        let all = (0..4).map(|index| (index, batch(&["a"]))).collect::<Vec<_>>();
        for part in produce(&mut client, "t", all.clone()).await {
            assert_eq!(part.error_code, ErrorCode::MessageTooLarge, "on every core");
        }
        let of_broker = describe(&mut client, BROKER, "1", &["message.max.bytes"]).await.configs;
        let layers = vec![("message.max.bytes", 2), ("message.max.bytes", 3), ("message.max.bytes", 5)];
        assert_eq!(told(&of_broker[0]), (Some("10"), 2, layers.clone()));
        assert!(!of_broker[0].read_only);
        let of_cluster = describe(&mut client, BROKER, "", &[]).await.configs;
        assert_eq!(
            of_cluster.iter().map(told).collect::<Vec<_>>(),
            [(Some("2000"), 3, vec![("message.max.bytes", 3)])]
        );
        let of_topic = describe(&mut client, TOPIC, "t", &["max.message.bytes"]).await.configs;
        assert_eq!(told(&of_topic[0]), (Some("10"), 2, layers));
        let undo = [("message.max.bytes", DELETE, None)];
        assert_eq!(alter(&mut client, BROKER, "1", &undo).await.error_code, ErrorCode::None);
        assert!(produce(&mut client, "t", all).await.iter().all(|part| part.error_code == ErrorCode::None));
    });
}

#[test]
fn the_settings_of_the_broker_are_told_as_they_act() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let all = describe(&mut client, BROKER, "1", &[]).await.configs;
        assert!(all.windows(2).all(|pair| pair[0].name.as_str() < pair[1].name.as_str()), "each once");
        let find = |name: &str| all.iter().find(|config| config.name.as_str() == name).expect("a setting");
        assert_eq!(told(find("num.partitions")), (Some("1"), 5, vec![("num.partitions", 5)]));
        assert!(find("num.partitions").read_only);
        assert_eq!(told(find("log.retention.hours")), (Some("168"), 5, vec![("log.retention.hours", 5)]));
        assert_eq!((find("log.retention.hours").config_type, find("log.retention.hours").read_only), (3, true));
        assert_eq!(told(find("log.retention.ms")), (None, 5, vec![]));
        assert_eq!(told(find("log.flush.interval.messages")).0, Some("1"), "our own default");
        let logger = describe(&mut client, 8, "1", &[]).await.configs;
        assert_eq!((logger[0].name.as_str(), told(&logger[0])), ("root", (Some("INFO"), 6, vec![])));
    });
}

/// A log of one's own: those of tests that run beside this one share the process's.
#[derive(Debug, Default)]
pub(super) struct TestLog(Mutex<Option<LevelFilter>>);

impl TestLog {
    fn held(&self) -> MutexGuard<'_, Option<LevelFilter>> {
        self.0.lock().expect("nobody panicked with it")
    }
}

impl Logger for TestLog {
    fn level(&self) -> Str {
        self.held().map_or_else(|| "INFO".into(), |level| level.to_string().to_ascii_uppercase().into())
    }

    fn change(&self, change: LoggerChange) -> Result<(), String> {
        *self.held() = match change {
            LoggerChange::Set(level) => Some(level),
            LoggerChange::Unset => None,
        };
        Ok(())
    }
}

#[test]
fn the_level_of_the_log_is_changed_by_its_one_logger_and_told_as_it_is() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let cases = [
            (("root", SET, Some("DEBUG")), ErrorCode::None, "DEBUG"),
            (("root", SET, Some("debug")), ErrorCode::InvalidConfig, "DEBUG"),
            (("a.b", SET, Some("WARN")), ErrorCode::InvalidConfig, "DEBUG"),
            (("root", 2, Some("WARN")), ErrorCode::InvalidRequest, "DEBUG"),
            (("root", 9, Some("WARN")), ErrorCode::InvalidRequest, "DEBUG"),
            (("root", SET, Some("FATAL")), ErrorCode::None, "ERROR"),
            (("root", DELETE, None), ErrorCode::None, "INFO"),
        ];
        for (edit, code, level) in cases {
            assert_eq!(alter(&mut client, LOGGER, "1", &[edit]).await.error_code, code, "{edit:?}");
            let told = describe(&mut client, LOGGER, "1", &[]).await.configs;
            assert_eq!(told[0].value.as_deref(), Some(level), "after {edit:?}");
        }
        let one = AlterableConfig { name: "root".into(), config_operation: SET, value: Some("WARN".into()) };
        let resource = AlterConfigsResource { resource_type: LOGGER, resource_name: "1".into(), configs: vec![one] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
        let reply = ask!(client, IncrementalAlterConfigs, request, 1).responses.remove(0);
        assert_eq!(reply.error_code, ErrorCode::None);
        let told = describe(&mut client, LOGGER, "1", &["root"]).await.configs;
        assert_eq!(told[0].value.as_deref(), Some("INFO"), "it was only checked");
    });
}

/// Of Kafka's settings those that clients, UIs and admin tools read, one a line.
const READ_BY_CLIENTS: &str = include_str!("read_by_clients.txt");

#[test]
fn what_clients_and_tools_read_of_a_broker_is_described() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let all = describe(&mut client, BROKER, "1", &[]).await.configs;
        let is_told = |name: &str| all.iter().any(|config| config.name.as_str() == name);
        for name in READ_BY_CLIENTS.lines() {
            // There are neither transactions nor share groups that such a value could act on.
            let is_missing = ["transaction", "share."].iter().any(|kind| name.starts_with(kind));
            assert_eq!(is_told(name), !is_missing, "{name}");
        }
        let find = |name: &str| all.iter().find(|config| config.name.as_str() == name).expect("told");
        for name in ["group.consumer.assignors", "group.coordinator.rebalance.protocols", "log.cleaner.threads"] {
            assert!(find(name).read_only, "{name}");
        }
        assert_eq!(find("offsets.topic.replication.factor").config_type, 4);
    });
}

#[test]
fn checked_only_means_nothing_changes() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let replace = |value: &str, validate_only| AlterConfigsRequest {
            resources: vec![alter_configs::AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: "t".into(),
                configs: vec![alter_configs::AlterableConfig {
                    name: "retention.ms".into(),
                    value: Some(value.into()),
                }],
            }],
            validate_only,
        };
        for (value, code) in [("5", ErrorCode::None), ("x", ErrorCode::InvalidConfig)] {
            let reply = ask!(client, AlterConfigs, replace(value, true), 2).responses.remove(0);
            assert_eq!(reply.error_code, code);
        }
        let retention = describe(&mut client, TOPIC, "t", &["retention.ms"]).await.configs;
        assert_eq!(told(&retention[0]).1, 5);
        assert_eq!(ask!(client, AlterConfigs, replace("5", false), 2).responses[0].error_code, ErrorCode::None);
        let retention = describe(&mut client, TOPIC, "t", &["retention.ms"]).await.configs;
        assert_eq!(told(&retention[0]), (Some("5"), 1, vec![("retention.ms", 1)]));
    });
}

#[test]
fn refusals_of_a_description_are_kafkas() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let cases = [
            (TOPIC, "none", ErrorCode::UnknownTopicOrPartition, ""),
            (TOPIC, "", ErrorCode::InvalidTopicException, "Topic name is invalid: the empty string is not allowed"),
            (
                BROKER,
                "2",
                ErrorCode::InvalidRequest,
                "Unexpected broker id, expected 1 or empty string, but received 2",
            ),
            (BROKER, "x", ErrorCode::InvalidRequest, "Broker id must be an integer, but it is: x"),
            (8, "2", ErrorCode::InvalidRequest, "Unexpected broker id, expected 1 but received 2"),
            (8, "", ErrorCode::InvalidRequest, "Broker id must not be empty"),
            (16, "", ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty"),
            (32, "", ErrorCode::InvalidRequest, "Group name must not be empty"),
            (3, "t", ErrorCode::InvalidRequest, super::super::describe_configs::MALFORMED),
        ];
        for (kind, name, code, message) in cases {
            let described = describe(&mut client, kind, name, &[]).await;
            let told = (described.error_code, described.error_message.as_deref());
            assert_eq!(told, refused(code, Some(message)), "{kind} {name:?}");
            assert!(described.configs.is_empty());
        }
    });
}

#[test]
fn refusals_of_a_change_are_kafkas() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let fixed = "Cannot update these configs dynamically: [node.id]";
        let cases = [
            (BROKER, "1", ("node.id", SET, Some("2")), ErrorCode::InvalidRequest, Some(fixed)),
            (TOPIC, "t", ("retention.ms", 9, Some("2")), ErrorCode::UnknownServerError, None),
            (32, "g", ("x", SET, Some("2")), ErrorCode::InvalidConfig, Some("Unknown group config name: x")),
            (8, "1", ("a.b", SET, Some("INFO")), ErrorCode::InvalidConfig, Some("Logger a.b does not exist!")),
        ];
        for (kind, name, edit, code, message) in cases {
            let reply = alter(&mut client, kind, name, &[edit]).await;
            assert_eq!((reply.error_code, reply.error_message.as_deref()), refused(code, message));
            assert_eq!((reply.resource_type, reply.resource_name.as_str()), (kind, name));
        }
    });
}

#[test]
fn what_can_be_described_is_listed_by_type() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "b", 1).await, ErrorCode::None);
        assert_eq!(create(&mut client, "a", 1).await, ErrorCode::None);
        let mut cases = vec![
            (vec![], 1, ErrorCode::None, vec![(8, "1"), (BROKER, "1"), (TOPIC, "a"), (TOPIC, "b")]),
            (vec![TOPIC, TOPIC], 1, ErrorCode::None, vec![(TOPIC, "a"), (TOPIC, "b")]),
            (vec![32, 16], 1, ErrorCode::None, vec![]),
            (vec![TOPIC, 5], 1, ErrorCode::UnsupportedVersion, vec![]),
            (vec![], 0, ErrorCode::None, vec![]),
        ];
        for (resource_types, version, code, expected) in cases.drain(..) {
            let reply = ask!(client, ListConfigResources, ListConfigResourcesRequest { resource_types }, version);
            let listed = reply.config_resources.iter();
            let listed: Vec<_> = listed.map(|r| (r.resource_type, r.resource_name.as_str())).collect();
            assert_eq!((reply.error_code, listed), (code, expected));
        }
    });
}
