//! A compacted topic beside the load: whatever compaction and a kill do to each other, each key keeps its newest acked value
//! or one that was sent after it, and its values come in the order in which they were sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::load::STEADY;
use super::readers::read_partition;
use super::run::Faulty;
use crate::client::{Cluster, code_of};
use crate::report::Failure;

/// Few, so that nearly all of what is written is soon dirty.
const KEYS: usize = 100;
/// Bytes of a value; its number is in the first eight.
const VALUE_BYTES: usize = 2000;
/// After each round of all keys: some MB/s, beside a load that takes what it can get.
const PAUSE: Duration = Duration::from_millis(20);
/// How long compaction may take to drop half of all that was written.
const COMPACTED: Duration = Duration::from_secs(60);

/// The numbers of one key's values; the first is 1.
#[derive(Debug, Default)]
struct Key {
    sent: AtomicU64,
    acked: AtomicU64,
}

/// The topic and its one producer.
#[derive(Debug)]
pub struct Newest {
    cluster: Cluster,
    topic: String,
    keys: Arc<Vec<Key>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), Failure>>,
}

struct Acks(Arc<Vec<Key>>);

impl ClientContext for Acks {
    fn error(&self, _: KafkaError, _: &str) {
        // The broker is killed all the time: lost connections are no news.
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<(usize, u64)>;

    fn delivery(&self, result: &DeliveryResult<'_>, value: Box<(usize, u64)>) {
        let (key, number) = *value;
        if result.is_ok() {
            self.0[key].acked.fetch_max(number, Ordering::SeqCst);
        }
    }
}

impl Newest {
    /// Makes the topic and starts to write.
    pub fn start(cluster: &Cluster) -> Result<Self, Failure> {
        let settings =
            [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("min.cleanable.dirty.ratio", "0.01")];
        let topic = cluster.create("kill9-newest", 1, &settings)?;
        let keys: Arc<Vec<Key>> = Arc::new((0..KEYS).map(|_| Key::default()).collect());
        let producer: ThreadedProducer<Acks> = cluster.config(&STEADY).create_with_context(Acks(keys.clone()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sent_to, sent, stopped) = (topic.clone(), keys.clone(), stop.clone());
        let thread = std::thread::spawn(move || write(&producer, &sent_to, &sent, &stopped));
        Ok(Self { cluster: cluster.clone(), topic, keys, stop, thread })
    }

    /// Reads the topic and holds it against what was acked before; tells how many records there are and how many were written.
    pub fn check(&self) -> Result<(u64, i64), Failure> {
        let acked: Vec<u64> = self.keys.iter().map(|key| key.acked.load(Ordering::SeqCst)).collect();
        let mut newest = vec![0; KEYS];
        let (mut count, mut last, mut faults) = (0, -1, Vec::new());
        let end = read_partition(&self.cluster, &self.topic, 0, |message| {
            count += 1;
            if message.offset() <= last {
                faults.push(format!("offset {} after {last}", message.offset()));
            }
            last = message.offset();
            let Some((key, number)) = parse(message.key(), message.payload()) else {
                return faults.push(format!("wrong bytes at offset {last}"));
            };
            if number <= newest[key] {
                faults.push(format!("key {key}: value {number} at offset {last}, after {}", newest[key]));
            }
            newest[key] = number;
        })?;
        for (at, (newest, acked)) in newest.into_iter().zip(acked).enumerate() {
            let sent = self.keys[at].sent.load(Ordering::SeqCst);
            if newest < acked || newest > sent {
                faults.push(format!("key {at}: its newest value is {newest}; acked {acked}, sent {sent}"));
            }
        }
        if faults.is_empty() {
            return Ok((count, end));
        }
        faults.truncate(20);
        Err(Faulty(format!("{}: {}", self.topic, faults.join("; "))).into())
    }

    /// No more values; what was sent is acked, read once more and compacted. The topic goes.
    pub fn finish(self, is_compacted: bool) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let Self { cluster, topic, keys, stop, thread } = self;
        thread.join().map_err(|_| "the writer of a compacted topic panicked")??;
        let written: u64 = keys.iter().map(|key| key.acked.load(Ordering::SeqCst)).sum();
        let idle = Self { cluster, topic, keys, stop, thread: std::thread::spawn(|| Ok(())) };
        let begun = Instant::now();
        loop {
            let (left, end) = idle.check()?;
            if !is_compacted || left < written / 2 {
                break;
            }
            if begun.elapsed() > COMPACTED {
                return Err(format!("{}: {left} records of {end} are left after {COMPACTED:?}", idle.topic).into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        idle.cluster.delete(&idle.topic)?.map_err(|code| format!("deleting {}: {code}", idle.topic).into())
    }
}

fn write(producer: &ThreadedProducer<Acks>, topic: &str, keys: &[Key], stop: &AtomicBool) -> Result<(), Failure> {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        for (at, key) in keys.iter().enumerate() {
            key.sent.store(number, Ordering::SeqCst);
            send(producer, topic, at, number)?;
        }
        std::thread::sleep(PAUSE);
    }
    producer.flush(Duration::from_secs(60)).map_err(|e| format!("unacked at the end: {e}").into())
}

fn send(producer: &ThreadedProducer<Acks>, topic: &str, at: usize, number: u64) -> Result<(), Failure> {
    let (key, value) = bytes_of(at, number);
    let mut record = BaseRecord::with_opaque_to(topic, Box::new((at, number))).partition(0).key(&key).payload(&value);
    while let Err((error, same)) = producer.send(record) {
        match code_of(&error) {
            RDKafkaErrorCode::QueueFull => std::thread::sleep(Duration::from_millis(2)),
            _ => return Err(format!("the writer of {topic}: {error}").into()),
        }
        record = same;
    }
    Ok(())
}

fn bytes_of(key: usize, number: u64) -> (Vec<u8>, Vec<u8>) {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(VALUE_BYTES, (key as u64 + number) as u8);
    ((key as u64).to_be_bytes().to_vec(), value)
}

/// Key and number, if all bytes are those that were sent.
fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<(usize, u64)> {
    let at = usize::try_from(u64::from_be_bytes(key?.try_into().ok()?)).ok().filter(|at| *at < KEYS)?;
    let number = u64::from_be_bytes(*value?.first_chunk()?);
    (bytes_of(at, number).1 == value?).then_some((at, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_is_a_value() {
        let (key, mut value) = bytes_of(7, 300);
        assert_eq!(parse(Some(&key), Some(&value)), Some((7, 300)));
        value[VALUE_BYTES - 1] ^= 1;
        assert_eq!(parse(Some(&key), Some(&value)), None);
        assert_eq!(parse(Some(&bytes_of(KEYS, 1).0), Some(&bytes_of(KEYS, 1).1)), None);
        assert_eq!((parse(None, Some(&value)), parse(Some(&key), None)), (None, None));
    }
}
