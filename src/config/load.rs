//! Settings from a TOML file, the environment and flags, each on top of the one before. At start only.
//!
//! Invariant: every text held has passed the check of its key; a name that is no key never passes in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shards::catalog::TopicDefaults;
use shards::catalog::config::GroupDefaults;
use shards::catalog::config::Kind as TopicKind;
use toml_edit::{Document, Item, Value};

use super::keys::{self, Default, KEYS, Key, Kind};
use super::origin::{ConfigError, Flag, Origin};
use super::value;

const VARIABLE_PREFIX: &str = "CORELOG_";

/// Whether Kubernetes sets this variable in every container for a service called corelog, or corelog-something: it is not meant
/// for us.
fn is_service_link(name: &str, text: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_port = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // PORT_9092_TCP, and behind that nothing, _PROTO, _PORT or _ADDR.
    let is_address = |port: &str| {
        let mut parts = port.split('_');
        parts.next().is_some_and(is_port)
            && parts.next().is_some_and(|protocol| PROTOCOLS.contains(&protocol))
            && parts.next().is_none_or(|part| matches!(part, "PROTO" | "PORT" | "ADDR"))
            && parts.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && text.contains("://")
        || name.match_indices("_PORT_").any(|(at, found)| name.get(at + found.len()..).is_some_and(is_address))
}

#[derive(Clone, Debug)]
struct Setting {
    text: String,
    origin: Origin,
}

/// Checked settings. Readers name a key of the table; another name, or another type, is a mistake of ours and panics.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: BTreeMap<&'static str, Setting>,
}

