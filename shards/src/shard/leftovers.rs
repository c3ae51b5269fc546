//! Files of journals and checkpoints that no start needs any more. Shard 0, during a start.
//!
//! Invariant: what the current run points to stays, and so does what was kept for mending by hand.

use std::io;
use std::path::{Path, PathBuf};

use super::settings::ShardSettings;
use super::start::StartError;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::files;
use crate::journal::run::Run;
use crate::runtime::{BLOCK_BYTES, DirEntry, File, OpenMode, Runtime};

/// Ends the name of a journal that a partition may be mended from.
const KEPT: &str = "kept";

/// Removes journals and checkpoints of other runs than `current`: of those before it, and of a start that did not get so
/// far as to become current. With `keep_journals` the journals of runs before it get another name instead.
pub async fn remove<R: Runtime>(
    rt: &R,
    settings: &ShardSettings,
    current: Run,
    keep_journals: bool,
) -> Result<(), StartError> {
    let checkpoints = settings.layout.checkpoints();
    for entry in rt.read_dir(&checkpoints).await.map_err(at(&checkpoints))? {
        // Other names are not ours: somebody's copy of a file, made before he mended something.
        if Checkpoint::run_of(&entry.name).is_some_and(|run| run != current.number) {
            let path = checkpoints.join(&entry.name);
            rt.remove_file(&path).await.map_err(at(&path))?;
        }
    }
    let journals = settings.layout.journals();
    for entry in rt.read_dir(&journals).await.map_err(at(&journals))? {
        // Other names are not ours.
        let Some(shard) = entry.name.parse::<u32>().ok().filter(|_| entry.is_dir) else { continue };
        let dir = journals.join(&entry.name);
        let kept = remove_journals(rt, &dir, current, keep_journals).await.map_err(at(&dir))?;
        let is_empty = async || rt.read_dir(&dir).await.map(|left| left.is_empty()).map_err(at(&dir));
        if shard >= current.shards && !kept && is_empty().await? {
            rt.remove_dir_all(&dir).await.map_err(at(&dir))?;
        }
    }
    Ok(())
}

/// What only a run can have left that was current once, if there is anything of it: then the directory is not a new one, though no
/// file says which run is current. A first start that did not get so far leaves checkpoints and journals of run 1, and no commit.
pub async fn of_a_lost_run<R: Runtime>(rt: &R, settings: &ShardSettings) -> Result<Option<PathBuf>, StartError> {
    let layout = &settings.layout;
    for dir in [layout.partitions(), layout.catalog()] {
        // A file system's own directory is nobody's data.
        let first = entries(rt, &dir).await?.into_iter().find(|entry| entry.name != "lost+found");
        if let Some(entry) = first {
            return Ok(Some(dir.join(entry.name)));
        }
    }
    let checkpoints = layout.checkpoints();
    let later = |entry: &DirEntry| Checkpoint::run_of(&entry.name).is_some_and(|run| run > 1);
    if let Some(entry) = entries(rt, &checkpoints).await?.into_iter().find(later) {
        return Ok(Some(checkpoints.join(entry.name)));
    }
    for shard in entries(rt, &layout.journals()).await? {
        let dir = layout.journals().join(&shard.name);
        if !shard.is_dir || shard.name.parse::<u32>().is_err() {
            continue;
        }
        for file in entries(rt, &dir).await? {
            let path = dir.join(&file.name);
            match files::run_of(&file.name) {
                None => {}
                Some(1) if begins_with_zeros(rt, &path).await.map_err(at(&path))? => {}
                Some(_) => return Ok(Some(path)),
            }
        }
    }
    Ok(None)
}

/// None are in a directory that is not there.
async fn entries<R: Runtime>(rt: &R, dir: &Path) -> Result<Vec<DirEntry>, StartError> {
    match rt.read_dir(dir).await {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(at(dir)),
    }
}

/// No commit was ever written to a journal file.
async fn begins_with_zeros<R: Runtime>(rt: &R, path: &Path) -> io::Result<bool> {
    let file = rt.open(path, OpenMode::Read).await?;
    let block = file.read(0, BLOCK_BYTES).await?;
    file.close().await?;
    Ok(block.iter().all(|byte| *byte == 0))
}

/// Removes what is not the current run's in one directory; whether something was kept, now or before.
async fn remove_journals<R: Runtime>(rt: &R, dir: &Path, current: Run, keep: bool) -> io::Result<bool> {
    let mut kept = false;
    for file in rt.read_dir(dir).await? {
        let path = dir.join(&file.name);
        match files::run_of(&file.name) {
            Some(number) if number == current.number => {}
            Some(number) if keep && number < current.number => {
                rt.rename(&path, &path.with_extension(KEPT)).await?;
                kept = true;
            }
            Some(_) => rt.remove_file(&path).await?,
            None => kept |= path.extension().is_some_and(|ending| ending == KEPT),
        }
    }
    Ok(kept)
}

/// Removes the ballast of every shard of the last run: its space is for this start (R14). Returns the bytes of the
/// journals that are there, all of which may have to be written into segments.
pub async fn give_ballast_back<R: Runtime>(rt: &R, settings: &ShardSettings) -> Result<u64, StartError> {
    let journals = settings.layout.journals();
    let mut journal_bytes = 0;
    for entry in rt.read_dir(&journals).await.map_err(at(&journals))? {
        let Ok(shard) = entry.name.parse::<u32>() else { continue };
        let dir = journals.join(&entry.name);
        let ballast = settings.layout.ballast(shard);
        for file in rt.read_dir(&dir).await.map_err(at(&dir))? {
            let path = dir.join(&file.name);
            if path == ballast {
                give_back(rt, &path).await.map_err(at(&path))?;
            } else if files::run_of(&file.name).is_some() {
                journal_bytes += file.len;
            }
        }
    }
    Ok(journal_bytes)
}

/// Cuts the file first: the kernel may hold it open a moment longer for a broker that was killed, and an unlinked file keeps
/// its space as long.
async fn give_back<R: Runtime>(rt: &R, path: &Path) -> io::Result<()> {
    let file = rt.open(path, OpenMode::Write).await?;
    file.resize(0).await?;
    file.close().await?;
    rt.remove_file(path).await
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StartError + use<> {
    let path = path.to_owned();
    move |source| StartError::Io { path, source }
}
