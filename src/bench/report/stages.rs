//! Where the broker's time went, by stage: a picture for each kind of request, and a table. Pure.
//!
//! Invariant: every stage that something went through has its row, and the whole of a request the first.

use std::fmt::Write;

use super::chart::{LEFT, Picture, RIGHT, TOP, WIDTH, times};
use super::html::escaped;
use crate::bench::latency::nanos_text;
use crate::bench::stages::BrokerStages;
use crate::client::StageTimes;

const ROW: f64 = 26.0;
/// Below the rows: the names of the axis.
const FOOT: f64 = 52.0;
/// The names of stages take more room than numbers, and their shares stand behind them.
const NAMES: f64 = LEFT + 26.0;
const SHARES: f64 = 62.0;

/// What is marked of each stage: its name, its mark and its colour, see `style`.
const MARKS: [(&str, Mark, usize); 4] =
    [("p50", Mark::Circle, 0), ("mean", Mark::Bar, 1), ("p99", Mark::Square, 2), ("p99.9", Mark::Triangle, 3)];

/// They differ in form, too: not all eyes and printers tell colours apart.
#[derive(Clone, Copy)]
enum Mark {
    Circle,
    Bar,
    Square,
    Triangle,
}

pub fn pictures(stages: &BrokerStages) -> Vec<Picture> {
    let files = ["stages-produce", "stages-fetch"].into_iter().zip(BrokerStages::OF_A_RUN);
    files.filter_map(|(file, request)| picture(file, request, &stages.of(request))).collect()
}

/// A row for each stage, its times on a logarithmic scale.
fn picture(file: &'static str, request: &str, rows: &[&StageTimes]) -> Option<Picture> {
    let marks = |times: &StageTimes| {
        let quantile = |quantile| times.quantile_ns(quantile);
        [quantile(0.5), times.mean_ns(), quantile(0.99), quantile(0.999)].map(|ns| (ns.max(1) as f64) / 1000.0)
    };
    let x = times("time in this stage", rows.iter().copied().flat_map(marks))?;
    let title = format!("In the broker: the stages of {request} requests");
    let (right, bottom) = (WIDTH - RIGHT - SHARES, TOP + ROW * rows.len() as f64);
    let across = |micros: f64| NAMES + x.share(micros) * (right - NAMES);
    let mut svg = format!("<title>{title}</title><text class=\"title\" x=\"{LEFT}\" y=\"22\">{title}</text>");
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing into a string does not fail.
        let _infallible = svg.write_fmt(text);
    };
    for (at, name) in &x.ticks {
        let at = across(*at);
        put(format_args!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>"));
        put(format_args!("<text class=\"middle\" x=\"{at:.1}\" y=\"{}\">{name}</text>", bottom + 18.0));
    }
    put(format_args!("<text class=\"end\" x=\"{}\" y=\"46\">share of the time</text>", WIDTH - RIGHT));
    for (number, times) in rows.iter().copied().enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        let name = escaped(&times.stage);
        put(format_args!("<text class=\"end\" x=\"{}\" y=\"{:.1}\">{name}</text>", NAMES - 8.0, middle + 4.0));
        let all = marks(times);
        let (from, to) = (all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(0.0, f64::max));
        put(format_args!("<path class=\"span\" d=\"M{:.1} {middle:.1}H{:.1}\"/>", across(from), across(to)));
        for ((_, mark, colour), micros) in MARKS.into_iter().zip(all) {
            put(format_args!("{}", drawn(mark, colour, across(micros), middle)));
        }
        if let Some(share) = times.share {
            let end = WIDTH - RIGHT;
            put(format_args!(
                "<text class=\"end\" x=\"{end}\" y=\"{:.1}\">{:.1} %</text>",
                middle + 4.0,
                share * 100.0
            ));
        }
    }
    put(format_args!("<path class=\"axis\" d=\"M{NAMES} {TOP}V{bottom}H{right}\"/>"));
    let middle = f64::midpoint(NAMES, right);
    put(format_args!("<text class=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>", bottom + 40.0, x.label));
    let mut legend = NAMES + 6.0;
    for (name, mark, colour) in MARKS {
        put(format_args!("{}", drawn(mark, colour, legend, 42.0)));
        put(format_args!("<text x=\"{}\" y=\"46\">{name}</text>", legend + 10.0));
        legend += 40.0 + 7.0 * name.chars().count() as f64;
    }
    Some(Picture { file, height: bottom + FOOT, svg })
}

