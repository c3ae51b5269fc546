//! A run's outcome out of its `result.json`, as `json` writes it. Pure.
//!
//! Invariant: what is missing or wrong is an error that names it; nothing is made up.

use std::time::Duration;

use serde_json::Value;
use shards::batch::Compression;

use crate::bench::checker::Findings;
use crate::bench::intake::CatchUp;
use crate::bench::keys::KeyRange;
use crate::bench::latency::Latency;
use crate::bench::machine::Machine;
use crate::bench::meter::Tally;
use crate::bench::outcome::{Outcome, Second};
use crate::bench::pace::Arrivals;
use crate::bench::plan::{Load, Plan};
use crate::bench::sizes::Sizes;
use crate::bench::stages::{BrokerStages, Software};
use crate::bench::usage::Usage;
use crate::client::StageTimes;

/// What is missing or wrong, by its name in the document.
type Wrong = String;

/// A part of the document, and where it is.
#[derive(Clone, Copy)]
struct Part<'a> {
    value: &'a Value,
    name: &'a str,
}

impl<'a> Part<'a> {
    fn has<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, Wrong> {
        let read = self.value.get(name).and_then(read);
        read.ok_or_else(|| {
            format!("{}{}{name} is missing or wrong", self.name, if self.name.is_empty() { "" } else { "." })
        })
    }

    fn part(self, name: &'a str) -> Result<Part<'a>, Wrong> {
        self.has(name, |value| value.is_object().then_some(Part { value, name }))
    }

    /// `None`: it is null or not there.
    fn maybe(self, name: &'a str) -> Option<Part<'a>> {
        self.value.get(name).filter(|value| value.is_object()).map(|value| Part { value, name })
    }

    fn count(self, name: &str) -> Result<u64, Wrong> {
        self.has(name, Value::as_u64)
    }

    fn small<T: TryFrom<u64>>(self, name: &str) -> Result<T, Wrong> {
        self.has(name, |value| value.as_u64()?.try_into().ok())
    }

    fn real(self, name: &str) -> Result<f64, Wrong> {
        self.has(name, Value::as_f64)
    }

    fn flag(self, name: &str) -> Result<bool, Wrong> {
        self.has(name, Value::as_bool)
    }

    fn text(self, name: &str) -> Result<String, Wrong> {
        self.has(name, |value| value.as_str().map(str::to_owned))
    }

    fn seconds(self, name: &str) -> Result<Duration, Wrong> {
        self.has(name, |value| Duration::try_from_secs_f64(value.as_f64()?).ok())
    }

    fn list(self, name: &str) -> Result<&'a [Value], Wrong> {
        self.has(name, |value| value.as_array().map(Vec::as_slice))
    }

    fn texts(self, name: &str) -> Result<Vec<String>, Wrong> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.has(name, |value| value.as_array()?.iter().map(text).collect())
    }
}

/// The outcome and the machines of a document.
pub fn outcome(document: &Value) -> Result<(Outcome, Vec<Machine>), Wrong> {
    let all = Part { value: document, name: "" };
    if all.count("corelog_bench")? != 1 {
        return Err("it is of another form than this version knows".to_owned());
    }
    let (whole, verdict, generator) = (all.part("whole_run")?, all.part("verdict")?, all.part("generator")?);
    let outcome = Outcome {
        plan: plan(all.part("plan")?)?,
        started_ms: all.has("started_ms", Value::as_i64)?,
        measured: all.seconds("measured_s")?,
        tally: tally(all)?,
        seconds: all.list("seconds")?.iter().map(second).collect::<Result<_, _>>()?,
        made: whole.count("made")?,
        acked: whole.count("acked")?,
        last_ack: whole.seconds("last_ack_after_s")?,
        findings: Findings {
            seen: whole.count("read")?,
            duplicated: whole.count("duplicated")?,
            reordered: whole.count("reordered")?,
        },
        lost: whole.count("lost")?,
        foreign: whole.count("foreign")?,
        catch_up: all.maybe("catch_up").map_or(Ok(CatchUp::default()), catch_up)?,
        writer_cpu: generator.seconds("writer_cpu_s")?,
        reader_cpu: generator.seconds("reader_cpu_s")?,
        reader_busy: generator.real("reader_busy")?,
        broker: all.maybe("broker").map(usage).transpose()?,
        stages: stages(all.part("stages")?)?,
        software: all.maybe("broker_software").map(software).transpose()?,
        overrun: whole.flag("overrun")?,
        failures: verdict.texts("failures")?,
        merged_from: all.texts("merged_from")?,
        merged_doubts: verdict.texts("merged_doubts")?,
    };
    let machines = all.list("machines")?.iter().map(machine).collect::<Result<_, _>>()?;
    Ok((outcome, machines))
}

