//! The state of one shard and the steps that change it. Owning core only; every step is synchronous.
//!
//! Invariant: no await in here, so nothing can interleave with a step. What a step wants done to files, it leaves in a
//! queue and gives a signal; the tasks in this folder do it and report back by another step.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::append::PendingPart;
use super::commit::CommitNotes;
use super::fence::Fence;
use super::groups::Coordinators;
use super::hash::FixedState;
use super::nearly_full::SpaceLeft;
use super::partition::{Partition, Slot};
use super::read::DiskJob;
use super::report::Counters;
use super::settings::{CleanerSettings, ShardSettings};
use super::signal::Signal;
use super::stages::Stages;
use super::watch::Watches;
use crate::catalog::Catalog;
use crate::journal::format::RunId;
use crate::journal::open::OpenCommit;
use crate::journal::space::{FileIndex, JournalSpace};
use crate::log::{PartitionDir, Removed};
use crate::partition::producers::ProducerRoom;
use crate::router::oneshot::Reply;
use crate::router::placement::ShardIndex;
use crate::runtime::buf::IoBuf;
use crate::types::{Mono, PartitionId};

/// What wakes the tasks of a shard.
#[derive(Default)]
pub struct Signals {
    /// The open commit has entries, or a sync is due.
    pub journal: Signal,
    /// The window is half full, or somebody waits for it to be written.
    pub write_behind: Signal,
    /// `given_up` has entries.
    pub given_up: Signal,
    /// The core is pressed while a drain is under way.
    pub hurry: Signal,
    /// A drain of the window has ended.
    pub drained: Signal,
    /// The journal is half full.
    pub turn: Signal,
    /// The open commit finds no place in the journal.
    pub no_place: Signal,
    /// `disk_jobs` has entries.
    pub disk: Signal,
    /// `cold_tails` has entries.
    pub tails: Signal,
    /// A watch came in that ends before all others.
    pub watch: Signal,
    /// `dropped` or `unswept` has entries.
    pub clean_up: Signal,
    /// A coordinator's log is to be read.
    pub group_loads: Signal,
    /// Replies of coordinators wait for an append.
    pub group_replies: Signal,
    /// Replies of coordinators wait for those before them to be gone.
    pub group_outbox: Signal,
    /// A time-out of a group comes before all that were known.
    pub group_timers: Signal,
}

/// A commit whose bytes are not all in segments, or are kept for readers.
pub struct CommitBuffer {
    pub sequence: u64,
    /// Memory that it holds, bytes.
    pub bytes: u64,
    pub touched: Box<[Slot]>,
}

/// A partition directory or segment that is to be renamed and, after a delay, unlinked.
pub enum Dropped {
    Partition {
        dir: PartitionDir,
        delay: Duration,
    },
    Segments {
        slot: Slot,
        bases: Vec<crate::types::Offset>,
        delay: Duration,
    },
    /// What is in the partition's directory and not in its log.
    Strays {
        slot: Slot,
    },
}

/// A partition's place, and how many had it before.
#[derive(Default)]
struct Occupied {
    number: u32,
    by: Option<Box<Partition>>,
}

impl Occupied {
    fn slot(&self, place: u32) -> Option<Slot> {
        self.by.as_ref().map(|_| Slot { place, number: self.number })
    }
}

pub struct ShardCore {
    pub index: ShardIndex,
    pub settings: ShardSettings,
    pub fence: Arc<Fence>,
    pub catalog: Rc<RefCell<Catalog>>,
    alloc: Rc<dyn Fn(usize) -> IoBuf>,
    /// To measure with; no step decides by it.
    pub clock: Rc<dyn Fn() -> Mono>,
    by_id: HashMap<PartitionId, Slot, FixedState>,
    places: Vec<Occupied>,
    /// Those without a partition.
    free_places: Vec<u32>,

