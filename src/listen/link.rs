//! One connection as its reader, its writer and the sweep see it: the queue of replies to come, and how it ends.
//! Owning core only. Invariant: replies leave in the order in which their requests came; the queue is bounded in number
//! (`in_flight_max`) and in bytes of requests ([`REQUEST_BYTES_MAX`]), and a full one stops the reader. So does one with a
//! reply to be made that a request would change. What was read whole is answered, unless the connection is closed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use shards::router::Trace;
use shards::runtime::Conn;
use shards::types::Mono;

use super::budget::Lease;
use super::report::ClientLoad;
use crate::api::{Outcome, Peer, Subject, Submitted};

/// Bytes of requests that may wait for their replies; a single larger one is taken when it is alone.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests are read.
    Open,
    /// No more requests are read; the replies of those that came still leave.
    Draining,
    /// Nothing more is read or written.
    Closed,
}

/// A request whose reply has not left yet, with the memory lent to it.
pub struct Queued {
    pub submitted: Submitted,
    pub lease: Lease,
    pub trace: Rc<Trace>,
}

/// A frame that has begun and is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialFrame {
    pub since: Mono,
    /// How much of it has come.
    pub bytes: usize,
    /// The memory that was lent for all of it.
    pub held_bytes: usize,
}

/// Replies on their way to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    pub since: Mono,
    /// When the peer last took some of them, and how much it took in all.
    pub moved: Mono,
    pub bytes: usize,
}

pub struct Link<C: Conn> {
    pub conn: C,
    phase: Cell<Phase>,
    queue: RefCell<VecDeque<Queued>>,
    /// Requests without a reply, and their bytes: the queue, and the one that the writer waits for.
    waiting: Cell<usize>,
    waiting_bytes: Cell<usize>,
    /// Those of them that [tell](Submitted::tells) of what others may change, by what that is.
    telling: [Cell<usize>; Subject::COUNT],
    /// Those that [settle](Submitted::settles) something.
    settling: Cell<usize>,
    /// The reader has a whole request that is not queued yet.
    holds: Cell<bool>,
    in_flight_max: usize,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    /// When a request was last read or a reply last written.
    pub active_at: Cell<Mono>,
    pub partial: Cell<Option<PartialFrame>>,
    /// Since when a frame that has begun has waited for memory. Nothing is read meanwhile.
    pub claims_since: Cell<Option<Mono>>,
    pub sending: Cell<Option<Sending>>,
    /// The peer sends nothing more, and may still read.
    has_ended: Cell<bool>,
    peer: Rc<Peer>,
    requests: Cell<u64>,
    received_bytes: Cell<u64>,
    sent_bytes: Cell<u64>,
}

impl<C: Conn> Link<C> {
    /// `in_flight_max`: requests that may wait for their replies.
    pub fn new(conn: C, now: Mono, peer: Rc<Peer>, in_flight_max: usize) -> Link<C> {
        Link {
            conn,
            phase: Cell::new(Phase::Open),
            queue: RefCell::default(),
            waiting: Cell::new(0),
            waiting_bytes: Cell::new(0),
            telling: Default::default(),
            settling: Cell::new(0),
            holds: Cell::new(false),
            in_flight_max,
            reader: RefCell::default(),
            writer: RefCell::default(),
            active_at: Cell::new(now),
            partial: Cell::new(None),
            claims_since: Cell::new(None),
            sending: Cell::new(None),
            has_ended: Cell::new(false),
            peer,
            requests: Cell::new(0),
            received_bytes: Cell::new(0),
            sent_bytes: Cell::new(0),
        }
    }

    /// A request of so many bytes is whole.
    pub fn received(&self, bytes: usize) {
        self.requests.update(|count| count + 1);
        self.received_bytes.update(|sum| sum + bytes as u64);
    }

    /// So many bytes of replies have left.
    pub fn sent(&self, bytes: u64) {
        self.sent_bytes.update(|sum| sum + bytes);
    }

    pub fn load(&self) -> ClientLoad {
        ClientLoad {
            peer: self.peer.addr,
            client_id: self.peer.client_id.get().cloned(),
            requests: self.requests.get(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes.get(),
            in_flight: self.waiting.get(),
        }
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// No request is read any more; what is queued still leaves.
    pub fn drain(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Draining);
        }
        // The writer too: a reply that waits for records is to look at whether the broker stops.
        self.wake();
    }

