//! What the listening side of a core tells of itself. Made on the owning core, read elsewhere.

use shards::runtime::Runtime;

use super::Server;

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
        }
    }
}
