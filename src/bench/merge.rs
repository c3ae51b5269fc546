//! One outcome out of those of several processes that loaded one broker together.
//!
//! Invariant: histograms are added count by count, so that the quantiles are those of all records together; what was invalid
//! of one is invalid of all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::BenchError;
use super::machine::Machine;
use super::meter::Tally;
use super::outcome::{Outcome, Second};
use super::plan::Load;
use super::report;
use super::stages::BrokerStages;
use super::usage::Usage;

/// What may differ between the plans: who sends how much from where, and how much of the reading each does.
const OWN_OF_EACH: [&str; 7] = ["bootstrap", "rate", "clients", "threads", "group_members", "broker_pid", "admin"];
/// Rates of parts that were measured together for a smaller share of their time are not those of one load.
const TOGETHER_MIN: f64 = 0.9;

/// What one process left behind.
#[derive(Debug)]
pub struct Part {
    /// The directory that it is from.
    name: String,
    document: Value,
    outcome: Outcome,
    machines: Vec<Machine>,
}

impl Part {
    /// Reads the `result.json` of a directory that `--out` named.
    pub fn read(dir: &Path) -> Result<Part, BenchError> {
        let path = dir.join("result.json");
        let unread = |why: String| BenchError::Unread { path: path.clone(), why };
        let text = fs::read_to_string(&path).map_err(|e| unread(e.to_string()))?;
        let document: Value = serde_json::from_str(&text).map_err(|e| unread(e.to_string()))?;
        let (outcome, machines) = report::read(&document).map_err(unread)?;
        Ok(Part { name: dir.display().to_string(), document, outcome, machines })
    }
}

/// Adds up the parts of one load. The machines are those of all, each once.
pub fn merge(parts: &[Part]) -> Result<(Outcome, Vec<Machine>), BenchError> {
    let [first, others @ ..] = parts else { return Err(BenchError::Plan("there is nothing to merge".to_owned())) };
    others.iter().try_for_each(|part| is_like(first, part))?;
    for (at, part) in others.iter().enumerate() {
        // No two runs have the same times and counts in every detail.
        if let Some(same) = parts.iter().take(at + 1).find(|before| before.document == part.document) {
            return Err(BenchError::Same { names: [same.name.clone(), part.name.clone()] });
        }
    }
    let mut merged = first.outcome.clone();
    let mut machines: Vec<Machine> = Vec::new();
    for machine in parts.iter().flat_map(|part| &part.machines) {
        if !machines.contains(machine) {
            machines.push(machine.clone());
        }
    }
    for Part { outcome, .. } in others {
        add(&mut merged, outcome);
    }
    merged.started_ms = parts.iter().map(|part| part.outcome.started_ms).min().unwrap_or_default();
    merged.seconds = seconds(parts, merged.started_ms);
    merged.broker = usage(parts, &merged.tally);
    merged.stages = stages(parts);
    merged.merged_from = parts.iter().map(|part| part.name.clone()).collect();
    let of_parts = |told: fn(&Outcome) -> Vec<String>| {
        let named = |part: &Part| -> Vec<String> {
            told(&part.outcome).into_iter().map(|why| format!("{}: {why}", part.name)).collect()
        };
        parts.iter().flat_map(named).collect::<Vec<String>>()
    };
    merged.failures = of_parts(|outcome| outcome.failures.clone());
    merged.merged_doubts = of_parts(Outcome::doubts);
    merged.merged_doubts.extend(apart(parts));
    Ok((merged, machines))
}

/// Whether both made the same load.
fn is_like(first: &Part, part: &Part) -> Result<(), BenchError> {
    let plans = [first, part].map(|part| part.document["plan"].as_object().cloned().unwrap_or_default());
    let [ours, theirs] = &plans;
    let kinds = [first, part].map(|part| matches!(part.outcome.plan.load, Load::Max));
    let differs = |name: &&String| !OWN_OF_EACH.contains(&name.as_str()) && ours.get(*name) != theirs.get(*name);
    let rate = "rate".to_owned();
    let unlike = ours.keys().chain(theirs.keys()).find(differs).or((kinds[0] != kinds[1]).then_some(&rate));
    let Some(name) = unlike else { return Ok(()) };
    let told = |plan: &serde_json::Map<String, Value>| plan.get(name).unwrap_or(&Value::Null).to_string();
    Err(BenchError::Unlike {
        names: [first.name.clone(), part.name.clone()],
        what: name.clone(),
        values: [told(ours), told(theirs)],
    })
}

