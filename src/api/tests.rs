//! Every API against two real shards in a simulated world: what a client sees from end to end.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shards::batch::{BatchBuilder, NewRecord};
use shards::catalog::{Catalog, CatalogSettings};
use shards::router::placement::ShardIndex;
use shards::router::{Clock, Shards};
use shards::runtime::Runtime;
use shards::runtime::sim::{Sim, SimRuntime};
use shards::shard::fence::Fence;
use shards::shard::settings::{Layout, ShardSettings};
use shards::shard::start;
use shards::types::Mono;

use super::{ApiSettings, LogDir};
use crate::config::Config;
use crate::config::described::described;
use crate::launch::core::{self, CorePlan, Lifecycle};
use crate::listen::test_client::{Client, frame};
use crate::listen::{Admission, ListenSettings, ListenerPlan, ServerPlan};
use crate::wire::messages::Response;
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use crate::wire::messages::delete_topics::DeleteTopicsRequest;
use crate::wire::messages::describe_cluster::DescribeClusterRequest;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use crate::wire::messages::find_coordinator::FindCoordinatorRequest;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use crate::wire::{ErrorCode, TopicId};

const SHARDS: u32 = 2;
/// Where the sim's wall clock starts.
const NOW_MS: i64 = 1_780_000_000_000;

macro_rules! ask {
    ($client:expr, $api:ident, $request:expr, $version:expr) => {
        match $client.ask($request, $version).await {
            Response::$api(reply) => reply,
            other => panic!("another reply: {other:?}"),
        }
    };
}

mod admin;
mod configs;
mod large_replies;
mod own_topics;
mod pipelined;

fn shard_settings() -> ShardSettings {
    ShardSettings {
        layout: Layout { root: "/broker".into() },
        node_id: 1,
        shards: SHARDS,
        journal_bytes: 4 << 20,
        journal_bytes_max: 16 << 20,
        window_bytes: 8 << 20,
        window_bytes_max: 8 << 20,
        cache_bytes: 8 << 20,
        segments_synced_singly: 100,
        open_files: 64,
        index_cache_bytes: 1 << 20,
        producer_ids_max: 1000,
        producer_expiration_ms: 86_400_000,
        retention_check_ms: 300_000,
        cleaner: Default::default(),
        catalog_snapshot_bytes: 1 << 10,
        mailbox_bytes: 4 << 20,
        mailbox_messages: 1024,
        groups: Default::default(),
    }
}

fn server_plan(addr: SocketAddr) -> ServerPlan {
    ServerPlan {
        listeners: vec![ListenerPlan { name: "PLAINTEXT".into(), addr, advertised: None }],
        settings: ListenSettings::default(),
        api: ApiSettings {
            node_id: 1,
            cluster_id: "cluster".into(),
            rack: None,
            auto_create_topics: true,
            delete_topics: true,
            fetch_bytes_max: 55 << 20,
            decompressed_bytes_max: 64 << 20,
            logger: Arc::new(configs::TestLog::default()),
            described: described(&Config::default(), &[], &[]).into(),
            log_dir: LogDir { path: "/broker".into(), space: |_| None },
            page_partitions_max: 2000,
            offsets_topic: Default::default(),
            sessions: Default::default(),
        },
        budget_bytes: 64 << 20,
        admission: Admission::new(usize::MAX),
    }
}

/// A core that knows a catalog and has no shards.
pub(super) fn shards_of(catalog: Catalog) -> Shards {
    let clock = Clock { now: Box::new(|| Mono(0)), wall_ms: Box::new(|| NOW_MS) };
    Shards::new(ShardIndex(0), Vec::new(), Rc::new(RefCell::new(catalog)), flume::unbounded().0, clock)
}

/// Runs `test` as a client of a broker with two cores, both listening on the address it is given; then stops the broker.
fn with_broker<F: Future<Output = ()> + 'static>(test: impl FnOnce(SimRuntime, SocketAddr) -> F + 'static) {
    with_memory(64 << 20, test);
}

