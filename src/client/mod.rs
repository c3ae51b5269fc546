//! A thin Kafka client on `wire`, for the command line: which version to speak, frames out, typed replies in.
//!
//! `session` is sans I/O: it turns requests into bytes and bytes into replies. `driver` gives it a blocking socket for each
//! broker and finds the leaders. Works with any broker that speaks Kafka's protocol.

pub mod driver;
pub mod partitioner;
pub mod session;
