//! `kill -9` under load, restart, check: the broker's process, the load, the readers and the run that ties them.
//!
//! Invariant: the history is appended to by many threads, each event at or before (invocations) or at or after (acks,
//! reads) the moment that it tells of, under one lock per partition.

pub mod broker;
pub mod history;
pub mod load;
pub mod newest;
pub mod readers;
pub mod run;
