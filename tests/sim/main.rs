//! The seeded simulation of the whole broker: launch, listeners, connections, shards and disks on one thread, with clients
//! that speak the wire protocol from other hosts.

mod admin;
mod checker;
mod client;
mod consumer;
mod crashes;
mod disks;
mod history;
mod link;
mod payload;
mod planted;
mod producer;
mod scenario;
mod topics;
mod world;
