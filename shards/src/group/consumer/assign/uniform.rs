//! The uniform assignor: everybody keeps what it has, free partitions go to whoever has fewest, and then partitions move
//! from those who have most to those who have fewest while that makes them more equal. Pure.
//!
//! Invariant: of two subscribers of a topic the one with partitions of it has at most one partition more in all. Each move
//! brings two numbers closer together, so there is an end.
//!
//! It is one step of a core: a large group must not cost members × partitions. Who has fewest is kept as counts change, and
//! all subscribers of a topic are gone through for a move only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::super::record::Parts;
use super::{Subscriber, by_topic};
use crate::types::TopicId;

pub fn assign(subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>) -> Vec<Parts> {
    let readers = by_topic(subscribers, partitions);
    let mut shares = Shares::kept(subscribers, &readers, partitions);
    // Topics with few readers first: the others can still make up for it.
    let mut topics: Vec<(&TopicId, &Vec<usize>)> = readers.iter().collect();
    topics.sort_by_key(|(topic, readers)| (readers.len(), **topic));
    for (topic, readers) in &topics {
        shares.give_free(**topic, partitions.get(*topic).copied().unwrap_or(0), readers);
    }
    shares.balance(&readers);
    shares.parts
}

/// What each subscriber has so far.
struct Shares {
    parts: Vec<Parts>,
    /// Partitions of each, in all topics.
    counts: Vec<usize>,
    owners: BTreeMap<(TopicId, i32), usize>,
}

impl Shares {
    /// What they have of what they still read; a partition that two claim is the first one's.
    fn kept(
        subscribers: &[Subscriber],
        readers: &BTreeMap<TopicId, Vec<usize>>,
        partitions: &BTreeMap<TopicId, i32>,
    ) -> Shares {
        let mut shares = Shares {
            parts: vec![Parts::new(); subscribers.len()],
            counts: vec![0; subscribers.len()],
            owners: BTreeMap::new(),
        };
        for (place, subscriber) in subscribers.iter().enumerate() {
            let read = subscriber
                .has
                .iter()
                .filter(|(topic, _)| subscriber.topics.contains(*topic) && readers.contains_key(*topic));
            for (topic, indexes) in read {
                let count = partitions.get(topic).copied().unwrap_or(0);
                for index in indexes.iter().filter(|index| (0..count).contains(*index)) {
                    if !shares.owners.contains_key(&(*topic, *index)) {
                        shares.give(place, *topic, *index);
                    }
                }
            }
        }
        shares
    }

    fn count(&self, place: usize) -> usize {
        self.counts.get(place).copied().unwrap_or(0)
    }

    fn of_topic(&self, place: usize, topic: TopicId) -> usize {
        self.parts.get(place).and_then(|parts| parts.get(&topic)).map_or(0, |indexes| indexes.len())
    }

    /// Gives the partitions of a topic that nobody has to whoever has fewest; among equals to the one with fewest of this
    /// topic, so that topics spread too.
    fn give_free(&mut self, topic: TopicId, count: i32, readers: &[usize]) {
        let free: Vec<i32> = (0..count).filter(|index| !self.owners.contains_key(&(topic, *index))).collect();
        if free.is_empty() {
            return;
        }
        let is_new = usize::try_from(count).is_ok_and(|count| count == free.len());
        let of_topic = |place| if is_new { 0 } else { self.of_topic(place, topic) };
        let line = readers.iter().map(|place| Reverse((self.count(*place), of_topic(*place), *place)));
        let mut line: BinaryHeap<_> = line.collect();
        for index in free {
            let Some(mut first) = line.peek_mut() else { return };
            let Reverse((count, of_topic, place)) = *first;
            self.give(place, topic, index);
            *first = Reverse((count + 1, of_topic + 1, place));
        }
    }

    fn give(&mut self, to: usize, topic: TopicId, index: i32) {
        let (Some(parts), Some(count)) = (self.parts.get_mut(to), self.counts.get_mut(to)) else { return };
        parts.entry(topic).or_default().insert(index);
        *count += 1;
        self.owners.insert((topic, index), to);
    }

