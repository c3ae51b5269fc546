//! One partition as its owner sees it: the pure machines of its log, producers and epochs, and who waits for it.
//! Owning core only.
//!
//! Invariant: `high_watermark` ≤ the log's end; without relaxed flushing it is the end of what is synced.

use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::append::PendingPart;
use super::hash::FixedState;
use super::watch::Watch;
use crate::batch::BatchHeader;
use crate::catalog::TopicConfig;
use crate::journal::checkpoint::PartitionCheckpoint;
use crate::log::{LogSnapshot, PartitionDir, PartitionLog};
use crate::partition::epochs::Epochs;
use crate::partition::producers::{ProducerRoom, Producers, Sequenced};
use crate::planted::{PlantedFault, is_planted};
use crate::types::{LeaderEpoch, Offset, PartitionId, ProducerId};

/// Where a partition is on its shard. A place is used again for another one, but under another number, so that late results find
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub(super) place: u32,
    /// How many have had the place before.
    pub(super) number: u32,
}

impl Slot {
    /// Where a walk over all partitions begins.
    pub const FIRST: Slot = Slot { place: 0, number: 0 };
}

pub struct Partition {
    pub id: PartitionId,
    pub topic_name: Arc<str>,
    pub config: Arc<TopicConfig>,
    pub epoch: LeaderEpoch,
    pub log: PartitionLog,
    pub epochs: Epochs,
    pub producers: Producers,
    pub high_watermark: Offset,
    /// The log start whose move is synced: segments wholly below may go (R8). Readers are refused below that of the log
    /// already.
    pub durable_log_start: Offset,
    /// Finished segments below are in a checkpoint of this run, so that no start takes them from the journal.
    pub recorded_end: Offset,
    /// Compaction met a batch that it does not understand; looked at again after the next start.
    pub is_uncleanable: bool,
    /// Why reads and appends are refused; the broker serves all other partitions.
    pub offline: Option<Arc<str>>,
    /// It could not be put together at the start: what later starts must still know of it.
    pub unreadable: Option<Box<PartitionCheckpoint>>,
    /// It was found so at this start: the last run's journals may mend it and stay.
    pub keeps_journals: bool,
    /// Appends that wait for the tail block to be read back; their order is kept.
    pub waiting_for_tail: Vec<PendingPart>,
    pub watches: Vec<Rc<Watch>>,
    /// Records appended and not synced, for `flush.messages`.
    pub unsynced_records: i64,
    /// In the carry of two turns without an append between: the next turn writes its tail padded (R12).
    pub carried_end: Option<Offset>,
    pub traffic: Traffic,
}

/// What went through a partition since the start of the broker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub appended_records: u64,
    pub appended_bytes: u64,
    pub read_bytes: u64,
}

impl Partition {
    pub fn new(
        id: PartitionId,
        topic_name: Arc<str>,
        config: Arc<TopicConfig>,
        epoch: LeaderEpoch,
        log: PartitionLog,
        epochs: Epochs,
        producers: Producers,
    ) -> Partition {
        Partition {
            id,
            topic_name,
            config,
            epoch,
            high_watermark: log.log_end(),
            durable_log_start: log.log_start(),
            log,
            epochs,
            producers,
            recorded_end: Offset::ZERO,
            is_uncleanable: false,
            offline: None,
            unreadable: None,
            keeps_journals: false,
            waiting_for_tail: Vec::new(),
            watches: Vec::new(),
            unsynced_records: 0,
            carried_end: None,
            traffic: Traffic::default(),
        }
    }

    /// The age at which its active segment is closed. Kafka takes off a part of `segment.jitter.ms` at random; so that a log says the
    /// same of itself whenever it is asked, here it goes by what the segment is.
    pub fn segment_ms(&self) -> i64 {
        let most = self.config.segment_ms_max();
        match self.config.segment_jitter_ms.min(most) {
            jitter @ 1.. => {
                let hash = FixedState.hash_one((self.id, self.log.active_base()));
                most - i64::try_from(hash % jitter.unsigned_abs()).unwrap_or(0)
            }
            _ => most,
        }
    }

