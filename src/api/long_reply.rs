//! Replies that may be much larger than their requests: one list, whose elements are encoded as soon as they are made, into
//! memory that the core lends. Connection's core.
//!
//! Invariant: what such replies take before they are sent is in the core's budget, but for [`UNLENT_BYTES`] of each, a small
//! element in the making, and an answer that came and waits for its [`LongReply::room`], without which a large element is not
//! made; and others are served after at most [`TURN_BYTES`] or [`TURN_ELEMENTS`] of one, or one element. An element tells what
//! is there when it is made: what other connections change meanwhile may show in it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use shards::router::{ReadLease, ReadMemory};
use shards::types::Mono;
use thiserror::Error;

use super::RequestContext;
use super::table::Served;
use crate::wire::{Elements, EncodeError, List, Message, Wire};

/// A reply begins without a loan: most are smaller, and those need not wait where memory is short.
const UNLENT_BYTES: usize = 64 << 10;
/// About what can be made in the time that a task may run: so many bytes, or elements, each of which may be the answer of a
/// coordinator.
const TURN_BYTES: usize = 16 << 10;
const TURN_ELEMENTS: usize = 32;
/// Most of one reply, where the core has twice that. All configs of 10,000 topics, with synonyms and documentation, are less.
pub const REPLY_BYTES_MAX: usize = 64 << 20;

/// Work for a thread beside the core's.
pub type Work = Box<dyn FnOnce() + Send>;

/// The memory and the time of a core, as requests and replies need them.
pub trait CoreMemory: ReadMemory {
    /// Most that one reply may take, at most [`REPLY_BYTES_MAX`].
    fn reply_bytes_max(&self) -> usize;
    fn now(&self) -> Mono;
    /// Lets others of this core run, if this one ran for long.
    fn turn(&self) -> Pin<Box<dyn Future<Output = ()>>>;
    /// Has work done that takes longer than a task may run; one after the other, beside this core.
    fn beside(&self, work: Work);
}

/// Why a connection is closed instead of being answered.
#[derive(Debug, Error)]
pub(super) enum NoReply {
    #[error("the reply would take more than {} KiB, which is the most here", .max_bytes >> 10)]
    TooLarge { max_bytes: usize },
    #[error("there was no memory for a reply of more than {} KiB", .bytes >> 10)]
    NoMemory { bytes: usize },
    #[error("the reply could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// The list of a reply, and the memory that it takes.
#[derive(Default)]
pub struct Lent {
    pub(super) elements: Elements,
    pub(super) leases: Vec<Box<dyn ReadLease>>,
}

/// A reply in the making, of elements `T`.
pub(super) struct LongReply<T> {
    list: List<T>,
    memory: Rc<dyn CoreMemory>,
    leases: Vec<Box<dyn ReadLease>>,
    /// Of the leases, and the first that need none.
    lent_bytes: usize,
    /// Lent for what the next element is made of.
    beside_bytes: usize,
    turned_at_bytes: usize,
    /// Elements since then, about.
    unturned: usize,
    /// For memory, in all: one reply has one time for that.
    waited: Duration,
}

impl NoReply {
    pub(super) fn close<M>(self) -> Served<M> {
        Served::Close(self.to_string())
    }
}

impl<T: Wire> LongReply<T> {
    /// For a reply of this type.
    pub(super) fn of<M: Message>(ctx: &RequestContext<'_>) -> LongReply<T> {
        LongReply::made_in::<M>(ctx.core.memory.clone(), ctx.version)
    }

    /// For a reply of this type in this version.
    fn made_in<M: Message>(memory: Rc<dyn CoreMemory>, version: i16) -> LongReply<T> {
        LongReply {
            list: List::of::<M>(version),
            memory,
            leases: Vec::new(),
            lent_bytes: UNLENT_BYTES,
            beside_bytes: 0,
            turned_at_bytes: 0,
            unturned: 0,
            waited: Duration::ZERO,
        }
    }

