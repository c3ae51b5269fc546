//! Two brokers on one page: their figures and ratios, and the curves of all rounds. Pure.

use serde_json::{Value, json};

use super::chart::{Picture, by_percentile};
use super::html;
use super::json::json as of_run;
use crate::bench::compare::{Comparison, Ratio};
use crate::bench::latency::Latency;
use crate::bench::machine::Machine;
use crate::bench::outcome::Outcome;

/// Of the brokers, by index.
const NAMES: [&str; 2] = ["a", "b"];

/// Acks, and end to end if both were read: all rounds of each broker together.
pub fn picture(rounds: &[[Outcome; 2]]) -> Option<Picture> {
    let sum = |of: fn(&Outcome) -> &Latency, broker: usize| {
        let mut all = Latency::default();
        rounds.iter().filter_map(|pair| pair.get(broker)).for_each(|run| all.add(of(run)));
        all
    };
    let curves = [
        ("A ack", sum(|run| &run.tally.ack, 0)),
        ("A end to end", sum(|run| &run.tally.end_to_end, 0)),
        ("B ack", sum(|run| &run.tally.ack, 1)),
        ("B end to end", sum(|run| &run.tally.end_to_end, 1)),
    ];
    let measured = curves.iter().filter(|(_, latency)| latency.count() > 0);
    by_percentile("compare", measured.map(|(name, latency)| ((*name).to_owned(), latency)))
}

/// Every run as its own report has it.
pub fn json(brokers: [&str; 2], compared: &Comparison, ratios: &[Ratio], machine: &Machine) -> Value {
    let ratio = |ratio: &Ratio| {
        json!({
            "figure": ratio.name,
            "unit": ratio.unit,
            "a": ratio.a,
            "b": ratio.b,
            "median": ratio.median,
            "least": ratio.least,
            "most": ratio.most,
            "within_noise": ratio.is_noise(),
        })
    };
    let machine = std::slice::from_ref(machine);
    let round = |[a, b]: &[Outcome; 2]| json!({ "a": of_run(a, machine), "b": of_run(b, machine) });
    let odd = |(broker, run): &(usize, Outcome)| json!({ NAMES[*broker]: of_run(run, machine) });
    let [a, b] = brokers;
    json!({
        "corelog_bench_compare": 1,
        "a": a,
        "b": b,
        "partial": compared.is_partial(),
        "ratios": ratios.iter().map(ratio).collect::<Vec<_>>(),
        "rounds": compared.rounds.iter().map(round).collect::<Vec<_>>(),
        "not_ended": compared.odd.iter().map(odd).collect::<Vec<_>>(),
    })
}

pub fn page(
    brokers: [&str; 2],
    compared: &Comparison,
    ratios: &[Ratio],
    machine: &Machine,
    picture: Option<&Picture>,
) -> String {
    let ([a, b], rounds) = (brokers, &compared.rounds);
    let about = format!("{a} and {b}");
    let intro = format!(
        "<p>A is <b>{}</b>, B is <b>{}</b> <span class=\"soft\">medians of {} interleaved rounds</span></p>",
        html::escaped(a),
        html::escaped(b),
        rounds.len()
    );
    let partial = if compared.is_partial() {
        "<p class=\"bad\">It broke off: there are fewer rounds than were wanted. compare.json has what was measured of the last.</p>"
    } else {
        ""
    };
    let invalid: Vec<&Outcome> = rounds.iter().flatten().filter(|run| !run.is_valid()).collect();
    let doubt = invalid.first().map(|first| {
        let (some, all) = (invalid.len(), rounds.len() * brokers.len());
        format!(
            "<p class=\"bad\">{some} of {all} runs are not valid; of the first of them:</p>{}",
            html::verdict(first)
        )
    });
    let row = |ratio: &Ratio| {
        let cells = [ratio.a, ratio.b].map(|value| format!("<td>{value:.0} {}</td>", ratio.unit)).concat();
        let ratios = [ratio.median, ratio.least, ratio.most].map(|value| format!("<td>{value:.2}</td>")).concat();
        format!("<tr><td>{}</td>{cells}{ratios}<td>{}</td></tr>", ratio.name, ratio.verdict())
    };
    let rows: String = ratios.iter().map(row).collect();
    let drawn = picture.map(Picture::within).unwrap_or_default();
    let load = compared.first().map(|run| html::facts(&html::load(&run.plan))).unwrap_or_default();
    let body = format!(
        "{intro}\n{partial}{}\n<h2>Figures</h2>\n<table><tr><th></th><th>A</th><th>B</th><th>A/B</th><th>least</th><th>most</th>\
         <th></th></tr>{rows}</table>\n{drawn}\n<h2>The load</h2>\n{load}\n<h2>The machine</h2>\n{}",
        doubt.unwrap_or_default(),
        html::facts(&html::place(machine))
    );
    html::framed("corelog bench compare", &about, &body)
}