/// As [`with_broker`]; each core has so many bytes for requests and replies.
fn with_memory<F: Future<Output = ()> + 'static>(
    budget_bytes: usize,
    test: impl FnOnce(SimRuntime, SocketAddr) -> F + 'static,
) {
    let sim = Sim::new(7);
    let (host, client) = (sim.add_host("broker"), sim.add_host("client"));
    let addr = SocketAddr::new(sim.ip(host), 9092);
    let (told, _why) = flume::unbounded();
    let fence = Arc::new(Fence::new(told));
    let plans = start::plans(SHARDS, &shard_settings(), &CatalogSettings::new("cluster", 1), &[], &fence);
    let mut controls = Vec::new();
    for shard in plans {
        let (ready, is_ready) = flume::bounded(1);
        let (stop, to_stop) = flume::bounded(1);
        let (drained, has_drained) = flume::bounded(1);
        let (close, to_close) = flume::bounded(1);
        let (_asking, asks) = flume::bounded(1);
        let (to_write, _) = flume::bounded(1);
        let lifecycle = Lifecycle { ready, stop: to_stop, drained, close: to_close, to_write, asks };
        let server = ServerPlan { budget_bytes, ..server_plan(addr) };
        let plan = CorePlan { shard, server, lifecycle };
        sim.spawn(host, |rt| async move {
            let summary = core::run(rt, plan).await;
            assert!(summary.clean, "a clean stop");
        });
        controls.push((is_ready, stop, has_drained, close));
    }
    sim.block_on(client, move |rt| async move {
        for (is_ready, ..) in &controls {
            let listening = is_ready.recv_async().await.expect("the core lives").expect("the core starts");
            assert_eq!(listening, [addr]);
        }
        test(rt, addr).await;
        for (_, stop, has_drained, _) in &controls {
            stop.send(()).expect("the core lives");
            has_drained.recv_async().await.expect("the core drains");
        }
        for (.., close) in &controls {
            close.send(()).expect("the core lives");
        }
    });
}

async fn create(client: &mut Client, name: &str, partitions: i32) -> ErrorCode {
    let topic =
        CreatableTopic { name: name.into(), num_partitions: partitions, replication_factor: 1, ..Default::default() };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    ask!(client, CreateTopics, request, 7).topics.remove(0).error_code
}

async fn metadata(client: &mut Client, name: &str) -> MetadataResponseTopic {
    let topics = Some(vec![MetadataRequestTopic { name: Some(name.into()), ..Default::default() }]);
    let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
    ask!(client, Metadata, request, 12).topics.remove(0)
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(NOW_MS);
    for value in values {
        builder.push(&NewRecord { timestamp_ms: NOW_MS, value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    builder.finish().expect("built")
}

fn produce_request(topic: &str, acks: i16, parts: Vec<(i32, Bytes)>) -> ProduceRequest {
    let partition_data =
        parts.into_iter().map(|(index, records)| PartitionProduceData { index, records: Some(records) }).collect();
    let topic = TopicProduceData { name: topic.into(), partition_data, ..Default::default() };
    ProduceRequest { acks, topic_data: vec![topic], ..Default::default() }
}

async fn produce(client: &mut Client, topic: &str, parts: Vec<(i32, Bytes)>) -> Vec<PartitionProduceResponse> {
    ask!(client, Produce, produce_request(topic, -1, parts), 9).responses.remove(0).partition_responses
}

fn fetch_request(topic: &str, wait_ms: i32, parts: &[(i32, i64)]) -> FetchRequest {
    let partitions = parts.iter().map(|(partition, fetch_offset)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    });
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic { topic: topic.into(), partitions: partitions.collect(), ..Default::default() }],
        ..Default::default()
    }
}

