//! Tests of the client against a broker that is made for them: one topic of one partition in memory, and faults on demand.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shards::batch::{BatchHeader, Compression, stamp};
use shards::types::{LeaderEpoch, Offset};

mod groups;

use super::*;
use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use crate::wire::messages::create_topics::{CreatableTopicResult, CreateTopicsResponse};
use crate::wire::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
};
use crate::wire::messages::fetch::{AbortedTransaction, FetchResponse, FetchableTopicResponse, PartitionData};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use crate::wire::messages::init_producer_id::InitProducerIdResponse;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use crate::wire::messages::{ApiKey, Request, Response};
use crate::wire::{Bytes, ErrorCode, Message, Reader, RequestHeader, Str, encode_response};

const TOPIC: &str = "t";

/// What goes wrong with the next request of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Produce answers this and appends nothing.
    Produce(ErrorCode),
    /// Produce appends, and the connection ends without an answer.
    ReplyLost,
    /// Metadata does not know the topic yet.
    NotMadeYet,
    /// A fetched byte is flipped.
    Flip,
}

#[derive(Default)]
struct State {
    log: Vec<Vec<u8>>,
    end: i64,
    faults: VecDeque<Fault>,
    /// Base sequences of the batches that came, in order, retries included.
    sequences: Vec<i32>,
    aborted: Vec<(i64, i64)>,
    /// Beside the first; their batches are acked, and are not read.
    more_partitions: i32,
    produce_requests: usize,
    /// What clients are told to connect to, if not where it listens.
    told_port: Option<u16>,
    /// What was set for the topic.
    configs: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Fake {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl Fake {
    fn start() -> Fake {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let fake = Fake { state: Arc::default(), address: listener.local_addr().expect("its address") };
        let serving = fake.clone();
        serve(listener, move |request| serving.answer(request));
        fake
    }

    fn with(faults: &[Fault]) -> Fake {
        let fake = Fake::start();
        fake.state().faults = faults.iter().copied().collect();
        fake
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test has panicked in it")
    }

    fn cluster(&self) -> Cluster {
        Cluster::connect(&self.address.to_string(), "test").expect("the fake answers")
    }

    fn producer(&self, codec: Compression) -> Producer {
        Producer::new(self.cluster(), TOPIC, codec).expect("a producer")
    }

    fn consumer(&self, offset: i64) -> Consumer {
        let mut consumer = Consumer::new(self.cluster(), TOPIC);
        consumer.assign(0, offset);
        consumer
    }

    fn fault(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let faults = &mut self.state().faults;
        if faults.front().is_some_and(wanted) { faults.pop_front() } else { None }
    }

    fn answer(&self, request: Request) -> Option<Response> {
        Some(match request {
            Request::ApiVersions(_) => api_versions(|_| Some(i16::MAX)).into(),
            Request::Metadata(_) => self.metadata().into(),
            Request::InitProducerId(_) => InitProducerIdResponse { producer_id: 7, ..Default::default() }.into(),
            Request::CreateTopics(request) => {
                let refused = |name| CreatableTopicResult {
                    name,
                    error_code: ErrorCode::InvalidConfig,
                    error_message: Some("that is no config".into()),
                    ..Default::default()
                };
                let topics = request.topics.into_iter().map(|topic| refused(topic.name)).collect();
                CreateTopicsResponse { topics, ..Default::default() }.into()
            }
            Request::Produce(request) => {
                self.state().produce_requests += 1;
                let mut partition_responses = Vec::new();
                for data in &request.topic_data[0].partition_data {
                    let (error_code, base_offset) = self.append(data.records.as_ref().expect("records"))?;
                    let index = data.index;
                    partition_responses.push(PartitionProduceResponse {
                        index,
                        error_code,
                        base_offset,
                        ..Default::default()
                    });
                }
                let topic = TopicProduceResponse { name: TOPIC.into(), partition_responses, ..Default::default() };
                ProduceResponse { responses: vec![topic], ..Default::default() }.into()
            }
            Request::ListOffsets(request) => {
                let at = request.topics[0].partitions[0].timestamp;
                let offset = if at == -2 { 0 } else { self.state().end };
                let part = ListOffsetsPartitionResponse { offset, ..Default::default() };
                let topic = ListOffsetsTopicResponse { name: TOPIC.into(), partitions: vec![part] };
                ListOffsetsResponse { topics: vec![topic], ..Default::default() }.into()
            }
            Request::Fetch(request) => {
                let part = self.fetch(request.topics[0].partitions[0].fetch_offset);
                let topic =
                    FetchableTopicResponse { topic: TOPIC.into(), partitions: vec![part], ..Default::default() };
                FetchResponse { responses: vec![topic], ..Default::default() }.into()
            }
            Request::DescribeConfigs(request) => self.describe_configs(&request.resources[0]).into(),
            Request::IncrementalAlterConfigs(request) => self.alter_configs(&request).into(),
            other => panic!("{other:?}"),
        })
    }

    /// retention.ms, with 7 as its default.
    fn describe_configs(&self, asked: &DescribeConfigsResource) -> DescribeConfigsResponse {
        let known = "retention.ms";
        let wanted = asked.configuration_keys.as_ref().is_none_or(|keys| keys.iter().any(|key| &**key == known));
        let set = self.state().configs.get(known).cloned();
        let config = DescribeConfigsResourceResult {
            name: known.into(),
            config_source: if set.is_some() { 1 } else { 5 },
            value: Some(set.unwrap_or_else(|| "7".to_owned()).into()),
            ..Default::default()
        };
        let there = &*asked.resource_name == TOPIC;
        let result = DescribeConfigsResult {
            error_code: if there { ErrorCode::None } else { ErrorCode::UnknownTopicOrPartition },
            configs: if there && wanted { vec![config] } else { Vec::new() },
            ..Default::default()
        };
        DescribeConfigsResponse { results: vec![result], ..Default::default() }
    }

    /// Takes numbers only.
    fn alter_configs(&self, request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
        let resource = &request.resources[0];
        let sound = |value: &Str| value.parse::<i64>().is_ok();
        let wrong = resource.configs.iter().any(|change| !change.value.as_ref().is_none_or(sound));
        if !wrong && !request.validate_only {
            for change in &resource.configs {
                let name = change.name.to_string();
                match (change.config_operation, &change.value) {
                    (0, Some(value)) => self.state().configs.insert(name, value.to_string()),
                    (1, None) => self.state().configs.remove(&name),
                    other => panic!("{other:?}"),
                };
            }
        }
        let response = AlterConfigsResourceResponse {
            error_code: if wrong { ErrorCode::InvalidConfig } else { ErrorCode::None },
            error_message: wrong.then(|| "that is no number.".into()),
            ..Default::default()
        };
        IncrementalAlterConfigsResponse { responses: vec![response], ..Default::default() }
    }

    fn metadata(&self) -> MetadataResponse {
        let port = i32::from(self.state().told_port.unwrap_or(self.address.port()));
        let broker = MetadataResponseBroker { node_id: 1, host: "127.0.0.1".into(), port, ..Default::default() };
        let unknown = self.fault(|fault| *fault == Fault::NotMadeYet).is_some();
        let partition = |partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: 1,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let partitions = (0..=self.state().more_partitions).map(partition).collect();
        let topic = MetadataResponseTopic {
            error_code: if unknown { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None },
            name: Some(TOPIC.into()),
            partitions: if unknown { Vec::new() } else { partitions },
            ..Default::default()
        };
        MetadataResponse { brokers: vec![broker], controller_id: 1, topics: vec![topic], ..Default::default() }
    }

    /// `None`: the reply is lost.
    fn append(&self, records: &Bytes) -> Option<(ErrorCode, i64)> {
        let header = BatchHeader::parse(records).expect("a batch");
        self.state().sequences.push(header.base_sequence);
        let fault = self.fault(|fault| matches!(fault, Fault::Produce(_) | Fault::ReplyLost));
        if let Some(Fault::Produce(code)) = fault {
            return Some((code, -1));
        }
        let mut state = self.state();
        // The retry of a batch whose reply was lost stands where the batch does.
        let last = state.log.last().map(|batch| BatchHeader::parse(batch).expect("a batch"));
        if let Some(last) = last.filter(|last| last.base_sequence == header.base_sequence) {
            return Some((ErrorCode::None, last.base_offset));
        }
        let base = state.end;
        let mut batch = records.to_vec();
        stamp(&mut batch, Offset(base), LeaderEpoch(0));
        state.log.push(batch);
        state.end += i64::from(header.record_count);
        (fault.is_none()).then_some((ErrorCode::None, base))
    }

    /// All batches from the one that has `offset`.
    fn fetch(&self, offset: i64) -> PartitionData {
        let flip = self.fault(|fault| *fault == Fault::Flip).is_some();
        let state = self.state();
        if offset > state.end {
            return PartitionData { error_code: ErrorCode::OffsetOutOfRange, ..Default::default() };
        }
        let wanted = |batch: &&Vec<u8>| BatchHeader::parse(batch).expect("a batch").last_offset() >= offset;
        let mut bytes: Vec<u8> = state.log.iter().filter(wanted).flatten().copied().collect();
        if let Some(last) = bytes.last_mut().filter(|_| flip) {
            *last ^= 1;
        }
        let aborted = |&(producer_id, first_offset): &(i64, i64)| AbortedTransaction { producer_id, first_offset };
        PartitionData {
            records: Some(Bytes::from(bytes).into()),
            aborted_transactions: Some(state.aborted.iter().map(aborted).collect()),
            ..Default::default()
        }
    }
}

/// Answers every connection's requests; one without an answer ends its connection.
fn serve(listener: TcpListener, answer: impl Fn(Request) -> Option<Response> + Clone + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, stream) = (answer.clone(), stream.expect("a connection"));
            std::thread::spawn(move || converse(stream, answer));
        }
    });
}

