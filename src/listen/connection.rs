//! One connection: a task that reads requests and a task that writes their replies. Owning core only.
//! Invariant: memory is lent before bytes are read, so a core that has none left stops reading instead of failing; the
//! first stage of every request runs before the next one is looked at (R4), replies leave in that order, and none
//! but a fetch's tells of what a request behind it changed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use shards::router::{ReadLease, Stage, Trace};
use shards::runtime::{Conn, Runtime};
use shards::types::Mono;

use super::Server;
use super::blocks::BLOCK_BYTES;
use super::budget::{Held, Lease};
use super::frames::{Frames, Next};
use super::link::{Link, PartialFrame, Phase, Queued, Sending};
use crate::api::{self, Arrival, Outcome, Peer, Refusal, Subject, Submitted};

/// Replies are gathered up to this size for one write, and a larger one is written in pieces of it.
const WRITE_BYTES: usize = 1024 * 1024;

/// Why a reader ends.
enum End {
    /// The socket failed: nobody is there to read replies.
    PeerGone,
    /// End of the stream: the peer may still read.
    PeerEnded,
    /// The peer sent what is no request.
    Refused(Refusal),
    /// The connection drains or is closed; somebody else saw to it.
    Stopped,
}

/// Reads requests until the connection ends.
pub(super) async fn read_requests<R: Runtime>(server: Rc<Server<R>>, link: Rc<Link<R::Conn>>, peer: Rc<Peer>) {
    let frames = Frames::new(server.settings.frame_bytes_max);
    let mut reader = Reader { server, link, peer, frames, partial_lease: None, woken: Mono(0), began: Mono(0) };
    let end = loop {
        match reader.read_round().await {
            Ok(()) => reader.server.runtime.quantum().await,
            Err(end) => break end,
        }
    };
    let Reader { link, server, .. } = reader;
    match end {
        End::PeerGone => link.close(),
        End::PeerEnded => link.ended(server.runtime.now()),
        End::Stopped => {}
        End::Refused(refusal) => {
            // Requests before this one still get their replies.
            let pending = Box::pin(std::future::ready(Outcome::Close(refusal)));
            let submitted = Submitted { rest: None, pending, tells: None, settles: false };
            let trace = Rc::new(Trace::new(server.runtime.now()));
            link.push(Queued { submitted, lease: server.budget.charge(0), trace });
            link.drain();
        }
    }
}

struct Reader<R: Runtime> {
    server: Rc<Server<R>>,
    link: Rc<Link<R::Conn>>,
    peer: Rc<Peer>,
    frames: Frames,
    /// Memory of the partial frame that is open.
    partial_lease: Option<Lease>,
    /// When there was last something to read.
    woken: Mono,
    /// When the next frame could first be read.
    began: Mono,
}

impl<R: Runtime> Reader<R> {
    async fn read_round(&mut self) -> Result<(), End> {
        match self.link.while_open(self.link.conn.readable()).await {
            None => return Err(End::Stopped),
            Some(Err(_)) => return Err(End::PeerGone),
            Some(Ok(())) => {}
        }
        self.woken = self.server.runtime.now();
        self.began = self.link.partial.get().map_or(self.woken, |open| open.since);
        if self.frames.space().is_some() {
            self.read_partial().await?
        } else {
            self.read_block().await?
        }
        let since = self.link.partial.get().map_or_else(|| self.server.runtime.now(), |open| open.since);
        let held_bytes = self.partial_lease.as_ref().map_or(0, Lease::bytes);
        self.link.partial.set(self.frames.partial_bytes().map(|bytes| PartialFrame { since, bytes, held_bytes }));
        Ok(())
    }

    /// Reads straight into the frame that is open. It has its memory, so this goes on when the core has none left.
    async fn read_partial(&mut self) -> Result<(), End> {
        let Some(space) = self.frames.space() else { return Ok(()) };
        let read = read_some(&self.link.conn, space)?;
        let Some(frame) = self.frames.filled(read) else { return Ok(()) };
        let lease = self.partial_lease.take().unwrap_or_else(|| self.server.budget.charge(frame.len()));
        self.link.partial.set(None);
        self.submit(frame, lease).await
    }

