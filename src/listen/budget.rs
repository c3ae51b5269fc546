//! The memory budget of one core: bytes lent to requests and replies, given back when their lease is dropped.
//! Owning core only. Invariant: who waits is served strictly in the order of asking among those of its kind, so that a
//! large frame is never starved by small ones; and peers that hold memory by doing nothing, whether they send or read
//! nothing, leave a part of it to others: to what is read now, and to small frames that come in pieces.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// This part of the capacity is never lent to what peers may hold for as long as they like.
const RESERVE_DIVISOR: usize = 8;
/// A frame of up to this part of the capacity is small: it does not wait behind those that are not.
const SMALL_DIVISOR: usize = 128;

/// Who decides how long the memory is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The broker: what is read at once, and whole requests until they are answered.
    ByUs,
    /// The broker until a reply is sent, then its peer: what large replies are read into.
    Reply,
    /// The peer: a small frame that is not whole yet.
    SmallFrame,
    /// The peer: frames that are not whole yet, replies that are not read yet.
    ByPeer,
}

/// Bytes that requests and replies of one core may hold. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Rc<State>);

struct State {
    capacity_bytes: usize,
    by_us: Pool,
    reply: Pool,
    small_frames: Pool,
    by_peer: Pool,
}

#[derive(Default)]
struct Pool {
    used_bytes: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Wait>>>,
}

struct Wait {
    bytes: usize,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Budget {
    pub fn new(capacity_bytes: usize) -> Budget {
        Budget(Rc::new(State {
            capacity_bytes,
            by_us: Pool::default(),
            reply: Pool::default(),
            small_frames: Pool::default(),
            by_peer: Pool::default(),
        }))
    }

    pub fn capacity_bytes(&self) -> usize {
        self.0.capacity_bytes
    }

    /// May exceed the capacity: replies are charged when they exist already.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes()
    }

    /// What is left, in bytes.
    pub fn free_bytes(&self) -> usize {
        self.0.capacity_bytes.saturating_sub(self.used_bytes())
    }

    /// Someone waits for memory: who holds it without need should let go.
    pub fn is_pressed(&self) -> bool {
        let pools = [&self.0.by_us, &self.0.reply, &self.0.small_frames, &self.0.by_peer];
        pools.iter().any(|pool| pool.is_waited_for())
    }

    /// A frame of so many bytes is too large to be [`Held::SmallFrame`].
    pub fn is_large(&self, bytes: usize) -> bool {
        bytes > self.0.capacity_bytes / SMALL_DIVISOR
    }

    /// Lends `bytes` now, or never: `None` when they are not there or others wait for theirs.
    pub fn try_take(&self, held: Held, bytes: usize) -> Option<Lease> {
        if self.0.pool(held).is_waited_for() || !self.0.fits(held, bytes) {
            return None;
        }
        Some(self.0.lend(held, bytes))
    }

    /// Lends `bytes`, after everyone of its kind who asked before. More than the capacity is lent once nothing else is
    /// out. Dropping the future gives up the place in the queue.
    pub async fn take(&self, held: Held, bytes: usize) -> Lease {
        if let Some(lease) = self.try_take(held, bytes) {
            return lease;
        }
        let wait = Rc::new(Wait { bytes, granted: Cell::new(false), waker: RefCell::new(None) });
        self.0.pool(held).waiting.borrow_mut().push_back(wait.clone());
        let place = Place { state: self.0.clone(), held, wait };
        poll_fn(|cx| {
            if place.wait.granted.get() {
                return Poll::Ready(());
            }
            *place.wait.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        // The grant is ours from here: the place must not give it back.
        place.wait.granted.set(false);
        Lease { state: self.0.clone(), held, bytes }
    }

    /// Counts memory that a peer holds already, such as a reply's, even where that exceeds the capacity: reading stops
    /// then.
    pub fn charge(&self, bytes: usize) -> Lease {
        self.0.lend(Held::ByPeer, bytes)
    }
}

impl Pool {
    fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }
}

impl State {
    fn pool(&self, held: Held) -> &Pool {
        match held {
            Held::ByUs => &self.by_us,
            Held::Reply => &self.reply,
            Held::SmallFrame => &self.small_frames,
            Held::ByPeer => &self.by_peer,
        }
    }

