//! What all clients share: who they are, the topics they know, and how they behave.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use corelog::wire::ErrorCode;
use shards::runtime::Runtime;
use shards::runtime::sim::SimRuntime;
use shards::types::TopicId;

use crate::history::{History, Part, Value};
use crate::world::{Gate, World};

/// Who may delete a topic's oldest records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrinks {
    Never,
    /// Clients ask for it.
    ByRequest,
    ByRetention,
}

/// A topic that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
    /// `flush.messages` above 1: acks need not outlive a power cut.
    pub relaxed: bool,
    /// `cleanup.policy=compact`: records have keys, and offsets may jump.
    pub compacted: bool,
    pub shrinks: Shrinks,
}

impl Topic {
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        (0..self.partitions).map(|index| Part { topic: self.id, index })
    }
}

/// How hard clients push.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Largest filler of a usual record, bytes; one in eight is up to 16 times as long.
    pub filler_max: u64,
    pub records_max: u64,
    /// Longest pause between two requests of a producer.
    pub pause_max: Duration,
    pub reply_limit: Duration,
    /// Appends may be refused for want of space.
    pub may_be_full: bool,
    /// The broker is about to leave, and may refuse whatever it likes.
    pub may_refuse: bool,
    /// A file is damaged: its partition may be offline.
    pub may_be_damaged: bool,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            filler_max: 1_500,
            records_max: 6,
            pause_max: Duration::from_millis(4),
            reply_limit: Duration::from_secs(2),
            may_be_full: false,
            may_refuse: false,
            may_be_damaged: false,
        }
    }
}

/// Shared by the clients of a world. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    pub addr: SocketAddr,
    pub history: History,
    pub gate: Gate,
    /// Those that clients may use; a deleted one is taken out before it is deleted.
    pub topics: Rc<RefCell<Vec<Topic>>>,
    /// Nobody produces to it for now.
    pub resting: Rc<Cell<Option<TopicId>>>,
    pub load: Rc<Cell<Load>>,
    next_value: Rc<Cell<Value>>,
    next_producer: Rc<Cell<u64>>,
    /// Acks so far, for scenarios that wait for progress.
    pub acks: Rc<Cell<u64>>,
    /// Batches refused for want of space.
    pub refusals: Rc<Cell<u64>>,
}

impl Clients {
    pub fn new(world: &World, load: Load) -> Clients {
        Clients {
            addr: world.addr(),
            history: world.history.clone(),
            gate: world.gate.clone(),
            topics: Rc::default(),
            resting: Rc::default(),
            load: Rc::new(Cell::new(load)),
            next_value: Rc::new(Cell::new(1)),
            next_producer: Rc::default(),
            acks: Rc::default(),
            refusals: Rc::default(),
        }
    }

    pub fn fresh_value(&self) -> Value {
        let value = self.next_value.get();
        self.next_value.set(value + 1);
        value
    }

    pub fn fresh_producer(&self) -> u64 {
        let producer = self.next_producer.get();
        self.next_producer.set(producer + 1);
        producer
    }

    pub fn topic(&self, id: TopicId) -> Option<Topic> {
        self.topics.borrow().iter().find(|topic| topic.id == id).cloned()
    }

    /// What was at an offset need not be there for ever.
    pub fn may_lose_records(&self, id: TopicId) -> bool {
        self.topic(id).is_some_and(|topic| topic.relaxed || topic.shrinks != Shrinks::Never)
    }

    pub fn is_relaxed(&self, id: TopicId) -> bool {
        self.topic(id).is_some_and(|topic| topic.relaxed)
    }

    /// A refusal that the faults of the scenario explain.
    pub fn is_excused(&self, error: ErrorCode) -> bool {
        let Load { may_refuse, may_be_damaged, .. } = self.load.get();
        match error {
            ErrorCode::NotLeaderOrFollower => may_refuse,
            ErrorCode::KafkaStorageError => may_be_damaged,
            _ => false,
        }
    }

    /// Clients rest while the broker is down. False when they are done for good.
    pub async fn wait_open(&self, rt: &SimRuntime) -> bool {
        while !self.gate.is_open() {
            if self.gate.is_over() {
                return false;
            }
            pause(rt, Duration::from_millis(5)).await;
        }
        !self.gate.is_over()
    }

    /// The broker is up, and it is the one that a connection of `round` was made to.
    pub fn is_current(&self, round: u64) -> bool {
        self.gate.is_open() && self.gate.round.get() == round && !self.gate.is_over()
    }
}

pub async fn pause(rt: &SimRuntime, time: Duration) {
    rt.sleep_until(rt.now().after(time)).await;
}

/// Below `bound`, which is not 0.
pub fn pick(rt: &SimRuntime, bound: u64) -> u64 {
    rt.random() % bound
}

pub fn one_in(rt: &SimRuntime, n: u64) -> bool {
    pick(rt, n) == 0
}
