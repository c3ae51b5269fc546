//! `/metrics`: what Prometheus reads. Pure but for `process`, which reads `/proc`.
//!
//! `native` has our own names, `kafka` those of Kafka's that dashboards use; each is a table of name, help and value.
//!
//! Invariant: every name is in one table, once; its help says what it counts and in which unit.

mod kafka;
mod native;
mod process;
mod text;

use super::collect::Round;
use text::Text;

/// Prometheus's text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything, as one page.
pub fn text(round: &Round, ready: bool, data_dir: &str) -> String {
    let mut text = Text::default();
    native::write(&mut text, round, ready, data_dir);
    kafka::write(&mut text, round, data_dir);
    process::write(&mut text);
    text.finish()
}

/// What a metric is for Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the broker.
    Counter,
    Gauge,
    Histogram,
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::http::report::tests::report;

    /// Name, kind and help of every metric there is, in order.
    pub fn families() -> Vec<(String, String, String)> {
        let page = text(&Round { cores: vec![Some(report())] }, true, "/");
        let lines: Vec<&str> = page.lines().collect();
        let family = |pair: &[&str]| {
            let (name, help) = pair[0].strip_prefix("# HELP ")?.split_once(' ')?;
            let kind = pair[1].strip_prefix("# TYPE ")?.strip_prefix(name)?.trim();
            Some((name.to_owned(), kind.to_owned(), help.to_owned()))
        };
        lines.windows(2).filter_map(family).collect()
    }

    #[test]
    fn every_name_stands_once_and_every_sample_is_of_one() {
        let mut names: Vec<String> = families().into_iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        let page = text(&Round { cores: vec![Some(report()), None, Some(report())] }, true, "/");
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().expect("a name");
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(names.iter().any(|known| known == name || known == family), "{line}");
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert!(page.contains("shard=\"2\"") && !page.contains("shard=\"1\",request"), "{page}");
    }

    #[test]
    fn sums_are_left_out_while_a_core_says_nothing() {
        let page = |cores| text(&Round { cores }, true, "/");
        let sum = "\nkafka_server_brokertopicmetrics_messagesin_total";
        assert!(page(vec![Some(report()), Some(report())]).contains(sum));
        let partly = page(vec![Some(report()), None]);
        assert!(!partly.contains(sum) && partly.contains("\ncorelog_shard_answers{shard=\"1\"} 0"), "{partly}");
    }

    #[test]
    fn counters_end_in_total_and_nothing_else_does() {
        let page = text(&Round { cores: vec![Some(report())] }, true, "/");
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            assert_eq!(line.ends_with(" counter"), line.contains("_total "), "{line}");
        }
    }
}
