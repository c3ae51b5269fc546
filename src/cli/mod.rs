//! The command line: one file per subcommand, one line for each in [`Command`]. No core's.
//!
//! Invariant: answers go to stdout and all else to stderr; exit codes are those of README.

mod consume;
mod dev;
mod output;
mod produce;
#[cfg(test)]
mod readme_tests;
mod run;
mod serve;
mod topic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::launch::broker::BrokerError;
use crate::launch::process::LaunchError;

/// Something failed while it ran.
const EXIT_RUNTIME: u8 = 1;
/// The command line or the configuration is wrong. clap exits with the same.
const EXIT_USAGE: u8 = 2;

/// A message broker that speaks Kafka's wire protocol, one core at a time.
#[derive(Debug, Parser)]
#[command(name = "corelog", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Arguments),
    Serve(serve::Arguments),
    Topic(topic::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
}

/// Which cluster a command talks to.
#[derive(Debug, clap::Args)]
struct Bootstrap {
    /// A broker of the cluster.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    bootstrap: String,
}

/// What ends a subcommand early. The text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => EXIT_USAGE,
            Failure::Runtime(_) => EXIT_RUNTIME,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Failure {
        let text = error.to_string();
        if error.is_configuration() { Failure::Usage(text) } else { Failure::Runtime(text) }
    }
}

impl From<crate::client::driver::ClientError> for Failure {
    fn from(error: crate::client::driver::ClientError) -> Failure {
        Failure::Runtime(error.to_string())
    }
}

impl From<LaunchError> for Failure {
    fn from(error: LaunchError) -> Failure {
        Failure::Runtime(error.to_string())
    }
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Dev(arguments) => dev::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Topic(arguments) => topic::run(arguments),
        Command::Produce(arguments) => produce::run(arguments),
        Command::Consume(arguments) => consume::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&format!("corelog: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}
