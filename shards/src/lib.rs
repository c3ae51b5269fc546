//! The durable log: turns intent into bytes on disk, one shard a core. Never imports the root package, and knows
//! nothing of Kafka's requests; what crosses into it is in `request`.
//!
//! Path of a record: `router` → `shard` → `partition` → `journal` → `log`; see ARCHITECTURE.md.

// `println!` and `eprintln!` panic when nobody reads: the process must go on, or end as it means to.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod batch;
pub mod catalog;
pub mod codec;
pub mod group;
pub mod journal;
pub mod log;
pub mod partition;
pub mod planted;
pub mod request;
pub mod router;
pub mod runtime;
pub mod shard;
pub mod types;
