//! What a case acts in: a broker it shares, topics of its own, and a transcript of what it was answered.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use corelog::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use corelog::wire::messages::delete_topics::DeleteTopicsRequest;
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::init_producer_id::InitProducerIdRequest;
use corelog::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelog::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{ErrorCode, PREFIX_BYTES, Reader, ResponseHeader, Str, TopicId, encode_request};

use crate::render::Names;
use crate::socket::Socket;

/// How long a busy broker may take until what was decided is seen by every request.
const SETTLED: Duration = Duration::from_secs(20);
/// How long a topic may take to appear of which its maker was told that the time had run out.
const UNTOLD: Duration = Duration::from_millis(50);
const HOUR_MS: i64 = 3600 * 1000;
pub const TIMEOUT_MS: i32 = 30_000;

/// Unpacks the reply that a request must get.
macro_rules! reply {
    ($api:ident, $reply:expr) => {
        match $reply {
            corelog::wire::messages::Response::$api(reply) => reply,
            other => panic!("a reply of another API: {other:?}"),
        }
    };
}
pub(crate) use reply;

pub struct World {
    socket: Socket,
    /// For what the case needs and does not ask about.
    aside: Socket,
    names: Names,
    transcript: String,
    made: Vec<String>,
    /// Requests that wait for an answer as long as the case lasts.
    parked: Vec<Socket>,
    address: SocketAddr,
    correlation_id: i32,
}

impl World {
    /// `key` sets the names of this case's topics apart from all others'.
    pub fn new(address: SocketAddr, key: &str) -> World {
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        let epoch_ms = i64::try_from(now.as_millis()).expect("a year of four digits") - HOUR_MS;
        World {
            socket: Socket::new(address),
            aside: Socket::new(address),
            names: Names::new(format!("{hash:016x}-"), epoch_ms),
            transcript: String::new(),
            made: Vec::new(),
            parked: Vec::new(),
            address,
            correlation_id: 0,
        }
    }

    /// Waits until the broker has all that it gets at its start: a block of producer ids comes last.
    pub fn ready(&mut self) {
        let ask = InitProducerIdRequest { transactional_id: None, ..Default::default() };
        self.wait(|world| reply!(InitProducerId, world.aside(ask.clone(), 1)).error_code == ErrorCode::None);
    }

    /// Deletes what the case made; gives what it was answered.
    pub fn finish(mut self) -> String {
        assert!(!self.transcript.is_empty(), "a case that asks nothing");
        for name in std::mem::take(&mut self.made) {
            self.delete(&name);
        }
        self.transcript
    }

    /// Deletes a topic, if it is there, and waits until it is gone.
    pub fn delete(&mut self, name: &str) {
        let topic_names = vec![Str::from(name)];
        let ask = DeleteTopicsRequest { topic_names, timeout_ms: TIMEOUT_MS, ..Default::default() };
        reply!(DeleteTopics, self.aside(ask, 5));
        self.gone_named(name);
    }

    /// The name of the case's topic that is called `tag`.
    pub fn name(&self, tag: &str) -> Str {
        format!("{}{tag}", self.names.prefix).into()
    }

    /// The transcript tells members apart by when they were met: this one is next.
    pub fn meet(&mut self, member: &str) {
        self.names.meet_member(member);
    }

    /// A time that the transcript shows as `T+after_ms`.
    pub fn time(&self, after_ms: i64) -> i64 {
        self.names.epoch_ms + after_ms
    }

    /// The name and the partitions of a new topic.
    pub fn topic(&mut self, tag: &str, partitions: i32) -> Str {
        self.topic_with(tag, partitions, &[])
    }

