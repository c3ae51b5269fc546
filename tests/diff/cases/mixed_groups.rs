//! Groups on their way from the classic to the consumer protocol and back, with members of both: every API of groups, each
//! member's claims, and what becomes of the group when either leaves.

use bytes::Bytes;
use corelog::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use corelog::wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use corelog::wire::messages::delete_groups::DeleteGroupsRequest;
use corelog::wire::messages::describe_groups::DescribeGroupsRequest;
use corelog::wire::messages::heartbeat::HeartbeatRequest;
use corelog::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use corelog::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use corelog::wire::messages::list_groups::ListGroupsRequest;
use corelog::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use corelog::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use corelog::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use corelog::wire::{ErrorCode, Str};

use super::states::{
    Group, INSTANCE, OTHER_ID, OWN_ID, TOPIC, beat, claims, commit_request, coordinated, first_beat, join_request,
    sync_request,
};
use crate::case::{Case, case};
use crate::world::{World, reply};

/// Partitions of the topic, at first all the classic member's.
const PARTITIONS: &[i32] = &[0, 1];
/// A group is an `IncrementalAlterConfigs` resource of this type.
const GROUP_RESOURCE: i8 = 32;

/// How far a group is on its way.
#[derive(Clone, Copy)]
enum Mix {
    /// A member of the consumer protocol came; the classic one has not heard of it.
    Upgraded,
    /// The same, and the classic member is a static one.
    UpgradedStatic,
    /// The classic member gave one of its partitions to the other.
    Shared,
    /// A classic member came to a group of the consumer protocol.
    ClassicCame,
    /// The member of the consumer protocol left: the group is classic again.
    Downgraded,
}

impl Mix {
    const ALL: [Mix; 5] = [Mix::Upgraded, Mix::UpgradedStatic, Mix::Shared, Mix::ClassicCame, Mix::Downgraded];

    fn name(self) -> &'static str {
        match self {
            Mix::Upgraded => "upgraded",
            Mix::UpgradedStatic => "upgraded, static",
            Mix::Shared => "shared",
            Mix::ClassicCame => "a classic one came",
            Mix::Downgraded => "downgraded",
        }
    }

    fn make(self, w: &mut World) -> Mixed {
        w.topic(TOPIC, 2);
        let id = w.name("group");
        coordinated(w, &id);
        assign_at_once(w, &id);
        let instance = matches!(self, Mix::UpgradedStatic).then_some(INSTANCE);
        let mixed = match self {
            Mix::ClassicCame => {
                let modern = consumer(w, &id);
                Mixed { classic: classic(w, &id, None), modern }
            }
            _ => {
                let classic = classic(w, &id, instance);
                let told = reply!(SyncGroup, w.aside(assigning(w, &classic), 5));
                assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
                Mixed { classic, modern: consumer(w, &id) }
            }
        };
        w.meet(&mixed.classic.member);
        match self {
            Mix::Shared => mixed.share(w),
            Mix::Downgraded => {
                w.aside(ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat(&mixed.modern) }, 1);
                mixed
            }
            _ => mixed,
        }
    }
}

/// The two members of a mixed group.
struct Mixed {
    classic: Group,
    modern: Group,
}

impl Mixed {
    /// The classic member is called to join until the other has a partition of its.
    fn share(mut self, w: &mut World) -> Mixed {
        for owned in [PARTITIONS, &PARTITIONS[..1]] {
            let ask = joining(w, &self.classic.id, &self.classic.member, None, owned);
            let told = reply!(JoinGroup, w.aside(ask, 5));
            assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
            self.classic.generation = told.generation_id;
            w.aside(sync_request(&self.classic), 5);
        }
        let told = reply!(ConsumerGroupHeartbeat, w.aside(beat(&self.modern), 1));
        self.modern.generation = told.member_epoch;
        let topic_partitions = told.assignment.map(|assignment| {
            let parts = assignment.topic_partitions.into_iter();
            parts.map(|of| TopicPartitions { topic_id: of.topic_id, partitions: of.partitions }).collect()
        });
        w.aside(ConsumerGroupHeartbeatRequest { topic_partitions, ..beat(&self.modern) }, 1);
        self
    }
}

