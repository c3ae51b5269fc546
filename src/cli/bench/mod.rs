//! `corelog bench`: measures a broker.
//!
//! Invariant: the command succeeds only if the run is whole, believable and without a lost, repeated or reordered record.

mod compare;
mod load;
mod merge;
mod profile;
mod table;

use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};

use ratatui::crossterm::terminal;

use self::load::LoadArguments;
use super::bootstrap::{Bootstrap, host_port};
use super::{Failure, output, signals};
use crate::bench::{self, BenchError, Machine, Outcome, Plan};

/// Measures a broker: an open loop, whose latencies count from the moment each record was due.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(flatten)]
    load: LoadArguments,
    /// The broker's process on this machine: what it spends of the processors is shown. [default: what a corelog says of
    /// itself at --admin]
    #[arg(long, value_name = "PID")]
    broker_pid: Option<u32>,
    /// Where the broker's own HTTP listens (its `admin.listen`), when it is a corelog: the report shows where its time went.
    /// [default: the host of --bootstrap, port 9644, if it is this broker's]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    admin: Option<String>,
    /// Writes result.json, .hgrm files, pictures and report.html into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Compare(compare::Arguments),
    Merge(merge::Arguments),
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    match &args.command {
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Merge(args)) => merge::run(args),
        None => measure(args),
    }
}

/// Of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// The line of a run that goes on, on a terminal; nothing for others.
struct Live {
    shown: bool,
}

impl Live {
    fn new() -> Live {
        Live { shown: stderr().is_terminal() }
    }

    /// Shows a line that is made for so many columns, in place of the one before. What is longer would go on in the next row of
    /// the terminal, and stay there.
    fn show(&self, made: impl FnOnce(usize) -> String) {
        if self.shown {
            // In the last column of a row some terminals go to the next already.
            let columns = columns().saturating_sub(1);
            let line: String = made(columns).chars().take(columns).collect();
            // A terminal that has gone is no reason to stop.
            let _gone = write!(stderr(), "\r\x1b[K{line}");
        }
    }

    fn clear(&self) {
        self.show(|_| String::new());
    }
}

/// How wide the terminal is now.
fn columns() -> usize {
    let known = terminal::size().ok().map(|(columns, _)| usize::from(columns));
    known.filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

fn measure(args: &Arguments) -> Result<(), Failure> {
    let plan = args.load.plan(args.bootstrap.address()).map_err(Failure::Usage)?;
    args.out.as_deref().map_or(Ok(()), bench::ready_for_report)?;
    let plan = Plan { broker_pid: args.broker_pid, admin: args.admin.clone(), ..plan };
    let (stop, live) = (signals::stop()?, Live::new());
    let outcome = bench::run(&plan, &stop, &mut |second| {
        live.show(|columns| table::line(&plan, second, columns));
    });
    live.clear();
    let outcome = outcome?;
    report(&outcome, &[Machine::here()], args.out.as_deref())
}

/// Shows an outcome, writes it down where that is asked for, and judges it.
fn report(outcome: &Outcome, machines: &[Machine], out: Option<&Path>) -> Result<(), Failure> {
    output::say(&table::of(outcome));
    let written = out.map_or(Ok(()), |dir| {
        bench::write_report(outcome, machines, dir)?;
        output::note(&format!("the report is {}", dir.join("report.html").display()));
        Ok(())
    });
    both(judge(outcome), written)
}

/// A verdict, and what became of the report: whichever failed is told, whatever became of the other.
fn both(verdict: Result<(), Failure>, written: Result<(), BenchError>) -> Result<(), Failure> {
    match (verdict, written.map_err(Failure::from)) {
        (verdict, Ok(())) => verdict,
        (Ok(()), unwritten) => unwritten,
        (Err(verdict), Err(unwritten)) => {
            let text = format!("{verdict}\n  {unwritten}");
            Err(verdict.with_text(text))
        }
    }
}

/// Whether the run says what it was to find out.
fn judge(outcome: &Outcome) -> Result<(), Failure> {
    if outcome.is_valid() {
        return Ok(());
    }
    let partial = outcome.failures.iter().map(|why| format!("the run broke off, its figures are partial: {why}"));
    let faults = outcome.faults().into_iter().map(|what| format!("the run failed: {what}"));
    let doubts = outcome.doubts().into_iter().map(|why| format!("the run is invalid: {why}"));
    Err(Failure::Runtime(partial.chain(faults).chain(doubts).collect::<Vec<_>>().join("\n  ")))
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        match error {
            BenchError::Client(e) => e.into(),
            BenchError::Http(e) => e.into(),
            BenchError::Plan(_) | BenchError::Shape { .. } | BenchError::Unlike { .. } | BenchError::Same { .. } => {
                Failure::Usage(error.to_string())
            }
            BenchError::System { .. }
            | BenchError::Report(_)
            | BenchError::Unread { .. }
            | BenchError::Group { .. }
            | BenchError::Panicked(_) => Failure::Runtime(error.to_string()),
        }
    }
}
