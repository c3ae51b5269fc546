//! Tests of topic configs: each value that was tried on Kafka 4.3.1, with the answer that it gave.

use std::collections::BTreeMap;

use super::*;

fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn validate(pairs: &[(&str, &str)]) -> Result<TopicConfig, ConfigError> {
    TopicDefaults::default().validate(&overrides(pairs))
}

fn refused(key: &str, value: &str) -> String {
    validate(&[(key, value)]).unwrap_err().to_string()
}

#[test]
fn the_table_is_kafkas_and_every_default_fits_its_field() {
    assert_eq!(TOPIC_CONFIGS.len(), 34);
    let mut names: Vec<&str> = TOPIC_CONFIGS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 34);
    let config = TopicConfig::from_table();
    assert_eq!((config.segment_bytes, config.flush_messages, config.max_message_bytes), (1 << 30, 1, 1_048_588));
    assert_eq!(config.compression(), Compression::Producer);
    assert_eq!(config.cleanup_policy, CleanupPolicy { compact: false, delete: true });
    assert!(TOPIC_CONFIGS.iter().all(|key| !key.doc.is_empty()));
}

#[test]
fn what_kafka_takes_is_taken() {
    let taken = [
        ("retention.ms", " 5 "),
        ("retention.ms", "-1"),
        ("retention.bytes", "-5"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "compact,delete"),
        ("cleanup.policy", " compact , delete "),
        ("cleanup.policy", "compact,compact"),
        ("compression.gzip.level", "-1"),
        ("compression.zstd.level", "-131072"),
        ("message.timestamp.type", " CreateTime"),
        ("min.cleanable.dirty.ratio", " 1e-1 "),
        ("min.cleanable.dirty.ratio", "0.5f"),
        ("min.insync.replicas", "3"),
        ("preallocate", "TRUE"),
        ("preallocate", " true "),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "1:2,3:4"),
        ("leader.replication.throttled.replicas", "1:2 , 3:4"),
        ("leader.replication.throttled.replicas", "1:2,"),
        ("leader.replication.throttled.replicas", ""),
        ("local.retention.ms", "999999999999"),
        ("internal.segment.bytes", "-5"),
        ("max.message.bytes", "+5"),
        ("max.message.bytes", "0"),
        ("remote.log.copy.disable", "true"),
    ];
    for (key, value) in taken {
        assert!(validate(&[(key, value)]).is_ok(), "{key}={value}");
    }
}