impl Config {
    /// `file` lies below `variables` (those of the process, all of them), and these below `flags`. The first thing that is
    /// wrong ends it.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> Result<Config, ConfigError> {
        let (config, wrong) = Config::load_all(file, variables, flags);
        wrong.into_iter().next().map_or(Ok(config), Err)
    }

    /// As [`Config::load`], but with all that is wrong, in the order in which it was met. What is right is taken.
    pub fn load_all(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag],
    ) -> (Config, Vec<ConfigError>) {
        let (mut config, mut wrong) = (Config::default(), Vec::new());
        if let Some(path) = file {
            match fs::read_to_string(path) {
                Ok(text) => config.take_toml(path, &text, &mut wrong),
                Err(source) => wrong.push(ConfigError::Unreadable { path: path.to_owned(), source }),
            }
        }
        wrong.extend(variables.into_iter().filter_map(|(name, text)| config.take_variable(&name, text).err()));
        for Flag { flag, key, text } in flags {
            wrong.extend(config.take(Origin::Flag(flag), key, text.clone()).err());
        }
        wrong.extend(config.check_together().err());
        (config, wrong)
    }

    /// The settings of a file's text alone.
    pub fn of_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let (mut config, mut wrong) = (Config::default(), Vec::new());
        config.take_toml(path, text, &mut wrong);
        wrong.extend(config.check_together().err());
        wrong.into_iter().next().map_or(Ok(config), Err)
    }

    /// Sets what nothing else has set: a default of a subcommand.
    pub fn set_default(&mut self, command: &'static str, key: &str, text: &str) -> Result<(), ConfigError> {
        if self.given(key).is_some() { Ok(()) } else { self.take(Origin::Command(command), key, text.to_owned()) }
    }

    fn take(&mut self, origin: Origin, name: &str, text: String) -> Result<(), ConfigError> {
        let Some(key) = keys::find(name) else {
            return Err(ConfigError::Unknown {
                origin,
                key: name.to_owned(),
                nearest: keys::nearest(name).name.to_owned(),
            });
        };
        match value::check(key, &text) {
            Ok(()) => {
                self.settings.insert(key.name, Setting { text, origin });
                Ok(())
            }
            Err(why) => Err(ConfigError::Value { origin, key: key.name, text, why }),
        }
    }

    fn take_variable(&mut self, name: &str, text: String) -> Result<(), ConfigError> {
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { return Ok(()) };
        let origin = Origin::Variable(name.to_owned());
        match KEYS.iter().find(|key| key.variable() == name) {
            Some(key) => self.take(origin, key.name, text),
            None if is_service_link(name, &text) => Ok(()),
            None => Err(ConfigError::Unknown { origin, key: name.to_owned(), nearest: keys::nearest(rest).variable() }),
        }
    }

    fn take_toml(&mut self, path: &Path, text: &str, wrong: &mut Vec<ConfigError>) {
        let line =
            |at: Option<usize>| text.as_bytes().iter().take(at.unwrap_or(0)).filter(|b| **b == b'\n').count() + 1;
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(e) => {
                let (line, why) = (line(e.span().map(|span| span.start)), e.message().to_owned());
                return wrong.push(ConfigError::Toml { path: path.to_owned(), line, why });
            }
        };
        let table = document.as_table();
        for (name, item) in table.iter() {
            let key_at = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            let origin = Origin::File { path: path.to_owned(), line: line(key_at.map(|span| span.start)) };
            wrong.extend(self.take_item(origin, name, item).err());
        }
    }

    fn take_item(&mut self, origin: Origin, name: &str, item: &Item) -> Result<(), ConfigError> {
        if let Some(inner) = item.as_table_like() {
            return Err(no_tables(origin, name, inner));
        }
        let Some(key) = keys::find(name) else {
            return Err(ConfigError::Unknown {
                origin,
                key: name.to_owned(),
                nearest: keys::nearest(name).name.to_owned(),
            });
        };
        let text = toml_text(key, item).map_err(|(wanted, found)| ConfigError::Type {
            origin: origin.clone(),
            key: key.name,
            wanted,
            found,
        })?;
        self.take(origin, name, text)
    }

    /// What settings say together, beyond each by itself.
    fn check_together(&self) -> Result<(), ConfigError> {
        let together = |why: String| Err(ConfigError::Together(why));
        self.topic_defaults()?;
        self.group_defaults()?;
        if let (Some(least), Some(most)) = (self.bytes_given("journal.bytes"), self.bytes_given("journal.bytes.max"))
            && least > most
        {
            return together(format!(
                "journal.bytes ({least}) is over journal.bytes.max ({most}): lower the one or raise the other"
            ));
        }
        let (least, most) = (self.int("group.min.session.timeout.ms"), self.int("group.max.session.timeout.ms"));
        if least > most {
            return together(format!(
                "group.min.session.timeout.ms ({least}) is over group.max.session.timeout.ms ({most}), so that no member could \
                 join: lower the one or raise the other"
            ));
        }
        let listeners = self.listeners();
        for told in self.advertised_listeners() {
            let origin = self.origin("advertised.listeners");
            if !listeners.iter().any(|listener| listener.name == told.name) {
                return together(format!("{origin}: advertised.listeners names {}, and listeners does not", told.name));
            }
            if matches!(told.host.as_str(), "" | "0.0.0.0" | "::") || told.port == 0 {
                return together(format!(
                    "{origin}: clients cannot connect to {}:{}: advertise a host and a port that they can reach",
                    told.host, told.port
                ));
            }
        }
        Ok(())
    }

    /// The text of a key that was set.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|setting| setting.text.as_str())
    }

    pub fn origin(&self, name: &str) -> Origin {
        self.settings.get(name).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// The text in force; `None` where the default is worked out at start.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given(name).or_else(|| match known(name).default {
            Default::Is(text) => Some(text),
            Default::Computed(_) => None,
        })
    }

    /// The text in force, with the defaults of topic configs; `None`: it is worked out at start, or another setting counts.
    pub fn in_force(&self, key: &Key) -> Option<String> {
        self.given(key.name).map(str::to_owned).or_else(|| key.default_text())
    }

    pub fn int(&self, name: &str) -> i64 {
        self.read(name, value::int).unwrap_or_else(|| no_default(name))
    }

    /// `None`: the default is worked out at start.
    pub fn int_given(&self, name: &str) -> Option<i64> {
        self.read(name, value::int)
    }

    pub fn bytes(&self, name: &str) -> u64 {
        self.bytes_given(name).unwrap_or_else(|| no_default(name))
    }

    /// `None`: the default is worked out at start.
    pub fn bytes_given(&self, name: &str) -> Option<u64> {
        self.read(name, value::bytes)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.read(name, value::boolean).unwrap_or_else(|| no_default(name))
    }

    pub fn cores(&self) -> value::CoreSpec {
        self.read("cores", value::cores).unwrap_or(value::CoreSpec::All)
    }

    pub fn exclude(&self) -> Vec<usize> {
        self.read("exclude", value::cpu_list).unwrap_or_default()
    }

    pub fn listeners(&self) -> Vec<value::Listener> {
        self.read("listeners", value::listeners).unwrap_or_default()
    }

    /// Host and port of the broker's own HTTP; `None`: it is off.
    pub fn admin_listen(&self) -> Option<(String, u16)> {
        self.read("admin.listen", value::address).flatten()
    }

    pub fn advertised_listeners(&self) -> Vec<value::Listener> {
        self.read("advertised.listeners", value::listeners).unwrap_or_default()
    }

    /// What topics have that say nothing themselves.
    pub fn topic_defaults(&self) -> Result<TopicDefaults, ConfigError> {
        TopicDefaults::from_broker(|name| self.given(name)).map_err(|e| ConfigError::Together(e.to_string()))
    }

    /// What groups have that say nothing themselves, and what they may have.
    pub fn group_defaults(&self) -> Result<GroupDefaults, ConfigError> {
        GroupDefaults::from_broker(|name| self.given(name)).map_err(|e| ConfigError::Together(e.to_string()))
    }

    fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, value::Wrong>) -> Option<T> {
        let text = self.text(name)?;
        Some(parse(text).unwrap_or_else(|why| unreachable!("{name} = {text:?} was checked: {why}")))
    }
}

