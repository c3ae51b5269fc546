//! `corelog bench compare`: two brokers under the same load, in turn.

use std::path::PathBuf;

use super::load::LoadArguments;
use super::{Live, both, judge, table};
use crate::bench::{self, BenchError, Comparison, Machine, Ratio};
use crate::cli::bootstrap::host_port;
use crate::cli::{Failure, output, report, signals};

/// Measures two brokers in turn under the same load, and says whether they differ by more than the rounds do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A broker, as HOST:PORT.
    #[arg(value_name = "A", value_parser = host_port)]
    a: String,
    /// Another.
    #[arg(value_name = "B", value_parser = host_port)]
    b: String,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Writes compare.json, compare.svg and compare.html into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    load: LoadArguments,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let plan = args.load.plan(&args.a).map_err(Failure::Usage)?;
    args.out.as_deref().map_or(Ok(()), bench::ready_for_report)?;
    let (stop, live) = (signals::stop()?, Live::new());
    let brokers = [args.a.as_str(), args.b.as_str()];
    let done = bench::compare(&plan, brokers, args.rounds, &stop, &mut |broker, second| {
        live.show(|columns| {
            let columns = columns.saturating_sub(broker.len() + 1);
            format!("{broker} {}", table::line(&plan, second, columns))
        });
    });
    live.clear();
    let written = if done.rounds.is_empty() && done.odd.is_empty() { Ok(()) } else { show(args, brokers, &done) };
    both(verdict(args, done), written)
}

/// Whether there are as many rounds as were wanted, each of which says what it was to find out.
fn verdict(args: &Arguments, done: Comparison) -> Result<(), Failure> {
    let of = format!("after {} of {} rounds", done.rounds.len(), args.rounds);
    if let Some(error) = done.failed {
        return Err(Failure::from(error).after(&format!("the comparison ended {of}: ")));
    }
    if done.stopped {
        return Err(Failure::Runtime(format!("it was stopped {of}: its figures are partial")));
    }
    // The figures of a run that is not valid are no comparison.
    done.rounds.iter().flatten().try_for_each(judge)
}

/// What was measured, for eyes and for the directory that was asked for.
fn show(args: &Arguments, brokers: [&str; 2], done: &Comparison) -> Result<(), BenchError> {
    let [a, b] = brokers;
    let rows: Vec<Vec<String>> = bench::ratios(&done.rounds).iter().map(row).collect();
    let partial = if done.is_partial() { " (partial)" } else { "" };
    output::say(&format!("A is {a}, B is {b}; medians of {} interleaved rounds{partial}\n", done.rounds.len()));
    if !rows.is_empty() {
        output::say(&report::table(&["figure", "A", "B", "A/B", "least", "most", "verdict"], &rows));
    }
    for (broker, outcome) in &done.odd {
        let name = if *broker == 0 { "A" } else { "B" };
        output::say(&format!("\n{name} in the round that did not end:\n{}", table::of(outcome)));
    }
    if let Some(dir) = &args.out {
        bench::write_comparison(brokers, done, &Machine::here(), dir)?;
        output::note(&format!("the report is {}", dir.join("compare.html").display()));
    }
    Ok(())
}

fn row(ratio: &Ratio) -> Vec<String> {
    let figure = |value: f64| format!("{value:.0} {}", ratio.unit);
    let ratios = [ratio.median, ratio.least, ratio.most].map(|value| format!("{value:.2}"));
    let mut row = vec![ratio.name.to_owned(), figure(ratio.a), figure(ratio.b)];
    row.extend(ratios);
    row.push(ratio.verdict().to_owned());
    row
}
