//! Sends batches of records, each until it is acked by every in-sync replica. Blocking; a batch of each of many partitions
//! at a time, with one request to each leader.
//!
//! Invariant: a batch that is sent again has the same producer, epoch and sequence, so that it is appended once.

use std::collections::{BTreeMap, HashMap};

use shards::batch::{BatchBuilder, Compression, CompressionLevels, NewRecord};

use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use crate::wire::{Bytes, ErrorCode};

/// How long the broker may wait for replicas, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;

/// A record to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Outgoing {
    /// Of key, value and headers.
    pub fn bytes(&self) -> usize {
        let size = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + size(value));
        size(&self.key) + size(&self.value) + headers.sum::<usize>()
    }
}

pub struct Producer {
    cluster: Cluster,
    topic: String,
    /// The broker keeps it for itself.
    internal: bool,
    partitions: i32,
    codec: Compression,
    /// Producer id and epoch; a broker that gives none gets batches without.
    identity: Option<(i64, i16)>,
    /// The next sequence of each partition.
    sequences: HashMap<i32, i32>,
    /// Where records without a key go.
    unkeyed: i32,
}

impl Producer {
    /// The topic is made if the broker does that.
    pub fn new(mut cluster: Cluster, topic: &str, codec: Compression) -> Result<Producer, ClientError> {
        let info = cluster.topic(topic, true)?;
        let partitions = i32::try_from(info.partitions.len()).unwrap_or(i32::MAX);
        let identity = producer_identity(&mut cluster)?;
        let topic = topic.to_owned();
        let (internal, sequences) = (info.internal, HashMap::new());
        Ok(Producer { cluster, topic, internal, partitions, codec, identity, sequences, unkeyed: 0 })
    }

    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Where a record goes: by its key as Java's clients do, else where this batch's other records without a key go.
    pub fn partition_of(&self, key: Option<&[u8]>) -> i32 {
        match key {
            Some(key) => partition_of(key, self.partitions),
            None => self.unkeyed,
        }
    }

    /// The next records without a key go to another partition.
    pub fn turn(&mut self) {
        self.unkeyed = (self.unkeyed + 1) % self.partitions.max(1);
    }

    /// Sends one batch to each of these partitions and waits until all are acked, or one will never be.
    pub fn send(&mut self, batches: &[(i32, &[Outgoing])]) -> Sent {
        let mut sent = Sent::default();
        let mut waiting = BTreeMap::new();
        for (partition, records) in batches {
            match self.batch(*partition, records) {
                Ok(batch) => waiting.extend(batch.map(|batch| (*partition, batch))),
                Err(error) => sent.failed = Some(Unsent { partition: Some(*partition), record: None, error }),
            }
        }
        if sent.failed.is_some() {
            return sent;
        }
        let Producer { cluster, topic, internal, sequences, .. } = self;
        let judge = |part: &PartitionProduceResponse| judged(topic, *internal, part);
        let mut named = (None, None);
        let outcome = cluster.retrying(|cluster| {
            append(cluster, topic, &mut waiting, &judge, &mut |partition, batch: Batch, offset| {
                sequences.insert(partition, next_sequence(batch.sequence, batch.count));
                sent.offsets.insert(partition, offset);
            })
            .map_err(|Unsent { partition, record, error }| {
                named = (partition, record);
                error
            })
        });
        let (partition, record) = named;
        sent.failed = outcome.err().map(|error| Unsent { partition, record, error });
        sent
    }