fn known(name: &str) -> &'static Key {
    keys::find(name).unwrap_or_else(|| unreachable!("{name} is not in the table of keys"))
}

fn no_default<T>(name: &str) -> T {
    unreachable!("{name} has no default of its own: ask what was given")
}

/// A table in the file: most likely one of Kafka's keys without its quotes.
fn no_tables(origin: Origin, name: &str, inner: &dyn toml_edit::TableLike) -> ConfigError {
    let mut path = name.to_owned();
    let mut table = Some(inner);
    while let Some((name, item)) = table.and_then(|table| table.iter().next()) {
        path = format!("{path}.{name}");
        table = item.as_table_like();
    }
    if keys::find(&path).is_some() {
        return ConfigError::Unquoted { origin, key: path };
    }
    let nearest = keys::nearest(&path).name.to_owned();
    ConfigError::Unknown { origin, key: path, nearest }
}

/// A TOML value as the text of its key, or (what is wanted, what it is).
fn toml_text(key: &Key, item: &Item) -> Result<String, (&'static str, &'static str)> {
    let wanted = wanted(key);
    let wrong = (wanted.words, item.type_name());
    match item.as_value() {
        Some(Value::Integer(n)) if wanted.integer => Ok(n.value().to_string()),
        Some(Value::Float(n)) if wanted.float => Ok(n.value().to_string()),
        Some(Value::Boolean(b)) if wanted.boolean => Ok(b.value().to_string()),
        Some(Value::String(s)) if wanted.text => Ok(s.value().clone()),
        Some(Value::Array(array)) if wanted.array => {
            let part = |value: &Value| match value {
                Value::String(s) => Ok(s.value().clone()),
                Value::Integer(n) => Ok(n.value().to_string()),
                _ => Err(wrong),
            };
            let parts = array.iter().map(part).collect::<Result<Vec<_>, _>>()?;
            // One number alone would read as a count of cores.
            let alone = key.kind == Kind::Cores && parts.len() == 1;
            Ok(parts.iter().map(|p| if alone { format!("{p}-{p}") } else { p.clone() }).collect::<Vec<_>>().join(","))
        }
        _ => Err(wrong),
    }
}

/// The types of TOML that a key takes.
#[derive(Clone, Copy)]
struct Wanted {
    words: &'static str,
    integer: bool,
    float: bool,
    boolean: bool,
    text: bool,
    array: bool,
}

