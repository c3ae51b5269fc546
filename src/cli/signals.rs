//! Ctrl-C for commands that have something to bring to an end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;

/// Exit status when a second signal ends the process at once.
const CUT_SHORT: i32 = 130;

/// True once somebody wants the command to end.
pub fn stop() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, CUT_SHORT, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|e| {
                Failure::Runtime(format!(
                    "signals cannot be caught: {e}; the system is short of memory: free some, then try again"
                ))
            })?;
    }
    Ok(stop)
}
