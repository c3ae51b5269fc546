//! The process-wide fence (R16): after the first failed write or sync, nothing is released any more, on any core.
//!
//! Invariant: once tripped it stays so; every core looks at it before it releases anything.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::planted::{PlantedFault, is_planted};

/// Shared by all cores of one broker.
pub struct Fence {
    tripped: AtomicBool,
    why: OnceLock<String>,
    told: flume::Sender<String>,
}

impl Fence {
    /// `told` gets the reason, once: whoever listens ends the process.
    pub fn new(told: flume::Sender<String>) -> Fence {
        Fence { tripped: AtomicBool::new(false), why: OnceLock::new(), told }
    }

    pub fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire) && !is_planted(PlantedFault::FenceIgnored)
    }

    /// Stops every release. `why` names the file and the error.
    pub fn trip(&self, why: String) {
        self.tripped.store(true, Ordering::Release);
        if self.why.set(why.clone()).is_ok() {
            tracing::error!(why, "fenced: nothing is acked any more");
            // Nobody listening means that the process is ending already.
            drop(self.told.try_send(why));
        }
    }

    pub fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }
}