fn drawn(mark: Mark, colour: usize, x: f64, y: f64) -> String {
    let path = match mark {
        Mark::Circle => format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", x - 5.0),
        Mark::Bar => format!("M{:.1} {:.1}h3v16h-3z", x - 1.5, y - 8.0),
        Mark::Square => format!("M{:.1} {:.1}h9v9h-9z", x - 4.5, y - 4.5),
        Mark::Triangle => format!("M{:.1} {:.1}l6 11h-12z", x, y - 6.5),
    };
    format!("<path class=\"mark m{colour}\" d=\"{path}\"/>")
}

/// The section of the page, without the pictures.
pub fn section(stages: &Result<BrokerStages, String>) -> String {
    let stages = match stages {
        Ok(stages) => stages,
        Err(why) => return format!("<p class=\"soft\">Not known: {}</p>", escaped(why)),
    };
    let cells = |times: &StageTimes| {
        let share = times.share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0));
        let ns = [0.5, 0.99, 0.999].map(|quantile| times.quantile_ns(quantile));
        let ns: String = ns.into_iter().chain([times.max_ns(), times.mean_ns()]).map(cell).collect();
        let name = format!("{} {}", escaped(&times.request), escaped(&times.stage));
        format!("<tr><td>{name}</td><td>{}</td><td>{share}</td>{ns}</tr>", times.count)
    };
    let rows = BrokerStages::OF_A_RUN.iter().flat_map(|request| stages.of(request)).map(cells);
    format!(
        "<table><tr><th></th><th>requests</th><th>share</th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th><th>mean</th>\
         </tr>{}</table><p class=\"soft\">By the broker's own histograms at {}, over {:.1} s: requests of all its clients, from \
         the first byte of each to the last of its reply. A produce request holds many records. Fetches wait for records \
         (<i>wait</i>), so that their whole says little.</p>",
        rows.collect::<String>(),
        escaped(&stages.admin),
        stages.over.as_secs_f64()
    )
}

fn cell(nanos: u64) -> String {
    format!("<td>{}</td>", nanos_text(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> BrokerStages {
        let times = |request: &str, stage: &str, mean_ns: u64| StageTimes {
            request: request.to_owned(),
            stage: stage.to_owned(),
            count: 10,
            sum_ns: mean_ns * 10,
            share: Some(mean_ns as f64 / 5_000_000.0),
            buckets: vec![(mean_ns, 9), (mean_ns * 20, 1)],
        };
        BrokerStages {
            admin: "h:9644".to_owned(),
            times: vec![
                times("produce", "total", 5_000_000),
                times("produce", "re<ad", 870),
                times("core", "route", 5),
            ],
            ..BrokerStages::default()
        }
    }

    #[test]
    fn every_stage_of_a_run_has_its_row_in_table_and_picture() {
        let section = section(&Ok(seen()));
        for told in ["produce total", "<td>100.0 %</td>", "<td>5.00 ms</td>", "re&lt;ad", "<td>870 ns</td>", "h:9644"] {
            assert!(section.contains(told), "{told}: {section}");
        }
        assert!(!section.contains("route"), "what is no request of a run has no row: {section}");
        let pictures = pictures(&seen());
        assert_eq!(pictures.iter().map(|picture| picture.file).collect::<Vec<_>>(), ["stages-produce"]);
        let svg = pictures[0].alone();
        for told in ["1 µs", "10 ms", "100.0 %", "p99.9", "time in this stage", "re&lt;ad"] {
            assert!(svg.contains(told), "{told}: {svg}");
        }
        // One of each in the legend.
        assert_eq!(svg.matches("class=\"mark").count(), 4 + 2 * 4, "{svg}");
    }

    #[test]
    fn stages_that_are_not_known_say_why() {
        assert!(section(&Err("no HTTP at <h>".to_owned())).contains("no HTTP at &lt;h&gt;"));
    }
}