    /// The whole reply, of these elements, each of which is small.
    pub(super) async fn tell<M>(mut self, elements: impl Iterator<Item = T>, around: M) -> Served<M> {
        for element in elements {
            if let Err(why) = self.push(element).await {
                return why.close();
            }
        }
        self.within(around)
    }

    /// Adds an element, which is small or which [`LongReply::room`] was made for.
    pub(super) async fn push(&mut self, element: T) -> Result<(), NoReply> {
        self.push_with(element, Elements::default()).await
    }

    /// As [`LongReply::push`], with these in the element's first array without elements.
    pub(super) async fn push_with(&mut self, element: T, within: Elements) -> Result<(), NoReply> {
        self.add(&element, within)?;
        drop(element);
        self.settle().await
    }

    /// As [`LongReply::push_with`], at once; [`LongReply::settle`] is to follow.
    pub(super) fn add(&mut self, element: &T, within: Elements) -> Result<(), NoReply> {
        Ok(self.list.push_with(element, within)?)
    }

    /// Waits until there is memory for all elements so far, and lets others run if it is their turn.
    pub(super) async fn settle(&mut self) -> Result<(), NoReply> {
        let beside_bytes = std::mem::take(&mut self.beside_bytes);
        self.give_back(beside_bytes);
        self.room(0, 0).await?;
        self.turn().await;
        Ok(())
    }

    /// Lets others run if it is their turn; [`LongReply::room`] was made for what comes before [`LongReply::settle`].
    pub(super) async fn turn(&mut self) {
        self.unturned += 1;
        if self.list.bytes() - self.turned_at_bytes >= TURN_BYTES || self.unturned >= TURN_ELEMENTS {
            self.pause().await;
        }
    }

    /// The same whether or not anything was told since the last time: it may have taken long to find that there is nothing.
    pub(super) async fn pause(&mut self) {
        (self.turned_at_bytes, self.unturned) = (self.list.bytes(), 0);
        self.memory.turn().await;
    }

    /// An empty list, for an array within an element.
    pub(super) fn inner<E: Wire>(&self) -> List<E> {
        self.list.within()
    }

    /// Waits until there is memory for all elements so far, for `told_bytes` more of them, encoded, and for `beside_bytes`
    /// of what they are made of, which are held until then; of those for no more than a reply may take.
    pub(super) async fn room(&mut self, told_bytes: usize, beside_bytes: usize) -> Result<(), NoReply> {
        let told_bytes = self.list.bytes().saturating_add(told_bytes);
        let max_bytes = self.memory.reply_bytes_max();
        if told_bytes > max_bytes {
            return Err(NoReply::TooLarge { max_bytes });
        }
        self.beside_bytes = beside_bytes;
        let bytes = told_bytes.saturating_add(beside_bytes).min(max_bytes);
        while bytes > self.lent_bytes {
            // Twice as much each time, so that a reply of average size borrows little. Who holds nothing waits for long; who
            // holds much, for little, as others may wait for that.
            let short_bytes = bytes - self.lent_bytes;
            let wanted_bytes = short_bytes.max(self.lent_bytes.min(max_bytes.saturating_sub(self.lent_bytes)));
            let (least_bytes, deadline) = match self.leases.is_empty() {
                true => (short_bytes, Mono(u64::MAX)),
                // More than what is lent to small requests, whose part is not for long replies.
                false => (wanted_bytes.min(short_bytes.max(2 * UNLENT_BYTES)), Mono(0)),
            };
            let asked = self.memory.now();
            let lease = self.memory.lend(least_bytes, wanted_bytes, deadline, self.waited).await;
            self.waited += self.memory.now().since(asked);
            let lease = lease.ok_or(NoReply::NoMemory { bytes: self.lent_bytes })?;
            self.lent_bytes += lease.max_bytes();
            self.leases.push(lease);
        }
        Ok(())
    }

