//! Commits, fetches, expiry and deletion.

use super::*;

const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

fn expire(world: &mut World) {
    let (effects, rest) = world.groups.expire(world.now, None, 100);
    assert_eq!(rest, None);
    world.take(effects);
}

#[test]
fn whoever_is_no_member_commits_to_a_group_without_members_only() {
    let mut world = World::new();
    assert_eq!(world.commit(nobody(), 5), Ok(()));
    assert_eq!((world.committed("t"), world.committed("u")), (Some(5), None));
    let joined = world.stable(&["a"]);
    assert_eq!(world.commit(nobody(), 6), Err(GroupError::UnknownMember));
    assert_eq!(world.commit(member(&joined[0].member, 1), 7), Ok(()));
    assert_eq!(world.committed("t"), Some(7));
}

#[test]
fn a_commit_to_no_group_with_a_generation_is_told_by_what_the_client_knows() {
    let mut world = World::new();
    assert_eq!(world.commit(member(&"x".into(), 1), 5), Err(GroupError::UnknownGroup));
    let old = Commit { knows_missing_group: false, ..commit(member(&"x".into(), 1), 5) };
    assert_eq!(world.now(GroupRequest::Commit(old)), GroupReply::Committed(Err(GroupError::IllegalGeneration)));
    assert!(world.groups.is_empty());
}

#[test]
fn commits_pass_while_members_are_called_and_not_while_the_leader_assigns() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    assert_eq!(world.commit(member(&joined[1].member, 1), 5), Ok(()));
    world.join(Join { member: joined[1].member.clone(), ..joining("b") });
    assert_eq!(world.joined(ask).generation, 2);
    assert_eq!(world.commit(member(&joined[1].member, 2), 6), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.commit(member(&joined[1].member, 1), 6), Err(GroupError::IllegalGeneration));
}

#[test]
fn a_commit_keeps_the_session_of_its_member() {
    let mut world = World::new();
    let joined = world.stable(&["a"]);
    for _ in 0..5 {
        world.pass(9_000);
        assert_eq!(world.commit(member(&joined[0].member, 1), 5), Ok(()));
    }
    assert_eq!(world.state(), ClassicState::Stable);
}

#[test]
fn metadata_that_is_too_long_fails_alone() {
    let mut world = World::new();
    let mut request = commit(nobody(), 5);
    // 4096 units in UTF-16, 12,288 bytes in UTF-8.
    request.offsets[0].metadata = "€".repeat(4096).into();
    request.offsets.push(CommitOffset {
        topic: "u".into(),
        metadata: "x".repeat(4097).into(),
        ..request.offsets[0].clone()
    });
    let answers = world.now(GroupRequest::Commit(request));
    assert_eq!(answers, GroupReply::Committed(Ok(vec![Ok(()), Err(GroupError::MetadataTooLarge)])));
    assert_eq!(world.committed("u"), None);
}

#[test]
fn an_offset_of_a_topic_that_was_made_anew_is_not_told() {
    let mut world = World::new();
    let mut request = commit(nobody(), 5);
    request.offsets[0].topic_id = TopicId([1; 16]);
    world.now(GroupRequest::Commit(request));
    for (id, told) in [(TopicId([1; 16]), true), (TopicId([2; 16]), false), (TopicId::ZERO, true)] {
        let topics = vec![FetchTopic { name: "t".into(), id, partitions: vec![0] }];
        let reply = world.now(GroupRequest::FetchOffsets { group: "g".into(), topics: Some(topics), member: None });
        let GroupReply::Offsets(Ok(offsets)) = reply else { panic!("offsets") };
        assert_eq!(offsets[0].partitions[0].1.is_some(), told, "{id}");
    }
}

#[test]
fn offsets_expire_a_week_after_the_group_became_empty_and_the_group_with_them() {
    let mut world = World::new();
    let joined = world.stable(&["a"]);
    world.commit(member(&joined[0].member, 1), 5).expect("stored");
    world.now.wall_ms += 3 * WEEK_MS;
    expire(&mut world);
    assert_eq!(world.committed("t"), Some(5), "members read it");
    world.leave(&joined[0].member).expect("it was there");
    world.now.wall_ms += WEEK_MS - 1;
    expire(&mut world);
    assert_eq!(world.committed("t"), Some(5));
    world.now.wall_ms += 1;
    expire(&mut world);
    assert!(world.groups.is_empty());
    assert!(world.restarted().groups.is_empty());
}

#[test]
fn offsets_of_who_never_joined_expire_a_week_after_their_commit() {
    let mut world = World::new();
    world.commit(nobody(), 5).expect("stored");
    world.now.wall_ms += WEEK_MS - 1;
    expire(&mut world);
    assert_eq!(world.committed("t"), Some(5));
    world.now.wall_ms += 1;
    expire(&mut world);
    assert!(world.groups.is_empty());
}

#[test]
fn topics_that_a_stable_group_no_longer_reads_expire_a_week_after_their_commit() {
    let mut world = World::new();
    let mut request = commit(nobody(), 5);
    request.offsets.push(CommitOffset { topic: "left".into(), ..request.offsets[0].clone() });
    world.now(GroupRequest::Commit(request));
    world.stable(&["a"]);
    world.now.wall_ms += WEEK_MS;
    expire(&mut world);
    assert_eq!((world.committed("t"), world.committed("left")), (Some(5), None));
}

#[test]
fn a_client_that_asks_for_a_retention_of_its_own_gets_it() {
    let mut world = World::new();
    world.now(GroupRequest::Commit(Commit { retention_ms: Some(10), ..commit(nobody(), 5) }));
    let mut world = world.restarted();
    world.now.wall_ms += 9;
    expire(&mut world);
    assert_eq!(world.committed("t"), Some(5));
    world.now.wall_ms += 1;
    expire(&mut world);
    assert_eq!(world.committed("t"), None);
}

#[test]
fn offsets_of_topics_that_the_group_reads_are_not_deleted() {
    let mut world = World::new();
    let mut request = commit(nobody(), 5);
    request.offsets.push(CommitOffset { topic: "u".into(), ..request.offsets[0].clone() });
    world.now(GroupRequest::Commit(request));
    let delete = || GroupRequest::DeleteOffsets {
        group: "g".into(),
        topics: vec![("t".into(), vec![0, 9]), ("u".into(), vec![0])],
    };
    world.stable(&["a"]);
    let subscribed = Err(GroupError::Subscribed);
    assert_eq!(world.now(delete()), GroupReply::OffsetsDeleted(Ok(vec![subscribed, subscribed, Ok(())])));
    assert_eq!((world.committed("t"), world.committed("u")), (Some(5), None));
}

#[test]
fn a_group_with_members_is_not_deleted_and_an_empty_one_goes_with_its_offsets() {
    let mut world = World::new();
    let delete = || GroupRequest::Delete { group: "g".into() };
    assert_eq!(world.now(delete()), GroupReply::Deleted(Err(GroupError::UnknownGroup)));
    let joined = world.stable(&["a"]);
    world.commit(member(&joined[0].member, 1), 5).expect("stored");
    assert_eq!(world.now(delete()), GroupReply::Deleted(Err(GroupError::NotEmpty)));
    world.leave(&joined[0].member).expect("it was there");
    assert_eq!(world.now(delete()), GroupReply::Deleted(Ok(())));
    assert!(world.groups.is_empty() && world.restarted().groups.is_empty());
}