    fn used_bytes(&self) -> usize {
        let pools = [&self.by_us, &self.reply, &self.small_frames, &self.by_peer];
        pools.iter().map(|pool| pool.used_bytes.get()).sum()
    }

    fn fits(&self, held: Held, bytes: usize) -> bool {
        let (by_us, reply) = (self.by_us.used_bytes.get(), self.reply.used_bytes.get());
        let small_frames = self.small_frames.used_bytes.get();
        let reserve = self.capacity_bytes / RESERVE_DIVISOR;
        let total = self.used_bytes() + bytes;
        // A frame that waits is not overtaken by more than a part of the reserve.
        let frame_waits = self.by_peer.is_waited_for();
        total == bytes
            || match held {
                // Nor a reply that waits, which needs a larger piece than those that come back one by one. Replies may be
                // above the capacity, and answers to what is read now come on top: there the reserve ends, too.
                Held::ByUs => {
                    (total <= self.capacity_bytes && !frame_waits && !self.reply.is_waited_for())
                        || (by_us + bytes <= reserve && total <= self.capacity_bytes + reserve)
                }
                // They may end up unread. Half of the reserve is left to what is small.
                Held::Reply => {
                    total + reserve / 2 <= self.capacity_bytes && (!frame_waits || reply + bytes <= reserve / 2)
                }
                // Half of the reserve is theirs where large ones wait or peers hold all else.
                Held::SmallFrame => {
                    (total + reserve <= self.capacity_bytes && !frame_waits)
                        || (small_frames + bytes <= reserve / 2 && total <= self.capacity_bytes + reserve)
                }
                Held::ByPeer => {
                    let others = by_us + reply + small_frames;
                    total - others + others.max(reserve) <= self.capacity_bytes
                        || (total - others == bytes && others <= reserve)
                }
            }
    }

    fn lend(self: &Rc<State>, held: Held, bytes: usize) -> Lease {
        let used = &self.pool(held).used_bytes;
        used.set(used.get() + bytes);
        Lease { state: self.clone(), held, bytes }
    }

    fn give_back(&self, held: Held, bytes: usize) {
        let used = &self.pool(held).used_bytes;
        used.set(used.get() - bytes);
        self.grant();
    }

    fn grant(&self) {
        // A frame that is let in, or gives up, may have kept the others waiting: they come after it.
        for held in [Held::ByPeer, Held::SmallFrame, Held::Reply, Held::ByUs] {
            let pool = self.pool(held);
            while let Some(first) = pool.next(|bytes| self.fits(held, bytes)) {
                pool.used_bytes.set(pool.used_bytes.get() + first.bytes);
                first.granted.set(true);
                if let Some(waker) = first.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Pool {
    fn next(&self, fits: impl Fn(usize) -> bool) -> Option<Rc<Wait>> {
        let bytes = self.waiting.borrow().front()?.bytes;
        if fits(bytes) { self.waiting.borrow_mut().pop_front() } else { None }
    }
}

/// A place in the queue, given up when dropped.
struct Place {
    state: Rc<State>,
    held: Held,
    wait: Rc<Wait>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.wait.granted.get() {
            self.state.give_back(self.held, self.wait.bytes);
            return;
        }
        self.state.pool(self.held).waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.wait));
        self.state.grant();
    }
}

/// Bytes out of the budget; they go back when this is dropped.
pub struct Lease {
    state: Rc<State>,
    held: Held,
    bytes: usize,
}

impl Lease {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts what is held already as what is lent, even where that exceeds the capacity; or gives back what is above it.
    pub fn resize_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.state.pool(self.held).used_bytes.update(|used| used + more);
        self.bytes += more;
        self.shrink_to(bytes);
    }

