//! Requests that name one thing so often that the reply is thousands of times as large: made within the memory of the core,
//! while its other clients are served, or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::Request;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::describe_groups::DescribeGroupsRequest;
use corelog::wire::messages::find_coordinator::FindCoordinatorRequest;
use corelog::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use corelog::wire::messages::sync_group::SyncGroupRequest;

use crate::bad_peers::{Bystander, broker_with, closed_lines_of, connect};
use crate::broker::{Broker, Home, until};
use crate::peer::{frame, reply};

/// One shard, so that all connections share a core. A third of its memory is for requests and replies, about 48 MiB.
fn broker(home: &Home) -> Broker {
    broker_with(home, &["--set", "shards=1", "--set", "group.initial.rebalance.delay.ms=0"])
}

/// So many times make a reply of some 18 MB.
const LARGE: usize = 800;

/// Each time makes some 20 KB of the reply.
fn describe(times: usize) -> Vec<u8> {
    let resource = DescribeConfigsResource { resource_type: 4, resource_name: "1".into(), configuration_keys: None };
    let request = DescribeConfigsRequest {
        resources: vec![resource; times],
        include_synonyms: true,
        include_documentation: true,
    };
    frame(&Request::from(request), 4)
}

/// Waits for the reply, and reads its length only.
fn reply_bytes(stream: &mut TcpStream) -> usize {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).expect("a reply");
    u32::from_be_bytes(prefix) as usize
}

/// Such a request is not answered: the connection ends, with a line that says why.
fn check_refused(broker: &Broker, request: &[u8], api: &str) {
    let mut stream = connect(broker);
    stream.write_all(request).expect("the broker reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an orderly end");
    assert!(answer.is_empty(), "{} bytes", answer.len());
    let peer = stream.local_addr().expect("an address").to_string();
    let lines = closed_lines_of(broker, &peer);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(api) && lines[0].contains("the reply would take more than"), "{}", lines[0]);
}

#[test]
fn others_are_served_while_a_large_reply_is_made() {
    const REPLIES: usize = 5;
    let home = Home::new();
    let broker = broker(&home);
    let bystander = Bystander::of(&broker);
    let mut rounds = 0;
    for _ in 0..REPLIES {
        let mut stream = connect(&broker);
        let before = bystander.rounds.load(Ordering::Relaxed);
        stream.write_all(&describe(LARGE)).expect("the broker reads");
        let bytes = reply_bytes(&mut stream);
        rounds += bystander.rounds.load(Ordering::Relaxed) - before;
        assert!(bytes > 8 << 20, "{bytes} bytes");
    }
    // One may end, and one begin, around a reply that is made at one go.
    assert!(rounds > 3 * REPLIES, "{rounds} rounds while {REPLIES} replies were made");
    bystander.check(&broker);
}

#[test]
fn large_replies_that_nobody_reads_hold_no_more_than_the_budget() {
    let home = Home::new();
    let broker = broker(&home);
    let bystander = Bystander::of(&broker);
    let request = describe(LARGE);
    let mut unread: Vec<_> = (0..40).map(|_| connect(&broker)).collect();
    for stream in &mut unread {
        for _ in 0..4 {
            stream.write_all(&request).expect("the broker reads");
        }
    }
    std::thread::sleep(Duration::from_secs(4));
    bystander.check(&broker);
    drop(unread);
}

#[test]
fn what_would_take_more_than_there_is_gets_one_log_line_with_peer_api_and_reason() {
    const MEMBER_BYTES: usize = 1 << 20;
    let home = Home::new();
    let broker = broker(&home);
    let mut peer = broker.connect();
    let look = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
    assert_eq!(reply!(FindCoordinator, peer.ask(look, 1)).error_code, ErrorCode::None);
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: vec![7; MEMBER_BYTES].into() }],
        ..Default::default()
    };
    let mut joined = None;
    until("the coordinator has read its log", || {
        let told = reply!(JoinGroup, peer.ask(join.clone(), 1));
        let is_loading = told.error_code == ErrorCode::CoordinatorLoadInProgress;
        joined = Some(told);
        !is_loading
    });
    let joined = joined.expect("a member");
    assert_eq!(joined.error_code, ErrorCode::None);
    let sync = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id,
        ..Default::default()
    };
    assert_eq!(reply!(SyncGroup, peer.ask(sync, 0)).error_code, ErrorCode::None);

    let bystander = Bystander::of(&broker);
    let asked = |times: usize| DescribeGroupsRequest { groups: vec!["g".into(); times], ..Default::default() };
    let told = reply!(DescribeGroups, peer.ask(asked(3), 0)).groups;
    let metadata: Vec<&Bytes> = told.iter().map(|group| &group.members[0].member_metadata).collect();
    assert!(metadata.len() == 3 && metadata.iter().all(|said| said.len() == MEMBER_BYTES));
    check_refused(&broker, &frame(&Request::from(asked(1000)), 0), "DescribeGroups");
    check_refused(&broker, &describe(5000), "DescribeConfigs");
    bystander.check(&broker);
}
