//! What waits for a partition to move: replies for their offset to be durable, fetches for bytes. Owning core only; pure.
//!
//! Invariant: replies are sorted by release offset, and equal ones leave in the order in which they came. A watch is woken
//! once, and is gone then.

use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::types::{Mono, Offset, PartitionId};

/// Delayed replies of one partition.
#[derive(Debug)]
pub struct Replies<T> {
    held: VecDeque<(Offset, T)>,
}

impl<T> Default for Replies<T> {
    fn default() -> Replies<T> {
        Replies { held: VecDeque::new() }
    }
}

impl<T> Replies<T> {
    /// Holds a reply until the log is durable up to `release`, the offset after its last record.
    pub fn hold(&mut self, release: Offset, reply: T) {
        // Appends come in order; only the reply to a duplicate may belong further to the front.
        let behind = self.held.iter().rev().take_while(|(held, _)| *held > release).count();
        self.held.insert(self.held.len() - behind, (release, reply));
    }

    /// Lets go what waits for `durable_end` or less, in order.
    pub fn release(&mut self, durable_end: Offset) -> impl Iterator<Item = T> {
        let count = self.held.partition_point(|(release, _)| *release <= durable_end);
        self.held.drain(..count).map(|(_, reply)| reply)
    }

    /// Lets go everything, when the partition goes or stops.
    pub fn release_all(&mut self) -> impl Iterator<Item = T> {
        self.held.drain(..).map(|(_, reply)| reply)
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Names a watch, to cancel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u64);

/// Fetches that wait for bytes at the partitions of one core. Bounded by the requests that its connections may have open.
#[derive(Debug)]
pub struct Watches<T> {
    next: u64,
    by_id: HashMap<WatchId, Watch<T>>,
    by_partition: HashMap<PartitionId, SmallVec<[WatchId; 1]>>,
    deadlines: BTreeSet<(Mono, WatchId)>,
}

#[derive(Debug)]
struct Watch<T> {
    partitions: Box<[PartitionId]>,
    missing: u64,
    deadline: Mono,
    payload: T,
}

impl<T> Default for Watches<T> {
    fn default() -> Watches<T> {
        Watches { next: 0, by_id: HashMap::new(), by_partition: HashMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<T> Watches<T> {
    /// Watches partitions until `missing` more bytes can be read from them together, or until the deadline.
    pub fn add(
        &mut self,
        partitions: impl IntoIterator<Item = PartitionId>,
        missing: u64,
        deadline: Mono,
        payload: T,
    ) -> WatchId {
        let id = WatchId(self.next);
        self.next += 1;
        let mut partitions: Vec<PartitionId> = partitions.into_iter().collect();
        partitions.sort_unstable();
        partitions.dedup();
        for &partition in &partitions {
            self.by_partition.entry(partition).or_default().push(id);
        }
        self.deadlines.insert((deadline, id));
        self.by_id.insert(id, Watch { partitions: partitions.into(), missing, deadline, payload });
        id
    }

    /// `bytes` more can be read from a partition: wakes the watches that have enough now, oldest first.
    pub fn grew(&mut self, partition: PartitionId, bytes: u64) -> SmallVec<[T; 4]> {
        let mut full: SmallVec<[WatchId; 4]> = SmallVec::new();
        for id in self.by_partition.get(&partition).into_iter().flatten() {
            if let Some(watch) = self.by_id.get_mut(id) {
                watch.missing = watch.missing.saturating_sub(bytes);
                if watch.missing == 0 {
                    full.push(*id);
                }
            }
        }
        full.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// A partition is gone, offline or otherwise in need of an answer: wakes all that watch it.
    pub fn wake(&mut self, partition: PartitionId) -> SmallVec<[T; 4]> {
        let watching = self.by_partition.get(&partition).cloned().unwrap_or_default();
        watching.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// Wakes the watches whose deadline has come.
    pub fn expired(&mut self, now: Mono) -> SmallVec<[T; 4]> {
        let due: SmallVec<[WatchId; 4]> =
            self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, id)| *id).collect();
        due.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// When [`Watches::expired`] is next of use.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Takes a watch back; `None` when it was woken or taken before.
    pub fn cancel(&mut self, id: WatchId) -> Option<T> {
        let watch = self.by_id.remove(&id)?;
        self.deadlines.remove(&(watch.deadline, id));
        for partition in &watch.partitions {
            if let Some(watching) = self.by_partition.get_mut(partition) {
                watching.retain(|other| *other != id);
                if watching.is_empty() {
                    self.by_partition.remove(partition);
                }
            }
        }
        Some(watch.payload)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::TopicId;

    fn partition(index: i32) -> PartitionId {
        PartitionId { topic: TopicId::ZERO, index }
    }

    #[test]
    fn a_reply_leaves_when_its_offset_is_durable_and_not_before() {
        let mut replies = Replies::default();
        replies.hold(Offset(5), "a");
        replies.hold(Offset(9), "b");
        // The duplicate of the first.
        replies.hold(Offset(5), "a again");
        assert_eq!(replies.release(Offset(4)).count(), 0);
        assert_eq!(replies.release(Offset(8)).collect::<Vec<_>>(), ["a", "a again"]);
        assert_eq!(replies.release_all().collect::<Vec<_>>(), ["b"]);
        assert!(replies.is_empty());
    }

    #[test]
    fn a_watch_counts_the_bytes_of_all_its_partitions() {
        let mut watches = Watches::default();
        watches.add([partition(0), partition(1), partition(1)], 10, Mono(100), "both");
        watches.add([partition(1)], 100, Mono(50), "one");
        assert!(watches.grew(partition(0), 4).is_empty());
        assert!(watches.grew(partition(2), 50).is_empty());
        assert_eq!(watches.grew(partition(1), 6)[..], ["both"]);
        assert_eq!((watches.len(), watches.next_deadline()), (1, Some(Mono(50))));
        assert_eq!(watches.wake(partition(1))[..], ["one"]);
        assert!(watches.by_partition.is_empty() && watches.deadlines.is_empty());
    }

    #[test]
    fn watches_expire_by_deadline_and_are_cancelled_once() {
        let mut watches = Watches::default();
        watches.add([partition(0)], 10, Mono(20), "late");
        watches.add([partition(0)], 10, Mono(10), "soon");
        let id = watches.add([partition(0)], 10, Mono(10), "never");
        assert_eq!((watches.cancel(id), watches.cancel(id)), (Some("never"), None));
        assert!(watches.expired(Mono(9)).is_empty());
        assert_eq!(watches.expired(Mono(20))[..], ["soon", "late"]);
        assert!(watches.is_empty() && watches.by_partition.is_empty());
    }

    proptest! {
        #[test]
        fn replies_leave_sorted_and_each_once(offsets in prop::collection::vec(0i64..20, 0..40), steps in prop::collection::vec(0i64..25, 0..6)) {
            let mut replies = Replies::default();
            for (n, &offset) in offsets.iter().enumerate() {
                replies.hold(Offset(offset), (offset, n));
            }
            let mut left: Vec<(i64, usize)> = Vec::new();
            for &end in &steps {
                let released: Vec<(i64, usize)> = replies.release(Offset(end)).collect();
                prop_assert!(released.iter().all(|(offset, _)| *offset <= end));
                left.extend(released);
            }
            left.extend(replies.release_all());
            let mut sorted: Vec<(i64, usize)> = offsets.iter().copied().enumerate().map(|(n, offset)| (offset, n)).collect();
            sorted.sort_unstable();
            prop_assert_eq!(left, sorted);
        }
    }
}
