//! The network between simulated hosts: streams in order, each with its own delays; connections reset, hosts cut off.
//! Invariant: a byte is delivered once, in order, or the connection has been reset.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;

use super::SimRuntime;
use super::io::later;
use super::world::{HostId, World};
use crate::runtime::{Conn, Listener};
use crate::types::Mono;

/// Bytes that one direction of a connection holds, sent and not yet read.
const WINDOW_BYTES: usize = 256 * 1024;
/// How long a connect to a host that is cut off tries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// First of the ports that the system gives out.
const FIRST_PORT: u16 = 32_768;

type EndId = u64;
type ListenerId = u64;

pub(super) struct Net {
    listeners: BTreeMap<ListenerId, ListenState>,
    ends: BTreeMap<EndId, End>,
    ids: u64,
    next_port: u16,
    /// Pairs of hosts that do not reach each other, the lower first.
    cut: BTreeSet<(HostId, HostId)>,
    pub(super) latency: Range<Duration>,
}

impl Default for Net {
    fn default() -> Net {
        Net {
            listeners: BTreeMap::new(),
            ends: BTreeMap::new(),
            ids: 0,
            next_port: FIRST_PORT,
            cut: BTreeSet::new(),
            latency: Duration::from_micros(10)..Duration::from_millis(1),
        }
    }
}

struct ListenState {
    host: HostId,
    addr: SocketAddr,
    backlog: VecDeque<EndId>,
    waker: Option<Waker>,
}

/// One end of a connection.
struct End {
    host: HostId,
    peer: EndId,
    peer_host: HostId,
    local_addr: SocketAddr,
    peer_addr: SocketAddr,
    received: VecDeque<Bytes>,
    /// Bytes on the way here or received and not read.
    held_bytes: usize,
    ended: bool,
    reset: bool,
    shut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// When the last packet sent to this end arrives: later ones arrive later.
    last_arrival: Mono,
    /// What arrived while the hosts were cut off from each other.
    stuck: VecDeque<Packet>,
}

impl End {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

enum Packet {
    Data(Bytes),
    End,
    Reset,
}

/// The address of a host.
pub(super) fn ip_of(host: HostId) -> IpAddr {
    let [high, low] = (host.0 as u16 + 1).to_be_bytes();
    Ipv4Addr::new(10, 0, high, low).into()
}

fn pair(a: HostId, b: HostId) -> (HostId, HostId) {
    (a.min(b), a.max(b))
}

impl Net {
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    fn is_cut(&self, a: HostId, b: HostId) -> bool {
        self.cut.contains(&pair(a, b))
    }

    /// The host and the address at which `from` looks for `addr`.
    fn host_of(from: HostId, addr: SocketAddr, hosts: usize) -> Option<HostId> {
        if addr.ip().is_loopback() {
            return Some(from);
        }
        (0..hosts).map(HostId).find(|host| ip_of(*host) == addr.ip())
    }