/// Members come within the time between two assignments; which of them are in one would depend on how fast they are.
fn assign_at_once(w: &mut World, group: &Str) {
    let config = AlterableConfig {
        name: "consumer.assignment.interval.ms".into(),
        config_operation: 0,
        value: Some("0".into()),
    };
    let resource =
        AlterConfigsResource { resource_type: GROUP_RESOURCE, resource_name: group.clone(), configs: vec![config] };
    let ask = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let told = reply!(IncrementalAlterConfigs, w.aside(ask, 1));
    assert_eq!(told.responses[0].error_code, ErrorCode::None, "{told:?}");
    w.config_settled(GROUP_RESOURCE, group, "consumer.assignment.interval.ms", "0");
}

/// A member of the classic protocol that has joined.
fn classic(w: &mut World, id: &Str, instance: Option<&str>) -> Group {
    let first = reply!(JoinGroup, w.aside(joining(w, id, &"".into(), instance, &[]), 5));
    let told = match first.error_code {
        ErrorCode::MemberIdRequired => {
            reply!(JoinGroup, w.aside(joining(w, id, &first.member_id, instance, &[]), 5))
        }
        _ => first,
    };
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
    let generation = told.generation_id;
    Group { id: id.clone(), member: told.member_id, generation, instance: instance.map(Str::from) }
}

fn consumer(w: &mut World, id: &Str) -> Group {
    let ask = first_beat(w, id);
    let told = reply!(ConsumerGroupHeartbeat, w.aside(ask, 1));
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
    Group { id: id.clone(), member: OWN_ID.into(), generation: told.member_epoch, instance: None }
}

/// A join that subscribes to the case's topic, of a member that has these partitions.
fn joining(w: &World, id: &Str, member: &Str, instance: Option<&str>, owned: &[i32]) -> JoinGroupRequest {
    let metadata = subscription(&w.name(TOPIC), owned);
    let protocols = vec![JoinGroupRequestProtocol { name: "range".into(), metadata }];
    JoinGroupRequest { protocols, ..join_request(id, member, instance) }
}

/// What a consumer's leader would say: all partitions are its own.
fn assigning(w: &World, group: &Group) -> SyncGroupRequest {
    let mut bytes = vec![0, 1];
    bytes.extend(parts(&w.name(TOPIC), PARTITIONS));
    bytes.extend((-1i32).to_be_bytes());
    let assignment = SyncGroupRequestAssignment { member_id: group.member.clone(), assignment: bytes.into() };
    SyncGroupRequest { assignments: vec![assignment], ..sync_request(group) }
}

/// Version 1 of a consumer's subscription: one topic, no words of the user's, and what it has.
fn subscription(topic: &str, owned: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1];
    bytes.extend(text(topic));
    bytes.extend((-1i32).to_be_bytes());
    bytes.extend(if owned.is_empty() { vec![0; 4] } else { parts(topic, owned) });
    bytes.into()
}

fn parts(topic: &str, partitions: &[i32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1];
    bytes.extend(text(topic));
    bytes.extend(i32::try_from(partitions.len()).expect("few").to_be_bytes());
    bytes.extend(partitions.iter().flat_map(|partition| partition.to_be_bytes()));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let len = i16::try_from(text.len()).expect("a short name");
    [&len.to_be_bytes()[..], text.as_bytes()].concat()
}

/// What the group has become, to every way of asking.
fn show(w: &mut World, group: &Str) {
    w.ask(ConsumerGroupDescribeRequest { group_ids: vec![group.clone()], ..Default::default() }, 1);
    w.ask(DescribeGroupsRequest { groups: vec![group.clone()], ..Default::default() }, 6);
    w.ask(ListGroupsRequest::default(), 5);
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mix in [Mix::Upgraded, Mix::UpgradedStatic, Mix::Shared] {
        cases.extend(of_claims(mix));
    }
    for mix in Mix::ALL {
        cases.extend(of_joins(mix));
        cases.extend(of_leaving(mix));
        cases.extend(of_the_whole(mix));
    }
    cases.extend(on_the_way());
    cases
}