    /// Gives so many bytes back, if they are not needed for the elements so far.
    fn give_back(&mut self, bytes: usize) {
        let mut back = bytes.min(self.lent_bytes.saturating_sub(self.list.bytes().max(UNLENT_BYTES)));
        self.lent_bytes -= back;
        for lease in self.leases.iter_mut().rev() {
            let part = back.min(lease.max_bytes());
            lease.keep(lease.max_bytes() - part);
            back -= part;
        }
        self.leases.retain(|lease| lease.max_bytes() > 0);
    }

    /// The whole reply. The first array without elements of `around` is the place of the list.
    pub(super) fn within<M>(self, around: M) -> Served<M> {
        Served::Lent(around, Lent { elements: self.list.finish(), leases: self.leases })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::ready;

    use futures_lite::future::block_on;

    use super::*;
    use crate::wire::Str;
    use crate::wire::messages::describe_groups::{DescribeGroupsResponse, DescribedGroup, DescribedGroupMember};

    /// Lends so many bytes in all; each loan takes two seconds.
    struct Few {
        left: Rc<RefCell<usize>>,
        now: Cell<Mono>,
        /// What those who asked had waited before.
        waited: RefCell<Vec<Duration>>,
        turns: Rc<Cell<usize>>,
    }

    impl Few {
        fn of(left: Rc<RefCell<usize>>) -> Few {
            Few { left, now: Cell::new(Mono(0)), waited: RefCell::default(), turns: Rc::default() }
        }
    }

    struct FewLease {
        left: Rc<RefCell<usize>>,
        bytes: usize,
    }

    impl ReadMemory for Few {
        fn lend(
            &self,
            least_bytes: usize,
            max_bytes: usize,
            _: Mono,
            waited: Duration,
        ) -> Pin<Box<dyn Future<Output = Option<Box<dyn ReadLease>>>>> {
            self.waited.borrow_mut().push(waited);
            self.now.set(self.now.get().after(Duration::from_secs(2)));
            let mut left = self.left.borrow_mut();
            let bytes = max_bytes.min(*left);
            if bytes < least_bytes {
                return Box::pin(ready(None));
            }
            *left -= bytes;
            let lease: Box<dyn ReadLease> = Box::new(FewLease { left: self.left.clone(), bytes });
            Box::pin(ready(Some(lease)))
        }
    }

    impl CoreMemory for Few {
        fn reply_bytes_max(&self) -> usize {
            REPLY_BYTES_MAX
        }

        fn now(&self) -> Mono {
            self.now.get()
        }

        fn turn(&self) -> Pin<Box<dyn Future<Output = ()>>> {
            self.turns.update(|count| count + 1);
            Box::pin(ready(()))
        }

        fn beside(&self, work: Work) {
            work();
        }
    }

    impl ReadLease for FewLease {
        fn max_bytes(&self) -> usize {
            self.bytes
        }

        fn grow(&mut self, _: usize) -> bool {
            false
        }

        fn keep(&mut self, bytes: usize) {
            *self.left.borrow_mut() += self.bytes - bytes;
            self.bytes = bytes;
        }
    }

    impl Drop for FewLease {
        fn drop(&mut self) {
            *self.left.borrow_mut() += self.bytes;
        }
    }

    impl<T: Wire> LongReply<T> {
        /// On a core that has so much memory to lend.
        pub fn lent<M: Message>(version: i16, bytes: usize) -> LongReply<T> {
            LongReply::counted::<M>(version, bytes).0
        }

        /// The same, and how often others had their turn.
        pub fn counted<M: Message>(version: i16, bytes: usize) -> (LongReply<T>, Rc<Cell<usize>>) {
            let few = Few::of(Rc::new(RefCell::new(bytes)));
            let turns = few.turns.clone();
            (LongReply::made_in::<M>(Rc::new(few), version), turns)
        }

        /// Of what is encoded so far.
        pub fn bytes(&self) -> usize {
            self.list.bytes()
        }
    }

    fn group(members: &[DescribedGroupMember]) -> DescribedGroup {
        DescribedGroup { group_id: "g".into(), members: members.to_vec(), ..Default::default() }
    }

    #[test]
    fn an_element_whose_list_was_encoded_before_it_is_as_it_would_be_at_one_go() {
        let large = Str::from("m".repeat(9000));
        let members: Vec<_> =
            (0..40).map(|_| DescribedGroupMember { member_id: large.clone(), ..Default::default() }).collect();
        for version in [0, 4, 6] {
            for count in [0, 1, 40] {
                let mut whole = List::of::<DescribeGroupsResponse>(version);
                let mut piecewise = List::of::<DescribeGroupsResponse>(version);
                for _ in 0..2 {
                    whole.push(&group(&members[..count])).expect("it is carried");
                    let mut inner = piecewise.within();
                    members[..count].iter().for_each(|member| inner.push(member).expect("it is carried"));
                    piecewise.push_with(&group(&[]), inner.finish()).expect("it is carried");
                }
                assert_eq!(whole.bytes(), piecewise.bytes());
                let frames = [whole, piecewise].map(|list| {
                    let around = DescribeGroupsResponse::default().into();
                    crate::wire::encode_long_response(&around, list.finish(), version, 1).expect("a frame").concat()
                });
                assert!(frames[0] == frames[1], "version {version}, {count} members");
            }
        }
    }

    #[test]
    fn what_an_element_is_made_of_is_lent_until_it_is_made_and_does_not_count_as_told() {
        block_on(async {
            let left = Rc::new(RefCell::new(100 << 20));
            let memory = Rc::new(Few::of(left.clone()));
            let mut groups: LongReply<DescribedGroup> = LongReply::made_in::<DescribeGroupsResponse>(memory, 5);
            let used = |left: &Rc<RefCell<usize>>| (100 << 20) - *left.borrow();
            groups.room(40 << 20, 30 << 20).await.expect("the beside counts as far as there is a reply's memory");
            assert!(used(&left) >= REPLY_BYTES_MAX - UNLENT_BYTES && groups.bytes() == 0);
            groups.push(group(&[])).await.expect("there is memory");
            assert!(used(&left) <= REPLY_BYTES_MAX - (30 << 20) && !groups.leases.is_empty(), "{}", used(&left));
            let too_large = groups.room(REPLY_BYTES_MAX, 0).await;
            assert!(matches!(too_large, Err(NoReply::TooLarge { .. })));
            drop(groups);
            assert_eq!(used(&left), 0);
        });
    }

    #[test]
    fn others_have_their_turn_between_many_small_elements_too() {
        let (mut groups, turns) = LongReply::<DescribedGroup>::counted::<DescribeGroupsResponse>(5, 1 << 20);
        for _ in 0..10 * TURN_ELEMENTS {
            block_on(groups.push(group(&[]))).expect("there is memory");
        }
        assert!(groups.bytes() < TURN_BYTES && turns.get() >= 10, "{} turns in {} bytes", turns.get(), groups.bytes());
    }

    #[test]
    fn all_loans_of_a_reply_have_one_time_to_wait() {
        block_on(async {
            let memory = Rc::new(Few::of(Rc::new(RefCell::new(100 << 20))));
            let mut groups: LongReply<DescribedGroup> = LongReply::made_in::<DescribeGroupsResponse>(memory.clone(), 5);
            for _ in 0..100 {
                let member = DescribedGroupMember { member_id: "m".repeat(9000).into(), ..Default::default() };
                groups.push(group(&[member])).await.expect("there is memory");
            }
            let waited: Vec<_> = memory.waited.borrow().iter().map(Duration::as_secs).collect();
            assert!(waited.len() > 2 && waited.iter().copied().eq((0..).step_by(2).take(waited.len())), "{waited:?}");
        });
    }
}
