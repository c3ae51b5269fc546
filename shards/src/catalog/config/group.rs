//! The configs that a group can have: one table, the broker's settings behind it, and what is in force. Every core; pure.
//!
//! Invariant: in the order in which Kafka checks them, so that of two bad values the same one is named. What is in force
//! lies within the broker's bounds, whatever they were when it was set.

use std::collections::BTreeMap;

use super::error::{CONFIG_BYTES_MAX, ConfigError};
use super::table::{ConfigKey, Kind, SettingDefault, Synonym};

/// One config of a group, and the broker's settings that bound it.
#[derive(Debug)]
pub struct GroupKey {
    pub key: ConfigKey,
    /// Least and most that the broker lets a group have.
    pub min: Option<Bound>,
    pub max: Option<Bound>,
}

/// A setting of the broker and its default.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub setting: &'static str,
    pub default: i32,
}

const fn synonym(key: &'static str) -> Synonym {
    Synonym { key, times: 1, dynamic: false, default: SettingDefault::Same }
}

const fn int(min: i32) -> Kind {
    Kind::Int { min, max: i32::MAX }
}

const fn bound(setting: &'static str, default: i32) -> Option<Bound> {
    Some(Bound { setting, default })
}

/// A config of consumer groups.
const fn acts(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    [min, max]: [Option<Bound>; 2],
    doc: &'static str,
) -> GroupKey {
    let key = ConfigKey { name, kind, default: Some(default), synonyms, acted_on: true, internal: false, doc };
    GroupKey { key, min, max }
}

/// A config of a kind of group that is not served yet: it is checked, kept and described.
const fn kept(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    [min, max]: [Option<Bound>; 2],
    doc: &'static str,
) -> GroupKey {
    let key = ConfigKey { name, kind, default: Some(default), synonyms, acted_on: false, internal: false, doc };
    GroupKey { key, min, max }
}

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const ASSIGNMENT: &str = "consumer.assignment.interval.ms";

/// A session must be longer than the time between two heartbeats.
const LONGER: [[&str; 2]; 3] = [
    [SESSION, HEARTBEAT],
    ["share.session.timeout.ms", "share.heartbeat.interval.ms"],
    ["streams.session.timeout.ms", "streams.heartbeat.interval.ms"],
];