    pub space: JournalSpace,
    pub open: Option<OpenCommit>,
    pub open_notes: CommitNotes,
    /// Written and not yet synced, in order.
    pub unsynced: VecDeque<CommitNotes>,
    /// Files that hold unsynced commits.
    pub unsynced_file: Option<FileIndex>,
    pub synced_through: u64,
    /// Sync although nothing strict is in the commit: time is up, or the write-behind needs it.
    pub sync_due: bool,
    /// When the oldest unsynced append must be synced for `flush.ms`.
    pub flush_deadline: Option<Mono>,
    /// When an idle journal gets its closing commit, and whether that is due (R6).
    pub closing_at: Option<Mono>,
    pub closing_due: bool,
    /// Padded bytes of the last commits, smoothed: the next buffer's size.
    pub commit_bytes_usual: usize,
    /// An append is larger than any journal file: one of this size is needed.
    pub file_wanted: Option<u64>,
    /// The open commit, of so many bytes, finds no place: a file is needed for it, as a turn waits for it itself.
    pub place_wanted: Option<u64>,
    /// An append waits for files that only a turn frees, however few are full.
    pub turn_wanted: bool,

    /// Appends that wait for room in the journal or the window, in order.
    pub waiting: VecDeque<PendingPart>,
    /// Frozen commits that are not yet wholly in segments, oldest first, and their bytes.
    pub window: VecDeque<CommitBuffer>,
    pub window_bytes: u64,
    /// How many it may be: see `widen_window`.
    pub window_bytes_most: u64,
    /// Commits wholly in segments that stay readable from memory, oldest first, and their bytes.
    pub cache: VecDeque<CommitBuffer>,
    pub cache_bytes: u64,

    /// Commits up to this one are in segments; somebody waits for those up to `drain_wanted`.
    pub drained_through: u64,
    pub drain_wanted: u64,
    /// Their active segment was given up and closed, and its file is to be finished, so that it can go.
    pub given_up: VecDeque<Slot>,
    /// Their bytes of the last run are in the journal and in memory, and not in segments yet.
    pub unsettled: VecDeque<Slot>,
    /// The new run is not the current one yet. No journal grows, no ballast is made: what was held back for starts is shared by
    /// all shards (R14). No turn but the start's own: a second one would write an older checkpoint over a newer.
    pub starting: bool,
    /// Who waits for a checkpoint.
    pub checkpoint_wanted: Vec<Reply<()>>,
    /// Compaction is putting a file in place.
    pub is_replacing: bool,
    /// The last turn of a stop is asked for.
    pub final_turn: Option<Reply<()>>,

    pub disk_jobs: VecDeque<DiskJob>,
    pub cold_tails: VecDeque<Slot>,
    pub dropped: VecDeque<Dropped>,
    /// Crashes may have left files in their directories.
    pub unswept: VecDeque<Slot>,
    /// Shared with the store: late jobs for these partitions find nothing.
    pub removed: Removed,
    pub watches: Watches,
    pub groups: Coordinators,
    pub signals: Rc<Signals>,
    pub stages: Stages,
    pub counters: Counters,
    /// Partitions that are out of service.
    pub partitions_offline: usize,
    /// With batches that compaction does not understand.
    pub partitions_uncleanable: usize,
    /// The ballast is gone: appends are refused until there is space on the disk (R14).
    pub disk_full: bool,
    /// What is known, on shard 0, of the disk's space.
    pub space_left: SpaceLeft,
    /// What the ballast holds, if it is whole.
    pub ballast_held: u64,
    /// Bytes of a copy of the last checkpoint.
    pub checkpoint_bytes: u64,
    pub stopping: bool,
    /// Producer ids of all partitions of this core, against their limit.
    pub producer_room: ProducerRoom,
}

