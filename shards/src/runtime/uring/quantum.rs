//! The quantum of an executor: how long its tasks may work before the reactor gets a turn, and who goes on after it. Owning
//! core only.
//!
//! Invariant: tasks that gave way go on in the order in which they did, and of them no more in one run than fit into its
//! quantum, but always one. If all went on at once, a burst of a few hundred small pieces of work would be one run, however
//! often each of them asks; and what became ready meanwhile would come after all of it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use glommio::timer::Timer;

use super::now;
use crate::types::Mono;

/// How long the tasks of one executor may work before the reactor gets a turn. Sockets and disk completions wait so
/// long at most; a turn costs some microseconds.
const QUANTUM: Duration = Duration::from_micros(150);
/// A task that waits for a timer, however short, lets the reactor poll; yielding does not.
const TURN: Duration = Duration::from_micros(2);

/// Since when the executor's tasks have been working without a turn of the reactor, and who waits for one.
#[derive(Default)]
pub(super) struct Quantum {
    /// The executor's count of scheduler runs: when it differs, the reactor was polled in between.
    run: Cell<u64>,
    started: Cell<Mono>,
    line: RefCell<VecDeque<Waiting>>,
    next_number: Cell<u64>,
}

struct Waiting {
    number: u64,
    /// Set while it is not the first.
    waker: Option<Waker>,
}

impl Quantum {
    /// Ends at once while there is some of the quantum left.
    pub(super) async fn give_way(&self) {
        if !self.is_used_up(now()) {
            return;
        }
        let place = self.behind_all();
        place.until_first().await;
        // The one before may have come back from a turn and left most of it.
        if self.is_used_up(now()) {
            Timer::new(TURN).await;
        }
    }

    fn is_used_up(&self, now: Mono) -> bool {
        let run = glommio::executor().executor_stats().scheduler_runs();
        if self.run.replace(run) != run {
            self.started.set(now);
        }
        now.since(self.started.get()) >= QUANTUM
    }

    fn behind_all(&self) -> Place<'_> {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        self.line.borrow_mut().push_back(Waiting { number, waker: None });
        Place { quantum: self, number }
    }
}

/// A place in the line. Whoever leaves it, be it that nobody waits for it any more, lets the next one on.
struct Place<'a> {
    quantum: &'a Quantum,
    number: u64,
}

impl Place<'_> {
    async fn until_first(&self) {
        poll_fn(|cx| {
            let mut line = self.quantum.line.borrow_mut();
            if line.front().is_none_or(|first| first.number == self.number) {
                return Poll::Ready(());
            }
            if let Ok(at) = line.binary_search_by_key(&self.number, |waiting| waiting.number)
                && let Some(waiting) = line.get_mut(at)
            {
                waiting.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut line = self.quantum.line.borrow_mut();
        if let Ok(at) = line.binary_search_by_key(&self.number, |waiting| waiting.number) {
            line.remove(at);
        }
        let next = line.front_mut().and_then(|first| first.waker.take());
        drop(line);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}
