//! Everything about a run as one JSON document. Pure.
//!
//! Names end in their unit; the form only ever grows.

use serde_json::{Value, json};

use crate::bench::latency::{Latency, QUANTILES};
use crate::bench::machine::Machine;
use crate::bench::outcome::{Outcome, Second};
use crate::bench::plan::{Load, Plan};
use crate::bench::stages::BrokerStages;
use crate::client::StageTimes;

/// Ticks for each halving of the distance to 100 %.
const TICKS: u32 = 2;

pub fn json(outcome: &Outcome, machines: &[Machine]) -> Value {
    let tally = &outcome.tally;
    json!({
        "corelog_bench": 1,
        "verdict": {
            "valid": outcome.is_valid(),
            "partial": outcome.is_partial(),
            "failures": outcome.failures,
            "faults": outcome.faults(),
            "doubts": outcome.doubts(),
            "merged_doubts": outcome.merged_doubts,
        },
        "started_ms": outcome.started_ms,
        "measured_s": outcome.measured.as_secs_f64(),
        "records_per_s": outcome.records_per_second(),
        "megabytes_per_s": outcome.megabytes_per_second(),
        "measured": {
            "acked": tally.acked,
            "acked_bytes": tally.acked_bytes,
            "acked_in_time": tally.acked_in_time,
            "acked_bytes_in_time": tally.acked_bytes_in_time,
            "requests": tally.requests,
            "read": tally.read,
            "read_bytes": tally.read_bytes,
        },
        "whole_run": {
            "made": outcome.made,
            "acked": outcome.acked,
            "last_ack_after_s": outcome.last_ack.as_secs_f64(),
            "read": outcome.findings.seen,
            "lost": outcome.lost,
            "duplicated": outcome.findings.duplicated,
            "reordered": outcome.findings.reordered,
            "foreign": outcome.foreign,
            "overrun": outcome.overrun,
        },
        "latency_us": {
            "ack": latency(&tally.ack),
            "bare_ack": latency(&tally.bare_ack),
            "end_to_end": latency(&tally.end_to_end),
            "service": latency(&tally.service),
            "lateness": latency(&tally.lateness),
        },
        "generator": {
            "writer_cpu_s": outcome.writer_cpu.as_secs_f64(),
            "reader_cpu_s": outcome.reader_cpu.as_secs_f64(),
            "writer_cpu_us_per_record": outcome.writer_cpu_us_per_record(),
            "reader_cpu_us_per_record": outcome.reader_cpu_us_per_record(),
            "reader_busy": outcome.reader_busy,
        },
        "catch_up": outcome.has_backlog().then(|| json!({
            "records": outcome.catch_up.records,
            "bytes": outcome.catch_up.bytes,
            "took_s": outcome.catch_up.took.as_secs_f64(),
            "records_per_s": outcome.catch_up.records_per_second(),
            "megabytes_per_s": outcome.catch_up.megabytes_per_second(),
        })),
        "broker": outcome.broker.map(|usage| json!({
            "cpu_s": usage.cpu.as_secs_f64(),
            "over_s": usage.over.as_secs_f64(),
            "records": usage.records,
            "bytes": usage.bytes,
            "cores": usage.cores(),
            "cpu_s_per_gib": usage.cpu_s_per_gib(),
            "cpu_us_per_record": usage.cpu_us_per_record(),
        })),
        "broker_software": outcome.software.as_ref().map(|software| json!({
            "corelog": software.version,
            "settings": software.settings,
        })),
        "stages": stages(&outcome.stages),
        "plan": plan(&outcome.plan),
        "merged_from": outcome.merged_from,
        "machine": machines.first().map(machine),
        "machines": machines.iter().map(machine).collect::<Vec<_>>(),
        "seconds": outcome.seconds.iter().map(second).collect::<Vec<_>>(),
    })
}

fn machine(machine: &Machine) -> Value {
    json!({
        "host": machine.host,
        "kernel": machine.kernel,
        "architecture": machine.architecture,
        "processor": machine.processor,
        "processors": machine.processors,
        "memory_bytes": machine.memory_bytes,
        "corelog": machine.version,
        "unoptimised": machine.unoptimised,
    })
}

fn plan(plan: &Plan) -> Value {
    let rate = match plan.load {
        Load::Rate(rate) => json!(rate),
        Load::Max => json!("max"),
    };
    json!({
        "bootstrap": plan.bootstrap,
        "topic": plan.topic,
        "partitions": plan.partitions,
        "rate": rate,
        "arrivals": plan.arrivals.text(),
        "batch_records": plan.batch_records,
        "record_bytes": plan.sizes.mean(),
        "record_sizes": plan.sizes.text(),
        "compressibility": plan.compressibility,
        "keys": plan.keys.map(|range| json!({ "count": range.count, "skew": range.skew })),
        "duration_s": plan.duration.as_secs_f64(),
        "warmup_s": plan.warmup.as_secs_f64(),
        "clients": plan.clients,
        "threads": plan.threads,
        "linger_ms": plan.linger.as_secs_f64() * 1000.0,
        "codec": format!("{:?}", plan.codec).to_lowercase(),
        "in_flight": plan.in_flight,
        "batch_bytes": plan.batch_bytes,
        "consume": plan.consume,
        "read_after_s": plan.read_after.as_secs_f64(),
        "group_members": plan.group_members,
        "broker_pid": plan.broker_pid,
        "admin": plan.admin,
    })
}

/// What the broker's histograms hold of the measured part; `missing` says why there is nothing.
fn stages(stages: &Result<BrokerStages, String>) -> Value {
    let told = |times: &StageTimes| {
        json!({
            "request": times.request,
            "stage": times.stage,
            "count": times.count,
            "sum_ns": times.sum_ns,
            "share_of_total": times.share,
            "mean_ns": times.mean_ns(),
            "p50_ns": times.quantile_ns(0.5),
            "p99_ns": times.quantile_ns(0.99),
            "p99.9_ns": times.quantile_ns(0.999),
            "max_ns": times.max_ns(),
            // Upper end of each bucket, and how many fell into it.
            "buckets": times.buckets,
        })
    };
    match stages {
        Ok(stages) => json!({
            "admin": stages.admin,
            "over_s": stages.over.as_secs_f64(),
            "all": stages.times.iter().map(told).collect::<Vec<_>>(),
        }),
        Err(why) => json!({ "missing": why }),
    }
}

fn latency(latency: &Latency) -> Value {
    let steps = latency.steps(TICKS).into_iter().map(|(value, quantile, count)| json!([value, quantile, count]));
    let mut told = json!({ "count": latency.count(), "mean": latency.mean_us() });
    for (name, quantile) in QUANTILES {
        told[name] = latency.quantile_us(quantile).into();
    }
    told["value_quantile_count"] = steps.collect::<Vec<_>>().into();
    told["counts"] = latency.counts_text().into();
    told
}

fn second(second: &Second) -> Value {
    json!({
        "at_s": second.at_s,
        "acked": second.acked,
        "acked_bytes": second.acked_bytes,
        "read": second.read,
        "ack_p50_us": second.ack_p50_us,
        "ack_p99_us": second.ack_p99_us,
        "ack_max_us": second.ack_max_us,
        "end_to_end_p50_us": second.end_to_end_p50_us,
        "end_to_end_p99_us": second.end_to_end_p99_us,
        "ack_counts_us": second.ack_counts_us,
        "end_to_end_counts_us": second.end_to_end_counts_us,
    })
}
