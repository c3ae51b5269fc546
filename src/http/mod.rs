//! The broker's own HTTP: health, metrics, where the time goes, settings in force, the log's level. One thread of its own,
//! the control thread, which nothing on the way of a record waits for.
//!
//! `serve` takes connections, `routes` answers, `collect` asks the cores; `health`, `stages` and `metrics` make answers out
//! of what they said, without waiting for anything.
//!
//! Invariant: whatever is asked here, a core is asked for one report at most every [`collect::ROUND_EVERY`].

mod collect;
mod health;
mod log_level;
pub mod metrics;
mod report;
mod routes;
mod serve;
mod stages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

pub use log_level::LogLevel;
pub use report::{Ask, CoreReport};
pub use serve::{HttpError, start};

/// What the control thread needs.
#[derive(Clone)]
pub struct HttpPlan {
    pub addr: SocketAddr,
    /// Somebody set this address: that it cannot be had is then an error.
    pub asked_for: bool,
    /// What `/v1/config` answers.
    pub config: Arc<Value>,
    /// Whose file system `/metrics` looks at.
    pub data_dir: Arc<str>,
}

/// Set once the broker began to stop.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
