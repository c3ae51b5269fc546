//! Log lines that peers can cause: at most a few in a while, so that a bad peer cannot fill the disk with them.
//! Owning core only. Invariant: what is left out is counted, and the count is told with the next line.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use shards::types::Mono;

/// Lines in one [`WINDOW`], for each core.
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct PeerLog(RefCell<Window>);

#[derive(Default)]
struct Window {
    began: Mono,
    lines: u32,
    left_out: u64,
}

impl PeerLog {
    /// One line: a connection was closed because of its peer. `api` is "-" before a request's key is known.
    pub fn closed(&self, now: Mono, peer: SocketAddr, api: &str, reason: &dyn std::fmt::Display) {
        if let Some(left_out) = self.0.borrow_mut().admit(now) {
            tracing::warn!(%peer, api, %reason, lines_left_out = left_out, "connection closed");
        }
    }
}

impl Window {
    /// How many lines were left out before this one; `None` if this one is left out too.
    fn admit(&mut self, now: Mono) -> Option<u64> {
        if now.since(self.began) >= WINDOW {
            self.began = now;
            self.lines = 0;
        }
        if self.lines >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let mut window = Window::default();
        let start = Mono(1).after(WINDOW);
        let written = (0..1000).filter(|_| window.admit(start).is_some()).count();
        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(window.admit(start.after(WINDOW)), Some(1000 - u64::from(LINES_MAX)));
        assert_eq!(window.admit(start.after(WINDOW)), Some(0));
    }
}
