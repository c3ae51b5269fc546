//! Calls that have no place in the ring: directories, whole small files, opening. They run on the two unbound threads
//! that each executor keeps for it, so the executor's core never waits for them.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use glommio::timer::Timer;

use super::guard::stop_process;
use crate::runtime::{DirEntry, OpenMode, Space};

thread_local! {
    /// Calls of this executor that somebody waits for.
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// How soon `ended` looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A call of the pool, until it has its answer.
pub(super) struct UnderWay;

impl UnderWay {
    pub(super) fn begin() -> UnderWay {
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        UnderWay
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get() - 1);
    }
}

/// Runs `call` on the blocking pool. A panic in it stops the process.
pub(super) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let _until_answered = UnderWay::begin();
    let guarded = || catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| stop_process(&*panic));
    glommio::executor().spawn_blocking(guarded).await
}

/// Waits until no call of this executor is under way: a thread of the pool panics when it has nobody to answer.
pub(super) async fn ended() {
    while UNDER_WAY.get() > 0 {
        Timer::new(LOOK_AGAIN).await;
    }
}

/// Opens without direct I/O; the executor opens it once more through the descriptor.
pub(super) async fn open(path: PathBuf, mode: OpenMode) -> io::Result<fs::File> {
    blocking(move || {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create(mode.creates());
        let file = options.open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(file)
    })
    .await
}

pub(super) async fn read_whole(path: PathBuf) -> io::Result<Vec<u8>> {
    blocking(move || fs::read(path)).await
}

pub(super) async fn write_whole(path: PathBuf, content: Bytes) -> io::Result<()> {
    blocking(move || {
        let mut file = fs::File::create(path)?;
        file.write_all(&content)?;
        file.sync_all()
    })
    .await
}

pub(super) async fn make_dir_with(path: PathBuf, name: String, content: Vec<u8>) -> io::Result<bool> {
    blocking(move || match fs::create_dir(&path) {
        Ok(()) => fs::write(path.join(name), content).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    })
    .await
}

pub(super) async fn sync_file(path: PathBuf) -> io::Result<()> {
    blocking(move || fs::File::open(path)?.sync_all()).await
}

pub(super) async fn read_dir(path: PathBuf) -> io::Result<Vec<DirEntry>> {
    blocking(move || {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the directory was read.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let is_dir = metadata.is_dir();
            // A name that is not UTF-8 is not ours; it is listed so that an operator can find it.
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    })
    .await
}

pub(super) async fn create_dir_all(path: PathBuf) -> io::Result<()> {
    blocking(move || fs::create_dir_all(path)).await
}

pub(super) async fn sync_dir(path: PathBuf) -> io::Result<()> {
    blocking(move || sync_dir_now(&path)).await
}

fn sync_dir_now(path: &Path) -> io::Result<()> {
    open_dir(path)?.sync_all()
}

/// XFS does not have the drive write its cache out when its own log has nothing to write; a sync of one file always does.
pub(super) async fn sync_all(path: PathBuf) -> io::Result<()> {
    blocking(move || {
        let dir = open_dir(&path)?;
        rustix::fs::syncfs(&dir)?;
        dir.sync_all()
    })
    .await
}

fn open_dir(path: &Path) -> io::Result<fs::File> {
    let dir = fs::File::open(path)?;
    if !dir.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(dir)
}

pub(super) async fn rename(from: PathBuf, to: PathBuf) -> io::Result<()> {
    blocking(move || fs::rename(from, to)).await
}

pub(super) async fn remove_file(path: PathBuf) -> io::Result<()> {
    blocking(move || fs::remove_file(path)).await
}

pub(super) async fn remove_dir_all(path: PathBuf) -> io::Result<()> {
    blocking(move || fs::remove_dir_all(path)).await
}

pub(super) async fn space(path: PathBuf) -> io::Result<Space> {
    blocking(move || space_now(&path)).await
}

/// Of the file system that has this path, on the caller's thread.
pub fn space_now(path: &Path) -> io::Result<Space> {
    let told = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok(Space { total_bytes: bytes(told.f_blocks), free_bytes: bytes(told.f_bavail) })
}