    fn listening(&self, host: HostId, addr: SocketAddr) -> Vec<ListenerId> {
        let fits = |state: &ListenState| {
            let ip = state.addr.ip();
            state.host == host && state.addr.port() == addr.port() && (ip == addr.ip() || ip.is_unspecified())
        };
        self.listeners.iter().filter(|(_, state)| fits(state)).map(|(id, _)| *id).collect()
    }
}

// ---- packets

fn send(world: &Rc<World>, from: EndId, to: EndId, packet: Packet) {
    let at = {
        let net = &mut *world.net.borrow_mut();
        let wait = world.random.borrow_mut().latency(&net.latency);
        let mut at = world.now().after(wait);
        if let Some(end) = net.ends.get_mut(&to) {
            at = at.max(Mono(end.last_arrival.0 + 1));
            end.last_arrival = at;
            if let Packet::Data(data) = &packet {
                end.held_bytes += data.len();
            }
        }
        at
    };
    world.run_at(at, move |world| arrive(world, from, to, packet));
}

fn arrive(world: &Rc<World>, from: EndId, to: EndId, packet: Packet) {
    let refused = {
        let net = &mut *world.net.borrow_mut();
        let cut = net.ends.get(&to).is_some_and(|end| net.is_cut(end.host, end.peer_host) || !end.stuck.is_empty());
        match net.ends.get_mut(&to) {
            Some(end) if cut => {
                end.stuck.push_back(packet);
                false
            }
            Some(end) => receive(end, packet),
            None => matches!(packet, Packet::Data(_)),
        }
    };
    world.note(to, u64::from(refused));
    if refused {
        // Nobody reads there any more: the sender learns it.
        send(world, to, from, Packet::Reset);
    }
}

/// True when the data is refused.
fn receive(end: &mut End, packet: Packet) -> bool {
    match packet {
        Packet::Data(_) if end.shut => return true,
        Packet::Data(data) => end.received.push_back(data),
        Packet::End => end.ended = true,
        Packet::Reset => end.reset = true,
    }
    end.wake();
    false
}

// ---- what the world does to the network

pub(super) fn cut(world: &Rc<World>, a: HostId, b: HostId) {
    world.net.borrow_mut().cut.insert(pair(a, b));
}

pub(super) fn heal(world: &Rc<World>, a: HostId, b: HostId) {
    let stuck: Vec<(EndId, EndId, VecDeque<Packet>)> = {
        let net = &mut *world.net.borrow_mut();
        net.cut.remove(&pair(a, b));
        let between = net.ends.iter_mut().filter(|(_, end)| pair(end.host, end.peer_host) == pair(a, b));
        between.map(|(id, end)| (end.peer, *id, std::mem::take(&mut end.stuck))).collect()
    };
    for (from, to, packets) in stuck {
        for packet in packets {
            arrive(world, from, to, packet);
        }
    }
}

/// Ends all connections between two hosts with a reset, at once.
pub(super) fn reset_between(world: &Rc<World>, a: HostId, b: HostId) {
    let net = &mut *world.net.borrow_mut();
    for end in net.ends.values_mut().filter(|end| pair(end.host, end.peer_host) == pair(a, b)) {
        end.reset = true;
        end.wake();
    }
}

/// All ends and listeners of a host that has fallen vanish; its peers learn it by a reset.
pub(super) fn host_down(world: &Rc<World>, host: HostId) {
    let peers: Vec<(EndId, EndId)> = {
        let net = &mut *world.net.borrow_mut();
        net.listeners.retain(|_, state| state.host != host);
        let gone: Vec<(EndId, EndId)> =
            net.ends.iter().filter(|(_, end)| end.host == host).map(|(id, end)| (*id, end.peer)).collect();
        for (id, _) in &gone {
            net.ends.remove(id);
        }
        gone
    };
    for (id, peer) in peers {
        send(world, id, peer, Packet::Reset);
    }
}

// ---- listeners

pub struct SimListener {
    rt: SimRuntime,
    id: ListenerId,
    addr: SocketAddr,
}

impl SimListener {
    pub(super) fn bind(rt: &SimRuntime, addr: SocketAddr) -> io::Result<SimListener> {
        let net = &mut *rt.world.net.borrow_mut();
        let ours = addr.ip().is_loopback() || addr.ip().is_unspecified() || addr.ip() == ip_of(rt.host);
        if !ours {
            return Err(Errno::ADDRNOTAVAIL.into());
        }
        let addr = SocketAddr::new(addr.ip(), if addr.port() == 0 { net.port() } else { addr.port() });
        let id = net.id();
        net.listeners.insert(id, ListenState { host: rt.host, addr, backlog: VecDeque::new(), waker: None });
        Ok(SimListener { rt: rt.clone(), id, addr })
    }
}

impl Listener for SimListener {
    type Conn = SimConn;

