//! Files of the simulator: each operation goes to the host's disk, takes its time there, and comes back. Invariant: an
//! operation happens at one instant of virtual time, also when nobody waits for it any more, unless its host has fallen.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;

use super::SimRuntime;
use super::content::Change;
use super::disk::{Disk, DiskOp, InodeId};
use super::world::World;
use crate::runtime::buf::Frozen;
use crate::runtime::{BLOCK_BYTES, File, OpenMode, READ_BYTES_MAX};

/// Bytes of a write that go into the trace, for each block of it.
const TRACE_SAMPLE_BYTES: usize = 64;

struct Slot<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

/// Runs `act` after `wait`, and gives its result to whoever waits. Begins at once, not when first polled.
pub(super) fn later<T: 'static>(
    rt: &SimRuntime,
    wait: Duration,
    act: impl FnOnce(&Rc<World>) -> T + 'static,
) -> impl Future<Output = T> + 'static {
    let slot = Rc::new(RefCell::new(Slot { result: None, waker: None }));
    let (host, life, answer) = (rt.host, rt.life, slot.clone());
    rt.world.run_at(rt.world.now().after(wait), move |world| {
        if world.is_alive(host, life) {
            let result = act(world);
            let mut slot = answer.borrow_mut();
            slot.result = Some(result);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    });
    std::future::poll_fn(move |cx| {
        let mut slot = slot.borrow_mut();
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}

impl SimRuntime {
    fn with_disk<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        act(&mut self.world.hosts.borrow_mut()[self.host.0].disk)
    }

    fn latency(&self, op: DiskOp) -> Duration {
        let hosts = self.world.hosts.borrow();
        let speed = &hosts[self.host.0].disk.speed;
        let range = match op {
            DiskOp::Read | DiskOp::Open | DiskOp::Other => &speed.read,
            DiskOp::Write => &speed.write,
            DiskOp::Sync => &speed.sync,
        };
        self.world.random.borrow_mut().latency(range)
    }

    /// One operation: the fault that lies in wait for it, or `act`.
    pub(super) async fn on_disk<T: 'static>(
        &self,
        op: DiskOp,
        path: &Path,
        act: impl FnOnce(&mut Disk) -> Result<T, Errno> + 'static,
    ) -> io::Result<T> {
        let (host, path) = (self.host, path.to_owned());
        let done = later(self, self.latency(op), move |world| {
            let disk = &mut world.hosts.borrow_mut()[host.0].disk;
            disk.strike(op, &path).and_then(|()| act(disk))
        });
        Ok(done.await?)
    }

    pub(super) async fn read_whole_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let of = path.to_owned();
        self.on_disk(DiskOp::Read, path, move |disk| {
            let inode = disk.resolve(&of)?;
            let file = disk.file(inode)?;
            Ok(file.live.read(0, usize::try_from(file.live.len()).map_err(|_| Errno::FBIG)?).to_vec())
        })
        .await
    }

    /// Makes or replaces a file; returns it, not synced.
    pub(super) async fn write_content(&self, path: &Path, content: Bytes) -> io::Result<SimFile> {
        let file = self.open_file(path, OpenMode::Create).await?;
        file.changed(|_| Some(Change::Resize(0))).await?;
        if !content.is_empty() {
            file.write_bytes(0, content, false).await?;
        }
        Ok(file)
    }

    pub(super) async fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<SimFile> {
        let (rt, at) = (self.clone(), path.to_owned());
        self.on_disk(DiskOp::Other, path, move |disk| {
            disk.strike(DiskOp::Open, &at)?;
            let inode = disk.open(&at, mode.creates())?;
            // Made here and not by the one who waits: if nobody does any more, it is dropped and so closed.
            Ok(SimFile { rt, inode, path: at, mode })
        })
        .await
    }
}

