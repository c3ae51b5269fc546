//! What the cases need of librdkafka: topics made and deleted, records sent and their acks, partitions read by assignment.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, Timestamp};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::report::Failure;

/// How long any one step of a case may take.
pub const STEP: Duration = Duration::from_secs(60);

/// A broker to test, and a name of its own for each run's topics.
#[derive(Clone, Debug)]
pub struct Cluster {
    bootstrap: String,
    run: String,
}

/// A record to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp_ms: Option<i64>,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    pub offset: i64,
    pub timestamp: Timestamp,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// An ack: where the record stands, or why it was refused.
pub type Ack = Result<(i32, i64), RDKafkaErrorCode>;

/// Hands every delivery report on, in the order in which they come.
struct Acks(Sender<(usize, Ack)>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let ack = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(code_of(error)),
        };
        // The receiver is gone only when the case has failed already.
        let _gone = self.0.send((*index, ack));
    }
}

impl Cluster {
    pub fn new(bootstrap: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is past 1970");
        Self { bootstrap: bootstrap.to_owned(), run: format!("{:x}", now.as_millis()) }
    }

    /// A topic name that no other run uses.
    pub fn name(&self, topic: &str) -> String {
        format!("rust-{topic}-{}", self.run)
    }

    pub fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("broker.address.family", "v4");
        config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "500");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    pub fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Failure> {
        Ok(self.config(&[]).create()?)
    }

    /// Makes a topic of this run and returns its full name.
    pub fn create(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<String, Failure> {
        let name = self.name(topic);
        self.try_create(&name, partitions, settings)?.map_err(|code| format!("creating {name}: {code}"))?;
        Ok(name)
    }

    /// Asks for a topic by its full name; the broker's answer is the inner result.
    pub fn try_create(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<Result<(), RDKafkaErrorCode>, Failure> {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let answer = pollster::block_on(self.admin()?.create_topics([&topic], &patient()))?;
        one(answer).map(|topic| topic.map(drop).map_err(|(_, code)| code))
    }

    pub fn delete(&self, name: &str) -> Result<Result<(), RDKafkaErrorCode>, Failure> {
        let answer = pollster::block_on(self.admin()?.delete_topics(&[name], &patient()))?;
        one(answer).map(|topic| topic.map(drop).map_err(|(_, code)| code))
    }

    pub fn grow(&self, name: &str, partitions: usize) -> Result<Result<(), RDKafkaErrorCode>, Failure> {
        let ask = NewPartitions::new(name, partitions);
        let answer = pollster::block_on(self.admin()?.create_partitions([&ask], &patient()))?;
        one(answer).map(|topic| topic.map(drop).map_err(|(_, code)| code))
    }

    /// The number of partitions that metadata shows; `None` when the topic does not exist.
    pub fn partitions(&self, name: &str) -> Result<Option<usize>, Failure> {
        let consumer = self.consumer()?;
        let all = consumer.fetch_metadata(None, STEP)?;
        Ok(all.topics().iter().find(|t| t.name() == name && t.error().is_none()).map(|t| t.partitions().len()))
    }

    /// Sends all records in order, waits for their acks and gives them in the order of the records.
    pub fn produce(&self, topic: &str, settings: &[(&str, &str)], records: &[Record]) -> Result<Vec<Ack>, Failure> {
        let (acks_in, acks) = channel();
        let producer: ThreadedProducer<Acks> = self.config(settings).create_with_context(Acks(acks_in))?;
        for (index, record) in records.iter().enumerate() {
            send(&producer, topic, record, index)?;
        }
        producer.flush(STEP)?;
        collect(&acks, records.len())
    }

    /// As `produce`, for records that must all be acked; gives their offsets.
    pub fn produce_all(&self, topic: &str, settings: &[(&str, &str)], records: &[Record]) -> Result<Vec<i64>, Failure> {
        let acks = self.produce(topic, settings, records)?;
        let offset =
            |(at, ack): (usize, Ack)| ack.map(|(_, offset)| offset).map_err(|e| format!("record {at}: {e}").into());
        acks.into_iter().enumerate().map(offset).collect()
    }

    /// A consumer for `assign`; it never joins a group.
    pub fn consumer(&self) -> Result<BaseConsumer, Failure> {
        let settings = [("group.id", "assigned"), ("enable.auto.commit", "false"), ("auto.offset.reset", "error")];
        Ok(self.config(&settings).set("enable.auto.offset.store", "false").create()?)
    }

    /// Reads `count` records of one partition from `from` on.
    pub fn read(&self, topic: &str, partition: i32, from: Offset, count: usize) -> Result<Vec<ReadRecord>, Failure> {
        let consumer = self.assigned(topic, &[(partition, from)])?;
        let read = poll_records(&consumer, count)?;
        Ok(read.into_iter().map(|(_, record)| record).collect())
    }

    pub fn assigned(&self, topic: &str, partitions: &[(i32, Offset)]) -> Result<BaseConsumer, Failure> {
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for (partition, from) in partitions {
            list.add_partition_offset(topic, *partition, *from)?;
        }
        consumer.assign(&list)?;
        Ok(consumer)
    }

    /// The offset of the first record at or after `timestamp_ms`, as ListOffsets gives it.
    pub fn offset_at(&self, topic: &str, partition: i32, timestamp_ms: i64) -> Result<Offset, Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(timestamp_ms))?;
        let found = self.consumer()?.offsets_for_times(list, STEP)?;
        let element = found.find_partition(topic, partition).ok_or("the partition is missing in the answer")?;
        element.error()?;
        Ok(element.offset())
    }
}

