//! The way from a connection to the cores that own its partitions. One `Shards` per core, used by every API handler there.
//!
//! Invariant: each method takes its place in the owner's order before it returns its future (R4): calling in request
//! order is enough, the future may be awaited at any time. A request to another core is one message, whatever the number
//! of its partitions; to the own core it is a plain call.

use std::cell::{Ref, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::catalog::{Catalog, CatalogCommand, CatalogError, CatalogReply};
use crate::request::{
    AppendError, AppendPart, Appended, EpochEnd, EpochPart, FetchAsk, Fetched, ListPart, Listed, PartitionSize,
    ReadError, Upto,
};
use crate::types::{Mono, Offset, PartitionId, ProducerId};

/// An answer on its way. Dropping it gives up the answer, not the work.
pub type Answer<T> = Pin<Box<dyn Future<Output = T>>>;

/// Every shard of the process, as seen from one core.
#[derive(Clone)]
pub struct Shards {
    catalog: Rc<RefCell<Catalog>>,
}

impl Shards {
    /// This core's copy of the catalog; only what is synced is in it. Do not hold it across an await.
    pub fn catalog(&self) -> Ref<'_, Catalog> {
        self.catalog.borrow()
    }

    /// Appends batches; answers in the order asked, each once its batch is as durable as its topic's `flush.*` says (R1, R3).
    pub fn append(&self, _now: Mono, _parts: Vec<AppendPart>) -> Answer<Vec<Result<Appended, AppendError>>> {
        unreachable!("landed with the shard")
    }

    /// Reads batches; waits for `min_bytes` until the deadline as Kafka's Fetch does. Answers in the order asked.
    pub fn fetch(&self, _now: Mono, _ask: FetchAsk) -> Answer<Vec<Result<Fetched, ReadError>>> {
        unreachable!("landed with the shard")
    }

    pub fn list_offsets(&self, _parts: Vec<ListPart>) -> Answer<Vec<Result<Listed, ReadError>>> {
        unreachable!("landed with the shard")
    }

    pub fn epoch_ends(&self, _parts: Vec<EpochPart>) -> Answer<Vec<Result<EpochEnd, ReadError>>> {
        unreachable!("landed with the shard")
    }

    /// Moves log starts forward; answers the new ones once they are synced.
    pub fn move_log_start(&self, _parts: Vec<(PartitionId, Upto)>) -> Answer<Vec<Result<Offset, ReadError>>> {
        unreachable!("landed with the shard")
    }

    pub fn sizes(&self, _partitions: Vec<PartitionId>) -> Answer<Vec<Result<PartitionSize, ReadError>>> {
        unreachable!("landed with the shard")
    }

    /// Changes the catalog; answers once the change is synced and every core has applied it.
    pub fn change(&self, _command: CatalogCommand) -> Answer<Result<CatalogReply, CatalogError>> {
        unreachable!("landed with the shard")
    }

    /// A producer id that no one else ever gets, from blocks that the catalog hands to cores.
    pub fn producer_id(&self) -> Answer<Result<ProducerId, CatalogError>> {
        unreachable!("landed with the shard")
    }
}
