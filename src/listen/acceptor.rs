//! The connections of one core: accepts them, sweeps out the dead ones once a second, and stops them (R18).
//! Owning core only. Invariant: a connection is in `links` from accept until both of its tasks have ended.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use shards::router::Shards;
use shards::runtime::{Conn, Listener, Runtime};
use shards::types::Mono;

use super::blocks::Blocks;
use super::budget::Budget;
use super::connection::{read_requests, write_replies};
use super::limits::{Admission, Permit};
use super::link::{Link, Phase, Sending};
use super::peer_log::PeerLog;
use super::reply_memory::ReplyMemory;
use super::report::ClientLoad;
use super::slow::Slow;
use super::{ListenSettings, ServerPlan};
use crate::api::{ApiCore, ListenerInfo, Peer};

/// How often dead connections are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a stop looks whether all replies have left.
const STOP_POLL: Duration = Duration::from_millis(2);
/// How long tasks of closed connections may take to see it.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// A frame older than `partial_frame_max` must have come at this rate, in bytes per second.
pub const PARTIAL_RATE_MIN: u64 = 64 * 1024;
/// While others wait for memory, a partial frame holds it for no longer than this unless it comes at the rate below.
const PARTIAL_PRESSED_MAX: Duration = Duration::from_secs(5);
const PARTIAL_PRESSED_RATE_MIN: u64 = 1024 * 1024;
/// A large one that hardly comes at all holds it for no longer than this: one after the other could keep it from others.
const LARGE_PRESSED_MAX: Duration = Duration::from_secs(1);
/// While others wait for memory, a reply that nobody reads holds it for no longer than this, and one that is read no longer
/// unless it leaves at the rate below.
const UNREAD_PRESSED_MAX: Duration = Duration::from_secs(3);
const SENT_PRESSED_RATE_MIN: u64 = 64 * 1024;
/// A peer that has ended its side, and may be gone, waits for a reply for no longer than this.
const ENDED_MAX: Duration = Duration::from_secs(30);

/// The listening side of one core; [`start`](super::start) makes it.
pub struct Server<R: Runtime> {
    pub(super) runtime: R,
    pub(super) api: Rc<ApiCore>,
    pub(super) settings: ListenSettings,
    pub(super) budget: Budget,
    memory: Rc<ReplyMemory<R>>,
    pub(super) blocks: Blocks,
    pub(super) log: PeerLog,
    pub(super) slow: Slow,
    /// Of whole requests and of replies that left.
    pub(super) received_bytes: Cell<u64>,
    pub(super) sent_bytes: Cell<u64>,
    admission: Admission,
    core: u16,
    listeners: RefCell<Vec<Rc<R::Listener>>>,
    /// Ordered, so that a stop ends them in the same order in every run of a simulation.
    links: RefCell<BTreeMap<u64, Rc<Link<R::Conn>>>>,
    next_link: Cell<u64>,
    stopping: Cell<bool>,
}

impl<R: Runtime> Server<R> {
    pub(super) fn new(runtime: R, shards: Shards, plan: ServerPlan) -> Rc<Server<R>> {
        let core = u16::try_from(shards.index().0).unwrap_or(u16::MAX);
        let budget = Budget::new(plan.budget_bytes);
        let frame_bytes_max = plan.settings.frame_bytes_max.min(budget.capacity_bytes() / 2);
        let memory = Rc::new(ReplyMemory::new(runtime.clone(), budget.clone()));
        Rc::new(Server {
            api: ApiCore::new(core, shards, Rc::new(plan.api), memory.clone(), runtime.random()),
            memory,
            settings: ListenSettings { frame_bytes_max, ..plan.settings },
            runtime,
            budget,
            blocks: Blocks::default(),
            log: PeerLog::default(),
            slow: Slow::new(plan.settings.slow_min),
            received_bytes: Cell::new(0),
            sent_bytes: Cell::new(0),
            admission: plan.admission,
            core,
            listeners: RefCell::default(),
            links: RefCell::default(),
            next_link: Cell::new(0),
            stopping: Cell::new(false),
        })
    }

    pub(super) fn start_sweep(self: &Rc<Self>) {
        let server = self.clone();
        self.runtime.spawn(async move {
            while !server.stopping.get() {
                server.runtime.sleep_until(server.runtime.now().after(SWEEP)).await;
                server.sweep(server.runtime.now());
            }
        });
    }