/// Polls until `count` records have come; the partition comes with each.
pub fn poll_records(consumer: &BaseConsumer, count: usize) -> Result<Vec<(i32, ReadRecord)>, Failure> {
    let deadline = Instant::now() + STEP;
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        if Instant::now() > deadline {
            return Err(format!("{} of {count} records came within {STEP:?}", records.len()).into());
        }
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => records.push((message.partition(), read_record(&message))),
            // A group coordinator is not needed to read by assignment; the client reports its absence all the same.
            Some(Err(error)) if about_coordinator(&error) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(records)
}

/// True for the client's news about a group coordinator that it cannot find.
pub fn about_coordinator(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, CoordinatorNotAvailable, WaitingForCoordinator};
    matches!(code_of(error), CoordinatorNotAvailable | WaitingForCoordinator | AllBrokersDown | BrokerTransportFailure)
}

pub fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
}

fn read_record(message: &impl Message) -> ReadRecord {
    let headers = |found: &dyn Fn(usize) -> Option<(String, Option<Vec<u8>>)>| (0..).map_while(found).collect();
    let all = message.headers();
    ReadRecord {
        offset: message.offset(),
        timestamp: message.timestamp(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(&|at| {
            let header = all.as_ref().filter(|h| at < h.count())?.get(at);
            Some((header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        }),
    }
}

fn send(producer: &ThreadedProducer<Acks>, topic: &str, record: &Record, index: usize) -> Result<(), Failure> {
    let mut next =
        BaseRecord::<[u8], [u8], Box<usize>>::with_opaque_to(topic, Box::new(index)).partition(record.partition);
    next.key = record.key.as_deref();
    next.payload = record.value.as_deref();
    next.timestamp = record.timestamp_ms;
    if !record.headers.is_empty() {
        let add = |all: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
            all.insert(Header { key, value: value.as_ref() })
        };
        next.headers = Some(record.headers.iter().fold(OwnedHeaders::new(), add));
    }
    producer.send(next).map_err(|(error, _)| error.into())
}

fn collect(acks: &Receiver<(usize, Ack)>, count: usize) -> Result<Vec<Ack>, Failure> {
    let mut all: Vec<Option<Ack>> = vec![None; count];
    for _ in 0..count {
        let (index, ack) = acks.recv_timeout(STEP).map_err(|_| "an ack is missing")?;
        all[index] = Some(ack);
    }
    all.into_iter().map(|ack| ack.ok_or_else(|| "an ack came twice".into())).collect()
}

fn one<T>(answer: Vec<T>) -> Result<T, Failure> {
    answer.into_iter().next().ok_or_else(|| "the answer names no topic".into())
}

/// Options of an admin call that may take as long as a step.
pub fn patient() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(STEP)).operation_timeout(Some(STEP))
}
