//! What the listening side of a core tells of itself. Made on the owning core, read elsewhere.

use std::net::SocketAddr;

use shards::runtime::Runtime;

use super::{Server, SlowRequest};

/// Counters since the start, and how things stand now.
#[derive(Clone, Debug, Default)]
pub struct ServerReport {
    pub connections: u64,
    /// Of whole requests and of replies that left.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Memory for requests and replies, and what of it is held.
    pub memory_bytes: u64,
    pub memory_used_bytes: u64,
    /// Requests by API, by Kafka's names; each API that is served.
    pub requests: Vec<(&'static str, u64)>,
    /// The last slow ones, oldest first.
    pub slow: Vec<SlowRequest>,
}

/// One connection, and what went over it.
#[derive(Clone, Debug)]
pub struct ClientLoad {
    pub peer: SocketAddr,
    /// What its first request calls it.
    pub client_id: Option<Box<str>>,
    pub requests: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Requests whose reply is not ready yet.
    pub in_flight: usize,
}

impl<R: Runtime> Server<R> {
    pub fn report(&self) -> ServerReport {
        ServerReport {
            connections: self.connections() as u64,
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes.get(),
            memory_bytes: self.budget.capacity_bytes() as u64,
            memory_used_bytes: self.budget.used_bytes() as u64,
            requests: self.api.requests(),
            slow: self.slow.kept(),
        }
    }
}
