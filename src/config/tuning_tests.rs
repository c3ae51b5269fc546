//! tuning.md's tables are those of the code: the test fails when they differ, and rewrites them with UPDATE_TUNING=1.

use std::fs;
use std::path::Path;

use shards::catalog::config::TOPIC_CONFIGS;

use super::keys::{Default, KEYS, Key, Kind, binary, topic_range};
use super::value;

const PAGE: &str = "tuning.md";

/// The part of the page between two marks becomes `table`.
fn replaced(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{PAGE} lacks the line {begin:?}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{PAGE} lacks the line {end:?}"));
    format!("{before}{begin}{table}{end}{after}")
}

fn default_of(key: &Key) -> String {
    match key.default {
        Default::Is("") => "empty".to_owned(),
        Default::Is(text) => match key.kind {
            Kind::Bytes { .. } => format!("{} ({text})", binary(text.parse().expect("a number of bytes"))),
            _ => format!("`{text}`"),
        },
        Default::Computed(words) => words.to_owned(),
    }
}

fn broker_keys() -> String {
    let mut table = "| key | default | range | what it does and costs |\n|---|---|---|---|\n".to_owned();
    for key in KEYS.iter().filter(|key| key.kind != Kind::TopicDefault) {
        table += &format!("| `{}` | {} | {} | {} |\n", key.name, default_of(key), key.kind.range(), key.doc);
    }
    table
}

fn topic_keys() -> String {
    let mut table = "| key | default | topic config | counts |\n|---|---|---|---|\n".to_owned();
    for key in KEYS.iter().filter(|key| key.kind == Kind::TopicDefault) {
        let config = key.topic_config().expect("a topic config stands behind it");
        let place = config.synonyms.iter().position(|synonym| synonym.key == key.name).expect("it is a synonym");
        let default = match key.default_text().as_deref() {
            None => "unset".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let counts = match place.checked_sub(1) {
            None => "first".to_owned(),
            Some(before) => format!("when `{}` is unset", config.synonyms[before].key),
        };
        let mark = if config.acted_on { "" } else { " *" };
        table += &format!("| `{}` | {default} | `{}`{mark} | {counts} |\n", key.name, config.name);
    }
    table
}

fn topic_configs() -> String {
    let mut table = "| topic config | acts | default | range | what it does |\n|---|---|---|---|---|\n".to_owned();
    for config in &TOPIC_CONFIGS {
        let acts = if config.acted_on { "yes" } else { "not yet" };
        let default = match config.default {
            None => "unset".to_owned(),
            Some("") => "empty".to_owned(),
            Some(text) => format!("`{text}`"),
        };
        let range = topic_range(config.kind);
        table += &format!("| `{}` | {acts} | {default} | {range} | {} |\n", config.name, config.doc);
    }
    table
}

fn metrics() -> String {
    let mut table = "| metric | kind | what it says |\n|---|---|---|\n".to_owned();
    for (name, kind, help) in crate::http::metrics::tests::families() {
        table += &format!("| `{name}` | {kind} | {help} |\n");
    }
    table
}

#[test]
fn tuning_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = fs::read_to_string(&path).expect("the page");
    let mut wanted = replaced(&page, "broker keys", &broker_keys());
    wanted = replaced(&wanted, "topic defaults", &topic_keys());
    wanted = replaced(&wanted, "topic configs", &topic_configs());
    wanted = replaced(&wanted, "metrics", &metrics());
    if std::env::var_os("UPDATE_TUNING").is_some() {
        fs::write(&path, &wanted).expect("written");
    } else {
        assert!(page == wanted, "{PAGE} differs from the tables: UPDATE_TUNING=1 cargo test --lib tuning rewrites it");
    }
}

#[test]
fn every_broker_setting_behind_a_topic_config_is_a_key_once() {
    let synonyms = TOPIC_CONFIGS.iter().flat_map(|config| config.broker_settings()).collect::<Vec<_>>();
    for name in &synonyms {
        assert_eq!(KEYS.iter().filter(|key| key.name == *name).count(), 1, "{name}");
    }
    assert_eq!(KEYS.iter().filter(|key| key.kind == Kind::TopicDefault).count(), synonyms.len());
}

#[test]
fn keys_and_their_variables_are_unique_and_defaults_pass_their_check() {
    let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!(variables.len(), KEYS.len());
    for key in KEYS {
        if let Default::Is(text) = key.default {
            assert_eq!(value::check(key, text), Ok(()), "{}", key.name);
        }
        assert!(key.kind == Kind::TopicDefault || key.doc.ends_with('.'), "{} is not explained", key.name);
    }
}
