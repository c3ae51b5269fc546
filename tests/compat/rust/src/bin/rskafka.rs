//! `rskafka --bootstrap HOST:PORT [--only PART]`: what rskafka does with a broker, case by case.
//!
//! This client has no idempotent producer, no configs for new topics, one value for each header's key, and of the admin
//! calls only those that make and delete topics and delete records.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use corelog_compat::random::Random;
use corelog_compat::report::{Failure, Outcome, Report, ensure};
use futures::StreamExt;
use rskafka::client::consumer::{StartOffset, StreamConsumerBuilder};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

const STEP: Duration = Duration::from_secs(60);
const STEP_MS: i32 = 60_000;
const T0_MS: i64 = 1_600_000_000_000;
const MANY: i32 = 1_000;
const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::NoCompression),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// A broker to test, and a name of its own for each run's topics.
struct Cluster {
    client: Client,
    run: String,
}

fn main() -> ExitCode {
    let (bootstrap, mut report) = match Report::from_arguments("rskafka") {
        Ok(both) => both,
        Err(usage) => return usage,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let client = runtime.block_on(ClientBuilder::new(vec![bootstrap]).build()).expect("the broker answers");
    let cluster = Cluster { client, run: format!("{:x}", Utc::now().timestamp_millis()) };
    run(&cluster, &mut report, &runtime);
    report.close()
}

fn run(cluster: &Cluster, report: &mut Report, runtime: &tokio::runtime::Runtime) {
    let within = |case: std::pin::Pin<Box<dyn Future<Output = Outcome> + '_>>| {
        runtime.block_on(async { tokio::time::timeout(STEP, case).await.unwrap_or_else(|late| Err(late.into())) })
    };
    report.case("create", "topics are made, listed, refused twice, deleted", || within(Box::pin(topics(cluster))));
    for (codec, compression) in CODECS {
        let name = format!("records with keys and headers in {codec} come back as sent");
        report.case(codec, &name, || {
            within(Box::pin(async move {
                let topic = cluster.create(&format!("codec-{codec}"), 1).await?;
                cluster.round_trip(&topic, keyed(500), compression).await
            }))
        });
    }
    report.case("empty", "empty values, null values and null keys stay apart", || within(Box::pin(empty(cluster))));
    report.case("large", "records of 950,000 bytes come back as sent", || within(Box::pin(large(cluster))));
    report.case("too-large", "a record over the limit is refused, and the next one is taken", || {
        within(Box::pin(too_large(cluster)))
    });
    report.case("earliest offset latest", "reading starts at the earliest, at an offset, at the latest", || {
        within(Box::pin(read_from(cluster)))
    });
    report.case("timestamp list-offsets", "offsets are listed by kind, and reading starts at a timestamp", || {
        within(Box::pin(read_timestamp(cluster)))
    });
    report.case("delete-records", "records before an offset are deleted", || within(Box::pin(delete_records(cluster))));
    report.case("many", "1,000 partitions are made, written and read", || within(Box::pin(many(cluster))));
}

impl Cluster {
    fn name(&self, topic: &str) -> String {
        format!("rskafka-{topic}-{}", self.run)
    }

    async fn create(&self, topic: &str, partitions: i32) -> Result<String, Failure> {
        let name = self.name(topic);
        self.client.controller_client()?.create_topic(&name, partitions, 1, STEP_MS).await?;
        Ok(name)
    }

    async fn partition(&self, topic: &str, partition: i32) -> Result<Arc<PartitionClient>, Failure> {
        Ok(Arc::new(self.client.partition_client(topic, partition, UnknownTopicHandling::Retry).await?))
    }

    async fn round_trip(&self, topic: &str, sent: Vec<Record>, compression: Compression) -> Outcome {
        let partition = self.partition(topic, 0).await?;
        let offsets = partition.produce(sent.clone(), compression).await?;
        ensure(offsets.iter().copied().eq(0..sent.len() as i64), || format!("acked at {offsets:?}"))?;
        same(&sent, &read(&partition, StartOffset::Earliest, sent.len()).await?, 0)
    }
}

/// Reads `count` records.
async fn read(
    partition: &Arc<PartitionClient>,
    from: StartOffset,
    count: usize,
) -> Result<Vec<RecordAndOffset>, Failure> {
    let mut stream = StreamConsumerBuilder::new(Arc::clone(partition), from).with_max_wait_ms(200).build();
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        let (next, _) = stream.next().await.ok_or("the stream ended")??;
        records.push(next);
    }
    Ok(records)
}

/// What was read is what was sent, at offsets from `first` on, in order.
fn same(sent: &[Record], read: &[RecordAndOffset], first: i64) -> Outcome {
    ensure(sent.len() == read.len(), || format!("{} sent, {} read", sent.len(), read.len()))?;
    for ((record, found), offset) in sent.iter().zip(read).zip(first..) {
        ensure(found.offset == offset, || format!("offset {} where {offset} comes next", found.offset))?;
        ensure(*record == found.record, || format!("offset {offset} differs: key {:?}", found.record.key))?;
    }
    Ok(())
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, code: ProtocolError) -> Outcome {
    let right = matches!(&answer, Err(Error::ServerError { protocol_error, .. }) if *protocol_error == code);
    ensure(right, || format!("{answer:?}, not {code:?}"))
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).expect("a time in this century")
}

fn plain(value: Option<Vec<u8>>) -> Record {
    Record { key: None, value, headers: BTreeMap::new(), timestamp: at(Utc::now().timestamp_millis()) }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.draw() as u8).collect()
}