fn converse(mut stream: TcpStream, answer: impl Fn(Request) -> Option<Response>) {
    loop {
        let mut prefix = [0; 4];
        if stream.read_exact(&mut prefix).is_err() {
            return;
        }
        let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
        stream.read_exact(&mut frame).expect("a whole frame");
        let frame = Bytes::from(frame);
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).expect("a header");
        let api = ApiKey::from_key(header.api_key).expect("an API");
        let request = Request::decode(api, &mut reader, header.api_version).expect("a body");
        let Some(reply) = answer(request) else { return };
        let frame = encode_response(&reply, header.api_version, header.correlation_id).expect("a reply").concat();
        if stream.write_all(&frame).is_err() {
            return;
        }
    }
}

/// All APIs up to the newest version that is both ours and the fake's, which need not have one.
fn api_versions(max: impl Fn(ApiKey) -> Option<i16>) -> ApiVersionsResponse {
    let one = |api: &ApiKey| {
        let max_version = max(*api)?.min(api.versions().max);
        Some(ApiVersion { api_key: api.key(), min_version: api.versions().min, max_version })
    };
    ApiVersionsResponse { api_keys: ApiKey::ALL.iter().filter_map(one).collect(), ..Default::default() }
}

fn records(values: &[&str]) -> Vec<Outgoing> {
    let record = |value: &&str| Outgoing {
        timestamp_ms: 5,
        key: Some(b"key".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: vec![(b"h".to_vec(), None)],
    };
    values.iter().map(record).collect()
}

/// Sends one batch; its first record's offset.
fn send(producer: &mut Producer, records: &[Outgoing]) -> Result<Option<i64>, ClientError> {
    let sent = producer.send(&[(0, records)]);
    match sent.failed {
        Some(unsent) => Err(unsent.error),
        None => Ok(sent.offsets.get(&0).copied().flatten()),
    }
}

fn poll(consumer: &mut Consumer) -> Result<Vec<Received>, ClientError> {
    consumer.poll(Duration::from_millis(10))
}

fn values(received: &[Received]) -> Vec<(i64, String)> {
    let text = |bytes: &Option<Bytes>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    received.iter().map(|record| (record.offset, text(&record.value))).collect()
}

fn at(offset: i64, value: &str) -> (i64, String) {
    (offset, value.to_owned())
}

#[test]
fn what_was_produced_is_consumed_in_every_codec_from_any_offset() {
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let fake = Fake::start();
        let mut producer = fake.producer(codec);
        assert_eq!(send(&mut producer, &records(&["a", "b"])).expect("acked"), Some(0));
        assert_eq!(send(&mut producer, &records(&["c", "d"])).expect("acked"), Some(2));
        assert_eq!(fake.state().sequences, [0, 2]);
        let mut consumer = fake.consumer(1);
        let received = poll(&mut consumer).expect("records");
        assert_eq!(values(&received), [at(1, "b"), at(2, "c"), at(3, "d")], "{codec:?}");
        assert_eq!((received[0].timestamp_ms, received[0].key.as_deref()), (5, Some(&b"key"[..])));
        assert_eq!(received[0].headers, [(Bytes::from_static(b"h"), None)]);
        assert_eq!(consumer.positions()[&0], 4);
        assert_eq!(poll(&mut consumer).expect("nothing new"), []);
    }
}

