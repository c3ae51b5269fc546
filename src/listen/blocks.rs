//! The buffers that sockets are read into: one is taken for the moment of a read, whatever the number of connections.
//! Owning core only. Invariant: a block is written to only while nobody else holds a slice of it.

use std::cell::{Cell, RefCell};

use bytes::{Bytes, BytesMut};

/// Bytes of one read: enough that many small requests come with one system call, small enough for the CPU's cache.
pub const BLOCK_BYTES: usize = 128 * 1024;

/// Frames from this size on stay where they were read, if they may, so that their records are not copied.
const SHARED_BYTES_MIN: usize = 8 * 1024;
/// What stays at least while all kept blocks are held: it holds no more than twice its own bytes then, of which the rest is lent to
/// nobody.
const SHARED_BYTES_MIN_HELD: usize = BLOCK_BYTES / 2;

/// Blocks kept for another read. More are out only while appends of other cores hold slices of them.
const KEPT_MAX: usize = 8;

/// Read buffers of one core. A block that comes back with slices still out is reused once they are gone.
#[derive(Default)]
pub struct Blocks {
    kept: RefCell<Vec<Bytes>>,
    /// When the last one was taken.
    all_were_held: Cell<bool>,
}

impl Blocks {
    /// A block of [`BLOCK_BYTES`], with anything in it.
    pub fn take(&self) -> BytesMut {
        let mut kept = self.kept.borrow_mut();
        for index in (0..kept.len()).rev() {
            match kept.swap_remove(index).try_into_mut() {
                Ok(block) => {
                    self.all_were_held.set(false);
                    return block;
                }
                Err(in_use) => {
                    kept.push(in_use);
                    let last = kept.len() - 1;
                    kept.swap(index, last);
                }
            }
        }
        self.all_were_held.set(kept.len() == KEPT_MAX);
        BytesMut::zeroed(BLOCK_BYTES)
    }

    /// From which size on a frame in the block taken last may hold all of it, in bytes.
    pub fn shared_bytes_min(&self) -> usize {
        if self.all_were_held.get() { SHARED_BYTES_MIN_HELD } else { SHARED_BYTES_MIN }
    }

    /// Returns a block, whole as it was taken. Slices of it may be out.
    pub fn give(&self, block: Bytes) {
        debug_assert_eq!(block.len(), BLOCK_BYTES, "a block comes back whole");
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_reused_without_an_allocation_once_no_slice_of_it_is_out() {
        let blocks = Blocks::default();
        let block = blocks.take().freeze();
        let memory = block.as_ptr();
        let slice = block.slice(10..20);
        blocks.give(block);
        let other = blocks.take();
        assert_ne!(other.as_ptr(), memory, "a slice of the first is out");
        drop(slice);
        assert_eq!(blocks.take().as_ptr(), memory);
        assert_eq!(other.len(), BLOCK_BYTES);
    }

    #[test]
    fn while_all_kept_blocks_are_held_only_a_frame_that_fills_half_of_one_may_hold_another() {
        let blocks = Blocks::default();
        let mut held = Vec::new();
        for _ in 0..=KEPT_MAX {
            assert_eq!(blocks.shared_bytes_min(), SHARED_BYTES_MIN);
            let block = blocks.take().freeze();
            held.push(block.slice(..1));
            blocks.give(block);
        }
        assert_eq!(blocks.shared_bytes_min(), BLOCK_BYTES / 2);
        held.remove(3);
        blocks.take();
        assert_eq!(blocks.shared_bytes_min(), SHARED_BYTES_MIN);
    }
}
