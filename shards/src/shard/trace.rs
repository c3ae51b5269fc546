//! Where the time of one request went. Connection's core; nothing else sees it.
//!
//! Invariant: the steps follow each other without gaps, so they add up to the whole time of the request.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use smallvec::SmallVec;

use super::stages::{Class, Stage};
use crate::request::Marks;
use crate::types::Mono;

/// What a request of the usual kinds goes through.
const STEPS_USUAL: usize = 10;

pub struct Trace {
    class: Cell<Class>,
    /// Kafka's name of the API, "-" until it is known.
    api: Cell<&'static str>,
    /// Its answer waits for what others do, by design.
    waits: Cell<bool>,
    began: Mono,
    /// The end of the last step.
    last: Cell<Mono>,
    steps: RefCell<SmallVec<[(Stage, Duration); STEPS_USUAL]>>,
}

impl Trace {
    /// Of a request whose first byte could be read at `began`.
    pub fn new(began: Mono) -> Trace {
        Trace {
            class: Cell::new(Class::Other),
            api: Cell::new("-"),
            waits: Cell::new(false),
            began,
            last: Cell::new(began),
            steps: RefCell::default(),
        }
    }

    pub fn name(&self, api: &'static str, class: Class) {
        self.api.set(api);
        self.class.set(class);
    }

    /// The time to its answer is a wait for others, as a join's for the other members: nothing to call slow.
    pub fn waits_for_others(&self) {
        self.waits.set(true);
    }

    pub fn api(&self) -> &'static str {
        self.api.get()
    }

    pub fn class(&self) -> Class {
        self.class.get()
    }

    /// All since the last step was this stage. A stage that comes again adds up.
    pub fn step(&self, stage: Stage, until: Mono) {
        let took = until.since(self.last.get());
        self.last.set(until.max(self.last.get()));
        let mut steps = self.steps.borrow_mut();
        match steps.iter_mut().find(|(of, _)| *of == stage) {
            Some((_, sum)) => *sum += took,
            None => steps.push((stage, took)),
        }
    }

    /// The request's bytes are understood, unless its handler said so before.
    pub fn decoded(&self, now: Mono) {
        if !self.steps.borrow().iter().any(|(stage, _)| *stage == Stage::Decode) {
            self.step(Stage::Decode, now);
        }
    }

    /// The way of an append through its owner's core.
    pub fn appended(&self, marks: &Marks) {
        marks.each(|stage, until| self.step(stage, until));
    }

    /// The reply begins to leave.
    pub fn answered(&self, now: Mono) {
        let stage = match self.class.get() {
            Class::Produce | Class::Fetch => Stage::Reply,
            Class::Other | Class::Core if self.waits.get() => Stage::Wait,
            Class::Other | Class::Core => Stage::Serve,
        };
        self.step(stage, now);
    }

    /// From the first byte to the end of the last step.
    pub fn total(&self) -> Duration {
        self.last.get().since(self.began)
    }

    /// The same without the time in which it waited for records or for others, as it asked for.
    pub fn busy(&self) -> Duration {
        let waited = self.steps.borrow().iter().find(|(stage, _)| *stage == Stage::Wait).map(|(_, took)| *took);
        self.total().saturating_sub(waited.unwrap_or_default())
    }

    pub fn each(&self, mut step: impl FnMut(Stage, Duration)) {
        self.steps.borrow().iter().for_each(|(stage, took)| step(*stage, *took));
    }

    pub fn steps(&self) -> Vec<(Stage, Duration)> {
        self.steps.borrow().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(trace: &Trace) -> Duration {
        trace.steps().iter().map(|(_, took)| *took).sum()
    }

    #[test]
    fn steps_add_up_to_the_whole_whatever_clocks_said() {
        let trace = Trace::new(Mono(100));
        trace.name("Fetch", Class::Fetch);
        trace.step(Stage::Read, Mono(110));
        trace.step(Stage::Decode, Mono(115));
        trace.decoded(Mono(116));
        trace.step(Stage::ReadMemory, Mono(130));
        trace.step(Stage::Wait, Mono(530));
        // Another core's clock may be a little behind.
        trace.step(Stage::ReadMemory, Mono(529));
        trace.step(Stage::ReadMemory, Mono(540));
        trace.answered(Mono(545));
        trace.step(Stage::Send, Mono(550));
        assert_eq!((sum(&trace), trace.total()), (Duration::from_nanos(450), Duration::from_nanos(450)));
        assert_eq!(trace.busy(), Duration::from_nanos(50));
        let stages: Vec<Stage> = trace.steps().iter().map(|(stage, _)| *stage).collect();
        assert_eq!(stages, [Stage::Read, Stage::Decode, Stage::ReadMemory, Stage::Wait, Stage::Reply, Stage::Send]);
    }

    #[test]
    fn an_append_is_followed_through_its_owner() {
        let trace = Trace::new(Mono(0));
        trace.name("Produce", Class::Produce);
        trace.step(Stage::Decode, Mono(10));
        let marks = Marks {
            taken_up: Mono(20),
            placed: Mono(21),
            appended: Mono(25),
            write_started: Mono(40),
            written: Mono(0),
            released: Mono(140),
        };
        trace.appended(&marks);
        let wanted = [
            (Stage::Decode, 10),
            (Stage::Route, 10),
            (Stage::Queue, 1),
            (Stage::Append, 4),
            (Stage::CommitWait, 15),
            (Stage::WriteSync, 100),
        ];
        assert_eq!(trace.steps(), wanted.map(|(stage, nanos)| (stage, Duration::from_nanos(nanos))));
        assert_eq!(sum(&trace), trace.total());
    }
}
