//! What is drawn: rates and times out of two looks at a broker. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::look::Look;
use crate::client::{StageTimes, stages_between};

/// Rows of text, by part of the screen. The busiest partitions and clients come first.
#[derive(Debug, Default)]
pub struct Frame {
    pub cores: Vec<Vec<String>>,
    pub stages: Vec<StageRow>,
    pub partitions: Vec<Vec<String>>,
    pub clients: Vec<Vec<String>>,
    /// The most telling come first.
    pub disk: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct StageRow {
    pub cells: Vec<String>,
    /// All time spent there between the two looks.
    pub spent_ns: u64,
}

pub const CORES: [&str; 11] = [
    "shard",
    "cpu %",
    "records/s",
    "in",
    "out",
    "commits/s",
    "rec/commit",
    "clients",
    "parked",
    "waiting",
    "journal %",
];
pub const STAGES: [&str; 9] = ["request", "stage", "/s", "share", "mean", "p50", "p99", "p99.9", "max"];
pub const PARTITIONS: [&str; 6] = ["partition", "shard", "records/s", "in", "out", "size"];
pub const CLIENTS: [&str; 6] = ["client", "address", "requests/s", "in", "out", "in flight"];

pub fn frame(before: &Look, now: &Look) -> Frame {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
    Frame {
        cores: cores(before, now, seconds),
        stages: stages(&before.stages, &now.stages, seconds),
        partitions: partitions(before, now, seconds),
        clients: clients(before, now, seconds),
        disk: disk(before, now, seconds),
    }
}

fn cores(before: &Look, now: &Look, seconds: f64) -> Vec<Vec<String>> {
    let row = |shard: u32| {
        let rate = |name| (now.metrics.of_shard(name, shard) - before.metrics.of_shard(name, shard)).max(0.0) / seconds;
        let is = |name| now.metrics.of_shard(name, shard);
        let (records, commits) = (rate("corelog_appended_records_total"), rate("corelog_commits_total"));
        let out = rate("corelog_read_memory_bytes_total") + rate("corelog_read_disk_bytes_total");
        vec![
            shard.to_string(),
            format!("{:.0}", rate("corelog_shard_cpu_seconds_total") * 100.0),
            count(records),
            per_second(rate("corelog_appended_bytes_total")),
            per_second(out),
            count(commits),
            if commits > 0.0 { format!("{:.1}", records / commits) } else { "-".to_owned() },
            count(is("corelog_connections")),
            count(is("corelog_fetches_parked")),
            count(is("corelog_appends_waiting")),
            count(is("corelog_journal_used_percent")),
        ]
    };
    now.metrics.shards().into_iter().map(row).collect()
}

fn disk(before: &Look, now: &Look, seconds: f64) -> Vec<String> {
    let rate = |name| per_second((now.metrics.sum(name) - before.metrics.sum(name)).max(0.0) / seconds);
    let (free, all) = (now.metrics.whole("corelog_disk_free_bytes"), now.metrics.whole("corelog_disk_bytes"));
    vec![
        format!("journal {}", rate("corelog_journal_written_bytes_total")),
        format!("segments {}", rate("corelog_segment_written_bytes_total")),
        format!("read {}", rate("corelog_read_disk_bytes_total")),
        format!("{} free of {}", size(free), size(all)),
        format!("{} reads wait", count(now.metrics.sum("corelog_disk_reads_queued"))),
        format!("{} not yet in segments", size(now.metrics.sum("corelog_write_window_bytes"))),
        format!("{} resident memory", size(now.metrics.whole("process_resident_memory_bytes"))),
    ]
}

/// By kind of request, the whole of it first and then its stages in order.
fn stages(before: &Value, now: &Value, seconds: f64) -> Vec<StageRow> {
    let row = |times: StageTimes| {
        let mut cells = vec![times.request.clone(), times.stage.clone(), count(times.count as f64 / seconds)];
        cells.push(times.share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share)));
        cells.push(took(times.mean_ns()));
        cells.extend([0.5, 0.99, 0.999].map(|quantile| took(times.quantile_ns(quantile))));
        cells.push(took(times.max_ns()));
        StageRow { cells, spent_ns: times.sum_ns }
    };
    stages_between(before, now).into_iter().map(row).collect()
}

