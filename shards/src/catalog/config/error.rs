//! What can be wrong with the configs of a topic, a group, client metrics or a broker. Every core; plain values.

use thiserror::Error;

/// Most that the text of a config may have: Kafka's limit for any string on the wire and in a record.
pub const CONFIG_BYTES_MAX: usize = 32_767;

/// The text is Kafka's message, for the client's eyes; Kafka answers INVALID_CONFIG (40) where nothing else is said.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("Unknown topic config name: {key}")]
    Unknown { key: String },
    #[error("Unknown group config name: {key}")]
    UnknownOfGroup { key: String },
    /// This and an interval: Kafka answers INVALID_REQUEST (42) here.
    #[error("Unknown client metrics configuration: {key}")]
    UnknownOfMetrics { key: String },
    #[error("Invalid value {value} for interval.ms, interval must be between 100 and 3600000 (1 hour)")]
    Interval { value: String },
    #[error("Illegal client matching pattern: {pattern}")]
    Pattern { pattern: String },
    #[error("Null value not supported for topic configs: {keys}")]
    Null { keys: String },
    #[error("Invalid value {value} for configuration {key}: {why}")]
    Invalid { key: String, value: String, why: String },
    #[error("Invalid value for configuration {key}: {bytes} bytes are over {CONFIG_BYTES_MAX}")]
    TooLong { key: String, bytes: usize },
    #[error("Configuration '{key}' values must not be empty.")]
    EmptyItem { key: String },
    #[error("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})")]
    CompactionLag { min: i64, max: i64 },
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    TieredStorage,
    #[error("Can't {verb} to key {key} because its type is not LIST.")]
    NotAList { verb: &'static str, key: String },
    /// As [`ConfigError::NotAList`], of a broker's setting.
    #[error("Config value {verb} is not allowed for config key: {key}")]
    NotAListSetting { verb: &'static str, key: String },
    /// A group may not have what the broker's setting forbids.
    #[error("{key} must be {than} than or equal to {setting}")]
    OutOfBounds { key: String, than: &'static str, setting: &'static str },
    #[error("{longer} must be greater than {shorter}")]
    NotLonger { longer: String, shorter: String },
    #[error("Logger {logger} does not exist!")]
    NoLogger { logger: String },
    #[error(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are {known}"
    )]
    NoLogLevel { logger: String, level: String, known: String },
}
