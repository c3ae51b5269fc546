//! One partition as its owner sees it: the pure machines of its log, producers and epochs, and who waits for it.
//! Owning core only.
//!
//! Invariant: `high_watermark` ≤ the log's end; without relaxed flushing it is the end of what is synced.

use std::rc::Rc;
use std::sync::Arc;

use super::append::PendingPart;
use super::watch::Watch;
use crate::catalog::TopicConfig;
use crate::log::PartitionLog;
use crate::partition::epochs::EpochHistory;
use crate::partition::producers::Producers;
use crate::types::{LeaderEpoch, Offset, PartitionId};

/// Number of a partition on its shard; never used again while the process lives, so that late results find nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

pub struct Partition {
    pub id: PartitionId,
    pub topic_name: Arc<str>,
    pub config: Arc<TopicConfig>,
    pub epoch: LeaderEpoch,
    pub log: PartitionLog,
    pub epochs: EpochHistory,
    pub producers: Producers,
    pub high_watermark: Offset,
    /// Why reads and appends are refused; the broker serves all other partitions.
    pub offline: Option<Arc<str>>,
    /// Appends that wait for the tail block to be read back; their order is kept.
    pub waiting_for_tail: Vec<PendingPart>,
    pub watches: Vec<Rc<Watch>>,
    /// Records appended and not synced, for `flush.messages`.
    pub unsynced_records: i64,
    /// In the carry of two turns without an append between: the next turn writes its tail padded (R12).
    pub carried_end: Option<Offset>,
}

impl Partition {
    pub fn new(
        id: PartitionId,
        topic_name: Arc<str>,
        config: Arc<TopicConfig>,
        epoch: LeaderEpoch,
        log: PartitionLog,
        epochs: EpochHistory,
        producers: Producers,
    ) -> Partition {
        Partition {
            id,
            topic_name,
            config,
            epoch,
            high_watermark: log.log_end(),
            log,
            epochs,
            producers,
            offline: None,
            waiting_for_tail: Vec::new(),
            watches: Vec::new(),
            unsynced_records: 0,
            carried_end: None,
        }
    }

    /// Name of its directory.
    pub fn dir(&self) -> String {
        format!("{}-{}", self.topic_name, self.id.index)
    }

    /// Acks wait for the sync (the default) and not only for the journal write (R3).
    pub fn is_strict(&self) -> bool {
        self.config.flush_messages <= 1
    }

    pub fn offline_reason(&self) -> Option<String> {
        self.offline.as_ref().map(|why| why.to_string())
    }
}