    /// Accepts connections of one listener until [`Server::stop`].
    pub(super) fn serve(self: &Rc<Self>, listener: R::Listener, info: Rc<ListenerInfo>) {
        let listener = Rc::new(listener);
        self.listeners.borrow_mut().push(listener.clone());
        let server = self.clone();
        self.runtime.spawn(async move {
            while !server.stopping.get() {
                match listener.accept().await {
                    Ok(conn) => {
                        server.open(conn, &info);
                        // A crowd comes at once, and others are to have their turn.
                        server.runtime.quantum().await;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => break,
                    Err(e) => {
                        tracing::warn!(listener = %listener.local_addr(), error = %e, "no connection could be accepted");
                        server.runtime.sleep_until(server.runtime.now().after(ACCEPT_PAUSE)).await;
                    }
                }
            }
        });
    }

    /// Takes over a connection that was accepted, on whichever core.
    pub fn open(self: &Rc<Self>, conn: R::Conn, listener: &Rc<ListenerInfo>) {
        let (now, addr) = (self.runtime.now(), conn.peer_addr());
        let permit = match self.admission.enter(self.core, addr.ip(), self.api.shards.catalog().connections()) {
            Ok(permit) => permit,
            Err(refused) => {
                self.log.closed(now, addr, "-", &refused);
                return conn.shutdown();
            }
        };
        if self.stopping.get() {
            return conn.shutdown();
        }
        let peer =
            Rc::new(Peer { addr, local: conn.local_addr(), listener: listener.clone(), client_id: OnceCell::new() });
        let link = Rc::new(Link::new(conn, now, peer.clone(), self.settings.in_flight_max));
        let id = self.next_link.replace(self.next_link.get() + 1);
        self.links.borrow_mut().insert(id, link.clone());
        let place = Rc::new(Place { server: self.clone(), id, _permit: permit });
        let (server, other_place) = (self.clone(), place.clone());
        let (other_link, other_peer) = (link.clone(), peer.clone());
        self.runtime.spawn(async move {
            read_requests(server, other_link, other_peer).await;
            drop(other_place);
        });
        let server = self.clone();
        self.runtime.spawn(async move {
            write_replies(server, link, peer).await;
            drop(place);
        });
    }

    /// The memory of this core's requests and replies.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Requests without a reply, of all connections.
    #[cfg(test)]
    pub(super) fn requests_waiting(&self) -> usize {
        self.links.borrow().values().map(|link| link.waiting()).sum()
    }

    /// Connections of this core.
    pub fn connections(&self) -> usize {
        self.links.borrow().len()
    }

    /// The addresses listened on; a port of 0 has become the one that the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.borrow().iter().map(|listener| listener.local_addr()).collect()
    }

    /// No new connections and no more reads (R18); replies to what was read still leave. Fetches that wait for records
    /// are ended by the shards (`Shards::stop_waiting`).
    pub fn stop(&self) {
        self.stopping.set(true);
        self.memory.stop();
        for listener in self.listeners.borrow().iter() {
            listener.stop();
        }
        self.each_link(|link| link.drain());
    }

    /// After [`Server::stop`]: waits until all replies have left, at most until `until`; then closes what is left.
    /// Returns when no task of a connection runs any more.
    pub async fn drained(&self, until: Mono) {
        self.until_empty(until).await;
        self.each_link(|link| link.close());
        self.until_empty(self.runtime.now().after(CLOSE_MAX)).await;
    }

    async fn until_empty(&self, until: Mono) {
        while self.connections() > 0 && self.runtime.now() < until {
            self.runtime.sleep_until(self.runtime.now().after(STOP_POLL)).await;
        }
    }

    /// Calls `act` without a borrow of the links: it may wake or end anything.
    fn each_link(&self, act: impl Fn(&Link<R::Conn>)) {
        let links: Vec<_> = self.links.borrow().values().cloned().collect();
        links.iter().for_each(|link| act(link));
    }

    /// So many connections from this one on, and the one after them, if there are more.
    pub fn loads(&self, from: u64, places: usize) -> (Vec<ClientLoad>, Option<u64>) {
        let links = self.links.borrow();
        let mut rest = links.range(from..);
        let loads = rest.by_ref().take(places).map(|(_, link)| link.load()).collect();
        (loads, rest.next().map(|(id, _)| *id))
    }

