//! Bytes of a checkpoint: magic, version, run, partitions, checksum over all of it. Pure; little-endian.
//!
//! Invariant: what is decoded passed the checksum, so a count that does not fit its bytes is our own fault and says so.

use std::sync::Arc;

use thiserror::Error;

use super::{Checkpoint, PartitionCheckpoint};
use crate::batch::crc::{Crc32c, crc32c};
use crate::journal::format::RunId;
use crate::journal::run::Run;
use crate::log::{IndexEntry, LogSnapshot, OpenSegment, PrefixSum, Replacement, SealedSegment};
use crate::partition::epochs::EpochStart;
use crate::partition::producers::{BatchMark, ProducerSnapshot};
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId, ProducerId, TopicId};

const MAGIC: [u8; 4] = *b"CLCP";
pub const VERSION: u16 = 3;
/// Without what compaction must know.
const VERSION_WITHOUT_CLEANINGS: u16 = 2;
/// Without the checksums of what is in no index page.
const VERSION_WITHOUT_RUNS: u16 = 1;
const CHECKSUM_BYTES: usize = 4;
/// So many are summed up at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Why bytes are no checkpoint that a start may use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    #[error("checkpoint format version {0} is not known to this build")]
    Version(u16),
    #[error("{0}")]
    Damaged(String),
}

pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    encode_as(checkpoint, VERSION)
}

fn encode_as(checkpoint: &Checkpoint, version: u16) -> Vec<u8> {
    let Checkpoint { run, shard, first_generation, partitions } = checkpoint;
    let mut encoder = Encoder::new(*run, *shard, *first_generation, 64 + partitions.len() * 128, version);
    partitions.iter().for_each(|partition| encoder.push(partition));
    let mut crc = Crc32c::new();
    encoder.pieces().for_each(|piece| crc.update(piece));
    encoder.finish(&crc)
}

/// The bytes of a checkpoint that is made piece by piece, each in a moment.
pub struct Encoder {
    out: Vec<u8>,
    version: u16,
    /// Where the number of partitions stands, and what it is.
    count_at: usize,
    count: u32,
}

impl Encoder {
    /// `bytes`: about as many as it will have.
    pub fn new(run: Run, shard: u32, first_generation: u64, bytes: usize, version: u16) -> Encoder {
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&run.number.to_le_bytes());
        out.extend_from_slice(&run.id.0.to_le_bytes());
        out.extend_from_slice(&run.shards.to_le_bytes());
        out.extend_from_slice(&shard.to_le_bytes());
        out.extend_from_slice(&first_generation.to_le_bytes());
        let count_at = out.len();
        put_count(&mut out, 0);
        Encoder { out, version, count_at, count: 0 }
    }

    pub fn push(&mut self, partition: &PartitionCheckpoint) {
        self.count += 1;
        self.out[self.count_at..self.count_at + 4].copy_from_slice(&self.count.to_le_bytes());
        put_partition(&mut self.out, partition, self.version);
    }

    /// All that the checksum covers, once everything is pushed.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.out.chunks(PIECE_BYTES)
    }

    /// With the checksum of all pieces.
    pub fn finish(mut self, crc: &Crc32c) -> Vec<u8> {
        self.out.extend_from_slice(&crc.value().to_le_bytes());
        self.out
    }
}

pub fn decode(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
    let damaged = |what: &str| DecodeError::Damaged(what.to_owned());
    let (body, crc) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is too short"))?;
    if u32::from_le_bytes(*crc) != crc32c(body) {
        return Err(damaged("its checksum does not match"));
    }
    let mut from = Reader { left: body, version: VERSION };
    if from.array::<4>()? != MAGIC {
        return Err(damaged("it is no checkpoint"));
    }
    from.version = u16::from_le_bytes(from.array()?);
    if !(VERSION_WITHOUT_RUNS..=VERSION).contains(&from.version) {
        return Err(DecodeError::Version(from.version));
    }
    from.array::<2>()?;
    let run = Run { number: from.u64()?, id: RunId(u128::from_le_bytes(from.array()?)), shards: from.u32()? };
    let (shard, first_generation) = (from.u32()?, from.u64()?);
    let partitions = from.list(partition)?;
    Ok(Checkpoint { run, shard, first_generation, partitions })
}

