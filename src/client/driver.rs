//! Blocking sockets around `session`: one connection for each broker, requests go to the leader. For the command line.
//!
//! Invariant: every wait has a time-out; an error names the broker and what to do.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::session::{Session, SessionError};
use crate::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use crate::wire::messages::{Request, Response};
use crate::wire::{ErrorCode, TopicId};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Above every wait that we ask a broker for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(40);
/// What we ask brokers to take at most, in milliseconds.
const REQUEST_TIMEOUT_MS: i32 = 30_000;
/// Versions from here on name topics by id only.
const PRODUCE_BY_NAME_MAX: i16 = 12;
const FETCH_BY_NAME_MAX: i16 = 12;
const READ_BYTES: usize = 64 << 10;

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("{address} is no address: give HOST:PORT")]
    Address { address: String },
    #[error("no broker answers at {address}: {source}. Is it running, and is --bootstrap right?")]
    Connect { address: String, source: io::Error },
    #[error("the connection to {address} failed: {source}. Is the broker running, and is --bootstrap right?")]
    Io { address: String, source: io::Error },
    #[error("{address}: {source}")]
    Session { address: String, source: SessionError },
    #[error("the broker answered another question than was asked")]
    OtherReply,
    #[error("topic {topic}: {message}")]
    Topic { topic: String, code: ErrorCode, message: String },
    #[error("topic {topic}, partition {partition}: {code:?}{hint}")]
    Partition { topic: String, partition: i32, code: ErrorCode, hint: &'static str },
    #[error("topic {topic}, partition {partition} has no leader now: try again later")]
    NoLeader { topic: String, partition: i32 },
}

struct Connection {
    address: String,
    stream: TcpStream,
    session: Session,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Connection, ClientError> {
        let mut addresses =
            address.to_socket_addrs().map_err(|_| ClientError::Address { address: address.to_owned() })?;
        let addr = addresses.next().ok_or_else(|| ClientError::Address { address: address.to_owned() })?;
        let connect = |source| ClientError::Connect { address: address.to_owned(), source };
        let stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT).map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT)).map_err(connect)?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT)).map_err(connect)?;
        let mut connection = Connection {
            address: address.to_owned(),
            stream,
            session: Session::default(),
            buffer: vec![0; READ_BYTES],
        };
        for fallback in [false, true] {
            let frame = connection.session.ask_versions(fallback).map_err(|e| connection.failed(e))?;
            let Response::ApiVersions(reply) = connection.exchange(&frame)? else {
                return Err(ClientError::OtherReply);
            };
            if connection.session.take_versions(&reply).map_err(|e| connection.failed(e))? {
                break;
            }
        }
        Ok(connection)
    }

    fn ask(&mut self, request: Request, version_max: i16) -> Result<Response, ClientError> {
        let frame = self.session.request(request, version_max).map_err(|e| self.failed(e))?;
        self.exchange(&frame)
    }

    fn exchange(&mut self, frame: &[Bytes]) -> Result<Response, ClientError> {
        for segment in frame {
            self.stream.write_all(segment).map_err(|e| self.broken(e))?;
        }
        loop {
            if let Some(reply) = self.session.reply().map_err(|e| self.failed(e))? {
                return Ok(reply);
            }
            let read = self.stream.read(&mut self.buffer).map_err(|e| self.broken(e))?;
            if read == 0 {
                return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
            }
            self.session.receive(self.buffer.get(..read).unwrap_or_default());
        }
    }

    fn failed(&self, source: SessionError) -> ClientError {
        ClientError::Session { address: self.address.clone(), source }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Io { address: self.address.clone(), source }
    }
}

/// A cluster, as one command sees it.
pub struct Client {
    bootstrap: Connection,
    brokers: BTreeMap<i32, Connection>,
    addresses: BTreeMap<i32, String>,
}

/// Unpacks the reply that a request must get.
macro_rules! expect {
    ($api:ident, $reply:expr) => {
        match $reply {
            Response::$api(reply) => reply,
            _ => return Err(ClientError::OtherReply),
        }
    };
}

impl Client {
    pub fn connect(bootstrap: &str) -> Result<Client, ClientError> {
        let bootstrap = Connection::open(bootstrap)?;
        Ok(Client { bootstrap, brokers: BTreeMap::new(), addresses: BTreeMap::new() })
    }