fn parts(reply: FetchResponse) -> Vec<PartitionData> {
    reply.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn bytes(part: &PartitionData) -> usize {
    part.records.as_ref().expect("never null").len()
}

/// Stores offsets of nobody's member, once the coordinator serves: the first that looks for one has its topic made.
async fn commit_offset(rt: &SimRuntime, client: &mut Client, commit: OffsetCommitRequest) {
    loop {
        let look = FindCoordinatorRequest { key: commit.group_id.clone(), ..Default::default() };
        ask!(client, FindCoordinator, look, 3);
        let told = ask!(client, OffsetCommit, commit.clone(), 8);
        if told.topics[0].partitions.iter().all(|partition| partition.error_code == ErrorCode::None) {
            break;
        }
        rt.sleep_until(rt.now().after(Duration::from_millis(10))).await;
    }
}

#[test]
fn what_is_produced_to_partitions_of_two_cores_is_fetched_as_it_was() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 4).await, ErrorCode::None);
        assert_eq!(create(&mut client, "t", 4).await, ErrorCode::TopicAlreadyExists);
        let told = metadata(&mut client, "t").await;
        assert_eq!((told.error_code, told.partitions.len()), (ErrorCode::None, 4));
        let sent: Vec<_> = (0..4).map(|index| (index, batch(&["a", "b"]))).collect();
        for base in [0, 2] {
            let told = produce(&mut client, "t", sent.clone()).await;
            let offsets: Vec<_> = told.iter().map(|part| (part.index, part.error_code, part.base_offset)).collect();
            assert_eq!(offsets, (0..4).map(|index| (index, ErrorCode::None, base)).collect::<Vec<_>>());
        }
        let read = parts(ask!(client, Fetch, fetch_request("t", 0, &[(0, 0), (1, 0), (2, 2), (3, 4)]), 11));
        let lens: Vec<_> = read.iter().map(|part| (part.high_watermark, bytes(part) / sent[0].1.len())).collect();
        assert_eq!(lens, [(4, 2), (4, 2), (4, 1), (4, 0)]);
        let records = read[2].records.clone().expect("never null").into_bytes();
        assert_eq!(records[..8], 2i64.to_be_bytes(), "the base offset is stamped");
        assert_eq!(records[17..], sent[2].1[17..], "all that the checksum covers is as it was sent");
    });
}

#[test]
fn a_partition_that_fails_touches_no_other() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 3).await, ErrorCode::None);
        let mut damaged = batch(&["x"]).to_vec();
        *damaged.last_mut().expect("not empty") ^= 1;
        let sent = vec![(0, batch(&["a"])), (1, damaged.into()), (9, batch(&["a"])), (2, Bytes::new())];
        let codes: Vec<_> = produce(&mut client, "t", sent).await.iter().map(|part| part.error_code).collect();
        let expected =
            [ErrorCode::None, ErrorCode::CorruptMessage, ErrorCode::UnknownTopicOrPartition, ErrorCode::InvalidRecord];
        assert_eq!(codes, expected);
        let told = ask!(client, Produce, produce_request("t", 5, vec![(0, batch(&["a"]))]), 9);
        assert_eq!(told.responses[0].partition_responses[0].error_code, ErrorCode::InvalidRequiredAcks);
    });
}

#[test]
fn without_acks_nothing_is_answered_and_an_error_closes_the_connection() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        let silent = crate::listen::test_client::frame(produce_request("t", 0, vec![(0, batch(&["a"]))]).into(), 9, 1);
        assert!(client.send(&silent).await);
        // The next reply is the next request's.
        assert_eq!(produce(&mut client, "t", vec![(0, batch(&["b"]))]).await[0].base_offset, 1);
        let failing = crate::listen::test_client::frame(produce_request("t", 0, vec![(5, batch(&["a"]))]).into(), 9, 2);
        assert!(client.send(&failing).await);
        assert_eq!(client.correlation_id().await, None);
    });
}

#[test]
fn a_fetch_waits_for_records_and_a_delete_ends_it_with_3() {
    with_broker(|rt, addr| async move {
        let (mut reader, mut writer) = (Client::connect(&rt, addr).await, Client::connect(&rt, addr).await);
        assert_eq!(create(&mut writer, "t", 4).await, ErrorCode::None);
        let asked = [(0, 0), (1, 0), (2, 0), (3, 0)];
        let start = rt.now();
        let read = async { parts(ask!(reader, Fetch, fetch_request("t", 60_000, &asked), 11)) };
        let write = async {
            rt.sleep_until(rt.now().after(Duration::from_secs(1))).await;
            produce(&mut writer, "t", vec![(3, batch(&["a"]))]).await
        };
        let (read, _) = futures_lite::future::zip(read, write).await;
        assert!(rt.now().since(start) < Duration::from_secs(2));
        assert_eq!(read.iter().map(|part| bytes(part) > 0).collect::<Vec<_>>(), [false, false, false, true]);

        let read = async { parts(ask!(reader, Fetch, fetch_request("t", 60_000, &[(0, 0)]), 11)) };
        let delete = async {
            rt.sleep_until(rt.now().after(Duration::from_secs(1))).await;
            let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
            ask!(writer, DeleteTopics, request, 5).responses.remove(0).error_code
        };
        let start = rt.now();
        let (read, deleted) = futures_lite::future::zip(read, delete).await;
        assert_eq!(deleted, ErrorCode::None);
        assert_eq!(read[0].error_code, ErrorCode::UnknownTopicOrPartition);
        assert!(rt.now().since(start) < Duration::from_secs(5));
        assert_eq!(create(&mut writer, "t", 1).await, ErrorCode::None, "the name is free again");
    });
}