    fn sweep(&self, now: Mono) {
        let budget = &self.budget;
        self.each_link(|link| {
            if let Some(reason) = overdue(link, now, &self.settings, budget) {
                match reason {
                    Overdue::Idle => tracing::debug!(peer = %link.conn.peer_addr(), "idle connection closed"),
                    Overdue::PartialFrame => {
                        self.log.closed(now, link.conn.peer_addr(), "-", &"a request came too slowly")
                    }
                    Overdue::Claim => {
                        self.log.closed(now, link.conn.peer_addr(), "-", &"there was no memory for its request")
                    }
                    Overdue::Ended => {
                        tracing::debug!(peer = %link.conn.peer_addr(), "a connection that its peer had ended was closed")
                    }
                    Overdue::Unread => self.log.closed(now, link.conn.peer_addr(), "-", &"replies were not read"),
                }
                link.close();
            }
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overdue {
    Idle,
    PartialFrame,
    Claim,
    Ended,
    Unread,
}

fn overdue<C: Conn>(link: &Link<C>, now: Mono, settings: &ListenSettings, budget: &Budget) -> Option<Overdue> {
    let pressed = budget.is_pressed();
    if link.phase() == Phase::Closed {
        return None;
    }
    if let Some(sending) = link.sending.get() {
        return is_unread(now, &sending, settings, pressed).then_some(Overdue::Unread);
    }
    if link.has_ended() {
        return (now.since(link.active_at.get()) >= ENDED_MAX).then_some(Overdue::Ended);
    }
    if let Some(since) = link.claims_since.get() {
        let is_over = budget.used_bytes() > budget.capacity_bytes();
        let age_max = if is_over { UNREAD_PRESSED_MAX } else { settings.partial_frame_max };
        return (now.since(since) >= age_max).then_some(Overdue::Claim);
    }
    if let Some(partial) = link.partial.get() {
        let is_large = budget.is_large(partial.held_bytes);
        return comes_too_slowly(now.since(partial.since), partial.bytes, is_large, settings, pressed)
            .then_some(Overdue::PartialFrame);
    }
    (link.waiting() == 0 && now.since(link.active_at.get()) >= settings.idle_max).then_some(Overdue::Idle)
}

fn comes_too_slowly(age: Duration, bytes: usize, is_large: bool, settings: &ListenSettings, pressed: bool) -> bool {
    (age >= settings.partial_frame_max && is_below(PARTIAL_RATE_MIN, bytes, age))
        || (pressed && age >= PARTIAL_PRESSED_MAX && is_below(PARTIAL_PRESSED_RATE_MIN, bytes, age))
        || (pressed && is_large && age >= LARGE_PRESSED_MAX && is_below(PARTIAL_RATE_MIN, bytes, age))
}

/// Whoever takes a little now and then reads, however slowly, as long as nobody waits for the memory.
fn is_unread(now: Mono, sending: &Sending, settings: &ListenSettings, pressed: bool) -> bool {
    let (still, age) = (now.since(sending.moved), now.since(sending.since));
    let is_slow = age >= UNREAD_PRESSED_MAX && is_below(SENT_PRESSED_RATE_MIN, sending.bytes, age);
    still >= settings.unread_max || pressed && (still >= UNREAD_PRESSED_MAX || is_slow)
}

/// Fewer bytes than there would be at this rate.
fn is_below(bytes_per_second: u64, bytes: usize, age: Duration) -> bool {
    (bytes as u128) < u128::from(bytes_per_second) * age.as_millis() / 1000
}

/// A connection's entry in `links`, removed when the last of its tasks has ended.
struct Place<R: Runtime> {
    server: Rc<Server<R>>,
    id: u64,
    _permit: Permit,
}

impl<R: Runtime> Drop for Place<R> {
    fn drop(&mut self) {
        // Taken out first: dropping the link may run destructors that look at the map.
        let link = self.server.links.borrow_mut().remove(&self.id);
        drop(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickled_frame_is_cut_off_and_a_large_one_that_flows_is_not() {
        let settings = ListenSettings::default();
        let slow =
            |seconds, bytes, pressed| comes_too_slowly(Duration::from_secs(seconds), bytes, false, &settings, pressed);
        assert!(!slow(29, 29, false), "young");
        assert!(slow(30, 30, false), "a byte a second");
        assert!(!slow(60, 60 * 1024 * 1024, false), "a megabyte a second");
        assert!(!slow(6, 3 * 1024 * 1024, false));
        assert!(slow(6, 3 * 1024 * 1024, true), "half a megabyte a second while others wait for memory");
        assert!(!slow(2, 2, true), "it holds little");
        let large = |seconds, bytes| comes_too_slowly(Duration::from_secs(seconds), bytes, true, &settings, true);
        assert!(large(2, 2) && !large(0, 2) && !large(2, 1024 * 1024));
    }

    #[test]
    fn a_reply_that_is_read_slowly_goes_on_unless_others_wait_for_its_memory() {
        let settings = ListenSettings::default();
        let second = |seconds| Mono(0).after(Duration::from_secs(seconds));
        let unread = |now, moved, bytes, pressed| {
            is_unread(second(now), &Sending { since: second(0), moved: second(moved), bytes }, &settings, pressed)
        };
        assert!(!unread(3600, 3590, 3600 * 1024, false), "a kilobyte a second, for an hour");
        assert!(unread(3600, 3540, 3600 << 20, false), "nothing for a minute");
        assert!(!unread(2, 0, 0, true), "young");
        assert!(unread(10, 9, 100 * 1024, true), "ten kilobytes a second while others wait for memory");
        assert!(!unread(10, 9, 1024 * 1024, true));
        assert!(unread(10, 7, 1024 * 1024, true), "nothing for three seconds");
    }
}