    /// Metadata of one topic or, with `None`, of all.
    pub fn metadata(&mut self, topic: Option<&str>) -> Result<MetadataResponse, ClientError> {
        let asked = |name: &str| MetadataRequestTopic { name: Some(name.to_owned().into()), topic_id: TopicId::ZERO };
        let request = MetadataRequest {
            topics: topic.map(|name| vec![asked(name)]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let reply = expect!(Metadata, self.bootstrap.ask(request.into(), i16::MAX)?);
        self.addresses = reply.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host.as_str(), b.port))).collect();
        Ok(reply)
    }

    /// One topic that must exist; its partitions in order.
    pub fn topic(&mut self, name: &str) -> Result<MetadataResponseTopic, ClientError> {
        let mut topic = self.metadata(Some(name))?.topics.into_iter().next().ok_or(ClientError::OtherReply)?;
        if topic.error_code != ErrorCode::None {
            return Err(topic_error(name, topic.error_code, None));
        }
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        Ok(topic)
    }

    pub fn create_topic(&mut self, topic: CreatableTopic) -> Result<(), ClientError> {
        let name = topic.name.as_str().to_owned();
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: REQUEST_TIMEOUT_MS, ..Default::default() };
        let reply = expect!(CreateTopics, self.bootstrap.ask(request.into(), i16::MAX)?);
        let result = reply.topics.first().ok_or(ClientError::OtherReply)?;
        match result.error_code {
            ErrorCode::None => Ok(()),
            code => Err(topic_error(&name, code, result.error_message.as_ref().map(|m| m.as_str()))),
        }
    }

    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let by_name = DeleteTopicState { name: Some(name.to_owned().into()), ..Default::default() };
        let version = self.bootstrap.session.version(crate::wire::messages::ApiKey::DeleteTopics, i16::MAX);
        let request = if version.is_ok_and(|version| version >= 6) {
            DeleteTopicsRequest { topics: vec![by_name], timeout_ms: REQUEST_TIMEOUT_MS, ..Default::default() }
        } else {
            DeleteTopicsRequest {
                topic_names: vec![name.to_owned().into()],
                timeout_ms: REQUEST_TIMEOUT_MS,
                ..Default::default()
            }
        };
        let reply = expect!(DeleteTopics, self.bootstrap.ask(request.into(), i16::MAX)?);
        let result = reply.responses.first().ok_or(ClientError::OtherReply)?;
        match result.error_code {
            ErrorCode::None => Ok(()),
            code => Err(topic_error(name, code, result.error_message.as_ref().map(|m| m.as_str()))),
        }
    }

    /// A producer id and epoch, for idempotence.
    pub fn producer_id(&mut self) -> Result<(i64, i16), ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: REQUEST_TIMEOUT_MS,
            producer_id: -1,
            producer_epoch: -1,
        };
        let reply = expect!(InitProducerId, self.bootstrap.ask(request.into(), i16::MAX)?);
        match reply.error_code {
            ErrorCode::None => Ok((reply.producer_id, reply.producer_epoch)),
            code => Err(topic_error("-", code, Some("no producer id"))),
        }
    }

    /// Appends one batch, acked by all in-sync replicas.
    pub fn produce(
        &mut self,
        topic: &MetadataResponseTopic,
        partition: i32,
        records: Bytes,
    ) -> Result<PartitionProduceResponse, ClientError> {
        let name = name_of(topic);
        let data = PartitionProduceData { index: partition, records: Some(records) };
        let topic_data =
            vec![TopicProduceData { name: name.clone().into(), partition_data: vec![data], ..Default::default() }];
        let request = ProduceRequest { acks: -1, timeout_ms: REQUEST_TIMEOUT_MS, topic_data, ..Default::default() };
        let leader = self.leader(topic, partition)?;
        let reply = expect!(Produce, leader.ask(request.into(), PRODUCE_BY_NAME_MAX)?);
        let answer =
            reply.responses.into_iter().flat_map(|t| t.partition_responses).next().ok_or(ClientError::OtherReply)?;
        match answer.error_code {
            ErrorCode::None => Ok(answer),
            code => Err(partition_error(&name, partition, code)),
        }
    }

    /// Offset for a timestamp in milliseconds, or for Kafka's -1 (end) and -2 (beginning). -1 if no record is that late.
    pub fn offset_at(&mut self, topic: &MetadataResponseTopic, partition: i32, at: i64) -> Result<i64, ClientError> {
        let name = name_of(topic);
        let asked = ListOffsetsPartition { partition_index: partition, timestamp: at, ..Default::default() };
        let topics = vec![ListOffsetsTopic { name: name.clone().into(), partitions: vec![asked] }];
        let request =
            ListOffsetsRequest { replica_id: -1, topics, timeout_ms: REQUEST_TIMEOUT_MS, ..Default::default() };
        let leader = self.leader(topic, partition)?;
        let reply = expect!(ListOffsets, leader.ask(request.into(), i16::MAX)?);
        let answer = reply.topics.into_iter().flat_map(|t| t.partitions).next().ok_or(ClientError::OtherReply)?;
        match answer.error_code {
            ErrorCode::None => Ok(answer.offset),
            code => Err(partition_error(&name, partition, code)),
        }
    }

    /// Record batches from an offset on; waits up to `wait` for the first.
    pub fn fetch(
        &mut self,
        topic: &MetadataResponseTopic,
        partition: i32,
        offset: i64,
        wait: Duration,
    ) -> Result<PartitionData, ClientError> {
        const BYTES_MAX: i32 = 4 << 20;
        let name = name_of(topic);
        let asked =
            FetchPartition { partition, fetch_offset: offset, partition_max_bytes: BYTES_MAX, ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).min(REQUEST_TIMEOUT_MS),
            min_bytes: 1,
            max_bytes: BYTES_MAX,
            topics: vec![FetchTopic { topic: name.clone().into(), partitions: vec![asked], ..Default::default() }],
            ..Default::default()
        };
        let leader = self.leader(topic, partition)?;
        let reply = expect!(Fetch, leader.ask(request.into(), FETCH_BY_NAME_MAX)?);
        let answer = reply.responses.into_iter().flat_map(|t| t.partitions).next();
        let answer = answer.ok_or_else(|| partition_error(&name, partition, reply.error_code))?;
        match answer.error_code {
            ErrorCode::None => Ok(answer),
            code => Err(partition_error(&name, partition, code)),
        }
    }

    fn leader(&mut self, topic: &MetadataResponseTopic, partition: i32) -> Result<&mut Connection, ClientError> {
        let no_leader = || ClientError::NoLeader { topic: name_of(topic), partition };
        let found = topic.partitions.iter().find(|p| p.partition_index == partition);
        let node = found
            .ok_or_else(|| partition_error(&name_of(topic), partition, ErrorCode::UnknownTopicOrPartition))?
            .leader_id;
        if !self.brokers.contains_key(&node) {
            let address = self.addresses.get(&node).ok_or_else(no_leader)?;
            let connection = Connection::open(address)?;
            self.brokers.insert(node, connection);
        }
        self.brokers.get_mut(&node).ok_or_else(no_leader)
    }
}

fn name_of(topic: &MetadataResponseTopic) -> String {
    topic.name.as_ref().map_or_else(String::new, |name| name.as_str().to_owned())
}

fn topic_error(topic: &str, code: ErrorCode, message: Option<&str>) -> ClientError {
    let message = match (code, message) {
        (ErrorCode::UnknownTopicOrPartition, _) => {
            format!("there is no such topic. Make it: corelog topic create {topic} --partitions 1")
        }
        (_, Some(message)) => message.to_owned(),
        (code, None) => format!("{code:?}"),
    };
    ClientError::Topic { topic: topic.to_owned(), code, message }
}

fn partition_error(topic: &str, partition: i32, code: ErrorCode) -> ClientError {
    let hint = match code {
        ErrorCode::OffsetOutOfRange => ": that offset is not in the log; start from beginning or end",
        ErrorCode::MessageTooLarge => ": raise the topic's max.message.bytes, or send smaller records",
        ErrorCode::UnknownTopicOrPartition => ": there is no such partition; see corelog topic describe",
        _ => "",
    };
    ClientError::Partition { topic: topic.to_owned(), partition, code, hint }
}
