//! Rebalances of dynamic members.

use super::*;

#[test]
fn a_new_group_waits_for_more_members_and_then_a_rebalance_timeout_at_most() {
    let mut world = World::new();
    let first = world.join(joining("a"));
    world.pass(2_900);
    let second = world.join(joining("b"));
    world.pass(200);
    assert!(world.answers.is_empty(), "the second put the end off");
    world.pass(2_900);
    let (first, second) = (world.joined(first), world.joined(second));
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!(first.leader.as_ref(), Some(&first.member));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    assert_eq!(first.protocol.as_deref(), Some("range"));
}

#[test]
fn a_dynamic_member_gets_an_id_first_and_joins_with_it() {
    let mut world = World::new();
    let id = world.id("client");
    assert!(id.starts_with("client-") && id.len() == "client-".len() + 36, "{id}");
    assert_eq!(world.state(), ClassicState::Empty);
    let ask = world.join(Join { member: id.clone(), ..joining("client") });
    world.pass(3_000);
    assert_eq!(world.joined(ask).member, id);
}

#[test]
fn the_longest_client_id_makes_a_member_id_that_the_log_can_hold() {
    let mut world = World::new();
    let long = "€".repeat(i16::MAX as usize / "€".len());
    let ask = world.join(joining(&long));
    world.pass(3_000);
    let joined = world.joined(ask);
    let by_instance = world.join(Join { instance: Some(long.as_str().into()), ..joining("b") });
    let rejoined = world.join(Join { member: joined.member.clone(), ..joining(&long) });
    let (joined, other) = (world.joined(rejoined), world.joined(by_instance));
    let ask = world.sync(&joined, &[(&joined.member, "all")]);
    world.synced(ask).expect("the leader's part");
    assert!(joined.member.starts_with("€€") && joined.member.len() <= 1024);
    assert!(other.member.starts_with("€€") && other.member.len() <= 1024);
    for record in &world.log {
        record.encode().expect("it fits into the log");
    }
}

#[test]
fn an_id_that_is_never_used_is_forgotten_after_its_session_timeout() {
    let mut world = World::new();
    let id = world.id("a");
    world.pass(u64::from(SESSION_MS.unsigned_abs()));
    let ask = world.join(Join { member: id, ..joining("a") });
    assert_eq!(world.refused(ask).error, GroupError::UnknownMember);
}

#[test]
fn an_id_given_by_nobody_is_unknown_whether_there_is_the_group_or_not() {
    let mut world = World::new();
    let ask = world.join(Join { member: "made-up".into(), ..joining("a") });
    assert_eq!(world.refused(ask).error, GroupError::UnknownMember);
    assert!(world.groups.is_empty());
    world.stable(&["a"]);
    let ask = world.join(Join { member: "made-up".into(), ..joining("a") });
    assert_eq!(world.refused(ask).error, GroupError::UnknownMember);
}

#[test]
fn the_assignment_is_in_the_log_before_anyone_gets_it() {
    let mut world = World::new();
    let ask = world.join(joining("a"));
    world.pass(3_000);
    let joined = world.joined(ask);
    let before = world.log.len();
    let ask = world.sync(&joined, &[(&joined.member, "all")]);
    assert_eq!(world.synced(ask), Ok(Bytes::from_static(b"all")));
    let [GroupRecord::Classic { value: Some(record), .. }] = &world.log[before..] else { panic!("one record") };
    assert_eq!((record.generation, record.members.len()), (1, 1));
    assert_eq!(record.members[0].assignment, "all");
}

#[test]
fn a_member_that_the_leader_forgot_gets_an_empty_assignment() {
    let mut world = World::new();
    let asks = [world.join(joining("a")), world.join(joining("b"))];
    world.pass(6_000);
    let [leader, other] = asks.map(|ask| world.joined(ask));
    let waits = world.sync(&other, &[]);
    assert!(world.answer(waits).is_none());
    let ask = world.sync(&leader, &[(&leader.member, "all")]);
    assert_eq!(world.synced(ask), Ok(Bytes::from_static(b"all")));
    assert_eq!(world.synced(waits), Ok(Bytes::new()));
}

#[test]
fn a_silent_member_goes_and_the_others_are_called() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    world.pass(9_000);
    assert_eq!(world.heartbeat(&joined[0].member, 1), Ok(()));
    world.pass(1_000);
    assert_eq!(world.heartbeat(&joined[0].member, 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&joined[1].member, 1), Err(GroupError::UnknownMember));
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    let again = world.joined(ask);
    assert_eq!((again.generation, again.members.len()), (2, 1));
}

#[test]
fn when_the_leader_dies_the_next_one_leads() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    world.leave(&joined[0].member).expect("it was there");
    let ask = world.join(Join { member: joined[1].member.clone(), ..joining("b") });
    let again = world.joined(ask);
    assert_eq!(again.leader.as_ref(), Some(&joined[1].member));
    assert_eq!(again.members.len(), 1);
}