    pub fn topic_with(&mut self, tag: &str, partitions: i32, configs: &[(&str, &str)]) -> Str {
        let configs = configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name: Str::from(*name), value: Some(Str::from(*value)) });
        let topic = CreatableTopic {
            name: self.name(tag),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let ask = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let reply = reply!(CreateTopics, self.aside(ask, 5));
        assert_eq!(reply.topics[0].error_code, ErrorCode::None, "{reply:?}");
        self.settled(tag);
        self.name(tag)
    }

    /// Waits until a topic, however it was made, is there for every request; it is deleted when the case ends.
    pub fn settled(&mut self, tag: &str) {
        let name = self.name(tag);
        self.wait(|world| {
            let topic = world.metadata(&name);
            let leads = |world: &mut World, index| world.list_offset(&name, index) == ErrorCode::None;
            topic.error_code == ErrorCode::None
                && topic.partitions.iter().all(|p| p.error_code == ErrorCode::None && leads(world, p.partition_index))
        });
        let id = self.metadata(&name).topic_id;
        self.names.topics.insert(id, tag.to_owned());
        if !self.made.contains(&name.to_string()) {
            self.made.push(name.to_string());
        }
    }

    /// Waits until a topic is there, whether or not its maker was told so, or sure not to be.
    pub fn settled_or_gone(&mut self, tag: &str) {
        let name = self.name(tag);
        let deadline = Instant::now() + UNTOLD;
        while Instant::now() < deadline {
            if self.metadata(&name).error_code == ErrorCode::None {
                return self.settled(tag);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until a topic that was deleted is gone for every request.
    pub fn gone(&mut self, tag: &str) {
        let name = self.name(tag).to_string();
        self.gone_named(&name);
    }

    fn gone_named(&mut self, name: &str) {
        let gone = ErrorCode::UnknownTopicOrPartition;
        self.wait(|world| world.metadata(name).error_code == gone && world.list_offset(name, 0) == gone);
    }

    /// Waits until a topic, or a resource of another type, is described with this value.
    pub fn config_settled(&mut self, resource_type: i8, name: &str, key: &str, value: &str) {
        self.wait(|world| {
            let resource = DescribeConfigsResource {
                resource_type,
                resource_name: name.into(),
                configuration_keys: Some(vec![key.into()]),
            };
            let ask = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
            let reply = reply!(DescribeConfigs, world.aside(ask, 4));
            reply.results[0].configs.iter().any(|config| config.value.as_deref() == Some(value))
        });
    }

    pub fn id(&mut self, tag: &str) -> TopicId {
        let name = self.name(tag);
        self.metadata(&name).topic_id
    }

    /// Appends these batches; the case does not ask what comes of it.
    pub fn append(&mut self, topic: &str, index: i32, batch: &Bytes) {
        let partition = PartitionProduceData { index, records: Some(batch.clone()) };
        let topic = TopicProduceData { name: topic.into(), partition_data: vec![partition], ..Default::default() };
        let ask = ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data: vec![topic], ..Default::default() };
        let reply = reply!(Produce, self.aside(ask, 9));
        assert_eq!(reply.responses[0].partition_responses[0].error_code, ErrorCode::None, "{reply:?}");
    }

    /// Asks, and writes the answer down.
    pub fn ask(&mut self, request: impl Into<Request>, version: i16) -> Option<Response> {
        let request = request.into();
        let (frame, _) = self.frame(&request, version);
        self.send(&frame, request.api(), version)
    }

    /// Sends this body under a header of this API and version, and writes down what comes of it.
    pub fn ask_raw(&mut self, api: ApiKey, version: i16, body: &[u8]) -> Option<Response> {
        self.ask_raw_as(api, version, body, version)
    }

    /// The same, for a version whose reply has another one's form.
    pub fn ask_raw_as(&mut self, api: ApiKey, version: i16, body: &[u8], replied: i16) -> Option<Response> {
        let flexible: &[u8] = if api.flexible().contains(version) { &[0] } else { &[] };
        let header = [&api.key().to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1], &[0xff, 0xff], flexible];
        let body = [&header.concat(), body].concat();
        self.send(&framed(&body), api, replied)
    }

    /// Sends whole frames, lengths and all; the reply is read as one of this API and version.
    pub fn send(&mut self, bytes: &[u8], api: ApiKey, version: i16) -> Option<Response> {
        self.socket.send(bytes);
        match self.socket.receive() {
            Some(frame) => self.take(api, version, frame),
            None => {
                self.note("closed");
                None
            }
        }
    }

    /// A request's frame, to be sent with others.
    pub fn bytes(&mut self, request: impl Into<Request>, version: i16) -> Vec<u8> {
        self.frame(&request.into(), version).0
    }

    /// Sends these frames and nothing more after them: replies are still read.
    pub fn send_last(&mut self, bytes: &[u8], api: ApiKey, version: i16) -> Option<Response> {
        self.socket.send(bytes);
        self.socket.end_writes();
        self.next(api, version)
    }

    /// The next reply, to a request that was sent with another.
    pub fn next(&mut self, api: ApiKey, version: i16) -> Option<Response> {
        self.send(&[], api, version)
    }

    /// Asks what gets no answer: the answer to another request that follows proves it.
    pub fn tell(&mut self, request: impl Into<Request>, version: i16) {
        let request = request.into();
        let (frame, _) = self.frame(&request, version);
        self.socket.send(&frame);
        let next = Request::from(corelog::wire::messages::api_versions::ApiVersionsRequest::default());
        let (frame, next_id) = self.frame(&next, 0);
        self.socket.send(&frame);
        match self.socket.receive() {
            None => self.note("closed"),
            Some(frame) if frame.starts_with(&next_id.to_be_bytes()) => self.note("no reply"),
            Some(_) => self.note("a reply"),
        }
        self.socket.close();
    }

    /// A line of the case's own in the transcript.
    pub fn note(&mut self, text: &str) {
        writeln!(self.transcript, "{text}").expect("a String takes all");
    }

    fn take(&mut self, api: ApiKey, version: i16, frame: Vec<u8>) -> Option<Response> {
        let frame = Bytes::from(frame);
        let mut reader = Reader::new(&frame);
        let decoded =
            ResponseHeader::decode(&mut reader, api, version).and_then(|_| Response::decode(api, &mut reader, version));
        match decoded {
            Ok(reply) => {
                let text = self.names.render(&reply);
                self.note(&format!("{} {text}", api.name()));
                if reader.left() > 0 {
                    self.note(&format!("and {} bytes", reader.left()));
                }
                Some(reply)
            }
            Err(e) => {
                self.note(&format!("{} undecodable: {e}: {:02x?}", api.name(), &frame[..frame.len().min(64)]));
                None
            }
        }
    }

    /// Sends what is not answered soon; nobody reads the answer.
    pub fn park(&mut self, request: impl Into<Request>, version: i16) {
        let (frame, _) = self.frame(&request.into(), version);
        let mut socket = Socket::new(self.address);
        socket.send(&frame);
        self.parked.push(socket);
    }

    /// Asks what the case does not ask about.
    pub fn aside(&mut self, request: impl Into<Request>, version: i16) -> Response {
        let request = request.into();
        let (frame, _) = self.frame(&request, version);
        self.aside.send(&frame);
        let frame = Bytes::from(self.aside.receive().expect("a good request is answered"));
        let mut reader = Reader::new(&frame);
        ResponseHeader::decode(&mut reader, request.api(), version).expect("a header");
        Response::decode(request.api(), &mut reader, version).expect("a reply of this version")
    }

    fn frame(&mut self, request: &Request, version: i16) -> (Vec<u8>, i32) {
        self.correlation_id += 1;
        let frame = encode_request(request, version, self.correlation_id, Some(&"diff".into()));
        let frame = frame.unwrap_or_else(|e| panic!("version {version} cannot say {request:?}: {e}")).concat();
        debug_assert!(frame.len() > PREFIX_BYTES);
        (frame, self.correlation_id)
    }

    fn metadata(&mut self, name: &str) -> MetadataResponseTopic {
        let asked = MetadataRequestTopic { name: Some(name.into()), topic_id: TopicId::ZERO };
        let ask = MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: false, ..Default::default() };
        reply!(Metadata, self.aside(ask, 12)).topics.remove(0)
    }

    fn list_offset(&mut self, name: &str, partition_index: i32) -> ErrorCode {
        let partition = ListOffsetsPartition { partition_index, timestamp: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: name.into(), partitions: vec![partition] };
        let ask = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        reply!(ListOffsets, self.aside(ask, 5)).topics[0].partitions[0].error_code
    }

    /// Waits until it is so.
    pub fn wait(&mut self, mut done: impl FnMut(&mut World) -> bool) {
        let deadline = Instant::now() + SETTLED;
        while !done(self) {
            assert!(Instant::now() < deadline, "the broker does not settle");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The body behind its length.
pub fn framed(body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(body.len()).expect("a small body");
    [&len.to_be_bytes()[..], body].concat()
}
