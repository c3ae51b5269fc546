//! Connections over the simulated network, with a catalog but without shards: what waits waits for the catalog's leader,
//! which each test plays itself.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shards::catalog::{Catalog, CatalogError, CatalogRecord, CatalogReply, CatalogSettings, CreatedTopic};
use shards::router::placement::ShardIndex;
use shards::router::{CatalogAsk, Clock, Shards};
use shards::runtime::Runtime;
use shards::runtime::sim::{Sim, SimRuntime};
use shards::types::Mono;

use super::blocks::BLOCK_BYTES;
use super::budget::{Held, Lease};
use super::test_client::{Client, frame};
use super::*;
use crate::api::table::TABLE;
use crate::api::{LogDir, NoLog};
use crate::wire::messages::api_versions::ApiVersionsRequest;
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::wire::messages::{ApiKey, Response};
use crate::wire::{ErrorCode, TopicId};

mod ending;

const PORT: u16 = 9092;

/// The broker's side of a test.
pub(super) struct Broker {
    rt: SimRuntime,
    pub(super) server: Rc<Server<SimRuntime>>,
    /// Changes that the catalog is asked for, not yet answered.
    asks: flume::Receiver<CatalogAsk>,
    catalog: Rc<RefCell<Catalog>>,
    pub(super) addr: SocketAddr,
}

impl Broker {
    async fn answer_one_change(&self) {
        let ask = self.asks.recv_async().await.expect("a change is asked for");
        ask.reply.send(Err(CatalogError::Stopping));
    }

    async fn sleep(&self, wait: Duration) {
        self.rt.sleep_until(self.rt.now().after(wait)).await;
    }
}

pub(super) fn plan() -> ServerPlan {
    ServerPlan {
        listeners: Vec::new(),
        settings: ListenSettings::default(),
        api: ApiSettings {
            node_id: 1,
            cluster_id: "cluster".into(),
            rack: None,
            logger: Arc::new(NoLog),
            described: [].into(),
            auto_create_topics: true,
            delete_topics: true,
            fetch_bytes_max: 55 << 20,
            decompressed_bytes_max: 64 << 20,
            log_dir: LogDir { path: "/broker".into(), space: |_| None },
            page_partitions_max: 2000,
            offsets_topic: Default::default(),
            sessions: Default::default(),
        },
        budget_bytes: 8 << 20,
        admission: Admission::new(usize::MAX),
    }
}

/// Starts a broker, and runs `test` with it and a client's runtime on another host.
pub(super) fn with_broker<F: Future<Output = ()> + 'static>(
    plan: ServerPlan,
    test: impl FnOnce(Broker, SimRuntime) -> F + 'static,
) {
    let sim = Sim::new(1);
    let (host, client) = (sim.add_host("broker"), sim.add_host("client"));
    let addr = SocketAddr::new(sim.ip(host), PORT);
    let client = sim.runtime(client);
    sim.block_on(host, move |rt| async move {
        let (leader, asks) = flume::unbounded();
        let catalog = Rc::new(RefCell::new(Catalog::new(CatalogSettings::new("cluster", 1))));
        let clock = {
            let (now, wall_ms) = (rt.clone(), rt.clone());
            Clock { now: Box::new(move || now.now()), wall_ms: Box::new(move || wall_ms.wall_ms()) }
        };
        let shards = Shards::new(ShardIndex(0), Vec::new(), catalog.clone(), leader, clock);
        let listener = ListenerPlan { name: "PLAINTEXT".into(), addr, advertised: None };
        let plan = ServerPlan { listeners: vec![listener], ..plan };
        let server = start(rt.clone(), shards, plan).await.expect("the port is free");
        assert_eq!(server.addresses(), [addr]);
        test(Broker { rt, server, asks, catalog, addr }, client).await;
    });
}

fn api_versions(correlation_id: i32) -> Vec<u8> {
    frame(ApiVersionsRequest::default().into(), 0, correlation_id)
}

/// Waits until the catalog answers.
fn init_producer_id(correlation_id: i32) -> Vec<u8> {
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    frame(request.into(), 0, correlation_id)
}

/// A header without a client id, and no body.
fn bare(key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
    let header =
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &correlation_id.to_be_bytes(), &[0xff, 0xff]].concat();
    let len = i32::try_from(header.len()).expect("small");
    [&len.to_be_bytes()[..], &header].concat()
}

