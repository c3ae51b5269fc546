//! The broker's own HTTP: health, metrics, where the time goes, settings in force, the log's level. One thread of its own,
//! the control thread, which nothing on the way of a record waits for.
//!
//! `serve` takes connections, `routes` answers, `collect` asks the cores, `pulse` hears whether they live; `health`, `stages`,
//! `slow` and `metrics` make answers out of what they said, without waiting for anything.
//!
//! Invariant: whatever is asked here, a core is asked for one report at most every [`collect::ROUND_EVERY`].

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod busiest;
mod collect;
mod dashboard;
mod health;
mod log_level;
pub mod metrics;
mod pulse;
mod report;
mod routes;
mod serve;
mod slow;
mod stages;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

pub use busiest::TOLD_MAX as BUSIEST_TOLD_MAX;
pub use log_level::LogLevel;
pub use pulse::{BEAT_EVERY, Pulse};
pub use report::{Ask, Busiest, CoreReport};
pub use serve::{HttpError, start};

/// What the control thread needs.
#[derive(Clone)]
pub struct HttpPlan {
    pub addr: SocketAddr,
    /// Somebody set this address: that it cannot be had is then an error.
    pub asked_for: bool,
    /// What `/v1/config` answers.
    pub config: Arc<Value>,
    /// What clients are told in metadata: whoever looks here knows whose broker it is.
    pub cluster_id: Arc<str>,
    /// Whose file system `/metrics` looks at.
    pub data_dir: Arc<str>,
}

/// How far the broker is, as the thread that starts and stops it says.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    started: AtomicBool,
    stopping: AtomicBool,
}

impl Progress {
    /// All cores serve.
    pub fn started(&self) {
        self.0.started.store(true, Ordering::Relaxed);
    }

    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    fn life(&self) -> health::Life {
        health::Life {
            started: self.0.started.load(Ordering::Relaxed),
            stopping: self.0.stopping.load(Ordering::Relaxed),
        }
    }
}
