//! Readers: one that follows all partitions while the broker comes and goes, and one that reads a range to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::load::Target;
use crate::checker::Event;
use crate::client::{Cluster, STEP, code_of};
use crate::payload::{Found, Place, read};
use crate::report::Failure;

/// The reader that follows; the ones that read to an end have other numbers.
const FOLLOWER: u32 = 0;
const READ_TO_END: u32 = 1;
/// A range of some hundred MiB is read at tens of MiB a second even by an unoptimised broker.
const READ: Duration = Duration::from_secs(180);

struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, _: KafkaError, _: &str) {
        // The broker is killed all the time: lost connections are no news.
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// Follows all partitions from where they end; it lives across restarts and must never see a record that a later reader does not.
#[derive(Debug)]
pub struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Follower {
    pub fn start(target: &Target) -> Result<Self, Failure> {
        let from: Vec<i64> = vec![0; target.partitions as usize];
        for partition in 0..target.partitions {
            target.history.apply(partition, Event::TailStarted { reader: FOLLOWER, from: 0 });
        }
        let consumer = assigned(target, &from)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (target, stopped) = (target.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                poll(&target, &consumer, FOLLOWER)?;
            }
            Ok(())
        });
        Ok(Self { stop, thread })
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the follower panicked")?
    }
}

/// Timestamps in milliseconds of what was read, by partition, from where the read began.
pub type Stamps = Vec<Vec<i64>>;

/// Reads each partition from `from` to the end that it has when asked.
pub fn read_to_end(target: &Target, from: &[i64]) -> Result<Stamps, Failure> {
    let consumer = assigned(target, from)?;
    let deadline = Instant::now() + READ;
    let mut ends = Vec::with_capacity(from.len());
    for (partition, from) in (0..).zip(from) {
        target.history.apply(partition, Event::EndAsked { reader: READ_TO_END });
        let end = end_of(&target.topic, &consumer, partition, deadline)?;
        target.history.apply(partition, Event::ReadStarted { reader: READ_TO_END, from: *from, end });
        ends.push(end);
    }
    let mut next = from.to_vec();
    let mut stamps: Stamps = vec![Vec::new(); from.len()];
    while next.iter().zip(&ends).any(|(next, end)| next < end) {
        if Instant::now() > deadline {
            return Err(format!("reading to {ends:?} got to {next:?} in {READ:?}").into());
        }
        if let Some(polled) = poll(target, &consumer, READ_TO_END)? {
            next[polled.partition] = polled.offset + 1;
            stamps[polled.partition].push(polled.timestamp_ms);
        }
    }
    for partition in 0..target.partitions {
        target.history.apply(partition, Event::ReadEnded { reader: READ_TO_END });
    }
    Ok(stamps)
}

/// Reads one partition from its start to the end that it has when asked, which it gives. The last record below it must be there, as
/// compaction leaves it.
pub fn read_partition(
    cluster: &Cluster,
    topic: &str,
    partition: i32,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<i64, Failure> {
    let consumer = reader(cluster)?;
    let deadline = Instant::now() + READ;
    let end = end_of(topic, &consumer, partition, deadline)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut next = 0;
    while next < end {
        if Instant::now() > deadline {
            return Err(format!("reading {topic} to {end} got to {next} in {READ:?}").into());
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                next = message.offset() + 1;
                take(&message);
            }
            Some(Err(error)) if !passing(&error) => return Err(format!("reading {topic}: {error}").into()),
            _ => {}
        }
    }
    Ok(end)
}

/// Asks for the first offset at or after `timestamp_ms`, as ListOffsets finds it; `None` when no record is as late.
pub fn offset_at(target: &Target, timestamp_ms: i64) -> Result<Vec<Option<i64>>, Failure> {
    let mut list = TopicPartitionList::new();
    for partition in 0..target.partitions {
        list.add_partition_offset(&target.topic, partition, Offset::Offset(timestamp_ms))?;
    }
    let found = assigned(target, &[])?.offsets_for_times(list, STEP)?;
    let offset = |partition| match found.find_partition(&target.topic, partition).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => Ok(Some(offset)),
        Some(Offset::End) => Ok(None),
        other => Err(format!("partition {partition} at {timestamp_ms} ms: {other:?}").into()),
    };
    (0..target.partitions).map(offset).collect()
}

fn end_of(topic: &str, consumer: &BaseConsumer<Quiet>, partition: i32, deadline: Instant) -> Result<i64, Failure> {
    loop {
        match consumer.fetch_watermarks(topic, partition, Duration::from_secs(5)) {
            Ok((_, end)) => return Ok(end),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn reader(cluster: &Cluster) -> Result<BaseConsumer<Quiet>, Failure> {
    let settings = [
        ("group.id", "kill9"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // An offset out of range means that the log's end went back: an error, never a silent jump.
        ("auto.offset.reset", "error"),
        ("check.crcs", "true"),
        ("reconnect.backoff.max.ms", "100"),
        ("fetch.error.backoff.ms", "20"),
        ("queued.max.messages.kbytes", "16384"),
    ];
    Ok(cluster.config(&settings).create_with_context(Quiet)?)
}

fn assigned(target: &Target, from: &[i64]) -> Result<BaseConsumer<Quiet>, Failure> {
    let consumer = reader(&target.cluster)?;
    let mut list = TopicPartitionList::new();
    for (partition, from) in (0..).zip(from) {
        list.add_partition_offset(&target.topic, partition, Offset::Offset(*from))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

struct Polled {
    partition: usize,
    offset: i64,
    timestamp_ms: i64,
}

/// Takes one record, if one is there, into the history.
fn poll(target: &Target, consumer: &BaseConsumer<Quiet>, reader: u32) -> Result<Option<Polled>, Failure> {
    match consumer.poll(Duration::from_millis(100)) {
        None => Ok(None),
        Some(Ok(message)) => {
            let (partition, offset) = (message.partition(), message.offset());
            target.history.apply(partition, Event::Polled { reader, offset, found: found(target, &message) });
            let timestamp_ms = message.timestamp().to_millis().unwrap_or(-1);
            Ok(Some(Polled { partition: partition as usize, offset, timestamp_ms }))
        }
        Some(Err(error)) if passing(&error) => Ok(None),
        Some(Err(error)) => Err(format!("reader {reader}: {error}").into()),
    }
}

/// Errors of a broker that is away or just back. Anything else ends the run.
fn passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code_of(error),
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::CoordinatorNotAvailable
            | Code::WaitingForCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::UnknownPartition
            | Code::Resolve
    )
}

fn found(target: &Target, message: &BorrowedMessage<'_>) -> Found {
    let headers = message.headers();
    let header = headers.as_ref().filter(|all| all.count() == 1).and_then(|all| all.get(0).value);
    read(Place { era: target.era, partition: message.partition() }, message.key(), header, message.payload())
}
