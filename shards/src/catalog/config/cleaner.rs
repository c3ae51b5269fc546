//! The settings of compaction that may change while the broker runs. Every core; pure.
//!
//! Invariant: what [`CleanerKey::check`] let pass is what acts.

use super::error::ConfigError;
use super::layers::Layers;

/// One of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanerKey {
    /// `log.cleaner.backoff.ms`
    Backoff,
    /// `log.cleaner.io.max.bytes.per.second`, of the whole broker
    Rate,
}

/// What was changed since the start; `None` stays as it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanerChanges {
    pub backoff_ms: Option<u64>,
    pub bytes_per_second: Option<u64>,
}

/// The changes in force; each value was checked when it was set.
pub(in crate::catalog) fn cleaner_changes(layers: &Layers) -> Result<CleanerChanges, ConfigError> {
    let of = |key: CleanerKey| layers.changed(key.name()).map(|text| key.parse(text)).transpose();
    Ok(CleanerChanges { backoff_ms: of(CleanerKey::Backoff)?, bytes_per_second: of(CleanerKey::Rate)? })
}

impl CleanerKey {
    const ALL: [CleanerKey; 2] = [CleanerKey::Backoff, CleanerKey::Rate];

    /// `None`: another setting, or none.
    pub fn named(name: &str) -> Option<CleanerKey> {
        CleanerKey::ALL.into_iter().find(|key| key.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            CleanerKey::Backoff => "log.cleaner.backoff.ms",
            CleanerKey::Rate => "log.cleaner.io.max.bytes.per.second",
        }
    }

    pub(super) fn check(self, text: &str) -> Result<(), ConfigError> {
        self.parse(text).map(drop)
    }

    /// Of the ranges that a start has for them.
    fn parse(self, text: &str) -> Result<u64, ConfigError> {
        let invalid = |why: &str| ConfigError::Invalid {
            key: self.name().to_owned(),
            value: text.to_owned(),
            why: why.to_owned(),
        };
        match self {
            CleanerKey::Backoff => {
                let ms: i64 = text.trim().parse().map_err(|_| invalid("Not a number of type LONG"))?;
                u64::try_from(ms).ok().filter(|ms| *ms > 0).ok_or_else(|| invalid("Value must be at least 1"))
            }
            // Kafka's is a floating-point number: "1e6" is one, and its default is beyond all integers.
            CleanerKey::Rate => {
                let rate: f64 = text.trim().parse().map_err(|_| invalid("Not a number of type DOUBLE"))?;
                if rate >= 1024.0 { Ok(rate as u64) } else { Err(invalid("Value must be at least 1024")) }
            }
        }
    }
}
