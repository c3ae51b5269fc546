//! The order in which a broker starts and stops (R7, R18): locks, executors, shards, listeners; and back.
//!
//! `core` is what runs on each core, for any runtime; `process` starts the cores of a real process on io_uring.
//!
//! Invariant: nothing listens before every shard has recovered; nothing is unlocked before every shard has stopped.

pub mod core;
pub mod meta;
pub mod process;
