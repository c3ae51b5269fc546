//! What opens files, while the process has no descriptor left for it. Owning core only.
//!
//! Invariant: that nothing can be opened is no failure of the disk: nothing is given up for it, and whoever must write waits.
//! What was acked is in the journal, whose files are open.

use std::time::Duration;

use super::Shard;
use crate::log::StoreError;
use crate::runtime::{Runtime, is_out_of_descriptors};
use crate::types::Mono;

/// How soon to try again: connections close at any time, and the files that are kept open have given way before.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is told, at most.
const TOLD_EVERY: Duration = Duration::from_secs(10);

impl<R: Runtime> Shard<R> {
    /// Carries out what opens files and may be begun again, as often as it takes until there are descriptors for it.
    pub async fn with_descriptors<T>(&self, work: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            match work().await {
                Err(error) if is_out_of_descriptors(&error.source) && !self.fence().is_tripped() => {
                    self.wait_for_descriptor(&error).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Says what could not be opened, and waits a little.
    pub(super) async fn wait_for_descriptor(&self, error: &dyn std::fmt::Display) {
        let (now, told) = (self.now(), self.inner.descriptors_told.get());
        if told == Mono::default() || now.since(told) >= TOLD_EVERY {
            self.inner.descriptors_told.set(now);
            tracing::error!(
                %error,
                "a file cannot be opened: it waits until other files or connections are closed; raise the limit of open files \
                 (`ulimit -n`, or LimitNOFILE= in systemd), or lower max.connections or segment.files.open.max"
            );
        }
        self.rt().sleep_until(now.after(PAUSE)).await;
    }
}
