//! Lends fetches and long replies their memory, out of the core's budget, before they read or are made. Owning core only.
//! Invariant: what fetches read and nobody has sent yet is in the budget, but for first batches above [`READ_BYTES_MIN`].
//! A read is ours until its reply is being sent: it has the reserve, and does not queue behind frames that peers hold open.

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
use crate::api::{CoreMemory, REPLY_BYTES_MAX};

/// Least that is lent, as a batch comes whole: Kafka's default of the largest one.
const READ_BYTES_MIN: usize = 1024 * 1024;
/// A fetch that found no memory for so long is answered without records, even if it would wait for longer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// It waits for this long even if it would not: else readers that never wait would get nothing while others do.
const WAIT_MIN: Duration = Duration::from_millis(500);
/// How soon one that waits learns of a stop.
const STOP_POLL: Duration = Duration::from_millis(50);

/// The budget as fetches see it.
pub struct ReplyMemory<R: Runtime> {
    runtime: R,
    budget: Budget,
    stopping: Rc<Cell<bool>>,
}

impl<R: Runtime> ReplyMemory<R> {
    pub fn new(runtime: R, budget: Budget) -> ReplyMemory<R> {
        ReplyMemory { runtime, budget, stopping: Rc::default() }
    }

    /// Nobody waits for memory any more (R18).
    pub fn stop(&self) {
        self.stopping.set(true);
    }
}

impl<R: Runtime> ReadMemory for ReplyMemory<R> {
    /// Half of what is left at most, so that a few large fetches do not take all of the core's memory.
    fn lend(&self, max_bytes: u32, deadline: Mono) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>> {
        let half = self.budget.free_bytes() / 2;
        let bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX).min(half).max(READ_BYTES_MIN);
        if let Some(lease) = self.budget.try_take(Held::ByUs, bytes) {
            return Box::pin(ready(Some(lent(&self.budget, lease))));
        }
        let (runtime, budget, stopping) = (self.runtime.clone(), self.budget.clone(), self.stopping.clone());
        let now = runtime.now();
        let until = deadline.max(now.after(WAIT_MIN)).min(now.after(WAIT_MAX));
        Box::pin(async move {
            let granted = async { Some(lent(&budget, budget.take(Held::ByUs, READ_BYTES_MIN).await)) };
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

    fn turn(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let runtime = self.runtime.clone();
        Box::pin(async move { runtime.quantum().await })
    }
}

fn lent(budget: &Budget, lease: Lease) -> Box<dyn ReadLease> {
    Box::new(Reading { budget: budget.clone(), lease })
}

struct Reading {
    budget: Budget,
    lease: Lease,
}

impl ReadLease for Reading {
    fn max_bytes(&self) -> u32 {
        u32::try_from(self.lease.bytes()).unwrap_or(u32::MAX)
    }

    fn keep(&mut self, bytes: usize) {
        if bytes > self.lease.bytes() {
            self.lease = self.budget.charge(bytes);
        } else {
            self.lease.shrink_to(bytes);
        }
    }
}
