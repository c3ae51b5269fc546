//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources: topics, brokers, groups and what there
//! is not; every operation; keys and values that are wrong.

use corelog::wire::Str;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::list_config_resources::ListConfigResourcesRequest;
use corelog::wire::messages::{alter_configs, incremental_alter_configs};

use crate::case::{Case, case};
use crate::world::World;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn describe(resource_type: i8, resource_name: Str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let configuration_keys = keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect());
    let resources = vec![DescribeConfigsResource { resource_type, resource_name, configuration_keys }];
    DescribeConfigsRequest { resources, ..Default::default() }
}

/// What a topic's own configs are now.
fn shown(w: &mut World, topic: &Str, keys: &[&str]) {
    w.ask(describe(TOPIC, topic.clone(), Some(keys)), 4);
}

fn replace(
    resource_type: i8,
    resource_name: Str,
    configs: &[(&str, Option<&str>)],
) -> alter_configs::AlterConfigsRequest {
    let config = |(name, value): &(&str, Option<&str>)| alter_configs::AlterableConfig {
        name: Str::from(*name),
        value: value.map(Str::from),
    };
    let configs = configs.iter().map(config).collect();
    let resources = vec![alter_configs::AlterConfigsResource { resource_type, resource_name, configs }];
    alter_configs::AlterConfigsRequest { resources, validate_only: false }
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn change(
    resource_type: i8,
    resource_name: Str,
    configs: &[(&str, i8, Option<&str>)],
) -> incremental_alter_configs::IncrementalAlterConfigsRequest {
    let config = |&(name, config_operation, value): &(&str, i8, Option<&str>)| {
        let value = value.map(Str::from);
        incremental_alter_configs::AlterableConfig { name: name.into(), config_operation, value }
    };
    let configs = configs.iter().map(config).collect();
    let resources = vec![incremental_alter_configs::AlterConfigsResource { resource_type, resource_name, configs }];
    incremental_alter_configs::IncrementalAlterConfigsRequest { resources, validate_only: false }
}

pub fn cases() -> Vec<Case> {
    let mut cases = of_describe();
    cases.extend(of_replace());
    cases.extend(of_change());
    cases.extend(of_metrics());
    cases.extend(of_list());
    cases
}

fn of_describe() -> Vec<Case> {
    vec![
        case("describe: all configs of a topic", 1..=4, |w, v| {
            let topic = w.topic_with("a", 1, &[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
            w.ask(describe(TOPIC, topic, None), v);
        }),
        case("describe: with synonyms and documentation", 3..=4, |w, v| {
            let topic = w.topic_with("a", 1, &[("retention.ms", "1000")]);
            let asked = describe(TOPIC, topic, Some(&["retention.ms", "cleanup.policy", "min.insync.replicas"]));
            w.ask(DescribeConfigsRequest { include_synonyms: true, include_documentation: true, ..asked }, v);
        }),
        case("describe: some keys, one unknown, one twice", 1..=4, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(describe(TOPIC, topic.clone(), Some(&["segment.ms", "no.such.key", "segment.ms"])), v);
            w.ask(describe(TOPIC, topic, Some(&[])), v);
        }),
        case("describe: topics that there are not", 1..=4, |w, v| {
            let name = w.name("unknown");
            w.ask(describe(TOPIC, name, None), v);
            for name in ["", "a b"] {
                w.ask(describe(TOPIC, name.into(), None), v);
            }
        }),
        case("describe: brokers that there are not", 1..=4, |w, v| {
            for name in ["9", "x", "-1"] {
                w.ask(describe(BROKER, name.into(), Some(&["num.partitions"])), v);
            }
        }),
        case("describe: the broker and the cluster's default", 1..=4, |w, v| {
            let keys = ["message.max.bytes", "auto.create.topics.enable", "no.such.key"];
            w.ask(describe(BROKER, "1".into(), Some(&keys)), v);
            w.ask(describe(BROKER, "".into(), Some(&keys)), v);
        }),
        case("describe: other resources", 1..=4, |w, v| {
            for (kind, name) in
                [(LOGGER, "9"), (METRICS, "none"), (METRICS, ""), (GROUP, ""), (0, "x"), (3, "x"), (64, "x")]
            {
                w.note(&format!("type {kind} name {name:?}"));
                w.ask(describe(kind, name.into(), Some(&[])), v);
            }
        }),
        case("describe: the root of the loggers", 1..=4, |w, v| {
            w.ask(describe(LOGGER, "1".into(), Some(&["root"])), v);
        }),
        case("describe: loggers other than the root", 1..=4, |w, v| {
            w.ask(describe(LOGGER, "1".into(), Some(&["kafka.log.LogCleaner", "no.such.logger"])), v);
        }),
        case("describe: nothing, and one resource twice", 1..=4, |w, v| {
            w.ask(DescribeConfigsRequest::default(), v);
            let topic = w.topic("a", 1);
            let mut twice = describe(TOPIC, topic, Some(&["segment.ms"]));
            twice.resources.push(twice.resources[0].clone());
            w.ask(twice, v);
        }),
    ]
}

fn of_replace() -> Vec<Case> {
    vec![
        case("replace: what is not named goes back to its default", 0..=2, |w, v| {
            let topic = w.topic_with("a", 1, &[("retention.ms", "1000"), ("segment.ms", "2000")]);
            w.ask(replace(TOPIC, topic.clone(), &[("retention.ms", Some("3000"))]), v);
            w.config_settled(TOPIC, &topic, "retention.ms", "3000");
            shown(w, &topic, &["retention.ms", "segment.ms"]);
        }),
        case("replace: only validated", 0..=2, |w, v| {
            let topic = w.topic("a", 1);
            for value in ["3000", "x"] {
                let asked = replace(TOPIC, topic.clone(), &[("retention.ms", Some(value))]);
                w.ask(alter_configs::AlterConfigsRequest { validate_only: true, ..asked }, v);
            }
            shown(w, &topic, &["retention.ms"]);
        }),
        case("replace: keys and values that are wrong", 0..=2, |w, v| {
            let topic = w.topic("a", 1);
            for (key, value) in [("no.such.key", Some("1")), ("retention.ms", Some("x")), ("retention.ms", None)] {
                w.ask(replace(TOPIC, topic.clone(), &[(key, value)]), v);
            }
            w.ask(replace(TOPIC, topic, &[("segment.ms", Some("1")), ("segment.ms", Some("2"))]), v);
        }),
        case("replace: resources that there are not", 0..=2, |w, v| {
            let name = w.name("unknown");
            w.ask(replace(TOPIC, name.clone(), &[]), v);
            for topic in [name, "".into(), "a b".into()] {
                w.ask(replace(TOPIC, topic, &[("retention.ms", Some("x"))]), v);
            }
            for (kind, name) in
                [(TOPIC, ""), (TOPIC, "a b"), (BROKER, "9"), (BROKER, "x"), (0, "x"), (3, "x"), (64, "x")]
            {
                w.note(&format!("type {kind} name {name:?}"));
                w.ask(replace(kind, name.into(), &[]), v);
            }
        }),
        // One resource twice is not asked: Kafka's handler dies of it and never answers.
        case("replace: nothing", 0..=2, |w, v| {
            w.ask(alter_configs::AlterConfigsRequest::default(), v);
        }),
    ]
}

fn of_change() -> Vec<Case> {
    vec![
        case("change: set, delete, append and subtract", 0..=1, |w, v| {
            let topic = w.topic_with("a", 1, &[("segment.ms", "2000")]);
            for (key, operation, value) in [
                ("retention.ms", SET, Some("3000")),
                ("segment.ms", DELETE, None),
                ("segment.ms", DELETE, None),
                ("cleanup.policy", APPEND, Some("compact")),
                ("cleanup.policy", APPEND, Some("compact")),
                ("cleanup.policy", SUBTRACT, Some("delete")),
                ("cleanup.policy", SUBTRACT, Some("delete")),
            ] {
                w.ask(change(TOPIC, topic.clone(), &[(key, operation, value)]), v);
            }
            w.config_settled(TOPIC, &topic, "cleanup.policy", "compact");
            shown(w, &topic, &["retention.ms", "segment.ms", "cleanup.policy"]);
        }),
        case("change: lists with commas at the end and in the front", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            for (operation, value) in [
                (APPEND, "compact,"),
                (APPEND, ","),
                (APPEND, ""),
                (APPEND, ",compact"),
                (SUBTRACT, "delete,,"),
                (SUBTRACT, ","),
                (SUBTRACT, ""),
            ] {
                w.note(&format!("{operation} {value:?}"));
                w.ask(change(TOPIC, topic.clone(), &[("cleanup.policy", operation, Some(value))]), v);
            }
            w.config_settled(TOPIC, &topic, "cleanup.policy", "compact");
            shown(w, &topic, &["cleanup.policy"]);
        }),
        case("change: operations that do not fit", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            for (key, operation, value) in [
                ("retention.ms", SET, None),
                ("retention.ms", APPEND, Some("1")),
                ("retention.ms", SUBTRACT, Some("1")),
                ("cleanup.policy", APPEND, None),
                ("cleanup.policy", SUBTRACT, None),
                ("cleanup.policy", APPEND, Some("keep")),
                ("cleanup.policy", SUBTRACT, Some("keep")),
                ("cleanup.policy", SUBTRACT, Some("delete")),
                ("no.such.key", SET, Some("1")),
                ("no.such.key", DELETE, None),
                ("no.such.key", APPEND, Some("1")),
                ("", SET, Some("1")),
                ("retention.ms", SET, Some("x")),
                ("retention.ms", SET, Some("-2")),
                ("retention.ms", DELETE, Some("7")),
                ("retention.ms", 4, Some("1")),
                ("retention.ms", -1, Some("1")),
            ] {
                w.note(&format!("{key} {operation} {value:?}"));
                w.ask(change(TOPIC, topic.clone(), &[(key, operation, value)]), v);
            }
        }),
        case("change: an operation that there is not, of one of several", 0..=1, |w, v| {
            let (good, bad) = (w.topic("a", 1), w.topic("b", 1));
            let both = |first: incremental_alter_configs::IncrementalAlterConfigsRequest,
                        second: incremental_alter_configs::IncrementalAlterConfigsRequest| {
                let resources = [first.resources, second.resources].concat();
                incremental_alter_configs::IncrementalAlterConfigsRequest { resources, validate_only: false }
            };
            let set = |topic: &Str, value| change(TOPIC, topic.clone(), &[("segment.ms", SET, Some(value))]);
            let odd = || change(TOPIC, bad.clone(), &[("segment.ms", 9, Some("2000"))]);
            for other in [
                set(&good, "2000"),
                set(&good, "x"),
                set(&w.name("unknown"), "2000"),
                change(TOPIC, good.clone(), &[("segment.ms", SET, None)]),
                change(BROKER, "9".into(), &[]),
                change(GROUP, "g".into(), &[("consumer.session.timeout.ms", SET, Some("46000"))]),
                change(3, "x".into(), &[]),
            ] {
                w.ask(both(other.clone(), odd()), v);
                w.ask(both(odd(), other), v);
            }
            shown(w, &good, &["segment.ms"]);
            w.ask(change(TOPIC, bad.clone(), &[("segment.ms", SET, Some("2000")), ("retention.ms", 9, Some("1"))]), v);
            shown(w, &bad, &["segment.ms"]);
            let of_broker = change(BROKER, "1".into(), &[("log.retention.ms", 9, Some("1"))]);
            w.ask(both(set(&good, "3000"), of_broker), v);
            w.config_settled(TOPIC, &good, "segment.ms", "3000");
            w.ask(change(GROUP, "g".into(), &[("consumer.session.timeout.ms", 9, Some("46000"))]), v);
        }),
        case("change: a key twice, a resource twice, nothing", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            let twice = [("segment.ms", SET, Some("1")), ("segment.ms", DELETE, None)];
            w.ask(change(TOPIC, topic.clone(), &twice), v);
            let mut twice = change(TOPIC, topic.clone(), &[("segment.ms", SET, Some("2000"))]);
            twice.resources.push(twice.resources[0].clone());
            w.ask(twice, v);
            w.ask(change(TOPIC, topic, &[]), v);
            w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest::default(), v);
        }),
        case("change: only validated", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            for value in ["3000", "x"] {
                let asked = change(TOPIC, topic.clone(), &[("retention.ms", SET, Some(value))]);
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
            shown(w, &topic, &["retention.ms"]);
        }),
        case("change: good and bad keys of one topic", 0..=1, |w, v| {
            let topic = w.topic("a", 1);
            w.ask(
                change(TOPIC, topic.clone(), &[("segment.ms", SET, Some("2000")), ("retention.ms", SET, Some("x"))]),
                v,
            );
            shown(w, &topic, &["retention.ms", "segment.ms"]);
        }),
        case("change: resources that there are not", 0..=1, |w, v| {
            let name = w.name("unknown");
            w.ask(change(TOPIC, name.clone(), &[]), v);
            for topic in [name, "".into(), "a b".into()] {
                w.ask(change(TOPIC, topic.clone(), &[("retention.ms", SET, Some("x"))]), v);
                w.ask(change(TOPIC, topic, &[("retention.ms", APPEND, Some("1"))]), v);
            }
            for (kind, name) in
                [(TOPIC, ""), (TOPIC, "a b"), (BROKER, "9"), (BROKER, "x"), (0, "x"), (3, "x"), (64, "x")]
            {
                w.note(&format!("type {kind} name {name:?}"));
                w.ask(change(kind, name.into(), &[]), v);
            }
        }),
        case("change: a broker's settings of compaction", 0..=1, |w, v| {
            for (key, value) in [
                ("log.cleaner.backoff.ms", "14000"),
                ("log.cleaner.backoff.ms", "x"),
                ("log.cleaner.io.max.bytes.per.second", "1e9"),
                ("log.cleaner.io.max.bytes.per.second", "x"),
                ("log.cleaner.enable", "false"),
            ] {
                let asked = change(BROKER, "1".into(), &[(key, SET, Some(value))]);
                w.note(key);
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
        }),
        case("change: loggers that there are not, levels that there are not, other operations", 0..=1, |w, v| {
            for (logger, operation, level) in [
                ("no.such.logger", SET, Some("INFO")),
                ("no.such.logger", DELETE, None),
                ("root", SET, Some("LOUD")),
                ("root", SET, None),
                ("root", APPEND, Some("INFO")),
                ("root", SUBTRACT, Some("INFO")),
            ] {
                let asked = change(LOGGER, "1".into(), &[(logger, operation, level)]);
                w.note(&format!("{logger} {operation} {level:?}"));
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
        }),
        case("change: the root of the loggers, set", 0..=1, |w, v| {
            for level in ["WARN", "INFO"] {
                w.ask(change(LOGGER, "1".into(), &[("root", SET, Some(level))]), v);
                w.ask(describe(LOGGER, "1".into(), Some(&["root"])), 4);
            }
        }),
        case("change: the root of the loggers, FATAL and unset", 0..=1, |w, v| {
            for (operation, level) in [(SET, Some("FATAL")), (DELETE, None), (SET, Some("INFO"))] {
                w.ask(change(LOGGER, "1".into(), &[("root", operation, level)]), v);
                w.ask(describe(LOGGER, "1".into(), Some(&["root"])), 4);
            }
        }),
        case("change: a broker's threads and throttles", 0..=1, |w, v| {
            for (key, value) in [("num.io.threads", "9"), ("leader.replication.throttled.rate", "1000000")] {
                let asked = change(BROKER, "1".into(), &[(key, SET, Some(value))]);
                w.note(key);
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
        }),
        case("change: a broker's settings that would let nobody in, or keep nothing", 0..=1, |w, v| {
            let (per_ip, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
            for settings in [
                &[("max.connections", "0")][..],
                &[("max.connections", "1")],
                &[(per_ip, "0")],
                &[(per_ip, "0"), (overrides, "127.0.0.1:10")],
                &[(per_ip, "0"), (overrides, "")],
                &[("log.retention.ms", "0")],
                &[("log.retention.ms", "1")],
            ] {
                let sets: Vec<_> = settings.iter().map(|(key, value)| (*key, SET, Some(*value))).collect();
                for broker in ["", "1"] {
                    let asked = change(BROKER, broker.into(), &sets);
                    w.note(&format!("{broker:?} {settings:?}"));
                    w.ask(
                        incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked },
                        v,
                    );
                }
            }
        }),
        case("change: a broker's settings that are fixed or unknown", 0..=1, |w, v| {
            for (key, value) in [("node.id", "2"), ("no.such.key", "1"), ("log.retention.ms", "x")] {
                let asked = change(BROKER, "1".into(), &[(key, SET, Some(value))]);
                w.note(key);
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
        }),
    ]
}

/// Subscriptions of client metrics are kept for whoever describes them.
fn of_metrics() -> Vec<Case> {
    vec![
        case("metrics: set, described, listed, replaced, deleted", 0..=1, |w, v| {
            let name = w.name("s");
            let set = [
                ("interval.ms", SET, Some("10000")),
                ("metrics", SET, Some("org.apache.kafka.producer.,org.apache.kafka.consumer.")),
                ("match", SET, Some("client_software_name=apache-.*, client_id=a")),
            ];
            w.ask(change(METRICS, name.clone(), &set), v);
            w.config_settled(METRICS, &name, "interval.ms", "10000");
            let described = DescribeConfigsRequest { include_synonyms: true, ..describe(METRICS, name.clone(), None) };
            w.ask(described, 4);
            w.ask(ListConfigResourcesRequest { resource_types: vec![] }, 0);
            w.ask(ListConfigResourcesRequest { resource_types: vec![METRICS] }, 1);
            w.ask(change(METRICS, name.clone(), &[("match", DELETE, None)]), v);
            w.ask(replace(METRICS, name.clone(), &[("interval.ms", Some("20000"))]), v);
            w.config_settled(METRICS, &name, "interval.ms", "20000");
            w.ask(describe(METRICS, name.clone(), None), 4);
            w.ask(replace(METRICS, name.clone(), &[]), v);
            w.config_settled(METRICS, &name, "interval.ms", "300000");
            w.ask(ListConfigResourcesRequest { resource_types: vec![METRICS] }, 1);
        }),
        case("metrics: keys and values that are wrong", 0..=1, |w, v| {
            let name = w.name("s");
            for (key, operation, value) in [
                ("no.such.key", SET, Some("1")),
                ("no.such.key", DELETE, None),
                ("interval.ms", SET, Some("x")),
                ("interval.ms", SET, Some("99")),
                ("interval.ms", SET, Some("3600001")),
                ("interval.ms", SET, Some("")),
                ("interval.ms", APPEND, Some("1")),
                ("metrics", APPEND, Some("a")),
                ("metrics", SUBTRACT, Some("a")),
                ("metrics", SET, Some("a,a")),
                ("metrics", SET, Some("a,")),
                ("match", SET, Some("client_id")),
                ("match", SET, Some("client_id=")),
                ("match", SET, Some("client_id=a=b")),
                ("match", SET, Some("client=a")),
                ("match", SET, Some("client_id=[")),
                ("match", SET, Some("client_id=a,client_id=b")),
                ("match", SET, None),
            ] {
                w.note(&format!("{key} {operation} {value:?}"));
                let asked = change(METRICS, name.clone(), &[(key, operation, value)]);
                w.ask(incremental_alter_configs::IncrementalAlterConfigsRequest { validate_only: true, ..asked }, v);
            }
            w.ask(change(METRICS, "".into(), &[("interval.ms", SET, Some("10000"))]), v);
            w.ask(change(METRICS, "a b".into(), &[("interval.ms", SET, Some("99"))]), v);
            w.ask(change(METRICS, name, &[]), v);
        }),
    ]
}

fn of_list() -> Vec<Case> {
    vec![
        case("list: client metrics only", 0..=0, |w, v| {
            w.ask(ListConfigResourcesRequest::default(), v);
        }),
        case("list: topics, brokers, groups, metrics", 1..=1, |w, v| {
            w.topic("a", 1);
            for kinds in [&[][..], &[TOPIC], &[BROKER], &[METRICS], &[GROUP], &[TOPIC, BROKER], &[TOPIC, TOPIC]] {
                w.ask(ListConfigResourcesRequest { resource_types: kinds.to_vec() }, v);
            }
        }),
        case("list: types that there are not", 1..=1, |w, v| {
            for kinds in [[0], [3], [64], [-1], [LOGGER]] {
                w.ask(ListConfigResourcesRequest { resource_types: kinds.to_vec() }, v);
            }
        }),
    ]
}