#[test]
fn replies_leave_in_request_order_even_if_a_later_one_is_ready_first() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&[init_producer_id(1), api_versions(2), api_versions(3)].concat()).await);
        broker.sleep(Duration::from_millis(50)).await;
        assert_eq!(broker.server.connections(), 1);
        broker.answer_one_change().await;
        for expected in 1..=3 {
            assert_eq!(client.correlation_id().await, Some(expected));
        }
    });
}

#[test]
fn a_connection_with_all_its_requests_in_flight_is_not_read_until_a_reply_has_left() {
    let settings = ListenSettings { in_flight_max: 2, ..ListenSettings::default() };
    with_broker(ServerPlan { settings, ..plan() }, |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        let requests: Vec<u8> = (1..=5).flat_map(init_producer_id).collect();
        assert!(client.send(&requests).await);
        for expected in 1..=5 {
            broker.sleep(Duration::from_millis(50)).await;
            let waiting = if expected < 5 { 2 } else { 1 };
            assert_eq!(broker.server.requests_waiting(), waiting, "before reply {expected}");
            broker.answer_one_change().await;
            assert_eq!(client.correlation_id().await, Some(expected));
        }
    });
}

#[test]
fn with_deletion_switched_off_every_topic_gets_its_code_and_the_catalog_is_not_asked() {
    let api = ApiSettings { delete_topics: false, ..plan().api };
    with_broker(ServerPlan { api, ..plan() }, |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        let request = DeleteTopicsRequest { topic_names: vec!["a".into(), "b".into()], ..Default::default() };
        for (version, code) in [(2, ErrorCode::InvalidRequest), (5, ErrorCode::TopicDeletionDisabled)] {
            let Response::DeleteTopics(reply) = client.ask(request.clone(), version).await else { panic!("another") };
            let told: Vec<_> = reply.responses.iter().map(|topic| (topic.name.as_deref(), topic.error_code)).collect();
            assert_eq!(told, [(Some("a"), code), (Some("b"), code)]);
        }
        let topics = vec![DeleteTopicState { name: None, topic_id: TopicId([7; 16]) }];
        let request = DeleteTopicsRequest { topics, ..Default::default() };
        let Response::DeleteTopics(reply) = client.ask(request, 6).await else { panic!("another") };
        let told = &reply.responses[0];
        assert_eq!((told.topic_id, told.error_code), (TopicId([7; 16]), ErrorCode::TopicDeletionDisabled));
        assert!(broker.asks.is_empty());
    });
}

#[test]
fn a_slow_request_holds_up_no_other_connection() {
    with_broker(plan(), |broker, rt| async move {
        let (slow, mut fast) = (Client::connect(&rt, broker.addr).await, Client::connect(&rt, broker.addr).await);
        assert!(slow.send(&init_producer_id(1)).await);
        assert!(fast.send(&api_versions(2)).await);
        assert_eq!(fast.correlation_id().await, Some(2));
    });
}

#[test]
fn requests_are_served_however_their_bytes_arrive() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        for byte in [api_versions(1), api_versions(2)].concat() {
            assert!(client.send(&[byte]).await);
            broker.sleep(Duration::from_millis(2)).await;
        }
        let many: Vec<u8> = (3..=200).flat_map(api_versions).collect();
        assert!(client.send(&many).await);
        for expected in 1..=200 {
            assert_eq!(client.correlation_id().await, Some(expected));
        }
    });
}

#[test]
fn what_is_no_request_closes_its_connection_after_the_replies_before_it() {
    let too_long = i32::MAX.to_be_bytes().to_vec();
    let cases = [
        ("length 0", vec![0; 4]),
        ("negative length", (-5i32).to_be_bytes().to_vec()),
        ("length over the limit", too_long),
        ("unknown key", bare(999, 0, 9)),
        ("unknown version", bare(3, 99, 9)),
        ("negative version", bare(18, -1, 9)),
        ("Produce 2", bare(0, 2, 9)),
        ("header cut short", [&3i32.to_be_bytes()[..], &[0, 18, 0]].concat()),
        ("body cut short", bare(0, 3, 9)),
    ];
    for (what, bytes) in cases {
        with_broker(plan(), move |broker, rt| async move {
            let mut client = Client::connect(&rt, broker.addr).await;
            let mut other = Client::connect(&rt, broker.addr).await;
            assert!(client.send(&[api_versions(1), bytes, api_versions(3)].concat()).await);
            assert_eq!(client.correlation_id().await, Some(1), "{what}");
            let expected = if what == "negative version" { Some(9) } else { None };
            assert_eq!(client.correlation_id().await, expected, "{what}");
            assert!(other.send(&api_versions(5)).await);
            assert_eq!(other.correlation_id().await, Some(5), "{what}");
        });
    }
}

