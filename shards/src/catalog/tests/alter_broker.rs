//! Dynamic settings of brokers and of the cluster, with Kafka 4.3.1's words.

use super::super::config::{CleanerChanges, Layer};
use super::*;
use crate::types::ConnectionLimits;

fn alter(catalog: &mut Catalog, kind: ResourceKind, name: &str, edit: ConfigEdit) -> Result<(), CatalogError> {
    let command = CatalogCommand::AlterConfigs { changes: vec![change(kind, name, edit)], validate_only: false };
    match run(catalog, &command, &[]) {
        Ok(CatalogReply::ConfigsAltered(mut replies)) => replies.remove(0),
        other => panic!("{other:?}"),
    }
}

fn set(catalog: &mut Catalog, broker: &str, key: &str, value: &str) -> Result<(), CatalogError> {
    alter(catalog, ResourceKind::Broker, broker, edits(&[(key, ConfigOp::Set, Some(value))]))
}

#[test]
fn topics_follow_the_brokers_setting_then_the_clusters_then_that_of_the_start() {
    let start = |key: &str| (key == "log.retention.hours").then_some("1");
    let topic_defaults = TopicDefaults::from_broker(start).unwrap();
    let mut catalog = Catalog::new(CatalogSettings { topic_defaults, ..CatalogSettings::new("cluster", 1) });
    super::start(&mut catalog);
    let overridden = NewTopic { configs: [("segment.ms".into(), Some("7".into()))].into(), ..topic("o") };
    create(&mut catalog, vec![topic("t"), overridden]);
    let retention = |catalog: &Catalog| ["t", "o"].map(|name| catalog.topic(name).unwrap().config.retention_ms);
    assert_eq!(retention(&catalog), [3_600_000; 2]);
    set(&mut catalog, "", "log.retention.ms", "9").unwrap();
    assert_eq!(retention(&catalog), [9; 2]);
    set(&mut catalog, "1", "log.retention.ms", "8").unwrap();
    assert_eq!(retention(&catalog), [8; 2]);
    assert_eq!(catalog.topic("o").unwrap().config.segment_ms, 7, "an override stays");
    let synonyms = catalog.topic_defaults().layers().synonyms("log.retention.ms");
    let told: Vec<_> = synonyms.iter().map(|s| (s.name, s.value, s.layer)).collect();
    let expected = [
        ("log.retention.ms", "8", Layer::Broker),
        ("log.retention.ms", "9", Layer::Cluster),
        ("log.retention.hours", "1", Layer::Start),
        ("log.retention.hours", "168", Layer::Default),
    ];
    assert_eq!(told, expected);
    for (broker, then) in [("1", 9), ("", 3_600_000)] {
        let undo = edits(&[("log.retention.ms", ConfigOp::Delete, None)]);
        alter(&mut catalog, ResourceKind::Broker, broker, undo).unwrap();
        assert_eq!(retention(&catalog), [then; 2]);
    }
    assert!(
        catalog.topic_defaults().layers().synonyms("log.retention.ms").is_empty(),
        "hours alone are no source of it"
    );
}

#[test]
fn replacing_drops_the_settings_that_are_not_named() {
    let mut catalog = catalog();
    set(&mut catalog, "1", "log.retention.ms", "9").unwrap();
    let replace = ConfigEdit::Replace(vec![("log.segment.bytes".into(), Some("1048576".into()))]);
    alter(&mut catalog, ResourceKind::Broker, "1", replace).unwrap();
    let config = catalog.topic_defaults().config();
    assert_eq!((config.retention_ms, config.segment_bytes), (604_800_000, 1 << 20));
}

#[test]
fn lists_grow_from_the_settings_own_default() {
    let mut catalog = catalog();
    let append = edits(&[("log.cleanup.policy", ConfigOp::Append, Some("compact"))]);
    alter(&mut catalog, ResourceKind::Broker, "1", append).unwrap();
    assert_eq!(catalog.topic_defaults().layers().dynamic(false)["log.cleanup.policy"], "delete,compact");
}

#[test]
fn limits_of_connections_follow_the_brokers_setting_then_the_clusters_then_that_of_the_start() {
    let start = |key: &str| (key == "max.connections").then_some("5");
    let topic_defaults = TopicDefaults::from_broker(start).unwrap();
    let mut catalog = Catalog::new(CatalogSettings { topic_defaults, ..CatalogSettings::new("cluster", 1) });
    super::start(&mut catalog);
    assert_eq!(catalog.connections(), &ConnectionLimits { total_max: 5, ..ConnectionLimits::default() });
    set(&mut catalog, "", "max.connections", "6").unwrap();
    set(&mut catalog, "1", "max.connections.per.ip", "3").unwrap();
    set(&mut catalog, "1", "max.connections.per.ip.overrides", "127.0.0.9:1").unwrap();
    let per_ip_overrides = vec![("127.0.0.9".parse().unwrap(), 1)];
    assert_eq!(catalog.connections(), &ConnectionLimits { total_max: 6, per_ip_max: 3, per_ip_overrides });
    assert_eq!(
        text(&set(&mut catalog, "1", "max.connections", "-1")),
        "Invalid value -1 for configuration max.connections: Value must be at least 0"
    );
    assert_eq!(
        text(&set(&mut catalog, "", "max.connections.per.ip", "many")),
        "Invalid value many for configuration max.connections.per.ip: Not a number of type INT"
    );
    assert!(set(&mut catalog, "", "max.connections.per.ip.overrides", "here").is_err());
    for (broker, key) in [("", "max.connections"), ("1", "max.connections.per.ip")] {
        alter(&mut catalog, ResourceKind::Broker, broker, edits(&[(key, ConfigOp::Delete, None)])).unwrap();
    }
    assert_eq!((catalog.connections().total_max, catalog.connections().per_ip_max), (5, i32::MAX as usize));
}