#[test]
fn a_batch_is_sent_again_as_it_was_until_it_is_acked() {
    let fake = Fake::with(&[
        Fault::Produce(ErrorCode::NotLeaderOrFollower),
        Fault::Produce(ErrorCode::KafkaStorageError),
        Fault::ReplyLost,
    ]);
    let mut producer = fake.producer(Compression::None);
    assert_eq!(send(&mut producer, &records(&["a", "b"])).expect("acked"), Some(0));
    assert_eq!(send(&mut producer, &records(&["c"])).expect("acked"), Some(2));
    assert_eq!(fake.state().sequences, [0, 0, 0, 0, 2]);
    assert_eq!(fake.state().log.len(), 2, "appended once each");
}

#[test]
fn partitions_share_a_request_and_only_those_that_failed_are_sent_again() {
    let fake = Fake::with(&[Fault::Produce(ErrorCode::NotLeaderOrFollower)]);
    fake.state().more_partitions = 4;
    let mut producer = fake.producer(Compression::None);
    let batch = records(&["a"]);
    let all: Vec<(i32, &[Outgoing])> = (0..5).map(|partition| (partition, batch.as_slice())).collect();
    let sent = producer.send(&all);
    assert!(sent.failed.is_none() && sent.offsets.len() == 5, "{sent:?}");
    assert_eq!(fake.state().produce_requests, 2);
    assert_eq!(fake.state().sequences.len(), 6);

    // The others are acked all the same, and who was refused is named.
    fake.state().faults = [Fault::Produce(ErrorCode::MessageTooLarge)].into();
    let sent = producer.send(&all);
    assert!(
        matches!(sent.failed, Some(Unsent { partition: Some(0), error: ClientError::Refused { .. }, .. })),
        "{sent:?}"
    );
    assert_eq!(sent.offsets.into_keys().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(fake.state().produce_requests, 3);
}

#[test]
fn what_will_never_be_taken_is_not_sent_again() {
    let fake = Fake::with(&[Fault::Produce(ErrorCode::MessageTooLarge)]);
    let refused = send(&mut fake.producer(Compression::None), &records(&["a"])).expect_err("refused");
    assert!(matches!(refused, ClientError::Refused { code: ErrorCode::MessageTooLarge, .. }), "{refused}");
    assert_eq!(fake.state().sequences.len(), 1);
    let refused = create_topic(&mut fake.cluster(), "x", 1, 1, &[]).expect_err("refused").to_string();
    assert!(
        refused.contains("INVALID_CONFIG (40)") && refused.contains("that is no config; `corelog config explain KEY`"),
        "{refused}"
    );
}

#[test]
fn a_topic_that_its_first_use_makes_is_waited_for_and_another_is_not() {
    let fake = Fake::with(&[Fault::NotMadeYet, Fault::NotMadeYet]);
    assert_eq!(fake.producer(Compression::None).partitions(), 1);
    let fake = Fake::with(&[Fault::NotMadeYet]);
    assert!(matches!(fake.cluster().topic(TOPIC, false), Err(ClientError::NoTopic { .. })));
    assert!(matches!(fake.cluster().leader(TOPIC, 1), Err(ClientError::NoPartition { partition: 1, last: 0, .. })));
}

#[test]
fn an_offset_that_is_not_there_is_refused_with_those_that_are() {
    let fake = Fake::start();
    send(&mut fake.producer(Compression::None), &records(&["a", "b"])).expect("acked");
    let refused = poll(&mut fake.consumer(9)).expect_err("out of range");
    assert!(matches!(refused, ClientError::OutOfRange { asked: 9, first: 0, end: 2, .. }), "{refused}");
}

#[test]
fn damage_is_named_after_everything_before_it_was_handed_out() {
    let fake = Fake::start();
    let mut producer = fake.producer(Compression::None);
    send(&mut producer, &records(&["good"])).expect("acked");
    send(&mut producer, &records(&["bad"])).expect("acked");
    fake.state().faults = [Fault::Flip, Fault::Flip].into();
    let mut consumer = fake.consumer(0);
    assert_eq!(values(&poll(&mut consumer).expect("the good one")), [at(0, "good")]);
    assert!(matches!(poll(&mut consumer), Err(ClientError::Damaged { offset: 1, .. })));
    assert_eq!(values(&poll(&mut consumer).expect("read again, it is whole")), [at(1, "bad")]);
}

#[test]
fn records_of_an_aborted_transaction_and_its_end_are_passed_over() {
    use shards::batch::{CRC_FROM, crc::crc32c};
    /// Attributes of a batch in a transaction, and of its end.
    const TRANSACTIONAL: u8 = 0x10;
    const CONTROL: u8 = 0x30;
    let fake = Fake::start();
    let mut producer = fake.producer(Compression::None);
    for value in ["plain", "aborted", "end of the aborted", "committed"] {
        send(&mut producer, &records(&[value])).expect("acked");
    }
    let mut state = fake.state();
    state.aborted = vec![(7, 1)];
    for (batch, attributes) in state.log.iter_mut().zip([0, TRANSACTIONAL, CONTROL, TRANSACTIONAL]) {
        batch[22] = attributes;
        let crc = crc32c(&batch[CRC_FROM..]).to_be_bytes();
        batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc);
    }
    drop(state);
    let mut consumer = fake.consumer(0);
    assert_eq!(values(&poll(&mut consumer).expect("records")), [at(0, "plain"), at(3, "committed")]);
}

