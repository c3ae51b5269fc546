//! `corelog serve`: the broker with a configuration file.

use std::path::PathBuf;

use super::Failure;
use super::run::{self, Settings};
use crate::config::Config;

/// Run a broker with a configuration file.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// TOML file; tuning.md explains its keys.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(Some(&arguments.config), run::variables(), &arguments.settings.flags()?)?;
    run::run(&config, |_| {})
}