/// Every request that a member makes, of either member, with every claim.
fn of_claims(mix: Mix) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut claim = |what: &str, version: i16, run: fn(&mut World, Group, i16)| {
        for (claim, claimed) in claims() {
            for (whose, of) in [("classic", classic_of as fn(Mixed) -> Group), ("consumer", modern_of)] {
                let name = format!("{}: {what} of {claim} ({whose})", mix.name());
                cases.push(case(name, [version], move |w, v| {
                    let group = claimed(of(mix.make(w)));
                    run(w, group, v);
                }));
            }
        }
    };
    claim("a sync", 5, |w, group, v| {
        w.ask(sync_request(&group), v);
    });
    claim("a heartbeat", 4, |w, group, v| {
        let (group_id, generation_id, member_id) = (group.id, group.generation, group.member);
        w.ask(HeartbeatRequest { group_id, generation_id, member_id, group_instance_id: group.instance }, v);
    });
    claim("a consumer's heartbeat", 1, |w, group, v| {
        w.ask(beat(&group), v);
    });
    claim("a commit", 9, |w, group, v| {
        let ask = commit_request(w, &group, 5);
        w.ask(ask, v);
    });
    claim("a fetch of offsets", 9, |w, group, v| {
        let topics = OffsetFetchRequestTopics { name: w.name(TOPIC), partition_indexes: vec![0], ..Default::default() };
        let asked = OffsetFetchRequestGroup {
            group_id: group.id,
            member_id: Some(group.member),
            member_epoch: group.generation,
            topics: Some(vec![topics]),
        };
        w.ask(OffsetFetchRequest { groups: vec![asked], ..Default::default() }, v);
    });
    cases
}

fn classic_of(mixed: Mixed) -> Group {
    mixed.classic
}

fn modern_of(mixed: Mixed) -> Group {
    mixed.modern
}

/// Joins, right and wrong in every way.
fn of_joins(mix: Mix) -> Vec<Case> {
    type Change = fn(JoinGroupRequest) -> JoinGroupRequest;
    let with = |name: &'static str, metadata: &'static [u8]| {
        vec![JoinGroupRequestProtocol { name: name.into(), metadata: Bytes::from_static(metadata) }]
    };
    let changes: Vec<(&str, Change)> = vec![
        ("its member", |join| join),
        ("nobody yet", |join| JoinGroupRequest { member_id: "".into(), group_instance_id: None, ..join }),
        ("an unknown member", |join| JoinGroupRequest { member_id: "nobody".into(), ..join }),
        ("the consumer's member", |join| JoinGroupRequest { member_id: OWN_ID.into(), ..join }),
        ("a new instance", |join| JoinGroupRequest {
            member_id: "".into(),
            group_instance_id: Some("new".into()),
            ..join
        }),
        ("an unknown instance", |join| JoinGroupRequest { group_instance_id: Some("nowhere".into()), ..join }),
        ("another type", |join| JoinGroupRequest { protocol_type: "connect".into(), ..join }),
        ("no protocols", |join| JoinGroupRequest { protocols: vec![], ..join }),
        ("a session that is too short", |join| JoinGroupRequest { session_timeout_ms: 1, ..join }),
    ];
    let mut cases = Vec::new();
    for (what, change) in changes {
        // A new member of a classic group is answered when the other has joined, too.
        let versions: &[i16] = match (mix, what) {
            (Mix::Downgraded, "a new instance") => continue,
            (Mix::Downgraded, "nobody yet") => &[9],
            _ => &[3, 9],
        };
        cases.push(case(format!("{}: a join of {what}", mix.name()), versions.iter().copied(), move |w, v| {
            let of = mix.make(w).classic;
            let ask = change(joining(w, &of.id, &of.member, of.instance.as_deref().filter(|_| v >= 5), PARTITIONS));
            let group_instance_id = ask.group_instance_id.clone().filter(|_| v >= 5);
            w.ask(JoinGroupRequest { group_instance_id, ..ask }, v);
        }));
    }
    let words = [("another protocol", with("sticky", b"\0\0\0\0\0\0")), ("malformed words", with("range", b"\0"))];
    for (what, protocols) in words {
        cases.push(case(format!("{}: a join with {what}", mix.name()), [9], move |w, v| {
            let of = mix.make(w).classic;
            let ask = joining(w, &of.id, &of.member, of.instance.as_deref(), PARTITIONS);
            w.ask(JoinGroupRequest { protocols: protocols.clone(), ..ask }, v);
        }));
    }
    cases
}