    /// Reads into a block of the core, whatever it holds.
    async fn read_block(&mut self) -> Result<(), End> {
        let lease = self.link.while_open(self.server.budget.take(Held::ByUs, BLOCK_BYTES)).await.ok_or(End::Stopped)?;
        let mut block = self.server.blocks.take();
        let shared_bytes_min = self.server.blocks.shared_bytes_min();
        let read = read_some(&self.link.conn, &mut block);
        let block = block.freeze();
        let chunk = read.map(|read| block.slice(..read));
        self.server.blocks.give(block);
        self.take_frames(chunk?, lease, shared_bytes_min).await
    }

    async fn take_frames(&mut self, mut chunk: Bytes, mut lease: Lease, shared_bytes_min: usize) -> Result<(), End> {
        loop {
            let next = self.frames.next(&mut chunk, shared_bytes_min);
            match next.map_err(|reason| End::Refused(Refusal { api: "-", reason: reason.to_string() }))? {
                Next::Nothing => return Ok(()),
                Next::Frame(frame) => {
                    let frame_lease = lease.split(frame.len());
                    self.link.partial.set(None);
                    if self.must_wait(&frame) {
                        // Nobody knows for how long: others need the rest of the block, and its memory.
                        chunk = Bytes::copy_from_slice(&chunk);
                        lease.shrink_to(chunk.len());
                    }
                    self.submit(frame, frame_lease).await?;
                    // However many requests one read brings, others have their turn.
                    self.server.runtime.quantum().await;
                }
                Next::Partial(len) => {
                    // What is held is given back first: waiting for memory while holding some could lock all up. What came of
                    // the frame is copied: a wait must not keep the block.
                    drop(lease);
                    chunk = Bytes::copy_from_slice(&chunk);
                    let _came = self.server.budget.charge(chunk.len());
                    let budget = &self.server.budget;
                    let held = if budget.is_large(len) { Held::ByPeer } else { Held::SmallFrame };
                    self.link.claims_since.set(Some(self.server.runtime.now()));
                    let lease = self.link.while_open(budget.take(held, len)).await.ok_or(End::Stopped)?;
                    self.link.claims_since.set(None);
                    self.frames.begin(len, &mut chunk);
                    self.partial_lease = Some(lease);
                    return Ok(());
                }
            }
        }
    }

    /// The frame's request is not dispatched before others have their replies.
    fn must_wait(&self, frame: &Bytes) -> bool {
        !self.link.has_room() || self.link.holds_back(self.changed_by(frame))
    }

    /// What the frame's request changes, where replies to be made could tell of it.
    fn changed_by(&self, frame: &Bytes) -> Option<Subject> {
        if self.link.is_telling() { api::changes(frame) } else { None }
    }

    async fn submit(&mut self, frame: Bytes, lease: Lease) -> Result<(), End> {
        let link = self.link.clone();
        let _answered = link.hold();
        link.while_answering(link.room()).await.ok_or(End::Stopped)?;
        let changed = self.changed_by(&frame);
        if link.holds_back(changed) {
            link.while_answering(link.settled(changed)).await.ok_or(End::Stopped)?;
            // That was no reading, of this one and of those behind it.
            self.woken = self.server.runtime.now();
            self.began = self.woken;
        }
        let runtime = &self.server.runtime;
        let since = runtime.now();
        self.link.received(frame.len());
        self.server.received_bytes.update(|sum| sum + frame.len() as u64);
        // What else came with it could be read as early.
        let trace = Rc::new(Trace::new(std::mem::replace(&mut self.began, self.woken)));
        trace.step(Stage::Read, since);
        let arrival = Arrival { now: since, wall_ms: runtime.wall_ms(), trace: trace.clone() };
        let mut submitted = api::dispatch(&self.server.api, &self.peer, &frame, arrival).map_err(End::Refused)?;
        drop(frame);
        if let Some(rest) = submitted.rest.take() {
            // Whatever becomes of the connection: work that is done beside the core holds the request's bytes, and they are lent.
            rest.await;
        }
        trace.decoded(runtime.now());
        self.link.active_at.set(since);
        self.link.push(Queued { submitted, lease, trace });
        Ok(())
    }
}

