//! `corelog log`: looks into a data directory, or a copy of one, while no broker runs on it. One file per verb. Talks to no
//! broker.
//!
//! Invariant: nothing is written, but by `verify --repair` what can be made anew, and by `import` a new directory.

mod batches;
mod catalog;
mod dump;
mod group;
mod import;
mod journal;
mod line;
mod overview;
mod verify;

use super::Failure;
use crate::launch::meta::MetaError;

/// Data on disk, of a broker that is stopped or in a copy: dump or verify it, or take over that of Kafka.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Dump(dump::Arguments),
    Import(import::Arguments),
    Verify(verify::Arguments),
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::Dump(arguments) => dump::run(arguments),
        Verb::Import(arguments) => import::run(arguments),
        Verb::Verify(arguments) => verify::run(arguments),
    }
}

impl From<MetaError> for Failure {
    fn from(error: MetaError) -> Failure {
        let text = error.to_string();
        match error {
            MetaError::NotOurs { .. } => Failure::Missing(text),
            _ => Failure::Runtime(text),
        }
    }
}
