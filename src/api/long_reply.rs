//! Replies that may be much larger than their requests: one list, whose elements are encoded as soon as they are made, into
//! memory that the core lends. Connection's core.
//!
//! Invariant: what such replies take before they are sent is in the core's budget, but for [`UNLENT_BYTES`] of each and the
//! element in the making; and others are served after at most [`TURN_BYTES`] of one, or one element. An element tells what
//! is there when it is made: what other connections change meanwhile may show in it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use shards::router::{ReadLease, ReadMemory};
use shards::types::Mono;
use thiserror::Error;

use super::RequestContext;
use super::table::Served;
use crate::wire::{Elements, EncodeError, List, Message, Wire};

/// A reply begins without a loan: most are smaller, and those need not wait where memory is short.
const UNLENT_BYTES: usize = 64 << 10;
/// About what can be made in the time that a task may run.
const TURN_BYTES: usize = 16 << 10;
/// Most of one reply, where the core has twice that. All configs of 10,000 topics, with synonyms and documentation, are less.
pub const REPLY_BYTES_MAX: usize = 64 << 20;

/// The memory of a core, as replies need it.
pub trait CoreMemory: ReadMemory {
    /// Most that one reply may take, at most [`REPLY_BYTES_MAX`].
    fn reply_bytes_max(&self) -> usize;
    /// Lets others of this core run, if this one ran for long.
    fn turn(&self) -> Pin<Box<dyn Future<Output = ()>>>;
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
    lent_bytes: usize,
    turned_at_bytes: usize,
}

impl NoReply {
    pub(super) fn close<M>(self) -> Served<M> {
        Served::Close(self.to_string())
    }
}

impl<T: Wire> LongReply<T> {
    /// For a reply of this type.
    pub(super) fn of<M: Message>(ctx: &RequestContext<'_>) -> LongReply<T> {
        LongReply {
            list: List::of::<M>(ctx.version),
            memory: ctx.core.memory.clone(),
            leases: Vec::new(),
            lent_bytes: UNLENT_BYTES,
            turned_at_bytes: 0,
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
        self.list.push(&element)?;
        drop(element);
        self.room(0).await?;
        if self.list.bytes() - self.turned_at_bytes >= TURN_BYTES {
            self.turned_at_bytes = self.list.bytes();
            self.memory.turn().await;
        }
        Ok(())
    }

    /// Waits until there is memory for all elements so far and `more_bytes`.
    pub(super) async fn room(&mut self, more_bytes: usize) -> Result<(), NoReply> {
        let bytes = self.list.bytes().saturating_add(more_bytes);
        let max_bytes = self.memory.reply_bytes_max();
        if bytes > max_bytes {
            return Err(NoReply::TooLarge { max_bytes });
        }
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
            let lease = self.memory.lend(least_bytes, wanted_bytes, deadline).await;
            let lease = lease.ok_or(NoReply::NoMemory { bytes: self.lent_bytes })?;
            self.lent_bytes += lease.max_bytes();
            self.leases.push(lease);
        }
        Ok(())
    }

    /// The whole reply. The first array without elements of `around` is the place of the list.
    pub(super) fn within<M>(self, around: M) -> Served<M> {
        Served::Lent(around, Lent { elements: self.list.finish(), leases: self.leases })
    }
}