#[test]
fn configs_are_set_checked_and_taken_back() {
    let fake = Fake::start();
    let mut cluster = fake.cluster();
    let told = |cluster: &mut Cluster, keys: &[String]| {
        let entries = topic_configs(cluster, TOPIC, keys, false).expect("configs");
        entries.into_iter().map(|entry| (entry.value.unwrap_or_default(), entry.source)).collect::<Vec<_>>()
    };
    let change =
        |value: Option<&str>| vec![ConfigChange { key: "retention.ms".to_owned(), value: value.map(str::to_owned) }];
    assert_eq!(told(&mut cluster, &[]), [("7".to_owned(), ConfigSource::Default)]);
    alter_topic_configs(&mut cluster, TOPIC, &change(Some("9")), true).expect("it could be");
    assert_eq!(told(&mut cluster, &[]), [("7".to_owned(), ConfigSource::Default)], "a dry run changes nothing");
    alter_topic_configs(&mut cluster, TOPIC, &change(Some("9")), false).expect("changed");
    assert_eq!(told(&mut cluster, &["retention.ms".to_owned()]), [("9".to_owned(), ConfigSource::Topic)]);
    alter_topic_configs(&mut cluster, TOPIC, &change(None), false).expect("taken back");
    assert_eq!(told(&mut cluster, &[]), [("7".to_owned(), ConfigSource::Default)]);
    assert_eq!(told(&mut cluster, &["other".to_owned()]), []);

    let refused = alter_topic_configs(&mut cluster, TOPIC, &change(Some("x")), false).expect_err("no number");
    let text = refused.to_string();
    assert!(text.contains("INVALID_CONFIG (40): that is no number; `corelog config explain KEY`"), "{text}");
    assert!(matches!(topic_configs(&mut cluster, "other", &[], false), Err(ClientError::NoTopic { .. })));
}