/// Who leaves, how, and what the group is then.
fn of_leaving(mix: Mix) -> Vec<Case> {
    type Leavers = fn(&Mixed) -> Vec<MemberIdentity>;
    let leavers: Vec<(&str, Leavers)> = vec![
        ("the classic member", |of| vec![identity(&of.classic)]),
        ("the consumer's member", |of| vec![identity(&of.modern)]),
        ("both", |of| vec![identity(&of.modern), identity(&of.classic)]),
        ("the classic member twice, and another", |of| {
            let nobody = MemberIdentity { member_id: "nobody".into(), ..Default::default() };
            vec![identity(&of.classic), nobody, identity(&of.classic)]
        }),
        ("an instance", |_| vec![MemberIdentity { group_instance_id: Some(INSTANCE.into()), ..Default::default() }]),
        ("nobody", |_| vec![]),
    ];
    let mut cases = Vec::new();
    for (what, who) in leavers {
        cases.push(case(format!("{}: {what} leaves", mix.name()), [5], move |w, v| {
            let mixed = mix.make(w);
            let (group_id, members) = (mixed.classic.id.clone(), who(&mixed));
            w.ask(LeaveGroupRequest { group_id: group_id.clone(), members, ..Default::default() }, v);
            show(w, &group_id);
        }));
    }
    for (what, epoch) in [("leaves", -1), ("leaves for a while", -2)] {
        for (whose, of) in [("classic", classic_of as fn(Mixed) -> Group), ("consumer", modern_of)] {
            let name = format!("{}: a heartbeat that {what} ({whose})", mix.name());
            cases.push(case(name, [1], move |w, v| {
                let group = of(mix.make(w));
                w.ask(ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..beat(&group) }, v);
                show(w, &group.id);
            }));
        }
    }
    cases
}

fn identity(of: &Group) -> MemberIdentity {
    MemberIdentity { member_id: of.member.clone(), group_instance_id: of.instance.clone(), reason: None }
}

/// Requests that are of no member.
fn of_the_whole(mix: Mix) -> Vec<Case> {
    let name = mix.name();
    vec![
        case(format!("{name}: described and listed"), [0], move |w, _| {
            let mixed = mix.make(w);
            show(w, &mixed.classic.id);
        }),
        case(format!("{name}: listed by state and type"), [5], move |w, v| {
            mix.make(w);
            for (states, types) in [(vec!["Stable"], vec![]), (vec![], vec!["consumer"]), (vec![], vec!["classic"])] {
                let filter = |of: Vec<&str>| of.into_iter().map(Str::from).collect();
                w.ask(ListGroupsRequest { states_filter: filter(states), types_filter: filter(types) }, v);
            }
        }),
        case(format!("{name}: deleted"), [2], move |w, v| {
            let mixed = mix.make(w);
            w.ask(DeleteGroupsRequest { groups_names: vec![mixed.classic.id] }, v);
        }),
        case(format!("{name}: its offsets deleted"), [0], move |w, v| {
            let mixed = mix.make(w);
            let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
            let topics = vec![OffsetDeleteRequestTopic { name: w.name(TOPIC), partitions }];
            w.ask(OffsetDeleteRequest { group_id: mixed.classic.id, topics }, v);
        }),
        case(format!("{name}: a commit of nobody"), [7, 9], move |w, v| {
            let of = mix.make(w).classic;
            let nobody = Group { member: "".into(), generation: -1, instance: None, ..of };
            let ask = commit_request(w, &nobody, 5);
            w.ask(ask, v);
        }),
        case(format!("{name}: another member of the consumer protocol"), [1], move |w, v| {
            let of = mix.make(w).modern;
            let first = first_beat(w, &of.id);
            w.ask(ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), ..first }, v);
            show(w, &of.id);
        }),
        case(format!("{name}: a static member of the consumer protocol"), [1], move |w, v| {
            let of = mix.make(w).modern;
            let first = first_beat(w, &of.id);
            let instance_id = Some(INSTANCE.into());
            w.ask(ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), instance_id, ..first }, v);
            show(w, &of.id);
        }),
    ]
}

