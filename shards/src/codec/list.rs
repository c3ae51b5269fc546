//! `List`: the elements of a message's long array, encoded one by one as they are made, so that they are never all there
//! as values. An element may have such an array itself. Every core.
//!
//! Invariant: the memory that a list takes is what its elements take encoded, and at most one piece more.

use std::marker::PhantomData;

use bytes::Bytes;

use super::{Cx, EncodeError, Message, Wire, Writer};

/// A piece of this size is closed: a buffer that grew on would be copied, and be there twice meanwhile.
const PIECE_BYTES: usize = 64 << 10;

/// Elements of type `T`, encoded.
#[derive(Debug)]
pub struct List<T> {
    cx: Cx,
    closed: Elements,
    open: Writer,
    kind: PhantomData<fn(&T)>,
}

/// A finished [`List`]. [`Writer::fill`] puts it into its message.
#[derive(Debug, Default)]
pub struct Elements {
    pub(super) count: usize,
    pub(super) pieces: Vec<Bytes>,
    bytes: usize,
}

impl<T: Wire> List<T> {
    /// An empty one, for an array of this message in this version.
    pub fn of<M: Message>(version: i16) -> List<T> {
        List {
            cx: Cx { version, flexible: M::FLEXIBLE.contains(version) },
            closed: Elements::default(),
            open: Writer::default(),
            kind: PhantomData,
        }
    }

    /// An empty one, for an array within an element of this one.
    pub fn within<E: Wire>(&self) -> List<E> {
        List { cx: self.cx, closed: Elements::default(), open: Writer::default(), kind: PhantomData }
    }

    /// # Errors
    /// The version cannot carry the element; the list holds a part of it then, and is to be dropped.
    pub fn push(&mut self, element: &T) -> Result<(), EncodeError> {
        self.push_with(element, Elements::default())
    }

    /// Adds an element with these in its first array without elements.
    ///
    /// # Errors
    /// As [`List::push`].
    ///
    /// # Panics
    /// If there are some and the element has no place for them.
    pub fn push_with(&mut self, element: &T, within: Elements) -> Result<(), EncodeError> {
        self.open.fill(within);
        element.write(&mut self.open, self.cx)?;
        assert!(!self.open.is_filling(), "an element has no place for a list");
        self.closed.count = self.closed.count.saturating_add(1);
        if self.open.len() >= PIECE_BYTES {
            let piece = std::mem::replace(&mut self.open, Writer::with_capacity(PIECE_BYTES));
            self.closed.add(piece);
        }
        Ok(())
    }

    /// Of all elements.
    pub fn bytes(&self) -> usize {
        self.closed.bytes.saturating_add(self.open.len())
    }

    pub fn finish(mut self) -> Elements {
        self.closed.add(self.open);
        self.closed
    }
}

impl Elements {
    fn add(&mut self, mut piece: Writer) {
        self.bytes = self.bytes.saturating_add(piece.len());
        piece.shrink();
        self.pieces.extend(piece.finish());
    }
}
