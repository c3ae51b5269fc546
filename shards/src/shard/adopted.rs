//! A log and a catalog that another broker has written, as files of a data directory that a start takes for those of its
//! last run. Pure: the caller reads and writes.
//!
//! Every segment is a sealed one and all of it is in files, so the journal is empty; the metadata log is empty, too, behind a
//! snapshot of the catalog.
//!
//! Invariant: what readers would be told wrongly is refused: a log that goes back, and transactions that did not commit, of
//! which this release knows nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use super::at_rest::METADATA;
use super::partition::sequenced;
use super::settings::Layout;
use super::snapshot;
use super::snapshot::format::SnapshotEncodeError;
use crate::batch::Records;
use crate::catalog::Catalog;
use crate::journal::checkpoint::{Checkpoint, PartitionCheckpoint};
use crate::journal::format::RunId;
use crate::journal::run::Run;
use crate::log::{LogSnapshot, SealedSegment, SidecarBuilder, StoredBatch};
use crate::partition::epochs::{EpochStart, Epochs};
use crate::partition::producers::{ProducerRoom, Producers, Sequenced};
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId, ProducerId};

/// The cleaning that counts as having made the segments whose offsets have gaps.
const FOREIGN_CLEANING: u64 = 1;

/// Kafka's type of the control record that ends a transaction without its records.
const ABORT: i16 = 0;

/// Why a log cannot be taken over.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("{0}")]
    Damaged(&'static str),
    #[error("its leader epoch is {found}, and that of the batch before {last}")]
    EpochBack { found: i32, last: i32 },
    #[error("it ends at offset {found}, and the next segment begins at {next}")]
    Overlap { found: i64, next: i64 },
    #[error("the log begins at {start} and ends at {end}")]
    StartBehindEnd { start: i64, end: i64 },
    #[error(
        "the transaction of producer {producer} with records from offset {from} on was aborted: this release serves no \
         transactions, so readers would take its records for committed ones"
    )]
    Aborted { producer: i64, from: i64 },
    #[error(
        "the transaction of producer {producer} with records from offset {from} on has not ended: this release serves no \
         transactions, so readers would take its records for committed ones"
    )]
    Open { producer: i64, from: i64 },
}

/// A transaction of which a log holds records.
#[derive(Debug, Clone, Copy)]
struct Transaction {
    from: Offset,
    last: Offset,
}

/// Which producers are forgotten: those whose last batch is so old, by its largest timestamp, as in Kafka.
#[derive(Debug, Clone, Copy)]
pub struct Forget {
    pub now_ms: i64,
    /// `producer.id.expiration.ms`
    pub after_ms: i64,
}

/// Learns a log as its batches pass, segment by segment.
pub struct AdoptedLog {
    id: PartitionId,
    log_start: Offset,
    epochs: Epochs,
    producers: Producers,
    room: ProducerRoom,
    transactions: BTreeMap<i64, Transaction>,
    sealed: Vec<SealedSegment>,
}

/// The segment that is being learnt.
pub struct AdoptedSegment<'a> {
    log: &'a mut AdoptedLog,
    base: Offset,
    expected: Offset,
    has_gaps: bool,
    sidecar: SidecarBuilder,
    size: u64,
    first_timestamp_ms: Option<i64>,
    max_timestamp_ms: i64,
}

impl AdoptedLog {
    pub fn new(id: PartitionId, log_start: Offset) -> AdoptedLog {
        AdoptedLog {
            id,
            log_start,
            epochs: Epochs::default(),
            producers: Producers::default(),
            room: ProducerRoom::new(u32::MAX),
            transactions: BTreeMap::new(),
            sealed: Vec::new(),
        }
    }

