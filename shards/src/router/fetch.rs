//! A fetch over several owners: asks all, and if that is too little parks a watch at each and asks all again.
//!
//! Invariant: whoever waits is woken by new data, by the deadline or by a partition that must be looked at again; every
//! watch is taken back when the fetch ends, however it ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::oneshot::Asked;
use super::placement::{ShardIndex, owner};
use super::{Shards, Stage, Trace};
use crate::request::{FetchAsk, Fetched, Isolation, ReadError, ShardRequest, WatchId};
use crate::types::{Mono, Offset, PartitionId};

/// Least that every owner may read: Kafka's default for one partition.
const SHARE_BYTES_MIN: u32 = 1 << 20;

type Read = Result<Fetched, ReadError>;

/// Memory for what fetches read, of whoever holds the answers until they are sent. On one core.
pub trait ReadMemory {
    /// Lends at least `least_bytes`, or as much of it as may be lent at once, and more if `max_bytes` are wanted and there;
    /// `None` when there was none for as long as the reader waits, or the broker stops.
    fn lend(
        &self,
        least_bytes: usize,
        max_bytes: usize,
        deadline: Mono,
    ) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>>;
}

/// Memory that was lent, given back when dropped.
pub trait ReadLease {
    /// A read should take no more.
    fn max_bytes(&self) -> usize;
    /// The read took so much, which may be more than was lent.
    fn keep(&mut self, bytes: usize);
}

/// What a fetch read, in the order asked, and the memory that it takes.
pub struct Answers {
    pub read: Vec<Result<Fetched, ReadError>>,
    pub lease: Option<Box<dyn ReadLease>>,
}

/// Takes back the watches of a fetch when it ends or is given up.
struct Parked {
    shards: Shards,
    id: WatchId,
    at: Vec<ShardIndex>,
}

impl Drop for Parked {
    fn drop(&mut self) {
        let now = self.shards.now();
        for to in &self.at {
            self.shards.post(now, *to, ShardRequest::Unwatch { id: self.id });
        }
    }
}

pub(super) async fn fetch(shards: Shards, ask: FetchAsk, memory: Rc<dyn ReadMemory>, trace: Rc<Trace>) -> Answers {
    let owners = owners_of(&shards, &ask);
    // A batch that comes whole may be more than what is lent where memory is short: it is read again, once there is room.
    let mut least_bytes = 0;
    loop {
        let Some(mut lease) = memory.lend(least_bytes, ask.max_bytes as usize, ask.deadline).await else {
            // Waiting on could lock all up: others may hold memory until this is answered.
            let read = read_all(&shards, &ask, None).await;
            trace.step(Stage::Wait, shards.now());
            return Answers { read, lease: None };
        };
        let max_bytes = u32::try_from(lease.max_bytes()).unwrap_or(u32::MAX).min(ask.max_bytes);
        let mut read = read_all(&shards, &ask, Some(share(max_bytes, owners))).await;
        keep_within(&mut read, max_bytes as usize);
        let bytes = read.iter().flatten().map(Fetched::bytes).sum();
        if bytes > lease.max_bytes() && bytes > least_bytes {
            least_bytes = bytes;
            continue;
        }
        let there: u64 = read.iter().flatten().map(|f| u64::from(f.available_bytes).max(f.bytes() as u64)).sum();
        let missing = u64::from(ask.min_bytes).saturating_sub(there);
        let must_answer = read.iter().any(is_urgent);
        let now = shards.now();
        let from_disk = read.iter().flatten().any(|fetched| fetched.from_disk);
        trace.step(if from_disk { Stage::ReadDisk } else { Stage::ReadMemory }, now);
        let stopping = shards.inner.stopping.get();
        if must_answer || stopping || missing == 0 || now >= ask.deadline || ask.parts.is_empty() {
            lease.keep(bytes);
            return Answers { read, lease: Some(lease) };
        }
        drop(lease);
        least_bytes = 0;
        park(&shards, now, &ask, &read, u32::try_from(missing).unwrap_or(u32::MAX)).await;
        trace.step(Stage::Wait, shards.now());
    }
}

/// How many cores own a part of it.
fn owners_of(shards: &Shards, ask: &FetchAsk) -> u32 {
    let mut owners: Vec<ShardIndex> = ask.parts.iter().map(|part| owner(part.partition, shards.count())).collect();
    owners.sort_unstable();
    owners.dedup();
    u32::try_from(owners.len()).unwrap_or(u32::MAX)
}

/// What one of so many owners may read. They do not know of each other, and what they read beyond the limit is read in
/// vain; but a small share would make many fetches of what one could bring.
fn share(max_bytes: u32, owners: u32) -> u32 {
    (max_bytes / owners.max(1)).max(SHARE_BYTES_MIN).min(max_bytes)
}

/// Whatever is wrong with a partition ends the wait, and so does a log that parts from the reader's. One that its owner
/// does not know was deleted since: partitions unknown to the catalog never come here.
fn is_urgent(read: &Read) -> bool {
    match read {
        Ok(fetched) => fetched.diverging.is_some(),
        Err(_) => true,
    }
}

async fn read_all(shards: &Shards, ask: &FetchAsk, max_bytes: Option<u32>) -> Vec<Read> {
    let isolation = ask.isolation;
    shards
        .scatter(
            shards.now(),
            ask.parts.clone(),
            |part| part.partition,
            move |parts, reply| ShardRequest::Read { parts, isolation, max_bytes, reply },
            || Err(ReadError::Stopping),
        )
        .await
}

/// Every owner kept to the limit by itself: together they may be over it. Only the first non-empty one may exceed it.
fn keep_within(read: &mut [Read], max_bytes: usize) {
    let mut total = 0;
    for fetched in read.iter_mut().flatten() {
        let bytes = fetched.bytes();
        if total > 0 && total + bytes > max_bytes {
            fetched.forget_records();
        } else {
            total += bytes;
        }
    }
}

/// Waits at every owner until one of them wakes us.
async fn park(shards: &Shards, now: Mono, ask: &FetchAsk, read: &[Read], missing: u32) {
    let mut groups: Vec<(ShardIndex, Vec<(PartitionId, Offset)>)> = Vec::new();
    for (part, read) in ask.parts.iter().zip(read) {
        let Ok(fetched) = read else { continue };
        let to = owner(part.partition, shards.count());
        let seen = (part.partition, end_of(fetched, ask.isolation));
        match groups.iter_mut().find(|(shard, _)| *shard == to) {
            Some((_, parts)) => parts.push(seen),
            None => groups.push((to, vec![seen])),
        }
    }
    let number = shards.inner.next_watch.get() + 1;
    shards.inner.next_watch.set(number);
    let id = WatchId(u64::from(shards.index().0) << 48 | number);
    let parked = Parked { shards: shards.clone(), id, at: groups.iter().map(|(to, _)| *to).collect() };
    let (isolation, deadline) = (ask.isolation, ask.deadline);
    let mut asked: Vec<Asked<()>> = groups
        .into_iter()
        .map(|(to, seen)| {
            shards.ask(now, to, |reply| ShardRequest::Watch {
                id,
                seen,
                isolation,
                missing_bytes: missing,
                deadline,
                reply,
            })
        })
        .collect();
    first_of(&mut asked).await;
    drop(parked);
}

fn end_of(fetched: &Fetched, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => fetched.high_watermark,
        Isolation::ReadCommitted => fetched.last_stable,
    }
}

async fn first_of(asked: &mut [Asked<()>]) {
    poll_fn(|cx| {
        if asked.iter_mut().any(|one| Future::poll(Pin::new(one), cx).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
