//! The level of the log, changeable while the broker runs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, reload};

/// Changes what the log lets pass. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogLevel {
    handle: reload::Handle<LevelFilter, Registry>,
    /// `log_level`.
    started: LevelFilter,
}

impl LogLevel {
    /// A filter for the log, and what changes it.
    pub fn filter(level: LevelFilter) -> (reload::Layer<LevelFilter, Registry>, LogLevel) {
        let (filter, handle) = reload::Layer::new(level);
        (filter, LogLevel { handle, started: level })
    }

    pub fn set(&self, level: LevelFilter) -> Result<(), reload::Error> {
        self.handle.reload(level)?;
        // Seen whatever the level is now.
        tracing::error!(%level, "the level of the log was changed");
        Ok(())
    }

    /// Back to what it was at the start.
    pub fn unset(&self) -> Result<(), reload::Error> {
        self.set(self.started)
    }
}

/// The name of a level: `error`, `warn`, `info`, `debug` or `trace`.
pub fn named(text: &str) -> Option<LevelFilter> {
    let levels = [LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];
    levels.into_iter().find(|level| level.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_the_names_of_the_setting() {
        for name in ["error", "warn", "info", "debug", "trace"] {
            assert_eq!(named(name).map(|level| level.to_string()).as_deref(), Some(name));
        }
        assert!(named("INFO").is_none() && named("").is_none() && named("off").is_none());
    }
}
