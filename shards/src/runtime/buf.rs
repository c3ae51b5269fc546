//! Buffers for direct I/O: `IoBuf` while one task fills it, `Frozen` from then on. Made on one core, readable on all.
//!
//! Invariant: a frozen buffer never changes; its memory goes back to the core that made it, whoever drops it last.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

use bytes::Bytes;

use super::BLOCK_BYTES;

/// A block-aligned buffer that one task fills. `len` ≤ `capacity`; capacity is whole blocks.
pub struct IoBuf {
    memory: HeapBlocks,
    len: usize,
}

impl IoBuf {
    /// On the heap, for runtimes without registered memory.
    pub fn heap(len: usize) -> IoBuf {
        IoBuf { memory: HeapBlocks::new(len.max(1).next_multiple_of(BLOCK_BYTES)), len: 0 }
    }

    pub fn capacity(&self) -> usize {
        self.memory.as_slice().len()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn remaining(&self) -> usize {
        self.capacity() - self.len
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.memory.as_slice()[..self.len]
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory.as_mut_slice()[..self.len]
    }

    /// Copies `data` to the end.
    ///
    /// # Panics
    /// When `remaining()` is too small: the caller decides admission before.
    pub fn extend_from_slice(&mut self, data: &[u8]) {
        let end = self.len + data.len();
        self.memory.as_mut_slice()[self.len..end].copy_from_slice(data);
        self.len = end;
    }

    /// Appends zeros up to the next whole block.
    pub fn pad_to_block(&mut self) {
        let end = self.len.next_multiple_of(BLOCK_BYTES);
        self.memory.as_mut_slice()[self.len..end].fill(0);
        self.len = end;
    }

    /// Ends the filling. The length must be whole blocks.
    pub fn freeze(self) -> Frozen {
        assert!(self.len.is_multiple_of(BLOCK_BYTES), "a frozen buffer is whole blocks");
        let len = self.len;
        Frozen { bytes: Bytes::from_owner(self.memory).slice(..len) }
    }
}

/// A filled buffer: written to files and read by many, never changed.
#[derive(Clone)]
pub struct Frozen {
    bytes: Bytes,
}

impl Frozen {
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// All of it, shared without a copy; may be sent to another core.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    pub fn slice(&self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }
}

struct HeapBlocks {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: plain heap memory with one owner; `&self` only reads.
unsafe impl Send for HeapBlocks {}
// SAFETY: as above.
unsafe impl Sync for HeapBlocks {}

impl HeapBlocks {
    fn new(len: usize) -> HeapBlocks {
        let layout = Layout::from_size_align(len, BLOCK_BYTES).expect("a buffer's size fits the address space");
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        HeapBlocks { start, layout }
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: `start` is valid for `layout.size()` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes it unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl AsRef<[u8]> for HeapBlocks {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for HeapBlocks {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout in `new`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
