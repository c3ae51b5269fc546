//! The range assignor: the partitions of each topic are cut into ranges, one for each of its subscribers, in one order for
//! all topics. Pure.
//!
//! Invariant: topics with as many partitions and the same subscribers are cut alike. The order is that of the ranges of the
//! last target, newcomers last, so that only borders move.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::Parts;
use super::{Subscriber, by_topic};
use crate::types::TopicId;

pub fn assign(subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>) -> Vec<Parts> {
    let readers = by_topic(subscribers, partitions);
    let order = in_order(subscribers, &readers);
    let mut assigned = vec![Parts::new(); subscribers.len()];
    for (topic, readers) in &readers {
        let count = partitions.get(topic).copied().unwrap_or(0);
        let Ok(shares) = i32::try_from(readers.len()) else { continue };
        let (least, more) = (count / shares, count % shares);
        let readers: BTreeSet<usize> = readers.iter().copied().collect();
        let mut next = 0;
        for (at, place) in (0..shares).zip(order.iter().filter(|place| readers.contains(*place))) {
            let end = next + least + i32::from(at < more);
            if next < end
                && let Some(parts) = assigned.get_mut(*place)
            {
                parts.insert(*topic, (next..end).collect());
            }
            next = end;
        }
    }
    assigned
}

/// All subscribers so that those of each topic are in the order of their ranges, and those without one are behind. Where
/// topics disagree, which they may after subscriptions changed, and where they say nothing, names decide.
fn in_order(subscribers: &[Subscriber], readers: &BTreeMap<TopicId, Vec<usize>>) -> Vec<usize> {
    let mut behind: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); subscribers.len()];
    for (topic, readers) in readers {
        let first = |place: &usize| subscribers.get(*place)?.has.get(topic)?.first().copied();
        let (mut holders, others): (Vec<usize>, Vec<usize>) = readers.iter().partition(|place| first(place).is_some());
        holders.sort_by_key(first);
        let chain = holders.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
        let rest = holders.last().into_iter().flat_map(|last| others.iter().map(move |other| (*last, *other)));
        for (before, after) in chain.chain(rest) {
            behind[before].insert(after);
        }
    }
    let mut waits_for = vec![0usize; subscribers.len()];
    for after in behind.iter().flatten() {
        waits_for[*after] += 1;
    }
    let key = |place: usize| (&subscribers[place].name, place);
    let mut left: BTreeSet<_> = (0..subscribers.len()).map(key).collect();
    let mut ready: BTreeSet<_> = (0..subscribers.len()).filter(|place| waits_for[*place] == 0).map(key).collect();
    let mut order = Vec::with_capacity(subscribers.len());
    while let Some(next) = ready.pop_first().or_else(|| left.first().copied()) {
        left.remove(&next);
        order.push(next.1);
        for after in &behind[next.1] {
            waits_for[*after] -= 1;
            if waits_for[*after] == 0 && left.contains(&key(*after)) {
                ready.insert(key(*after));
            }
        }
    }
    order
}
