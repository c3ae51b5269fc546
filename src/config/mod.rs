//! The broker's configuration: a table of keys, their sources, and what they come to. Made once at start; no core's.
//!
//! `keys` is the table; `load` takes a TOML file, the environment and flags, later ones on top; `origin` says where each is
//! from, and what is wrong with it; `value` reads texts; `import` makes a file of ours out of Kafka's; `described` is what
//! clients are told; `machine` and `topology` look at the CPUs and the memory there are and say which of them are ours.
//!
//! Invariant: a [`Config`] holds checked values only, and each error says where the bad one stands.

pub mod described;
pub mod import;
pub mod keys;
mod load;
pub mod machine;
mod origin;
pub mod topology;
#[cfg(test)]
mod tuning_tests;
pub mod value;

pub use load::Config;
pub use origin::{ConfigError, Flag, Origin};
