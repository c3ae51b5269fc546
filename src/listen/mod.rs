//! Connections: sockets in, frames to `api`, replies out in order. One `Server` per core; a connection stays on the core
//! that accepted it.
//!
//! Invariant: what peers can make this core hold is bounded. Requests and replies are lent memory by the core's
//! [`Budget`], connections are counted by [`Admission`], and a peer that neither sends nor reads is closed by the sweep.
//!
//! Placement: every core listens on the same address and a connection stays where the kernel put it (SO_REUSEPORT), as
//! handing it to a less loaded core costs a hop at accept and knows nothing of the load to come. `Server::open` is the one
//! place where a connection enters a core, so another placement would be made there.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod acceptor;
mod blocks;
mod budget;
mod connection;
mod frames;
mod limits;
mod link;
mod peer_log;
mod reply_memory;
mod report;
mod slow;
#[cfg(test)]
pub(crate) mod test_client;
#[cfg(test)]
mod tests;

pub use acceptor::Server;
pub use budget::{Budget, Lease};
pub use limits::{Admission, Permit, Refused};
pub use report::{ClientLoad, ServerReport};
pub use slow::SlowRequest;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use shards::router::Shards;
use shards::runtime::Runtime;
use thiserror::Error;

use crate::api::{ApiSettings, ListenerInfo};

/// What a core's connections are held to.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Longest frame, in bytes: `socket.request.max.bytes`, at most half of the core's budget.
    pub frame_bytes_max: usize,
    /// `connections.max.idle.ms`: a connection without requests for so long is closed.
    pub idle_max: Duration,
    /// A frame must be whole after this time, or come at [`acceptor::PARTIAL_RATE_MIN`].
    pub partial_frame_max: Duration,
    /// A peer that takes nothing of a reply for so long is closed.
    pub unread_max: Duration,
    /// `slow.request.ms`: requests that took so long keep a trace of their stages.
    pub slow_min: Duration,
    /// Requests of one connection that may wait for their replies: `requests.in.flight.per.connection.max`.
    pub in_flight_max: usize,
    /// Connections that may wait to be accepted on each core: `socket.listen.backlog.size`.
    pub backlog: u32,
}

impl Default for ListenSettings {
    fn default() -> ListenSettings {
        ListenSettings {
            frame_bytes_max: 100 * 1024 * 1024,
            idle_max: Duration::from_secs(600),
            partial_frame_max: Duration::from_secs(30),
            unread_max: Duration::from_secs(60),
            slow_min: Duration::from_millis(100),
            in_flight_max: 256,
            backlog: 4096,
        }
    }
}

/// An address to listen on, and what clients are told of it.
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// `PLAINTEXT` and the like.
    pub name: String,
    pub addr: SocketAddr,
    /// Host and port of `advertised.listeners`; without it, clients are told the address that they came in on.
    pub advertised: Option<(String, u16)>,
}

/// All that the listening side of one core needs; made on any core.
#[derive(Clone)]
pub struct ServerPlan {
    pub listeners: Vec<ListenerPlan>,
    pub settings: ListenSettings,
    pub api: ApiSettings,
    /// Memory for requests and replies of this core, in bytes.
    pub budget_bytes: usize,
    /// Made once for the process, cloned for each core.
    pub admission: Admission,
}

#[derive(Debug, Error)]
#[error("cannot listen on {addr}: {source}; choose another address, with `listeners` or --listen")]
pub struct ListenError {
    pub addr: SocketAddr,
    pub source: io::Error,
}

/// Listens on every address of the plan; an error when one cannot be had.
pub async fn start<R: Runtime>(runtime: R, shards: Shards, plan: ServerPlan) -> Result<Rc<Server<R>>, ListenError> {
    let mut listening = Vec::with_capacity(plan.listeners.len());
    for ListenerPlan { name, addr, advertised } in &plan.listeners {
        let listener =
            runtime.listen(*addr, plan.settings.backlog).await.map_err(|source| ListenError { addr: *addr, source })?;
        let advertised = advertised.as_ref().map(|(host, port)| (host.as_str().into(), *port));
        listening.push((listener, Rc::new(ListenerInfo { name: name.clone(), advertised })));
    }
    let server = Server::new(runtime, shards, plan);
    server.start_sweep();
    for (listener, info) in listening {
        server.serve(listener, info);
    }
    Ok(server)
}
