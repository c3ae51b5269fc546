//! The memory budget of one core: bytes lent to requests and replies, given back when their lease is dropped.
//! Owning core only. Invariant: who waits is served strictly in the order of asking, so that a large frame is never
//! starved by small ones, and nobody who arrives later is lent anything before it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Bytes that requests and replies of one core may hold. Cheap to clone.
#[derive(Clone)]
pub struct Budget(Rc<State>);

struct State {
    capacity_bytes: usize,
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
        Budget(Rc::new(State { capacity_bytes, used_bytes: Cell::new(0), waiting: RefCell::default() }))
    }

    pub fn capacity_bytes(&self) -> usize {
        self.0.capacity_bytes
    }

    /// May exceed the capacity: replies are charged when they exist already.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.get()
    }

    /// What is left, in bytes.
    pub fn free_bytes(&self) -> usize {
        self.0.capacity_bytes.saturating_sub(self.used_bytes())
    }

    /// Someone waits for memory: who holds it without need should let go.
    pub fn is_pressed(&self) -> bool {
        !self.0.waiting.borrow().is_empty()
    }

    /// Lends `bytes` now, or never: `None` when they are not there or others wait for theirs.
    pub fn try_take(&self, bytes: usize) -> Option<Lease> {
        if self.is_pressed() || !self.0.fits(bytes) {
            return None;
        }
        Some(self.charge(bytes))
    }

    /// Lends `bytes`, after everyone who asked before. More than the capacity is lent once nothing else is out.
    /// Dropping the future gives up the place in the queue.
    pub async fn take(&self, bytes: usize) -> Lease {
        if let Some(lease) = self.try_take(bytes) {
            return lease;
        }
        let wait = Rc::new(Wait { bytes, granted: Cell::new(false), waker: RefCell::new(None) });
        self.0.waiting.borrow_mut().push_back(wait.clone());
        let place = Place { state: self.0.clone(), wait };
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
        Lease { state: self.0.clone(), bytes }
    }

    /// Counts memory that is held already, such as a reply's, even where that exceeds the capacity: reading stops then.
    pub fn charge(&self, bytes: usize) -> Lease {
        self.0.used_bytes.set(self.0.used_bytes.get() + bytes);
        Lease { state: self.0.clone(), bytes }
    }
}

impl State {
    fn fits(&self, bytes: usize) -> bool {
        let used = self.used_bytes.get();
        used == 0 || used + bytes <= self.capacity_bytes
    }

    fn give_back(&self, bytes: usize) {
        self.used_bytes.set(self.used_bytes.get() - bytes);
        self.grant();
    }

    fn grant(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(first) = waiting.front() {
            if !self.fits(first.bytes) {
                return;
            }
            self.used_bytes.set(self.used_bytes.get() + first.bytes);
            first.granted.set(true);
            if let Some(waker) = first.waker.borrow_mut().take() {
                waker.wake();
            }
            waiting.pop_front();
        }
    }
}

/// A place in the queue, given up when dropped.
struct Place {
    state: Rc<State>,
    wait: Rc<Wait>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.wait.granted.get() {
            self.state.give_back(self.wait.bytes);
            return;
        }
        self.state.waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.wait));
        self.state.grant();
    }
}

/// Bytes out of the budget; they go back when this is dropped.
pub struct Lease {
    state: Rc<State>,
    bytes: usize,
}

impl Lease {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back what is above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        if surplus > 0 {
            self.state.give_back(surplus);
        }
    }

    /// Takes up to `bytes` out of this lease into one of their own.
    pub fn split(&mut self, bytes: usize) -> Lease {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Lease { state: self.state.clone(), bytes }
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
        let mut lease = budget.try_take(80).expect("it is there");
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
            let held = budget.try_take(60).expect("it is there");
            let mut large = pin!(budget.take(80));
            assert!(poll_once(large.as_mut()).await.is_none());
            assert!(budget.is_pressed());
            assert!(budget.try_take(10).is_none(), "10 bytes are free, but someone waits");
            let mut small = pin!(budget.take(10));
            assert!(poll_once(small.as_mut()).await.is_none());
            drop(held);
            let large = poll_once(large.as_mut()).await.expect("80 are free");
            let small = poll_once(small.as_mut()).await.expect("and 10 more");
            assert_eq!((large.bytes(), small.bytes(), budget.used_bytes()), (80, 10, 90));
        });
    }

    #[test]
    fn giving_up_a_wait_lets_the_next_one_in_and_loses_nothing() {
        block_on(async {
            let budget = Budget::new(100);
            let held = budget.try_take(60).expect("it is there");
            {
                let mut large = pin!(budget.take(80));
                assert!(poll_once(large.as_mut()).await.is_none());
                drop(held);
                // Granted, and dropped before it was looked at.
            }
            assert_eq!(budget.used_bytes(), 0);
            let held = budget.try_take(60).expect("nothing is lent");
            let mut small = pin!(budget.take(50));
            {
                let mut large = pin!(budget.take(80));
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
            let mut frame = pin!(budget.take(120));
            assert!(poll_once(frame.as_mut()).await.is_none());
            drop(reply);
            assert_eq!(poll_once(frame.as_mut()).await.map(|lease| lease.bytes()), Some(120));
        });
    }
}
