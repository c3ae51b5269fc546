//! The assignors of the broker (KIP-848): who shall read which partitions. Owning core only; pure functions.
//!
//! Invariant: every partition of a topic that somebody reads has one reader, who is subscribed to the topic; what nobody
//! asked to change stays.

mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::record::Parts;
use crate::types::TopicId;

/// Which of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// As many partitions for each as can be, and as few moves. Of a group whose members do not say: Kafka's default.
    Uniform,
    /// Of each topic a range for each: partitions of one number come together, for joins.
    Range,
}

impl Assignor {
    /// In the order of `group.consumer.assignors`.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Kafka's name.
    pub const fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|one| one.name() == name)
    }

    /// What each subscriber shall have, in their order. `partitions`: how many each topic has.
    pub fn assign(self, subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>) -> Vec<Parts> {
        match self {
            Assignor::Uniform => uniform::assign(subscribers, partitions),
            Assignor::Range => range::assign(subscribers, partitions),
        }
    }
}

/// A member, as an assignor sees it.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Instance id, or member id: what stays when the client is started anew.
    pub name: Arc<str>,
    /// Subscribers that read the same may share it.
    pub topics: Rc<BTreeSet<TopicId>>,
    /// Its part of the last target.
    pub has: Parts,
}

/// The subscribers of each topic, by their places in the list; topics that nobody reads are left out.
fn by_topic(subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>) -> BTreeMap<TopicId, Vec<usize>> {
    let mut sets: BTreeMap<*const BTreeSet<TopicId>, (&BTreeSet<TopicId>, Vec<usize>)> = BTreeMap::new();
    for (place, subscriber) in subscribers.iter().enumerate() {
        let topics = &subscriber.topics;
        sets.entry(Rc::as_ptr(topics)).or_insert_with(|| (topics, Vec::new())).1.push(place);
    }
    let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (topics, places) in sets.values() {
        for topic in topics.iter().filter(|topic| partitions.contains_key(*topic)) {
            readers.entry(*topic).or_default().extend(places);
        }
    }
    if sets.len() > 1 {
        readers.values_mut().for_each(|places| places.sort_unstable());
    }
    readers
}
