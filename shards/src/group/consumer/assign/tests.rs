//! What every assignment must be, whoever subscribes to what.

use proptest::prelude::*;

use super::*;

fn topic(n: u8) -> TopicId {
    TopicId([n; 16])
}

fn subscriber(n: usize, topics: impl IntoIterator<Item = u8>) -> Subscriber {
    let topics = Rc::new(topics.into_iter().map(topic).collect());
    Subscriber { name: format!("m{n:02}").into(), topics, has: Parts::new() }
}

fn counts(counts: &[i32]) -> BTreeMap<TopicId, i32> {
    (1u8..).zip(counts).map(|(n, count)| (topic(n), *count)).collect()
}

fn len(parts: &Parts) -> usize {
    parts.values().map(BTreeSet::len).sum()
}

fn take_over(subscribers: &mut [Subscriber], assigned: &[Parts]) {
    for (subscriber, parts) in subscribers.iter_mut().zip(assigned) {
        subscriber.has = parts.clone();
    }
}

/// Partitions that somebody has now and had not before.
fn gained(subscribers: &[Subscriber], assigned: &[Parts]) -> usize {
    let new = subscribers.iter().zip(assigned).flat_map(|(before, after)| {
        let had = |topic, index| before.has.get(topic).is_some_and(|indexes| indexes.contains(index));
        after.iter().flat_map(move |(topic, indexes)| indexes.iter().filter(move |index| !had(topic, index)))
    });
    new.count()
}

fn group() -> impl Strategy<Value = (Vec<Subscriber>, BTreeMap<TopicId, i32>)> {
    let subscriptions = prop::collection::vec(prop::collection::btree_set(1u8..6, 0..5), 1..12);
    (subscriptions, prop::collection::vec(1i32..14, 1..5)).prop_map(|(subscriptions, partitions)| {
        let subscribers = subscriptions.into_iter().enumerate().map(|(n, topics)| subscriber(n, topics)).collect();
        (subscribers, counts(&partitions))
    })
}

fn check(subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>, assigned: &[Parts]) {
    assert_eq!(assigned.len(), subscribers.len());
    let mut owners: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
    for (place, (subscriber, parts)) in subscribers.iter().zip(assigned).enumerate() {
        for (topic, indexes) in parts {
            assert!(subscriber.topics.contains(topic) && !indexes.is_empty());
            for index in indexes {
                assert_eq!(owners.insert((*topic, *index), place), None);
            }
        }
    }
    for (topic, count) in partitions {
        let is_read = subscribers.iter().any(|subscriber| subscriber.topics.contains(topic));
        let owned = owners.keys().filter(|(one, _)| one == topic).count();
        assert_eq!(owned, if is_read { usize::try_from(*count).expect("positive") } else { 0 });
    }
}

/// What the uniform assignor does, by its rules alone: all are asked for each partition.
fn uniform_by_its_rules(subscribers: &[Subscriber], partitions: &BTreeMap<TopicId, i32>) -> Vec<Parts> {
    let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for topic in partitions.keys() {
        let places = (0..subscribers.len()).filter(|place| subscribers[*place].topics.contains(topic));
        readers.insert(*topic, places.collect());
    }
    let mut parts = vec![Parts::new(); subscribers.len()];
    let is_owned = |parts: &[Parts], topic, index| parts.iter().any(|parts: &Parts| has(parts, topic, index));
    let poorest = |parts: &[Parts], topic: TopicId| {
        let of_topic = |place: usize| parts[place].get(&topic).map_or(0, BTreeSet::len);
        readers[&topic].iter().copied().min_by_key(|place| (len(&parts[*place]), of_topic(*place), *place))
    };
    for (place, subscriber) in subscribers.iter().enumerate() {
        for (topic, indexes) in &subscriber.has {
            let count = partitions.get(topic).copied().filter(|_| subscriber.topics.contains(topic)).unwrap_or(0);
            for index in indexes.range(..count) {
                if !is_owned(&parts, *topic, *index) {
                    parts[place].entry(*topic).or_default().insert(*index);
                }
            }
        }
    }
    let mut topics: Vec<TopicId> = readers.keys().copied().collect();
    topics.sort_by_key(|topic| (readers[topic].len(), *topic));
    for topic in topics {
        for index in 0..partitions[&topic] {
            if !is_owned(&parts, topic, index)
                && let Some(to) = poorest(&parts, topic)
            {
                parts[to].entry(topic).or_default().insert(index);
            }
        }
    }
    loop {
        let mut places: Vec<usize> = (0..parts.len()).collect();
        places.sort_by_key(|place| (std::cmp::Reverse(len(&parts[*place])), *place));
        let before = parts.clone();
        for from in places {
            let of = parts[from].clone();
            let mut all =
                of.iter().rev().flat_map(|(topic, indexes)| indexes.iter().rev().map(|index| (*topic, *index)));
            let found = all.find_map(|(topic, index)| {
                let to = poorest(&parts, topic)?;
                (len(&parts[to]) + 1 < len(&of)).then_some((to, topic, index))
            });
            if let Some((to, topic, index)) = found {
                parts[from].get_mut(&topic).expect("it has it").remove(&index);
                parts[from].retain(|_, indexes| !indexes.is_empty());
                parts[to].entry(topic).or_default().insert(index);
            }
        }
        if parts == before {
            return parts;
        }
    }
}

