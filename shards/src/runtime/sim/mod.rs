//! The runtime of a simulated world: hosts with disks, cores and a network between them, all on one thread, driven by one
//! seed. The same seed gives the same run, to the last byte; `Sim::trace` proves it.
//!
//! Invariant: no thread, no real clock, no real file, no iteration over a hashed map.

mod content;
mod disk;
mod io;
mod net;
mod random;
mod world;

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

pub use disk::{DiskOp, DiskSpeed, Fault};
pub use io::SimFile;
pub use net::{SimConn, SimListener};
pub use world::HostId;

use super::buf::IoBuf;
use super::{DirEntry, File, OpenMode, Runtime, Space};
use crate::types::Mono;
use disk::Disk;
use world::{Event, EventKey, Host, World};

/// The wall clock of a new host, in milliseconds since 1970: in the year 2026.
const WALL_START_MS: i64 = 1_780_000_000_000;
/// Virtual time after which `block_on` gives up.
const TIME_LIMIT: Duration = Duration::from_secs(3600);
/// A timer fires at most this late.
const TIMER_LATE: Range<Duration> = Duration::ZERO..Duration::from_micros(100);
/// `quantum` gives way once in so many calls.
const QUANTUM_CALLS: u64 = 4;

/// A world. Dropping it drops all its tasks.
pub struct Sim {
    world: Rc<World>,
}

impl Sim {
    pub fn new(seed: u64) -> Sim {
        Sim { world: Rc::new(World::new(seed)) }
    }

    pub fn seed(&self) -> u64 {
        self.world.seed
    }

    /// A host with an empty disk. It may have any number of cores: a core is only a runtime of its own.
    pub fn add_host(&self, name: &str) -> HostId {
        let mut hosts = self.world.hosts.borrow_mut();
        hosts.push(Host { name: name.to_owned(), life: 0, wall_offset_ms: 0, disk: Disk::default() });
        HostId(hosts.len() - 1)
    }

    pub fn ip(&self, host: HostId) -> IpAddr {
        net::ip_of(host)
    }

    /// The runtime of one core, valid until the host crashes.
    pub fn runtime(&self, host: HostId) -> SimRuntime {
        SimRuntime { world: self.world.clone(), host, life: self.world.life(host) }
    }

    /// Starts a task on a core of `host`.
    pub fn spawn<F: Future<Output = ()> + 'static>(&self, host: HostId, main: impl FnOnce(SimRuntime) -> F) {
        let rt = self.runtime(host);
        let task = main(rt.clone());
        rt.spawn(task);
    }

    /// Runs the world until `main` has ended.
    ///
    /// # Panics
    /// When nothing is left that could end it, or an hour of virtual time has passed.
    pub fn block_on<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        host: HostId,
        main: impl FnOnce(SimRuntime) -> F,
    ) -> T {
        let result = Rc::new(RefCell::new(None));
        let answer = result.clone();
        self.spawn(host, |rt| {
            let main = main(rt);
            async move {
                let ended = main.await;
                *answer.borrow_mut() = Some(ended);
            }
        });
        let ended = self.run_until(TIME_LIMIT, || result.borrow().is_some());
        let Some(result) = result.take() else {
            let name = self.world.hosts.borrow()[host.0].name.clone();
            let why = if ended {
                ""
            } else if self.is_idle() {
                ": nothing can happen any more"
            } else {
                ": time is up"
            };
            panic!("the task on {name} did not end{why}");
        };
        result
    }

    /// Runs until `reached` or until `limit` of virtual time has passed; true when it was reached.
    pub fn run_until(&self, limit: Duration, reached: impl Fn() -> bool) -> bool {
        let end = self.world.now().after(limit);
        loop {
            if reached() {
                return true;
            }
            if self.world.next_event().is_none_or(|next| next > end) || !self.world.step() {
                return false;
            }
        }
    }

    /// Runs all that happens in the next `time`; the clock then stands at its end.
    pub fn run_for(&self, time: Duration) {
        let end = self.world.now().after(time);
        while self.world.next_event().is_some_and(|next| next <= end) && self.world.step() {}
        self.world.pass(end.since(self.world.now()));
    }

    /// Nothing is ready and nothing is to come.
    pub fn is_idle(&self) -> bool {
        self.world.next_event().is_none()
    }

    pub fn now(&self) -> Mono {
        self.world.now()
    }

    /// Time passes and nobody runs, as when a machine is suspended or starved.
    pub fn pass(&self, time: Duration) {
        self.world.pass(time);
    }

    /// The wall clock of one host jumps, forward or back.
    pub fn jump_wall(&self, host: HostId, by_ms: i64) {
        self.world.hosts.borrow_mut()[host.0].wall_offset_ms += by_ms;
    }

    /// A number below `bound`, for the test's own choices.
    pub fn pick(&self, bound: u64) -> u64 {
        self.world.random.borrow_mut().below(bound)
    }

    /// The running hash of every decision, time and write so far.
    pub fn trace(&self) -> u64 {
        self.world.trace()
    }

    /// Power is cut. All tasks of the host are dropped; of what was not synced a random part survives.
    pub fn crash(&self, host: HostId) {
        self.fall(host, Disk::power_cut);
    }

    /// The host's process is killed. All its tasks are dropped; what the disk has taken stays.
    pub fn kill(&self, host: HostId) {
        self.fall(host, Disk::process_killed);
    }

    fn fall(&self, host: HostId, disk_falls: impl FnOnce(&mut Disk, &mut random::Random)) {
        self.world.note(u64::MAX, host.0 as u64);
        {
            let host = &mut self.world.hosts.borrow_mut()[host.0];
            // From here on, what the old life still owns has no effect when it is dropped.
            host.life += 1;
            disk_falls(&mut host.disk, &mut self.world.random.borrow_mut());
        }
        net::host_down(&self.world, host);
        self.world.drop_tasks(|of| of == host);
    }

    /// Cuts two hosts off from each other: what they send waits, new connections time out.
    pub fn cut(&self, a: HostId, b: HostId) {
        net::cut(&self.world, a, b);
    }

    pub fn heal(&self, a: HostId, b: HostId) {
        net::heal(&self.world, a, b);
    }

    /// Ends all connections between two hosts (or within one) with a reset.
    pub fn reset_connections(&self, a: HostId, b: HostId) {
        net::reset_between(&self.world, a, b);
    }

    pub fn set_latency(&self, latency: Range<Duration>) {
        self.world.net.borrow_mut().latency = latency;
    }

    /// Files and directories as the host's programs see them, without taking time.
    pub fn disk(&self, host: HostId) -> SimDisk<'_> {
        SimDisk { world: &self.world, host }
    }
}