#[test]
fn api_versions_of_a_later_version_is_answered_with_error_35_in_version_0() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&bare(18, 99, 4)).await);
        let Response::ApiVersions(reply) = client.reply(ApiKey::ApiVersions, 0).await else { panic!("another reply") };
        assert_eq!(reply.error_code, ErrorCode::UnsupportedVersion);
        assert_eq!(reply.api_keys.iter().map(|key| key.api_key).collect::<Vec<_>>(), [18]);
        assert!(client.send(&frame(ApiVersionsRequest::default().into(), 4, 5)).await);
        let Response::ApiVersions(reply) = client.reply(ApiKey::ApiVersions, 4).await else { panic!("another reply") };
        assert_eq!(reply.error_code, ErrorCode::InvalidRequest, "no software name");
        assert!(client.send(&api_versions(6)).await);
        let Response::ApiVersions(reply) = client.reply(ApiKey::ApiVersions, 0).await else { panic!("another reply") };
        assert_eq!(reply.api_keys.len(), TABLE.len());
    });
}

#[test]
fn metadata_tells_the_address_that_the_client_came_in_on() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&frame(MetadataRequest { topics: None, ..Default::default() }.into(), 12, 1)).await);
        let Response::Metadata(reply) = client.reply(ApiKey::Metadata, 12).await else { panic!("another reply") };
        let told: Vec<_> = reply.brokers.iter().map(|b| (b.node_id, b.host.to_string(), b.port)).collect();
        assert_eq!(told, [(1, broker.addr.ip().to_string(), i32::from(PORT))]);
        assert_eq!((reply.controller_id, reply.cluster_id.as_deref()), (1, Some("cluster")));
    });
}

#[test]
fn a_topic_made_on_the_way_is_unknown_in_the_first_answer() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        let topics = Some(vec![MetadataRequestTopic { name: Some("new".into()), ..Default::default() }]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
        assert!(client.send(&frame(request.clone().into(), 9, 1)).await);
        broker.answer_one_change().await;
        let Response::Metadata(reply) = client.reply(ApiKey::Metadata, 9).await else { panic!("another reply") };
        assert_eq!(reply.topics[0].error_code, ErrorCode::UnknownTopicOrPartition);
        let request = MetadataRequest { allow_auto_topic_creation: false, ..request };
        assert!(client.send(&frame(request.into(), 9, 2)).await);
        let Response::Metadata(_) = client.reply(ApiKey::Metadata, 9).await else { panic!("another reply") };
        assert!(broker.asks.is_empty(), "the client forbade it");
    });
}

#[test]
fn a_topic_that_somebody_else_made_meanwhile_is_told_as_it_is() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        let named = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let topics = Some(vec![named("theirs"), named("ours"), named("gone")]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
        assert!(client.send(&frame(request.into(), 9, 1)).await);
        let ask = broker.asks.recv_async().await.expect("a change is asked for");
        for (name, id) in [("theirs", TopicId([1; 16])), ("ours", TopicId([2; 16]))] {
            let mut catalog = broker.catalog.borrow_mut();
            catalog.apply(&CatalogRecord::Topic { name: name.into(), id }).expect("a new topic");
            let first = CatalogRecord::Partition { topic: id, index: 0, replicas: vec![1], leader_epoch: 0 };
            catalog.apply(&first).expect("its partition");
        }
        let exists = |name: &str| CatalogError::TopicExists { name: name.into() };
        let config = broker.catalog.borrow().topic("ours").expect("it is there").config.clone();
        let id = TopicId([2; 16]);
        let ours = CreatedTopic { id, partitions: 1, replication_factor: 1, overrides: Default::default(), config };
        ask.reply.send(Ok(CatalogReply::TopicsCreated(vec![Err(exists("theirs")), Ok(ours), Err(exists("gone"))])));
        let Response::Metadata(reply) = client.reply(ApiKey::Metadata, 9).await else { panic!("another reply") };
        let told: Vec<_> = reply.topics.iter().map(|topic| (topic.error_code, topic.partitions.len())).collect();
        let unknown = (ErrorCode::UnknownTopicOrPartition, 0);
        assert_eq!(told, [(ErrorCode::None, 1), unknown, unknown]);
    });
}