#[test]
fn what_kafka_refuses_is_refused_in_its_words() {
    let throttled = "leader.replication.throttled.replicas";
    let cases = [
        ("retention.ms", "x", "Not a number of type LONG"),
        ("retention.ms", "", "Not a number of type LONG"),
        ("retention.ms", "99999999999999999999", "Not a number of type LONG"),
        ("retention.ms", "-2", "Value must be at least -1"),
        ("segment.bytes", "1", "Value must be at least 1048576"),
        ("segment.bytes", "99999999999", "Not a number of type INT"),
        ("segment.bytes", "1.5", "Not a number of type INT"),
        ("cleanup.policy", "x", "String must be one of: compact, delete"),
        ("cleanup.policy", "Delete", "String must be one of: compact, delete"),
        ("compression.type", "GZIP", "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"),
        ("compression.type", "", "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"),
        ("compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
        ("compression.lz4.level", "0", "Value must be at least 1"),
        ("compression.lz4.level", "18", "Value must be no more than 17"),
        ("compression.zstd.level", "23", "Value must be no more than 22"),
        ("message.timestamp.type", "createtime", "String must be one of: CreateTime, LogAppendTime"),
        ("min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"),
        ("min.cleanable.dirty.ratio", "-0.1", "Value must be at least 0"),
        ("min.insync.replicas", "0", "Value must be at least 1"),
        ("preallocate", "yes", "Expected value to be either true or false"),
        ("preallocate", "", "Expected value to be either true or false"),
        ("local.retention.ms", "-3", "Value must be at least -2"),
        ("internal.segment.bytes", "x", "Not a number of type INT"),
        ("segment.index.bytes", "3", "Value must be at least 4"),
        ("segment.ms", "0", "Value must be at least 1"),
        ("flush.messages", "0", "Value must be at least 1"),
        ("flush.ms", "-1", "Value must be at least 0"),
        ("max.message.bytes", "-1", "Value must be at least 0"),
        ("max.message.bytes", "0x10", "Not a number of type INT"),
        ("max.message.bytes", "1_000", "Not a number of type INT"),
    ];
    for (key, value, why) in cases {
        assert_eq!(refused(key, value), format!("Invalid value {value} for configuration {key}: {why}"));
    }
    let parsed = "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1";
    assert_eq!(refused("min.cleanable.dirty.ratio", "2"), parsed);
    assert_eq!(
        refused("cleanup.policy", "delete,,compact"),
        "Configuration 'cleanup.policy' values must not be empty."
    );
    let listed = format!(
        "Invalid value [*, 1:2] for configuration {throttled}: {throttled} must be the literal '*' or a list of replicas \
         in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    assert_eq!(refused(throttled, "*,1:2"), listed);
    assert!(validate(&[(throttled, "-1:2")]).is_err());
    assert_eq!(refused("message.format.version", "3.0"), "Unknown topic config name: message.format.version");
    assert_eq!(refused("", ""), "Unknown topic config name: ");
    assert!(refused("remote.storage.enable", "true").starts_with("Tiered Storage functionality is disabled"));
}

#[test]
fn not_a_number_is_no_ratio() {
    assert!(validate(&[("min.cleanable.dirty.ratio", "NaN")]).is_err());
    assert!(validate(&[("min.cleanable.dirty.ratio", "Infinity")]).is_err());
}

#[test]
fn of_two_bad_values_the_one_that_kafka_names_is_named() {
    let both = [("retention.ms", "x"), ("segment.ms", "0")];
    let named = validate(&both).unwrap_err().to_string();
    assert_eq!(named, "Invalid value 0 for configuration segment.ms: Value must be at least 1");
    let unknown = [("retention.ms", "x"), ("foo", "5")];
    assert_eq!(validate(&unknown).unwrap_err().to_string(), "Unknown topic config name: foo");
    let lag = [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")];
    let conflict = "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)";
    assert_eq!(validate(&lag).unwrap_err().to_string(), conflict);
}

#[test]
fn broker_settings_are_defaults_and_the_finest_unit_wins() {
    let settings = BTreeMap::from([
        ("log.retention.hours", "1"),
        ("log.retention.minutes", "2"),
        ("log.roll.hours", "3"),
        ("message.max.bytes", "100"),
        ("log.flush.interval.messages", "10"),
        ("compression.type", "zstd"),
        ("compression.zstd.level", "5"),
    ]);
    let defaults = TopicDefaults::from_broker(|key| settings.get(key).copied()).unwrap();
    let config = defaults.config();
    assert_eq!((config.retention_ms, config.segment_ms), (120_000, 3 * 3_600_000));
    assert_eq!((config.max_message_bytes, config.flush_messages), (100, 10));
    assert_eq!(config.compression(), Compression::Zstd(5));
    assert_eq!(defaults.value("retention.ms"), (Some("120000"), Some("log.retention.minutes")));
    assert_eq!(defaults.value("segment.bytes"), (Some("1073741824"), None));
    let forever = TopicDefaults::from_broker(|key| (key == "log.retention.hours").then_some("-1")).unwrap();
    assert_eq!(forever.config().retention_ms, -1);
}

#[test]
fn a_bad_broker_setting_is_named_by_its_own_name() {
    let bad = |name: &'static str, value: &'static str| {
        TopicDefaults::from_broker(|key| (key == name).then_some(value)).unwrap_err().to_string()
    };
    assert_eq!(
        bad("log.segment.bytes", "5"),
        "Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576"
    );
    assert_eq!(
        bad("log.roll.hours", "x"),
        "Invalid value x for configuration log.roll.hours: Not a number of type INT"
    );
    assert!(bad("log.roll.hours", "0").contains("log.roll.hours"));
}

#[test]
fn entries_tell_value_and_source() {
    let settings = |key: &str| (key == "log.segment.bytes").then_some("2097152");
    let defaults = TopicDefaults::from_broker(settings).unwrap();
    let none = BTreeMap::new();
    assert_eq!(defaults.entries(&none).count(), 33);
    let set = overrides(&[("retention.ms", "5"), ("internal.segment.bytes", "9")]);
    let entries: Vec<ConfigEntry<'_>> = defaults.entries(&set).collect();
    assert_eq!(entries.len(), 34);
    let find = |name: &str| entries.iter().find(|entry| entry.name == name).map(|entry| (entry.value, entry.source));
    assert_eq!(find("retention.ms"), Some((Some("5"), ConfigSource::Topic)));
    assert_eq!(find("segment.bytes"), Some((Some("2097152"), ConfigSource::Broker("log.segment.bytes", Layer::Start))));
    assert_eq!(find("flush.messages"), Some((Some("1"), ConfigSource::Default)));
    assert_eq!(find("internal.segment.bytes"), Some((Some("9"), ConfigSource::Topic)));
}
