//! The 34 configs that a topic can have, the 17 of a group, the 3 of client metrics, and the broker's own that may change
//! while it runs: tables, Kafka's rules for values, and what is in force. Every core; pure.
//!
//! Invariant: a value that [`TopicDefaults::validate`] let pass is parsed again, unchanged, by every later version.

mod cleaner;
mod connections;
mod defaults;
mod effective;
mod error;
mod group;
mod layers;
mod metrics;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use cleaner::CleanerChanges;
pub(super) use cleaner::cleaner_changes;
pub(super) use connections::connection_limits;
pub use connections::{ConnectionKey, ip_counts};
pub use defaults::{ConfigEntry, ConfigSource, TopicDefaults};
pub use effective::{CleanupPolicy, Compression, TimestampType, TopicConfig};
pub use error::{CONFIG_BYTES_MAX, ConfigError};
pub use group::{Bound, GROUP_CONFIGS, GroupConfig, GroupDefaults, GroupKey, group_key};
pub(super) use layers::check_dynamic;
pub use layers::{Layer, LayeredValue, Layers, is_dynamic};
pub use metrics::{METRICS_CONFIGS, metrics_key, validate_metrics};
pub use table::{ConfigKey, Kind, SettingDefault, Synonym, TOPIC_CONFIGS, config_key, setting_key};
pub use value::Value;
