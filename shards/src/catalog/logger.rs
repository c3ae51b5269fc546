//! Changes of a broker's log levels, as IncrementalAlterConfigs asks for them (KIP-412). Pure: nothing of it is in the catalog,
//! and whoever asked acts on it.
//!
//! Invariant: there is one logger, `root`, which has the level of all lines.

use tracing::level_filters::LevelFilter;

use super::command::{CatalogError, ConfigOp};
use super::config::ConfigError;

/// The one logger.
pub const ROOT_LOGGER: &str = "root";

/// Kafka's levels in its order. Its `FATAL` is no level of ours: what ends the broker is an error.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("DEBUG", LevelFilter::DEBUG),
    ("ERROR", LevelFilter::ERROR),
    ("FATAL", LevelFilter::ERROR),
    ("INFO", LevelFilter::INFO),
    ("TRACE", LevelFilter::TRACE),
    ("WARN", LevelFilter::WARN),
];

/// What the level of the log becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggerChange {
    Set(LevelFilter),
    /// What it was at the start, `log_level`.
    Unset,
}

/// What edits of loggers come to, of which none is named twice; `None`: to nothing.
///
/// # Errors
/// Kafka's, in its words.
pub fn logger_change(edits: &[(String, ConfigOp, Option<String>)]) -> Result<Option<LoggerChange>, CatalogError> {
    let mut change = None;
    for (logger, op, value) in edits {
        if matches!(op, ConfigOp::Set | ConfigOp::Delete) && logger != ROOT_LOGGER {
            return Err(ConfigError::NoLogger { logger: logger.clone() }.into());
        }
        change = Some(match op {
            ConfigOp::Set => LoggerChange::Set(level(logger, value.as_deref().unwrap_or_default())?),
            ConfigOp::Delete => LoggerChange::Unset,
            ConfigOp::Append => return Err(not_allowed("APPEND operation")),
            ConfigOp::Subtract => return Err(not_allowed("SUBTRACT operation")),
            ConfigOp::Unknown(op) => return Err(not_allowed(&format!("Unknown operation type {op}"))),
        });
    }
    Ok(change)
}

fn level(logger: &str, text: &str) -> Result<LevelFilter, ConfigError> {
    let found = LEVELS.iter().find(|(name, _)| *name == text).map(|(_, level)| *level);
    found.ok_or_else(|| ConfigError::NoLogLevel {
        logger: logger.to_owned(),
        level: text.to_owned(),
        known: LEVELS.map(|(name, _)| name).join(", "),
    })
}

fn not_allowed(what: &str) -> CatalogError {
    CatalogError::InvalidRequest { why: format!("{what} is not allowed for the BROKER_LOGGER resource") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(edits: &[(&str, ConfigOp, Option<&str>)]) -> Result<Option<LoggerChange>, String> {
        let edits = edits.iter().map(|(name, op, value)| ((*name).to_owned(), *op, value.map(str::to_owned)));
        logger_change(&edits.collect::<Vec<_>>()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_one_logger_takes_kafkas_levels_and_can_be_unset() {
        for (text, level) in LEVELS {
            assert_eq!(change(&[("root", ConfigOp::Set, Some(text))]), Ok(Some(LoggerChange::Set(level))));
        }
        assert_eq!(change(&[("root", ConfigOp::Delete, None)]), Ok(Some(LoggerChange::Unset)));
        assert_eq!(change(&[]), Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_logger_is_told_in_kafkas_words() {
        let valid = "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN";
        for text in ["debug", "LOUD", ""] {
            let told =
                format!("Cannot set the log level of root to {text} as it is not a supported log level. {valid}");
            assert_eq!(change(&[("root", ConfigOp::Set, Some(text))]), Err(told));
        }
        for op in [ConfigOp::Set, ConfigOp::Delete] {
            let both = [("root", ConfigOp::Set, Some("WARN")), ("a.b", op, Some("INFO"))];
            assert_eq!(change(&both), Err("Logger a.b does not exist!".to_owned()));
        }
        let refused = |op| change(&[("root", op, Some("INFO"))]).expect_err("it is no such operation");
        assert_eq!(refused(ConfigOp::Append), "APPEND operation is not allowed for the BROKER_LOGGER resource");
        assert_eq!(
            refused(ConfigOp::Unknown(9)),
            "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"
        );
    }
}
