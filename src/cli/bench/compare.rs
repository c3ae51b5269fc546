//! `corelog bench compare`: two brokers under the same load, in turn.

use super::load::LoadArguments;
use super::{Live, judge, table};
use crate::bench::{self, Ratio};
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
    #[command(flatten)]
    load: LoadArguments,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let plan = args.load.plan(&args.a).map_err(Failure::Usage)?;
    let (stop, live) = (signals::stop()?, Live::new());
    let brokers = [args.a.as_str(), args.b.as_str()];
    let rounds = bench::compare(&plan, brokers, args.rounds, &stop, &mut |broker, second| {
        live.show(&format!("{broker} {}", table::line(&plan, second)));
    });
    live.show("");
    let rounds = rounds?;
    let rows: Vec<Vec<String>> = bench::ratios(&rounds).iter().map(row).collect();
    output::say(&format!("A is {}, B is {}; medians of {} interleaved rounds\n", args.a, args.b, rounds.len()));
    output::say(&report::table(&["figure", "A", "B", "A/B", "least", "most", "verdict"], &rows));
    // The figures of a run that is not valid are no comparison.
    rounds.iter().flatten().try_for_each(judge)
}

fn row(ratio: &Ratio) -> Vec<String> {
    let figure = |value: f64| format!("{value:.0} {}", ratio.unit);
    let verdict = match ratio.median {
        _ if ratio.is_noise() => "within noise: rounds disagree",
        median if median < 1.0 => "A has less, in every round",
        _ => "A has more, in every round",
    };
    let ratios = [ratio.median, ratio.least, ratio.most].map(|value| format!("{value:.2}"));
    let mut row = vec![ratio.name.to_owned(), figure(ratio.a), figure(ratio.b)];
    row.extend(ratios);
    row.push(verdict.to_owned());
    row
}