fn partitions(before: &Look, now: &Look, seconds: f64) -> Vec<Vec<String>> {
    let rows = rates(&before.partitions, &now.partitions, "partitions", seconds, |told| {
        format!("{}-{}", text(told, "topic"), told["partition"])
    });
    rows.into_iter()
        .map(|row| {
            let size = size(number(row.told, "size_bytes") as f64);
            let (records, from, to) =
                (row.rate("appended_records"), row.rate("appended_bytes"), row.rate("read_bytes"));
            vec![
                row.name.clone(),
                row.told["shard"].to_string(),
                count(records),
                per_second(from),
                per_second(to),
                size,
            ]
        })
        .collect()
}

fn clients(before: &Look, now: &Look, seconds: f64) -> Vec<Vec<String>> {
    let rows = rates(&before.clients, &now.clients, "clients", seconds, |told| text(told, "peer"));
    rows.into_iter()
        .map(|row| {
            let (requests, from, to) = (row.rate("requests"), row.rate("received_bytes"), row.rate("sent_bytes"));
            let client = row.told["client_id"].as_str().unwrap_or("-").to_owned();
            let waiting = row.told["in_flight"].to_string();
            vec![client, row.name.clone(), count(requests), per_second(from), per_second(to), waiting]
        })
        .collect()
}

/// One of many of which the busiest are told, now and a look before.
struct Rated<'a> {
    name: String,
    told: &'a Value,
    before: &'a Value,
    seconds: f64,
}

impl Rated<'_> {
    fn rate(&self, name: &str) -> f64 {
        number(self.told, name).saturating_sub(number(self.before, name)) as f64 / self.seconds
    }

    fn bytes(&self) -> f64 {
        ["appended_bytes", "read_bytes", "received_bytes", "sent_bytes"].map(|name| self.rate(name)).iter().sum()
    }
}

/// Those that moved bytes since the look before come first. What was not among the busiest then has no rate yet.
fn rates<'a>(
    before: &'a Value,
    now: &'a Value,
    list: &str,
    seconds: f64,
    name: impl Fn(&Value) -> String,
) -> Vec<Rated<'a>> {
    let earlier: BTreeMap<String, &Value> = items(before, list).iter().map(|told| (name(told), told)).collect();
    let rated = items(now, list).iter().map(|told| {
        let name = name(told);
        let before = earlier.get(&name).copied().unwrap_or(told);
        Rated { name, told, before, seconds }
    });
    let mut rated: Vec<Rated<'a>> = rated.collect();
    rated.sort_by(|a, b| b.bytes().total_cmp(&a.bytes()));
    rated
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

