//! Buffers for direct I/O: `IoBuf` while one task fills it, `Frozen` from then on. Made on one core, readable on all.
//!
//! Invariant: a frozen buffer never changes; its memory goes back to the core that made it, whoever drops it last.
//! Memory is not cleared: only the first `len` bytes, which were written, can be seen.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;

use super::BLOCK_BYTES;
use super::uring::memory::{DmaBlocks, Homing};

/// A block-aligned buffer that one task fills. `len` ≤ `capacity`; capacity is whole blocks.
pub struct IoBuf {
    memory: Blocks,
    len: usize,
}

enum Blocks {
    Heap(HeapBlocks),
    Dma(DmaBlocks),
}

impl IoBuf {
    /// On the heap, for runtimes without registered memory.
    pub fn heap(len: usize) -> IoBuf {
        IoBuf { memory: Blocks::Heap(HeapBlocks::new(whole_blocks(len))), len: 0 }
    }

    pub(super) fn dma(blocks: DmaBlocks) -> IoBuf {
        IoBuf { memory: Blocks::Dma(blocks), len: 0 }
    }

    pub fn capacity(&self) -> usize {
        match &self.memory {
            Blocks::Heap(blocks) => blocks.layout.size(),
            Blocks::Dma(blocks) => blocks.capacity(),
        }
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
        let start = match &self.memory {
            Blocks::Heap(blocks) => blocks.start.as_ptr().cast_const(),
            Blocks::Dma(blocks) => blocks.as_ptr(),
        };
        // SAFETY: `len` ≤ capacity, and every byte below `len` was written by `append`.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes it unique.
        unsafe { std::slice::from_raw_parts_mut(self.start_mut(), self.len) }
    }

    /// Copies `data` to the end.
    ///
    /// # Panics
    /// When `remaining()` is too small: the caller decides admission before.
    pub fn extend_from_slice(&mut self, data: &[u8]) {
        // SAFETY: `append` gives `data.len()` writable bytes, which `data` cannot overlap: they are ours alone.
        self.append(data.len(), |to| unsafe { to.copy_from_nonoverlapping(data.as_ptr(), data.len()) });
    }

    /// Appends `count` zeros: room for what is known only later, such as a header.
    ///
    /// # Panics
    /// When `remaining()` is too small.
    pub fn extend_zeros(&mut self, count: usize) {
        // SAFETY: `append` gives `count` writable bytes.
        self.append(count, |to| unsafe { to.write_bytes(0, count) });
    }

    /// Appends zeros up to the next whole block.
    pub fn pad_to_block(&mut self) {
        self.extend_zeros(self.len.next_multiple_of(BLOCK_BYTES) - self.len);
    }

    /// `write` must write all `count` bytes at the pointer it is given.
    fn append(&mut self, count: usize, write: impl FnOnce(*mut u8)) {
        assert!(
            count <= self.remaining(),
            "{count} bytes do not fit: {} of {} left",
            self.remaining(),
            self.capacity()
        );
        // SAFETY: within the allocation, by the check above.
        write(unsafe { self.start_mut().add(self.len) });
        self.len += count;
    }

    fn start_mut(&mut self) -> *mut u8 {
        match &mut self.memory {
            Blocks::Heap(blocks) => blocks.start.as_ptr(),
            Blocks::Dma(blocks) => blocks.as_mut_ptr(),
        }
    }

    /// Ends the filling. The length must be whole blocks.
    pub fn freeze(self) -> Frozen {
        assert!(self.len.is_multiple_of(BLOCK_BYTES), "a frozen buffer is whole blocks");
        match self.memory {
            Blocks::Heap(mut blocks) => {
                blocks.shrink(self.len);
                Frozen { bytes: Bytes::from_owner(HeapBytes { blocks, len: self.len }), dma: None }
            }
            Blocks::Dma(blocks) => {
                let dma = Arc::new(blocks.freeze(self.len));
                Frozen { bytes: Bytes::from_owner(SharedDma(dma.clone())), dma: Some(dma) }
            }
        }
    }
}

/// The capacity of a buffer that was asked for `len` bytes: whole blocks, at least one.
pub(super) fn whole_blocks(len: usize) -> usize {
    len.max(1).next_multiple_of(BLOCK_BYTES)
}

/// A filled buffer: written to files and read by many, never changed.
#[derive(Clone)]
pub struct Frozen {
    bytes: Bytes,
    dma: Option<Arc<Homing>>,
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

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn dma(&self) -> Option<&Homing> {
        self.dma.as_deref()
    }
}

struct SharedDma(Arc<Homing>);

impl AsRef<[u8]> for SharedDma {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

struct HeapBlocks {
    start: NonNull<u8>,
    layout: Layout,
}

impl HeapBlocks {
    fn new(len: usize) -> HeapBlocks {
        let layout = Layout::from_size_align(len, BLOCK_BYTES).expect("a buffer's size fits the address space");
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        HeapBlocks { start, layout }
    }

    /// Gives back what lies beyond `len` when that is most of it: frozen buffers are kept for long.
    fn shrink(&mut self, len: usize) {
        let len = whole_blocks(len);
        if len > self.layout.size() / 2 {
            return;
        }
        // SAFETY: allocated with this layout; `len` is above zero and smaller than before.
        let start = unsafe { realloc(self.start.as_ptr(), self.layout, len) };
        if let Some(start) = NonNull::new(start) {
            self.start = start;
            self.layout = Layout::from_size_align(len, BLOCK_BYTES).expect("it was larger before");
        }
    }
}

impl Drop for HeapBlocks {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout in `new`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// A frozen heap buffer. Invariant: the first `len` bytes are initialised and never change.
struct HeapBytes {
    blocks: HeapBlocks,
    len: usize,
}

// SAFETY: plain heap memory with one owner; `&self` only reads.
unsafe impl Send for HeapBytes {}
// SAFETY: as above.
unsafe impl Sync for HeapBytes {}

impl AsRef<[u8]> for HeapBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the type's invariant.
        unsafe { std::slice::from_raw_parts(self.blocks.start.as_ptr(), self.len) }
    }
}