#[test]
fn reading_pauses_while_the_core_has_no_memory_left_and_goes_on_after() {
    with_broker(plan(), |broker, rt| async move {
        let all: Lease = broker.server.budget().charge(2 * plan().budget_bytes);
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&api_versions(1)).await);
        broker.sleep(Duration::from_secs(20)).await;
        assert!(client.has_received_nothing() && broker.server.budget().is_pressed());
        drop(all);
        assert_eq!(client.correlation_id().await, Some(1));
        broker.sleep(Duration::from_millis(10)).await;
        assert_eq!(broker.server.budget().used_bytes(), 0, "everything was given back");
    });
}

#[test]
fn a_frame_larger_than_what_is_free_waits_for_its_memory_before_it_takes_any() {
    with_broker(plan(), |broker, rt| async move {
        let budget = broker.server.budget().clone();
        let some: Lease = budget.try_take(Held::ByPeer, 6 << 20).expect("nothing is lent yet");
        let mut client = Client::connect(&rt, broker.addr).await;
        let mut other = Client::connect(&rt, broker.addr).await;
        // A request whose trailing bytes, which are accepted, make it 3 MiB long.
        let body = api_versions(1).split_off(4);
        let len = 3usize << 20;
        let large = [&i32::try_from(len).expect("small").to_be_bytes()[..], &body, &vec![0; len - body.len()]].concat();
        let sender = async {
            assert!(client.send(&large).await);
            client.correlation_id().await
        };
        let keeper = async {
            broker.sleep(Duration::from_millis(100)).await;
            let came_bytes = budget.used_bytes() - (6 << 20);
            assert!((1..=BLOCK_BYTES).contains(&came_bytes), "no more was taken than what came: {came_bytes}");
            assert!(other.send(&api_versions(2)).await);
            broker.sleep(Duration::from_millis(100)).await;
            drop(some);
            other.correlation_id().await
        };
        let (sent, kept) = futures_lite::future::zip(sender, keeper).await;
        assert_eq!((sent, kept), (Some(1), Some(2)));
    });
}

/// The length of a frame, and its first byte.
fn claim(bytes: i32) -> Vec<u8> {
    [&bytes.to_be_bytes()[..], &[0]].concat()
}