/// Records with keys and headers; half of each value is noise.
fn keyed(count: usize) -> Vec<Record> {
    let record = |n: usize| Record {
        key: Some(format!("key-{n}").into_bytes()),
        headers: [("at".to_owned(), n.to_string().into_bytes()), ("none".to_owned(), Vec::new())].into(),
        ..plain(Some([b"text ".repeat(n % 50), noise(n as u64, n % 400)].concat()))
    };
    (0..count).map(record).collect()
}

async fn topics(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("life", 3).await?;
    let listed = cluster.client.list_topics().await?;
    let shown = listed.iter().find(|each| each.name == topic).ok_or("the topic is not listed")?;
    ensure(shown.partitions.len() == 3, || format!("{shown:?}"))?;
    let controller = cluster.client.controller_client()?;
    refused(controller.create_topic(&topic, 3, 1, STEP_MS).await, ProtocolError::TopicAlreadyExists)?;
    refused(controller.create_topic("../up", 1, 1, STEP_MS).await, ProtocolError::InvalidTopicException)?;
    controller.delete_topic(&topic, STEP_MS).await?;
    let begun = Instant::now();
    while cluster.client.list_topics().await?.iter().any(|each| each.name == topic) {
        ensure(begun.elapsed() < STEP, || "the topic is still there".into())?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn empty(cluster: &Cluster) -> Outcome {
    let some = [None, Some(vec![]), Some(b"x".to_vec())];
    let records =
        some.iter().flat_map(|key| some.iter().map(|value| Record { key: key.clone(), ..plain(value.clone()) }));
    let topic = cluster.create("empty", 1).await?;
    cluster.round_trip(&topic, records.collect(), Compression::NoCompression).await
}

async fn large(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("large", 1).await?;
    let partition = cluster.partition(&topic, 0).await?;
    let sent: Vec<_> = (0..8).map(|seed| plain(Some(noise(seed, 950_000)))).collect();
    for record in &sent {
        partition.produce(vec![record.clone()], Compression::NoCompression).await?;
    }
    same(&sent, &read(&partition, StartOffset::Earliest, sent.len()).await?, 0)
}

async fn too_large(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("too-large", 1).await?;
    let partition = cluster.partition(&topic, 0).await?;
    let produce = |len| partition.produce(vec![plain(Some(noise(1, len)))], Compression::NoCompression);
    produce(1_000_000).await?;
    refused(produce(1_048_577).await, ProtocolError::MessageTooLarge)?;
    let next = produce(10).await?;
    ensure(next == [1], || format!("the next one went to {next:?}"))
}

async fn read_from(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("from", 1).await?;
    let partition = cluster.partition(&topic, 0).await?;
    let sent = keyed(100);
    for batch in sent.chunks(9) {
        partition.produce(batch.to_vec(), Compression::Zstd).await?;
    }
    same(&sent, &read(&partition, StartOffset::Earliest, 100).await?, 0)?;
    same(&sent[41..], &read(&partition, StartOffset::At(41), 59).await?, 41)?;
    let beyond = partition.fetch_records(1_000, 1..100_000, 100).await;
    refused(beyond, ProtocolError::OffsetOutOfRange)?;
    let mut latest = StreamConsumerBuilder::new(Arc::clone(&partition), StartOffset::Latest).build();
    let early = tokio::time::timeout(Duration::from_millis(500), latest.next()).await;
    ensure(early.is_err(), || format!("an old record came: {early:?}"))?;
    partition.produce(keyed(1), Compression::NoCompression).await?;
    let (next, _) = latest.next().await.ok_or("the stream ended")??;
    ensure(next.offset == 100, || format!("offset {} came", next.offset))
}

async fn read_timestamp(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("timestamp", 1).await?;
    let partition = cluster.partition(&topic, 0).await?;
    let record = |n: i64| Record { timestamp: at(T0_MS + n * 1000), ..plain(Some(vec![n as u8])) };
    let sent: Vec<_> = (0..100).map(record).collect();
    for batch in sent.chunks(9) {
        partition.produce(batch.to_vec(), Compression::NoCompression).await?;
    }
    for (kind, wanted) in
        [(OffsetAt::Earliest, 0), (OffsetAt::Latest, 100), (OffsetAt::Timestamp(at(T0_MS + 70_001)), 71)]
    {
        let found = partition.get_offset(kind).await?;
        ensure(found == wanted, || format!("{kind:?} gave {found}, not {wanted}"))?;
    }
    same(&sent[71..], &read(&partition, StartOffset::At(71), 29).await?, 71)
}

async fn delete_records(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("delete-records", 1).await?;
    let partition = cluster.partition(&topic, 0).await?;
    let sent = keyed(100);
    partition.produce(sent.clone(), Compression::NoCompression).await?;
    partition.delete_records(40, STEP_MS).await?;
    same(&sent[40..], &read(&partition, StartOffset::Earliest, 60).await?, 40)?;
    refused(partition.fetch_records(39, 1..100_000, 100).await, ProtocolError::OffsetOutOfRange)?;
    refused(partition.delete_records(101, STEP_MS).await, ProtocolError::OffsetOutOfRange)
}

/// One client for each partition, as this client has it: each is a connection of its own.
async fn many(cluster: &Cluster) -> Outcome {
    let topic = cluster.create("many", MANY).await?;
    for number in 0..MANY {
        let partition = cluster.partition(&topic, number).await?;
        let sent: Vec<_> = (0..3).map(|round| plain(Some(format!("{number}:{round}").into_bytes()))).collect();
        partition.produce(sent.clone(), Compression::NoCompression).await?;
        let (found, end) = partition.fetch_records(0, 1..100_000, 1_000).await?;
        ensure(end == 3, || format!("partition {number} ends at {end}"))?;
        same(&sent, &found, 0)?;
    }
    Ok(cluster.client.controller_client()?.delete_topic(&topic, STEP_MS).await?)
}
