//! Producers that never stop writing: idempotent, acks=all, each with a codec of its own, over all partitions in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

use super::history::History;
use crate::cases::CODECS;
use crate::checker::Event;
use crate::client::{Cluster, code_of};
use crate::payload::{Place, Value, key_bytes, value_bytes};
use crate::report::Failure;

/// How a producer writes that lives across restarts, and gives up on no record.
pub const STEADY: [(&str, &str); 10] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "2"),
    ("batch.size", "65536"),
    ("message.max.bytes", "1048000"),
    ("queue.buffering.max.kbytes", "4096"),
    ("queue.buffering.max.messages", "2000"),
    ("message.timeout.ms", "300000"),
    ("retry.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "100"),
];

/// Between two rounds over the partitions during a check.
const CHECK_PAUSE: Duration = Duration::from_millis(20);

/// One topic under load.
#[derive(Clone, Debug)]
pub struct Target {
    pub cluster: Cluster,
    pub topic: String,
    pub era: u32,
    pub partitions: i32,
    pub history: Arc<History>,
    /// Somebody reads all that is new: what is written meanwhile is read as well, so producers leave it some time.
    pub is_checked: Arc<AtomicBool>,
}

/// How a producer ends. None may give up on a record and go on: librdkafka then takes a new epoch and sends the records
/// in flight again under it, which no broker can tell from new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Tries on across restarts, until every record is acked.
    AllAcked,
    /// At once: what is in flight stays of unknown fate.
    AtOnce,
}

/// A producer with a thread that feeds it.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), Failure>>,
}

/// Tells the history what was acked. A record that was not stays unknown, whatever the error.
struct Acks(Arc<History>);

impl ClientContext for Acks {
    fn error(&self, _: KafkaError, _: &str) {
        // The broker is killed all the time: lost connections are no news.
    }

    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<Value>;

    fn delivery(&self, result: &DeliveryResult<'_>, value: Box<Value>) {
        if let Ok(message) = result {
            // "Duplicate" without an offset reads as a negative one.
            let offset = Some(message.offset()).filter(|offset| *offset >= 0);
            self.0.apply(message.partition(), Event::Acked { value: *value, offset });
            self.0.add_acked_bytes(message.payload_len() as u64);
        }
    }
}

impl Load {
    /// Starts a producer; `number` is unique in the run and names its records.
    pub fn start(target: &Target, number: u32, ending: Ending) -> Result<Self, Failure> {
        let codec = CODECS[number as usize % CODECS.len()];
        let settings = [&STEADY[..], &[("compression.type", codec)]].concat();
        let producer: ThreadedProducer<Acks> =
            target.cluster.config(&settings).create_with_context(Acks(target.history.clone()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (target, stopped) = (target.clone(), stop.clone());
        let thread = std::thread::spawn(move || feed(&target, &producer, number, ending, &stopped));
        Ok(Self { stop, thread })
    }

    /// No new records, then the producer's ending.
    pub fn finish(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "a producer panicked")?
    }
}

fn feed(
    target: &Target,
    producer: &ThreadedProducer<Acks>,
    number: u32,
    ending: Ending,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        for partition in 0..target.partitions {
            send(target, producer, partition, Value { producer: number, n }, stop)?;
        }
        n += 1;
        if target.is_checked.load(Ordering::Relaxed) {
            std::thread::sleep(CHECK_PAUSE);
        }
    }
    match ending {
        Ending::AllAcked => producer.flush(Duration::from_secs(60)).map_err(|e| format!("unacked at the end: {e}"))?,
        Ending::AtOnce => producer.purge(PurgeConfig::default().queue().inflight()),
    }
    Ok(())
}

fn send(
    target: &Target,
    producer: &ThreadedProducer<Acks>,
    partition: i32,
    value: Value,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let bytes = value_bytes(Place { era: target.era, partition }, value);
    let key = key_bytes(value);
    target.history.apply(partition, Event::Invoked(value));
    let headers = OwnedHeaders::new().insert(Header { key: "key", value: Some(&key) });
    let mut record = BaseRecord::<[u8], [u8], Box<Value>>::with_opaque_to(&target.topic, Box::new(value))
        .partition(partition)
        .key(&key)
        .payload(&bytes)
        .headers(headers);
    while let Err((error, same)) = producer.send(record) {
        match code_of(&error) {
            RDKafkaErrorCode::QueueFull => std::thread::sleep(Duration::from_millis(2)),
            _ => return Err(format!("producer {}: {error}", value.producer).into()),
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        record = same;
    }
    Ok(())
}