impl Drop for Sim {
    #[expect(clippy::print_stderr, reason = "a test has failed: there is no other way out for the seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Tasks may have been left in the middle: dropping them could panic again and hide the first reason.
            eprintln!("the simulated world had the seed {}", self.world.seed);
            return;
        }
        // Tasks own the world that owns them.
        self.world.drop_tasks(|_| true);
        self.world.drop_events();
    }
}

/// One host's disk, seen from outside the world.
pub struct SimDisk<'a> {
    world: &'a World,
    host: HostId,
}

impl SimDisk<'_> {
    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        act(&mut self.world.hosts.borrow_mut()[self.host.0].disk)
    }

    /// Content of a file; `None` when there is none.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.with(|disk| {
            let inode = disk.resolve(path).ok()?;
            let file = disk.file(inode).ok()?;
            Some(file.live.read(0, usize::try_from(file.live.len()).ok()?).to_vec())
        })
    }

    /// Sorted by name; `None` when there is no such directory.
    pub fn list(&self, path: &Path) -> Option<Vec<DirEntry>> {
        self.with(|disk| disk.read_dir(path).ok())
    }

    /// Flips one bit of a file's content on the medium. False when the file does not reach so far.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> bool {
        self.with(|disk| {
            let Ok(inode) = disk.resolve(path) else { return false };
            disk.file(inode).is_ok_and(|file| file.flip(byte, bit))
        })
    }

    pub fn used_bytes(&self) -> u64 {
        self.with(|disk| disk.used_bytes())
    }

    /// Most syncs of files that were under way at one time.
    pub fn syncs_at_once(&self) -> usize {
        self.with(|disk| disk.syncs_at_once())
    }

    /// Syncs of files that were begun.
    pub fn syncs_of_files(&self) -> u64 {
        self.with(|disk| disk.syncs_of_files())
    }

    /// From here on, writes that need more space than this fail with ENOSPC.
    pub fn set_capacity(&self, bytes: u64) {
        self.with(|disk| disk.set_capacity(bytes));
    }

    /// From here on, making more files and directories than so many fails with ENOSPC.
    pub fn set_free_inodes(&self, more: usize) {
        self.with(|disk| disk.set_free_inodes(more));
    }

    pub fn set_speed(&self, speed: DiskSpeed) {
        self.with(|disk| disk.speed = speed);
    }

    pub fn add_fault(&self, fault: Fault) {
        self.with(|disk| disk.add_fault(fault));
    }

    pub fn clear_faults(&self) {
        self.with(Disk::clear_faults);
    }
}

/// One core of a simulated host.
#[derive(Clone)]
pub struct SimRuntime {
    world: Rc<World>,
    host: HostId,
    life: u64,
}

impl SimRuntime {
    /// The disk of this host, seen from outside, for tests that change it on the way.
    pub fn disk(&self) -> SimDisk<'_> {
        SimDisk { world: &self.world, host: self.host }
    }
}

