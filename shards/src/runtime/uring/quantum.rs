//! The quantum of an executor: how long its tasks may work before the reactor gets a turn, and who goes on after it. Owning
//! core only.
//!
//! Invariant: tasks that gave way go on in the order in which they did, those in a hurry in turn with the others, and of them
//! no more in one run than fit into its quantum, but always one. If all went on at once, a burst of a few hundred small pieces
//! of work would be one run, however often each of them asks; and what became ready meanwhile would come after all of it.

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
    lines: RefCell<Lines>,
}

#[derive(Default)]
struct Lines {
    /// Whose turn it is.
    first: Option<u64>,
    hurried: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    /// Whether the one before was in a hurry.
    was_hurried: bool,
    next_number: u64,
}

struct Waiting {
    number: u64,
    /// Set while it is not its turn.
    waker: Option<Waker>,
}

impl Quantum {
    /// Ends at once while there is some of the quantum left.
    pub(super) async fn give_way(&self, hurries: bool) {
        if !self.is_used_up(now()) {
            return;
        }
        let place = self.behind_all(hurries);
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

    fn behind_all(&self, hurries: bool) -> Place<'_> {
        let mut lines = self.lines.borrow_mut();
        lines.next_number += 1;
        let number = lines.next_number;
        lines.first.get_or_insert(number);
        lines.line(hurries).push_back(Waiting { number, waker: None });
        Place { quantum: self, hurries, number }
    }
}

impl Lines {
    fn line(&mut self, hurries: bool) -> &mut VecDeque<Waiting> {
        if hurries { &mut self.hurried } else { &mut self.others }
    }

    /// Somebody leaves. Whose turn it is then is woken.
    fn leave(&mut self, hurries: bool, number: u64) -> Option<Waker> {
        let line = self.line(hurries);
        if let Ok(at) = line.binary_search_by_key(&number, |waiting| waiting.number) {
            line.remove(at);
        }
        if self.first != Some(number) {
            return None;
        }
        self.was_hurried = !self.hurried.is_empty() && (self.others.is_empty() || !self.was_hurried);
        let next = self.line(self.was_hurried).front_mut();
        let (first, waker) = next.map(|next| (next.number, next.waker.take())).unzip();
        self.first = first;
        waker.flatten()
    }
}

/// A place in a line. Whoever leaves it, be it that nobody waits for it any more, lets the next one on.
struct Place<'a> {
    quantum: &'a Quantum,
    hurries: bool,
    number: u64,
}

impl Place<'_> {
    async fn until_first(&self) {
        poll_fn(|cx| {
            let mut lines = self.quantum.lines.borrow_mut();
            if lines.first == Some(self.number) {
                return Poll::Ready(());
            }
            let line = lines.line(self.hurries);
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
        let next = self.quantum.lines.borrow_mut().leave(self.hurries, self.number);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose turn it is, and they leave.
    fn in_turn(lines: &mut Lines, waiting: &[(bool, u64)]) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(first) = lines.first {
            order.push(first);
            let (hurries, _) = *waiting.iter().find(|(_, number)| *number == first).expect("it waits");
            lines.leave(hurries, first);
        }
        order
    }

    #[test]
    fn who_hurries_goes_on_in_turn_with_the_others_and_all_in_their_order() {
        let quantum = Quantum::default();
        let waiting = [(false, 1), (false, 2), (false, 3), (true, 4), (true, 5), (true, 6), (false, 7)];
        let places: Vec<Place<'_>> = waiting.iter().map(|(hurries, _)| quantum.behind_all(*hurries)).collect();
        assert_eq!(in_turn(&mut quantum.lines.borrow_mut(), &waiting), [1, 4, 2, 5, 3, 6, 7]);
        drop(places);
    }

    #[test]
    fn who_gives_up_its_place_holds_nobody_up() {
        let quantum = Quantum::default();
        let mut places: Vec<Place<'_>> = [false, true, false].map(|hurries| quantum.behind_all(hurries)).into();
        drop(places.remove(1));
        drop(places.remove(0));
        assert_eq!(quantum.lines.borrow().first, Some(3));
        drop(places);
        assert_eq!(quantum.lines.borrow().first, None);
    }
}
