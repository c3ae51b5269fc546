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
use crate::liveness::Progress;
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
    /// `retention.bytes`, if it is bounded.
    pub bytes_max: Option<u64>,
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
    /// What may be offline for a damaged file.
    pub damage: Damage,
}

/// How far the damage of a file may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Nothing,
    /// It is one of this partition's files, and all others are served.
    Of(Part),
    /// Nobody knows whom the file is for.
    Any,
}

impl Damage {
    pub fn reaches(self, part: Part) -> bool {
        match self {
            Damage::Nothing => false,
            Damage::Of(damaged) => damaged == part,
            Damage::Any => true,
        }
    }
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
            damage: Damage::Nothing,
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
    /// Nobody sends anything for now.
    pub is_hushed: Rc<Cell<bool>>,
    pub progress: Rc<RefCell<Progress>>,
    pub load: Rc<Cell<Load>>,
    next_value: Rc<Cell<Value>>,
    next_client: Rc<Cell<u64>>,
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
            is_hushed: Rc::default(),
            progress: Rc::default(),
            load: Rc::new(Cell::new(load)),
            next_value: Rc::new(Cell::new(1)),
            next_client: Rc::default(),
            acks: Rc::default(),
            refusals: Rc::default(),
        }
    }

    pub fn fresh_value(&self) -> Value {
        let value = self.next_value.get();
        self.next_value.set(value + 1);
        value
    }

    /// A number for a producer or a consumer.
    pub fn fresh_client(&self) -> u64 {
        let client = self.next_client.get();
        self.next_client.set(client + 1);
        client
    }

    pub fn topic(&self, id: TopicId) -> Option<Topic> {
        self.topics.borrow().iter().find(|topic| topic.id == id).cloned()
    }

    /// From now on clients use so many partitions of it.
    pub fn has_partitions(&self, id: TopicId, count: i32) {
        self.topics.borrow_mut().iter_mut().filter(|topic| topic.id == id).for_each(|topic| topic.partitions = count);
    }

    /// What was at an offset need not be there for ever.
    pub fn may_lose_records(&self, id: TopicId) -> bool {
        self.topic(id).is_some_and(|topic| topic.relaxed || topic.shrinks != Shrinks::Never)
    }

    pub fn is_relaxed(&self, id: TopicId) -> bool {
        self.topic(id).is_some_and(|topic| topic.relaxed)
    }

    /// A refusal that the faults of the scenario explain.
    pub fn is_excused(&self, part: Part, error: ErrorCode) -> bool {
        let Load { may_refuse, damage, .. } = self.load.get();
        match error {
            ErrorCode::NotLeaderOrFollower => may_refuse,
            ErrorCode::KafkaStorageError => damage.reaches(part),
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
