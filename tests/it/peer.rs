//! A client that says exactly what it is told: one connection, one request at a time, messages of our own codec.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use corelog::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use corelog::wire::messages::delete_topics::DeleteTopicsRequest;
use corelog::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use corelog::wire::messages::init_producer_id::InitProducerIdRequest;
use corelog::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelog::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use corelog::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{ErrorCode, Reader, ResponseHeader, TopicId, encode_request};
use shards::batch::{BatchBuilder, NewRecord};

use crate::broker::Connection;

/// Unpacks the reply that the request must get.
macro_rules! reply {
    ($api:ident, $reply:expr) => {
        match $reply {
            corelog::wire::messages::Response::$api(reply) => reply,
            other => panic!("a reply of another API: {other:?}"),
        }
    };
}
pub(crate) use reply;

/// Produce's last version with topic names.
pub const PRODUCE: i16 = 12;
/// Fetch's last version with topic names.
pub const FETCH: i16 = 12;

impl Connection {
    pub fn ask(&mut self, request: impl Into<Request>, version: i16) -> Response {
        self.try_ask(request, version).expect("a reply, not the end of the connection")
    }

    /// `None` when the broker has closed the connection.
    pub fn try_ask(&mut self, request: impl Into<Request>, version: i16) -> Option<Response> {
        let request = request.into();
        if !self.try_send_bytes(&frame(&request, version)) {
            return None;
        }
        self.reply_to(request.api(), version)
    }

    /// The reply to a request that was sent before.
    pub fn reply_to(&mut self, api: ApiKey, version: i16) -> Option<Response> {
        let frame = Bytes::from(self.receive()?);
        let mut reader = Reader::new(&frame);
        let header = ResponseHeader::decode(&mut reader, api, version).expect("a header");
        assert_eq!(header.correlation_id, 7);
        Some(Response::decode(api, &mut reader, version).expect("a reply of this version"))
    }

    /// Sends a request and awaits nothing.
    pub fn tell(&mut self, request: &Request, version: i16) {
        self.send_bytes(&frame(request, version));
    }

    pub fn create(&mut self, name: &str, partitions: i32) -> ErrorCode {
        self.create_with(name, partitions, &[])
    }

    pub fn create_with(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> ErrorCode {
        let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
            name: name.to_owned().into(),
            value: Some(value.to_owned().into()),
        };
        let topic = CreatableTopic {
            name: name.to_owned().into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let ask = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
        reply!(CreateTopics, self.ask(ask, 5)).topics[0].error_code
    }

    pub fn delete(&mut self, name: &str) -> ErrorCode {
        let ask =
            DeleteTopicsRequest { topic_names: vec![name.to_owned().into()], timeout_ms: 30_000, ..Default::default() };
        reply!(DeleteTopics, self.ask(ask, 5)).responses[0].error_code
    }

    /// Metadata of one topic, which the request may make.
    pub fn topic(&mut self, name: &str, create: bool) -> MetadataResponseTopic {
        let asked = MetadataRequestTopic { name: Some(name.to_owned().into()), topic_id: TopicId::ZERO };
        let ask =
            MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: create, ..Default::default() };
        reply!(Metadata, self.ask(ask, 12)).topics.remove(0)
    }

    /// The producer id and epoch for idempotence.
    pub fn producer_id(&mut self) -> (i64, i16) {
        let ask =
            InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
        let reply = reply!(InitProducerId, self.ask(ask, 4));
        assert_eq!(reply.error_code, ErrorCode::None);
        (reply.producer_id, reply.producer_epoch)
    }

    /// Sends these bytes as the records of partitions 0, 1, 2 …; gives their answers in that order.
    pub fn produce(&mut self, topic: &str, acks: i16, records: &[Bytes]) -> Vec<PartitionProduceResponse> {
        let reply = reply!(Produce, self.ask(produce_request(topic, acks, records), PRODUCE));
        let mut answers = reply.responses.into_iter().next().expect("one topic").partition_responses;
        // No order is promised.
        answers.sort_by_key(|answer| answer.index);
        answers
    }

    /// Sends one batch to partition 0; gives its error and base offset.
    pub fn append(&mut self, topic: &str, batch: &Bytes) -> (ErrorCode, i64) {
        let answer = self.produce(topic, -1, std::slice::from_ref(batch)).remove(0);
        (answer.error_code, answer.base_offset)
    }

    pub fn fetch(&mut self, request: FetchRequest) -> FetchResponse {
        reply!(Fetch, self.ask(request, FETCH))
    }

    /// ListOffsets of partition 0: error and offset.
    pub fn list_offset(&mut self, topic: &str, timestamp: i64, version: i16) -> (ErrorCode, i64) {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let reply = reply!(ListOffsets, self.ask(list_request(topic, vec![partition]), version));
        let answer = &reply.topics[0].partitions[0];
        (answer.error_code, answer.offset)
    }
}

/// The request as it goes over the wire, its length included.
pub fn frame(request: &Request, version: i16) -> Vec<u8> {
    encode_request(request, version, 7, None).expect("this version carries it").concat()
}

pub fn list_request(topic: &str, partitions: Vec<ListOffsetsPartition>) -> ListOffsetsRequest {
    let topic = ListOffsetsTopic { name: topic.to_owned().into(), partitions };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
}

pub fn produce_request(topic: &str, acks: i16, records: &[Bytes]) -> ProduceRequest {
    let partition = |(index, records): (i32, &Bytes)| PartitionProduceData { index, records: Some(records.clone()) };
    let partition_data = (0..).zip(records).map(partition).collect();
    let topic = TopicProduceData { name: topic.to_owned().into(), partition_data, ..Default::default() };
    ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

/// A fetch of partition 0 from this offset, outside of any session, that does not wait.
pub fn fetch_request(topic: &str, offset: i64) -> FetchRequest {
    let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: topic.to_owned().into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms: 0, min_bytes: 1, max_bytes: 1 << 20, topics: vec![topic], ..Default::default() }
}

/// A batch of these values; `producer` is id, epoch and first sequence. Its timestamps are of now: a broker may forget a
/// producer whose last record is old.
pub fn batch(values: &[&[u8]], producer: Option<(i64, i16, i32)>) -> Bytes {
    let timestamp_ms = now_ms();
    let mut builder = BatchBuilder::new(timestamp_ms);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for value in values {
        builder.push(&NewRecord { timestamp_ms, value: Some(value), ..Default::default() });
    }
    builder.finish().expect("no codec, no error")
}

/// The wall clock, as records have it.
pub fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_millis()).expect("a year of four digits")
}
