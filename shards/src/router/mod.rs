//! The way from a connection to the cores that own its partitions. One `Shards` per core, used by every API handler there.
//!
//! `placement` says who owns what, `mailbox` is the channel to another core, `oneshot` one answer, `scatter` splits a
//! request by owner and puts the answers back into the order asked, `fetch` waits for data over several owners.
//!
//! Invariant: each method takes its place in the owner's order before it returns its future (R4): calling in request
//! order is enough, the future may be awaited at any time. A request to another core is one message, whatever the number
//! of its partitions; to the own core it is a plain call.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod fetch;
pub mod mailbox;
pub mod oneshot;
pub mod placement;
mod scatter;

use std::cell::{Cell, Ref, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::catalog::{Catalog, CatalogCommand, CatalogError, CatalogReply};
use crate::group::{self, GroupError, GroupReply, GroupRequest, ListedGroup, OFFSETS_TOPIC};
use crate::request::{
    AppendError, AppendPart, Appended, EpochEnd, EpochPart, FetchAsk, GroupPlace, ListPart, Listed, PartitionSize,
    ReadError, ShardRequest, Upto,
};
use crate::shard::core::ShardCore;
pub use crate::shard::partition::Slot;
pub use crate::shard::report::{Counters, PartitionLoad, ShardReport};
pub use crate::shard::stages::{Class, Stage, Times};
pub use crate::shard::trace::Trace;
use crate::types::{Mono, Offset, PartitionId, ProducerId};
pub use fetch::{Answers, ReadLease, ReadMemory};
use mailbox::Postbox;
use oneshot::{Asked, Reply, oneshot};
use placement::{ShardIndex, owner};

/// An answer on its way. Dropping it gives up the answer, not the work.
pub type Answer<T> = Pin<Box<dyn Future<Output = T>>>;

/// A change of the catalog on its way to the shard that leads it.
pub struct CatalogAsk {
    pub command: CatalogCommand,
    pub reply: Reply<Result<CatalogReply, CatalogError>>,
}

/// How this core reaches one shard.
pub enum ShardHandle {
    Local(Rc<RefCell<ShardCore>>),
    Remote(Rc<Postbox>),
}

/// Time as handlers need it, without a runtime.
pub struct Clock {
    pub now: Box<dyn Fn() -> Mono>,
    pub wall_ms: Box<dyn Fn() -> i64>,
}

struct Inner {
    index: ShardIndex,
    handles: Vec<ShardHandle>,
    catalog: Rc<RefCell<Catalog>>,
    catalog_leader: flume::Sender<CatalogAsk>,
    clock: Clock,
    next_watch: Cell<u64>,
    /// Nothing waits for data any more (R18).
    stopping: Cell<bool>,
    producer_ids: RefCell<ProducerIds>,
}

/// The rest of the block of producer ids that the catalog gave to this core.
#[derive(Default)]
struct ProducerIds {
    next: i64,
    end: i64,
}

/// From where on groups are listed; by default from the first one.
#[derive(Debug, Default)]
pub struct GroupsFrom {
    shard: u32,
    after: Option<GroupPlace>,
}

/// Some groups, and where to go on if there may be more.
#[derive(Debug)]
pub struct ListedSome {
    pub groups: Vec<ListedGroup>,
    pub next: Option<GroupsFrom>,
}

/// Every shard of the process, as seen from one core.
#[derive(Clone)]
pub struct Shards {
    inner: Rc<Inner>,
}

impl Shards {
    /// `handles` in the order of the shards; the catalog is this core's own copy, shared with its shard.
    pub fn new(
        index: ShardIndex,
        handles: Vec<ShardHandle>,
        catalog: Rc<RefCell<Catalog>>,
        catalog_leader: flume::Sender<CatalogAsk>,
        clock: Clock,
    ) -> Shards {
        Shards {
            inner: Rc::new(Inner {
                index,
                handles,
                catalog,
                catalog_leader,
                clock,
                next_watch: Cell::new(0),
                stopping: Cell::new(false),
                producer_ids: RefCell::default(),
            }),
        }
    }

    /// This core's copy of the catalog; only what is synced is in it. Do not hold it across an await.
    pub fn catalog(&self) -> Ref<'_, Catalog> {
        self.inner.catalog.borrow()
    }

    pub fn index(&self) -> ShardIndex {
        self.inner.index
    }

    pub fn count(&self) -> u32 {
        u32::try_from(self.inner.handles.len()).unwrap_or(u32::MAX)
    }

    /// From now on fetches answer at once with what there is; those parked on this core's shard are woken, and none is parked
    /// there any more; whoever waits for a group is sent to look for its coordinator again (R18).
    pub fn stop_waiting(&self) {
        self.inner.stopping.set(true);
        for handle in &self.inner.handles {
            if let ShardHandle::Local(core) = handle {
                let mut core = core.borrow_mut();
                core.watches.close();
                core.groups.turn_all_away();
            }
        }
    }

    /// Notes the stages of a request that is over.
    pub fn ended(&self, trace: &Trace) {
        let Some(core) = self.here() else { return };
        let stages = &mut core.borrow_mut().stages;
        trace.each(|stage, took| stages.record(trace.class(), stage, took));
        stages.record(trace.class(), Stage::Total, trace.total());
    }

    /// The times of one stage on this core, some 30 KiB; `None`: nothing went through it.
    pub fn times_here(&self, class: Class, stage: Stage) -> Option<Times> {
        self.here()?.borrow().stages.of(class, stage).cloned()
    }

    /// What this core's shard tells of itself.
    pub fn report_here(&self) -> ShardReport {
        self.here().map(|core| core.borrow().report()).unwrap_or_default()
    }

    /// Partitions of this core's shard that anything went through, a piece at a time; see [`ShardCore::loads`].
    pub fn loads_here(&self, from: Slot, places: usize) -> (Vec<PartitionLoad>, Option<Slot>) {
        self.here().map(|core| core.borrow().loads(from, places)).unwrap_or_default()
    }

    fn here(&self) -> Option<&Rc<RefCell<ShardCore>>> {
        match self.inner.handles.get(self.inner.index.0 as usize) {
            Some(ShardHandle::Local(core)) => Some(core),
            _ => None,
        }
    }

    /// Appends batches; answers in the order asked, each once its batch is as durable as its topic's `flush.*` says (R1, R3).
    pub fn append(&self, now: Mono, parts: Vec<AppendPart>) -> Answer<Vec<Result<Appended, AppendError>>> {
        self.scatter(
            now,
            parts,
            |part| part.partition,
            |parts, reply| ShardRequest::Append { parts, reply },
            || Err(AppendError::Stopping),
        )
    }

    /// Reads batches; waits for `min_bytes` until the deadline as Kafka's Fetch does. Answers in the order asked.
    pub fn fetch(&self, ask: FetchAsk, memory: Rc<dyn ReadMemory>, trace: Rc<Trace>) -> Answer<Answers> {
        Box::pin(fetch::fetch(self.clone(), ask, memory, trace))
    }

    pub fn list_offsets(&self, parts: Vec<ListPart>) -> Answer<Vec<Result<Listed, ReadError>>> {
        self.scatter(
            self.now(),
            parts,
            |part| part.partition,
            |parts, reply| ShardRequest::List { parts, reply },
            || Err(ReadError::Stopping),
        )
    }

    pub fn epoch_ends(&self, parts: Vec<EpochPart>) -> Answer<Vec<Result<EpochEnd, ReadError>>> {
        self.scatter(
            self.now(),
            parts,
            |part| part.partition,
            |parts, reply| ShardRequest::EpochEnds { parts, reply },
            || Err(ReadError::Stopping),
        )
    }

    /// Moves log starts forward; answers the new ones once they are synced.
    pub fn move_log_start(&self, parts: Vec<(PartitionId, Upto)>) -> Answer<Vec<Result<Offset, ReadError>>> {
        self.scatter(
            self.now(),
            parts,
            |part| part.0,
            |parts, reply| ShardRequest::MoveLogStart { parts, reply },
            || Err(ReadError::Stopping),
        )
    }

    pub fn sizes(&self, partitions: Vec<PartitionId>) -> Answer<Vec<Result<PartitionSize, ReadError>>> {
        self.scatter(
            self.now(),
            partitions,
            |partition| *partition,
            |partitions, reply| ShardRequest::Sizes { partitions, reply },
            || Err(ReadError::Stopping),
        )
    }

    /// Asks the coordinator of the request's group. A join and a sync are answered when the group moves on.
    pub fn ask_group(&self, request: GroupRequest) -> Answer<Result<GroupReply, GroupError>> {
        let partition = {
            let catalog = self.catalog();
            let topic = catalog.topic(OFFSETS_TOPIC);
            topic.and_then(|topic| topic.partition(group::partition_of(request.group(), topic.partitions)))
        };
        let Some(partition) = partition else {
            return Box::pin(std::future::ready(Err(GroupError::NotCoordinator)));
        };
        let to = owner(partition, self.count());
        let request = Box::new(request);
        let asked = self.ask(self.now(), to, |reply| ShardRequest::Group { partition, request, reply });
        Box::pin(async move { asked.await.unwrap_or(Err(GroupError::NotCoordinator)) })
    }

    /// Some groups of the broker, from where an answer before this one ended; fails while a core does not know its groups. What
    /// is made or ends between two answers may be told or not.
    pub fn list_groups(&self, from: GroupsFrom) -> Answer<Result<ListedSome, GroupError>> {
        let GroupsFrom { shard, after } = from;
        let asked = self.ask(self.now(), ShardIndex(shard), |reply| ShardRequest::ListGroups { after, reply });
        let count = self.count();
        Box::pin(async move {
            let part = asked.await.unwrap_or(Err(GroupError::NotCoordinator))?;
            let next = match part.last {
                Some(last) => Some(GroupsFrom { shard, after: Some(last) }),
                None => Some(GroupsFrom { shard: shard + 1, after: None }).filter(|next| next.shard < count),
            };
            Ok(ListedSome { groups: part.groups, next })
        })
    }

    /// Changes the catalog; answers once the change is synced and every core has applied it.
    pub fn change(&self, command: CatalogCommand) -> Answer<Result<CatalogReply, CatalogError>> {
        let (reply, asked) = oneshot();
        let ask = match self.inner.catalog_leader.try_send(CatalogAsk { command, reply }) {
            Ok(()) => None,
            // Many changes wait already: this one queues when it is awaited.
            Err(flume::TrySendError::Full(ask)) => Some(ask),
            Err(flume::TrySendError::Disconnected(_)) => return Box::pin(async { Err(CatalogError::Stopping) }),
        };
        let leader = self.inner.catalog_leader.clone();
        Box::pin(async move {
            if let Some(ask) = ask
                && leader.send_async(ask).await.is_err()
            {
                return Err(CatalogError::Stopping);
            }
            asked.await.unwrap_or(Err(CatalogError::Stopping))
        })
    }

    /// A producer id that no one else ever gets, from blocks that the catalog hands to cores.
    pub fn producer_id(&self) -> Answer<Result<ProducerId, CatalogError>> {
        let shards = self.clone();
        Box::pin(async move {
            loop {
                if let Some(id) = shards.take_producer_id() {
                    return Ok(id);
                }
                let reply = shards.change(CatalogCommand::AllocateProducerIds).await?;
                let CatalogReply::ProducerIds(block) = reply else {
                    return Err(CatalogError::Internal { why: format!("asked for producer ids, got {reply:?}") });
                };
                // Two that asked at once both got a block: the first one's rest is lost, which costs nothing.
                *shards.inner.producer_ids.borrow_mut() =
                    ProducerIds { next: block.first.0, end: block.first.0.saturating_add(block.count) };
            }
        })
    }

    /// Hands synced catalog records to every shard; done when all have applied them.
    pub async fn apply_everywhere(&self, records: std::sync::Arc<[crate::catalog::CatalogRecord]>) {
        let now = self.now();
        let asked: Vec<_> = (0..self.count())
            .map(|to| {
                let records = records.clone();
                self.ask(now, ShardIndex(to), |reply| ShardRequest::ApplyCatalog { records, reply })
            })
            .collect();
        for one in asked {
            // No answer: that shard is stopping, and reads the records at its next start.
            one.await;
        }
    }

    /// Asks one shard; takes the place in its order now.
    fn ask<T>(&self, now: Mono, to: ShardIndex, request: impl FnOnce(Reply<T>) -> ShardRequest) -> Asked<T> {
        let (reply, asked) = oneshot();
        self.post(now, to, request(reply));
        asked
    }

    fn post(&self, now: Mono, to: ShardIndex, request: ShardRequest) {
        match self.inner.handles.get(to.0 as usize) {
            Some(ShardHandle::Local(core)) => core.borrow_mut().handle(now, (self.inner.clock.wall_ms)(), request),
            Some(ShardHandle::Remote(postbox)) => postbox.post(now, request),
            // No such shard: the reply is dropped, which reads as "stopping".
            None => {}
        }
    }

    fn take_producer_id(&self) -> Option<ProducerId> {
        let mut ids = self.inner.producer_ids.borrow_mut();
        if ids.next >= ids.end {
            return None;
        }
        ids.next += 1;
        Some(ProducerId(ids.next - 1))
    }

    pub fn now(&self) -> Mono {
        (self.inner.clock.now)()
    }
}
