//! Kafka's APIs, one file each: a request becomes calls on `shards`, their answers a reply. Runs on the connection's core.
//!
//! A request has two stages. The first is the call of its handler, and what that leaves to be done with turns for others: it
//! decodes, checks and takes its place in the owners' order before the connection's next request is looked at (R4). The
//! second is the future that the handler returns: it waits for the answers and makes the reply. Those of one connection run
//! one after the other; what they tell that is not fixed by their first stage, no request behind them changes before it is
//! told ([`Submitted::tells`]); but for the records that a fetch reads, and their topics.
//!
//! Invariant: what a peer sends can end its own connection, never more; every error has one code, chosen in an
//! exhaustive match in [`errors`] or beside the API that alone has it.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod config_resources;
mod context;
mod errors;
mod groups;
mod long_reply;
mod own_topics;
pub mod table;
mod topics;

mod acls;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod reassignments;
mod sync_group;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use shards::router::ReadLease;

pub use context::{
    ApiCore, ApiSettings, Arrival, ListenerInfo, LogDir, Logger, NoLog, OffsetsTopic, Peer, RequestContext,
};
pub use fetch::sessions::SessionLimits;
pub use long_reply::{CoreMemory, REPLY_BYTES_MAX, Work};
pub use table::{Subject, changes, dispatch};

/// The second stage of a request. Dropping it gives up the reply, not what the request does.
pub type Pending = Pin<Box<dyn Future<Output = Outcome>>>;

/// What is left of a first stage.
pub type FirstStage = Pin<Box<dyn Future<Output = ()>>>;

/// A request whose first stage has run, as far as it need not let others run.
pub struct Submitted {
    /// To be awaited before anything else.
    pub rest: Option<FirstStage>,
    pub pending: Pending,
    /// What the second stage tells of, and others may change. No request of its connection is dispatched that [`changes`] any
    /// of it before the reply is made.
    pub tells: Option<Subject>,
    /// No request of its connection is dispatched before the reply is made.
    pub settles: bool,
}

/// What comes of a request.
pub enum Outcome {
    /// A whole reply frame, as segments to send in this order; and memory that was lent for it, to be held until whoever
    /// sends it counts it himself.
    Reply(Vec<Bytes>, Vec<Box<dyn ReadLease>>),
    /// Nothing is sent: Produce with acks=0 that went well.
    Silent,
    /// The connection is closed.
    Close(Refusal),
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Kafka's name of the API, "-" where it is not known.
    pub api: &'static str,
    pub reason: String,
}
