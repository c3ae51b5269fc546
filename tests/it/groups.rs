//! Groups over real sockets: what members and stored offsets are after `kill -9`, what a stop does to who waits, a
//! broker that stands still to who cannot beat meanwhile, and what becomes of groups whose log has a record that nobody can read.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::messages::describe_groups::DescribeGroupsRequest;
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;
use corelog::wire::messages::heartbeat::HeartbeatRequest;
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use corelog::wire::messages::list_groups::ListGroupsRequest;
use corelog::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use corelog::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use corelog::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use corelog::wire::messages::{ApiKey, Response};
use corelog::wire::{ErrorCode, Str};
use rustix::process::{Signal, kill_process};
use shards::batch::{self, CRC_FROM, PREFIX_BYTES};

use crate::broker::{Broker, Connection, Home, until};
use crate::peer::reply;

/// No waiting for more members, which these tests know not to come.
const AT_ONCE: [&str; 2] = ["--set", "group.initial.rebalance.delay.ms=0"];

fn with_shards(home: &Home, shards: u32) -> Broker {
    home.dev(&[&AT_ONCE[..], &["--set", &format!("shards={shards}")]].concat())
}

pub fn find(peer: &mut Connection, group: &str) {
    let request = FindCoordinatorRequest { coordinator_keys: vec![group.into()], ..Default::default() };
    let found = reply!(FindCoordinator, peer.ask(request, 6)).coordinators.remove(0);
    assert_eq!((found.error_code, found.node_id), (ErrorCode::None, 1));
}

fn joining(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        member_id: member.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(b"said") }],
        ..Default::default()
    }
}

/// Joins as a client since version 4 does: with the id that the first try is given.
fn join(peer: &mut Connection, group: &str) -> JoinGroupResponse {
    join_for(peer, group, 30_000)
}

/// Joins as a member who is given up when nothing was heard from it for so long.
pub fn join_for(peer: &mut Connection, group: &str, session_timeout_ms: i32) -> JoinGroupResponse {
    let joining = |member: &str| JoinGroupRequest { session_timeout_ms, ..joining(group, member) };
    let first = reply!(JoinGroup, peer.ask(joining(""), 9));
    assert_eq!(first.error_code, ErrorCode::MemberIdRequired);
    let joined = reply!(JoinGroup, peer.ask(joining(&first.member_id), 9));
    assert_eq!((joined.error_code, &joined.member_id), (ErrorCode::None, &first.member_id));
    joined
}

/// Assigns to the only member.
pub fn sync(peer: &mut Connection, group: &str, joined: &JoinGroupResponse) -> Bytes {
    let assignments = vec![SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(b"all"),
    }];
    let request = SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: joined.protocol_type.clone(),
        protocol_name: joined.protocol_name.clone(),
        assignments,
        ..Default::default()
    };
    let synced = reply!(SyncGroup, peer.ask(request, 5));
    assert_eq!(synced.error_code, ErrorCode::None);
    synced.assignment
}

pub fn heartbeat(peer: &mut Connection, group: &str, joined: &JoinGroupResponse) -> ErrorCode {
    reply!(Heartbeat, peer.ask(beating(group, joined), 4)).error_code
}

fn beating(group: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..Default::default()
    }
}

pub fn commit(
    peer: &mut Connection,
    group: &str,
    topic: &str,
    offset: i64,
    joined: Option<&JoinGroupResponse>,
) -> ErrorCode {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: joined.map_or(-1, |joined| joined.generation_id),
        member_id: joined.map(|joined| joined.member_id.clone()).unwrap_or_default(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    reply!(OffsetCommit, peer.ask(request, 9)).topics[0].partitions[0].error_code
}

/// The stored offset, by the oldest version and the newest with names.
pub fn committed(peer: &mut Connection, group: &str, topic: &str) -> i64 {
    let old = OffsetFetchRequest {
        group_id: group.into(),
        topics: Some(vec![OffsetFetchRequestTopic { name: topic.into(), partition_indexes: vec![0] }]),
        ..Default::default()
    };
    let old = reply!(OffsetFetch, peer.ask(old, 1)).topics[0].partitions[0].committed_offset;
    let topics =
        vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![0], ..Default::default() }];
    let group = OffsetFetchRequestGroup { group_id: group.into(), topics: Some(topics), ..Default::default() };
    let new = OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
    let new = reply!(OffsetFetch, peer.ask(new, 9)).groups[0].topics[0].partitions[0].committed_offset;
    assert_eq!(old, new);
    new
}

/// Heartbeats until the coordinator has read its log; it says so only to requests that it would have to answer.
pub fn state(peer: &mut Connection, group: &str) -> String {
    loop {
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        let described = reply!(DescribeGroups, peer.ask(request, 6)).groups.remove(0);
        if described.error_code != ErrorCode::CoordinatorLoadInProgress {
            return described.group_state.to_string();
        }
    }
}