/// Reads what is there: 0 if nothing is, the peer's end as `End::PeerEnded`.
fn read_some<C: Conn>(conn: &C, into: &mut [u8]) -> Result<usize, End> {
    match conn.try_read(into) {
        Ok(0) => Err(End::PeerEnded),
        Ok(read) => Ok(read),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        Err(_) => Err(End::PeerGone),
    }
}

/// Writes replies in order until there will be none; then closes the connection.
pub(super) async fn write_replies<R: Runtime>(server: Rc<Server<R>>, link: Rc<Link<R::Conn>>, peer: Rc<Peer>) {
    let mut gathered = Gathered::default();
    loop {
        let more = poll_fn(|cx| gathered.gather(cx, &server, &link, &peer)).await;
        let replies = std::mem::take(&mut gathered.replies);
        if !send(&server, &link, &peer, replies).await || !more {
            break;
        }
        server.runtime.quantum().await;
    }
    link.close();
}

/// Replies that are ready, and the request whose reply comes next.
#[derive(Default)]
struct Gathered {
    front: Option<Queued>,
    replies: Replies,
}

#[derive(Default)]
struct Replies {
    segments: VecDeque<Bytes>,
    bytes: usize,
    /// Memory that was lent for them.
    leases: Vec<Box<dyn ReadLease>>,
    traces: Vec<Rc<Trace>>,
}

impl Gathered {
    /// Collects all consecutive replies that are ready, at least one. `Ready(false)`: the last ones.
    fn gather<R: Runtime>(
        &mut self,
        cx: &mut Context<'_>,
        server: &Server<R>,
        link: &Link<R::Conn>,
        peer: &Peer,
    ) -> Poll<bool> {
        // Where memory is short, a reply to come is not made before those that hold some have left.
        let is_enough = |replies: &Replies| match server.budget.is_pressed() {
            true => !replies.leases.is_empty() || replies.bytes >= BLOCK_BYTES,
            false => replies.bytes >= WRITE_BYTES,
        };
        while !is_enough(&self.replies) {
            match link.poll_outcome(cx, &mut self.front) {
                Poll::Pending if self.replies.segments.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(None) => return Poll::Ready(false),
                Poll::Ready(Some((Outcome::Silent, trace))) => {
                    trace.answered(server.runtime.now());
                    end(server, peer, &trace);
                }
                Poll::Ready(Some((Outcome::Close(refusal), _))) => {
                    server.log.closed(server.runtime.now(), peer.addr, refusal.api, &refusal.reason);
                    return Poll::Ready(false);
                }
                Poll::Ready(Some((Outcome::Reply(segments, leases), trace))) => {
                    self.replies.leases.extend(leases);
                    self.replies.traces.push(trace);
                    self.replies.bytes += segments.iter().map(Bytes::len).sum::<usize>();
                    self.replies.segments.extend(segments);
                }
            }
        }
        Poll::Ready(true)
    }
}

/// Writes the replies; false when the connection failed or was closed.
async fn send<R: Runtime>(server: &Server<R>, link: &Link<R::Conn>, peer: &Peer, mut replies: Replies) -> bool {
    if link.phase() == Phase::Closed {
        return false;
    }
    if replies.segments.is_empty() {
        return true;
    }
    let began = server.runtime.now();
    replies.traces.iter().for_each(|trace| trace.answered(began));
    let mut lease = server.budget.charge(replies.bytes);
    // Only now, so that nobody else was lent it in between.
    replies.leases.clear();
    let sent_bytes = replies.bytes as u64;
    let mut sending = Sending { since: began, moved: began, bytes: 0 };
    link.sending.set(Some(sending));
    while !replies.segments.is_empty() {
        let mut piece = take_piece(&mut replies.segments);
        while !piece.is_empty() {
            let Ok(bytes) = link.conn.write_some(&mut piece).await else { return false };
            sending = Sending { moved: server.runtime.now(), bytes: sending.bytes + bytes, ..sending };
            link.sending.set(Some(sending));
            lease.shrink_to(lease.bytes().saturating_sub(bytes));
        }
    }
    link.sending.set(None);
    let now = server.runtime.now();
    link.active_at.set(now);
    link.sent(sent_bytes);
    server.sent_bytes.update(|sum| sum + sent_bytes);
    for trace in &replies.traces {
        trace.step(Stage::Send, now);
        end(server, peer, trace);
    }
    true
}

