//! The front of the broker: turns bytes into intent. `shards` turns intent into a durable log.
//!
//! Path of a request: `listen` (frames) → `wire` (messages) → `api` (one file per Kafka API) → `shards::router`.

// `println!` and `eprintln!` panic when nobody reads: the process must go on, or end as it means to.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod adopt;
pub mod api;
pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod disk;
pub mod http;
pub mod launch;
pub mod listen;
pub mod wire;
