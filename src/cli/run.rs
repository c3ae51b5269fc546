//! What `dev` and `serve` share: the settings' flags, the run itself and what is said before and after it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tracing::level_filters::LevelFilter;

use super::{Failure, output};
use crate::config::{Config, ConfigError, Flag};
use crate::http::LogLevel;
use crate::launch::process::{self, Reached, Summary};
use crate::launch::{broker, log};

/// Settings that can be given to every broker.
#[derive(Debug, clap::Args)]
pub struct Settings {
    /// One setting, over file and environment; repeatable. tuning.md has all keys.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Settings {
    pub fn flags(&self) -> Result<Vec<Flag>, ConfigError> {
        self.set.iter().map(|text| Flag::set(text)).collect()
    }
}

/// The environment, as far as it is text: a setting of ours would be.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
}

/// Runs a broker until it is stopped. `ready` is told where clients may connect.
pub fn run(config: &Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let level = config.text("log_level").and_then(|level| level.parse().ok());
    let level = output::start_log(level.unwrap_or(LevelFilter::INFO));
    let done = run_with(config, level, ready);
    // What is said of the end comes behind it.
    log::flush();
    tell(&done?);
    Ok(())
}

fn run_with(config: &Config, level: LogLevel, ready: impl FnOnce(SocketAddr)) -> Result<Summary, Failure> {
    let plan = broker::plan(config, &level)?;
    let what = format!("data in {}, shards: {}", plan.data.path.display(), plan.cpus.len());
    let summary = process::run(plan, level, |Reached { addresses, http }| {
        let all: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let http = http.map(|addr| format!("; health and metrics: http://{addr}/")).unwrap_or_default();
        output::say(&format!("ready: {} ({what}){http}", all.join(", ")));
        if let Some(first) = addresses.first() {
            ready(*first);
        }
    })?;
    Ok(summary)
}

/// The address to type into a client on this machine.
pub fn reachable(addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() { SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), addr.port()) } else { addr }
}

fn tell(summary: &Summary) {
    let next = if summary.clean {
        "the next start replays the last blocks only"
    } else {
        "the next start replays the journal"
    };
    let seconds = summary.ran_for.as_secs_f64();
    let state = if summary.clean { "clean" } else { "not clean" };
    log::tell(&format!("corelog: stopped after {seconds:.1} s, {state}: {next}"));
    for (shard, core) in summary.cores.iter().enumerate() {
        log::tell(&format!("shard {shard}\n{}", core.stages));
    }
}