    /// The next segment.
    pub fn segment(&mut self, base: Offset) -> AdoptedSegment<'_> {
        AdoptedSegment {
            log: self,
            base,
            expected: base,
            has_gaps: false,
            sidecar: SidecarBuilder::new(base),
            size: 0,
            first_timestamp_ms: None,
            max_timestamp_ms: -1,
        }
    }

    fn learn(&mut self, batch: &StoredBatch) -> Result<(), Unfit> {
        let header = &batch.header;
        let (base, last) = (Offset(header.base_offset), Offset(header.last_offset()));
        let epoch = LeaderEpoch(header.leader_epoch);
        if let Some(latest) = self.epochs.latest().filter(|latest| epoch < *latest) {
            return Err(Unfit::EpochBack { found: epoch.0, last: latest.0 });
        }
        self.epochs.record(epoch, base);
        if header.is_control() {
            return self.end_transaction(batch);
        }
        // Compaction takes records out of a batch, and leaves its sequences as they were.
        let count = header.last_offset_delta.saturating_add(1);
        let sequenced = Sequenced { count, ..sequenced(header) };
        if sequenced.producer != ProducerId::NONE && sequenced.first >= 0 {
            self.producers.record(&sequenced, base, header.max_timestamp, &mut self.room);
        }
        if header.is_transactional() && header.record_count > 0 {
            let begun = self.transactions.entry(header.producer_id).or_insert(Transaction { from: base, last });
            begun.last = last;
        }
        Ok(())
    }

    /// A control batch: it ends the transaction of its producer, if one has records here.
    fn end_transaction(&mut self, batch: &StoredBatch) -> Result<(), Unfit> {
        let producer = batch.header.producer_id;
        let Some(Ok(record)) = Records::new(batch.payload(), batch.header.record_count).next() else {
            // Kafka's compaction leaves the last batch of a producer empty, also a control batch.
            return if batch.header.record_count == 0 {
                Ok(())
            } else {
                Err(Unfit::Damaged("no control record is in it"))
            };
        };
        let kind = record.key.and_then(|key| key.get(2..4)?.first_chunk::<2>()).map(|kind| i16::from_be_bytes(*kind));
        let kind = kind.ok_or(Unfit::Damaged("its control record has no type"))?;
        match self.transactions.remove(&producer) {
            Some(Transaction { from, last }) if kind == ABORT && last >= self.log_start => {
                Err(Unfit::Aborted { producer, from: from.0 })
            }
            _ => Ok(()),
        }
    }

    /// What a checkpoint says of the log. `known`: the epochs of which the other broker kept where each began; they count if
    /// they say the same as the batches.
    pub fn finish(
        mut self,
        log_end: Offset,
        known: Vec<EpochStart>,
        forget: Forget,
    ) -> Result<PartitionCheckpoint, Unfit> {
        let log_start = self.log_start;
        if log_start > log_end {
            return Err(Unfit::StartBehindEnd { start: log_start.0, end: log_end.0 });
        }
        let open = self.transactions.iter().find(|(_, begun)| begun.last >= log_start);
        if let Some((producer, begun)) = open {
            return Err(Unfit::Open { producer: *producer, from: begun.from.0 });
        }
        // What was kept says nothing of epochs that ended below the log start; batches of them may be there still.
        self.epochs.truncate_start(log_start);
        if let Ok(mut known) = Epochs::from_entries(known) {
            known.truncate_start(log_start);
            if self.epochs.entries().iter().all(|entry| known.epoch_at(entry.start) == Some(entry.epoch)) {
                self.epochs = known;
            }
        }
        self.producers.expire(forget.now_ms, forget.after_ms, &mut self.room);
        let epochs = self.epochs.entries().iter().filter(|entry| entry.start < log_end).copied().collect();
        let log = LogSnapshot {
            log_start,
            log_end,
            has_directory: !self.sealed.is_empty(),
            cleanings: self.sealed.iter().map(|segment| segment.cleaning).max().unwrap_or(0),
            sealed: self.sealed,
            ..LogSnapshot::default()
        };
        Ok(PartitionCheckpoint { id: self.id, log, epochs, producers: self.producers.snapshot(), offline: None })
    }
}

impl AdoptedSegment<'_> {
    /// The batch that follows.
    pub fn batch(&mut self, batch: &StoredBatch) -> Result<(), Unfit> {
        if !batch.crc_is_right {
            return Err(Unfit::Damaged("its CRC does not match"));
        }
        self.sidecar.add(batch).map_err(Unfit::Damaged)?;
        self.log.learn(batch)?;
        self.has_gaps |= batch.header.base_offset != self.expected.0;
        self.expected = self.sidecar.end_offset();
        self.size = batch.end();
        self.first_timestamp_ms.get_or_insert(batch.header.max_timestamp);
        if batch.header.record_count > 0 {
            // Without records it has the time of those that compaction took, which a search would look for.
            self.max_timestamp_ms = self.max_timestamp_ms.max(batch.header.max_timestamp);
        }
        Ok(())
    }

    /// One past its last offset so far.
    pub fn end_offset(&self) -> Offset {
        self.expected
    }

    /// Of its batches so far.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// The bytes of its sidecar. `next`: where the next segment, or the log, goes on.
    pub fn seal(self, next: Offset) -> Result<Vec<u8>, Unfit> {
        if self.expected > next {
            return Err(Unfit::Overlap { found: self.expected.0, next: next.0 });
        }
        let has_gaps = self.has_gaps || self.expected < next;
        self.log.sealed.push(SealedSegment {
            base: self.base,
            end_offset: next,
            size: FilePos(self.size),
            first_timestamp_ms: self.first_timestamp_ms.unwrap_or(-1),
            max_timestamp_ms: self.max_timestamp_ms,
            cleaning: if has_gaps { FOREIGN_CLEANING } else { 0 },
        });
        Ok(self.sidecar.finish(self.size, next))
    }
}

