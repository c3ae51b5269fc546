//! The one seam between the broker and the machine. Two implementations and no third: `uring` (glommio, for real) and
//! `sim` (seeded, for tests). One conformance suite holds both to the same behaviour.
//!
//! Invariant: glommio is named in `uring/` only; nothing outside `runtime/` opens a file, a socket, a clock or a
//! random source. All futures are `!Send` and live on the core that made them.

pub mod buf;
pub mod sim;
pub mod uring;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use rustix::io::Errno;

use crate::types::Mono;
use buf::{Frozen, IoBuf};

/// Size and alignment of every direct read and write, in bytes.
pub const BLOCK_BYTES: usize = 4096;
/// Longest name of a file or directory that Linux's file systems take.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest single read, in bytes: longer ones hold the device and the memory of the ring for too long.
pub const READ_BYTES_MAX: usize = 1024 * 1024;

/// Whether an operation failed for want of space.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether something could not be opened because the process, or the machine, has no descriptor left: it did not begin, and
/// nothing is wrong with the disk.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether an operation failed for want of what may be had later: it says nothing of the disk.
pub fn is_shortage(error: &io::Error) -> bool {
    is_full(error) || is_out_of_descriptors(error)
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; reads only.
    Read,
    /// Must exist; reads and writes.
    Write,
    /// Reads and writes; made (length 0) when it does not exist.
    Create,
    /// As `Create`; takes `write_synced` as well.
    Synced,
}

impl OpenMode {
    /// Whether a file that is not there is made.
    pub fn creates(self) -> bool {
        matches!(self, OpenMode::Create | OpenMode::Synced)
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// Length in bytes of a file, 0 of a directory.
    pub len: u64,
}

/// How large a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// 0: it tells of no bounds.
    pub total_bytes: u64,
    /// What is left of it for this process.
    pub free_bytes: u64,
}

/// What a shard, a listener or a connection may ask of the machine. Cheap to clone; one per core.
#[allow(async_fn_in_trait, reason = "futures stay on their core: no Send bound is wanted")]
pub trait Runtime: Clone + 'static {
    type File: File;
    type Listener: Listener<Conn = Self::Conn>;
    type Conn: Conn;

    /// Monotonic time (goes on while the machine is suspended).
    fn now(&self) -> Mono;
    /// Wall clock, milliseconds since 1970. May jump.
    fn wall_ms(&self) -> i64;
    fn random(&self) -> u64;
    /// Starts a task on this core. It is never cancelled: it ends by itself, on a signal that it watches.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
    async fn sleep_until(&self, at: Mono);
    /// Gives the reactor a turn if this executor's quantum (150 µs, shared by all tasks) is used up; else returns at once.
    /// The turn comes once every ready task waits: so each task with work to do asks, at most 100 µs apart.
    async fn quantum(&self);
    /// Runs work that takes longer than a task may, on a thread beside this core's. Never cancel this future: the work needs
    /// somebody to answer.
    async fn beside(&self, work: impl FnOnce() + Send + 'static);

    /// A block-aligned buffer of `len` bytes (rounded up to whole blocks), length 0, capacity ≥ `len`. Its memory is not
    /// cleared, but only what was written to it can be seen.
    fn alloc(&self, len: usize) -> IoBuf;
    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Self::File>;
    /// Small files, whole: for meta files, checkpoints and the like (not on the hot path).
    async fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Creates or replaces the file, writes all, syncs it. Not atomic: write beside and rename.
    async fn write_whole(&self, path: &Path, content: impl Into<Bytes>) -> io::Result<()>;
    /// Makes a directory with one small file in it, in one trip; `false` if the directory is there already. The file's
    /// content is not sure before `sync_file`, nor are the names before their directories are synced.
    async fn make_dir_with(&self, path: &Path, name: &str, content: &[u8]) -> io::Result<bool>;
    async fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Sorted by name. NotFound when the directory is missing.
    async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    async fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    async fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes sure what was done until now below this directory: names and contents of all files, in one trip, however many they
    /// are. It waits for whatever else was written to the file system as well.
    async fn sync_all(&self, path: &Path) -> io::Result<()>;
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    async fn remove_file(&self, path: &Path) -> io::Result<()>;
    async fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Of the file system that has this path.
    async fn space(&self, path: &Path) -> io::Result<Space>;

    /// `backlog`: connections that may wait to be accepted; the kernel's own limit holds as well. (The simulator's queue has
    /// no bound.)
    async fn listen(&self, addr: SocketAddr, backlog: u32) -> io::Result<Self::Listener>;
    async fn connect(&self, addr: SocketAddr) -> io::Result<Self::Conn>;
}

