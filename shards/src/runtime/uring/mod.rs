//! The runtime of the real machine: glommio on io_uring, one executor thread a core. glommio is named here and nowhere
//! else, and each of its traps is stepped around in one place: start in `launch`, panics in `guard`, sockets in `net`,
//! files in `file`, memory that crosses cores in `memory`, the reactor's turns in `quantum`.
//!
//! Invariant: everything here but `memory::Homing` lives and dies on its executor's thread.

mod blocking;
mod file;
mod guard;
mod launch;
pub(super) mod memory;
mod net;
mod quantum;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use glommio::timer::Timer;
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{ClockId, clock_gettime};

pub use file::UringFile;
pub use launch::{Executor, LaunchError, UringConfig, launch};
pub use net::{UringConn, UringListener};

use super::buf::{IoBuf, whole_blocks};
use super::{DirEntry, OpenMode, Runtime};
use crate::types::Mono;
use memory::{DmaBlocks, Home};
use quantum::Quantum;

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
    quantum: Rc<Quantum>,
    random: RefCell<Random>,
}

impl Core {
    /// On the executor's thread.
    fn new() -> Core {
        Core { home: Home::found(), quantum: Rc::default(), random: RefCell::new(Random::default()) }
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
        self.core.quantum.give_way(false).await;
    }

    async fn hurried_quantum(&self) {
        self.core.quantum.give_way(true).await;
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

    async fn write_whole(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        blocking::write_whole(path.to_owned(), content.to_vec()).await
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

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        blocking::rename(from.to_owned(), to.to_owned()).await
    }

    async fn remove_file(&self, path: &Path) -> io::Result<()> {
        blocking::remove_file(path.to_owned()).await
    }

    async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        blocking::remove_dir_all(path.to_owned()).await
    }

    async fn listen(&self, addr: SocketAddr, backlog: u32) -> io::Result<UringListener> {
        UringListener::bind(self.core.clone(), addr, backlog)
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<UringConn> {
        UringConn::connect(self.core.clone(), addr).await
    }
}