pub struct SimFile {
    rt: SimRuntime,
    inode: InodeId,
    path: PathBuf,
    mode: OpenMode,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.mode == OpenMode::Read { Err(Errno::BADF.into()) } else { Ok(()) }
    }

    /// `len` need not be whole blocks. `synced`: what is done is sure as well.
    async fn write_bytes(&self, pos: u64, data: Bytes, synced: bool) -> io::Result<()> {
        self.check_writable()?;
        let world = &self.rt.world;
        world.note(pos, data.len() as u64);
        for block in data.chunks(BLOCK_BYTES) {
            let (words, _) = block.get(..TRACE_SAMPLE_BYTES).unwrap_or(block).as_chunks::<8>();
            words.iter().for_each(|word| world.note(1, u64::from_le_bytes(*word)));
        }
        let (host, inode, path) = (self.rt.host, self.inode, self.path.clone());
        let len = data.len();
        let id = self.rt.with_disk(|disk| Ok::<_, Errno>(disk.file(inode)?.begin_write(pos, data)))?;
        let mut latency = self.rt.latency(DiskOp::Write);
        if synced {
            latency += self.rt.latency(DiskOp::Sync);
        }
        let done = later(&self.rt, latency, move |world| {
            let disk = &mut world.hosts.borrow_mut()[host.0].disk;
            let mut outcome = disk.strike(DiskOp::Write, &path);
            if synced && outcome.is_ok() {
                outcome = disk.strike(DiskOp::Sync, &path);
            }
            let outcome = outcome.and_then(|()| disk.admit(inode, pos, len));
            let random = &mut world.random.borrow_mut();
            disk.accounted(inode, |file| match outcome {
                Ok(()) if synced => file.finish_synced_write(id),
                Ok(()) => file.finish_write(id),
                Err(_) => file.fail_write(id, random),
            })?;
            outcome
        });
        Ok(done.await?)
    }

    /// A change of length, made from what the file is then.
    async fn changed(&self, change: impl FnOnce(u64) -> Option<Change> + 'static) -> io::Result<()> {
        self.check_writable()?;
        let inode = self.inode;
        self.rt
            .on_disk(DiskOp::Other, &self.path, move |disk| {
                let Some(change) = change(disk.file(inode)?.live.len()) else { return Ok(()) };
                if let Change::Allocate(len) = change {
                    disk.admit(inode, 0, usize::try_from(len).map_err(|_| Errno::FBIG)?)?;
                }
                disk.accounted(inode, |file| file.change(change))
            })
            .await
    }
}

impl File for SimFile {
    async fn read(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        assert_whole_blocks(pos, len);
        assert!(len <= READ_BYTES_MAX, "a read of {len} bytes is above the limit");
        let inode = self.inode;
        self.rt.on_disk(DiskOp::Read, &self.path, move |disk| Ok(disk.file(inode)?.live.read(pos, len))).await
    }

    async fn write(&self, pos: u64, data: &Frozen) -> io::Result<()> {
        assert_whole_blocks(pos, data.len());
        if data.is_empty() {
            return Ok(());
        }
        self.write_bytes(pos, data.bytes(), false).await
    }

    async fn write_synced(&self, pos: u64, data: &Frozen) -> io::Result<()> {
        assert_whole_blocks(pos, data.len());
        assert!(self.mode == OpenMode::Synced, "the file is open for synced writes");
        if data.is_empty() {
            return Ok(());
        }
        self.write_bytes(pos, data.bytes(), true).await
    }

    async fn sync(&self) -> io::Result<()> {
        let inode = self.inode;
        let point = self.rt.with_disk(|disk| {
            let point = disk.file(inode)?.begin_sync();
            disk.sync_begins();
            Ok::<_, Errno>(point)
        })?;
        let (host, path) = (self.rt.host, self.path.clone());
        let done = later(&self.rt, self.rt.latency(DiskOp::Sync), move |world| {
            let disk = &mut world.hosts.borrow_mut()[host.0].disk;
            disk.sync_ends();
            let outcome = disk.strike(DiskOp::Sync, &path);
            match outcome {
                Ok(()) => disk.file(inode)?.finish_sync(point),
                Err(_) => disk.file(inode)?.fail_sync(point, &mut world.random.borrow_mut()),
            }
            outcome
        });
        Ok(done.await?)
    }

    async fn resize(&self, len: u64) -> io::Result<()> {
        self.changed(move |_| Some(Change::Resize(len))).await
    }

    async fn allocate(&self, len: u64) -> io::Result<()> {
        self.changed(move |_| (len > 0).then_some(Change::Allocate(len))).await
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.rt.with_disk(|disk| Ok::<_, Errno>(disk.file(self.inode)?.live.len()))?)
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if self.rt.world.is_alive(self.rt.host, self.rt.life) {
            self.rt.with_disk(|disk| disk.close(self.inode));
        }
    }
}

fn assert_whole_blocks(pos: u64, len: usize) {
    let whole = pos.is_multiple_of(BLOCK_BYTES as u64) && len.is_multiple_of(BLOCK_BYTES);
    assert!(whole, "direct I/O is in whole blocks, not {len} bytes at {pos}");
}