#[test]
fn who_cannot_be_reached_is_named_with_the_cure() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("its address");
    let refused = Cluster::connect(&free.to_string(), "test").err().expect("nobody is there");
    assert!(refused.to_string().contains("--bootstrap"), "{refused}");

    let rude = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = rude.local_addr().expect("its address").to_string();
    std::thread::spawn(move || rude.accept());
    let refused = Cluster::connect(&address, "test").err().expect("it hangs up");
    assert!(refused.to_string().contains("--bootstrap"), "{refused}");

    let fake = Fake::start();
    fake.state().told_port = Some(free.port());
    let mut cluster = fake.cluster();
    cluster.topic(TOPIC, false).expect("the bootstrap address answers");
    let refused =
        cluster.call(1, crate::wire::messages::metadata::MetadataRequest::default()).expect_err("unreachable");
    assert!(refused.to_string().contains("advertised.listeners"), "{refused}");
}

#[test]
fn the_versions_of_this_client_name_topics_by_name() {
    use crate::wire::messages::{fetch::FetchRequest, produce::ProduceRequest};
    for (api, by_id_from, versions) in
        [(ApiKey::Produce, 13, ProduceRequest::VERSIONS), (ApiKey::Fetch, 13, FetchRequest::VERSIONS)]
    {
        assert!(versions.contains(by_id_from), "{}", api.name());
        let connection = Connection::open(&Fake::start().address.to_string(), "test").expect("the fake answers");
        assert_eq!(connection.link().version(api).ok(), Some(by_id_from - 1), "{}", api.name());
    }
}
