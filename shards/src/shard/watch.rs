//! A parked fetch at one owner: wakes when enough bytes came in, when its time is over, or when it must look again.
//! Owning core only.
//!
//! Invariant: a watch fires at most once; a cancelled one is forgotten by the partitions it stood at. Once they are closed, there
//! are none.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::request::WatchId;
use crate::router::oneshot::Reply;
use crate::types::Mono;

/// Shared by all partitions that one fetch waits for on this core.
pub struct Watch {
    pub id: WatchId,
    deadline: Mono,
    /// Bytes still missing until the fetch has its `min_bytes`.
    missing: Cell<i64>,
    reply: RefCell<Option<Reply<()>>>,
}

impl Watch {
    pub fn is_over(&self) -> bool {
        self.reply.borrow().is_none()
    }

    /// `bytes` more can be read.
    pub fn arrived(&self, bytes: u64) {
        let left = self.missing.get().saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.missing.set(left);
        if left <= 0 {
            self.fire();
        }
    }

    pub fn fire(&self) {
        if let Some(reply) = self.reply.take() {
            reply.send(());
        }
    }
}

/// All watches of one core, by deadline.
#[derive(Default)]
pub struct Watches {
    by_id: BTreeMap<WatchId, Rc<Watch>>,
    by_deadline: BTreeMap<(Mono, WatchId), ()>,
    closed: bool,
}

impl Watches {
    /// One that is over already, whose asker is told that nothing comes, once they are closed.
    pub fn add(&mut self, id: WatchId, missing: u32, deadline: Mono, reply: Reply<()>) -> Rc<Watch> {
        let reply = RefCell::new(Some(reply).filter(|_| !self.closed));
        let watch = Rc::new(Watch { id, deadline, missing: Cell::new(i64::from(missing)), reply });
        if self.closed {
            return watch;
        }
        self.by_id.insert(id, watch.clone());
        self.by_deadline.insert((deadline, id), ());
        watch
    }

    /// Forgets a watch; whoever waits for it is told that nothing comes.
    pub fn cancel(&mut self, id: WatchId) {
        if let Some(watch) = self.by_id.remove(&id) {
            self.by_deadline.remove(&(watch.deadline, id));
            watch.reply.take();
        }
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    pub fn next_deadline(&self) -> Option<Mono> {
        self.by_deadline.first_key_value().map(|((at, _), ())| *at)
    }

    /// Fires all whose time is over.
    pub fn expire(&mut self, now: Mono) {
        while let Some((&(at, id), ())) = self.by_deadline.first_key_value() {
            if at > now {
                break;
            }
            self.by_deadline.remove(&(at, id));
            if let Some(watch) = self.by_id.remove(&id) {
                watch.fire();
            }
        }
    }

    /// Fires all, and takes none any more: the broker stops. A fetch of a core that has not heard of that yet would come back,
    /// and nobody would wake it.
    pub fn close(&mut self) {
        self.closed = true;
        for watch in self.by_id.values() {
            watch.fire();
        }
        self.by_id.clear();
        self.by_deadline.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::oneshot::oneshot;
    use futures_lite::future::block_on;

    #[test]
    fn a_watch_fires_when_its_bytes_are_there() {
        let mut watches = Watches::default();
        let (reply, asked) = oneshot();
        let watch = watches.add(WatchId(1), 10, Mono(100), reply);
        watch.arrived(9);
        assert!(!watch.is_over());
        watch.arrived(1);
        assert_eq!(block_on(asked), Some(()));
    }

    #[test]
    fn deadlines_fire_in_order_and_only_when_over() {
        let mut watches = Watches::default();
        let (late, _late_asked) = oneshot();
        let (early, early_asked) = oneshot();
        let late = watches.add(WatchId(1), 1, Mono(20), late);
        watches.add(WatchId(2), 1, Mono(10), early);
        assert_eq!(watches.next_deadline(), Some(Mono(10)));
        watches.expire(Mono(10));
        assert_eq!(block_on(early_asked), Some(()));
        assert!(!late.is_over());
    }

    #[test]
    fn who_comes_after_the_end_is_told_at_once_that_nothing_comes() {
        let mut watches = Watches::default();
        let (parked, parked_asked) = oneshot();
        watches.add(WatchId(1), 10, Mono(100), parked);
        watches.close();
        assert_eq!(block_on(parked_asked), Some(()));
        let (late, late_asked) = oneshot();
        assert!(watches.add(WatchId(2), 10, Mono(100), late).is_over());
        assert_eq!(block_on(late_asked), None);
        assert_eq!((watches.count(), watches.next_deadline()), (0, None));
    }

    #[test]
    fn a_cancelled_watch_never_fires_again() {
        let mut watches = Watches::default();
        let (reply, asked) = oneshot();
        let watch = watches.add(WatchId(1), 1, Mono(10), reply);
        watches.cancel(watch.id);
        watch.arrived(100);
        assert_eq!(block_on(asked), None);
        assert_eq!(watches.next_deadline(), None);
    }
}
