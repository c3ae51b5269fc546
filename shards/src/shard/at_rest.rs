//! What a start would find in a data directory, put together for tools while no broker runs. Pure: the caller reads files.
//!
//! Invariant: the same code as at a start decides what is whole; nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{METADATA_PARTITION, fresh};
use super::recovery::{RestoredPartition, put_together, restored, take_replacements};
use crate::catalog::{Catalog, CatalogSettings};
use crate::journal::checkpoint::PartitionCheckpoint;
use crate::journal::format::Entry;
use crate::log::SegmentAtRest;
use crate::partition::epochs::EpochStart;
use crate::partition::producers::{ProducerRoom, ProducerSnapshot};
use crate::types::{LeaderEpoch, Offset, PartitionId};

pub use super::snapshot::format::{read as snapshot_records, records_in};
pub use super::snapshot::offset_of as snapshot_offset;

/// The partition of the metadata log.
pub const METADATA: PartitionId = METADATA_PARTITION;

/// One partition as it would come up.
#[derive(Debug)]
pub struct PartitionAtRest {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Oldest first, without those that the log start has left behind.
    pub segments: Vec<SegmentAtRest>,
    pub has_directory: bool,
    pub epochs: Vec<EpochStart>,
    pub producers: Vec<ProducerSnapshot>,
}

/// All partitions that checkpoints and journals name, each as it would come up, or why it would be offline.
pub fn partitions(
    checkpoints: impl IntoIterator<Item = PartitionCheckpoint>,
    entries: impl IntoIterator<Item = Entry>,
    now_ms: i64,
) -> BTreeMap<PartitionId, Result<PartitionAtRest, String>> {
    let mut known = BTreeMap::new();
    for line in checkpoints {
        let id = line.id;
        restored(&mut known, id).checkpoint = Some(line);
    }
    for entry in entries {
        restored(&mut known, entry.partition).entries.push(entry);
    }
    // What a topic says of itself changes nothing of what its files hold.
    let plain = empty_catalog(0);
    let topic = plain.metadata_topic();
    let at_rest = |(id, mut from): (PartitionId, RestoredPartition)| {
        let due = take_replacements(&mut from);
        for by in &due {
            if let Some(line) = &mut from.checkpoint {
                line.log.replaced(by);
            }
        }
        let mut partition = fresh(id, topic.name.clone(), topic.config.clone(), LeaderEpoch(0));
        let offline: Option<Arc<str>> = from.checkpoint.as_ref().and_then(|line| line.offline.clone());
        let outcome = match offline {
            Some(why) => Err(why.to_string()),
            None => put_together(&mut partition, &from, now_ms, &mut ProducerRoom::new(u32::MAX)),
        };
        let found = outcome.map(|()| {
            let start = partition.log.log_start();
            partition.log.take_dropped(start);
            let mut segments = partition.log.segments_at_rest();
            // Those before the last one were in place when it began.
            if let Some(last) = due.last()
                && let Some(segment) = segments.iter_mut().find(|segment| segment.base == last.base)
            {
                segment.awaits = Some(last.number);
            }
            PartitionAtRest {
                log_start: start,
                log_end: partition.log.log_end(),
                segments,
                has_directory: partition.log.has_directory(),
                epochs: partition.epochs.entries().to_vec(),
                producers: partition.producers.snapshot(),
            }
        });
        (id, found)
    };
    known.into_iter().map(at_rest).collect()
}

/// The catalog of the node `node` before the first record.
pub fn empty_catalog(node: i32) -> Catalog {
    Catalog::new(CatalogSettings::new("", node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{FileKind, LogSnapshot, Replacement, SealedSegment};
    use crate::types::{FilePos, TopicId};

    #[test]
    fn the_file_of_the_last_cleaning_named_is_found_before_and_after_it_has_the_segments_name() {
        let sealed = |base: i64, cleaning: u64| SealedSegment {
            base: Offset(base),
            end_offset: Offset(base + 10),
            size: FilePos(100),
            first_timestamp_ms: 1,
            max_timestamp_ms: 1,
            cleaning,
        };
        let by = Replacement {
            number: 4,
            base: Offset(10),
            end_offset: Offset(20),
            size: FilePos(50),
            first_timestamp_ms: 1,
            max_timestamp_ms: 1,
        };
        let log = LogSnapshot {
            log_start: Offset(0),
            log_end: Offset(30),
            has_directory: true,
            cleanings: 3,
            cleaned_upto: Offset(0),
            replacing: Some(by),
            sealed: vec![sealed(0, 3), sealed(10, 0), sealed(20, 0)],
            open: Vec::new(),
        };
        let id = PartitionId { topic: TopicId([7; 16]), index: 0 };
        let line = PartitionCheckpoint { id, log, epochs: Vec::new(), producers: Vec::new(), offline: None };
        let found = partitions([line], [], 0).remove(&id).expect("it is named").expect("it is whole");
        let names = |is_there: bool| -> Vec<String> {
            let name = |segment: &SegmentAtRest| segment.file_name(FileKind::Log, |_| is_there);
            found.segments.iter().map(name).collect()
        };
        let [first, second, third] = [0, 10, 20].map(|base| FileKind::Log.name(Offset(base)));
        assert_eq!(names(false), [first.clone(), second.clone(), third.clone()]);
        assert_eq!(names(true), [first, format!("{second}.4.cleaned"), third]);
    }
}
