//! Signs of life of the cores: each counts up, the control thread looks whether it still does.
//!
//! Invariant: no core is asked anything for it, so that one with much to do looks as alive as it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a core gives a sign.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// A core without a sign for so long hangs: the longest step of a core that works takes tenths of a second.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// The count of one core. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts of all cores, and what was seen of them.
pub struct Pulses {
    cores: Vec<Pulse>,
    seen: Mutex<Vec<Seen>>,
}

/// A count, and when it was first seen.
#[derive(Clone, Copy)]
struct Seen {
    count: u64,
    at: Instant,
}

impl Pulses {
    pub fn new(cores: Vec<Pulse>) -> Pulses {
        Pulses { cores, seen: Mutex::default() }
    }

    /// Cores that gave no sign for [`SILENT_MAX`], as far as the looks before this one tell.
    pub fn silent(&self, now: Instant) -> Vec<usize> {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.resize(self.cores.len(), Seen { count: u64::MAX, at: now });
        let mut silent = Vec::new();
        for (shard, (core, seen)) in self.cores.iter().zip(all.iter_mut()).enumerate() {
            let count = core.0.load(Ordering::Relaxed);
            if count != seen.count {
                *seen = Seen { count, at: now };
            } else if now.duration_since(seen.at) >= SILENT_MAX {
                silent.push(shard);
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_hangs_once_it_gave_no_sign_for_long_between_two_looks() {
        let cores = [Pulse::default(), Pulse::default()];
        let pulses = Pulses::new(cores.to_vec());
        let began = Instant::now();
        let after = |seconds| pulses.silent(began + Duration::from_secs(seconds));
        assert!(after(0).is_empty() && after(9).is_empty());
        cores[0].beat();
        assert_eq!(after(10), [1]);
        cores[1].beat();
        // The one was heard of at the look before this, the other since.
        assert!(after(19).is_empty());
        assert_eq!(after(20), [0]);
        assert_eq!(after(1000), [0, 1]);
        cores.iter().for_each(Pulse::beat);
        assert!(after(5000).is_empty(), "no look for long says nothing");
    }
}
