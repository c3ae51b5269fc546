//! The broker's settings as DescribeConfigs tells them: names, types, values in force, where these are from. Made once, at
//! start; every core reads it.
//!
//! Invariant: what is told is what acts. Settings behind topic configs are not here: they may change, and the catalog
//! knows them.

use std::borrow::Cow;

use shards::catalog::Endpoint;

use super::keys::{Default, KEYS, Key, Kind};
use super::{Config, value};

/// One setting as it was at start. Those that may change may have done so since: the catalog knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSetting {
    pub name: &'static str,
    pub kind: SettingType,
    /// What it was set to; `None` where nobody set it.
    pub given: Option<String>,
    /// What holds where nobody sets it; `None` is Kafka's null.
    pub default: Option<String>,
    pub doc: Cow<'static, str>,
}

/// Kafka's types of configs, as far as we have such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingType {
    Boolean,
    Text,
    Short,
    Int,
    Long,
    List,
}

impl BrokerSetting {
    pub fn value(&self) -> Option<&str> {
        self.given.as_deref().or(self.default.as_deref())
    }
}

/// Every setting that is not behind a topic config, sorted by name. `computed`: what was worked out at start for settings that
/// nobody set; `endpoints`: where this broker is reached.
pub fn described(config: &Config, computed: &[(&'static str, u64)], endpoints: &[Endpoint]) -> Vec<BrokerSetting> {
    let computed = |name: &str| computed.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    let ours = KEYS.iter().filter(|key| key.kind != Kind::TopicDefault).map(|key| {
        let worked_out = computed(key.name);
        let default = match key.default {
            Default::Is(text) => Some(text.to_owned()),
            Default::Computed(_) => worked_out,
        };
        BrokerSetting {
            name: key.name,
            kind: kind(key),
            given: config.given(key.name).map(|text| plain(key, text)),
            default,
            doc: key.doc.into(),
        }
    });
    let shards = config.given("shards").map(str::to_owned).or_else(|| computed("shards"));
    let mut all: Vec<BrokerSetting> = ours.chain(kafkas(config, shards.as_deref(), endpoints)).collect();
    all.sort_unstable_by_key(|setting| setting.name);
    all
}

/// What Kafka's clients and tools look for under a name that is no setting here.
fn kafkas(config: &Config, shards: Option<&str>, endpoints: &[Endpoint]) -> Vec<BrokerSetting> {
    let fact = |name, kind, given: Option<String>, default: Option<&str>, doc| BrokerSetting {
        name,
        kind,
        given,
        default: default.map(str::to_owned),
        doc: Cow::Borrowed(doc),
    };
    let threads = |name, doc| fact(name, SettingType::Int, None, shards, doc);
    let node = config.text("node.id").unwrap_or_default();
    let voter = endpoints.first().map(|endpoint| format!("{node}@{}:{}", endpoint.host, endpoint.port));
    let listeners: Vec<String> =
        config.listeners().iter().map(|listener| format!("{}:PLAINTEXT", listener.name)).collect();
    vec![
        fact(
            "authorizer.class.name",
            SettingType::Text,
            None,
            Some(""),
            "Empty: nothing is authorised, everybody may do everything.",
        ),
        fact(
            "broker.id",
            SettingType::Int,
            config.text("node.id").map(str::to_owned),
            Some("-1"),
            "The same as node.id.",
        ),
        fact(
            "controller.quorum.voters",
            SettingType::List,
            voter,
            Some(""),
            "This broker alone, at its first listener: it keeps the metadata log by itself.",
        ),
        fact(
            "group.consumer.assignors",
            SettingType::List,
            None,
            Some("uniform,range"),
            "The assignors that the broker has; the first one is taken where a member names none.",
        ),
        fact(
            "group.coordinator.rebalance.protocols",
            SettingType::List,
            None,
            Some("classic,consumer"),
            "What groups are served; not those of Streams, nor share groups.",
        ),
        fact("inter.broker.listener.name", SettingType::Text, None, None, "There is no other broker to talk to."),
        fact(
            "listener.security.protocol.map",
            SettingType::Text,
            None,
            Some(&listeners.join(",")),
            "Every listener speaks without encryption and authentication.",
        ),
        fact("log.dir", SettingType::List, config.text("data_dir").map(str::to_owned), None, "The same as data_dir."),
        fact(
            "log.dirs",
            SettingType::List,
            config.text("data_dir").map(str::to_owned),
            None,
            "The same as data_dir: there is one directory.",
        ),
        fact(
            "process.roles",
            SettingType::List,
            Some("broker,controller".to_owned()),
            None,
            "This one process is both the broker and its controller.",
        ),
        fact(
            "offsets.topic.replication.factor",
            SettingType::Short,
            None,
            Some("1"),
            "There is no other broker that could have a replica.",
        ),
        fact(
            "remote.log.storage.system.enable",
            SettingType::Boolean,
            None,
            Some("false"),
            "All of a log is on this broker's disk.",
        ),
        fact("sasl.enabled.mechanisms", SettingType::List, None, Some(""), "Empty: nobody is asked who he is."),
        threads("background.threads", "The same as shards: each core does this work beside its requests."),
        threads("log.cleaner.threads", "The same as shards: each core compacts its own partitions."),
        threads("num.io.threads", "The same as shards: each core serves its connections and writes its partitions."),
        threads(
            "num.network.threads",
            "The same as shards: each core serves its connections and writes its partitions.",
        ),
    ]
}

fn kind(key: &Key) -> SettingType {
    match key.kind {
        Kind::Int { max, .. } if max > i64::from(i32::MAX) => SettingType::Long,
        Kind::Int { .. } => SettingType::Int,
        Kind::Bytes { max, .. } if max > i32::MAX as u64 => SettingType::Long,
        Kind::Bytes { .. } => SettingType::Int,
        Kind::Bool => SettingType::Boolean,
        Kind::Listeners => SettingType::List,
        Kind::Text | Kind::Path | Kind::OneOf(_) | Kind::Cores | Kind::CpuList | Kind::IpCounts | Kind::Address => {
            SettingType::Text
        }
        Kind::TopicDefault => unreachable!("{} may change: the catalog describes it", key.name),
    }
}

/// Sizes as numbers: "64 MiB" is our way to write one, not Kafka's.
fn plain(key: &Key, text: &str) -> String {
    match key.kind {
        Kind::Bytes { .. } => value::bytes(text).map_or_else(|_| text.to_owned(), |bytes| bytes.to_string()),
        _ => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Flag;
    use super::*;

    fn settings(given: &[&str]) -> Vec<BrokerSetting> {
        let flags: Vec<Flag> = given.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        described(&Config::load(None, [], &flags).expect("good"), &[("memory", 77), ("shards", 3)], &at("host.example"))
    }

    fn at(host: &str) -> [Endpoint; 1] {
        [Endpoint { name: "PLAINTEXT".into(), host: host.into(), port: 9092, security_protocol: 0 }]
    }

    fn find<'a>(settings: &'a [BrokerSetting], name: &str) -> &'a BrokerSetting {
        settings.iter().find(|setting| setting.name == name).expect("a setting")
    }

    #[test]
    fn every_setting_is_told_once_with_what_acts() {
        let all = settings(&["node.id=4", "read.cache.bytes=1 MiB", "data_dir=/d"]);
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find(&all, "broker.id").value(), Some("4"));
        assert_eq!(find(&all, "read.cache.bytes").value(), Some("1048576"));
        assert_eq!(find(&all, "memory").value(), Some("77"));
        assert_eq!(["log.dir", "log.dirs"].map(|name| find(&all, name).value()), [Some("/d"); 2]);
        assert_eq!(find(&all, "controller.quorum.voters").value(), Some("4@host.example:9092"));
        assert_eq!(["shards", "num.io.threads"].map(|name| find(&all, name).value()), [Some("3"); 2]);
        assert_eq!(find(&settings(&["shards=5"]), "log.cleaner.threads").value(), Some("5"));
        assert_eq!(find(&all, "broker.rack").value(), None);
        assert_eq!(find(&all, "listener.security.protocol.map").value(), Some("PLAINTEXT:PLAINTEXT"));
        assert!(all.iter().all(|setting| !setting.doc.is_empty()));
    }

    #[test]
    fn types_are_kafkas() {
        let all = settings(&[]);
        let kinds =
            ["max.connections", "connections.max.idle.ms", "listeners", "auto.create.topics.enable", "broker.rack"];
        let kinds = kinds.map(|name| find(&all, name).kind);
        let expected =
            [SettingType::Int, SettingType::Long, SettingType::List, SettingType::Boolean, SettingType::Text];
        assert_eq!(kinds, expected);
    }
}