/// A request is over.
fn end<R: Runtime>(server: &Server<R>, peer: &Peer, trace: &Trace) {
    server.api.shards.ended(trace);
    server.slow.ended(trace, peer.addr, || server.runtime.wall_ms());
}

/// The first [`WRITE_BYTES`] of the segments, or all.
fn take_piece(segments: &mut VecDeque<Bytes>) -> VecDeque<Bytes> {
    let mut piece = VecDeque::new();
    let mut left = WRITE_BYTES;
    while let Some(first) = segments.front_mut() {
        if first.len() > left {
            piece.push_back(first.split_to(left));
            return piece;
        }
        left -= first.len();
        piece.extend(segments.pop_front());
    }
    piece
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, OnceCell};

    use futures_lite::future::poll_once;

    use super::super::tests::{plan, with_broker};
    use super::*;
    use crate::api::ListenerInfo;

    #[test]
    fn where_memory_is_short_a_reply_leaves_before_the_next_is_made() {
        with_broker(plan(), |broker, rt| async move {
            let (server, addr) = (broker.server, broker.addr);
            let listener = Rc::new(ListenerInfo { name: "PLAINTEXT".into(), advertised: None });
            let peer = Rc::new(Peer { addr, local: addr, listener, client_id: OnceCell::new() });
            let budget = server.budget();
            let _all = budget.charge(2 * budget.capacity_bytes());
            // One that ends would be read, and its reader would wait for memory.
            let mut open = Vec::new();
            for is_pressed in [true, false] {
                let mut wait = Box::pin(budget.take(Held::ByUs, 1));
                if is_pressed {
                    assert!(poll_once(&mut wait).await.is_none());
                }
                assert_eq!(budget.is_pressed(), is_pressed);
                let link = Link::new(rt.connect(addr).await.expect("it listens"), Mono(0), peer.clone(), 10);
                let was_asked = Rc::new(Cell::new(false));
                let asked = was_asked.clone();
                let next = poll_fn(move |_| {
                    asked.set(true);
                    Poll::Pending
                });
                let lent: Box<dyn ReadLease> = Box::new(budget.charge(5));
                let here = std::future::ready(Outcome::Reply(vec![Bytes::from_static(b"reply")], vec![lent]));
                for pending in [Box::pin(here) as api::Pending, Box::pin(next)] {
                    let submitted = Submitted { rest: None, pending, tells: None, settles: false };
                    link.push(Queued { submitted, lease: budget.charge(0), trace: Rc::new(Trace::new(Mono(0))) });
                }
                let mut gathered = Gathered::default();
                assert!(poll_fn(|cx| gathered.gather(cx, &server, &link, &peer)).await);
                assert_eq!((gathered.replies.bytes, was_asked.get()), (5, !is_pressed));
                open.push(link);
            }
        });
    }

    #[test]
    fn a_large_reply_is_written_in_pieces_and_a_small_one_at_once() {
        let mut segments: VecDeque<Bytes> =
            [10, WRITE_BYTES, WRITE_BYTES + 5].iter().map(|len| Bytes::from(vec![1; *len])).collect();
        let mut sizes = Vec::new();
        while !segments.is_empty() {
            sizes.push(take_piece(&mut segments).iter().map(Bytes::len).sum::<usize>());
        }
        assert_eq!(sizes, [WRITE_BYTES, WRITE_BYTES, 15]);
        let mut segments = VecDeque::from([Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
        assert_eq!(take_piece(&mut segments).len(), 2);
    }
}