#[test]
fn a_fetch_that_finds_nothing_answers_at_its_deadline_and_errors_at_once() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 2).await, ErrorCode::None);
        let start = rt.now();
        let read = parts(ask!(client, Fetch, fetch_request("t", 500, &[(0, 0), (7, 0)]), 11));
        assert_eq!(read[1].error_code, ErrorCode::UnknownTopicOrPartition);
        let took = rt.now().since(start);
        assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(700), "{took:?}");
        let start = rt.now();
        let read = parts(ask!(client, Fetch, fetch_request("t", 60_000, &[(0, 0), (1, 99)]), 11));
        assert_eq!(read[1].error_code, ErrorCode::OffsetOutOfRange);
        let read = parts(ask!(client, Fetch, fetch_request("none", 60_000, &[(0, 0)]), 11));
        assert_eq!(read[0].error_code, ErrorCode::UnknownTopicOrPartition);
        assert!(rt.now().since(start) < Duration::from_secs(1));
    });
}

#[test]
fn a_session_tells_only_what_changed_by_name_and_by_id() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 3).await, ErrorCode::None);
        let id = metadata(&mut client, "t").await.topic_id;
        for version in [12, 18] {
            let first = FetchRequest { session_epoch: 0, ..fetch_request("t", 0, &[(0, 0), (1, 0), (2, 0)]) };
            let first = by_id(first, version, id);
            let reply = ask!(client, Fetch, first, version);
            let session = reply.session_id;
            assert!(session > 0 && parts(reply).len() == 3);
            produce(&mut client, "t", vec![(1, batch(&["a"]))]).await;
            let next = |epoch| FetchRequest {
                session_id: session,
                session_epoch: epoch,
                topics: Vec::new(),
                ..fetch_request("", 0, &[])
            };
            let told = parts(ask!(client, Fetch, next(1), version));
            assert_eq!(told.iter().map(|part| part.partition_index).collect::<Vec<_>>(), [1], "version {version}");
            assert_eq!(ask!(client, Fetch, next(1), version).error_code, ErrorCode::InvalidFetchSessionEpoch);
            let other = if version == 12 { 13 } else { 12 };
            assert_eq!(ask!(client, Fetch, next(2), other).error_code, ErrorCode::FetchSessionTopicIdError);
            let unknown = FetchRequest { session_id: session ^ 1, ..next(2) };
            assert_eq!(ask!(client, Fetch, unknown, version).error_code, ErrorCode::FetchSessionIdNotFound);
            assert_eq!(ask!(client, Fetch, next(2), version).error_code, ErrorCode::None);
        }
        let unknown = by_id(fetch_request("t", 0, &[(0, 0)]), 13, TopicId([9; 16]));
        assert_eq!(parts(ask!(client, Fetch, unknown, 13))[0].error_code, ErrorCode::UnknownTopicId);
    });
}

fn by_id(mut request: FetchRequest, version: i16, id: TopicId) -> FetchRequest {
    if version >= 13 {
        for topic in &mut request.topics {
            (topic.topic, topic.topic_id) = ("".into(), id);
        }
    }
    request
}

