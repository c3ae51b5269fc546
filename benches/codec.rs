//! Micro-benchmarks of the wire codec, cache-hot, on one core: `cargo bench --bench codec`.
//! Prints the median time of a step over many rounds.

use std::hint::black_box;
use std::time::{Duration, Instant};

use corelog::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use corelog::wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::messages::{Request, Response};
use corelog::wire::{Bytes, Message, Reader, TopicId, Writer, encode_response};

const ROUNDS: usize = 200;
const STEPS_PER_ROUND: u32 = 1_000;

fn main() {
    for (partitions, version) in [(1, 7), (100, 7), (1, 13), (100, 13)] {
        let bytes = encoded(&produce(partitions, version), version);
        measure(&format!("decode Produce {version}, {partitions} × 16 KiB"), || {
            ProduceRequest::decode(&mut Reader::new(&bytes), version)
        });
    }
    let bytes = encoded(&Request::Fetch(fetch(100)), 16);
    measure("decode Fetch 16, 100 partitions", || FetchRequest::decode(&mut Reader::new(&bytes), 16));

    for partitions in [1, 100] {
        let reply = fetched(partitions);
        measure(&format!("encode Fetch reply 16, {partitions} × 16 KiB"), || encode_response(&reply, 16, 1));
    }
    let reply = metadata(1_000);
    measure("encode Metadata reply 12, 1,000 partitions", || encode_response(&reply, 12, 1));
}

/// Prints the median time of one `step`.
fn measure<T>(what: &str, mut step: impl FnMut() -> T) {
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..STEPS_PER_ROUND {
                black_box(step());
            }
            start.elapsed() / STEPS_PER_ROUND
        })
        .collect();
    rounds.sort_unstable();
    println!("{what:<44} {:>8} ns", rounds[ROUNDS / 2].as_nanos());
}

fn encoded(request: &Request, version: i16) -> Bytes {
    let mut w = Writer::default();
    request.encode(&mut w, version).expect("the version carries the request");
    w.into_bytes()
}

fn produce(partitions: i32, version: i16) -> Request {
    let records = Bytes::from(vec![7; 16 << 10]);
    let partition_data =
        (0..partitions).map(|index| PartitionProduceData { index, records: Some(records.clone()) }).collect();
    let topic = match version {
        13 => TopicProduceData { topic_id: TopicId([3; 16]), partition_data, ..Default::default() },
        _ => TopicProduceData { name: "orders".into(), partition_data, ..Default::default() },
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }.into()
}

fn fetch(partitions: i32) -> FetchRequest {
    let partitions = (0..partitions)
        .map(|partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() })
        .collect();
    let topic = FetchTopic { topic_id: TopicId([3; 16]), partitions, ..Default::default() };
    FetchRequest { topics: vec![topic], ..Default::default() }
}

fn fetched(partitions: i32) -> Response {
    let records = Bytes::from(vec![7; 16 << 10]);
    let partitions = (0..partitions)
        .map(|partition_index| PartitionData {
            partition_index,
            aborted_transactions: None,
            records: Some(records.clone().into()),
            ..Default::default()
        })
        .collect();
    let topic = FetchableTopicResponse { topic_id: TopicId([3; 16]), partitions, ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }.into()
}

fn metadata(partitions: i32) -> Response {
    let partitions = (0..partitions)
        .map(|partition_index| MetadataResponsePartition {
            partition_index,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        })
        .collect();
    let topic = MetadataResponseTopic { name: Some("orders".into()), partitions, ..Default::default() };
    MetadataResponse { topics: vec![topic], ..Default::default() }.into()
}