#[test]
fn members_generations_and_offsets_survive_kill_9_and_another_number_of_shards() {
    let home = Home::new();
    let broker = with_shards(&home, 2);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    find(&mut peer, "stable");
    let joined = join(&mut peer, "stable");
    assert_eq!(sync(&mut peer, "stable", &joined), "all");
    assert_eq!(commit(&mut peer, "stable", "t", 41, Some(&joined)), ErrorCode::None);
    assert_eq!(commit(&mut peer, "stable", "t", 42, Some(&joined)), ErrorCode::None);
    for n in 0..20 {
        assert_eq!(commit(&mut peer, &format!("simple-{n}"), "t", n, None), ErrorCode::None);
    }
    broker.kill();

    for shards in [3, 1] {
        let broker = with_shards(&home, shards);
        let mut peer = broker.connect();
        assert_eq!(state(&mut peer, "stable"), "Stable");
        assert_eq!(heartbeat(&mut peer, "stable", &joined), ErrorCode::None, "the member goes on as if nothing were");
        assert_eq!(committed(&mut peer, "stable", "t"), 42);
        for n in 0..20 {
            let group = format!("simple-{n}");
            assert_eq!(state(&mut peer, &group), "Empty");
            assert_eq!(committed(&mut peer, &group, "t"), n);
        }
        let listed = reply!(ListGroups, peer.ask(ListGroupsRequest::default(), 5)).groups;
        assert_eq!(listed.len(), 21);
        broker.kill();
    }
}

/// What a broker may ask of a member at the least.
const SESSION: Duration = Duration::from_secs(6);

/// A machine that stood still, a process that was stopped, a disk that hung: nobody is to lose his place by that.
#[test]
fn members_whose_sessions_end_while_the_broker_stands_still_keep_their_places_if_they_beat_soon_after() {
    let home = Home::new();
    let broker = with_shards(&home, 1);
    let mut peers: Vec<_> = ["asks-meanwhile", "asks-after", "never-asks"]
        .map(|group| {
            let mut peer = broker.connect();
            find(&mut peer, group);
            let joined = join_for(&mut peer, group, i32::try_from(SESSION.as_millis()).expect("short"));
            sync(&mut peer, group, &joined);
            (group, peer, joined)
        })
        .into();
    kill_process(broker.pid(), Signal::STOP).expect("the process runs");
    std::thread::sleep(SESSION + Duration::from_secs(2));
    let (group, peer, joined) = &mut peers[0];
    peer.tell(&beating(group, joined).into(), 4);
    kill_process(broker.pid(), Signal::CONT).expect("the process runs");
    // By now everything that was due has long been looked at.
    std::thread::sleep(Duration::from_millis(700));
    let Some(Response::Heartbeat(heard)) = peer.reply_to(ApiKey::Heartbeat, 4) else { panic!("no answer") };
    assert_eq!(heard.error_code, ErrorCode::None, "{group}");
    let (group, peer, joined) = &mut peers[1];
    assert_eq!(heartbeat(peer, group, joined), ErrorCode::None, "{group}");
    let (group, peer, joined) = &mut peers[2];
    until("the silent member is given up all the same", || state(peer, group) == "Empty");
    assert_eq!(heartbeat(peer, group, joined), ErrorCode::UnknownMemberId, "{group}");
}

#[test]
fn whoever_waits_for_a_group_is_sent_on_when_the_broker_stops() {
    let home = Home::new();
    let broker = home.dev(&["--set", "group.initial.rebalance.delay.ms=60000"]);
    let mut peer = broker.connect();
    find(&mut peer, "g");
    let first = reply!(JoinGroup, peer.ask(joining("g", ""), 9));
    peer.tell(&joining("g", &first.member_id).into(), 9);
    // The join is parked once another request about the group is answered.
    let mut other = broker.connect();
    while state(&mut other, "g") != "PreparingRebalance" {}
    let stopping = std::thread::spawn(move || broker.terminate());
    let Some(Response::JoinGroup(sent_on)) = peer.reply_to(ApiKey::JoinGroup, 9) else { panic!("an answer") };
    assert_eq!(sent_on.error_code, ErrorCode::NotCoordinator);
    assert!(stopping.join().expect("a stop").status.success());
}

