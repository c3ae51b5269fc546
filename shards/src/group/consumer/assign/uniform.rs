//! The uniform assignor: everybody keeps what it has, free partitions go to whoever has fewest, and then partitions move
//! from those who have most to those who have fewest while that makes them more equal. Pure.
//!
//! Invariant: of two subscribers of a topic the one with partitions of it has at most one partition more in all. Each move
//! brings two numbers closer together, so there is an end.
//!
//! It is one step of a core: a large group must not cost members × partitions. Who has how many is kept in order as partitions
//! move, and a round looks at those only who have too many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

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

    /// In rounds: in each everybody who has too many, those who have most first, gives one away.
    fn balance(&mut self, readers: &BTreeMap<TopicId, Vec<usize>>) {
        let mut standing = Standing::new(readers, &self.counts);
        loop {
            let Some(least) = standing.least() else { return };
            // Nobody else can give any, but who gets some in this round.
            let mut round = standing.above(least + 1);
            let mut began: BTreeMap<usize, usize> = BTreeMap::new();
            let mut moved = false;
            while let Some((Reverse(count), from)) = round.pop_first() {
                let Some(to) = self.relieve(from, &mut standing) else { continue };
                moved = true;
                began.entry(from).or_insert(count);
                let had = *began.entry(to).or_insert(self.count(to) - 1);
                if (Reverse(had), to) > (Reverse(count), from) {
                    round.insert((Reverse(had), to));
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves one partition of a subscriber to one that has at least two fewer, and tells to whom. One at a time, so that of
    /// several who have too many each gives its share.
    fn relieve(&mut self, from: usize, standing: &mut Standing) -> Option<usize> {
        let has = self.count(from);
        if !standing.may_relieve(from, has) {
            return None;
        }
        // The last ones go first: of a topic that grows, the new partitions are those that move.
        let mut all = self.parts.get(from)?.iter().rev();
        let (to, topic, index) = all.find_map(|(topic, indexes)| {
            let poor = standing.poorest(*topic, has)?;
            let to = least_by(poor, |place| self.of_topic(place, *topic))?;
            Some((to, *topic, *indexes.last()?))
        })?;
        for place in [from, to] {
            standing.remove(place, self.count(place));
        }
        self.take(from, topic, index);
        self.give(to, topic, index);
        for place in [from, to] {
            standing.insert(place, self.count(place));
        }
        Some(to)
    }
}

/// The first of those with the smallest number; nothing is smaller than 0.
fn least_by(places: impl Iterator<Item = usize>, number: impl Fn(usize) -> usize) -> Option<usize> {
    let mut found: Option<(usize, usize)> = None;
    for place in places {
        let key = number(place);
        if found.is_none_or(|(least, _)| key < least) {
            found = Some((key, place));
        }
        if key == 0 {
            break;
        }
    }
    found.map(|(_, place)| place)
}

/// Who has how many: all of those who read anything, and the readers of each topic. Topics with the same readers are one
/// class.
struct Standing {
    all: BTreeSet<(Reverse<usize>, usize)>,
    class_of: BTreeMap<TopicId, usize>,
    classes: Vec<BTreeSet<(usize, usize)>>,
    /// The classes that each subscriber is in.
    of: Vec<Vec<usize>>,
}

impl Standing {
    fn new(readers: &BTreeMap<TopicId, Vec<usize>>, counts: &[usize]) -> Standing {
        let mut known: BTreeMap<&[usize], usize> = BTreeMap::new();
        let mut of = vec![Vec::new(); counts.len()];
        let mut class_of = BTreeMap::new();
        for (topic, readers) in readers {
            let next = known.len();
            let class = *known.entry(readers).or_insert_with(|| {
                for place in readers {
                    of[*place].push(next);
                }
                next
            });
            class_of.insert(*topic, class);
        }
        let classes = vec![BTreeSet::new(); known.len()];
        let mut standing = Standing { all: BTreeSet::new(), class_of, classes, of };
        for (place, count) in counts.iter().enumerate() {
            standing.insert(place, *count);
        }
        standing
    }

    fn insert(&mut self, place: usize, count: usize) {
        for class in &self.of[place] {
            self.classes[*class].insert((count, place));
        }
        self.all.insert((Reverse(count), place));
    }

    fn remove(&mut self, place: usize, count: usize) {
        for class in &self.of[place] {
            self.classes[*class].remove(&(count, place));
        }
        self.all.remove(&(Reverse(count), place));
    }

    /// The fewest that anybody has who reads anything.
    fn least(&self) -> Option<usize> {
        self.classes.iter().filter_map(fewest).min()
    }

    /// Those who have more, those who have most first.
    fn above(&self, count: usize) -> BTreeSet<(Reverse<usize>, usize)> {
        self.all.iter().take_while(|(Reverse(has), _)| *has > count).copied().collect()
    }

    /// Whether somebody with so many partitions reads anything that another with at least two fewer reads too.
    fn may_relieve(&self, from: usize, has: usize) -> bool {
        self.of[from].iter().any(|class| fewest(&self.classes[*class]).is_some_and(|fewest| fewest + 1 < has))
    }

    /// Those with the fewest partitions of all who read a topic, in their order, if these are at least two fewer than so many.
    fn poorest(&self, topic: TopicId, than: usize) -> Option<impl Iterator<Item = usize>> {
        let class = self.classes.get(*self.class_of.get(&topic)?)?;
        let fewest = fewest(class).filter(|fewest| fewest + 1 < than)?;
        Some(class.range((fewest, 0)..(fewest + 1, 0)).map(|(_, place)| *place))
    }
}

fn fewest(class: &BTreeSet<(usize, usize)>) -> Option<usize> {
    class.first().map(|(count, _)| *count)
}
