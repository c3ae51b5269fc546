//! A Grafana dashboard over `/metrics`, to be imported as it is: it asks which Prometheus to read.
//!
//! Invariant: every metric and label that it asks for is one that `/metrics` gives.

pub const JSON: &str = include_str!("dashboard.json");

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;
    use shards::router::{Class, Stage};

    use super::*;
    use crate::http::collect::Round;
    use crate::http::metrics;
    use crate::http::report::tests::noted;

    fn is_name(c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_'
    }

    /// Every metric of `/metrics` with its labels, `le` and those that Prometheus adds included.
    fn served() -> BTreeMap<String, BTreeSet<String>> {
        let mut core = noted(Class::Produce, Stage::Sync, &[1]);
        core.server.requests = vec![("Produce", 1)];
        let page = metrics::text(&Round { cores: vec![Some(core)] }, true, "/");
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (family, ..) in metrics::tests::families() {
            found.entry(family).or_default();
        }
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name: String = line.chars().take_while(|c| is_name(*c)).collect();
            let labels = found.entry(name).or_default();
            labels.extend(labels_of(line));
        }
        // No thread of this process is a shard's.
        found.entry("corelog_shard_cpu_seconds_total".to_owned()).or_default().insert("shard".to_owned());
        found
    }

    /// The labels in the braces of a sample or selector.
    fn labels_of(text: &str) -> Vec<String> {
        let inside = text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let label = |part: &str| part.chars().take_while(|c| is_name(*c)).collect::<String>();
        inside.split(',').map(|part| label(part.trim())).filter(|label| !label.is_empty()).collect()
    }

    /// The text of every query, of panels and of variables.
    fn queries(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    match inner {
                        Value::String(text) if matches!(name.as_str(), "expr" | "definition") => {
                            found.push(text.clone());
                        }
                        inner => queries(inner, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_query_asks_for_what_is_served() {
        let board: Value = serde_json::from_str(JSON).expect("JSON");
        let mut asked = Vec::new();
        queries(&board, &mut asked);
        assert!(asked.len() > 30, "only {} queries", asked.len());
        let (served, mut seen) = (served(), 0);
        for query in &asked {
            for (at, _) in query.match_indices("corelog_").chain(query.match_indices("process_")) {
                if query[..at].chars().next_back().is_some_and(is_name) {
                    continue;
                }
                let rest = &query[at..];
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                let name = &rest[..end];
                let labels = served.get(name).unwrap_or_else(|| panic!("{name} is not served: {query}"));
                if rest[end..].starts_with('{') {
                    for label in labels_of(&rest[end..]) {
                        assert!(label == "instance" || labels.contains(&label), "{name} has no {label}: {query}");
                    }
                }
                seen += 1;
            }
        }
        assert!(seen > 40, "only {seen} metrics are asked for");
    }

    /// Brokers number their shards alike: what is told by shard is told by broker, too, and names both.
    #[test]
    fn shards_of_several_brokers_are_not_added_up() {
        let board: Value = serde_json::from_str(JSON).expect("JSON");
        let panels = board["panels"].as_array().expect("panels");
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        let mut by_shard = 0;
        for target in targets {
            let query = target["expr"].as_str().expect("a query");
            let labels = query.match_indices("by (").map(|(at, found)| &query[at + found.len()..]);
            for labels in labels.filter_map(|rest| Some(rest.split_once(')')?.0)) {
                let has = |label: &str| labels.split(',').any(|found| found.trim() == label);
                if has("shard") {
                    by_shard += 1;
                    let legend = target["legendFormat"].as_str().expect("a legend");
                    assert!(has("instance") && legend.contains("{{instance}}"), "{query}: {legend}");
                }
            }
        }
        assert!(by_shard > 9, "only {by_shard} queries");
    }

    #[test]
    fn it_loads_without_edits() {
        let board: Value = serde_json::from_str(JSON).expect("JSON");
        assert!(board["id"].is_null() && board["title"] == "corelog");
        let panels = board["panels"].as_array().expect("panels");
        let mut ids: Vec<i64> = panels.iter().map(|panel| panel["id"].as_i64().expect("an id")).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
            let place = &panel["gridPos"];
            assert!(place["x"].as_i64().zip(place["w"].as_i64()).is_some_and(|(x, w)| x + w <= 24), "{place}");
        }
    }
}