    /// The peer has ended its side: what it asked before is answered, as Kafka does, which looks at nothing of a connection
    /// before that.
    pub fn ended(&self, now: Mono) {
        self.partial.set(None);
        self.has_ended.set(true);
        self.active_at.set(now);
        self.drain();
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// Ends the connection at once: replies not yet sent are given up, tasks waiting on the socket wake.
    pub fn close(&self) {
        if self.phase.replace(Phase::Closed) == Phase::Closed {
            return;
        }
        self.conn.shutdown();
        let given_up = std::mem::take(&mut *self.queue.borrow_mut());
        drop(given_up);
        self.wake();
    }

    fn wake(&self) {
        for task in [&self.reader, &self.writer] {
            if let Some(waker) = task.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Runs `wait` for the reader unless the connection stops reading meanwhile: `None` then.
    pub async fn while_open<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        self.wait_if(wait, |phase| phase == Phase::Open).await
    }

    /// Runs `wait` for a request that was read whole unless the connection is closed meanwhile: `None` then.
    pub async fn while_answering<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        self.wait_if(wait, |phase| phase != Phase::Closed).await
    }

    async fn wait_if<T>(&self, wait: impl Future<Output = T>, may_wait: impl Fn(Phase) -> bool) -> Option<T> {
        let mut wait = pin!(wait);
        poll_fn(|cx| {
            if !may_wait(self.phase.get()) {
                return Poll::Ready(None);
            }
            keep(&self.reader, cx);
            wait.as_mut().poll(cx).map(Some)
        })
        .await
    }

    pub fn has_room(&self) -> bool {
        self.waiting.get() == 0
            || (self.waiting.get() < self.in_flight_max && self.waiting_bytes.get() < REQUEST_BYTES_MAX)
    }

    /// Waits until another request may be queued.
    pub async fn room(&self) {
        self.until(|| self.has_room()).await;
    }

    /// A reply is to be made that tells of what others may change.
    pub fn is_telling(&self) -> bool {
        self.telling.iter().any(|count| count.get() > 0)
    }

    /// A reply is to be made before a request that changes this is dispatched, or any request is.
    pub fn holds_back(&self, changed: Option<Subject>) -> bool {
        self.settling.get() > 0 || changed.is_some_and(|subject| self.telling_of(subject).get() > 0)
    }

    /// Waits until there is none such.
    pub async fn settled(&self, changed: Option<Subject>) {
        self.until(|| !self.holds_back(changed)).await;
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each subject")]
    fn telling_of(&self, subject: Subject) -> &Cell<usize> {
        &self.telling[subject as usize]
    }

    /// The reader has a request that was read whole: there will be a reply until this is dropped, even where none is queued.
    pub fn hold(&self) -> Holding<'_, C> {
        self.holds.set(true);
        Holding { link: self }
    }

    fn count_telling(&self, submitted: &Submitted, change: impl Fn(usize) -> usize) {
        if let Some(subject) = submitted.tells {
            self.telling_of(subject).update(&change);
        }
        if submitted.settles {
            self.settling.update(&change);
        }
    }

    /// The reader waits for what comes true when replies are made.
    async fn until(&self, is_so: impl Fn() -> bool) {
        poll_fn(|cx| {
            if is_so() {
                return Poll::Ready(());
            }
            keep(&self.reader, cx);
            Poll::Pending
        })
        .await;
    }

    /// Requests whose reply is not ready yet.
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    pub fn push(&self, queued: Queued) {
        if self.phase.get() == Phase::Closed {
            return;
        }
        self.waiting.set(self.waiting.get() + 1);
        self.waiting_bytes.set(self.waiting_bytes.get() + queued.lease.bytes());
        self.count_telling(&queued.submitted, |count| count + 1);
        self.queue.borrow_mut().push_back(queued);
        if let Some(waker) = self.writer.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The next outcome in order. `front` keeps the request waited for between polls, outside the queue, so that
    /// nothing is borrowed while a handler runs. `Ready(None)`: there will be none.
    pub fn poll_outcome(&self, cx: &mut Context<'_>, front: &mut Option<Queued>) -> Poll<Option<(Outcome, Rc<Trace>)>> {
        if self.phase.get() == Phase::Closed {
            *front = None;
            return Poll::Ready(None);
        }
        if front.is_none() {
            *front = self.queue.borrow_mut().pop_front();
        }
        keep(&self.writer, cx);
        let Some(queued) = front else {
            let is_last = self.phase.get() == Phase::Draining && !self.holds.get();
            return if is_last { Poll::Ready(None) } else { Poll::Pending };
        };
        let Poll::Ready(outcome) = queued.submitted.pending.as_mut().poll(cx) else { return Poll::Pending };
        self.waiting.set(self.waiting.get() - 1);
        self.waiting_bytes.set(self.waiting_bytes.get() - queued.lease.bytes());
        self.count_telling(&queued.submitted, |count| count - 1);
        let trace = queued.trace.clone();
        *front = None;
        if let Some(waker) = self.reader.borrow_mut().take() {
            waker.wake();
        }
        Poll::Ready(Some((outcome, trace)))
    }
}

/// See [`Link::hold`].
pub struct Holding<'a, C: Conn> {
    link: &'a Link<C>,
}

impl<C: Conn> Drop for Holding<'_, C> {
    fn drop(&mut self) {
        self.link.holds.set(false);
        if let Some(waker) = self.link.writer.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Keeps the task's waker, without cloning it when it is there already.
fn keep(task: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut kept = task.borrow_mut();
    if !kept.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *kept = Some(cx.waker().clone());
    }
}
