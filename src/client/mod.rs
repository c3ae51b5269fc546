//! A thin Kafka client on `wire`: [`Link`] is the protocol without a socket, [`Connection`] the same on a blocking one,
//! and on top of that what commands need: a [`Cluster`], topics, groups, a [`Producer`], a [`Consumer`], which reads what
//! it is told to, and a [`Member`], which reads its share of a group's. [`Http`] asks a corelog broker's own HTTP, and
//! [`stages_between`] says what came between two of its answers.
//!
//! Works with any broker that speaks Kafka's protocol. Topics are named by name.
//!
//! Invariant: bytes of a broker become a value or a typed error; nothing here panics on them.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod admin;
mod api_names;
mod cluster;
mod configs;
mod connection;
mod consumer;
mod error;
mod glance;
mod groups;
mod http;
mod inspect;
mod link;
mod member;
mod offsets;
mod producer;
mod pulse;
mod ranges;
mod stages;
mod subscription;
#[cfg(test)]
mod tests;

pub use admin::{OffsetAt, create_partitions, create_topic, delete_topic, offset_at, offsets_at};
pub use cluster::{BrokerInfo, Cluster, GROWTH_EVERY, PartitionInfo, TopicInfo};
pub use configs::{ConfigChange, ConfigEntry, ConfigSource, alter_topic_configs, topic_configs};
pub use connection::Connection;
pub use consumer::{Consumer, DECOMPRESSED_BYTES_MAX, Received};
pub use error::ClientError;
pub use glance::{Glance, times_of};
pub use groups::{
    GroupInfo, GroupListing, GroupMember, delete_group, delete_groups, describe_group, describe_groups, list_groups,
};
pub use http::{ADMIN_PORT, Http, HttpError};
pub use inspect::{ClusterInfo, Feature, ServedApi, describe_cluster, features_and_apis};
pub use link::Link;
pub use member::Member;
pub use offsets::{
    Committer, TopicPartition, check_commit, commit_offsets, committed_offsets, committed_offsets_of, delete_offsets,
};
pub use producer::{Outgoing, Producer, Sent, Unsent, partition_of, producer_identity};
pub use ranges::{LogRange, log_ranges};
pub use stages::{StageTimes, stages_between, stages_follow};