#[test]
fn a_small_frame_that_comes_in_pieces_does_not_wait_for_those_that_claim_all_memory() {
    with_broker(plan(), |broker, rt| async move {
        let _held: Lease = broker.server.budget().try_take(Held::ByPeer, 6 << 20).expect("nothing is lent yet");
        let large = Client::connect(&rt, broker.addr).await;
        assert!(large.send(&claim(3 << 20)).await);
        broker.sleep(Duration::from_millis(10)).await;
        assert!(broker.server.budget().is_pressed());
        let mut small = Client::connect(&rt, broker.addr).await;
        let request = api_versions(1);
        for piece in request.chunks(9) {
            assert!(small.send(piece).await);
            broker.sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(small.correlation_id().await, Some(1));
    });
}

#[test]
fn a_large_frame_that_hardly_comes_is_cut_off_once_another_waits_for_its_memory() {
    with_broker(plan(), |broker, rt| async move {
        let mut first = Client::connect(&rt, broker.addr).await;
        assert!(first.send(&claim(4 << 20)).await);
        broker.sleep(Duration::from_secs(2)).await;
        assert_eq!(broker.server.connections(), 1, "nobody waits");
        let second = Client::connect(&rt, broker.addr).await;
        assert!(second.send(&claim(4 << 20)).await);
        broker.sleep(Duration::from_secs(2)).await;
        assert_eq!(first.correlation_id().await, None);
        assert_eq!((broker.server.connections(), broker.server.budget().used_bytes()), (1, 4 << 20));
    });
}

#[test]
fn a_frame_that_finds_no_memory_is_given_up_sooner_where_too_much_is_held() {
    for (held_bytes, waits, ended) in [((8 << 20) - 100, 29, 33), ((8 << 20) + 1, 2, 6)] {
        with_broker(plan(), move |broker, rt| async move {
            let _held: Lease = broker.server.budget().charge(held_bytes);
            let client = Client::connect(&rt, broker.addr).await;
            assert!(client.send(&claim(1 << 20)).await);
            broker.sleep(Duration::from_secs(waits)).await;
            assert_eq!(broker.server.connections(), 1, "{held_bytes}");
            broker.sleep(Duration::from_secs(ended - waits)).await;
            assert_eq!(broker.server.connections(), 0, "{held_bytes}");
        });
    }
}

#[test]
fn idle_connections_and_trickled_frames_are_closed_and_waiting_requests_are_not() {
    with_broker(plan(), |broker, rt| async move {
        let mut idle = Client::connect(&rt, broker.addr).await;
        let mut trickled = Client::connect(&rt, broker.addr).await;
        let mut waiting = Client::connect(&rt, broker.addr).await;
        assert!(trickled.send(&api_versions(1)[..9]).await);
        assert!(waiting.send(&init_producer_id(7)).await);
        broker.sleep(Duration::from_secs(35)).await;
        assert_eq!(broker.server.connections(), 2, "the half frame was too old");
        assert_eq!(trickled.correlation_id().await, None);
        broker.sleep(Duration::from_secs(600)).await;
        assert_eq!(broker.server.connections(), 1, "ten minutes without a request");
        assert_eq!(idle.correlation_id().await, None);
        broker.answer_one_change().await;
        assert_eq!(waiting.correlation_id().await, Some(7));
    });
}

#[test]
fn a_peer_that_does_not_read_its_replies_is_closed_and_its_memory_comes_back() {
    with_broker(plan(), |broker, rt| async move {
        let client = Client::connect(&rt, broker.addr).await;
        let requests: Vec<u8> = (0..60_000).flat_map(api_versions).collect();
        let sender = client.send(&requests);
        let watcher = async {
            broker.sleep(Duration::from_secs(30)).await;
            assert!(broker.server.budget().used_bytes() > 0, "replies are held");
            broker.sleep(Duration::from_secs(40)).await;
            assert_eq!(broker.server.connections(), 0);
            assert_eq!(broker.server.budget().used_bytes(), 0);
        };
        futures_lite::future::zip(sender, watcher).await;
    });
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    with_broker(ServerPlan { admission: Admission::new(1), ..plan() }, |broker, rt| async move {
        let mut first = Client::connect(&rt, broker.addr).await;
        assert!(first.send(&api_versions(1)).await);
        assert_eq!(first.correlation_id().await, Some(1));
        let mut second = Client::connect(&rt, broker.addr).await;
        assert_eq!(second.correlation_id().await, None);
        drop(first);
        broker.sleep(Duration::from_millis(50)).await;
        let mut third = Client::connect(&rt, broker.addr).await;
        assert!(third.send(&api_versions(3)).await);
        assert_eq!(third.correlation_id().await, Some(3));
    });
}

#[test]
fn a_stop_answers_what_was_read_and_reads_no_more() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&[api_versions(1), init_producer_id(2)].concat()).await);
        assert_eq!(client.correlation_id().await, Some(1));
        broker.server.stop();
        assert!(rt.connect(broker.addr).await.is_err(), "nobody listens");
        client.send(&api_versions(3)).await;
        let until = broker.rt.now().after(Duration::from_secs(5));
        let drained = broker.server.drained(until);
        let reader = async {
            broker.sleep(Duration::from_secs(1)).await;
            broker.answer_one_change().await;
            assert_eq!(client.correlation_id().await, Some(2));
            assert_eq!(client.correlation_id().await, None);
        };
        futures_lite::future::zip(drained, reader).await;
        assert!(broker.rt.now() < until, "it did not wait for the rest of the time");
        assert_eq!(broker.server.connections(), 0);
    });
}

#[test]
fn a_stop_gives_up_replies_that_do_not_come_in_time() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&init_producer_id(1)).await);
        broker.sleep(Duration::from_millis(50)).await;
        broker.server.stop();
        let start: Mono = broker.rt.now();
        broker.server.drained(start.after(Duration::from_secs(5))).await;
        assert!(broker.rt.now().since(start) >= Duration::from_secs(5));
        assert_eq!(broker.server.connections(), 0);
        assert_eq!(client.correlation_id().await, None);
    });
}