/// The steps of a whole upgrade and of what cannot be upgraded, each with its answer.
fn on_the_way() -> Vec<Case> {
    vec![
        case("a classic member gives up a partition step by step", [9], |w, v| {
            let Mixed { mut classic, modern } = Mix::Upgraded.make(w);
            for owned in [PARTITIONS, &PARTITIONS[..1], &PARTITIONS[..1]] {
                let (group_id, generation_id, member_id) =
                    (classic.id.clone(), classic.generation, classic.member.clone());
                w.ask(HeartbeatRequest { group_id, generation_id, member_id, group_instance_id: None }, 4);
                let ask = joining(w, &classic.id, &classic.member, None, owned);
                if let Some(corelog::wire::messages::Response::JoinGroup(told)) = w.ask(ask, v) {
                    classic.generation = told.generation_id;
                }
                w.ask(sync_request(&classic), 5);
                w.ask(beat(&modern), 1);
            }
            show(w, &classic.id);
        }),
        case("a group of another type", [1], |w, v| {
            refused(w, v, |join| JoinGroupRequest { protocol_type: "connect".into(), ..join }, b"");
        }),
        case("a group whose words are malformed", [1], |w, v| {
            let malformed =
                || vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(b"\0") }];
            refused(w, v, move |join| JoinGroupRequest { protocols: malformed(), ..join }, b"");
        }),
        case("a group whose assignment is malformed", [1], |w, v| {
            refused(w, v, |join| join, b"\0\0\0\0\0");
        }),
        case("a group with an assignor of its own", [1], |w, v| {
            refused(w, v, |join| join, b"\0\0\0\0\0\0\0\0\0\x01x");
        }),
        case("a static member changes its protocol there and back", [1], |w, v| {
            let Mixed { classic: of, .. } = Mix::UpgradedStatic.make(w);
            let first = first_beat(w, &of.id);
            let instance_id = Some(INSTANCE.into());
            let other = ConsumerGroupHeartbeatRequest { member_id: OTHER_ID.into(), instance_id, ..first };
            w.ask(other.clone(), v);
            let (group_id, generation_id, member_id) = (of.id.clone(), of.generation, of.member.clone());
            w.ask(HeartbeatRequest { group_id, generation_id, member_id, group_instance_id: of.instance.clone() }, 4);
            w.ask(joining(w, &of.id, &"".into(), Some(INSTANCE), &[]), 9);
            w.ask(ConsumerGroupHeartbeatRequest { member_epoch: 3, ..other }, v);
            show(w, &of.id);
        }),
    ]
}

/// A group of one classic member, with this assignment, that a member of the consumer protocol comes to.
fn refused(
    w: &mut World,
    version: i16,
    change: impl Fn(JoinGroupRequest) -> JoinGroupRequest,
    assignment: &'static [u8],
) {
    w.topic(TOPIC, 2);
    let id = w.name("group");
    coordinated(w, &id);
    // A version that needs no id before it joins.
    let ask = change(joining(w, &id, &"".into(), None, &[]));
    let protocol_type = Some(ask.protocol_type.clone());
    let told = reply!(JoinGroup, w.aside(ask, 3));
    assert_eq!(told.error_code, ErrorCode::None, "{told:?}");
    w.meet(&told.member_id);
    let group = Group { id: id.clone(), member: told.member_id, generation: told.generation_id, instance: None };
    let assigned =
        SyncGroupRequestAssignment { member_id: group.member.clone(), assignment: Bytes::from_static(assignment) };
    w.aside(SyncGroupRequest { protocol_type, assignments: vec![assigned], ..sync_request(&group) }, 5);
    let first = first_beat(w, &id);
    w.ask(first, version);
    show(w, &id);
}
