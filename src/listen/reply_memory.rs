//! Lends fetches and long replies their memory, out of the core's budget, before they read or are made. Owning core only.
//! Invariant: what was read or made for a reply that is on its way is in the budget, until it is sent. A little is lent as
//! what small requests take, so that readers of small records do not wait for those of large ones, nor for peers that hold
//! what they got.

use std::cell::Cell;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use shards::router::{ReadLease, ReadMemory};
use shards::runtime::Runtime;
use shards::types::Mono;

use super::budget::{Budget, Held, Lease};
use crate::api::{CoreMemory, REPLY_BYTES_MAX, Work};

/// Least that is lent where there is memory, as a batch comes whole: Kafka's default of the largest one.
const READ_BYTES_MIN: usize = 1024 * 1024;
/// What is lent where that is not there: enough for small records.
const SMALL_BYTES: usize = 64 * 1024;
/// A fetch that found no memory for so long in all is answered without records, even if it would wait for longer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// It waits for this long even if it would not: by then peers are cut off that do not read what they asked for, and Kafka
/// never answers without records that are there.
const WAIT_MIN: Duration = Duration::from_secs(5);
/// How soon one that waits learns of a stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// The budget as fetches see it.
pub struct ReplyMemory<R: Runtime> {
    runtime: R,
    budget: Budget,
    stopping: Rc<Cell<bool>>,
    /// Work to be done beside this core: a second thread for it would take more of the machine than the core itself.
    works: flume::Sender<Work>,
}

impl<R: Runtime> ReplyMemory<R> {
    pub fn new(runtime: R, budget: Budget) -> ReplyMemory<R> {
        let (works, todo) = flume::unbounded::<Work>();
        let beside = runtime.clone();
        runtime.spawn(async move {
            while let Ok(work) = todo.recv_async().await {
                beside.beside(work).await;
            }
        });
        ReplyMemory { runtime, budget, stopping: Rc::default(), works }
    }

    /// Nobody waits for memory any more (R18).
    pub fn stop(&self) {
        self.stopping.set(true);
    }
}

impl<R: Runtime> ReadMemory for ReplyMemory<R> {
    /// Half of what is left at most, so that a few large fetches do not take all of the core's memory.
    fn lend(
        &self,
        least_bytes: usize,
        max_bytes: usize,
        deadline: Mono,
        waited: Duration,
    ) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>> {
        let half = self.budget.free_bytes() / 2;
        // The request that asks holds some of it, so that all of it can never be lent.
        let most = self.budget.capacity_bytes() / 2;
        let many = max_bytes.min(half).max(READ_BYTES_MIN).max(least_bytes.min(most));
        let (held, few) =
            if least_bytes <= SMALL_BYTES { (Held::ByUs, SMALL_BYTES) } else { (Held::Reply, least_bytes.min(most)) };
        let lease = self.budget.try_take(Held::Reply, many).or_else(|| self.budget.try_take(held, few));
        if let Some(lease) = lease {
            return Box::pin(ready(Some(lent(lease))));
        }
        let (runtime, budget, stopping) = (self.runtime.clone(), self.budget.clone(), self.stopping.clone());
        let now = runtime.now();
        let least = now.after(WAIT_MIN.saturating_sub(waited));
        let until = deadline.max(least).min(now.after(WAIT_MAX.saturating_sub(waited)));
        Box::pin(async move {
            let granted = async { Some(lent(budget.take(held, few).await)) };
            let given_up = async {
                while runtime.now() < until && !stopping.get() {
                    runtime.sleep_until(until.min(runtime.now().after(STOP_POLL))).await;
                }
                None
            };
            or(granted, given_up).await
        })
    }
}

impl<R: Runtime> CoreMemory for ReplyMemory<R> {
    fn reply_bytes_max(&self) -> usize {
        (self.budget.capacity_bytes() / 2).min(REPLY_BYTES_MAX)
    }

    fn now(&self) -> Mono {
        self.runtime.now()
    }

    fn turn(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let runtime = self.runtime.clone();
        Box::pin(async move { runtime.quantum().await })
    }

    /// Bounded by the connections, of which each has one piece of work at a time.
    fn beside(&self, work: Work) {
        // Its task lives as long as this.
        drop(self.works.send(work));
    }
}

fn lent(lease: Lease) -> Box<dyn ReadLease> {
    Box::new(lease)
}

impl ReadLease for Lease {
    fn max_bytes(&self) -> usize {
        self.bytes()
    }

    fn grow(&mut self, bytes: usize) -> bool {
        self.try_grow(Held::Reply, bytes)
    }

    fn keep(&mut self, bytes: usize) {
        self.resize_to(bytes);
    }
}

#[cfg(test)]
mod tests {
    use shards::runtime::sim::Sim;

    use super::*;

    const CAPACITY_BYTES: usize = 8 << 20;

    #[test]
    fn who_has_waited_before_waits_for_what_is_left_of_the_time() {
        let sim = Sim::new(1);
        let host = sim.add_host("broker");
        sim.block_on(host, |rt| async move {
            let budget = Budget::new(CAPACITY_BYTES);
            let _all = budget.charge(2 * CAPACITY_BYTES);
            let memory = ReplyMemory::new(rt.clone(), budget);
            let cases = [(0, 0, 5), (0, 3, 2), (0, 7, 0), (60, 0, 10), (60, 4, 6)];
            for (would_wait, waited, expected) in cases {
                let began = rt.now();
                let deadline = began.after(Duration::from_secs(would_wait));
                let lent = memory.lend(1 << 20, 1 << 20, deadline, Duration::from_secs(waited)).await;
                let took = rt.now().since(began);
                assert!(lent.is_none() && took.as_secs() == expected, "{would_wait} {waited}: {took:?}");
            }
        });
    }

    #[test]
    fn a_small_loan_grows_into_one_for_a_large_reply_if_that_is_there() {
        let budget = Budget::new(CAPACITY_BYTES);
        let mut lease = budget.try_take(Held::ByUs, SMALL_BYTES).expect("it is there");
        assert!(ReadLease::grow(&mut lease, 2 << 20) && lease.bytes() == 2 << 20);
        assert!(ReadLease::grow(&mut lease, 3 << 20) && budget.used_bytes() == 3 << 20);
        assert!(!ReadLease::grow(&mut lease, CAPACITY_BYTES) && lease.bytes() == 3 << 20);
        drop(lease);
        assert_eq!(budget.used_bytes(), 0);
    }
}