fn put_partition(out: &mut Vec<u8>, partition: &PartitionCheckpoint, version: u16) {
    out.extend_from_slice(&partition.id.topic.0);
    out.extend_from_slice(&partition.id.index.to_le_bytes());
    put_log(out, &partition.log, version);
    put_count(out, partition.epochs.len());
    for entry in &partition.epochs {
        out.extend_from_slice(&entry.epoch.0.to_le_bytes());
        out.extend_from_slice(&entry.start.0.to_le_bytes());
    }
    put_count(out, partition.producers.len());
    for producer in &partition.producers {
        put_producer(out, producer);
    }
    let why = partition.offline.as_deref().unwrap_or_default();
    put_count(out, why.len());
    out.extend_from_slice(why.as_bytes());
}

fn partition(from: &mut Reader<'_>) -> Result<PartitionCheckpoint, DecodeError> {
    Ok(PartitionCheckpoint {
        id: PartitionId { topic: TopicId(from.array()?), index: from.i32()? },
        log: log(from)?,
        epochs: from.list(|from| Ok(EpochStart { epoch: LeaderEpoch(from.i32()?), start: from.offset()? }))?,
        producers: from.list(producer)?,
        offline: from.text()?.map(Arc::from),
    })
}

fn put_producer(out: &mut Vec<u8>, producer: &ProducerSnapshot) {
    out.extend_from_slice(&producer.producer.0.to_le_bytes());
    out.extend_from_slice(&producer.epoch.to_le_bytes());
    out.extend_from_slice(&producer.seen_ms.to_le_bytes());
    put_count(out, producer.batches.len());
    for mark in &producer.batches {
        out.extend_from_slice(&mark.base_offset.0.to_le_bytes());
        out.extend_from_slice(&mark.timestamp_ms.to_le_bytes());
        out.extend_from_slice(&mark.first.to_le_bytes());
        out.extend_from_slice(&mark.count.to_le_bytes());
    }
}

fn producer(from: &mut Reader<'_>) -> Result<ProducerSnapshot, DecodeError> {
    Ok(ProducerSnapshot {
        producer: ProducerId(from.i64()?),
        epoch: from.i16()?,
        seen_ms: from.i64()?,
        batches: from
            .list(|from| {
                Ok(BatchMark {
                    base_offset: from.offset()?,
                    timestamp_ms: from.i64()?,
                    first: from.i32()?,
                    count: from.i32()?,
                })
            })?
            .into(),
    })
}

fn put_log(out: &mut Vec<u8>, log: &LogSnapshot, version: u16) {
    out.extend_from_slice(&log.log_start.0.to_le_bytes());
    out.extend_from_slice(&log.log_end.0.to_le_bytes());
    out.push(u8::from(log.has_directory));
    put_count(out, log.sealed.len());
    for segment in &log.sealed {
        put_sealed(out, segment, version);
    }
    if version > VERSION_WITHOUT_CLEANINGS {
        out.extend_from_slice(&log.cleanings.to_le_bytes());
        out.extend_from_slice(&log.cleaned_upto.0.to_le_bytes());
        put_count(out, log.replacing.iter().count());
        if let Some(under_way) = &log.replacing {
            put_sealed(out, &under_way.segment(), version);
        }
    }
    put_count(out, log.open.len());
    for segment in &log.open {
        let words = [
            segment.base.0,
            segment.end_offset.0,
            segment.synced.0.cast_signed(),
            segment.end.0.cast_signed(),
            segment.created_ms,
            segment.first_timestamp_ms,
            segment.max_timestamp_ms,
        ];
        for word in words {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&segment.index_pages.to_le_bytes());
        out.push(u8::from(segment.rolled));
        if version == VERSION_WITHOUT_RUNS {
            continue;
        }
        put_count(out, segment.runs.len());
        for run in &segment.runs {
            for word in [run.offset_delta, run.position, run.length, run.sum.0] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&run.max_timestamp_ms.to_le_bytes());
        }
    }
}