#[test]
fn members_that_do_not_join_in_time_are_left_behind() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    for _ in 0..REBALANCE_MS / 5_000 {
        assert!(world.answers.is_empty(), "the other one is waited for");
        assert_eq!(world.heartbeat(&joined[1].member, 1), Err(GroupError::RebalanceInProgress));
        world.pass(5_000);
    }
    assert_eq!(world.joined(ask).members.len(), 1);
    assert_eq!(world.heartbeat(&joined[1].member, 1), Err(GroupError::UnknownMember));
}

#[test]
fn members_that_do_not_sync_in_time_are_left_behind() {
    let mut world = World::new();
    let asks = [world.join(joining("a")), world.join(joining("b"))];
    world.pass(6_000);
    let [leader, other] = asks.map(|ask| world.joined(ask));
    let ask = world.sync(&leader, &[(&leader.member, "all")]);
    world.synced(ask).expect("stable");
    for _ in 0..REBALANCE_MS / 5_000 {
        for id in [&leader.member, &other.member] {
            assert_eq!(world.heartbeat(id, 1), Ok(()));
        }
        world.pass(5_000);
    }
    assert_eq!(world.state(), ClassicState::Preparing);
    assert_eq!(world.heartbeat(&other.member, 1), Err(GroupError::UnknownMember));
}

#[test]
fn a_stable_leader_that_joins_again_calls_all_and_a_follower_gets_the_generation_that_is() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    let ask = world.join(Join { member: joined[1].member.clone(), ..joining("b") });
    assert_eq!(world.joined(ask).generation, 1);
    assert_eq!(world.state(), ClassicState::Stable);
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    assert!(world.answer(ask).is_none());
    assert_eq!(world.state(), ClassicState::Preparing);
}

#[test]
fn a_follower_that_says_something_new_calls_all() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    let protocols = vec![("range".into(), Bytes::from_static(b"other"))];
    world.join(Join { member: joined[1].member.clone(), protocols, ..joining("b") });
    assert_eq!(world.state(), ClassicState::Preparing);
}

#[test]
fn while_the_leader_assigns_a_join_that_says_the_same_is_answered_from_the_generation() {
    let mut world = World::new();
    let asks = [world.join(joining("a")), world.join(joining("b"))];
    world.pass(6_000);
    let [leader, other] = asks.map(|ask| world.joined(ask));
    let ask = world.join(Join { member: leader.member.clone(), ..joining("a") });
    assert_eq!(world.joined(ask).members.len(), 2);
    let ask = world.join(Join { member: other.member.clone(), ..joining("b") });
    assert_eq!(world.joined(ask).members.len(), 0);
    assert_eq!(world.state(), ClassicState::Completing);
}

#[test]
fn a_new_member_during_the_assignment_sends_all_back_to_join() {
    let mut world = World::new();
    let asks = [world.join(joining("a")), world.join(joining("b"))];
    world.pass(6_000);
    let [_, other] = asks.map(|ask| world.joined(ask));
    let waits = world.sync(&other, &[]);
    world.join(joining("c"));
    assert_eq!(world.synced(waits), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.state(), ClassicState::Preparing);
}

#[test]
fn the_protocol_is_one_that_all_speak_and_most_prefer() {
    let mut world = World::new();
    let with = |name: &str, protocols: &[&str]| Join {
        protocols: protocols.iter().map(|one| ((*one).into(), said())).collect(),
        ..joining(name)
    };
    let first = world.join(with("a", &["mine", "range", "sticky"]));
    world.join(with("b", &["sticky", "range"]));
    world.join(with("c", &["sticky", "range"]));
    let none = world.join(with("d", &["mine"]));
    assert_eq!(world.refused(none).error, GroupError::InconsistentProtocol);
    world.pass(10_000);
    assert_eq!(world.joined(first).protocol.as_deref(), Some("sticky"));
}

#[test]
fn a_join_without_a_protocol_or_of_another_type_is_inconsistent() {
    let mut world = World::new();
    let ask = world.join(Join { protocols: Vec::new(), ..joining("a") });
    assert_eq!(world.refused(ask).error, GroupError::InconsistentProtocol);
    assert_eq!(world.state(), ClassicState::Empty, "the group is there all the same");
    world.stable(&["a"]);
    let ask = world.join(Join { protocol_type: "connect".into(), ..joining("b") });
    assert_eq!(world.refused(ask).error, GroupError::InconsistentProtocol);
}

#[test]
fn a_full_group_takes_nobody_but_its_members() {
    let mut world = World::with(GroupSettings { members_max: 1, ..GroupSettings::default() });
    let joined = world.stable(&["a"]);
    let ask = world.join(joining("b"));
    assert_eq!(world.refused(ask).error, GroupError::MaxSizeReached);
    let ask = world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    assert_eq!(world.joined(ask).generation, 2);
}

