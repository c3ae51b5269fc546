//! The quantum of an executor: how long its tasks may work before the reactor gets a turn, and who goes on after it. Owning
//! core only.
//!
//! Invariant: tasks that gave way go on in the order in which they did, those in a hurry in turn with the others, and of them
//! no more in one run than fit into its quantum, but always one. If all went on at once, a burst of a few hundred small pieces
//! of work would be one run, however often each of them asks; and what became ready meanwhile would come after all of it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::yield_now;
use glommio::timer::Timer;

use super::guard::guarded;
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
    lines: RefCell<Lines>,
    /// The task that lets them go on is there. It is none of those who wait: one that holds its place and looks after
    /// something else must not hold up all others.
    has_guide: Cell<bool>,
}

#[derive(Default)]
struct Lines {
    hurried: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    /// Whether the one before was in a hurry.
    was_hurried: bool,
    next_number: u64,
}

struct Waiting {
    number: u64,
    waker: Option<Waker>,
}

impl Quantum {
    /// Ends at once while there is some of the quantum left.
    pub(super) async fn give_way(self: &Rc<Quantum>, hurries: bool) {
        if !self.is_used_up(now()) {
            return;
        }
        let place = self.behind_all(hurries);
        if !self.has_guide.replace(true) {
            drop(glommio::spawn_local(guarded(guide(self.clone()))).detach());
        }
        place.until_left().await;
    }

    fn is_used_up(&self, now: Mono) -> bool {
        let run = glommio::executor().executor_stats().scheduler_runs();
        if self.run.replace(run) != run {
            self.started.set(now);
        }
        now.since(self.started.get()) >= QUANTUM
    }

    fn behind_all(&self, hurries: bool) -> Place<'_> {
        let mut lines = self.lines.borrow_mut();
        lines.next_number += 1;
        let number = lines.next_number;
        lines.line(hurries).push_back(Waiting { number, waker: None });
        Place { quantum: self, hurries, number }
    }
}

/// Lets one after the other go on, until nobody waits.
async fn guide(quantum: Rc<Quantum>) {
    loop {
        if quantum.is_used_up(now()) {
            Timer::new(TURN).await;
            // The quantum begins here.
            quantum.is_used_up(now());
        }
        let Some(next) = quantum.lines.borrow_mut().pop() else { break };
        if let Some(waker) = next.waker {
            waker.wake();
        }
        // Behind it, and behind all that is ready.
        yield_now().await;
    }
    quantum.has_guide.set(false);
}

impl Lines {
    fn line(&mut self, hurries: bool) -> &mut VecDeque<Waiting> {
        if hurries { &mut self.hurried } else { &mut self.others }
    }

    /// Whose turn it is.
    fn pop(&mut self) -> Option<Waiting> {
        self.was_hurried = !self.hurried.is_empty() && (self.others.is_empty() || !self.was_hurried);
        self.line(self.was_hurried).pop_front()
    }

    fn find(&mut self, hurries: bool, number: u64) -> Option<usize> {
        self.line(hurries).binary_search_by_key(&number, |waiting| waiting.number).ok()
    }
}

/// A place in a line.
struct Place<'a> {
    quantum: &'a Quantum,
    hurries: bool,
    number: u64,
}

impl Place<'_> {
    async fn until_left(&self) {
        poll_fn(|cx| {
            let mut lines = self.quantum.lines.borrow_mut();
            let Some(at) = lines.find(self.hurries, self.number) else { return Poll::Ready(()) };
            if let Some(waiting) = lines.line(self.hurries).get_mut(at) {
                waiting.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Nobody waits for it any more.
impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.quantum.lines.borrow_mut();
        if let Some(at) = lines.find(self.hurries, self.number) {
            lines.line(self.hurries).remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(quantum: &Quantum) -> Vec<u64> {
        std::iter::from_fn(|| quantum.lines.borrow_mut().pop()).map(|waiting| waiting.number).collect()
    }

    #[test]
    fn who_hurries_goes_on_in_turn_with_the_others_and_all_in_their_order() {
        let quantum = Quantum::default();
        let waiting = [false, false, false, true, true, true, false];
        let _places: Vec<Place<'_>> = waiting.iter().map(|hurries| quantum.behind_all(*hurries)).collect();
        assert_eq!(left(&quantum), [4, 1, 5, 2, 6, 3, 7]);
    }

    #[test]
    fn who_gives_up_its_place_has_none() {
        let quantum = Quantum::default();
        let mut places: Vec<Place<'_>> = [false, true, false].map(|hurries| quantum.behind_all(hurries)).into();
        drop(places.remove(1));
        drop(places.remove(0));
        assert_eq!(left(&quantum), [3]);
    }
}