    /// `None`: there are no records.
    fn batch(&self, partition: i32, records: &[Outgoing]) -> Result<Option<Batch>, ClientError> {
        let Some(first) = records.first() else { return Ok(None) };
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let mut builder = BatchBuilder::new(first.timestamp_ms).compression(self.codec, CompressionLevels::default());
        if let Some((id, epoch)) = self.identity {
            builder = builder.producer(id, epoch, sequence);
        }
        for record in records {
            let headers: Vec<(&[u8], Option<&[u8]>)> =
                record.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
            builder.push(&NewRecord {
                timestamp_ms: record.timestamp_ms,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
        let count = builder.len();
        Ok(Some(Batch { sequence, count, bytes: builder.finish()? }))
    }
}

/// What became of batches that were sent together.
#[derive(Debug, Default)]
pub struct Sent {
    /// Those that were acked, by partition: the first record's offset, if the broker still knows it.
    pub offsets: BTreeMap<i32, Option<i64>>,
    /// Why the others were not.
    pub failed: Option<Unsent>,
}

/// Why batches were not acked.
#[derive(Debug)]
pub struct Unsent {
    /// The partition whose batch will never be taken, if it is one.
    pub partition: Option<i32>,
    /// The first record of that batch that the broker names (KIP-467), counted from 0.
    pub record: Option<usize>,
    pub error: ClientError,
}

impl From<ClientError> for Unsent {
    fn from(error: ClientError) -> Unsent {
        Unsent { partition: None, record: None, error }
    }
}

struct Batch {
    sequence: i32,
    count: i32,
    bytes: Bytes,
}

/// From 2^31-1 it goes on at 0.
fn next_sequence(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

/// Id and epoch for a new producer; `None`: the broker gives none, and takes batches without.
pub fn producer_identity(cluster: &mut Cluster) -> Result<Option<(i64, i16)>, ClientError> {
    match cluster.retrying(identity) {
        Ok(identity) => Ok(Some(identity)),
        Err(ClientError::NotServed { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

fn identity(cluster: &mut Cluster) -> Result<(i64, i16), ClientError> {
    let request =
        InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: i32::MAX, ..Default::default() };
    match cluster.call_seed(request.into())? {
        Response::InitProducerId(reply) if reply.error_code == ErrorCode::None => {
            Ok((reply.producer_id, reply.producer_epoch))
        }
        Response::InitProducerId(reply) => Err(ClientError::refused("no producer id", reply.error_code)),
        other => Err(unasked("the broker", &other)),
    }
}

/// Sends every batch that waits, and takes out those that are acked.
fn append(
    cluster: &mut Cluster,
    topic: &str,
    waiting: &mut BTreeMap<i32, Batch>,
    judge: &dyn Fn(&PartitionProduceResponse) -> Result<Option<i64>, ClientError>,
    acked: &mut dyn FnMut(i32, Batch, Option<i64>),
) -> Result<(), Unsent> {
    let partitions: Vec<i32> = waiting.keys().copied().collect();
    let mut requests = Vec::new();
    for (leader, partitions) in cluster.leaders(topic, &partitions)? {
        let data = |index: i32| Some(PartitionProduceData { index, records: Some(waiting.get(&index)?.bytes.clone()) });
        let partition_data = partitions.into_iter().filter_map(data).collect();
        let topic_data = vec![TopicProduceData { name: topic.into(), partition_data, ..TopicProduceData::default() }];
        let request = ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data, ..ProduceRequest::default() };
        requests.push((leader, request.into()));
    }
    let mut failed: Option<Unsent> = None;
    let mut fail = |unsent: Unsent| {
        // What will never be taken counts before what may be the next time.
        if failed.as_ref().is_none_or(|other| other.error.is_passing() && !unsent.error.is_passing()) {
            failed = Some(unsent);
        }
    };
    for reply in cluster.call_each(requests) {
        let parts = match reply {
            Ok(Response::Produce(reply)) => reply.responses.into_iter().flat_map(|topic| topic.partition_responses),
            Ok(other) => {
                fail(unasked("the leader", &other).into());
                continue;
            }
            Err(e) => {
                fail(e.into());
                continue;
            }
        };
        for part in parts {
            match (judge(&part), waiting.remove(&part.index)) {
                (Ok(offset), Some(batch)) => acked(part.index, batch, offset),
                (Err(error), Some(batch)) => {
                    waiting.insert(part.index, batch);
                    fail(Unsent { partition: Some(part.index), record: named_record(&part), error });
                }
                (_, None) => {
                    let what = format!("{topic}-{} was answered and not asked", part.index);
                    fail(ClientError::NotKafka { address: "the leader".to_owned(), what }.into());
                }
            }
        }
    }
    match (failed, waiting.keys().next()) {
        (Some(failed), _) => Err(failed),
        (None, None) => Ok(()),
        (None, Some(&partition)) => Err(ClientError::NoLeader { topic: topic.to_owned(), partition }.into()),
    }
}

/// What the broker says of one batch.
fn judged(topic: &str, internal: bool, part: &PartitionProduceResponse) -> Result<Option<i64>, ClientError> {
    match part.error_code {
        ErrorCode::None => Ok(Some(part.base_offset).filter(|offset| *offset >= 0)),
        // An earlier try was appended, too long ago for the broker to know where.
        ErrorCode::DuplicateSequenceNumber => Ok(None),
        ErrorCode::InvalidTopicException if internal => Err(ClientError::OwnTopic { topic: topic.to_owned() }),
        code => Err(ClientError::Refused {
            what: format!("records for {topic}-{} were not taken", part.index),
            code,
            message: reason(part),
        }),
    }
}

/// What the broker says of the batch, and of the first record that it names: Kafka repeats that, other brokers do not.
fn reason(part: &PartitionProduceResponse) -> Option<String> {
    let of_batch = part.error_message.as_ref().map(|text| text.as_str());
    let of_record = part.record_errors.first().and_then(|named| named.batch_index_error_message.as_ref());
    match (of_batch, of_record.map(|text| text.as_str())) {
        (Some(batch), Some(record)) if !batch.contains(record) => {
            Some(format!("{}: {record}", batch.trim_end_matches('.')))
        }
        (Some(text), _) | (None, Some(text)) => Some(text.to_owned()),
        (None, None) => None,
    }
}

fn named_record(part: &PartitionProduceResponse) -> Option<usize> {
    part.record_errors.first().and_then(|named| usize::try_from(named.batch_index).ok())
}

/// Where Java's clients put the records of a key.
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions.max(1)
}

/// The hash by which Java's clients choose a key's partition (murmur2, 32 bits).
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mixed = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, tail) = key.as_chunks::<4>();
    let mut hash =
        words.iter().fold(0x9747_b28c ^ length, |hash, word| hash.wrapping_mul(M) ^ mixed(u32::from_le_bytes(*word)));
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::produce::BatchIndexAndErrorMessage;

    #[test]
    fn keys_hash_as_in_javas_clients() {
        // The values of Kafka's own test of its hash.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(murmur2(b"abc").cast_signed(), 479_470_107);
    }

    #[test]
    fn what_a_broker_says_of_a_record_is_told_once_with_what_to_do() {
        let part = |code, message: Option<&str>, record: Option<&str>| PartitionProduceResponse {
            index: 2,
            error_code: code,
            error_message: message.map(Into::into),
            record_errors: record
                .map(|text| BatchIndexAndErrorMessage { batch_index: 1, batch_index_error_message: Some(text.into()) })
                .into_iter()
                .collect(),
            ..PartitionProduceResponse::default()
        };
        let told = |topic: &str, part: &PartitionProduceResponse| {
            judged(topic, topic.starts_with("__"), part).expect_err("refused").to_string()
        };
        let keyless = "Compacted topic cannot accept message without key.";
        let ours = part(ErrorCode::InvalidRecord, Some("One or more records have been rejected"), Some(keyless));
        let cure =
            "; give every record a key (--key, --key-separator), or take `compact` out of the topic's cleanup.policy";
        let wanted = format!(
            "records for t-2 were not taken: INVALID_RECORD (87): One or more records have been rejected: {}{cure}",
            keyless.trim_end_matches('.')
        );
        assert_eq!((told("t", &ours), named_record(&ours)), (wanted, Some(1)));
        let kafkas =
            format!("One or more records have been rejected due to [RecordError(batchIndex=1, message='{keyless}')]");
        let kafkas = told("t", &part(ErrorCode::InvalidRecord, Some(&kafkas), Some(keyless)));
        assert_eq!(kafkas.matches("without key").count(), 1, "{kafkas}");
        assert!(kafkas.ends_with(cure), "{kafkas}");
        let own = told("__consumer_offsets", &part(ErrorCode::InvalidTopicException, None, None));
        assert!(own.contains("the broker's own") && own.ends_with("choose another topic"), "{own}");
    }

    #[test]
    fn sequences_go_on_at_zero_after_the_largest() {
        assert_eq!(next_sequence(0, 5), 5);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 5), 3);
    }
}
