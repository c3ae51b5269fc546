//! The configs of a subscription of client metrics (KIP-714): one table, and what may be asked for. Every core; pure. They are
//! kept for whoever describes them: no client pushes metrics here.
//!
//! Invariant: in the order in which Kafka checks them, so that of two bad values the same one is named.

use std::collections::BTreeMap;

use regex::Regex;

use super::error::{CONFIG_BYTES_MAX, ConfigError};
use super::table::{ConfigKey, Kind};

const INTERVAL: &str = "interval.ms";
const MATCH: &str = "match";
/// From 100 ms to an hour.
const INTERVAL_MS: std::ops::RangeInclusive<i32> = 100..=3_600_000;

const fn kept(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey { name, kind, default: Some(default), synonyms: &[], acted_on: false, internal: false, doc }
}

/// Every config of a subscription, by name.
pub static METRICS_CONFIGS: [ConfigKey; 3] = [
    kept(INTERVAL, Kind::Int { min: i32::MIN, max: i32::MAX }, "300000", "Time between two pushes of a client."),
    kept(MATCH, Kind::AnyList, "", "Which clients are meant. Empty: all."),
    kept("metrics", Kind::AnyList, "", "Prefixes of the metrics that clients push. Empty: none."),
];

/// What a client may be known by.
const MATCHED: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

pub fn metrics_key(name: &str) -> Option<&'static ConfigKey> {
    METRICS_CONFIGS.iter().find(|key| key.name == name)
}

/// Whether someone may ask for these.
pub fn validate_metrics(overrides: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, text) in overrides {
        if metrics_key(name).is_none() {
            return Err(ConfigError::UnknownOfMetrics { key: name.clone() });
        }
        if text.len() > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong { key: name.clone(), bytes: text.len() });
        }
    }
    for key in &METRICS_CONFIGS {
        if let Some(text) = overrides.get(key.name) {
            key.parse(text)?;
        }
    }
    if let Some(interval) = overrides.get(INTERVAL)
        && !interval.trim().parse::<i32>().is_ok_and(|ms| INTERVAL_MS.contains(&ms))
    {
        return Err(ConfigError::Interval { value: interval.trim().to_owned() });
    }
    let patterns = overrides.get(MATCH).map(|text| text.trim().split(',').map(str::trim)).into_iter().flatten();
    match patterns.filter(|pattern| !pattern.is_empty()).find(|pattern| !is_pattern(pattern)) {
        Some(pattern) => Err(ConfigError::Pattern { pattern: pattern.to_owned() }),
        None => Ok(()),
    }
}

/// `client_id=REGEX` and the like. Java drops empty parts at the end.
fn is_pattern(pattern: &str) -> bool {
    match pattern.trim_end_matches('=').split('=').collect::<Vec<_>>()[..] {
        [name, regex] => MATCHED.contains(&name.trim()) && Regex::new(regex.trim()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_kafka_words_them() {
        for (key, value, why) in [
            ("no.such.key", "1", "Unknown client metrics configuration: no.such.key"),
            (INTERVAL, "x", "Invalid value x for configuration interval.ms: Not a number of type INT"),
            (INTERVAL, "99", "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)"),
            ("metrics", "a,", "Configuration 'metrics' values must not be empty."),
            (MATCH, "client_id", "Illegal client matching pattern: client_id"),
            (MATCH, "client_id=a,client=b", "Illegal client matching pattern: client=b"),
            (MATCH, "client_id=a=b", "Illegal client matching pattern: client_id=a=b"),
            (MATCH, "client_id=[", "Illegal client matching pattern: client_id=["),
            (MATCH, "=a", "Illegal client matching pattern: =a"),
        ] {
            let asked = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(validate_metrics(&asked).expect_err("refused").to_string(), why);
        }
    }

    #[test]
    fn what_kafka_takes_is_taken() {
        for (key, value) in [
            (INTERVAL, " 200 "),
            ("metrics", "org.a.,org.b."),
            ("metrics", ""),
            ("metrics", "a,a"),
            (MATCH, ""),
            (MATCH, " client_id = a , client_software_name=apache-.*"),
        ] {
            assert_eq!(
                validate_metrics(&BTreeMap::from([(key.to_owned(), value.to_owned())])),
                Ok(()),
                "{key}={value}"
            );
        }
    }
}