    fn take(&mut self, from: usize, topic: TopicId, index: i32) {
        let (Some(parts), Some(count)) = (self.parts.get_mut(from), self.counts.get_mut(from)) else { return };
        if let Some(indexes) = parts.get_mut(&topic)
            && indexes.remove(&index)
        {
            *count -= 1;
            if indexes.is_empty() {
                parts.remove(&topic);
            }
        }
    }

    fn balance(&mut self, readers: &BTreeMap<TopicId, Vec<usize>>) {
        let mut least = Least::new(readers, &self.counts);
        loop {
            let mut places: Vec<usize> = (0..self.parts.len()).collect();
            places.sort_by_key(|place| (Reverse(self.count(*place)), *place));
            let mut moved = false;
            for from in places {
                moved |= self.relieve(from, readers, &mut least);
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves one partition of a subscriber to one that has at least two fewer; whether there was such. One at a time, so
    /// that of several who have too many each gives its share.
    fn relieve(&mut self, from: usize, readers: &BTreeMap<TopicId, Vec<usize>>, least: &mut Least) -> bool {
        let has = self.count(from);
        if !least.may_relieve(from, has) {
            return false;
        }
        let Some(parts) = self.parts.get(from) else { return false };
        // The last ones go first: of a topic that grows, the new partitions are those that move.
        let mut all = parts.iter().rev();
        let found = all.find_map(|(topic, indexes)| {
            let fewest = least.of_topic(*topic).filter(|fewest| fewest + 1 < has)?;
            let poor = readers.get(topic)?.iter().copied().filter(|place| self.count(*place) == fewest);
            let to = poor.min_by_key(|place| (self.of_topic(*place, *topic), *place))?;
            Some((to, *topic, *indexes.last()?))
        });
        let Some((to, topic, index)) = found else { return false };
        for place in [from, to] {
            least.count(place, self.count(place), -1);
        }
        self.take(from, topic, index);
        self.give(to, topic, index);
        for place in [from, to] {
            least.count(place, self.count(place), 1);
        }
        true
    }
}

/// The fewest partitions that a reader of a topic has. Topics with the same readers are one class.
struct Least {
    class_of: BTreeMap<TopicId, usize>,
    /// Of each class: number of partitions → how many readers have so many.
    classes: Vec<BTreeMap<usize, usize>>,
    /// The classes that each subscriber is in.
    of: Vec<Vec<usize>>,
}

impl Least {
    fn new(readers: &BTreeMap<TopicId, Vec<usize>>, counts: &[usize]) -> Least {
        let mut least = Least { class_of: BTreeMap::new(), classes: Vec::new(), of: vec![Vec::new(); counts.len()] };
        let mut known: BTreeMap<&[usize], usize> = BTreeMap::new();
        for (topic, readers) in readers {
            let class = *known.entry(readers).or_insert_with(|| {
                let mut class: BTreeMap<usize, usize> = BTreeMap::new();
                for place in readers {
                    *class.entry(counts.get(*place).copied().unwrap_or(0)).or_default() += 1;
                    if let Some(of) = least.of.get_mut(*place) {
                        of.push(least.classes.len());
                    }
                }
                least.classes.push(class);
                least.classes.len() - 1
            });
            least.class_of.insert(*topic, class);
        }
        least
    }

    fn of_class(&self, class: usize) -> Option<usize> {
        self.classes.get(class)?.first_key_value().map(|(count, _)| *count)
    }

    fn of_topic(&self, topic: TopicId) -> Option<usize> {
        self.of_class(*self.class_of.get(&topic)?)
    }

    /// Whether somebody with so many partitions reads anything that another with at least two fewer reads too.
    fn may_relieve(&self, from: usize, has: usize) -> bool {
        let mut classes = self.of.get(from).into_iter().flatten();
        classes.any(|class| self.of_class(*class).is_some_and(|fewest| fewest + 1 < has))
    }

    /// A subscriber comes to have so many, with 1, or has so many no longer, with -1.
    fn count(&mut self, place: usize, has: usize, by: isize) {
        for class in self.of.get(place).into_iter().flatten() {
            let Some(class) = self.classes.get_mut(*class) else { continue };
            let count = class.entry(has).or_default();
            *count = count.saturating_add_signed(by);
            if *count == 0 {
                class.remove(&has);
            }
        }
    }
}
