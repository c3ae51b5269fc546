//! Reads partitions that its user names, from offsets that its user names. Blocking; no groups.
//!
//! Invariant: a partition's position is one after the last offset that was looked at, whatever was in it, so each record
//! comes once and reading always gets on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use shards::batch::{BatchHeader, CRC_FROM, Compression, HEADER_BYTES, Records, TimestampType, crc, decompress, walk};

use super::admin::{OffsetAt, offset_at, offsets_at};
use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use crate::wire::{Bytes, ErrorCode};

/// Of one reply, and of one partition in it; a larger batch comes whole.
const REPLY_BYTES: i32 = 32 << 20;
const PARTITION_BYTES: i32 = 4 << 20;
/// Most that a batch of a broker may decompress to, in bytes.
pub const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A record as it was read. Keys, values and headers share the batch's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1 when the record has none.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

pub struct Consumer {
    cluster: Cluster,
    topic: String,
    /// The next offset of each partition that is read.
    positions: BTreeMap<i32, i64>,
}

impl Consumer {
    pub fn new(cluster: Cluster, topic: &str) -> Consumer {
        Consumer { cluster, topic: topic.to_owned(), positions: BTreeMap::new() }
    }

    pub(super) fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Reads this partition too, from this offset.
    pub fn assign(&mut self, partition: i32, offset: i64) {
        self.positions.insert(partition, offset);
    }

    /// Reads partitions too that are not read yet, from their beginning.
    pub fn assign_new(&mut self) -> Result<(), ClientError> {
        let info = self.cluster.topic_anew(&self.topic)?;
        let new = info.partitions.iter().map(|known| known.index).filter(|index| !self.positions.contains_key(index));
        let new: Vec<i32> = new.collect();
        for (partition, first) in offsets_at(&mut self.cluster, &self.topic, &new, OffsetAt::Beginning)? {
            self.positions.insert(partition, first.unwrap_or(0));
        }
        Ok(())
    }

    pub fn unassign(&mut self, partition: i32) {
        self.positions.remove(&partition);
    }

    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// What has come, in the order of each partition; waits for it no longer than `wait`.
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<Received>, ClientError> {
        let Consumer { cluster, topic, positions } = self;
        let mut received = Vec::new();
        let outcome = cluster.retrying(|cluster| {
            let partitions: Vec<i32> = positions.keys().copied().collect();
            let by_leader = cluster.leaders(topic, &partitions)?;
            // One broker is asked after the other, so each waits its share.
            let leaders = u32::try_from(by_leader.len()).unwrap_or(u32::MAX).max(1);
            for (leader, parts) in by_leader {
                let from = |partition: i32| Some((partition, *positions.get(&partition)?));
                let parts: Vec<(i32, i64)> = parts.into_iter().filter_map(from).collect();
                for data in fetch(cluster, leader, topic, &parts, wait / leaders)? {
                    let Some(position) = positions.get_mut(&data.partition_index) else { continue };
                    take(cluster, topic, &data, position, &mut received)?;
                }
                if !received.is_empty() {
                    break;
                }
            }
            Ok(())
        });
        match outcome {
            // What came before it is handed out first; the next poll meets it again.
            Err(_) if !received.is_empty() => Ok(received),
            outcome => outcome.map(|()| received),
        }
    }
}

fn fetch(
    cluster: &mut Cluster,
    leader: i32,
    topic: &str,
    parts: &[(i32, i64)],
    wait: Duration,
) -> Result<Vec<PartitionData>, ClientError> {
    let part = |&(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: PARTITION_BYTES,
        ..FetchPartition::default()
    };
    let partitions = parts.iter().map(part).collect();
    let topics = vec![FetchTopic { topic: topic.into(), partitions, ..FetchTopic::default() }];
    match cluster.call(leader, fetch_request(topics, wait))? {
        Response::Fetch(reply) if reply.error_code == ErrorCode::None => {
            Ok(reply.responses.into_iter().flat_map(|topic| topic.partitions).collect())
        }
        Response::Fetch(reply) => Err(ClientError::refused(format!("reading {topic}"), reply.error_code)),
        other => Err(unasked("the leader", &other)),
    }
}

pub(super) fn fetch_request(topics: Vec<FetchTopic>, wait: Duration) -> FetchRequest {
    FetchRequest {
        max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: REPLY_BYTES,
        // Committed records only; those of aborted transactions are dropped in `read`.
        isolation_level: 1,
        topics,
        ..FetchRequest::default()
    }
}