/// Every config of a group.
pub static GROUP_CONFIGS: [GroupKey; 17] = [
    acts(
        HEARTBEAT,
        int(1),
        "5000",
        &[synonym("group.consumer.heartbeat.interval.ms")],
        [
            bound("group.consumer.min.heartbeat.interval.ms", 5_000),
            bound("group.consumer.max.heartbeat.interval.ms", 15_000),
        ],
        "How often members of a consumer group are told to show that they live.",
    ),
    acts(
        SESSION,
        int(1),
        "45000",
        &[synonym("group.consumer.session.timeout.ms")],
        [
            bound("group.consumer.min.session.timeout.ms", 45_000),
            bound("group.consumer.max.session.timeout.ms", 60_000),
        ],
        "How long a member of a consumer group may be silent before the others get its partitions.",
    ),
    acts(
        ASSIGNMENT,
        int(0),
        "1000",
        &[synonym("group.consumer.assignment.interval.ms")],
        [
            bound("group.consumer.min.assignment.interval.ms", 0),
            bound("group.consumer.max.assignment.interval.ms", 15_000),
        ],
        "Least time between two assignments of a consumer group.",
    ),
    kept(
        "share.heartbeat.interval.ms",
        int(1),
        "5000",
        &[synonym("group.share.heartbeat.interval.ms")],
        [bound("group.share.min.heartbeat.interval.ms", 5_000), bound("group.share.max.heartbeat.interval.ms", 15_000)],
        "How often members of a share group are told to show that they live.",
    ),
    kept(
        "share.session.timeout.ms",
        int(1),
        "45000",
        &[synonym("group.share.session.timeout.ms")],
        [bound("group.share.min.session.timeout.ms", 45_000), bound("group.share.max.session.timeout.ms", 60_000)],
        "How long a member of a share group may be silent.",
    ),
    kept(
        "share.record.lock.duration.ms",
        int(1_000),
        "30000",
        &[synonym("group.share.record.lock.duration.ms")],
        [
            bound("group.share.min.record.lock.duration.ms", 15_000),
            bound("group.share.max.record.lock.duration.ms", 60_000),
        ],
        "How long a record that a member of a share group took is nobody else's.",
    ),
    kept(
        "share.delivery.count.limit",
        int(2),
        "5",
        &[synonym("group.share.delivery.count.limit")],
        [bound("group.share.min.delivery.count.limit", 2), bound("group.share.max.delivery.count.limit", 10)],
        "How often a share group is given a record.",
    ),
    kept(
        "share.partition.max.record.locks",
        int(100),
        "2000",
        &[synonym("group.share.partition.max.record.locks")],
        [
            bound("group.share.min.partition.max.record.locks", 100),
            bound("group.share.max.partition.max.record.locks", 4_000),
        ],
        "How many records of a partition the members of a share group may have taken.",
    ),
    kept(
        "share.assignment.interval.ms",
        int(0),
        "1000",
        &[synonym("group.share.assignment.interval.ms")],
        [bound("group.share.min.assignment.interval.ms", 0), bound("group.share.max.assignment.interval.ms", 15_000)],
        "Least time between two assignments of a share group.",
    ),
    kept(
        "streams.session.timeout.ms",
        int(1),
        "45000",
        &[synonym("group.streams.session.timeout.ms")],
        [bound("group.streams.min.session.timeout.ms", 45_000), bound("group.streams.max.session.timeout.ms", 60_000)],
        "How long a member of a streams group may be silent.",
    ),
    kept(
        "streams.heartbeat.interval.ms",
        int(1),
        "5000",
        &[synonym("group.streams.heartbeat.interval.ms")],
        [
            bound("group.streams.min.heartbeat.interval.ms", 5_000),
            bound("group.streams.max.heartbeat.interval.ms", 15_000),
        ],
        "How often members of a streams group are told to show that they live.",
    ),
    kept(
        "streams.num.standby.replicas",
        int(0),
        "0",
        &[synonym("group.streams.num.standby.replicas")],
        [None, bound("group.streams.max.standby.replicas", 2)],
        "How many members of a streams group keep a copy of a task's state.",
    ),
    kept(
        "streams.assignment.interval.ms",
        int(0),
        "1000",
        &[synonym("group.streams.assignment.interval.ms")],
        [
            bound("group.streams.min.assignment.interval.ms", 0),
            bound("group.streams.max.assignment.interval.ms", 15_000),
        ],
        "Least time between two assignments of a streams group.",
    ),
    kept(
        "streams.initial.rebalance.delay.ms",
        int(0),
        "3000",
        &[synonym("group.streams.initial.rebalance.delay.ms")],
        [None, None],
        "How long a new streams group waits for more members.",
    ),
    kept(
        "share.auto.offset.reset",
        Kind::OffsetReset,
        "latest",
        &[],
        [None, None],
        "Where a share group begins to read: earliest, latest, or by_duration: and how long ago (ISO 8601).",
    ),
    kept(
        "share.isolation.level",
        Kind::OneOf(&["read_committed", "read_uncommitted"]),
        "read_uncommitted",
        &[],
        [None, None],
        "Whether a share group is given records of transactions that are not committed.",
    ),
    kept(
        "share.renew.acknowledge.enable",
        Kind::Bool,
        "true",
        &[],
        [None, None],
        "Whether a member of a share group may keep a record for longer.",
    ),
];

/// `None`: no group config has this name.
pub fn group_key(name: &str) -> Option<&'static GroupKey> {
    GROUP_CONFIGS.iter().find(|group| group.key.name == name)
}

/// What is in force for a consumer group. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupConfig {
    pub session_timeout_ms: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment_interval_ms: i32,
}

/// What a group has that overrides nothing, and what it may have.
#[derive(Debug, Clone)]
pub struct GroupDefaults {
    /// The settings behind the table that the broker was started with.
    given: BTreeMap<&'static str, String>,
    config: GroupConfig,
}

impl Default for GroupDefaults {
    fn default() -> GroupDefaults {
        GroupDefaults::of(BTreeMap::new())
    }
}

