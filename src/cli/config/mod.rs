//! `corelog config`: shows, checks and explains the broker's settings, and makes a file of ours out of Kafka's. One file
//! per verb. Talks to no broker.

mod check;
mod explain;
mod import;
mod show;

use std::path::PathBuf;

use super::Failure;
use super::run::{self, Settings};
use crate::config::Config;

/// The broker's settings: show, check, explain, import from Kafka.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(show::Arguments),
    Check(check::Arguments),
    Explain(explain::Arguments),
    Import(import::Arguments),
}

/// Where settings come from: a file, the environment, flags.
#[derive(Debug, clap::Args)]
pub struct Sources {
    /// TOML file; tuning.md explains its keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Sources {
    pub fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref(), run::variables(), &self.settings.flags()?)?)
    }

    /// As [`Sources::load`], but a failure tells all that is wrong, a line each.
    pub fn load_all(&self) -> Result<Config, Failure> {
        let (config, wrong) = Config::load_all(self.config.as_deref(), run::variables(), &self.settings.flags()?);
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        if lines.is_empty() { Ok(config) } else { Err(Failure::Usage(lines.join("\n"))) }
    }
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Show(arguments) => show::run(&arguments),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
    }
}