    /// How long a file that is taken out of the log stays on the disk, as its topic wants it now.
    pub fn removal_delay(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0))
    }

    /// Where its files are.
    pub fn directory(&self) -> PartitionDir {
        PartitionDir { id: self.id, topic_name: self.topic_name.clone() }
    }

    /// A batch is in the log: producers and epochs learn from it, live and from the journal alike.
    pub fn learn(&mut self, header: &BatchHeader, now_ms: i64, room: &mut ProducerRoom) {
        let base = Offset(header.base_offset);
        self.producers.record(&sequenced(header), base, now_ms, room);
        self.epochs.record(LeaderEpoch(header.leader_epoch), base);
    }

    /// The log start as clients and other cores may know it: a move that is decided and not synced has not happened (R1).
    pub fn log_start_told(&self) -> Offset {
        if is_planted(PlantedFault::LogStartLeaks) { self.log.log_start() } else { self.durable_log_start }
    }

    /// What the checkpoint says of it: nothing of appends that are not synced, or their retries would be taken for
    /// duplicates after a crash that lost them. Nor of a log start that is not: it may lie above all that is.
    pub fn checkpoint(&self) -> PartitionCheckpoint {
        if let Some(line) = &self.unreadable {
            return PartitionCheckpoint::clone(line);
        }
        let log = LogSnapshot { log_start: self.durable_log_start, ..self.log.snapshot() };
        let durable = log.log_end;
        let mut producers = self.producers.snapshot();
        for producer in &mut producers {
            producer.batches.retain(|mark| mark.base_offset < durable);
        }
        producers.retain(|producer| !producer.batches.is_empty());
        let epochs = self.epochs.entries().iter().filter(|entry| entry.start < durable).copied().collect();
        PartitionCheckpoint { id: self.id, log, epochs, producers, offline: None }
    }

    /// There is something that a later start must know.
    pub fn is_worth_a_checkpoint(&self) -> bool {
        self.unreadable.is_some() || !self.log.is_untouched()
    }

    /// Acks wait for the sync (the default) and not only for the journal write (R3).
    pub fn is_strict(&self) -> bool {
        self.config.syncs_before_ack()
    }

    pub fn offline_reason(&self) -> Option<String> {
        self.offline.as_ref().map(|why| why.to_string())
    }
}

/// What idempotence looks at in a batch.
pub fn sequenced(header: &BatchHeader) -> Sequenced {
    Sequenced {
        producer: if header.has_producer() { ProducerId(header.producer_id) } else { ProducerId::NONE },
        epoch: header.producer_epoch,
        first: header.base_sequence,
        count: header.record_count,
        max_timestamp_ms: header.max_timestamp,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::{BatchBuilder, NewRecord};
    use crate::catalog::{Catalog, CatalogSettings};
    use crate::log::RollRules;
    use crate::shard::catalog::fresh;
    use crate::types::TopicId;

    #[test]
    fn segments_are_closed_at_ages_that_differ_by_up_to_the_jitter() {
        let catalog = Catalog::new(CatalogSettings::new("cluster", 1));
        let mut config = (*catalog.metadata_topic().config).clone();
        (config.segment_ms, config.segment_jitter_ms) = (1_000, 400);
        let ages = |config: &TopicConfig| -> Vec<i64> {
            let id = |index| PartitionId { topic: TopicId([7; 16]), index };
            let one = |index| fresh(id(index), "t".into(), Arc::new(config.clone()), LeaderEpoch(0)).segment_ms();
            (0..50).map(one).collect()
        };
        let with_jitter = ages(&config);
        assert!(with_jitter.iter().all(|age| (601..=1_000).contains(age)), "{with_jitter:?}");
        let (least, most) = (with_jitter.iter().min(), with_jitter.iter().max());
        assert!(least < Some(&700) && most > Some(&900), "{with_jitter:?}");
        config.segment_jitter_ms = 0;
        assert_eq!(ages(&config), [1_000; 50]);
        // More of it than there is of the age.
        config.segment_jitter_ms = i64::MAX;
        assert!(ages(&config).iter().all(|age| (1..=1_000).contains(age)));
    }

    #[test]
    fn a_checkpoint_names_no_log_start_that_is_not_synced() {
        let id = PartitionId { topic: TopicId([7; 16]), index: 0 };
        let config = Catalog::new(CatalogSettings::new("cluster", 1)).metadata_topic().config.clone();
        let mut partition = fresh(id, "t".into(), config, LeaderEpoch(0));
        let mut batch = BatchBuilder::new(0);
        batch.push(&NewRecord::default());
        let bytes: Bytes = batch.finish().expect("a batch");
        let header = BatchHeader::parse(&bytes).expect("whole");
        let rules = RollRules { segment_bytes: u64::MAX, segment_ms: i64::MAX };
        partition.log.place(&header, bytes.len(), &rules, 0);
        partition.log.move_log_start(Offset(1));
        assert_eq!(partition.log.log_start(), Offset(1));
        assert_eq!(partition.checkpoint().log.log_start, Offset(0));
        partition.durable_log_start = Offset(1);
        assert_eq!(partition.checkpoint().log.log_start, Offset(1));
    }
}