/// Adds one partition's records to `received` and moves its position behind them.
fn take(
    cluster: &mut Cluster,
    topic: &str,
    data: &PartitionData,
    position: &mut i64,
    received: &mut Vec<Received>,
) -> Result<(), ClientError> {
    let partition = data.partition_index;
    match data.error_code {
        ErrorCode::None => {}
        ErrorCode::OffsetOutOfRange => {
            let mut at = |at| offset_at(cluster, topic, partition, at).map(|offset| offset.unwrap_or(0));
            let (first, end) = (at(OffsetAt::Beginning)?, at(OffsetAt::End)?);
            return Err(ClientError::OutOfRange { topic: topic.to_owned(), partition, asked: *position, first, end });
        }
        code => return Err(ClientError::refused(format!("reading {topic}-{partition}"), code)),
    }
    read_data(topic, data, position, received)
}

/// Adds the records of one partition's answer, which is no error, and moves its position behind them.
pub(super) fn read_data(
    topic: &str,
    data: &PartitionData,
    position: &mut i64,
    received: &mut Vec<Received>,
) -> Result<(), ClientError> {
    let partition = data.partition_index;
    let aborted = data.aborted_transactions.iter().flatten().map(|t| (t.producer_id, t.first_offset)).collect();
    let bytes = data.records.clone().map(|records| records.into_bytes()).unwrap_or_default();
    read(partition, &bytes, position, aborted, received).map_err(|(offset, what)| ClientError::Damaged {
        topic: topic.to_owned(),
        partition,
        offset,
        what,
    })
}

/// The records from `position` on in a stretch of log, without those of aborted transactions (producer, first offset).
/// On an error, the offset of what cannot be read, and why; the position is then behind all that could be.
fn read(
    partition: i32,
    bytes: &Bytes,
    position: &mut i64,
    aborted: Vec<(i64, i64)>,
    received: &mut Vec<Received>,
) -> Result<(), (i64, String)> {
    let mut aborting: HashSet<i64> = HashSet::new();
    let mut to_come: HashMap<i64, Vec<i64>> = HashMap::new();
    for (producer, first) in aborted {
        to_come.entry(producer).or_default().push(first);
    }
    let mut end = 0;
    for (at, header) in walk(bytes) {
        end = at.saturating_add(header.total_bytes().unwrap_or(0));
        let batch = bytes.slice(at..end);
        let damaged = |what: String| (header.base_offset, what);
        let computed = crc::crc32c(batch.get(CRC_FROM..).unwrap_or_default());
        if computed != header.crc {
            return Err(damaged(format!("their checksum is {:08x}, not {:08x}", computed, header.crc)));
        }
        if let Some(firsts) = to_come.get_mut(&header.producer_id) {
            let before = firsts.len();
            firsts.retain(|first| *first > header.last_offset());
            if firsts.len() < before {
                aborting.insert(header.producer_id);
            }
        }
        if header.is_control() {
            // It ends a transaction, whichever way.
            aborting.remove(&header.producer_id);
        } else if !(header.is_transactional() && aborting.contains(&header.producer_id)) {
            records_of(partition, &batch, &header, *position, received).map_err(damaged)?;
        }
        *position = (*position).max(header.last_offset().saturating_add(1));
    }
    if end == 0 && !bytes.is_empty() {
        return Err((*position, "no whole record batch of version 2".to_owned()));
    }
    Ok(())
}

fn records_of(
    partition: i32,
    batch: &Bytes,
    header: &BatchHeader,
    from: i64,
    received: &mut Vec<Received>,
) -> Result<(), String> {
    let codec = Compression::from_code(header.compression_code()).map_err(|e| e.to_string())?;
    let payload = batch.slice(HEADER_BYTES..);
    let plain = match codec {
        Compression::None => payload,
        codec => {
            let mut out = Vec::new();
            decompress(codec, &payload, DECOMPRESSED_BYTES_MAX, &mut out).map_err(|e| e.to_string())?;
            Bytes::from(out)
        }
    };
    // Compaction takes records out of the middle, which the offsets then jump over.
    for record in Records::new(&plain, header.record_count).with_gaps() {
        let record = record.map_err(|e| e.to_string())?;
        let offset = header.base_offset.saturating_add(i64::from(record.offset_delta));
        if offset < from {
            continue;
        }
        let share = |part: &[u8]| plain.slice_ref(part);
        received.push(Received {
            partition,
            offset,
            timestamp_ms: match header.timestamp_type() {
                TimestampType::LogAppend => header.max_timestamp,
                TimestampType::Create => header.base_timestamp.saturating_add(record.timestamp_delta),
            },
            key: record.key.map(share),
            value: record.value.map(share),
            headers: record.headers.map(|header| (share(header.key), header.value.map(share))).collect(),
        });
    }
    Ok(())
}