/// The files that make a directory with these logs and this catalog one that a run has left, by their paths. The journal's
/// directory is to be there, too, and empty. `metadata_end`: where the metadata log goes on.
pub fn files(
    layout: &Layout,
    run_id: u128,
    catalog: &Catalog,
    metadata_end: Offset,
    mut partitions: Vec<PartitionCheckpoint>,
    now_ms: i64,
) -> Result<Vec<(PathBuf, Vec<u8>)>, SnapshotEncodeError> {
    let run = Run { number: 1, id: RunId(run_id), shards: 1 };
    let log = LogSnapshot { log_start: metadata_end, log_end: metadata_end, ..LogSnapshot::default() };
    let nothing = (Vec::new(), Vec::new());
    partitions.push(PartitionCheckpoint { id: METADATA, log, epochs: nothing.0, producers: nothing.1, offline: None });
    let checkpoint = Checkpoint { run, shard: 0, first_generation: 1, partitions }.encode();
    let epoch = catalog.leader_epoch(catalog.metadata_topic());
    let snapshot = snapshot::whole(catalog, epoch, now_ms)?;
    let copies = Checkpoint::copies(&layout.checkpoints(), run.number, 0);
    let mut files: Vec<(PathBuf, Vec<u8>)> = copies.into_iter().map(|path| (path, checkpoint.clone())).collect();
    files.push((layout.catalog().join(snapshot::file_name(metadata_end, epoch)), snapshot));
    files.push((layout.root.join("run"), run.encode().to_vec()));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::{BatchBuilder, BatchHeader, CRC_FROM, NewRecord, PREFIX_BYTES, crc::crc32c, stamp};
    use crate::types::TopicId;

    const TRANSACTIONAL: u8 = 0x10;
    const CONTROL: u8 = 0x20;
    const ID: PartitionId = PartitionId { topic: TopicId([3; 16]), index: 0 };
    const NEVER: Forget = Forget { now_ms: 0, after_ms: i64::MAX };

    /// A batch of one record at `position`, of producer 9; `attributes` are put in by hand, as no builder of ours makes them.
    fn batch(position: u64, offset: i64, epoch: i32, attributes: u8, key: &[u8]) -> StoredBatch {
        let mut builder = BatchBuilder::new(offset).producer(9, 0, i32::try_from(offset).expect("a small offset"));
        builder.push(&NewRecord { timestamp_ms: offset, key: Some(key), ..NewRecord::default() });
        let mut bytes = builder.finish().expect("a batch").to_vec();
        stamp(&mut bytes, Offset(offset), LeaderEpoch(epoch));
        bytes[22] |= attributes;
        let crc = crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let header = BatchHeader::parse(&bytes).expect("a header");
        let mut prefix = [0; PREFIX_BYTES];
        prefix.copy_from_slice(&bytes[..PREFIX_BYTES]);
        StoredBatch { position, header, prefix, bytes: Bytes::from(bytes), crc_is_right: true }
    }

    fn marker(position: u64, offset: i64, kind: u8) -> StoredBatch {
        batch(position, offset, 0, TRANSACTIONAL | CONTROL, &[0, 0, 0, kind])
    }

    /// The line of a log of one segment with these batches, each told its position.
    fn adopted(log_start: i64, batches: &[&dyn Fn(u64) -> StoredBatch]) -> Result<PartitionCheckpoint, Unfit> {
        let mut log = AdoptedLog::new(ID, Offset(log_start));
        let mut segment = log.segment(Offset(0));
        let mut position = 0;
        for make in batches {
            let batch = make(position);
            position = batch.end();
            segment.batch(&batch)?;
        }
        let end = segment.end_offset();
        segment.seal(end)?;
        log.finish(end, Vec::new(), NEVER)
    }

    #[test]
    fn a_committed_transaction_passes_and_an_aborted_or_open_one_is_named() {
        let record = |at: u64| batch(at, 0, 0, TRANSACTIONAL, b"k");
        assert!(adopted(0, &[&record, &|at| marker(at, 1, 1)]).is_ok());
        let aborted = adopted(0, &[&record, &|at| marker(at, 1, 0)]);
        assert_eq!(aborted, Err(Unfit::Aborted { producer: 9, from: 0 }));
        assert_eq!(adopted(0, &[&record]), Err(Unfit::Open { producer: 9, from: 0 }));
        assert!(adopted(1, &[&record, &|at| marker(at, 1, 0)]).is_ok(), "its records are deleted");
        assert!(adopted(0, &[&|at| marker(at, 0, 0)]).is_ok(), "it has no records here");
    }

    #[test]
    fn epochs_and_producers_follow_from_the_batches_and_gaps_are_told() {
        let line = adopted(0, &[&|at| batch(at, 0, 0, 0, b"k"), &|at| batch(at, 5, 2, 0, b"k")]).expect("a line");
        let starts: Vec<(i32, i64)> = line.epochs.iter().map(|entry| (entry.epoch.0, entry.start.0)).collect();
        assert_eq!(starts, [(0, 0), (2, 5)]);
        assert_eq!((line.producers.len(), line.producers[0].seen_ms), (1, 5));
        assert_eq!((line.log.sealed[0].cleaning, line.log.cleanings, line.log.log_end.0), (1, 1, 6));
        let whole = adopted(0, &[&|at| batch(at, 0, 0, 0, b"k"), &|at| batch(at, 1, 0, 0, b"k")]).expect("a line");
        assert_eq!((whole.log.sealed[0].cleaning, whole.log.cleanings), (0, 0));
    }

    #[test]
    fn epochs_that_were_kept_count_only_if_the_batches_say_the_same() {
        let line = |known: &[(i32, i64)]| {
            let mut log = AdoptedLog::new(ID, Offset(0));
            let mut segment = log.segment(Offset(0));
            segment.batch(&batch(0, 4, 1, 0, b"k")).expect("a batch");
            segment.seal(Offset(9)).expect("a segment");
            let known =
                known.iter().map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
            let line = log.finish(Offset(9), known.collect(), NEVER).expect("a line");
            line.epochs.iter().map(|entry| (entry.epoch.0, entry.start.0)).collect::<Vec<_>>()
        };
        assert_eq!(line(&[(0, 0), (1, 2), (2, 7), (3, 9)]), [(0, 0), (1, 2), (2, 7)]);
        assert_eq!(line(&[(0, 0)]), [(1, 4)]);
        assert_eq!(line(&[]), [(1, 4)]);
    }

    #[test]
    fn epochs_that_were_kept_count_although_the_log_begins_behind_the_first_batches() {
        let mut log = AdoptedLog::new(ID, Offset(6));
        let mut segment = log.segment(Offset(0));
        for (epoch, offset) in [(0, 0), (1, 4), (3, 8)] {
            segment.batch(&batch(segment.bytes(), offset, epoch, 0, b"k")).expect("a batch");
        }
        segment.seal(Offset(20)).expect("a segment");
        // As Kafka has cut it at the log start. Epoch 2 had no records, nor had 5.
        let known = [(1, 6), (2, 7), (3, 8), (5, 12)];
        let known = known.map(|(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
        let line = log.finish(Offset(20), known.to_vec(), NEVER).expect("a line");
        assert_eq!(line.epochs, known);
    }

    #[test]
    fn a_producer_that_kafka_would_forget_is_not_carried_over() {
        let known = |forget: Forget| {
            let mut log = AdoptedLog::new(ID, Offset(0));
            let mut segment = log.segment(Offset(0));
            // Its last record is of millisecond 7.
            segment.batch(&batch(0, 7, 0, 0, b"k")).expect("a batch");
            segment.seal(Offset(8)).expect("a segment");
            log.finish(Offset(8), Vec::new(), forget).expect("a line").producers.len()
        };
        assert_eq!(known(Forget { now_ms: 106, after_ms: 100 }), 1);
        assert_eq!(known(Forget { now_ms: 107, after_ms: 100 }), 0);
    }

    #[test]
    fn a_log_that_goes_back_is_refused() {
        let back = adopted(0, &[&|at| batch(at, 0, 3, 0, b"k"), &|at| batch(at, 1, 2, 0, b"k")]);
        assert_eq!(back, Err(Unfit::EpochBack { found: 2, last: 3 }));
        let mut log = AdoptedLog::new(ID, Offset(0));
        let mut segment = log.segment(Offset(0));
        segment.batch(&batch(0, 4, 0, 0, b"k")).expect("a batch");
        assert_eq!(segment.seal(Offset(3)), Err(Unfit::Overlap { found: 5, next: 3 }));
        assert_eq!(
            AdoptedLog::new(ID, Offset(5)).finish(Offset(4), Vec::new(), NEVER),
            Err(Unfit::StartBehindEnd { start: 5, end: 4 })
        );
    }
}
