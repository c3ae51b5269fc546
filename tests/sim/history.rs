//! What clients saw, in the order in which they saw it. Written by clients and by the world, read by the checker.
//!
//! Invariant: an event stands after everything that its cause could know of: a value is sent before it is acked, and what
//! an answer knows at least is what stood here when it was asked for.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shards::types::{Mono, TopicId};

/// Unique in a world; those of one producer count up.
pub type Value = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub topic: TopicId,
    pub index: i32,
}

impl Part {
    /// Before all others.
    pub const FIRST: Part = Part { topic: TopicId([0; 16]), index: i32::MIN };
}

/// A record as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: i64,
    pub value: Value,
    /// Leader epoch of its batch.
    pub epoch: i32,
}

/// Number of events before one.
pub type At = usize;

/// What `flush.messages` and `flush.ms` allow a power cut to take of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MayLose {
    /// Acked records.
    pub records_max: usize,
    /// From an ack to the end of the process.
    pub age_max: Option<Duration>,
}

/// Of a topic, and changed while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// How many it has.
    Partitions,
    /// A config; 0 where the topic has none of its own.
    Config,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// The broker said so. With `may_lose` not all of its acks need outlive a power cut; with `compacted` a record may go when a newer
    /// one has its key; with `expires` retention may move its log starts.
    Created {
        topic: TopicId,
        may_lose: Option<MayLose>,
        compacted: bool,
        expires: bool,
    },
    /// From here on it may be gone.
    DeleteAsked {
        topic: TopicId,
    },
    /// The broker said so.
    Deleted {
        topic: TopicId,
    },
    /// About to be changed to something larger. Nobody else changes it.
    ChangeAsked {
        topic: TopicId,
        setting: Setting,
        value: i64,
    },
    /// The broker said so.
    Changed {
        topic: TopicId,
        setting: Setting,
        value: i64,
    },
    /// The broker gave it to a producer.
    ProducerId {
        id: i64,
    },
    /// What a start found, before any load.
    HasNow {
        topic: TopicId,
        setting: Setting,
        value: i64,
    },
    /// About to be sent for the first time.
    Sent {
        part: Part,
        producer: u64,
        value: Value,
    },
    /// Without an offset when the broker says no more than that it has it.
    Acked {
        part: Part,
        value: Value,
        offset: Option<i64>,
        /// When the request went out.
        sent: Mono,
        /// When the answer was there.
        when: Mono,
    },
    Read {
        part: Part,
        asked: At,
        found: Found,
        high_watermark: i64,
    },
    /// All of `from..end` was asked for; `end` is the high watermark.
    Scanned {
        part: Part,
        asked: At,
        from: i64,
        end: i64,
        found: Vec<Found>,
    },
    /// What any answer says of a partition.
    Answered {
        part: Part,
        asked: At,
        high_watermark: i64,
        log_start: i64,
    },
    /// About to be deleted: everything below `upto`, at most; without it, all that the log has when it arrives.
    DeletionAsked {
        part: Part,
        upto: Option<i64>,
    },
    /// The broker said that all is deleted that the log had.
    AllDeleted {
        part: Part,
        log_start: i64,
    },
    /// The broker said so, by itself or because of a deletion.
    Starts {
        part: Part,
        asked: At,
        log_start: i64,
    },
    /// What a start found, before any load.
    Surveyed {
        part: Part,
        high_watermark: i64,
        epoch: i32,
    },
    /// After a power cut, batches that end here were in segment files.
    InSegments {
        part: Part,
        end: i64,
    },
    /// All topics there are, before any load.
    Topics {
        ids: Vec<TopicId>,
    },
    /// A process began to start.
    Starting,
    /// An orderly stop has ended.
    Stopped,
    PowerCut {
        when: Mono,
    },
    Killed {
        when: Mono,
    },
    /// A write or sync has failed.
    Fenced {
        when: Mono,
    },
    /// An answer that this broker must not give here.
    Unexpected {
        what: String,
    },
    /// A client waits for what never comes, for so long that it gave up.
    Stuck {
        what: String,
    },
    /// A fetch leaves out what comes next, or brings nothing of it.
    Skipped {
        what: String,
    },
    /// Files of no use that do not go away.
    SpaceKept {
        what: String,
    },
}

#[derive(Clone, Default)]
pub struct History {
    events: Rc<RefCell<Vec<Event>>>,
}

impl History {
    pub fn push(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// The present.
    pub fn at(&self) -> At {
        self.events.borrow().len()
    }

    pub fn unexpected(&self, what: String) {
        self.push(Event::Unexpected { what });
    }

    pub fn with<T>(&self, look: impl FnOnce(&[Event]) -> T) -> T {
        look(&self.events.borrow())
    }
}