impl Runtime for SimRuntime {
    type File = SimFile;
    type Listener = SimListener;
    type Conn = SimConn;

    fn now(&self) -> Mono {
        self.world.now()
    }

    fn wall_ms(&self) -> i64 {
        let passed_ms = self.world.now().0 / 1_000_000;
        WALL_START_MS + passed_ms as i64 + self.world.hosts.borrow()[self.host.0].wall_offset_ms
    }

    fn random(&self) -> u64 {
        self.world.random.borrow_mut().next()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // What falls with the host may still try to start tasks while it is dropped.
        if self.world.is_alive(self.host, self.life) {
            self.world.spawn(self.host, task);
        }
    }

    async fn sleep_until(&self, at: Mono) {
        Sleep { world: self.world.clone(), at, key: None }.await;
    }

    async fn quantum(&self) {
        let gives_way = self.world.random.borrow_mut().one_in(QUANTUM_CALLS);
        if gives_way {
            futures_lite::future::yield_now().await;
        }
    }

    async fn beside(&self, work: impl FnOnce() + Send + 'static) {
        // Others run before it is done.
        futures_lite::future::yield_now().await;
        work();
    }

    fn alloc(&self, len: usize) -> IoBuf {
        IoBuf::heap(len)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> std::io::Result<SimFile> {
        self.open_file(path, mode).await
    }

    async fn read_whole(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        self.read_whole_file(path).await
    }

    async fn write_whole(&self, path: &Path, content: impl Into<Bytes>) -> std::io::Result<()> {
        self.write_content(path, content.into()).await?.sync().await
    }

    async fn make_dir_with(&self, path: &Path, name: &str, content: &[u8]) -> std::io::Result<bool> {
        let at = path.to_owned();
        let made = self.on_disk(DiskOp::Other, path, move |disk| disk.create_dir(&at)).await?;
        if made {
            self.write_content(&path.join(name), Bytes::copy_from_slice(content)).await?;
        }
        Ok(made)
    }

    async fn sync_file(&self, path: &Path) -> std::io::Result<()> {
        self.open_file(path, OpenMode::Read).await?.sync().await
    }

    async fn read_dir(&self, path: &Path) -> std::io::Result<Vec<DirEntry>> {
        let at = path.to_owned();
        self.on_disk(DiskOp::Other, path, move |disk| disk.read_dir(&at)).await
    }

    async fn create_dir_all(&self, path: &Path) -> std::io::Result<()> {
        let at = path.to_owned();
        self.on_disk(DiskOp::Other, path, move |disk| disk.create_dir_all(&at)).await
    }

    async fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        let point = self.world.hosts.borrow()[self.host.0].disk.begin_dir_sync(path)?;
        self.on_disk(DiskOp::Sync, path, move |disk| {
            disk.finish_dir_sync(point);
            Ok(())
        })
        .await
    }

    async fn sync_all(&self, path: &Path) -> std::io::Result<()> {
        let point = self.world.hosts.borrow()[self.host.0].disk.begin_sync_of_all(path)?;
        self.on_disk(DiskOp::Sync, path, move |disk| {
            disk.finish_sync_of_all(point);
            Ok(())
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        let (source, target) = (from.to_owned(), to.to_owned());
        self.on_disk(DiskOp::Other, from, move |disk| disk.rename(&source, &target)).await
    }

    async fn remove_file(&self, path: &Path) -> std::io::Result<()> {
        let at = path.to_owned();
        self.on_disk(DiskOp::Other, path, move |disk| disk.remove_file(&at)).await
    }

    async fn remove_dir_all(&self, path: &Path) -> std::io::Result<()> {
        let at = path.to_owned();
        self.on_disk(DiskOp::Other, path, move |disk| disk.remove_dir_all(&at)).await
    }

    /// At once: nothing on the disk depends on when it is asked.
    async fn space(&self, path: &Path) -> std::io::Result<Space> {
        Ok(self.disk().with(|disk| disk.resolve(path).map(|_| disk.space()))?)
    }

    async fn listen(&self, addr: SocketAddr, _backlog: u32) -> std::io::Result<SimListener> {
        SimListener::bind(self, addr)
    }

    async fn connect(&self, addr: SocketAddr) -> std::io::Result<SimConn> {
        SimConn::connect(self, addr).await
    }
}

struct Sleep {
    world: Rc<World>,
    at: Mono,
    key: Option<EventKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.at {
            return Poll::Ready(());
        }
        let armed = self.key.is_some_and(|key| self.world.rewake(key, cx.waker()));
        if !armed && self.at != Mono::FAR {
            let late = self.world.random.borrow_mut().latency(&TIMER_LATE);
            self.key = Some(self.world.at(self.at.after(late), Event::Wake(cx.waker().clone())));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.cancel(key);
        }
    }
}