impl ShardCore {
    pub fn new(
        index: ShardIndex,
        run: RunId,
        settings: ShardSettings,
        fence: Arc<Fence>,
        catalog: Rc<RefCell<Catalog>>,
        alloc: Rc<dyn Fn(usize) -> IoBuf>,
        clock: Rc<dyn Fn() -> Mono>,
    ) -> ShardCore {
        let producer_room = ProducerRoom::new(settings.producer_ids_max);
        let groups = Coordinators::new(Arc::new(settings.groups.clone()));
        let window_bytes_most = settings.window_bytes;
        ShardCore {
            index,
            settings,
            fence,
            catalog,
            alloc,
            clock,
            by_id: HashMap::with_hasher(FixedState),
            places: Vec::new(),
            free_places: Vec::new(),
            space: JournalSpace::new(run),
            open: None,
            open_notes: CommitNotes::default(),
            unsynced: VecDeque::new(),
            unsynced_file: None,
            synced_through: 0,
            sync_due: false,
            flush_deadline: None,
            closing_at: None,
            closing_due: false,
            commit_bytes_usual: 0,
            file_wanted: None,
            place_wanted: None,
            turn_wanted: false,
            waiting: VecDeque::new(),
            window: VecDeque::new(),
            window_bytes: 0,
            window_bytes_most,
            cache: VecDeque::new(),
            cache_bytes: 0,
            drained_through: 0,
            drain_wanted: 0,
            given_up: VecDeque::new(),
            unsettled: VecDeque::new(),
            starting: true,
            checkpoint_wanted: Vec::new(),
            is_replacing: false,
            final_turn: None,
            disk_jobs: VecDeque::new(),
            cold_tails: VecDeque::new(),
            dropped: VecDeque::new(),
            unswept: VecDeque::new(),
            removed: Removed::default(),
            watches: Watches::default(),
            groups,
            signals: Rc::new(Signals::default()),
            stages: Stages::default(),
            counters: Counters::default(),
            partitions_offline: 0,
            partitions_uncleanable: 0,
            disk_full: false,
            space_left: SpaceLeft::default(),
            ballast_held: 0,
            checkpoint_bytes: 0,
            stopping: false,
            producer_room,
        }
    }

    pub fn alloc_fn(&self) -> Rc<dyn Fn(usize) -> IoBuf> {
        self.alloc.clone()
    }

    /// How logs are compacted now: as the start said, or as it was changed since.
    pub fn cleaner(&self) -> CleanerSettings {
        let (start, changes) = (self.settings.cleaner, self.catalog.borrow().cleaner());
        CleanerSettings {
            bytes_per_second: changes
                .bytes_per_second
                .map_or(start.bytes_per_second, |all| all / u64::from(self.settings.shards.max(1))),
            backoff_ms: changes.backoff_ms.unwrap_or(start.backoff_ms),
            ..start
        }
    }