/// A file opened for direct I/O. Positions and lengths are whole blocks, but for the file's end. Handles stay usable after unlink.
#[allow(async_fn_in_trait, reason = "futures stay on their core: no Send bound is wanted")]
#[expect(clippy::len_without_is_empty, reason = "asking is I/O: nobody wants to know only whether it is empty")]
pub trait File: 'static {
    /// Reads up to `len` bytes at `pos` (both whole blocks, `len` ≤ `READ_BYTES_MAX`); shorter only at the end of the file.
    async fn read(&self, pos: u64, len: usize) -> io::Result<Bytes>;
    /// Writes all of `data` at `pos` (both whole blocks) or fails; a short write is an error (R10).
    /// `data` may be shared with readers: it is frozen. Filled on this core it is written as it is, else copied first.
    /// Two writes in flight never share a block: the simulator panics when they do.
    async fn write(&self, pos: u64, data: &Frozen) -> io::Result<()>;
    /// Writes as `write` does, and is done when these bytes are on stable storage (O_DSYNC): one trip instead of two. Earlier
    /// writes are not covered, since a device may do this with forced unit access. The file is open with `OpenMode::Synced`.
    async fn write_synced(&self, pos: u64, data: &Frozen) -> io::Result<()>;
    /// fdatasync. Covers exactly the writes whose completion was seen before the call.
    async fn sync(&self) -> io::Result<()>;
    /// Cuts or extends (with a hole) to `len` bytes, which need not be whole blocks.
    async fn resize(&self, len: u64) -> io::Result<()>;
    /// Reserves space so that later writes below `len` do not fail for want of it; the length of the file becomes at least `len`.
    async fn allocate(&self, len: u64) -> io::Result<()>;
    async fn len(&self) -> io::Result<u64>;
    async fn close(self) -> io::Result<()>;
}

/// A listening socket. Every core listens on the same address (SO_REUSEPORT).
#[allow(async_fn_in_trait, reason = "futures stay on their core: no Send bound is wanted")]
pub trait Listener: 'static {
    type Conn: Conn;
    /// Never cancel this future (runtime rule 3): the task that accepts runs until `stop` was called, which makes it end with `ErrorKind::Interrupted`.
    async fn accept(&self) -> io::Result<Self::Conn>;
    /// Ends the accept under way, and all to come.
    fn stop(&self);
    fn local_addr(&self) -> SocketAddr;
}

/// A stream socket. One task may read while another writes.
#[allow(async_fn_in_trait, reason = "futures stay on their core: no Send bound is wanted")]
pub trait Conn: 'static {
    /// Waits until a read would not block (data, end of stream or error). Cancelling it is safe.
    async fn readable(&self) -> io::Result<()>;
    /// Reads what is there without waiting, at times less than all: 0 is end of stream, `WouldBlock` nothing yet.
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize>;
    /// Writes the first bytes of the queue, as many as fit at once, as soon as any do, and takes them off it; how many. 0: the
    /// queue is empty.
    async fn write_some(&self, queue: &mut VecDeque<Bytes>) -> io::Result<usize>;
    /// Writes all of the queue, in order; it is empty when this returns Ok.
    async fn write_queue(&self, queue: &mut VecDeque<Bytes>) -> io::Result<()> {
        while self.write_some(queue).await? > 0 {}
        Ok(())
    }
    fn peer_addr(&self) -> SocketAddr;
    fn local_addr(&self) -> SocketAddr;
    /// Ends both directions: a task waiting in `readable` or `write_some` wakes with end of stream or an error.
    fn shutdown(&self);
}
