//! The channel to one other core: bounded in messages by flume, in bytes by credits.
//!
//! Invariant: requests arrive in the order in which they were posted (R4). What finds no credit waits at the sender, whose
//! connections stop reading when their leases are used up: so the backlog is bounded by the sender's memory budget.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::request::ShardRequest;
use crate::shard::signal::Signal;
use crate::types::Mono;

/// A request on its way to another core.
pub struct Letter {
    pub request: ShardRequest,
    pub sent: Mono,
    bytes: usize,
    credits: Arc<Credits>,
}

impl Letter {
    /// Gives the credits back and the request out: it is taken up.
    pub fn open(self) -> (ShardRequest, Mono) {
        self.credits.give_back(self.bytes);
        (self.request, self.sent)
    }
}

/// Bytes on their way from one core to another.
struct Credits {
    in_flight: AtomicUsize,
    max: usize,
    /// Wakes the sender's pump when credits come back.
    freed: flume::Sender<()>,
}

impl Credits {
    fn give_back(&self, bytes: usize) {
        self.in_flight.fetch_sub(bytes, Ordering::AcqRel);
        // A full channel means that a wake-up is under way already.
        let _ = self.freed.try_send(());
    }

    fn try_take(&self, bytes: usize) -> bool {
        let now = self.in_flight.load(Ordering::Acquire);
        // One letter may always go, however large.
        if now > 0 && now + bytes > self.max {
            return false;
        }
        self.in_flight.fetch_add(bytes, Ordering::AcqRel);
        true
    }
}

/// The sending side, one for each pair of cores. The sender's core only.
pub struct Postbox {
    tx: flume::Sender<Letter>,
    credits: Arc<Credits>,
    freed: flume::Receiver<()>,
    backlog: RefCell<VecDeque<Letter>>,
    more: Signal,
    /// The pump holds a letter that waits for room: nothing may overtake it.
    sending: Cell<bool>,
    closed: Cell<bool>,
}

impl Postbox {
    pub fn new(tx: flume::Sender<Letter>, max_bytes: usize) -> Postbox {
        let (freed_tx, freed) = flume::bounded(1);
        let credits = Arc::new(Credits { in_flight: AtomicUsize::new(0), max: max_bytes, freed: freed_tx });
        Postbox {
            tx,
            credits,
            freed,
            backlog: RefCell::default(),
            more: Signal::default(),
            sending: Cell::new(false),
            closed: Cell::new(false),
        }
    }

    /// Sends at once if there is credit and nothing waits before it, else queues it for the pump.
    pub fn post(&self, now: Mono, request: ShardRequest) {
        let bytes = request.bytes();
        let mut letter = Letter { request, sent: now, bytes, credits: self.credits.clone() };
        let mut backlog = self.backlog.borrow_mut();
        if backlog.is_empty() && !self.sending.get() && self.credits.try_take(bytes) {
            match self.tx.try_send(letter) {
                Ok(()) => return,
                Err(flume::TrySendError::Full(back)) => {
                    self.credits.in_flight.fetch_sub(bytes, Ordering::AcqRel);
                    letter = back;
                }
                // The owner has stopped: the reply is dropped and reads as "stopping".
                Err(flume::TrySendError::Disconnected(_)) => return,
            }
        }
        backlog.push_back(letter);
        drop(backlog);
        self.more.notify();
    }

    /// Ends the pump once the backlog is sent.
    pub fn close(&self) {
        self.closed.set(true);
        self.more.notify();
    }

    /// Sends the backlog as credits come back; one task for each postbox.
    pub async fn pump(&self) {
        loop {
            let next = self.backlog.borrow().front().map(|letter| letter.bytes);
            match next {
                None if self.closed.get() => return,
                None => self.more.wait().await,
                Some(bytes) if self.credits.try_take(bytes) => {
                    let Some(letter) = self.backlog.borrow_mut().pop_front() else { continue };
                    self.sending.set(true);
                    let sent = self.tx.send_async(letter).await;
                    self.sending.set(false);
                    if sent.is_err() {
                        self.backlog.borrow_mut().clear();
                        return;
                    }
                }
                Some(_) => {
                    if self.freed.recv_async().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