/// Takes another in, as far as that is a matter of two.
fn add(merged: &mut Outcome, other: &Outcome) {
    if let (Load::Rate(rate), Load::Rate(more)) = (&mut merged.plan.load, other.plan.load) {
        *rate += more;
    }
    merged.plan.clients = merged.plan.clients.saturating_add(other.plan.clients);
    merged.plan.threads = merged.plan.threads.saturating_add(other.plan.threads);
    merged.plan.group_members = match (merged.plan.group_members, other.plan.group_members) {
        (Some(members), Some(more)) => Some(members.saturating_add(more)),
        (members, _) => members,
    };
    // One that broke off has less to add to the time of the others.
    merged.measured = merged.measured.max(other.measured);
    merged.tally.add(&other.tally);
    merged.made += other.made;
    merged.acked += other.acked;
    merged.last_ack = merged.last_ack.max(other.last_ack);
    merged.findings.seen += other.findings.seen;
    merged.findings.duplicated += other.findings.duplicated;
    merged.findings.reordered += other.findings.reordered;
    merged.lost += other.lost;
    merged.foreign += other.foreign;
    merged.catch_up.records += other.catch_up.records;
    merged.catch_up.bytes += other.catch_up.bytes;
    merged.catch_up.took = merged.catch_up.took.max(other.catch_up.took);
    merged.writer_cpu += other.writer_cpu;
    merged.reader_cpu += other.reader_cpu;
    merged.reader_busy = merged.reader_busy.max(other.reader_busy);
    if merged.software.is_none() {
        merged.software.clone_from(&other.software);
    }
    merged.overrun |= other.overrun;
}

/// The seconds of all by the clock on the wall, each with those of the others that end nearest to it.
fn seconds(parts: &[Part], started_ms: i64) -> Vec<Second> {
    let mut slots: BTreeMap<u64, (f64, Tally)> = BTreeMap::new();
    for Part { outcome, .. } in parts {
        let after_s = (outcome.started_ms - started_ms) as f64 / 1000.0;
        for second in &outcome.seconds {
            let at_s = second.at_s + after_s;
            let (until_s, tally) = slots.entry(at_s.round() as u64).or_default();
            *until_s = until_s.max(at_s);
            tally.add(&second.tally());
        }
    }
    slots.into_values().map(|(at_s, tally)| Second::of(at_s, &tally)).collect()
}

/// The broker is one, however many have looked at it: the mean of what they saw, for the records of all.
fn usage(parts: &[Part], all: &Tally) -> Option<Usage> {
    let seen: Vec<(&Usage, &Outcome)> =
        parts.iter().filter_map(|part| Some((part.outcome.broker.as_ref()?, &part.outcome))).collect();
    let count = u32::try_from(seen.len()).ok().filter(|count| *count > 0)?;
    let mean = |of: fn(&Usage) -> Duration| seen.iter().map(|(usage, _)| of(usage)).sum::<Duration>() / count;
    // Of those that did not look it is not known what they had acked between the looks of the others: their share of it all.
    let own: u64 = seen.iter().map(|(_, outcome)| outcome.tally.acked).sum();
    let times = all.acked as f64 / own.max(1) as f64;
    let sum =
        |of: fn(&Usage) -> u64| (seen.iter().map(|(usage, _)| of(usage)).sum::<u64>() as f64 * times).round() as u64;
    Some(Usage {
        cpu: mean(|usage| usage.cpu),
        over: mean(|usage| usage.over),
        records: sum(|usage| usage.records),
        bytes: sum(|usage| usage.bytes),
    })
}

/// The broker's histograms have the requests of all processes: the look that saw most of them is taken.
fn stages(parts: &[Part]) -> Result<BrokerStages, String> {
    let requests = |stages: &&BrokerStages| {
        stages.times.iter().filter(|times| times.is_total()).map(|times| times.count).sum::<u64>()
    };
    let most = parts.iter().filter_map(|part| part.outcome.stages.as_ref().ok()).max_by_key(requests);
    most.cloned().ok_or_else(|| {
        let why = parts.iter().find_map(|part| part.outcome.stages.as_ref().err());
        why.cloned().unwrap_or_default()
    })
}

