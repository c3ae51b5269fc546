//! Settings whose effect only the real process over real sockets shows.

use std::net::TcpStream;
use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::api_versions::ApiVersionsRequest;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::fetch::FetchRequest;
use corelog::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use corelog::wire::messages::{ApiKey, Request};
use rustix::process::{Signal, kill_process};

use crate::broker::{Broker, Connection, Home, until};
use crate::peer::{FETCH, PRODUCE, batch, fetch_request, produce_request, reply};

#[test]
fn topics_stay_where_their_deletion_is_switched_off() {
    let home = Home::new();
    let broker = home.dev(&["--set", "delete.topic.enable=false"]);
    let mut peer = broker.connect();
    assert_eq!(peer.create("kept", 1), ErrorCode::None);
    assert_eq!(peer.delete("kept"), ErrorCode::TopicDeletionDisabled);
    assert_eq!(peer.append("kept", &batch(&[b"one"], None)), (ErrorCode::None, 0));
    broker.kill();

    let broker = home.dev(&[]);
    let mut peer = broker.connect();
    assert_eq!(peer.list_offset("kept", -1, 5), (ErrorCode::None, 1));
    assert_eq!(peer.delete("kept"), ErrorCode::None);
}

/// Changes a setting of the broker while it runs; `None` takes the change back.
pub fn change(peer: &mut Connection, name: &str, value: Option<&str>) -> ErrorCode {
    change_of(peer, (4, "1"), name, value)
}

/// As [`change`], of the level of its one logger.
pub fn change_level(peer: &mut Connection, value: Option<&str>) -> ErrorCode {
    change_of(peer, (8, "1"), "root", value)
}

/// As [`change`], of a topic.
pub fn change_topic(peer: &mut Connection, topic: &str, name: &str, value: Option<&str>) -> ErrorCode {
    change_of(peer, (2, topic), name, value)
}

fn change_of(peer: &mut Connection, (resource_type, of): (i8, &str), name: &str, value: Option<&str>) -> ErrorCode {
    let config = AlterableConfig {
        name: name.to_owned().into(),
        config_operation: if value.is_some() { 0 } else { 1 },
        value: value.map(|value| value.to_owned().into()),
    };
    let resource = AlterConfigsResource { resource_type, resource_name: of.to_owned().into(), configs: vec![config] };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    reply!(IncrementalAlterConfigs, peer.ask(request, 1)).responses[0].error_code
}

/// What the broker says is in force, and whether it may change.
fn told(peer: &mut Connection, name: &str) -> (String, bool) {
    let resource = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        configuration_keys: Some(vec![name.to_owned().into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let reply = reply!(DescribeConfigs, peer.ask(request, 4));
    let config = &reply.results[0].configs[0];
    (config.value.as_ref().map_or_else(String::new, |value| value.as_str().to_owned()), config.read_only)
}

#[test]
fn a_limit_of_connections_changes_while_the_broker_runs_and_stays_over_a_restart() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2", "--set", "max.connections=7"]);
    let mut first = broker.connect();
    assert_eq!(told(&mut first, "max.connections"), ("7".to_owned(), false));
    assert_eq!(change(&mut first, "max.connections", Some("1")), ErrorCode::None);
    assert_eq!(told(&mut first, "max.connections"), ("1".to_owned(), false));
    // Every core refuses, once it knows of the change.
    let refused = |broker: &Broker| broker.connect().try_ask(ApiVersionsRequest::default(), 0).is_none();
    until("the other core knows the limit", || (0..4).all(|_| refused(&broker)));
    broker.kill();

    let broker = home.dev(&["--set", "shards=2", "--set", "max.connections=7"]);
    let mut first = broker.connect();
    assert_eq!(told(&mut first, "max.connections"), ("1".to_owned(), false));
    assert!((0..4).all(|_| refused(&broker)), "the change outlives the process");
    assert_eq!(change(&mut first, "max.connections", None), ErrorCode::None);
    until("connections are taken again", || (0..4).all(|_| !refused(&broker)));
    assert_eq!(told(&mut first, "max.connections"), ("7".to_owned(), false));
}

/// A fetch that waits for a record, and behind it on the same connection the append of that record: how many records the
/// fetch finds.
fn found_by_a_fetch_before_its_append(broker: &Broker, max_wait_ms: i32) -> usize {
    let mut peer = broker.connect();
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    let fetch = FetchRequest { max_wait_ms, ..fetch_request("t", 0) };
    peer.tell(&Request::from(fetch), FETCH);
    peer.tell(&Request::from(produce_request("t", -1, &[batch(&[b"one"], None)])), PRODUCE);
    let fetched = reply!(Fetch, peer.reply_to(ApiKey::Fetch, FETCH).expect("a reply"));
    let produced = reply!(Produce, peer.reply_to(ApiKey::Produce, PRODUCE).expect("a reply"));
    assert_eq!(produced.responses[0].partition_responses[0].error_code, ErrorCode::None);
    fetched.responses[0].partitions[0].records.as_ref().map_or(0, |records| records.len())
}

#[test]
fn a_request_over_the_limit_of_its_connection_is_read_once_a_reply_has_left() {
    let home = Home::new();
    let one = home.dev(&["--set", "requests.in.flight.per.connection.max=1"]);
    assert_eq!(found_by_a_fetch_before_its_append(&one, 300), 0, "the append is not read while the fetch waits");
    assert!(one.terminate().status.success());

    let home = Home::new();
    let many = home.dev(&[]);
    assert!(found_by_a_fetch_before_its_append(&many, 15_000) > 0, "the append wakes the fetch");
}

/// Of so many connections, how many a broker that accepts none, as it is stopped, is let have.
fn connected_while_stopped(broker: &Broker, asked: usize) -> usize {
    const TRY: Duration = Duration::from_millis(100);
    kill_process(broker.pid(), Signal::STOP).expect("the process runs");
    // Kept until all are asked for: a connection that is given up makes room for the next.
    let connected: Vec<_> = (0..asked).filter_map(|_| TcpStream::connect_timeout(&broker.address, TRY).ok()).collect();
    kill_process(broker.pid(), Signal::CONT).expect("the process runs");
    broker.connect().check_served();
    connected.len()
}

#[test]
fn connections_beyond_the_backlog_are_not_taken_until_those_before_them_are_accepted() {
    const ASKED: usize = 16;
    let home = Home::new();
    let short = home.dev(&["--set", "shards=1", "--set", "socket.listen.backlog.size=1"]);
    // The kernel holds one more than it is told, and hands out one that was being accepted.
    let connected = connected_while_stopped(&short, ASKED);
    assert!((1..=4).contains(&connected), "{connected} connected");
    assert!(short.terminate().status.success());

    let long = home.dev(&["--set", "shards=1"]);
    assert_eq!(connected_while_stopped(&long, ASKED), ASKED);
}