#[test]
fn what_compaction_may_take_changes_and_goes_back_to_that_of_the_start() {
    let mut catalog = catalog();
    assert_eq!(catalog.cleaner(), CleanerChanges::default());
    set(&mut catalog, "", "log.cleaner.backoff.ms", "20").unwrap();
    set(&mut catalog, "1", "log.cleaner.backoff.ms", "30").unwrap();
    set(&mut catalog, "", "log.cleaner.io.max.bytes.per.second", "1e6").unwrap();
    assert_eq!(catalog.cleaner(), CleanerChanges { backoff_ms: Some(30), bytes_per_second: Some(1_000_000) });
    assert_eq!(
        text(&set(&mut catalog, "1", "log.cleaner.backoff.ms", "1.5")),
        "Invalid value 1.5 for configuration log.cleaner.backoff.ms: Not a number of type LONG"
    );
    for rate in ["0", "NaN", "fast"] {
        assert!(set(&mut catalog, "", "log.cleaner.io.max.bytes.per.second", rate).is_err());
    }
    for (broker, key) in
        [("1", "log.cleaner.backoff.ms"), ("", "log.cleaner.backoff.ms"), ("", "log.cleaner.io.max.bytes.per.second")]
    {
        alter(&mut catalog, ResourceKind::Broker, broker, edits(&[(key, ConfigOp::Delete, None)])).unwrap();
    }
    assert_eq!(catalog.cleaner(), CleanerChanges::default());
}

#[test]
fn refusals_are_worded_as_kafka_words_them() {
    let mut catalog = catalog();
    let mut refused = |broker, key, value| text(&set(&mut catalog, broker, key, value));
    let fixed = "Cannot update these configs dynamically: [log.retention.hours]";
    assert_eq!(refused("1", "log.retention.hours", "2"), fixed);
    assert_eq!(refused("", "num.partitions", "2"), "Cannot update these configs dynamically: [num.partitions]");
    assert_eq!(refused("2", "log.retention.ms", "2"), "Unexpected broker id, expected 1, but received 2");
    assert_eq!(refused("x", "log.retention.ms", "2"), "Node id must be an integer, but it is: x");
    let range = "Invalid value 1 for configuration log.segment.bytes: Value must be at least 1048576";
    assert_eq!(refused("", "log.segment.bytes", "1"), range);
    let number = "Invalid value x for configuration log.segment.bytes: Not a number of type INT";
    assert_eq!(refused("1", "log.segment.bytes", "x"), number);
    let empty = "Configuration 'log.cleanup.policy' values must not be empty.";
    assert_eq!(refused("1", "log.cleanup.policy", "delete,,compact"), empty);
    let append = edits(&[("log.retention.ms", ConfigOp::Append, Some("1"))]);
    let refused = alter(&mut catalog, ResourceKind::Broker, "1", append);
    assert!(matches!(refused, Err(CatalogError::InvalidConfig(_))));
    assert_eq!(text(&refused), "Config value append is not allowed for config key: log.retention.ms");
    let unknown = edits(&[("log.retention.ms", ConfigOp::Unknown(9), Some("1"))]);
    assert_eq!(text(&alter(&mut catalog, ResourceKind::Broker, "1", unknown)), "Unknown operations type 9");
    assert!(catalog.topic_defaults().layers().dynamic(false).is_empty());
}

#[test]
fn what_has_no_configs_here_is_refused_by_its_kind() {
    let mut catalog = catalog();
    let nothing = || ConfigEdit::Incremental(Vec::new());
    let other = alter(&mut catalog, ResourceKind::Other(3), "t", nothing());
    assert_eq!(text(&other), "Unknown resource type 3");
    let logger = |catalog: &mut Catalog, name, edit| alter(catalog, ResourceKind::BrokerLogger, name, edit);
    assert_eq!(logger(&mut catalog, "1", nothing()), Ok(()));
    let level = edits(&[("kafka.x", ConfigOp::Set, Some("INFO"))]);
    assert_eq!(text(&logger(&mut catalog, "1", level)), "Logger kafka.x does not exist!");
    assert_eq!(text(&logger(&mut catalog, "2", nothing())), "Unexpected node id. Expected 1, but received 2");
    assert_eq!(text(&logger(&mut catalog, "", nothing())), "Node id must be an integer, but it is: ");
    assert_eq!(text(&logger(&mut catalog, "1", ConfigEdit::Replace(Vec::new()))), "Unknown resource type 8");
}