impl GroupDefaults {
    /// Takes over the broker's settings behind group configs. `setting` gives the text of one that was set.
    ///
    /// # Errors
    /// A default that is out of its bounds, and a session that is not longer than the time between two heartbeats.
    pub fn from_broker<'a>(setting: impl Fn(&str) -> Option<&'a str>) -> Result<GroupDefaults, ConfigError> {
        let bounds = GROUP_CONFIGS.iter().flat_map(|group| [group.min, group.max]).flatten().map(|bound| bound.setting);
        let synonyms = GROUP_CONFIGS.iter().flat_map(|group| group.key.synonyms).map(|synonym| synonym.key);
        let given = bounds.chain(synonyms).filter_map(|name| Some((name, setting(name)?.to_owned())));
        let defaults = GroupDefaults::of(given.collect());
        for group in GROUP_CONFIGS.iter() {
            let Some(synonym) = group.key.synonyms.first() else { continue };
            defaults.check_bounds(group, synonym.key, defaults.number(group, &BTreeMap::new()))?;
        }
        for [longer, shorter] in LONGER {
            let [more, less] = [longer, shorter].map(|name| defaults.in_force(name, &BTreeMap::new()));
            if more <= less {
                let [longer, shorter] = [longer, shorter].map(|name| format!("group.{name}"));
                return Err(ConfigError::NotLonger { longer, shorter });
            }
        }
        Ok(defaults)
    }

    fn of(given: BTreeMap<&'static str, String>) -> GroupDefaults {
        let config = GroupConfig { session_timeout_ms: 0, heartbeat_interval_ms: 0, assignment_interval_ms: 0 };
        let mut defaults = GroupDefaults { given, config };
        defaults.config = defaults.with(&BTreeMap::new());
        defaults
    }

    /// What a setting behind the table was set to.
    pub fn given(&self, setting: &str) -> Option<&str> {
        self.given.get(setting).map(String::as_str)
    }

    pub fn config(&self) -> GroupConfig {
        self.config
    }

    /// What is in force with these overrides.
    pub fn with(&self, overrides: &BTreeMap<String, String>) -> GroupConfig {
        GroupConfig {
            session_timeout_ms: self.in_force(SESSION, overrides),
            heartbeat_interval_ms: self.in_force(HEARTBEAT, overrides),
            assignment_interval_ms: self.in_force(ASSIGNMENT, overrides),
        }
    }

    /// Whether someone may ask for these overrides.
    pub fn validate(&self, overrides: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for (name, text) in overrides {
            if group_key(name).is_none() {
                return Err(ConfigError::UnknownOfGroup { key: name.clone() });
            }
            if text.len() > CONFIG_BYTES_MAX {
                return Err(ConfigError::TooLong { key: name.clone(), bytes: text.len() });
            }
        }
        for group in &GROUP_CONFIGS {
            if let Some(text) = overrides.get(group.key.name) {
                group.key.parse(text)?;
            }
        }
        for group in GROUP_CONFIGS.iter().filter(|group| overrides.contains_key(group.key.name)) {
            self.check_bounds(group, group.key.name, self.number(group, overrides))?;
        }
        for [longer, shorter] in LONGER {
            let is_set = overrides.contains_key(longer) || overrides.contains_key(shorter);
            if is_set && self.in_force(longer, overrides) <= self.in_force(shorter, overrides) {
                return Err(ConfigError::NotLonger { longer: longer.to_owned(), shorter: shorter.to_owned() });
            }
        }
        Ok(())
    }

    fn check_bounds(&self, group: &GroupKey, name: &str, value: i32) -> Result<(), ConfigError> {
        let out = |than: &'static str, bound: Bound| {
            Err(ConfigError::OutOfBounds { key: name.to_owned(), than, setting: bound.setting })
        };
        match (group.min, group.max) {
            (Some(min), _) if value < self.bound(min) => out("greater", min),
            (_, Some(max)) if value > self.bound(max) => out("less", max),
            _ => Ok(()),
        }
    }

    fn bound(&self, bound: Bound) -> i32 {
        self.given(bound.setting).and_then(|text| text.trim().parse().ok()).unwrap_or(bound.default)
    }

    /// A number as it was set: for the group, for the broker, or nowhere.
    fn number(&self, group: &GroupKey, overrides: &BTreeMap<String, String>) -> i32 {
        let own = overrides.get(group.key.name).map(String::as_str);
        let set = own.or_else(|| group.key.synonyms.iter().find_map(|synonym| self.given(synonym.key)));
        let text = set.or(group.key.default).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// A number that the broker's bounds, which may be others than when it was set, were applied to.
    fn in_force(&self, name: &str, overrides: &BTreeMap<String, String>) -> i32 {
        let Some(group) = group_key(name) else { return 0 };
        let value = self.number(group, overrides);
        let value = group.max.map_or(value, |max| value.min(self.bound(max)));
        group.min.map_or(value, |min| value.max(self.bound(min)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn broker(pairs: &'static [(&str, &str)]) -> Result<GroupDefaults, ConfigError> {
        GroupDefaults::from_broker(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value))
    }

    fn refused(defaults: &GroupDefaults, pairs: &[(&str, &str)]) -> String {
        defaults.validate(&settings(pairs)).expect_err("refused").to_string()
    }

    #[test]
    fn refusals_are_worded_as_kafka_words_them_and_in_its_order() {
        let kafka = GroupDefaults::default();
        for (key, value, why) in [
            (
                SESSION,
                "1000",
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                SESSION,
                "60001",
                "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (SESSION, "0", "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1"),
            (SESSION, "", "Invalid value  for configuration consumer.session.timeout.ms: Not a number of type INT"),
            ("bogus.key", "1", "Unknown group config name: bogus.key"),
            (
                "streams.num.standby.replicas",
                "3",
                "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
            ),
            (
                "share.delivery.count.limit",
                "1",
                "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2",
            ),
            (
                "share.auto.offset.reset",
                "by_duration:x",
                "Invalid value by_duration:x for configuration share.auto.offset.reset: Invalid value `by_duration:x` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
            ),
            (
                "share.isolation.level",
                "READ_COMMITTED",
                "Invalid value READ_COMMITTED for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted",
            ),
        ] {
            assert_eq!(refused(&kafka, &[(key, value)]), why);
        }
        for (key, value) in [
            (SESSION, " 50000 "),
            (ASSIGNMENT, "0"),
            ("share.auto.offset.reset", "by_duration:PT1H"),
            ("share.renew.acknowledge.enable", "FALSE"),
            ("streams.initial.rebalance.delay.ms", "99999999"),
        ] {
            assert_eq!(kafka.validate(&settings(&[(key, value)])), Ok(()), "{key} {value}");
        }
        let low = broker(&[
            ("group.consumer.min.session.timeout.ms", "1000"),
            ("group.consumer.session.timeout.ms", "6000"),
            ("group.consumer.min.heartbeat.interval.ms", "100"),
            ("group.consumer.heartbeat.interval.ms", "1000"),
        ])
        .expect("within its bounds");
        let not_longer = "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
        assert_eq!(refused(&low, &[(SESSION, "1000")]), not_longer);
        assert_eq!(refused(&low, &[(HEARTBEAT, "6000")]), not_longer);
        let both = refused(&low, &[(SESSION, "900"), (HEARTBEAT, "3")]);
        assert!(both.starts_with("consumer.heartbeat.interval.ms must be greater than or equal to"), "{both}");
    }

    #[test]
    fn what_is_in_force_lies_within_the_bounds_of_today() {
        let kafka = GroupDefaults::default();
        let of = |defaults: &GroupDefaults| defaults.with(&settings(&[(SESSION, "50000"), (HEARTBEAT, "7000")]));
        let (session_timeout_ms, heartbeat_interval_ms) = (50_000, 7_000);
        assert_eq!(of(&kafka), GroupConfig { session_timeout_ms, heartbeat_interval_ms, ..kafka.config() });
        let narrow = broker(&[("group.consumer.max.session.timeout.ms", "46000")]).expect("within its bounds");
        assert_eq!(of(&narrow), GroupConfig { session_timeout_ms: 46_000, heartbeat_interval_ms, ..kafka.config() });
    }

    #[test]
    fn a_broker_whose_default_is_out_of_its_own_bounds_does_not_start() {
        let told = |pairs| broker(pairs).expect_err("out of bounds").to_string();
        assert_eq!(
            told(&[("group.consumer.session.timeout.ms", "6000")]),
            "group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"
        );
        assert_eq!(
            told(&[
                ("group.consumer.max.heartbeat.interval.ms", "50000"),
                ("group.consumer.heartbeat.interval.ms", "45000")
            ]),
            "group.consumer.session.timeout.ms must be greater than group.consumer.heartbeat.interval.ms"
        );
    }
}