/// Parts that did not run together have no common rate.
fn apart(parts: &[Part]) -> Option<String> {
    let measured = |Part { outcome, .. }: &Part| {
        let from = outcome.started_ms as f64 / 1000.0 + outcome.plan.warmup.as_secs_f64();
        (from, from + outcome.measured.as_secs_f64())
    };
    let last_from = parts.iter().map(|part| measured(part).0).fold(f64::MIN, f64::max);
    let first_until = parts.iter().map(|part| measured(part).1).fold(f64::MAX, f64::min);
    let longest = parts.iter().map(|part| part.outcome.measured.as_secs_f64()).fold(0.0, f64::max);
    let together = (first_until - last_from).max(0.0);
    (together < longest * TOGETHER_MIN).then(|| {
        format!(
            "the runs were measured together for {together:.1} s of {longest:.1} s only: their rates are not those of one load; \
             start them at once"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::latency::Latency;
    use crate::bench::outcome::tests::outcome;
    use crate::bench::pace::Arrivals;

    fn part(name: &str, outcome: Outcome) -> Part {
        let machines = vec![Machine::here()];
        Part { name: name.to_owned(), document: report::json(&outcome, &machines), outcome, machines }
    }

    /// Three of four records at 2 ms and a bit, the others at 12 ms and a bit.
    fn two() -> [Part; 2] {
        let [mut slow, mut fast] = [outcome(Arrivals::Constant, 1000, 100), outcome(Arrivals::Constant, 3000, 100)];
        fast.plan.load = Load::Rate(3000.0);
        for latency in [&mut slow.tally.ack, &mut slow.tally.bare_ack] {
            *latency = Latency::default();
            latency.record_n(12_000_000, 1000);
        }
        for (run, started_ms) in [(&mut slow, 5_040), (&mut fast, 5_000)] {
            run.started_ms = started_ms;
            run.seconds = vec![Second::of(1.0, &run.tally), Second::of(2.0, &Tally::default())];
        }
        [part("a", slow), part("b", fast)]
    }

    #[test]
    fn counts_rates_and_costs_are_sums_and_quantiles_those_of_all_records() {
        let (merged, machines) = merge(&two()).expect("one load");
        assert!(merged.is_valid(), "{:?}", merged.doubts());
        assert_eq!((merged.records_per_second(), merged.plan.load), (4000.0, Load::Rate(4000.0)));
        assert_eq!((merged.acked, merged.plan.clients, merged.writer_cpu), (4000, 2, Duration::from_millis(2)));
        let ack = &merged.tally.ack;
        let [middle, slow] = [0.74, 0.76].map(|quantile| ack.quantile_us(quantile));
        assert!(ack.count() == 4000 && middle < 3_000 && slow >= 12_000, "{middle} {slow}");
        assert_eq!((merged.started_ms, machines.len()), (5_000, 1));
        assert_eq!(merged.merged_from, ["a", "b"]);
        let [first, second] = &merged.seconds[..] else { panic!("{:?}", merged.seconds) };
        assert_eq!((first.at_s, first.acked, second.acked), (1.04, 4000, 0));
        assert!((12_000..12_012).contains(&first.ack_p99_us), "{first:?}");
    }

    #[test]
    fn a_run_is_not_added_to_itself() {
        let [a, b] = two();
        let again = Part { name: "again".to_owned(), document: b.document.clone(), ..part("b", b.outcome.clone()) };
        let refused = merge(&[a, b, again]).map(|_| ()).expect_err("one run twice").to_string();
        assert!(refused.contains("b and again are one run"), "{refused}");
    }

    #[test]
    fn what_was_wrong_with_one_is_wrong_with_all() {
        let spoil: [(fn(&mut Outcome), &str); 4] = [
            (|run| run.lost = 1, "1 record acked"),
            (|run| run.overrun = true, "b: the broker does not keep up"),
            (|run| run.failures.push("it broke".to_owned()), "b: it broke"),
            (|run| run.tally.ack.record_n(50_000_000, 3000), "b: the generator lags"),
        ];
        for (spoil, told) in spoil {
            let [a, mut b] = two();
            spoil(&mut b.outcome);
            let (merged, _) = merge(&[a, b]).expect("one load");
            let all = [merged.faults(), merged.doubts(), merged.failures.clone()].concat();
            assert!(!merged.is_valid() && all.iter().any(|why| why.contains(told)), "{told}: {all:?}");
        }
    }

    #[test]
    fn runs_of_other_times_or_other_loads_are_not_one() {
        let [a, mut b] = two();
        b.outcome.started_ms += 500;
        let (merged, _) = merge(&[a, b]).expect("one load");
        assert!(
            merged.doubts().iter().any(|why| why.contains("measured together for 0.5 s of 1.0 s")),
            "{:?}",
            merged.doubts()
        );
        let change: [(fn(&mut Outcome), &str); 2] = [
            (|run| run.plan.linger = Duration::from_millis(5), "linger_ms"),
            (|run| run.plan.load = Load::Max, "rate"),
        ];
        for (change, named) in change {
            let [a, b] = two();
            let mut other = b.outcome;
            change(&mut other);
            let refused = merge(&[a, part("b", other)]).map(|_| ()).expect_err(named).to_string();
            assert!(refused.contains(named) && refused.contains("b"), "{refused}");
        }
    }

    #[test]
    fn a_broker_is_counted_once_however_many_have_looked_at_it() {
        let usage = |cpu_s, records| Usage {
            cpu: Duration::from_secs(cpu_s),
            over: Duration::from_secs(10),
            records,
            bytes: records,
        };
        let [mut a, mut b] = two();
        b.outcome.broker = Some(usage(6, 2400));
        let (one_looked, _) = merge(&[a, b]).expect("one load");
        assert_eq!(one_looked.broker, Some(usage(6, 3200)), "3000 of 4000 records are its own");
        [a, b] = two();
        a.outcome.broker = Some(usage(4, 800));
        b.outcome.broker = Some(usage(6, 2400));
        assert_eq!(merge(&[a, b]).expect("one load").0.broker, Some(usage(5, 3200)));
    }
}
