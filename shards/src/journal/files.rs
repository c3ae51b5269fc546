//! Makes, fills and opens the journal files of one core. Owning core only; which of them is in use is `space`'s to say.
//!
//! Invariant: a file is whole and zero or earlier bytes before it is handed out: writes to it never grow it.

use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::{BLOCK_BYTES, File, OpenMode, Runtime};

/// Most bytes written at once while a file is filled with zeros, and the unit of a file's size.
pub const FILL_BYTES: u64 = 1 << 20;
const _: () = assert!(FILL_BYTES.is_multiple_of(BLOCK_BYTES as u64), "direct writes are whole blocks");

/// A file ready for commits.
pub struct JournalFile<R: Runtime> {
    pub path: PathBuf,
    pub file: R::File,
    pub bytes: u64,
}

/// Name of the `n`th journal file of a run.
fn file_name(run_number: u64, n: u32) -> String {
    format!("{run_number}-{n}.journal")
}

/// Where the journal file of a run is that `make` makes as this one.
pub fn path_of(dir: &Path, run_number: u64, index: usize) -> PathBuf {
    dir.join(file_name(run_number, number_of(index)))
}

/// Run number of a journal file's name.
pub fn run_of(name: &str) -> Option<u64> {
    let (run, n) = name.strip_suffix(".journal")?.split_once('-')?;
    let run = run.parse().ok()?;
    // `1-1-copy.journal` is somebody's own.
    (name == file_name(run, n.parse().ok()?)).then_some(run)
}

/// The first files of a run, `bytes` each. Files of the last run stay until this one is current (R7); what a start that did
/// not get so far has left of this run's is made anew.
pub async fn prepare<R: Runtime>(
    rt: &R,
    dir: &Path,
    run_number: u64,
    count: usize,
    bytes: u64,
) -> io::Result<Vec<JournalFile<R>>> {
    rt.create_dir_all(dir).await?;
    // A core that no earlier run had: a power cut must not take its whole journal with the directory's name.
    if let Some(above) = dir.parent() {
        rt.sync_dir(above).await?;
    }
    for old in rt.read_dir(dir).await? {
        if run_of(&old.name) == Some(run_number) {
            rt.remove_file(&dir.join(&old.name)).await?;
        }
    }
    let mut files = Vec::with_capacity(count);
    while files.len() < count {
        files.push(make(rt, dir, run_number, files.len(), bytes, FILL_BYTES, async |_| rt.quantum().await).await?);
    }
    Ok(files)
}

/// One more file, filled with zeros: writes to filled files sync twice as fast as to reserved space. After each write of
/// `step_bytes`, a part of `FILL_BYTES`, `rest` is called with them.
pub async fn make<R: Runtime>(
    rt: &R,
    dir: &Path,
    run_number: u64,
    index: usize,
    bytes: u64,
    step_bytes: u64,
    rest: impl AsyncFnMut(u64),
) -> io::Result<JournalFile<R>> {
    let path = path_of(dir, run_number, index);
    let filled = fill(rt, &path, bytes, step_bytes, rest).await;
    if filled.is_err() {
        // Part of a file is of no use, and in the way on a full disk. What could not be opened is not there.
        let _missing = rt.remove_file(&path).await;
    }
    let file = filled?;
    rt.sync_dir(dir).await?;
    Ok(JournalFile { path, file, bytes })
}

async fn fill<R: Runtime>(
    rt: &R,
    path: &Path,
    bytes: u64,
    step_bytes: u64,
    mut rest: impl AsyncFnMut(u64),
) -> io::Result<R::File> {
    let file = rt.open(path, OpenMode::Synced).await?;
    let mut zeros = rt.alloc(step_bytes as usize);
    zeros.extend_zeros(step_bytes as usize);
    let zeros = zeros.freeze();
    let mut at = 0;
    while at < bytes {
        file.write(at, &zeros).await?;
        at += step_bytes;
        rest(step_bytes).await;
    }
    file.sync().await?;
    Ok(file)
}

fn number_of(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
