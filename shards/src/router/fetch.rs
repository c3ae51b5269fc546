//! A fetch over several owners: asks all, and if that is too little parks a watch at each and asks all again.
//!
//! Invariant: whoever waits is woken by new data, by the deadline or by a partition that must be looked at again; every
//! watch is taken back when the fetch ends, however it ends. Records are held for no longer than memory is lent for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

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
    /// `None` when there was none for as long as the reader waits, or the broker stops. `waited`: how long it has waited for
    /// memory before.
    fn lend(
        &self,
        least_bytes: usize,
        max_bytes: usize,
        deadline: Mono,
        waited: Duration,
    ) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>>;
}

/// Memory that was lent, given back when dropped.
pub trait ReadLease {
    /// A read should take no more.
    fn max_bytes(&self) -> usize;
    /// Lends more, so that it is `bytes` in all; false, and as before, if so much is not there now.
    fn grow(&mut self, bytes: usize) -> bool;
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
    let (mut least_bytes, mut waited) = (0, Duration::ZERO);
    // An owner takes no fetch to wait any more, whether this core has heard of the stop or not.
    let mut owner_stops = false;
    loop {
        let began = shards.now();
        let lent = memory.lend(least_bytes, ask.max_bytes as usize, ask.deadline, waited).await;
        waited += shards.now().since(began);
        let Some(mut lease) = lent else {
            // Waiting on could lock all up: others may hold memory until this is answered.
            let read = read_all(&shards, &ask, None).await;
            trace.step(Stage::Wait, shards.now());
            return Answers { read, lease: None };
        };
        let max_bytes = u32::try_from(lease.max_bytes()).unwrap_or(u32::MAX).min(ask.max_bytes);
        let mut read = read_all(&shards, &ask, Some(share(max_bytes, owners))).await;
        keep_within(&mut read, max_bytes as usize);
        let bytes = read.iter().flatten().map(Fetched::bytes).sum();
        // A batch that comes whole may be more than what was lent. Where memory is short it is read again, once there is room.
        if bytes > lease.max_bytes() && bytes > least_bytes && !lease.grow(bytes) {
            least_bytes = bytes;
            continue;
        }
        let there: u64 = read.iter().flatten().map(|f| u64::from(f.available_bytes).max(f.bytes() as u64)).sum();
        let missing = u64::from(ask.min_bytes).saturating_sub(there);
        let must_answer = read.iter().any(is_urgent);
        let now = shards.now();
        let from_disk = read.iter().flatten().any(|fetched| fetched.from_disk);
        trace.step(if from_disk { Stage::ReadDisk } else { Stage::ReadMemory }, now);
        let stopping = shards.inner.stopping.get() || owner_stops;
        if must_answer || stopping || missing == 0 || now >= ask.deadline || ask.parts.is_empty() {
            lease.keep(bytes);
            return Answers { read, lease: Some(lease) };
        }
        // What is held is lent: first the one, then the other.
        read.iter_mut().flatten().for_each(Fetched::forget_records);
        drop(lease);
        least_bytes = 0;
        owner_stops = !park(&shards, now, &ask, &read, u32::try_from(missing).unwrap_or(u32::MAX)).await;
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

/// Waits at every owner until one of them wakes us; `false`: one of them lets nobody wait.
async fn park(shards: &Shards, now: Mono, ask: &FetchAsk, read: &[Read], missing: u32) -> bool {
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
    // Once all of it is there, one of them has its share; who is woken too early parks again for the rest.
    let missing = missing.div_ceil(u32::try_from(groups.len()).unwrap_or(u32::MAX).max(1));
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
    let woken = first_of(&mut asked).await;
    drop(parked);
    woken
}

fn end_of(fetched: &Fetched, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => fetched.high_watermark,
        Isolation::ReadCommitted => fetched.last_stable,
    }
}

/// Whether the first answer is one, and not the end of whoever was asked.
async fn first_of(asked: &mut [Asked<()>]) -> bool {
    poll_fn(|cx| {
        let answers = asked.iter_mut().map(|one| Future::poll(Pin::new(one), cx));
        answers.filter(Poll::is_ready).map(|answer| answer.map(|woken| woken.is_some())).next().unwrap_or(Poll::Pending)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use bytes::Bytes;
    use futures_lite::future::{block_on, poll_once};

    use super::super::mailbox::{Letter, Postbox};
    use super::super::{Clock, ShardHandle};
    use super::*;
    use crate::catalog::{Catalog, CatalogSettings};
    use crate::request::FetchPart;
    use crate::router::oneshot::Reply;
    use crate::types::TopicId;

    const LENT_BYTES: usize = 1000;

    /// Lends [`LENT_BYTES`], or as much as is asked for at least; each loan takes `wait`.
    #[derive(Default)]
    struct Lender {
        now: Rc<Cell<Mono>>,
        wait: Cell<Duration>,
        grows: bool,
        /// `least_bytes` and `waited` of each loan.
        asked: RefCell<Vec<(usize, Duration)>>,
        /// What was read so far.
        read: RefCell<Vec<Bytes>>,
    }

    struct Lent {
        bytes: usize,
        grows: bool,
    }

    impl ReadMemory for Lender {
        fn lend(
            &self,
            least_bytes: usize,
            _: usize,
            _: Mono,
            waited: Duration,
        ) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>> {
            assert!(self.read.borrow().iter().all(Bytes::is_unique), "records are held that no memory is lent for");
            self.asked.borrow_mut().push((least_bytes, waited));
            self.now.set(self.now.get().after(self.wait.get()));
            let lent: Box<dyn ReadLease> = Box::new(Lent { bytes: least_bytes.max(LENT_BYTES), grows: self.grows });
            Box::pin(std::future::ready(Some(lent)))
        }
    }

    impl ReadLease for Lent {
        fn max_bytes(&self) -> usize {
            self.bytes
        }

        fn grow(&mut self, bytes: usize) -> bool {
            self.bytes = if self.grows { bytes } else { self.bytes };
            self.grows
        }

        fn keep(&mut self, bytes: usize) {
            self.bytes = bytes;
        }
    }

    /// A fetch of one partition, of whose owner the test has the mailbox.
    struct Owner {
        letters: flume::Receiver<Letter>,
        lender: Rc<Lender>,
        fetch: Pin<Box<dyn Future<Output = Answers>>>,
    }

    impl Owner {
        fn of(lender: Lender, min_bytes: u32) -> Owner {
            let (to_owner, letters) = flume::unbounded();
            let owner = ShardHandle::Remote(Rc::new(Postbox::new(to_owner, 1 << 20)));
            let catalog = Rc::new(RefCell::new(Catalog::new(CatalogSettings::new("c", 1))));
            let now = lender.now.clone();
            let clock = Clock { now: Box::new(move || now.get()), wall_ms: Box::new(|| 0) };
            let shards = Shards::new(ShardIndex(0), vec![owner], catalog, flume::unbounded().0, clock);
            let part = FetchPart {
                partition: PartitionId { topic: TopicId([1; 16]), index: 0 },
                offset: Offset(0),
                max_bytes: 1 << 20,
                current_epoch: None,
                last_fetched_epoch: None,
            };
            let isolation = Isolation::ReadUncommitted;
            let deadline = Mono(u64::MAX);
            let ask = FetchAsk { parts: vec![part], isolation, max_bytes: 1 << 20, min_bytes, deadline };
            let lender = Rc::new(lender);
            let fetch = Box::pin(fetch(shards, ask, lender.clone(), Rc::new(Trace::new(Mono(0)))));
            Owner { letters, lender, fetch }
        }

        /// Runs the fetch until it waits for the owner, and takes what it asks for.
        async fn letter(&mut self) -> ShardRequest {
            assert!(poll_once(&mut self.fetch).await.is_none(), "it waits");
            let mut letters = self.letters.try_iter().map(|letter| letter.open().0);
            letters.find(|request| !matches!(request, ShardRequest::Unwatch { .. })).expect("a letter")
        }

        async fn asked_to_read(&mut self) -> Reply<Vec<Read>> {
            match self.letter().await {
                ShardRequest::Read { reply, .. } => reply,
                _ => panic!("no read"),
            }
        }

        /// Answers a read with so many bytes, which the fetch alone holds then.
        fn answer(&self, reply: Reply<Vec<Read>>, bytes: usize) {
            let records = Bytes::from(vec![7; bytes]);
            self.lender.read.borrow_mut().push(records.clone());
            reply.send(vec![Ok(Fetched { records: [records].into_iter().collect(), ..Fetched::default() })]);
        }
    }

    #[test]
    fn a_batch_larger_than_what_was_lent_is_read_once_where_more_is_there() {
        block_on(async {
            let mut owner = Owner::of(Lender { grows: true, ..Lender::default() }, 1);
            let reply = owner.asked_to_read().await;
            owner.answer(reply, 5 * LENT_BYTES);
            let answers = poll_once(&mut owner.fetch).await.expect("it is read");
            let bytes: usize = answers.read.iter().flatten().map(Fetched::bytes).sum();
            assert_eq!((bytes, answers.lease.map(|lease| lease.max_bytes())), (5 * LENT_BYTES, Some(5 * LENT_BYTES)));
            assert_eq!(owner.lender.asked.borrow().len(), 1);
        });
    }

    #[test]
    fn a_batch_larger_than_what_is_there_is_let_go_and_read_again_and_the_waits_add_up() {
        block_on(async {
            let wait = Duration::from_secs(3);
            let mut owner = Owner::of(Lender { wait: Cell::new(wait), ..Lender::default() }, 1);
            for _ in 0..2 {
                let reply = owner.asked_to_read().await;
                owner.answer(reply, 5 * LENT_BYTES);
            }
            let answers = poll_once(&mut owner.fetch).await.expect("it is read");
            assert_eq!(answers.lease.map(|lease| lease.max_bytes()), Some(5 * LENT_BYTES));
            assert_eq!(*owner.lender.asked.borrow(), [(0, Duration::ZERO), (5 * LENT_BYTES, wait)]);
        });
    }

    #[test]
    fn a_fetch_whose_owner_lets_nobody_wait_answers_with_what_there_is() {
        block_on(async {
            let mut owner = Owner::of(Lender::default(), 500);
            let reply = owner.asked_to_read().await;
            owner.answer(reply, 100);
            let ShardRequest::Watch { reply, .. } = owner.letter().await else { panic!("no watch") };
            drop(reply);
            let reply = owner.asked_to_read().await;
            owner.answer(reply, 100);
            let answers = poll_once(&mut owner.fetch).await.expect("it waits no more");
            assert_eq!(answers.read.iter().flatten().map(Fetched::bytes).sum::<usize>(), 100);
        });
    }

    #[test]
    fn a_fetch_that_waits_for_more_does_not_hold_what_it_read() {
        block_on(async {
            let mut owner = Owner::of(Lender::default(), 500);
            let reply = owner.asked_to_read().await;
            owner.answer(reply, 100);
            let watch = owner.letter().await;
            let ShardRequest::Watch { missing_bytes, reply, .. } = watch else { panic!("no watch") };
            assert_eq!(missing_bytes, 400);
            assert!(owner.lender.read.borrow().iter().all(Bytes::is_unique));
            reply.send(());
            let reply = owner.asked_to_read().await;
            owner.answer(reply, 500);
            assert!(poll_once(&mut owner.fetch).await.is_some());
        });
    }
}