    /// Lends more, so that it is `bytes` in all, held by these; false, and as before, if so much is not there now or others
    /// wait for it.
    pub fn try_grow(&mut self, held: Held, bytes: usize) -> bool {
        // What is held by others is lent anew before it goes back.
        let ours = if held == self.held { self.bytes } else { 0 };
        let Some(mut more) = Budget(self.state.clone()).try_take(held, bytes.saturating_sub(ours)) else {
            return false;
        };
        if ours > 0 {
            self.bytes += std::mem::take(&mut more.bytes);
        } else {
            *self = more;
        }
        true
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        if surplus > 0 {
            self.state.give_back(self.held, surplus);
        }
    }

    /// Takes up to `bytes` out of this lease into one of their own.
    pub fn split(&mut self, bytes: usize) -> Lease {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Lease { state: self.state.clone(), held: self.held, bytes }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn what_is_dropped_comes_back() {
        let budget = Budget::new(100);
        let mut lease = budget.try_take(Held::ByPeer, 80).expect("it is there");
        let part = lease.split(30);
        assert_eq!((lease.bytes(), part.bytes(), budget.used_bytes()), (50, 30, 80));
        lease.shrink_to(10);
        assert_eq!(budget.used_bytes(), 40);
        drop((lease, part));
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_large_request_is_not_overtaken_by_small_ones() {
        block_on(async {
            let budget = Budget::new(100);
            let held = budget.try_take(Held::ByPeer, 60).expect("it is there");
            let mut large = pin!(budget.take(Held::ByPeer, 80));
            assert!(poll_once(large.as_mut()).await.is_none());
            assert!(budget.is_pressed());
            assert!(budget.try_take(Held::ByPeer, 8).is_none(), "8 bytes are free, but someone waits");
            assert!(budget.try_take(Held::ByUs, 13).is_none(), "more than the reserve");
            let mut small = pin!(budget.take(Held::ByPeer, 8));
            assert!(poll_once(small.as_mut()).await.is_none());
            drop(held);
            let large = poll_once(large.as_mut()).await.expect("80 are free");
            let small = poll_once(small.as_mut()).await.expect("and 8 more");
            assert_eq!((large.bytes(), small.bytes(), budget.used_bytes()), (80, 8, 88));
        });
    }

    #[test]
    fn peers_that_hold_all_they_may_leave_the_reserve_to_others() {
        block_on(async {
            let budget = Budget::new(800);
            let _held = budget.try_take(Held::ByPeer, 700).expect("all but the reserve");
            assert!(budget.try_take(Held::ByPeer, 1).is_none());
            let mut more = pin!(budget.take(Held::ByPeer, 200));
            assert!(poll_once(more.as_mut()).await.is_none());
            let request = budget.try_take(Held::ByUs, 100).expect("the reserve");
            let mut next = pin!(budget.take(Held::ByUs, 1));
            assert!(poll_once(next.as_mut()).await.is_none());
            drop(request);
            let next = poll_once(next.as_mut()).await.expect("the reserve again");
            let unread = budget.charge(150);
            assert!(budget.try_take(Held::ByUs, 50).is_none(), "replies are far above the capacity");
            drop((next, unread));
            assert!(budget.try_take(Held::ByUs, 50).is_some());
        });
    }

    #[test]
    fn a_small_frame_waits_neither_behind_large_ones_nor_for_what_peers_hold() {
        block_on(async {
            let budget = Budget::new(1600);
            assert!(budget.is_large(13) && !budget.is_large(12));
            let held = budget.try_take(Held::ByPeer, 1400).expect("all but the reserve");
            let mut large = pin!(budget.take(Held::ByPeer, 1000));
            assert!(poll_once(large.as_mut()).await.is_none());
            let mut small: Vec<_> = (0..20).map_while(|_| budget.try_take(Held::SmallFrame, 10)).collect();
            assert_eq!(small.len(), 10, "half of the reserve");
            let _request = budget.try_take(Held::ByUs, 200).expect("requests have theirs all the same");
            let mut next = pin!(budget.take(Held::SmallFrame, 10));
            assert!(poll_once(next.as_mut()).await.is_none());
            small.pop();
            assert!(poll_once(next.as_mut()).await.is_some());
            drop(held);
            assert!(poll_once(large.as_mut()).await.is_some(), "small ones left it what it needs");
        });
    }

    #[test]
    fn replies_that_nobody_reads_leave_half_of_the_reserve_to_what_is_small() {
        block_on(async {
            let budget = Budget::new(800);
            let mut unread = Vec::new();
            while let Some(lease) = budget.try_take(Held::Reply, 50) {
                unread.push(budget.charge(lease.bytes()));
            }
            assert_eq!(budget.used_bytes(), 750);
            let mut frame = pin!(budget.take(Held::ByPeer, 100));
            assert!(poll_once(frame.as_mut()).await.is_none());
            let _request = budget.try_take(Held::ByUs, 100).expect("and they may exceed the capacity by as much");
            assert!(budget.try_take(Held::ByUs, 1).is_none());
            unread.clear();
            assert!(poll_once(frame.as_mut()).await.is_some());
            assert!(budget.try_take(Held::Reply, 50).is_some());
        });
    }

    #[test]
    fn requests_do_not_take_each_piece_from_a_reply_that_waits_for_several() {
        block_on(async {
            let budget = Budget::new(800);
            let mut requests: Vec<_> = (0..8).map_while(|_| budget.try_take(Held::ByUs, 100)).collect();
            assert_eq!(budget.used_bytes(), 800);
            let mut reply = pin!(budget.take(Held::Reply, 200));
            assert!(poll_once(reply.as_mut()).await.is_none());
            requests.pop();
            assert!(budget.try_take(Held::ByUs, 100).is_none());
            requests.truncate(5);
            assert!(poll_once(reply.as_mut()).await.is_some());
        });
    }

    #[test]
    fn a_frame_that_gives_up_its_wait_lets_requests_in() {
        block_on(async {
            let budget = Budget::new(800);
            let _held = budget.try_take(Held::ByPeer, 400).expect("it is there");
            let mut requests = pin!(budget.take(Held::ByUs, 200));
            {
                let mut frame = pin!(budget.take(Held::ByPeer, 500));
                assert!(poll_once(frame.as_mut()).await.is_none());
                assert!(poll_once(requests.as_mut()).await.is_none(), "the frame was there before");
            }
            assert!(poll_once(requests.as_mut()).await.is_some());
        });
    }

    #[test]
    fn giving_up_a_wait_lets_the_next_one_in_and_loses_nothing() {
        block_on(async {
            let budget = Budget::new(100);
            let held = budget.try_take(Held::ByPeer, 60).expect("it is there");
            {
                let mut large = pin!(budget.take(Held::ByPeer, 80));
                assert!(poll_once(large.as_mut()).await.is_none());
                drop(held);
                // Granted, and dropped before it was looked at.
            }
            assert_eq!(budget.used_bytes(), 0);
            let held = budget.try_take(Held::ByPeer, 60).expect("nothing is lent");
            let mut small = pin!(budget.take(Held::ByPeer, 50));
            {
                let mut large = pin!(budget.take(Held::ByPeer, 80));
                assert!(poll_once(large.as_mut()).await.is_none());
                assert!(poll_once(small.as_mut()).await.is_none());
            }
            drop(held);
            assert!(poll_once(small.as_mut()).await.is_some());
        });
    }

    #[test]
    fn more_than_everything_is_lent_alone() {
        block_on(async {
            let budget = Budget::new(100);
            let reply = budget.charge(150);
            assert_eq!(budget.free_bytes(), 0);
            let mut frame = pin!(budget.take(Held::ByPeer, 120));
            assert!(poll_once(frame.as_mut()).await.is_none());
            drop(reply);
            assert_eq!(poll_once(frame.as_mut()).await.map(|lease| lease.bytes()), Some(120));
        });
    }
}
