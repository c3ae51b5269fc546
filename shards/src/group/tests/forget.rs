//! Offsets of deleted topics.

use super::*;

fn store(world: &mut World, group: &str, topic: &str, partitions: std::ops::Range<i32>) {
    let mut request = commit(MemberRef { group: group.into(), ..nobody() }, 5);
    let one = CommitOffset { topic: topic.into(), ..request.offsets[0].clone() };
    request.offsets = partitions.map(|partition| CommitOffset { partition, ..one.clone() }).collect();
    world.now(GroupRequest::Commit(request));
}

/// How many offsets of a topic all groups have.
fn stored(world: &World, topic: &str) -> usize {
    let topics = [Arc::from(topic)].into();
    world.groups.groups.iter().map(|(id, group)| group.offsets.tombstones_of(id, &topics, |_, _| true).count()).sum()
}

/// Steps until nothing is left to be forgotten; what the largest appended, and how many it took.
fn forget(world: &mut World, most: usize) -> (usize, usize) {
    let (mut largest, mut steps) = (0, 0);
    while world.groups.is_forgetting() {
        let effects = world.groups.fire(world.now, &world.catalog, most);
        largest = largest.max(effects.records.len());
        steps += 1;
        world.take(effects);
    }
    (largest, steps)
}

#[test]
fn a_deleted_topic_leaves_all_groups_in_bounded_steps() {
    let mut world = World::new();
    for group in 0..100 {
        store(&mut world, &format!("g{group}"), "t", 0..3);
        store(&mut world, &format!("g{group}"), "kept", 0..2);
    }
    store(&mut world, "large", "t", 0..1000);
    world.groups.forget_topic("t".into());
    let (largest, steps) = forget(&mut world, 8);
    assert!(largest <= 64 && steps >= 40, "{largest} records at once, {steps} steps");
    assert_eq!((stored(&world, "t"), stored(&world, "kept")), (0, 200));
    assert_eq!(world.groups.agrees_with(&world.restarted().groups), Ok(()));
}

#[test]
fn what_is_stored_after_the_deletion_stays() {
    let mut world = World::new();
    for group in ["a", "b", "c", "d"] {
        store(&mut world, group, "t", 0..2);
    }
    world.groups.forget_topic("t".into());
    let effects = world.groups.fire(world.now, &world.catalog, 4);
    world.take(effects);
    for group in ["a", "d"] {
        store(&mut world, group, "t", 1..2);
    }
    forget(&mut world, 2);
    assert_eq!(stored(&world, "t"), 2);
    world.groups.forget_topic("t".into());
    forget(&mut world, 2);
    assert_eq!(stored(&world, "t"), 0, "it was deleted once more");
}

#[test]
fn a_topic_that_is_deleted_during_the_walk_is_forgotten_in_the_next() {
    let mut world = World::new();
    for group in ["a", "b", "c"] {
        store(&mut world, group, "t", 0..1);
        store(&mut world, group, "u", 0..1);
    }
    world.groups.forget_topic("t".into());
    let effects = world.groups.fire(world.now, &world.catalog, 4);
    world.take(effects);
    world.groups.forget_topic("u".into());
    store(&mut world, "a", "u", 7..8);
    forget(&mut world, 2);
    assert_eq!((stored(&world, "t"), stored(&world, "u")), (0, 1));
}

#[test]
fn time_outs_are_fired_beside_a_walk() {
    let mut world = World::new();
    let joined = world.stable(&["a"]);
    for group in 0..1000 {
        store(&mut world, &format!("g{group}"), "t", 0..1);
    }
    world.groups.forget_topic("t".into());
    world.now.mono = world.now.mono.after(Duration::from_millis(60_000));
    let effects = world.groups.fire(world.now, &world.catalog, 4);
    world.take(effects);
    assert!(world.groups.is_forgetting());
    assert_eq!(world.heartbeat(&joined[0].member, 1), Err(GroupError::UnknownMember));
}
