//! The uniform assignor: everybody keeps what it has, free partitions go to whoever has fewest, and then partitions move
//! from those who have most to those who have fewest while that makes them more equal. Pure.
//!
//! Invariant: of two subscribers of a topic the one with partitions of it has at most one partition more in all. Each move
//! brings two numbers closer together, so there is an end.

use std::collections::BTreeMap;

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
        for index in 0..partitions.get(*topic).copied().unwrap_or(0) {
            if !shares.owners.contains_key(&(**topic, index))
                && let Some(to) = shares.poorest(**topic, readers)
            {
                shares.give(to, **topic, index);
            }
        }
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

    /// Who has fewest; among equals the one with fewest of this topic, so that topics spread too.
    fn poorest(&self, topic: TopicId, readers: &[usize]) -> Option<usize> {
        readers.iter().copied().min_by_key(|place| (self.count(*place), self.of_topic(*place, topic), *place))
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
        loop {
            let mut places: Vec<usize> = (0..self.parts.len()).collect();
            places.sort_by_key(|place| (std::cmp::Reverse(self.count(*place)), *place));
            let mut moved = false;
            for from in places {
                moved |= self.relieve(from, readers);
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves one partition of a subscriber to one that has at least two fewer; whether there was such. One at a time, so
    /// that of several who have too many each gives its share.
    fn relieve(&mut self, from: usize, readers: &BTreeMap<TopicId, Vec<usize>>) -> bool {
        let Some(parts) = self.parts.get(from) else { return false };
        // The last ones go first: of a topic that grows, the new partitions are those that move.
        let mut all =
            parts.iter().rev().flat_map(|(topic, indexes)| indexes.iter().rev().map(move |index| (*topic, *index)));
        let found = all.find_map(|(topic, index)| {
            let to = self.poorest(topic, readers.get(&topic)?)?;
            (self.count(to) + 1 < self.count(from)).then_some((to, topic, index))
        });
        let Some((to, topic, index)) = found else { return false };
        self.take(from, topic, index);
        self.give(to, topic, index);
        true
    }
}