fn put_sealed(out: &mut Vec<u8>, segment: &SealedSegment, version: u16) {
    let words = [
        segment.base.0,
        segment.end_offset.0,
        segment.size.0.cast_signed(),
        segment.max_timestamp_ms,
        segment.first_timestamp_ms,
        segment.cleaning.cast_signed(),
    ];
    let count = if version > VERSION_WITHOUT_CLEANINGS { words.len() } else { 4 };
    for word in words.iter().take(count) {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn sealed(from: &mut Reader<'_>) -> Result<SealedSegment, DecodeError> {
    let (base, end_offset, size) = (from.offset()?, from.offset()?, FilePos(from.u64()?));
    let max_timestamp_ms = from.i64()?;
    let (first_timestamp_ms, cleaning) =
        if from.version > VERSION_WITHOUT_CLEANINGS { (from.i64()?, from.u64()?) } else { (max_timestamp_ms, 0) };
    Ok(SealedSegment { base, end_offset, size, first_timestamp_ms, max_timestamp_ms, cleaning })
}

fn log(from: &mut Reader<'_>) -> Result<LogSnapshot, DecodeError> {
    let (log_start, log_end, has_directory) = (from.offset()?, from.offset()?, from.bool()?);
    let sealed_segments = from.list(sealed)?;
    let (mut cleanings, mut cleaned_upto, mut replacing) = (0, Offset::ZERO, None);
    if from.version > VERSION_WITHOUT_CLEANINGS {
        (cleanings, cleaned_upto) = (from.u64()?, from.offset()?);
        replacing = from.list(sealed)?.pop().map(Replacement::of);
    }
    Ok(LogSnapshot {
        log_start,
        log_end,
        has_directory,
        cleanings,
        cleaned_upto,
        replacing,
        sealed: sealed_segments,
        open: from.list(|from| {
            Ok(OpenSegment {
                base: from.offset()?,
                end_offset: from.offset()?,
                synced: FilePos(from.u64()?),
                end: FilePos(from.u64()?),
                created_ms: from.i64()?,
                first_timestamp_ms: from.i64()?,
                max_timestamp_ms: from.i64()?,
                index_pages: from.u32()?,
                rolled: from.bool()?,
                runs: if from.version == VERSION_WITHOUT_RUNS { Vec::new() } else { from.list(run)? },
            })
        })?,
    })
}

fn run(from: &mut Reader<'_>) -> Result<IndexEntry, DecodeError> {
    Ok(IndexEntry {
        offset_delta: from.u32()?,
        position: from.u32()?,
        length: from.u32()?,
        sum: PrefixSum(from.u32()?),
        max_timestamp_ms: from.i64()?,
    })
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("below 4 billion entries").to_le_bytes());
}

struct Reader<'a> {
    left: &'a [u8],
    /// Of the checkpoint's format.
    version: u16,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .left
            .split_first_chunk::<N>()
            .ok_or_else(|| DecodeError::Damaged("it ends inside an entry".to_owned()))?;
        self.left = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_le_bytes)
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.array::<1>().map(|b| b[0] != 0)
    }

    fn offset(&mut self) -> Result<Offset, DecodeError> {
        self.i64().map(Offset)
    }

    /// `None` if it is empty.
    fn text(&mut self) -> Result<Option<String>, DecodeError> {
        let bytes = self.list(|from| from.array::<1>().map(|[byte]| byte))?;
        Ok((!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A count and that many entries. The count is no reason to reserve memory: entries are read until they end.
    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()?;
        (0..count).map(|_| one(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::CheckpointError;
    use super::*;
    use crate::runtime::Runtime;
    use crate::runtime::sim::{DiskOp, Fault, Sim};

    fn checkpoint() -> Checkpoint {
        let run = |n: u32| IndexEntry {
            offset_delta: n,
            position: n * 600_000,
            length: 600_000,
            sum: PrefixSum(n ^ 0xabcd),
            max_timestamp_ms: i64::from(n),
        };
        let segment = |base: i64, runs: u32| OpenSegment {
            base: Offset(base),
            end_offset: Offset(base + 9),
            synced: FilePos(4096),
            end: FilePos(1_800_000),
            created_ms: 1,
            first_timestamp_ms: 2,
            max_timestamp_ms: 3,
            index_pages: 4,
            runs: (0..runs).map(run).collect(),
            rolled: runs == 0,
        };
        let sealed = |number: u64| SealedSegment {
            base: Offset(-10),
            end_offset: Offset(0),
            size: FilePos(77),
            first_timestamp_ms: 5,
            max_timestamp_ms: 6,
            cleaning: number,
        };
        let log = LogSnapshot {
            log_end: Offset(30),
            has_directory: true,
            cleanings: 7,
            cleaned_upto: Offset(-3),
            replacing: Some(Replacement::of(sealed(8))),
            sealed: vec![sealed(7)],
            open: vec![segment(0, 0), segment(10, 3)],
            ..LogSnapshot::default()
        };
        let partition = PartitionCheckpoint {
            id: PartitionId { topic: TopicId([5; 16]), index: 1 },
            log,
            epochs: vec![EpochStart { epoch: LeaderEpoch(2), start: Offset(0) }],
            producers: Vec::new(),
            offline: None,
        };
        let run = Run { number: 3, id: RunId(77), shards: 2 };
        Checkpoint { run, shard: 1, first_generation: 6, partitions: vec![partition.clone(), partition] }
    }

    #[test]
    fn a_copy_that_the_disk_cannot_read_leaves_the_other() {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            let (dir, ours) = (Path::new("/checkpoint"), checkpoint());
            rt.create_dir_all(dir).await.expect("made");
            ours.store(&rt, dir).await.expect("stored");
            let unreadable =
                |copy: &str| Fault { op: DiskOp::Read, path_contains: copy.into(), after: 0, times: u64::MAX };
            rt.disk().add_fault(unreadable(".a"));
            assert!(Checkpoint::load(&rt, dir, ours.run, ours.shard).await.is_ok());
            rt.disk().add_fault(unreadable(".b"));
            let refused = Checkpoint::load(&rt, dir, ours.run, ours.shard).await;
            assert!(
                matches!(&refused, Err(CheckpointError::Io { path, .. }) if path.ends_with("3-1.a")),
                "{refused:?}"
            );
        });
    }

    #[test]
    fn a_checkpoint_reads_back_and_any_flipped_bit_is_refused() {
        let bytes = encode(&checkpoint());
        assert_eq!(decode(&bytes), Ok(checkpoint()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn earlier_versions_are_read_without_what_they_lack_and_a_later_one_is_named() {
        let mut expected = checkpoint();
        for log in expected.partitions.iter_mut().map(|partition| &mut partition.log) {
            (log.cleanings, log.cleaned_upto, log.replacing) = (0, Offset::ZERO, None);
            for segment in &mut log.sealed {
                (segment.first_timestamp_ms, segment.cleaning) = (segment.max_timestamp_ms, 0);
            }
        }
        assert_eq!(decode(&encode_as(&checkpoint(), VERSION_WITHOUT_CLEANINGS)), Ok(expected.clone()));
        for segment in expected.partitions.iter_mut().flat_map(|partition| &mut partition.log.open) {
            segment.runs.clear();
        }
        assert_eq!(decode(&encode_as(&checkpoint(), VERSION_WITHOUT_RUNS)), Ok(expected));
        assert_eq!(decode(&encode_as(&checkpoint(), 9)), Err(DecodeError::Version(9)));
    }
}
