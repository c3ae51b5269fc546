//! The page that shows a run: one file, without scripts, that loads nothing. Pure.
//!
//! Invariant: every text that somebody typed is escaped.

use super::chart::Picture;
use super::{curves, stages, style};
use crate::bench::latency::{QUANTILES, time_text};
use crate::bench::machine::Machine;
use crate::bench::outcome::Outcome;
use crate::bench::plan::{Load, Plan};

pub fn page(outcome: &Outcome, machines: &[Machine], pictures: &[Picture], of_stages: &[Picture]) -> String {
    let drawn = |pictures: &[Picture]| pictures.iter().map(Picture::within).collect::<String>();
    let body = format!(
        "{}\n{}\n<h2>Latency</h2>\n{}\n{}\n<h2>Where the broker's time went</h2>\n{}\n{}\n<h2>The run</h2>\n{}\n<h2>The machine</h2>\n{}",
        summary(outcome),
        verdict(outcome),
        latencies(outcome),
        drawn(pictures),
        stages::section(&outcome.stages),
        drawn(of_stages),
        facts(&run(outcome)),
        machines.iter().map(|machine| facts(&place(machine))).collect::<Vec<_>>().join("<p></p>"),
    );
    framed("corelog bench", &outcome.plan.topic, &body)
}

/// A whole page under a heading, around what is in it; `about` goes into its title.
pub fn framed(heading: &str, about: &str, body: &str) -> String {
    let (about, page, picture) = (escaped(about), style::PAGE, style::PICTURE);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{heading}: {about}</title>\
         <style>{page}{picture}</style></head><body>\n<h1>{heading}</h1>\n{body}\n</body></html>\n"
    )
}

fn summary(outcome: &Outcome) -> String {
    format!(
        "<p><b>{:.0} records/s</b>, {:.1} MB/s over {:.1} s <span class=\"soft\">on {}, topic {}</span></p>",
        outcome.records_per_second(),
        outcome.megabytes_per_second(),
        outcome.measured.as_secs_f64(),
        escaped(&outcome.plan.bootstrap),
        escaped(&outcome.plan.topic)
    )
}

pub fn verdict(outcome: &Outcome) -> String {
    if outcome.is_valid() {
        return "<p class=\"good\">Valid: whole, on time, and every acked record came once and in order.</p>"
            .to_owned();
    }
    let partial = outcome.failures.iter().map(|why| format!("Partial: {why}"));
    let faults = outcome.faults().into_iter().map(|what| format!("Failed: {what}"));
    let doubts = outcome.doubts().into_iter().map(|why| format!("Invalid: {why}"));
    partial.chain(faults).chain(doubts).map(|text| format!("<p class=\"bad\">{}</p>", escaped(&text))).collect()
}

fn latencies(outcome: &Outcome) -> String {
    let head: String = QUANTILES.iter().map(|(name, _)| format!("<th>{name}</th>")).collect();
    let row = |curve: &super::Curve<'_>| {
        let cells = QUANTILES.iter().map(|(_, quantile)| curve.latency.quantile_us(*quantile));
        let cells: String = cells.map(|us| format!("<td>{}</td>", time_text(us))).collect();
        format!("<tr><td>{}</td>{cells}</tr>", curve.name)
    };
    let rows: String = curves(outcome).iter().map(row).collect();
    let read = match outcome.plan.load {
        Load::Rate(_) => {
            "Latencies count from the moment each record was due. Service time counts from when its request was sent, as a \
             closed loop would, and hides what waited before."
        }
        Load::Max => {
            "A closed loop: records are made as acks come, and latencies count from then. Compare its throughput, not its \
             latencies. Acks lie unread while the generator makes records: so long they may be too late."
        }
    };
    format!("<table><tr><th></th>{head}</tr>{rows}</table><p class=\"soft\">{read}</p>")
}

/// What a run is asked to do.
pub fn load(plan: &Plan) -> Vec<(&'static str, String)> {
    let rate = match plan.load {
        Load::Rate(rate) => format!("{rate} records/s due"),
        Load::Max => "as fast as acks come".to_owned(),
    };
    let codec = format!("{:?}", plan.codec).to_lowercase();
    let mut facts = vec![
        ("load", rate),
        ("records", format!("{} bytes each, compression: {codec}", plan.sizes.text())),
        ("keys", plan.keys.map_or("none".to_owned(), |range| format!("{}, skew {}", range.count, range.skew))),
        ("topic", format!("{}, {} partitions", plan.topic, plan.partitions)),
        (
            "clients",
            format!("{}, threads: {}, requests in flight for each: {}", plan.clients, plan.threads, plan.in_flight),
        ),
        ("batches", format!("{} bytes at most, linger {:?}", plan.batch_bytes, plan.linger)),
        ("time", format!("{:?} of warm-up, {:?} measured", plan.warmup, plan.duration)),
    ];
    if let Some(members) = plan.group_members {
        facts.push(("read by", format!("a consumer group of {members}")));
    }
    facts
}

/// What the run was asked to do, and how it went.
fn run(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let mut facts = load(&outcome.plan);
    facts.extend([
        (
            "checked",
            format!(
                "{} acked, {} read back, {} lost, {} duplicated, {} reordered",
                outcome.acked,
                outcome.findings.seen,
                outcome.lost,
                outcome.findings.duplicated,
                outcome.findings.reordered
            ),
        ),
        (
            "generator",
            format!(
                "{:.2} µs of processor for each record written, {:.2} µs for each read",
                outcome.writer_cpu_us_per_record(),
                outcome.reader_cpu_us_per_record()
            ),
        ),
    ]);
    if outcome.has_backlog() {
        let catch_up = outcome.catch_up;
        let text = format!(
            "{} stored records in {:.1} s, {:.0} records/s, {:.1} MB/s",
            catch_up.records,
            catch_up.took.as_secs_f64(),
            catch_up.records_per_second(),
            catch_up.megabytes_per_second()
        );
        facts.push(("catching up", text));
    }
    if !outcome.merged_from.is_empty() {
        facts.push(("added up from", outcome.merged_from.join(", ")));
    }
    facts.extend(outcome.broker_text().map(|text| ("broker", text)));
    if let Some(software) = &outcome.software {
        facts.push(("broker's version", format!("corelog {}", software.version)));
    }
    facts
}

pub fn place(machine: &Machine) -> Vec<(&'static str, String)> {
    let processor = format!("{} × {} ({})", machine.processors, machine.processor, machine.architecture);
    let build = if machine.unoptimised { ", built without optimisation" } else { "" };
    vec![
        ("host", machine.host.clone()),
        ("processors", processor),
        ("memory", format!("{:.1} GiB", machine.memory_bytes as f64 / f64::from(1 << 30))),
        ("kernel", machine.kernel.clone()),
        ("generator", format!("corelog {}{build}", machine.version)),
    ]
}

pub fn facts(facts: &[(&str, String)]) -> String {
    let rows = facts.iter().map(|(name, fact)| format!("<tr><td>{name}</td><td>{}</td></tr>", escaped(fact)));
    format!("<table class=\"facts\">{}</table>", rows.collect::<String>())
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
