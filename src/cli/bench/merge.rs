//! `corelog bench merge`: one report out of those of several processes.

use std::path::PathBuf;

use super::report;
use crate::bench::{self, Part};
use crate::cli::Failure;

/// Adds up the runs of several processes that loaded a broker together with the same load, and judges them as one. Bursts of
/// processes that were started at once may come at the same moments.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the processes wrote with --out.
    #[arg(value_name = "DIR", required = true, num_args = 2..)]
    parts: Vec<PathBuf>,
    /// Writes result.json, .hgrm files, pictures and report.html into this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let parts = args.parts.iter().map(|dir| Part::read(dir)).collect::<Result<Vec<_>, _>>()?;
    let (outcome, machines) = bench::merge(&parts)?;
    report(&outcome, &machines, args.out.as_deref())
}
