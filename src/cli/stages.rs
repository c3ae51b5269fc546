//! `corelog stages`: where a broker's time goes, by core and stage.

use serde_json::Value;

use super::Failure;
use super::admin::Admin;
use super::report::{Shown, table};

/// Shows where the time goes in a running broker: every stage of a request, on every core.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// All cores together only.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    admin: Admin,
}

const HEAD: [&str; 9] = ["shard", "request", "stage", "count", "mean µs", "p50 µs", "p99 µs", "p99.9 µs", "max µs"];

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let told = args.admin.get("/v1/stages")?;
    let data = if args.all { told["all"].clone() } else { told.clone() };
    args.shown.show(&data, || {
        let shards = told["shards"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut rows = Vec::new();
        if !args.all {
            for shard in shards {
                rows.extend(rows_of(&shard["shard"].to_string(), &shard["stages"]));
            }
        }
        if args.all || shards.len() > 1 {
            rows.extend(rows_of("all", &told["all"]));
        }
        table(&HEAD, &rows)
    })
}

/// A line for each stage, in the order in which requests go through them.
fn rows_of(shard: &str, stages: &Value) -> Vec<Vec<String>> {
    let stages = stages.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |stage: &Value| {
        let mean = number(stage, "sum_ns") / number(stage, "count");
        let text = |name: &str| stage[name].as_str().unwrap_or_default().to_owned();
        let mut row = vec![shard.to_owned(), text("request"), text("stage")];
        row.push(stage["count"].to_string());
        row.push(micros(mean));
        row.extend(["p50_ns", "p99_ns", "p999_ns", "max_ns"].map(|name| micros(number(stage, name))));
        row
    };
    stages.iter().map(row).collect()
}

fn number(stage: &Value, name: &str) -> f64 {
    stage[name].as_f64().unwrap_or(0.0)
}

fn micros(nanos: f64) -> String {
    format!("{:.1}", nanos / 1000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_told_in_microseconds() {
        let stage = |name: &str, count: u64| {
            json!({ "request": "other", "stage": name, "count": count, "sum_ns": 3_000, "p50_ns": 1_000, "p99_ns": 2_000, "p999_ns": 2_000,
                    "max_ns": 2_040 })
        };
        let rows = rows_of("0", &json!([stage("decode", 2)]));
        assert_eq!(
            rows,
            [["0", "other", "decode", "2", "1.5", "1.0", "2.0", "2.0", "2.0"].map(str::to_owned).to_vec()]
        );
        assert!(rows_of("0", &Value::Null).is_empty());
    }
}
