//! Static members (KIP-345).

use super::*;

fn joining_as(instance: &str) -> Join {
    Join { instance: Some(instance.into()), ..joining("c") }
}

/// A stable group of static members.
fn stable(world: &mut World, instances: &[&str]) -> Vec<Joined> {
    let asks: Vec<AskId> = instances.iter().map(|instance| world.join(joining_as(instance))).collect();
    world.pass(10_000);
    let joined: Vec<Joined> = asks.into_iter().map(|ask| world.joined(ask)).collect();
    world.settle(&joined);
    joined
}

fn fresh(join: Join) -> Join {
    Join { fresh: [9; 16], ..join }
}

#[test]
fn a_static_member_needs_no_id_and_has_its_instance_in_it() {
    let mut world = World::new();
    let ask = world.join(Join { needs_id: true, ..joining_as("i") });
    world.pass(3_000);
    assert!(world.joined(ask).member.starts_with("i-"));
}

#[test]
fn a_restart_of_a_static_member_does_not_rebalance_and_fences_its_old_self() {
    let mut world = World::new();
    let joined = stable(&mut world, &["i", "j"]);
    let ask = world.join(fresh(joining_as("j")));
    let again = world.joined(ask);
    assert_eq!((again.generation, world.state()), (1, ClassicState::Stable));
    assert_ne!(again.member, joined[1].member);
    let old = MemberRef { instance: Some("j".into()), ..member(&joined[1].member, 1) };
    assert_eq!(
        world.now(GroupRequest::Heartbeat(old)),
        GroupReply::Heartbeat(Err(GroupError::FencedInstance)),
        "with the instance it is fenced"
    );
    assert_eq!(world.heartbeat(&joined[1].member, 1), Err(GroupError::UnknownMember), "without it is unknown");
    let ask = world.sync(&again, &[]);
    assert_eq!(world.synced(ask), Ok(Bytes::from_static(b"part")), "it has the assignment of its old self");
}

#[test]
fn a_leader_that_was_restarted_skips_the_assignment_or_is_told_the_old_leader() {
    let mut world = World::new();
    let joined = stable(&mut world, &["i", "j"]);
    let ask = world.join(fresh(joining_as("i")));
    let again = world.joined(ask);
    assert!(again.skip_assignment);
    assert_eq!((again.leader.as_ref(), again.members.len()), (Some(&again.member), 2));

    let ask = world.join(Join { fresh: [8; 16], may_skip_assignment: false, ..joining_as("i") });
    let old_client = world.joined(ask);
    assert!(!old_client.skip_assignment);
    assert_eq!((old_client.leader.as_ref(), old_client.members.len()), (Some(&again.member), 0));
    assert_ne!(joined[0].member, old_client.member);
}

#[test]
fn a_restart_while_the_leader_assigns_rebalances() {
    let mut world = World::new();
    let asks = [world.join(joining_as("i")), world.join(joining_as("j"))];
    world.pass(10_000);
    let [_, _] = asks.map(|ask| world.joined(ask));
    world.join(fresh(joining_as("j")));
    assert_eq!(world.state(), ClassicState::Preparing);
}

#[test]
fn the_old_self_that_waits_for_its_join_is_fenced_at_once() {
    let mut world = World::new();
    let waits = world.join(joining_as("i"));
    world.join(fresh(joining_as("i")));
    assert_eq!(world.refused(waits).error, GroupError::FencedInstance);
    world.pass(3_000);
    assert_eq!(world.describe().expect("there").members.len(), 1);
}

#[test]
fn a_static_member_that_is_away_is_waited_for_until_its_session_timeout_not_the_rebalance() {
    let mut world = World::new();
    let joined = stable(&mut world, &["i", "j"]);
    world.pass(5_000);
    assert_eq!(world.heartbeat(&joined[0].member, 1), Ok(()));
    assert_eq!(world.state(), ClassicState::Stable);
    world.pass(5_000);
    assert_eq!(world.state(), ClassicState::Preparing);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let mut world = World::new();
    stable(&mut world, &["i"]);
    let leaver = |instance: &str| Leaver { member: "".into(), instance: Some(instance.into()), reason: None };
    let members = vec![leaver("nobody"), leaver("i")];
    let answers = world.now(GroupRequest::Leave { group: "g".into(), members });
    assert_eq!(answers, GroupReply::Left(Ok(vec![Err(GroupError::UnknownMember), Ok(())])));
    assert_eq!(world.state(), ClassicState::Empty);
}

#[test]
fn instances_survive_a_restart_of_the_broker() {
    let mut world = World::new();
    stable(&mut world, &["i", "j"]);
    let ask = world.join(fresh(joining_as("j")));
    let again = world.joined(ask);
    let mut world = world.restarted();
    assert_eq!(world.heartbeat(&again.member, 1), Ok(()));
    let ask = world.join(Join { fresh: [7; 16], ..joining_as("j") });
    assert_eq!(world.joined(ask).generation, 1);
}
