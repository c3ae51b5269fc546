//! Groups in every state that a group can be in, each with what its member is known by.

use bytes::Bytes;
use corelog::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use corelog::wire::messages::delete_groups::DeleteGroupsRequest;
use corelog::wire::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use corelog::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use corelog::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use corelog::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use corelog::wire::{ErrorCode, Str};

use crate::world::{World, reply};

/// Long enough that no case sees one expire.
const SESSION_MS: i32 = 45_000;
const REBALANCE_MS: i32 = 60_000;
/// The topic that members subscribe to and offsets are stored of.
pub const TOPIC: &str = "read";
/// The instance id of a static member.
pub const INSTANCE: &str = "instance";
/// The id that a KIP-848 member gives itself.
pub const OWN_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// The id that another one gives itself.
pub const OTHER_ID: &str = "BBBBBBBBBBBBBBBBBBBBBQ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There never was one.
    None,
    /// Offsets, and never a member.
    Empty,
    /// Its member has left.
    Left,
    Deleted,
    /// A second member waits for the first to join again.
    Preparing,
    /// The leader has not yet said who reads what.
    Completing,
    Stable,
    /// Stable, of one static member.
    Static,
    /// KIP-848, of one member.
    Consumer,
    /// KIP-848, its member has left.
    ConsumerLeft,
}

impl State {
    pub const ALL: [State; 10] = [
        State::None,
        State::Empty,
        State::Left,
        State::Deleted,
        State::Preparing,
        State::Completing,
        State::Stable,
        State::Static,
        State::Consumer,
        State::ConsumerLeft,
    ];

    /// Without those whose members are of KIP-848.
    pub const CLASSIC: [State; 8] = [
        State::None,
        State::Empty,
        State::Left,
        State::Deleted,
        State::Preparing,
        State::Completing,
        State::Stable,
        State::Static,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::None => "no group",
            State::Empty => "only offsets",
            State::Left => "left",
            State::Deleted => "deleted",
            State::Preparing => "preparing",
            State::Completing => "completing",
            State::Stable => "stable",
            State::Static => "static",
            State::Consumer => "consumer",
            State::ConsumerLeft => "consumer, left",
        }
    }

    /// Brings a new group of the case into this state.
    pub fn make(self, w: &mut World) -> Group {
        let id = w.name("group");
        w.topic(TOPIC, 1);
        coordinated(w, &id);
        let mut group = Group { id, member: "somebody".into(), generation: 1, instance: None };
        match self {
            State::None => {}
            State::Empty => commit(w, &group),
            State::Deleted => {
                commit(w, &group);
                let ask = DeleteGroupsRequest { groups_names: vec![group.id.clone()] };
                let told = reply!(DeleteGroups, w.aside(ask, 2));
                assert_eq!(told.results[0].error_code, ErrorCode::None, "{told:?}");
            }
            State::Left => {
                group = stable(w, None);
                leave(w, &group);
            }
            State::Preparing => {
                group = stable(w, None);
                let newcomer = join(w, &group.id, "", None);
                w.park(join_request(&group.id, &newcomer, None), 5);
                settle(w, &group.id, "PreparingRebalance");
            }
            State::Completing => group = completing(w, None),
            State::Stable => group = stable(w, None),
            State::Static => group = stable(w, Some(INSTANCE)),
            State::Consumer => group = consumer(w),
            State::ConsumerLeft => {
                group = consumer(w);
                w.aside(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat(&group) }, 1);
            }
        }
        w.meet(&group.member);
        group
    }
}

/// A group, and what its first member is known by.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: Str,
    pub member: Str,
    /// Or the member's epoch.
    pub generation: i32,
    pub instance: Option<Str>,
}

/// What a request says of a member, and how it is wrong.
pub fn claims() -> Vec<(&'static str, fn(Group) -> Group)> {
    vec![
        ("its member", |group| group),
        ("an unknown member", |group| Group { member: "nobody".into(), ..group }),
        ("no member", |group| Group { member: "".into(), ..group }),
        ("an old generation", |group| Group { generation: group.generation - 1, ..group }),
        ("a generation to come", |group| Group { generation: group.generation + 1, ..group }),
        ("no generation", |group| Group { generation: -1, ..group }),
        ("an unknown instance", |group| Group { instance: Some("nowhere".into()), ..group }),
        ("the instance under another member", |group| Group {
            instance: Some(INSTANCE.into()),
            member: "nobody".into(),
            ..group
        }),
        ("another group", |group| Group { id: format!("{}-other", group.id).into(), ..group }),
        ("an empty group id", |group| Group { id: "".into(), ..group }),
    ]
}