fn has(parts: &Parts, topic: TopicId, index: i32) -> bool {
    parts.get(&topic).is_some_and(|indexes| indexes.contains(&index))
}

proptest! {
    #[test]
    fn uniform_does_what_its_rules_say_after_any_history((subscribers, partitions) in group(), more in group()) {
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        prop_assert_eq!(&assigned, &uniform_by_its_rules(&subscribers, &partitions));
        let (mut after, partitions) = more;
        for (now, had) in after.iter_mut().zip(assigned) {
            now.has = had;
        }
        prop_assert_eq!(Assignor::Uniform.assign(&after, &partitions), uniform_by_its_rules(&after, &partitions));
    }

    #[test]
    fn every_partition_that_is_read_has_one_reader_after_any_history((subscribers, partitions) in group(), more in group()) {
        for assignor in Assignor::ALL {
            let mut before = subscribers.clone();
            take_over(&mut before, &assignor.assign(&subscribers, &partitions));
            let (mut after, partitions) = more.clone();
            for (now, then) in after.iter_mut().zip(&before) {
                now.has = then.has.clone();
            }
            check(&after, &partitions, &assignor.assign(&after, &partitions));
        }
    }

    #[test]
    fn without_a_change_nothing_moves((mut subscribers, partitions) in group()) {
        for assignor in Assignor::ALL {
            let assigned = assignor.assign(&subscribers, &partitions);
            take_over(&mut subscribers, &assigned);
            prop_assert_eq!(&assignor.assign(&subscribers, &partitions), &assigned);
        }
    }

    #[test]
    fn uniform_leaves_no_move_that_makes_two_more_equal((subscribers, partitions) in group()) {
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        for parts in &assigned {
            for topic in parts.keys() {
                for (other, share) in subscribers.iter().zip(&assigned) {
                    prop_assert!(!other.topics.contains(topic) || len(parts) <= len(share) + 1);
                }
            }
        }
    }

    #[test]
    fn uniform_moves_no_more_than_a_newcomer_gets(members in 1usize..10, partitions in prop::collection::vec(1i32..20, 1..4)) {
        let partitions = counts(&partitions);
        let mut subscribers: Vec<Subscriber> = (0..members).map(|n| subscriber(n, 1..4)).collect();
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        take_over(&mut subscribers, &assigned);
        subscribers.push(subscriber(members, 1..4));
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        prop_assert_eq!(gained(&subscribers, &assigned), len(&assigned[members]));
    }

    #[test]
    fn uniform_moves_no_more_than_a_leaver_had(members in 2usize..10, partitions in prop::collection::vec(1i32..20, 1..4)) {
        let partitions = counts(&partitions);
        let mut subscribers: Vec<Subscriber> = (0..members).map(|n| subscriber(n, 1..4)).collect();
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        take_over(&mut subscribers, &assigned);
        let left = subscribers.remove(0);
        let assigned = Assignor::Uniform.assign(&subscribers, &partitions);
        prop_assert_eq!(gained(&subscribers, &assigned), len(&left.has));
    }

    #[test]
    fn range_gives_each_one_range_of_each_topic_and_equal_topics_equal_ranges((subscribers, mut partitions) in group()) {
        let twin = topic(7);
        partitions.insert(twin, partitions[&topic(1)]);
        let mut subscribers = subscribers;
        for subscriber in &mut subscribers {
            if subscriber.topics.contains(&topic(1)) {
                Rc::make_mut(&mut subscriber.topics).insert(twin);
            }
        }
        for _ in 0..2 {
            let assigned = Assignor::Range.assign(&subscribers, &partitions);
            for parts in &assigned {
                prop_assert_eq!(parts.get(&topic(1)), parts.get(&twin));
                for indexes in parts.values() {
                    let (first, last) = (indexes.first().expect("some"), indexes.last().expect("some"));
                    prop_assert_eq!(usize::try_from(last - first + 1).expect("positive"), indexes.len());
                }
            }
            take_over(&mut subscribers, &assigned);
            subscribers.insert(0, subscriber(50, [1, 7]));
        }
    }
}

#[test]
fn range_puts_a_newcomer_behind_those_who_read_already() {
    let partitions = counts(&[6]);
    let mut subscribers = vec![subscriber(5, [1]), subscriber(7, [1])];
    let assigned = Assignor::Range.assign(&subscribers, &partitions);
    take_over(&mut subscribers, &assigned);
    // Its name comes first, its range does not.
    subscribers.insert(0, subscriber(1, [1]));
    let assigned = Assignor::Range.assign(&subscribers, &partitions);
    let indexes = |place: usize| assigned[place][&topic(1)].iter().copied().collect::<Vec<_>>();
    assert_eq!([indexes(1), indexes(2), indexes(0)], [vec![0, 1], vec![2, 3], vec![4, 5]]);
}