fn plan(plan: Part<'_>) -> Result<Plan, Wrong> {
    let load = |value: &Value| match value.as_str() {
        Some("max") => Some(Load::Max),
        Some(_) => None,
        None => value.as_f64().map(Load::Rate),
    };
    let codec = |value: &Value| {
        let codecs = (0..8).filter_map(|code| Compression::from_code(code).ok());
        let mut named = codecs.filter(|codec| Some(format!("{codec:?}").to_lowercase().as_str()) == value.as_str());
        named.next()
    };
    let range = |keys: Part<'_>| Ok::<_, Wrong>(KeyRange { count: keys.small("count")?, skew: keys.real("skew")? });
    Ok(Plan {
        bootstrap: plan.text("bootstrap")?,
        topic: plan.text("topic")?,
        partitions: plan.small("partitions")?,
        load: plan.has("rate", load)?,
        arrivals: plan.has("arrivals", |value| Arrivals::parse(value.as_str()?))?,
        sizes: plan.has("record_sizes", |value| Sizes::parse(value.as_str()?))?,
        compressibility: plan.real("compressibility")?,
        keys: plan.maybe("keys").map(range).transpose()?,
        duration: plan.seconds("duration_s")?,
        warmup: plan.seconds("warmup_s")?,
        clients: plan.small("clients")?,
        linger: plan.has("linger_ms", |value| Duration::try_from_secs_f64(value.as_f64()? / 1000.0).ok())?,
        codec: plan.has("codec", codec)?,
        threads: plan.small("threads")?,
        in_flight: plan.small("in_flight")?,
        batch_bytes: plan.small("batch_bytes")?,
        batch_records: plan.small("batch_records")?,
        consume: plan.flag("consume")?,
        read_after: plan.seconds("read_after_s")?,
        group_members: plan.has("group_members", or_null(small))?,
        broker_pid: plan.has("broker_pid", or_null(small))?,
        admin: plan.has("admin", or_null(|value| value.as_str().map(str::to_owned)))?,
    })
}

