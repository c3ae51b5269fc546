//! Memory for direct I/O that other cores may read and drop: it always goes home to be freed.
//!
//! glommio's buffers and read results are counted without atomics and live in an arena of their executor, so only that
//! executor's thread may free them. `Homing` shares their bytes with every thread; dropped elsewhere, it puts the
//! memory on the home core's list, which that core empties at its next allocation or read.
//! Invariant: `Memory` is touched on its home thread only, or by the last owner once that thread is gone.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use glommio::io::{DmaBuffer, ReadResult};

use crate::runtime::BLOCK_BYTES;

thread_local! {
    /// The home that this thread is; 0 is none.
    static HERE: Cell<u64> = const { Cell::new(0) };
}

static NEXT_HOME: AtomicU64 = AtomicU64::new(1);

/// Where one core's memory comes back to.
pub(super) struct Home {
    id: u64,
    /// Length of `strays`, so that the usual case costs no lock.
    stray_count: AtomicUsize,
    strays: Mutex<Vec<Stray>>,
}

impl Home {
    /// Makes the calling thread a home.
    pub(super) fn found() -> Arc<Home> {
        let id = NEXT_HOME.fetch_add(1, Ordering::Relaxed);
        HERE.set(id);
        Arc::new(Home { id, stray_count: AtomicUsize::new(0), strays: Mutex::new(Vec::new()) })
    }

    fn is_here(&self) -> bool {
        HERE.get() == self.id
    }

    /// Frees what other threads dropped. Home thread only.
    pub(super) fn welcome(&self) {
        if self.stray_count.load(Ordering::Relaxed) == 0 {
            return;
        }
        assert!(self.is_here(), "memory is freed on its home core");
        let strays = std::mem::take(&mut *self.strays.lock().unwrap_or_else(PoisonError::into_inner));
        self.stray_count.fetch_sub(strays.len(), Ordering::Relaxed);
    }

    fn send_home(&self, memory: Memory) {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).push(Stray(memory));
        self.stray_count.fetch_add(1, Ordering::Relaxed);
    }
}

enum Memory {
    Written(Rc<DmaBuffer>),
    #[expect(dead_code, reason = "held only for the bytes that it owns")]
    Read(ReadResult),
}

#[expect(dead_code, reason = "held only to be dropped on the home thread")]
struct Stray(Memory);

// SAFETY: a stray is moved, not used, until its home thread drops it. If that thread has ended, `Home` drops it with its
// last reference: then no other owner of the same memory is left that could count at the same time.
unsafe impl Send for Stray {}

/// Bytes of a written buffer or a finished read, readable on every thread.
pub(in crate::runtime) struct Homing {
    start: NonNull<u8>,
    len: usize,
    memory: ManuallyDrop<Memory>,
    home: Arc<Home>,
}

// SAFETY: the bytes at `start` are initialised, never change again and stay where they are while `memory` is held.
// `memory` itself is used on the home thread only (`written` and `drop` check it) and is moved there otherwise.
unsafe impl Send for Homing {}
// SAFETY: as above; `&self` gives other threads nothing but the bytes.
unsafe impl Sync for Homing {}

impl Homing {
    /// A finished read as `Bytes`, without a copy.
    pub(super) fn read(read: ReadResult, home: &Arc<Home>) -> Bytes {
        let (start, len) = (NonNull::from(&read[..]).cast(), read.len());
        Bytes::from_owner(Homing { start, len, memory: ManuallyDrop::new(Memory::Read(read)), home: home.clone() })
    }

    /// The buffer to write from, when this is its home and it was filled here.
    pub(super) fn written(&self) -> Option<Rc<DmaBuffer>> {
        match &*self.memory {
            Memory::Written(buffer) if self.home.is_here() => Some(buffer.clone()),
            _ => None,
        }
    }
}

impl AsRef<[u8]> for Homing {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: see the `Send` impl: `len` initialised, unchanging bytes that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Homing {
    fn drop(&mut self) {
        // SAFETY: taken once, here; `self` is not used afterwards.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        if self.home.is_here() { drop(memory) } else { self.home.send_home(memory) }
    }
}

/// A block-aligned buffer of this executor that one task fills. `!Send`: it is filled and frozen at home.
pub(in crate::runtime) struct DmaBlocks {
    buffer: DmaBuffer,
    home: Arc<Home>,
}

impl DmaBlocks {
    /// `len` > 0, whole blocks. The content is uninitialised.
    pub(super) fn new(len: usize, home: &Arc<Home>) -> DmaBlocks {
        home.welcome();
        let buffer = glommio::allocate_dma_buffer(len);
        assert!(buffer.len() == len && buffer.as_ptr().addr().is_multiple_of(BLOCK_BYTES));
        DmaBlocks { buffer, home: home.clone() }
    }

    pub(in crate::runtime) fn capacity(&self) -> usize {
        self.buffer.len()
    }

    pub(in crate::runtime) fn as_ptr(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    pub(in crate::runtime) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.buffer.as_mut_ptr()
    }

    /// Cuts to `len`, whole blocks of which all bytes are initialised.
    pub(in crate::runtime) fn freeze(mut self, len: usize) -> Homing {
        self.buffer.trim_to_size(len);
        let start = NonNull::new(self.buffer.as_mut_ptr()).expect("a buffer has an address");
        Homing { start, len, memory: ManuallyDrop::new(Memory::Written(Rc::new(self.buffer))), home: self.home }
    }
}