pub fn join_request(group: &Str, member: &Str, instance: Option<&str>) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        member_id: member.clone(),
        group_instance_id: instance.map(Str::from),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: subscription() }],
        ..Default::default()
    }
}

/// A subscription of version 0 to a topic that nobody has: `OffsetDelete` reads it.
fn subscription() -> Bytes {
    Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff])
}

pub fn sync_request(group: &Group) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group.id.clone(),
        generation_id: group.generation,
        member_id: group.member.clone(),
        group_instance_id: group.instance.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: group.member.clone(),
            assignment: Bytes::from_static(b"assigned"),
        }],
    }
}

/// What a KIP-848 member says at first.
pub fn beat(group: &Group) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.id.clone(),
        member_id: group.member.clone(),
        member_epoch: group.generation,
        instance_id: group.instance.clone(),
        rebalance_timeout_ms: REBALANCE_MS,
        ..Default::default()
    }
}

/// The first heartbeat of a member that subscribes to the case's topic.
pub fn first_beat(w: &World, group: &Str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group_id: group.clone(),
        member_id: OWN_ID.into(),
        member_epoch: 0,
        rebalance_timeout_ms: REBALANCE_MS,
        subscribed_topic_names: Some(vec![w.name(TOPIC)]),
        topic_partitions: Some(vec![]),
        ..Default::default()
    }
}

pub fn commit_request(w: &World, group: &Group, offset: i64) -> OffsetCommitRequest {
    let partition =
        OffsetCommitRequestPartition { committed_offset: offset, committed_metadata: None, ..Default::default() };
    OffsetCommitRequest {
        group_id: group.id.clone(),
        generation_id_or_member_epoch: group.generation,
        member_id: group.member.clone(),
        group_instance_id: group.instance.clone(),
        topics: vec![OffsetCommitRequestTopic {
            name: w.name(TOPIC),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Stores an offset as no member does.
pub fn commit(w: &mut World, group: &Group) {
    let nobody = Group { member: "".into(), generation: -1, instance: None, ..group.clone() };
    let ask = commit_request(w, &nobody, 7);
    let told = reply!(OffsetCommit, w.aside(ask, 7));
    assert_eq!(told.topics[0].partitions[0].error_code, ErrorCode::None, "{told:?}");
}

/// The member's id after its first join; of a dynamic member its generation has not begun.
fn join(w: &mut World, group: &Str, member: &str, instance: Option<&str>) -> Str {
    reply!(JoinGroup, w.aside(join_request(group, &member.into(), instance), 5)).member_id
}

fn completing(w: &mut World, instance: Option<&str>) -> Group {
    let id = w.name("group");
    let member = match instance {
        Some(_) => join(w, &id, "", instance),
        None => {
            let member = join(w, &id, "", None);
            join(w, &id, &member, None)
        }
    };
    Group { id, member, generation: 1, instance: instance.map(Str::from) }
}

fn stable(w: &mut World, instance: Option<&str>) -> Group {
    let group = completing(w, instance);
    let told = reply!(SyncGroup, w.aside(sync_request(&group), 5));
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
    group
}

fn leave(w: &mut World, group: &Group) {
    let member = MemberIdentity { member_id: group.member.clone(), ..Default::default() };
    let ask = LeaveGroupRequest { group_id: group.id.clone(), members: vec![member], ..Default::default() };
    let told = reply!(LeaveGroup, w.aside(ask, 5));
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
}

fn consumer(w: &mut World) -> Group {
    let id = w.name("group");
    let ask = first_beat(w, &id);
    let told = reply!(ConsumerGroupHeartbeat, w.aside(ask, 1));
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
    Group { id, member: OWN_ID.into(), generation: told.member_epoch, instance: None }
}

/// Waits until the group has a coordinator that answers.
pub fn coordinated(w: &mut World, group: &Str) {
    w.wait(|w| {
        let ask = FindCoordinatorRequest { coordinator_keys: vec![group.clone()], ..Default::default() };
        let found = reply!(FindCoordinator, w.aside(ask, 4)).coordinators[0].error_code;
        found == ErrorCode::None && described(w, group).error_code == ErrorCode::None
    });
}

/// Waits until a classic group is described in this state.
pub fn settle(w: &mut World, group: &Str, state: &str) {
    w.wait(|w| described(w, group).group_state == state);
}

fn described(w: &mut World, group: &Str) -> DescribedGroup {
    let ask = DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() };
    reply!(DescribeGroups, w.aside(ask, 5)).groups.remove(0)
}