#[test]
fn offsets_epochs_and_producer_ids_are_told() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        produce(&mut client, "t", vec![(0, batch(&["a", "b", "c"]))]).await;
        for (timestamp, offset) in [(-1, 3), (-2, 0), (-3, 0), (-4, 0), (-5, -1), (NOW_MS, 0), (NOW_MS + 1, -1)] {
            let asked = ListOffsetsPartition { timestamp, ..Default::default() };
            let topics = vec![ListOffsetsTopic { name: "t".into(), partitions: vec![asked] }];
            let reply = ask!(client, ListOffsets, ListOffsetsRequest { topics, ..Default::default() }, 9);
            let part = &reply.topics[0].partitions[0];
            assert_eq!((part.error_code, part.offset), (ErrorCode::None, offset), "{timestamp}");
        }
        let asked = OffsetForLeaderPartition { leader_epoch: 0, ..Default::default() };
        let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions: vec![asked] }];
        let reply = ask!(client, OffsetForLeaderEpoch, OffsetForLeaderEpochRequest { topics, ..Default::default() }, 4);
        let end = &reply.topics[0].partitions[0];
        assert_eq!((end.error_code, end.leader_epoch, end.end_offset), (ErrorCode::None, 0, 3));
        let request = || InitProducerIdRequest { transactional_id: None, ..Default::default() };
        let first = ask!(client, InitProducerId, request(), 4);
        let second = ask!(client, InitProducerId, request(), 4);
        assert_eq!((first.error_code, first.producer_epoch), (ErrorCode::None, 0));
        assert_ne!(first.producer_id, second.producer_id);
    });
}

#[test]
fn topics_are_made_on_the_way_and_grow() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(metadata(&mut client, "new").await.error_code, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(metadata(&mut client, "new").await.partitions.len(), 1);
        let more = CreatePartitionsTopic { name: "new".into(), count: 5, assignments: None };
        let request = |more| CreatePartitionsRequest { topics: vec![more], ..Default::default() };
        let told = ask!(client, CreatePartitions, request(more.clone()), 3).results.remove(0);
        assert_eq!((told.error_code, told.error_message), (ErrorCode::None, None));
        assert_eq!(metadata(&mut client, "new").await.partitions.len(), 5);
        let told = ask!(client, CreatePartitions, request(more), 3).results.remove(0);
        assert_eq!(told.error_code, ErrorCode::InvalidPartitions);
    });
}

#[test]
fn records_are_deleted_up_to_an_offset_or_the_high_watermark() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 1).await, ErrorCode::None);
        produce(&mut client, "t", vec![(0, batch(&["a", "b", "c"]))]).await;
        let outcomes = [(2, 2, ErrorCode::None), (9, -1, ErrorCode::OffsetOutOfRange), (-1, 3, ErrorCode::None)];
        for (offset, low_watermark, error_code) in outcomes {
            let asked = DeleteRecordsPartition { partition_index: 0, offset };
            let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions: vec![asked] }];
            let reply = ask!(client, DeleteRecords, DeleteRecordsRequest { topics, ..Default::default() }, 2);
            let part = &reply.topics[0].partitions[0];
            assert_eq!((part.low_watermark, part.error_code), (low_watermark, error_code), "offset {offset}");
        }
        let read = parts(ask!(client, Fetch, fetch_request("t", 0, &[(0, 0)]), 11));
        assert_eq!(read[0].error_code, ErrorCode::OffsetOutOfRange);
    });
}

#[test]
fn the_cluster_is_described_and_its_controllers_are_asked_elsewhere() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let reply = ask!(client, DescribeCluster, DescribeClusterRequest::default(), 2);
        assert_eq!((reply.controller_id, reply.brokers.len(), reply.cluster_id.as_str()), (1, 1, "cluster"));
        let request = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
        assert_eq!(ask!(client, DescribeCluster, request, 2).error_code, ErrorCode::MismatchedEndpointType);
    });
}

#[test]
fn a_stop_answers_fetches_that_wait() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        assert_eq!(create(&mut client, "t", 2).await, ErrorCode::None);
        let request = fetch_request("t", 60_000, &[(0, 0), (1, 0)]);
        assert!(client.send(&crate::listen::test_client::frame(request.into(), 11, 5)).await);
        let later = rt.clone();
        rt.spawn(async move {
            let start = later.now();
            assert_eq!(client.correlation_id().await, Some(5));
            assert!(later.now().since(start) < Duration::from_secs(5));
        });
        rt.sleep_until(rt.now().after(Duration::from_millis(100))).await;
    });
}
