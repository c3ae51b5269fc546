//! The runtime of the real machine: glommio on io_uring, one executor thread a core. glommio is named here and nowhere
//! else, and each of its traps is stepped around in one place: start in `launch`, panics in `guard`, sockets in `net`,
//! files in `file`, memory that crosses cores in `memory`.
//!
//! Invariant: everything here but `memory::Homing` lives and dies on its executor's thread.

mod blocking;
mod file;
mod guard;
mod launch;
pub(super) mod memory;
mod net;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use glommio::timer::Timer;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};

pub use blocking::space_now;
pub use file::UringFile;
pub use launch::{Executor, LaunchError, UringConfig, launch};
pub use net::{UringConn, UringListener};

use super::buf::{IoBuf, whole_blocks};
use super::{DirEntry, OpenMode, Runtime, Space};
use crate::types::Mono;
use memory::{DmaBlocks, Home};

/// How long the tasks of one executor may work before the reactor gets a turn. Sockets and disk completions wait so
/// long at most; a turn costs some microseconds.
const QUANTUM: Duration = Duration::from_micros(150);
/// A task that waits for a timer, however short, lets the reactor poll; yielding does not.
const TURN: Duration = Duration::from_micros(2);
/// Longest single timer: glommio's clock stands still while the machine sleeps, ours does not.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Random bytes fetched from the kernel at once.
const RANDOM_BYTES: usize = 256;

/// One core's view of the machine.
#[derive(Clone)]
pub struct UringRuntime {
    core: Rc<Core>,
}

/// What the runtime, its files and its sockets share on one core.
struct Core {
    home: Arc<Home>,
    quantum: Quantum,
    random: RefCell<Random>,
    /// When it was last said that no connection can be accepted.
    no_room_told: Cell<Mono>,
}

impl Core {
    /// On the executor's thread.
    fn new() -> Core {
        Core {
            home: Home::found(),
            quantum: Quantum::default(),
            random: RefCell::new(Random::default()),
            no_room_told: Cell::default(),
        }
    }

    async fn quantum(&self) {
        if self.quantum.used_up(now()) {
            Timer::new(TURN).await;
        }
    }
}

/// Since when the executor's tasks have been working without a turn of the reactor.
#[derive(Default)]
struct Quantum {
    /// The executor's count of scheduler runs: when it differs, the reactor was polled in between.
    run: Cell<u64>,
    started: Cell<Mono>,
}

impl Quantum {
    fn used_up(&self, now: Mono) -> bool {
        let run = glommio::executor().executor_stats().scheduler_runs();
        if self.run.replace(run) != run {
            self.started.set(now);
        }
        now.since(self.started.get()) >= QUANTUM
    }
}

struct Random {
    bytes: [u8; RANDOM_BYTES],
    used: usize,
}

impl Default for Random {
    fn default() -> Random {
        Random { bytes: [0; RANDOM_BYTES], used: RANDOM_BYTES }
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        let (words, _) = self.bytes.as_chunks::<8>();
        if let Some(word) = words.get(self.used / 8) {
            self.used += 8;
            return u64::from_ne_bytes(*word);
        }
        // Requests of up to 256 bytes are never cut short or interrupted (getrandom(2)).
        getrandom(&mut self.bytes, GetRandomFlags::empty()).expect("the kernel has random numbers");
        self.used = 0;
        self.next()
    }
}

/// CLOCK_BOOTTIME.
fn now() -> Mono {
    let time = clock_gettime(ClockId::Boottime);
    // The clock starts at boot: neither part is ever negative, and 64 bits of nanoseconds last 584 years.
    Mono(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

impl Runtime for UringRuntime {
    type File = UringFile;
    type Listener = UringListener;
    type Conn = UringConn;

    fn now(&self) -> Mono {
        now()
    }

    fn wall_ms(&self) -> i64 {
        // A clock before 1970 reads as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        self.core.random.borrow_mut().next()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        drop(glommio::spawn_local(guard::guarded(task)).detach());
    }

    async fn sleep_until(&self, at: Mono) {
        loop {
            let left = at.since(now());
            if left.is_zero() {
                return;
            }
            Timer::new(left.min(SLEEP_MAX)).await;
        }
    }

    async fn quantum(&self) {
        self.core.quantum().await;
    }

    async fn beside(&self, work: impl FnOnce() + Send + 'static) {
        blocking::blocking(work).await;
    }

    fn alloc(&self, len: usize) -> IoBuf {
        IoBuf::dma(DmaBlocks::new(whole_blocks(len), &self.core.home))
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<UringFile> {
        UringFile::open(self.core.clone(), path, mode).await
    }

    async fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>> {
        blocking::read_whole(path.to_owned()).await
    }

    async fn write_whole(&self, path: &Path, content: impl Into<Bytes>) -> io::Result<()> {
        blocking::write_whole(path.to_owned(), content.into()).await
    }

    async fn make_dir_with(&self, path: &Path, name: &str, content: &[u8]) -> io::Result<bool> {
        blocking::make_dir_with(path.to_owned(), name.to_owned(), content.to_vec()).await
    }

    async fn sync_file(&self, path: &Path) -> io::Result<()> {
        blocking::sync_file(path.to_owned()).await
    }

    async fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        blocking::read_dir(path.to_owned()).await
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        blocking::create_dir_all(path.to_owned()).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        blocking::sync_dir(path.to_owned()).await
    }

    async fn sync_all(&self, path: &Path) -> io::Result<()> {
        blocking::sync_all(path.to_owned()).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        blocking::rename(from.to_owned(), to.to_owned()).await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        blocking::remove_file(path.to_owned()).await
    }

    async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        blocking::remove_dir_all(path.to_owned()).await
    }

    async fn space(&self, path: &Path) -> io::Result<Space> {
        blocking::space(path.to_owned()).await
    }

    async fn listen(&self, addr: SocketAddr, backlog: u32) -> io::Result<UringListener> {
        UringListener::bind(self.core.clone(), addr, backlog)
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<UringConn> {
        UringConn::connect(self.core.clone(), addr).await
    }
}