fn small(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

/// What may be null, which stands for nothing.
fn or_null<T>(read: impl Fn(&Value) -> Option<T>) -> impl Fn(&Value) -> Option<Option<T>> {
    move |value| if value.is_null() { Some(None) } else { read(value).map(Some) }
}

fn tally(all: Part<'_>) -> Result<Tally, Wrong> {
    let (measured, latencies) = (all.part("measured")?, all.part("latency_us")?);
    let latency = |name| latencies.part(name)?.has("counts", |value| Latency::from_counts_text(value.as_str()?));
    Ok(Tally {
        ack: latency("ack")?,
        bare_ack: latency("bare_ack")?,
        service: latency("service")?,
        end_to_end: latency("end_to_end")?,
        lateness: latency("lateness")?,
        acked: measured.count("acked")?,
        acked_bytes: measured.count("acked_bytes")?,
        acked_in_time: measured.count("acked_in_time")?,
        acked_bytes_in_time: measured.count("acked_bytes_in_time")?,
        read: measured.count("read")?,
        read_bytes: measured.count("read_bytes")?,
        requests: measured.count("requests")?,
    })
}

fn second(value: &Value) -> Result<Second, Wrong> {
    let second = Part { value, name: "seconds" };
    Ok(Second {
        at_s: second.real("at_s")?,
        acked: second.count("acked")?,
        acked_bytes: second.count("acked_bytes")?,
        read: second.count("read")?,
        ack_p50_us: second.count("ack_p50_us")?,
        ack_p99_us: second.count("ack_p99_us")?,
        ack_max_us: second.count("ack_max_us")?,
        end_to_end_p50_us: second.count("end_to_end_p50_us")?,
        end_to_end_p99_us: second.count("end_to_end_p99_us")?,
        ack_counts_us: second.text("ack_counts_us")?,
        end_to_end_counts_us: second.text("end_to_end_counts_us")?,
    })
}

fn catch_up(told: Part<'_>) -> Result<CatchUp, Wrong> {
    Ok(CatchUp { records: told.count("records")?, bytes: told.count("bytes")?, took: told.seconds("took_s")? })
}

fn usage(told: Part<'_>) -> Result<Usage, Wrong> {
    Ok(Usage {
        cpu: told.seconds("cpu_s")?,
        over: told.seconds("over_s")?,
        records: told.count("records")?,
        bytes: told.count("bytes")?,
    })
}

fn software(told: Part<'_>) -> Result<Software, Wrong> {
    Ok(Software { version: told.text("corelog")?, settings: told.has("settings", |value| Some(value.clone()))? })
}

fn stages(told: Part<'_>) -> Result<Result<BrokerStages, String>, Wrong> {
    if let Ok(why) = told.text("missing") {
        return Ok(Err(why));
    }
    let times = |value: &Value| StageTimes { share: value["share_of_total"].as_f64(), ..StageTimes::of(value) };
    Ok(Ok(BrokerStages {
        admin: told.text("admin")?,
        over: told.seconds("over_s")?,
        times: told.list("all")?.iter().map(times).collect(),
    }))
}

fn machine(value: &Value) -> Result<Machine, Wrong> {
    let told = Part { value, name: "machines" };
    Ok(Machine {
        host: told.text("host")?,
        kernel: told.text("kernel")?,
        architecture: told.text("architecture")?,
        processor: told.text("processor")?,
        processors: told.small("processors")?,
        memory_bytes: told.count("memory_bytes")?,
        version: told.text("corelog")?,
        unoptimised: told.flag("unoptimised")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::outcome::tests::outcome as measured;
    use crate::bench::report::json;

    #[test]
    fn a_document_reads_as_what_it_was_written_from() {
        let mut run = measured(Arrivals::Bursts(7), 1000, 50);
        run.plan.keys = Some(KeyRange { count: 9, skew: 0.5 });
        run.plan.codec = Compression::Zstd;
        run.plan.sizes = Sizes::Varied(300);
        run.plan.group_members = Some(2);
        run.broker = Some(Usage { cpu: Duration::from_millis(5), over: Duration::from_secs(1), records: 7, bytes: 8 });
        run.plan.broker_pid = Some(7);
        run.plan.admin = Some("h:1".to_owned());
        run.software = Some(Software { version: "0.1.0".to_owned(), settings: json!({ "shards": 2 }) });
        (run.last_ack, run.reader_busy) = (Duration::from_millis(1500), 0.25);
        run.seconds.push(Second::of(1.0, &run.tally));
        run.failures.push("the broker went away".to_owned());
        let total =
            StageTimes { request: "produce".to_owned(), stage: "total".to_owned(), count: 2, ..StageTimes::default() };
        let total = StageTimes { sum_ns: 9, share: Some(1.0), buckets: vec![(4, 1), (5, 1)], ..total };
        run.stages = Ok(BrokerStages { admin: "h:1".to_owned(), over: Duration::from_secs(1), times: vec![total] });
        let written = json::json(&run, &[Machine::here()]);
        let (read, machines) = outcome(&written).expect("its own document");
        assert_eq!(machines, [Machine::here()]);
        assert_eq!(json::json(&read, &machines), written);
        assert_eq!((read.plan, read.seconds), (run.plan, run.seconds));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let written = json::json(&measured(Arrivals::Constant, 10, 0), &[Machine::here()]);
        for (pointer, wrong, named) in [
            ("/corelog_bench", json!(2), "another form"),
            ("/plan/rate", json!("fast"), "plan.rate"),
            ("/plan/record_sizes", json!(7), "plan.record_sizes"),
            ("/plan/codec", json!("best"), "plan.codec"),
            ("/latency_us/ack/counts", json!("1:x"), "ack.counts"),
            ("/measured_s", json!(-1.0), "measured_s"),
            ("/whole_run", json!([]), "whole_run"),
        ] {
            let mut spoilt = written.clone();
            *spoilt.pointer_mut(pointer).expect("it is there") = wrong;
            let refused = outcome(&spoilt).map(|_| ()).expect_err(pointer);
            assert!(refused.contains(named), "{pointer}: {refused}");
        }
        assert!(outcome(&json!(null)).is_err());
    }
}
