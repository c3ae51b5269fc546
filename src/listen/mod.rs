//! Connections: sockets in, frames to `api`, replies out in order. One `Front` per core; a connection stays on the core
//! that accepted it.
//!
//! Invariant: what peers can make this core hold is bounded. Requests and replies are lent memory by the core's
//! [`Budget`], connections are counted by [`Admission`], and a peer that neither sends nor reads is closed by the sweep.
//!
//! Placement: every core listens on the same address and a connection stays where the kernel put it (SO_REUSEPORT), as
//! handing it to a less loaded core costs a hop at accept and knows nothing of the load to come. `Front::open` is the one
//! place where a connection enters a core, so another placement would be made there.

mod acceptor;
mod blocks;
mod budget;
mod connection;
mod frames;
mod limits;
mod link;
mod peer_log;
mod stages;
#[cfg(test)]
mod tests;

pub use acceptor::Front;
pub use budget::{Budget, Lease};
pub use limits::{Admission, ConnectionLimits, Permit, Refused};
pub use stages::Stages;

use std::time::Duration;

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
    /// How long replies may still leave after [`Front::stop`].
    pub drain_max: Duration,
}

impl Default for ListenSettings {
    fn default() -> ListenSettings {
        ListenSettings {
            frame_bytes_max: 100 * 1024 * 1024,
            idle_max: Duration::from_secs(600),
            partial_frame_max: Duration::from_secs(30),
            unread_max: Duration::from_secs(60),
            drain_max: Duration::from_secs(5),
        }
    }
}
