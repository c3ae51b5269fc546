//! The cases, one file for each API.

pub mod api_versions;
pub mod configs;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod fetch;
pub mod fetch_sessions;
pub mod frames;
pub mod init_producer_id;
pub mod list_offsets;
pub mod metadata;
pub mod offset_for_leader_epoch;
pub mod partitions;
pub mod produce;
pub mod produce_batches;
pub mod security;
