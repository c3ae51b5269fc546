//! Whether everybody still gets somewhere: a batch that hangs or a reply that is lost shows in nothing that was told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shards::runtime::sim::Sim;
use shards::types::Mono;

use crate::history::{Event, Part};
use crate::scenario::Stage;

/// From the last fault on, or since it last got on; what refuses for want of space looks again every second.
const ALIVE_MAX: Duration = Duration::from_secs(10);

/// How far each client has come, by its number.
#[derive(Default)]
pub struct Progress {
    /// When the newest of the acked batches was sent, and the offset behind it, where that was told.
    acked: BTreeMap<(u64, Part), (Mono, i64)>,
    read: BTreeMap<(u64, Part), i64>,
    /// When the newest of the fetches that have a reply was sent.
    answered: BTreeMap<u64, Mono>,
    producers: Vec<u64>,
    consumers: Vec<u64>,
    awaited: Option<Awaited>,
}

/// Producers that have yet to get a batch acked that was sent since then. Nothing else is sent meanwhile: a world whose load went on
/// beside a batch that hangs would fill the memory.
struct Awaited {
    since: Mono,
    acks: BTreeSet<(u64, Part)>,
}

impl Progress {
    pub fn add_producer(&mut self, number: u64) {
        self.producers.push(number);
    }

    pub fn add_consumer(&mut self, number: u64) {
        self.consumers.push(number);
    }

    pub fn acked(&mut self, producer: u64, part: Part, sent: Mono, end: i64) {
        self.acked.insert((producer, part), (sent, end));
        if let Some(awaited) = self.awaited.as_mut().filter(|awaited| sent >= awaited.since) {
            awaited.acks.remove(&(producer, part));
        }
    }

    pub fn may_send(&self, producer: u64, part: Part) -> bool {
        self.awaited.as_ref().is_none_or(|awaited| awaited.acks.contains(&(producer, part)))
    }

    /// A consumer goes on at this offset.
    pub fn read(&mut self, consumer: u64, part: Part, position: i64) {
        self.read.insert((consumer, part), position);
    }

    pub fn answered(&mut self, consumer: u64, sent: Mono) {
        self.answered.insert(consumer, sent);
    }

    /// Grows with all that the consumer reads, unless it begins anew.
    fn read_by(&self, consumer: u64) -> i64 {
        self.read.range((consumer, Part::FIRST)..).take_while(|((of, _), _)| *of == consumer).map(|(_, at)| at).sum()
    }

    /// The furthest that was acked of what was sent since then.
    fn end_of(&self, part: Part, since: Mono) -> i64 {
        let of_part = self.acked.iter().filter(|((_, of), (sent, _))| *of == part && *sent >= since);
        of_part.map(|(_, (_, end))| *end).max().unwrap_or(0)
    }
}

impl Stage {
    /// From now on every producer gets a batch acked in every partition, and then every consumer reads all of them.
    pub fn expect_progress(&self) {
        let progress = &self.clients.progress;
        let damage = self.clients.load.get().damage;
        let resting = self.clients.resting.get();
        let topics = self.clients.topics.borrow().clone();
        let parts = topics.iter().filter(|topic| Some(topic.id) != resting).flat_map(|topic| topic.parts());
        let parts: Vec<Part> = parts.filter(|part| !damage.reaches(*part)).collect();
        let since = self.world.sim.now();
        let each = |clients: &[u64]| -> BTreeSet<(u64, Part)> {
            clients.iter().flat_map(|client| parts.iter().map(move |part| (*client, *part))).collect()
        };
        let producers = each(&progress.borrow().producers);
        progress.borrow_mut().awaited = Some(Awaited { since, acks: producers });
        let is_over = || progress.borrow().awaited.as_ref().is_none_or(|awaited| awaited.acks.is_empty());
        self.world.sim.run_until(ALIVE_MAX, is_over);
        let stuck = progress.borrow_mut().awaited.take().map(|awaited| awaited.acks).unwrap_or_default();
        if let Some((producer, part)) = stuck.first() {
            let what = format!("producer {producer} and {} others get no ack, first in {part:?}", stuck.len() - 1);
            self.world.history.push(Event::Stuck { what });
            return;
        }
        // Consumers may be slower than producers.
        self.clients.is_hushed.set(true);
        let hushed = self.world.sim.now();
        let ends: BTreeMap<Part, i64> =
            parts.iter().map(|part| (*part, progress.borrow().end_of(*part, since))).collect();
        let consumers = each(&progress.borrow().consumers);
        let is_read = |one: &(u64, Part)| {
            let progress = progress.borrow();
            let is_answered = progress.answered.get(&one.0).is_some_and(|sent| *sent >= hushed);
            is_answered && progress.read.get(one).is_some_and(|position| *position >= ends[&one.1])
        };
        let mut stuck = consumers;
        // Who begins anew again and again gets nowhere, either.
        let mut furthest: BTreeMap<u64, i64> = BTreeMap::new();
        loop {
            for (consumer, _) in &stuck {
                let now = progress.borrow().read_by(*consumer);
                furthest.entry(*consumer).and_modify(|at| *at = now.max(*at)).or_insert(now);
            }
            stuck = wait_for_all(&self.world.sim, stuck, is_read);
            // Some are far behind.
            let gets_on = |(consumer, _): &(u64, Part)| progress.borrow().read_by(*consumer) > furthest[consumer];
            if stuck.is_empty() || !stuck.iter().all(gets_on) {
                stuck.retain(|one| !gets_on(one));
                break;
            }
        }
        self.clients.is_hushed.set(false);
        if let Some((consumer, part)) = stuck.first() {
            let (at, end) = (progress.borrow().read.get(&(*consumer, *part)).copied(), ends[part]);
            let what = format!(
                "consumer {consumer} is at {at:?} of {part:?}, which goes to {end}, and {} others stand still",
                stuck.len() - 1
            );
            self.world.history.push(Event::Stuck { what });
        }
    }
}

/// Runs until all were seen; those that never were.
fn wait_for_all<T: Ord>(sim: &Sim, awaited: BTreeSet<T>, is_there: impl Fn(&T) -> bool) -> BTreeSet<T> {
    let awaited = RefCell::new(awaited);
    sim.run_until(ALIVE_MAX, || {
        let mut awaited = awaited.borrow_mut();
        // Asked after every event: of the first alone.
        while awaited.first().is_some_and(&is_there) {
            awaited.pop_first();
        }
        awaited.is_empty()
    });
    let mut left = awaited.into_inner();
    left.retain(|one| !is_there(one));
    left
}