    pub fn slot_of(&self, id: PartitionId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// The partition, if it still exists.
    pub fn get(&self, slot: Slot) -> Option<&Partition> {
        self.places.get(slot.place as usize).filter(|place| place.number == slot.number)?.by.as_deref()
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Partition> {
        self.places.get_mut(slot.place as usize).filter(|place| place.number == slot.number)?.by.as_deref_mut()
    }

    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (0u32..).zip(&self.places).filter_map(|(at, place)| place.slot(at))
    }

    /// Those in `places` slots from this one on, and the slot after them, if there are more.
    pub fn partitions_from(&self, from: Slot, places: usize) -> (impl Iterator<Item = &Partition>, Option<Slot>) {
        let begin = (from.place as usize).min(self.places.len());
        let end = begin.saturating_add(places).min(self.places.len());
        let next =
            (end < self.places.len()).then(|| Slot { place: u32::try_from(end).unwrap_or(u32::MAX), ..Slot::FIRST });
        (self.places[begin..end].iter().filter_map(|place| place.by.as_deref()), next)
    }

    pub fn partition_count(&self) -> usize {
        self.by_id.len()
    }

    pub fn partitions(&self) -> impl Iterator<Item = (Slot, &Partition)> {
        (0u32..).zip(&self.places).filter_map(|(at, place)| Some((place.slot(at)?, place.by.as_deref()?)))
    }

    pub fn insert(&mut self, partition: Partition) -> Slot {
        let place = self.free_places.pop().unwrap_or_else(|| {
            self.places.push(Occupied::default());
            u32::try_from(self.places.len() - 1).expect("below 4 billion partitions at once")
        });
        self.partitions_offline += usize::from(partition.offline.is_some());
        self.partitions_uncleanable += usize::from(partition.is_uncleanable);
        let occupied = &mut self.places[place as usize];
        let slot = Slot { place, number: occupied.number };
        let before = self.by_id.insert(partition.id, slot);
        assert!(before.is_none(), "a partition has one owner and one slot: {:?}", partition.id);
        occupied.by = Some(Box::new(partition));
        self.widen_window();
        slot
    }

    pub fn remove(&mut self, id: PartitionId) -> Option<Box<Partition>> {
        let slot = self.by_id.remove(&id)?;
        let occupied = self.places.get_mut(slot.place as usize)?;
        let removed = occupied.by.take()?;
        // A place whose numbers are used up stays empty.
        if let Some(number) = occupied.number.checked_add(1) {
            occupied.number = number;
            self.free_places.push(slot.place);
        }
        self.partitions_offline -= usize::from(removed.offline.is_some());
        self.partitions_uncleanable -= usize::from(removed.is_uncleanable);
        Some(removed)
    }

    /// Compaction leaves a partition alone from here on.
    pub fn leave_uncleaned(&mut self, slot: Slot) {
        let Some(partition) = self.get_mut(slot) else { return };
        let newly = !partition.is_uncleanable;
        partition.is_uncleanable = true;
        self.partitions_uncleanable += usize::from(newly);
    }

    /// Takes a partition out of service; the broker goes on with all others.
    pub fn take_offline(&mut self, slot: Slot, why: &str) {
        let root = self.settings.layout.root.clone();
        let Some(partition) = self.get_mut(slot) else { return };
        let newly = partition.offline.is_none();
        if newly {
            tracing::error!(
                topic = %partition.topic_name,
                partition = partition.id.index,
                why,
                "partition is offline: its files are as they were, and all others are served. What is damaged may be lost, and \
                 nothing else: stop the broker, and `corelog log verify {}` says what it is", root.display()
            );
            partition.offline = Some(why.into());
        }
        let watches = std::mem::take(&mut partition.watches);
        let waiting = std::mem::take(&mut partition.waiting_for_tail);
        self.partitions_offline += usize::from(newly);
        for watch in watches {
            watch.fire();
        }
        for part in waiting {
            part.fail(crate::request::AppendError::Offline { reason: why.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::catalog::fresh;
    use crate::shard::room_tests::with_shard;
    use crate::types::{LeaderEpoch, TopicId};

    #[test]
    fn a_place_is_used_again_and_what_comes_late_for_the_one_before_finds_nothing() {
        with_shard(|bench| async move {
            bench.started.shard.step(|core, _, _| {
                let config = core.catalog.borrow().metadata_topic().config.clone();
                let places = core.places.len();
                let mut late = None;
                for index in 0..100 {
                    let id = PartitionId { topic: TopicId([9; 16]), index };
                    let slot = core.insert(fresh(id, "u".into(), config.clone(), LeaderEpoch(0)));
                    assert!(core.get(slot).is_some_and(|partition| partition.id == id));
                    assert!(core.slots().eq(core.partitions().map(|(slot, _)| slot)));
                    assert!(core.slots().any(|other| other == slot));
                    assert!(late.is_none_or(|late| core.get(late).is_none() && core.get_mut(late).is_none()));
                    assert!(core.remove(id).is_some() && core.get(slot).is_none());
                    late = Some(slot);
                }
                assert_eq!(core.places.len(), places + 1);
            });
        });
    }
}
