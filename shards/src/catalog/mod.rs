//! Topics, their configs, producer-id blocks and runs: a pure machine over the records of the metadata log.
//! Shard 0 decides, every core applies its own copy. No clock, no randomness, no I/O.
//!
//! A change is asked for with a [`CatalogCommand`]; [`Catalog::decide`] looks at the applied state and answers with the
//! records that make it happen and the reply for once they are synced; [`Catalog::apply`] is the only thing that changes
//! the state, live and at start alike.
//!
//! Invariant: replaying the records of a live run, or those of [`Catalog::snapshot`], gives the same state.

mod apply;
mod command;
pub mod config;
mod decide;
mod format;
pub mod kafka;
mod logger;
mod name;
mod record;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod topic;

pub use apply::ApplyError;
pub use command::{
    CatalogCommand, CatalogError, CatalogReply, ConfigChange, ConfigEdit, ConfigOp, ConfigResource, CreatedTopic,
    DeletedTopic, MorePartitions, NewTopic, ProducerIdBlock, ResourceKind, TopicRef,
};
pub use config::{ConfigError, TopicConfig, TopicDefaults};
pub use decide::Decision;
pub use format::RecordError;
pub use logger::{LoggerChange, ROOT_LOGGER, logger_change};
pub use name::{METADATA_TOPIC, NAME_BYTES_MAX, check_topic_name, is_internal_topic};
pub use record::{CatalogRecord, Endpoint, Registration};
pub use snapshot::SnapshotPlace;
pub use state::{Catalog, CatalogSettings};
pub use topic::{PartitionView, Topic};