    async fn accept(&self) -> io::Result<SimConn> {
        std::future::poll_fn(|cx| {
            let net = &mut *self.rt.world.net.borrow_mut();
            let Some(state) = net.listeners.get_mut(&self.id) else {
                return Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
            };
            while let Some(id) = state.backlog.pop_front() {
                if let Some(end) = net.ends.get(&id) {
                    return Poll::Ready(Ok(SimConn::new(&self.rt, id, end)));
                }
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn stop(&self) {
        let stopped = self.rt.world.net.borrow_mut().listeners.remove(&self.id);
        let Some(state) = stopped else { return };
        for id in state.backlog {
            close_end(&self.rt.world, id);
        }
        if let Some(waker) = state.waker {
            waker.wake();
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.stop();
    }
}

// ---- connections

pub struct SimConn {
    rt: SimRuntime,
    id: EndId,
    peer_id: EndId,
    local: SocketAddr,
    peer: SocketAddr,
}

impl SimConn {
    fn new(rt: &SimRuntime, id: EndId, end: &End) -> SimConn {
        SimConn { rt: rt.clone(), id, peer_id: end.peer, local: end.local_addr, peer: end.peer_addr }
    }

    pub(super) async fn connect(rt: &SimRuntime, addr: SocketAddr) -> io::Result<SimConn> {
        let hosts = rt.world.hosts.borrow().len();
        let target = Net::host_of(rt.host, addr, hosts);
        let wait = {
            let net = rt.world.net.borrow();
            match target {
                Some(host) if !net.is_cut(rt.host, host) => rt.world.random.borrow_mut().latency(&net.latency),
                _ => CONNECT_TIMEOUT,
            }
        };
        let caller = rt.clone();
        later(rt, wait, move |world| {
            let net = &mut *world.net.borrow_mut();
            let host = target.filter(|host| !net.is_cut(caller.host, *host)).ok_or(Errno::TIMEDOUT)?;
            let listening = net.listening(host, addr);
            if listening.is_empty() {
                return Err(Errno::CONNREFUSED.into());
            }
            let chosen = listening[world.random.borrow_mut().index(listening.len())];
            let our_ip = if addr.ip().is_loopback() { addr.ip() } else { ip_of(caller.host) };
            let our_addr = SocketAddr::new(our_ip, net.port());
            let (ours, theirs) = (net.id(), net.id());
            let end = |host, peer, peer_host, local_addr, peer_addr| End {
                host,
                peer,
                peer_host,
                local_addr,
                peer_addr,
                received: VecDeque::new(),
                held_bytes: 0,
                ended: false,
                reset: false,
                shut: false,
                reader: None,
                writer: None,
                last_arrival: world.now(),
                stuck: VecDeque::new(),
            };
            let our_end = end(caller.host, theirs, host, our_addr, addr);
            let conn = SimConn::new(&caller, ours, &our_end);
            net.ends.insert(ours, our_end);
            net.ends.insert(theirs, end(host, ours, caller.host, addr, our_addr));
            if let Some(state) = net.listeners.get_mut(&chosen) {
                state.backlog.push_back(theirs);
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            }
            Ok(conn)
        })
        .await
    }

    /// Ends the direction to the peer, which still can write: a socket that is shut down for writing.
    pub fn end_writes(&self) {
        send(&self.rt.world, self.id, self.peer_id, Packet::End);
    }

    /// One piece of the queue into the network, if it has room; its bytes.
    fn poll_write_some(&self, queue: &mut VecDeque<Bytes>, waker: &Waker) -> Poll<io::Result<usize>> {
        let piece = {
            let net = &mut *self.rt.world.net.borrow_mut();
            let held = net.ends.get(&self.peer_id).map_or(0, |peer| peer.held_bytes);
            let end = net.ends.get_mut(&self.id).ok_or(Errno::PIPE)?;
            if end.reset {
                return Poll::Ready(Err(Errno::CONNRESET.into()));
            }
            if end.shut {
                return Poll::Ready(Err(Errno::PIPE.into()));
            }
            let room = WINDOW_BYTES.saturating_sub(held);
            if room == 0 {
                end.writer = Some(waker.clone());
                return Poll::Pending;
            }
            let Some(first) = queue.front_mut() else { return Poll::Ready(Ok(0)) };
            let random = &mut *self.rt.world.random.borrow_mut();
            let most = room.min(first.len());
            let take = if random.one_in(4) { random.index(most) + 1 } else { most };
            first.split_to(take)
        };
        let bytes = piece.len();
        send(&self.rt.world, self.id, self.peer_id, Packet::Data(piece));
        Poll::Ready(Ok(bytes))
    }
}

impl Conn for SimConn {
    async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let net = &mut *self.rt.world.net.borrow_mut();
            let Some(end) = net.ends.get_mut(&self.id) else { return Poll::Ready(()) };
            if !end.received.is_empty() || end.ended || end.reset || end.shut {
                return Poll::Ready(());
            }
            end.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        Ok(())
    }

    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let net = &mut *self.rt.world.net.borrow_mut();
        let end = net.ends.get_mut(&self.id).ok_or(Errno::CONNRESET)?;
        let Some(first) = end.received.front_mut() else {
            // Told once, then it is the end of the stream: as a socket does.
            if end.reset && !std::mem::replace(&mut end.ended, true) {
                return Err(Errno::CONNRESET.into());
            }
            return if end.ended || end.shut { Ok(0) } else { Err(Errno::AGAIN.into()) };
        };
        let most = first.len().min(into.len());
        let random = &mut *self.rt.world.random.borrow_mut();
        let take = if most > 1 && random.one_in(8) { random.index(most) + 1 } else { most };
        into[..take].copy_from_slice(&first.split_to(take));
        if first.is_empty() {
            end.received.pop_front();
        }
        end.held_bytes -= take;
        if let Some(waker) = net.ends.get_mut(&self.peer_id).and_then(|peer| peer.writer.take()) {
            waker.wake();
        }
        Ok(take)
    }

    async fn write_some(&self, queue: &mut VecDeque<Bytes>) -> io::Result<usize> {
        while queue.front().is_some_and(Bytes::is_empty) {
            queue.pop_front();
        }
        if queue.is_empty() {
            return Ok(0);
        }
        std::future::poll_fn(|cx| self.poll_write_some(queue, cx.waker())).await
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn shutdown(&self) {
        let first = {
            let net = &mut *self.rt.world.net.borrow_mut();
            let Some(end) = net.ends.get_mut(&self.id) else { return };
            end.wake();
            !std::mem::replace(&mut end.shut, true)
        };
        if first {
            send(&self.rt.world, self.id, self.peer_id, Packet::End);
        }
    }
}

impl Drop for SimConn {
    fn drop(&mut self) {
        close_end(&self.rt.world, self.id);
    }
}

/// The socket is closed: an orderly end if all was read, else a reset, as TCP does.
fn close_end(world: &Rc<World>, id: EndId) {
    let closed = world.net.borrow_mut().ends.remove(&id);
    let Some(end) = closed else { return };
    if !end.received.is_empty() {
        send(world, id, end.peer, Packet::Reset);
    } else if !end.shut {
        send(world, id, end.peer, Packet::End);
    }
}