fn wanted(key: &Key) -> Wanted {
    let none = Wanted { words: "", integer: false, float: false, boolean: false, text: false, array: false };
    let integer = Wanted { words: "a whole number", integer: true, ..none };
    let boolean = Wanted { words: "true or false", boolean: true, ..none };
    let text = Wanted { words: "a text", text: true, ..none };
    let texts = Wanted { words: "a text or an array", text: true, array: true, ..none };
    match key.kind {
        Kind::Int { .. } => integer,
        Kind::Bytes { .. } => {
            Wanted { words: "a number of bytes, or a text such as \"64 MiB\"", integer: true, text: true, ..none }
        }
        Kind::Bool => boolean,
        Kind::Text | Kind::Path | Kind::OneOf(_) => text,
        Kind::Cores => Wanted { words: "a count, a text such as \"0-3,8\", or an array", integer: true, ..texts },
        Kind::Address => Wanted { words: "a text, or 0", integer: true, ..text },
        Kind::CpuList | Kind::Listeners | Kind::IpCounts => texts,
        Kind::TopicDefault => match key.topic_config().map(|config| config.kind) {
            Some(TopicKind::Bool) => boolean,
            Some(TopicKind::Ratio) => Wanted { words: "a number", integer: true, float: true, ..none },
            Some(TopicKind::OneOf(_) | TopicKind::OffsetReset) => text,
            Some(TopicKind::ListOf(_) | TopicKind::AnyList | TopicKind::ThrottledReplicas) => texts,
            Some(TopicKind::Int { .. } | TopicKind::Long { .. } | TopicKind::GzipLevel) | None => integer,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Config, String> {
        Config::of_text(Path::new("corelog.toml"), text).map_err(|e| e.to_string())
    }

    fn variables(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Config::load(None, pairs, &[]).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_lie_over_variables_and_these_over_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("corelog.toml");
        fs::write(&path, "\"num.partitions\" = 2\nshards = 3\nspin_us = 4\n").expect("written");
        let variables = [("CORELOG_NUM_PARTITIONS", "5"), ("CORELOG_SHARDS", "6"), ("HOME", "/")];
        let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let flags = [Flag::set("num.partitions=7").expect("a flag")];
        let config = Config::load(Some(&path), variables, &flags).expect("all good");
        assert_eq!((config.int("num.partitions"), config.int("shards"), config.int("spin_us")), (7, 6, 4));
        assert_eq!(config.origin("num.partitions"), Origin::Flag("--set"));
        assert_eq!(config.origin("shards"), Origin::Variable("CORELOG_SHARDS".into()));
        assert_eq!(config.origin("spin_us"), Origin::File { path, line: 3 });
        assert_eq!((config.int("node.id"), config.origin("node.id")), (1, Origin::Default));
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line_and_the_nearest_key() {
        let told = file("# one\n\nshrads = 2\n").expect_err("refused");
        assert_eq!(told, "corelog.toml:3: there is no key `shrads`; the nearest is `shards`");
        let told = variables(&[("CORELOG_NUM_PARTITONS", "2")]).expect_err("refused");
        assert!(told.ends_with("`CORELOG_NUM_PARTITONS`; the nearest is `CORELOG_NUM_PARTITIONS`"), "{told}");
        let flags = [Flag::set("num.partitons=4").expect("a flag")];
        let told = Config::load(None, [], &flags).expect_err("refused").to_string();
        assert_eq!(told, "--set: there is no key `num.partitons`; the nearest is `num.partitions`");
        assert!(file("\"log.dirs\" = \"/data\"").expect_err("refused").contains("`data_dir`"));
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_of_our_name_is_not_ours() {
        let links = [
            ("CORELOG_SERVICE_HOST", "10.0.0.1"),
            ("CORELOG_PORT", "tcp://10.0.0.1:9092"),
            ("CORELOG_PORT_9092_TCP", "x"),
        ];
        assert!(variables(&links).is_ok());
        let of_others = [
            ("CORELOG_BOOTSTRAP_SERVICE_HOST", "10.0.0.1"),
            ("CORELOG_BOOTSTRAP_SERVICE_PORT", "9092"),
            ("CORELOG_BOOTSTRAP_SERVICE_PORT_KAFKA", "9092"),
            ("CORELOG_BOOTSTRAP_PORT", "tcp://10.0.0.1:9092"),
            ("CORELOG_BOOTSTRAP_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("CORELOG_BOOTSTRAP_PORT_9092_TCP_PROTO", "tcp"),
            ("CORELOG_BOOTSTRAP_PORT_9092_TCP_PORT", "9092"),
            ("CORELOG_BOOTSTRAP_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("CORELOG_METRICS_PORT_9644_UDP", "udp://10.0.0.1:9644"),
        ];
        assert!(variables(&of_others).is_ok());
        for ours in ["CORELOG_LISTEN_PORT", "CORELOG_PORT_RANGE", "CORELOG_A_PORT_TCP", "CORELOG_A_PORT_1_TCP_NAME"] {
            assert!(variables(&[(ours, "9092")]).is_err(), "{ours}");
        }
    }

    #[test]
    fn a_kafka_key_without_quotes_is_told_how_to_write_it() {
        let told = file("shards = 1\nnum.partitions = 4\n").expect_err("refused");
        assert_eq!(told, "corelog.toml:2: write `\"num.partitions\" = …`, with the key in quotes");
        let told = file("[broker]\nshards = 4\n").expect_err("refused");
        assert!(told.starts_with("corelog.toml:1: there is no key `broker.shards`"), "{told}");
    }

    #[test]
    fn a_wrong_type_or_range_is_told_with_its_line() {
        let cases = [
            ("\nshards = \"two\"", "corelog.toml:2: `shards` wants a whole number, and this is string"),
            ("pin = 1", "corelog.toml:1: `pin` wants true or false, and this is integer"),
            ("shards = 0", "corelog.toml:1: `shards` = \"0\": it must be from 1 to 1000"),
            ("memory = \"1 MiB\"", "corelog.toml:1: `memory` = \"1 MiB\": it must be from 64 MiB to 64 TiB"),
            ("listeners = true", "corelog.toml:1: `listeners` wants a text or an array, and this is boolean"),
            (
                "log_level = \"loud\"",
                "corelog.toml:1: `log_level` = \"loud\": it must be one of error, warn, info, debug, trace",
            ),
            ("shards 2", "corelog.toml:1: this is no TOML"),
            ("shards = 1\nshards = 2", "corelog.toml:2: this is no TOML"),
        ];
        for (text, told) in cases {
            let found = file(text).err().unwrap_or_default();
            assert!(found.starts_with(told), "{text}: {found}");
        }
        let told = file("\n\"log.segment.bytes\" = 5").expect_err("refused");
        assert!(told.starts_with("corelog.toml:2: `log.segment.bytes` = \"5\"") && told.contains("1048576"), "{told}");
        assert!(Flag::set("shards").is_err());
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let journals = "\"journal.bytes\" = \"512 MiB\"\n\"journal.bytes.max\" = \"256 MiB\"";
        assert!(file(journals).expect_err("over the maximum").contains("journal.bytes.max"));
        assert!(file("\"advertised.listeners\" = \"OTHER://a:1\"").expect_err("no such listener").contains("OTHER"));
        assert!(file("\"advertised.listeners\" = \"PLAINTEXT://0.0.0.0:9092\"").is_err());
        let sessions = "\"group.min.session.timeout.ms\" = 10\n\"group.max.session.timeout.ms\" = 9";
        assert!(file(sessions).expect_err("no time-out is left").contains("group.max.session.timeout.ms (9)"));
        let lags = "\"log.cleaner.min.compaction.lag.ms\" = 10\n\"log.cleaner.max.compaction.lag.ms\" = 5";
        assert!(file(lags).is_err());
    }

    #[test]
    fn arrays_and_numbers_read_as_what_they_mean() {
        let config = file("cores = [3]\nexclude = [1, 2]\nlisteners = [\"A://:1\", \"B://:2\"]\nmemory = 1073741824")
            .expect("good");
        assert_eq!(config.cores(), value::CoreSpec::List(vec![3]));
        assert_eq!(config.exclude(), [1, 2]);
        assert_eq!(config.listeners().len(), 2);
        assert_eq!(config.bytes_given("memory"), Some(1 << 30));
        assert_eq!(file("cores = 2").expect("a count").cores(), value::CoreSpec::Count(2));
    }
}
