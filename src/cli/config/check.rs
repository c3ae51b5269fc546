//! `corelog config check`: would a broker start with these settings, as far as they go?

use serde_json::json;

use super::Sources;
use crate::cli::report::Shown;
use crate::cli::{Failure, output};
use crate::config::keys::KEYS;
use crate::config::machine::Machine;
use crate::config::topology::Topology;
use crate::launch::broker;

/// Checks settings without starting anything: types, ranges, what they say together, and whether this machine has it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let config = args.sources.load_all()?;
    let outline = broker::outline(&config, &Machine::look())?;
    let data_dir = broker::data_dir(&config)?;
    let set = KEYS.iter().filter(|key| config.given(key.name).is_some()).count();
    let Topology { cpus, warnings } = outline.topology;
    let data = json!({
        "good": true, "set": set, "shards": cpus.len(), "data_dir": data_dir.display().to_string(), "warnings": warnings,
    });
    args.shown
        .show(&data, || format!("good: {set} settings, {} shards, data in {}", cpus.len(), data_dir.display()))?;
    for warning in warnings {
        output::note(&format!("warning: {warning}"));
    }
    Ok(())
}