/// Three digits and a unit, as far as there are so many.
fn count(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

fn size(bytes: f64) -> String {
    scaled(bytes, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

fn per_second(bytes: f64) -> String {
    scaled(bytes, 1024.0, &[" B/s", " KiB/s", " MiB/s", " GiB/s", " TiB/s"])
}

/// A time in the unit that it fits.
fn took(nanos: u64) -> String {
    scaled(nanos as f64, 1000.0, &[" ns", " µs", " ms", " s"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let (mut number, mut unit) = (number, 0);
    // What would be rounded to a whole step is one of the next unit.
    while number >= step - 0.5 && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let digits = if number >= 99.95 || (unit == 0 && number.fract() == 0.0) { 0 } else { 1 };
    format!("{number:.digits$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::super::look::Metrics;
    use super::*;

    fn look(at: Instant, metrics: &str, stages: Value, partitions: Value, clients: Value) -> Look {
        Look { at, state: "ready".to_owned(), metrics: Metrics::of(metrics), stages, partitions, clients }
    }

    #[test]
    fn numbers_have_a_unit_that_fits() {
        for (number, told) in [(0.0, "0"), (3.26, "3.3"), (999.4, "999"), (999.6, "1.0k"), (12_345.0, "12.3k")] {
            assert_eq!(count(number), told);
        }
        assert_eq!((size(0.0), size(1_536.0), size(1048576.0)), ("0 B".into(), "1.5 KiB".into(), "1.0 MiB".into()));
        assert_eq!((took(850), took(1_250), took(70_000_000)), ("850 ns".into(), "1.2 µs".into(), "70.0 ms".into()));
    }

    #[test]
    fn rates_are_what_grew_between_two_looks() {
        let start = Instant::now();
        let partitions = |bytes: u64| {
            json!({ "partitions": [
                { "topic": "idle", "partition": 0, "shard": 0, "appended_records": 9, "appended_bytes": 9_000_000,
                  "read_bytes": 0, "size_bytes": 100 },
                { "topic": "t", "partition": 1, "shard": 1, "appended_records": bytes / 100, "appended_bytes": bytes,
                  "read_bytes": 0, "size_bytes": 2048 },
            ] })
        };
        let clients = |requests: u64| {
            json!({ "clients": [{ "client_id": "c", "peer": "127.0.0.1:5", "requests": requests, "received_bytes": 0,
                                  "sent_bytes": 0, "in_flight": 2 }] })
        };
        let metrics = |records: u64| {
            format!(
                "corelog_partitions{{shard=\"0\"}} 2\ncorelog_appended_records_total{{shard=\"0\"}} {records}\n\
                 corelog_commits_total{{shard=\"0\"}} {}\n",
                records / 5
            )
        };
        let before = look(start, &metrics(100), Value::Null, partitions(0), clients(10));
        let later = start + Duration::from_secs(2);
        let now = look(later, &metrics(300), Value::Null, partitions(4096), clients(30));
        let frame = frame(&before, &now);
        assert_eq!(frame.cores[0][..7], ["0", "0", "100", "0 B/s", "0 B/s", "20", "5.0"].map(str::to_owned));
        assert_eq!(frame.partitions[0], ["t-1", "1", "20", "2.0 KiB/s", "0 B/s", "2.0 KiB"].map(str::to_owned));
        assert_eq!(frame.partitions[1][0], "idle-0");
        assert_eq!(frame.clients[0], ["c", "127.0.0.1:5", "10", "0 B/s", "0 B/s", "2"].map(str::to_owned));
    }

    #[test]
    fn times_are_of_what_came_between_two_looks_and_the_whole_comes_first() {
        let told = |stage: &str, count: u64, sum: u64, buckets: Value| json!({ "request": "produce", "stage": stage, "count": count, "sum_ns": sum, "buckets": buckets });
        let before = json!({ "all": [told("total", 10, 10_000, json!([[1_000, 10]]))] });
        let grown = told("total", 110, 10_000 + 100 * 2_000, json!([[1_000, 10], [2_000, 99], [9_000, 1]]));
        let now = json!({ "all": [told("read", 100, 50_000, json!([[500, 100]])), grown] });
        let rows = stages(&before, &now, 10.0);
        let wanted = [
            ["produce", "total", "10", "100 %", "2.0 µs", "2.0 µs", "2.0 µs", "9.0 µs", "9.0 µs"],
            ["produce", "read", "10", "25 %", "500 ns", "500 ns", "500 ns", "500 ns", "500 ns"],
        ];
        assert_eq!(
            rows.iter().map(|row| row.cells.clone()).collect::<Vec<_>>(),
            wanted.map(|row| row.map(str::to_owned))
        );
        assert_eq!(rows.iter().map(|row| row.spent_ns).collect::<Vec<_>>(), [200_000, 50_000]);
        assert!(stages(&now, &now, 10.0).is_empty(), "nothing went through since");
    }
}