#[test]
fn a_wrong_generation_or_protocol_is_told_to_who_syncs() {
    let mut world = World::new();
    let joined = world.stable(&["a"]);
    let ask = world.sync(&Joined { generation: 7, ..joined[0].clone() }, &[]);
    assert_eq!(world.synced(ask), Err(GroupError::IllegalGeneration));
    let ask = world.sync(&Joined { member: "x".into(), ..joined[0].clone() }, &[]);
    assert_eq!(world.synced(ask), Err(GroupError::UnknownMember));
    let sync = |protocol: &str| {
        let member = member(&joined[0].member, 1);
        let (protocol_type, protocol) = (Some("consumer".into()), Some(protocol.into()));
        GroupRequest::Sync(Sync { member, protocol_type, protocol, assignments: Vec::new() })
    };
    let ask = world.ask(sync("roundrobin"));
    assert_eq!(world.synced(ask), Err(GroupError::InconsistentProtocol));
    let ask = world.ask(sync("range"));
    assert_eq!(world.synced(ask), Ok(Bytes::from_static(b"part")));
}

#[test]
fn the_last_member_that_leaves_leaves_an_empty_group_in_the_log() {
    let mut world = World::new();
    let joined = world.stable(&["a"]);
    world.leave(&joined[0].member).expect("it was there");
    assert_eq!(world.state(), ClassicState::Empty);
    let Some(GroupRecord::Classic { value: Some(record), .. }) = world.log.last() else { panic!("a record") };
    assert_eq!((record.generation, record.members.len(), record.protocol.is_none()), (2, 0, true));
    assert_eq!(record.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(world.leave(&joined[0].member), Err(GroupError::UnknownMember));
}

#[test]
fn a_group_survives_a_restart_with_its_generation_and_its_members_have_their_session_timeouts_again() {
    let mut world = World::new();
    let joined = world.stable(&["a", "b"]);
    world.pass(9_000);
    let mut world = world.restarted();
    assert_eq!(world.state(), ClassicState::Stable);
    world.pass(9_000);
    assert_eq!(world.heartbeat(&joined[0].member, 1), Ok(()));
    world.pass(1_000);
    assert_eq!(world.heartbeat(&joined[1].member, 1), Err(GroupError::UnknownMember));
}

#[test]
fn a_group_lists_and_tells_its_members_only_while_it_is_stable() {
    let mut world = World::new();
    assert_eq!(world.describe(), Err(GroupError::UnknownGroup));
    let joined = world.stable(&["a"]);
    let told = world.describe().expect("there");
    assert_eq!((&*told.protocol, told.members[0].assignment.len()), ("range", 4));
    world.join(Join { member: joined[0].member.clone(), ..joining("a") });
    world.join(joining("b"));
    let told = world.describe().expect("there");
    assert_eq!((&*told.protocol, told.members[0].assignment.len()), ("", 0));
    let listed: Vec<_> = world.groups.list(None, usize::MAX).collect();
    assert_eq!((&*listed[0].group, &*listed[0].protocol_type), ("g", "consumer"));
}

#[test]
fn who_is_gone_leaves_no_time_out_behind() {
    let mut world = World::new();
    let long = || Join { session_timeout_ms: 1_800_000, ..joining("a") };
    for _ in 0..20 {
        let ask = world.join(Join { needs_id: true, ..long() });
        let id = world.refused(ask).member;
        assert_eq!(world.leave(&id), Ok(()));
    }
    assert_eq!(world.groups.deadlines.len(), 0);
    for _ in 0..20 {
        let ask = world.join(long());
        world.pass(3_000);
        let joined = world.joined(ask);
        let ask = world.sync(&joined, &[(&joined.member, "all")]);
        world.synced(ask).expect("its part");
        assert_eq!(world.leave(&joined.member), Ok(()));
    }
    let kept = world.groups.deadlines.len();
    assert!(kept <= 2, "the group's own two, not {kept}");
    assert_eq!(world.now(GroupRequest::Delete { group: "g".into() }), GroupReply::Deleted(Ok(())));
    assert_eq!(world.groups.deadlines.len(), 0);
}

#[test]
fn of_protocols_that_as_many_prefer_kafkas_first_is_spoken() {
    for (one, other, chosen) in [
        ("range", "roundrobin", "range"),
        ("roundrobin", "range", "range"),
        ("sticky", "range", "sticky"),
        ("cooperative-sticky", "range", "range"),
        ("cooperative-sticky", "consumer", "consumer"),
    ] {
        let mut world = World::new();
        let speaking = |client, order: [&str; 2]| Join {
            protocols: order.iter().map(|name| ((*name).into(), said())).collect(),
            ..joining(client)
        };
        let ask = world.join(speaking("a", [one, other]));
        world.join(speaking("b", [other, one]));
        world.pass(10_000);
        assert_eq!(world.joined(ask).protocol.as_deref(), Some(chosen), "{one} {other}");
    }
}

#[test]
fn a_new_group_waits_no_longer_when_the_id_that_it_waits_for_is_forgotten() {
    let settings = GroupSettings { initial_rebalance_delay_ms: 30_000, ..GroupSettings::default() };
    let mut world = World::with(settings);
    world.id("a");
    let ask = world.join(joining("b"));
    world.pass(u64::from(SESSION_MS.unsigned_abs()) - 1);
    assert!(world.answers.is_empty());
    world.pass(1);
    assert_eq!(world.joined(ask).generation, 1);
}
