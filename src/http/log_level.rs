//! The level of the log, changeable while the broker runs.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, reload};

/// Changes what the log lets pass. Cheap to clone.
#[derive(Clone)]
pub struct LogLevel(reload::Handle<LevelFilter, Registry>);

impl LogLevel {
    /// A filter for the log, and what changes it.
    pub fn filter(level: LevelFilter) -> (reload::Layer<LevelFilter, Registry>, LogLevel) {
        let (filter, handle) = reload::Layer::new(level);
        (filter, LogLevel(handle))
    }

    pub fn set(&self, level: LevelFilter) -> Result<(), reload::Error> {
        self.0.reload(level)
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