#[test]
fn a_deleted_topic_takes_the_offsets_of_all_groups_along() {
    let home = Home::new();
    let broker = with_shards(&home, 2);
    let mut peer = broker.connect();
    assert_eq!((peer.create("t", 1), peer.create("u", 1)), (ErrorCode::None, ErrorCode::None));
    find(&mut peer, "a");
    for group in ["a", "b", ""] {
        for topic in ["t", "u"] {
            assert_eq!(commit(&mut peer, group, topic, 7, None), ErrorCode::None);
        }
    }
    assert_eq!(peer.delete("t"), ErrorCode::None);
    for group in ["a", "b", ""] {
        assert_eq!((committed(&mut peer, group, "t"), committed(&mut peer, group, "u")), (-1, 7));
    }
    assert_eq!(commit(&mut peer, "a", "t", 7, None), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn no_group_is_coordinated_before_the_first_is_looked_for() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    let early = reply!(JoinGroup, peer.ask(joining("g", ""), 9));
    assert_eq!(early.error_code, ErrorCode::NotCoordinator);
    assert!(reply!(ListGroups, peer.ask(ListGroupsRequest::default(), 5)).groups.is_empty());
    find(&mut peer, "g");
    let topic = peer.topic("__consumer_offsets", false);
    assert_eq!((topic.partitions.len(), topic.is_internal), (50, true));
    let empty = reply!(JoinGroup, peer.ask(joining("", ""), 9));
    assert_eq!(empty.error_code, ErrorCode::InvalidGroupId);
    let short = JoinGroupRequest { session_timeout_ms: 5_999, ..joining("g", "") };
    let short = reply!(JoinGroup, peer.ask(short, 9));
    assert_eq!((short.error_code, short.member_id), (ErrorCode::InvalidSessionTimeout, Str::default()));
}

#[test]
fn a_record_that_is_none_stops_the_load_of_its_partition_and_is_named_with_its_offset() {
    // By the hash of their names the groups `a` and `b` are in these partitions.
    const OF_A: i32 = 1;
    // Nothing else in the log has eight bytes like these.
    const STORED: i64 = 0x0102_0304_0506_0700;
    let home = Home::new();
    let two = ["--set", "shards=1", "--set", "offsets.topic.num.partitions=2"];
    let broker = home.dev(&two);
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    find(&mut peer, "a");
    assert_eq!(commit(&mut peer, "b", "t", 43, None), ErrorCode::None);
    // More than a block of them: only whole blocks are in the segment.
    for n in 0..100 {
        assert_eq!(commit(&mut peer, "a", "t", STORED + n, None), ErrorCode::None);
    }
    assert!(broker.terminate().status.success());
    let log = home.data.join(format!("data/__consumer_offsets-{OF_A}/00000000000000000000.log"));
    let base_offset = spoil(&log, STORED + 7);

    let broker = home.dev(&two);
    let mut peer = broker.connect();
    state(&mut peer, "b");
    assert_eq!(committed(&mut peer, "b", "t"), 43, "the other partition's groups go on");
    let described = loop {
        let request = DescribeGroupsRequest { groups: vec!["a".into()], ..Default::default() };
        let described = reply!(DescribeGroups, peer.ask(request, 6)).groups.remove(0);
        if described.error_code != ErrorCode::CoordinatorLoadInProgress {
            break described.error_code;
        }
    };
    assert_eq!(described, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(commit(&mut peer, "a", "t", 7, None), ErrorCode::CoordinatorNotAvailable);
    let listed = reply!(ListGroups, peer.ask(ListGroupsRequest::default(), 5));
    let names: Vec<_> = listed.groups.iter().map(|group| group.group_id.to_string()).collect();
    assert_eq!((listed.error_code, names), (ErrorCode::None, vec!["b".to_owned()]), "the others are told");
    let is_told = |line: &&str| line.contains("__consumer_offsets cannot be read");
    until("a word on it", || broker.stderr().lines().any(|line| is_told(&line)));
    let told = broker.stderr();
    let line = told.lines().find(is_told).expect("it was there");
    assert!(line.contains(&format!("\"partition\":{OF_A},\"offset\":{base_offset},")), "{line}");
    assert!(broker.terminate().status.success());
}

/// Gives the stored offset a version that there is not, in a batch whose checksum holds; tells the batch's base offset.
fn spoil(log: &Path, stored: i64) -> i64 {
    let mut bytes = fs::read(log).expect("a segment");
    let (range, base_offset): (Range<usize>, i64) = batch::walk(&bytes)
        .map(|(at, header)| (at..at + header.total_bytes().expect("a whole batch"), header.base_offset))
        .find(|(range, _)| bytes[range.clone()].windows(8).any(|word| word == stored.to_be_bytes()))
        .expect("the batch of that offset");
    let batch = &mut bytes[range];
    let value = batch.windows(8).position(|word| word == stored.to_be_bytes()).expect("it is there") - 2;
    batch[value..value + 2].copy_from_slice(&i16::MAX.to_be_bytes());
    let crc = batch::crc::crc32c(&batch[CRC_FROM..]);
    batch[PREFIX_BYTES..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    fs::write(log, bytes).expect("the segment");
    base_offset
}
