//! Reads back what a run left in one core's journal: the longest unbroken chain of commits (R6). At start only.
//!
//! Invariant: nothing is written; a chain that breaks below data that was acked is refused, not cut.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::files::run_of;
use super::format::{CommitHeader, Entry, FormatError, HEADER_BYTES, entries};
use super::run::Run;
use crate::batch::crc::crc32c;
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::{BLOCK_BYTES, File, OpenMode, Runtime};

/// Largest direct read.
const READ_BYTES: u64 = 1 << 20;

#[derive(Debug, Error)]
pub enum ReplayError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}, commit at byte {position}: {source}", path.display())]
    Format { path: PathBuf, position: u64, source: FormatError },
    #[error(
        "{}: damaged at byte {position}: commit {sequence} is unreadable, yet commit {proof} says that it was synced and \
         acked. Nothing was changed. Restore this file from a copy of the disk, or start from a replica",
        path.display()
    )]
    Damaged { path: PathBuf, position: u64, sequence: u64, proof: u64 },
}

/// What one core's journal holds.
#[derive(Debug, Default)]
pub struct Replayed {
    /// In the order in which they were written.
    pub entries: Vec<Entry>,
    /// Commits read.
    pub commits: u64,
    /// The tail that was never acked was cut here: file and byte.
    pub cut: Option<(PathBuf, u64)>,
}

/// A journal file that was read whole.
#[derive(Clone, Debug)]
pub struct JournalFile {
    pub path: PathBuf,
    pub bytes: Bytes,
}

/// One commit as it lies in a file.
#[derive(Clone, Debug)]
pub struct StoredCommit {
    pub header: CommitHeader,
    pub entries: Vec<Entry>,
}

/// The commit at `position`, of whatever run; `None` if no whole one is there. For tools: only `chain` says what counts.
pub fn commit_at(file: &JournalFile, position: u64) -> Result<Option<StoredCommit>, ReplayError> {
    let Some((header, _)) = header_at(file, position)? else { return Ok(None) };
    Ok(entries_at(file, position, &header)?.map(|entries| StoredCommit { header, entries }))
}

/// Replays the journal of `run` in `dir`, from `first_generation` on (older files are retired).
///
/// # Errors
/// A missing directory is one: the run made it before its first checkpoint, so what was acked is gone with it.
pub async fn replay<R: Runtime>(rt: &R, dir: &Path, run: Run, first_generation: u64) -> Result<Replayed, ReplayError> {
    let files = read_files(rt, dir, run).await?;
    chain(&files, run, first_generation)
}

/// The same out of files that were read before: all of one core's of that run, in any order.
pub fn chain(files: &[JournalFile], run: Run, first_generation: u64) -> Result<Replayed, ReplayError> {
    let mut ordered: Vec<(u64, &JournalFile)> = Vec::new();
    for file in files {
        if let Some((head, _)) = header_at(file, 0)?
            && head.run == run.id
            && head.generation >= first_generation
        {
            ordered.push((head.generation, file));
        }
    }
    ordered.sort_by_key(|(generation, _)| *generation);
    let mut replayed = Replayed::default();
    let mut previous: Option<(u64, u32)> = None;
    for (expected, (generation, file)) in (first_generation.max(1)..).zip(&ordered) {
        if *generation != expected {
            break;
        }
        let before = replayed.commits;
        let mut position = 0;
        while position + (HEADER_BYTES as u64) < file.bytes.len() as u64 {
            let Some((head, crc)) = header_at(file, position)? else { break };
            let any = is_planted(PlantedFault::ReplayIgnoresChain);
            if !any && (head.run != run.id || head.generation != *generation || head.position != position) {
                break;
            }
            if let Some((sequence, previous_crc)) = previous
                && !any
                && (head.sequence != sequence + 1 || head.previous_crc != previous_crc)
            {
                break;
            }
            let Some(found) = entries_at(file, position, &head)? else { break };
            replayed.entries.extend(found);
            replayed.commits += 1;
            previous = Some((head.sequence, crc));
            position += head.padded_bytes();
        }
        // A file that continues nothing ends the chain: whatever is behind it does not count.
        if replayed.commits > before || replayed.cut.is_none() {
            replayed.cut = Some((file.path.clone(), position));
        }
        if replayed.commits == before {
            break;
        }
    }
    refuse_if_acked(files, run, first_generation, previous.map_or(0, |(sequence, _)| sequence), &replayed)?;
    Ok(replayed)
}

/// A commit of this run beyond the break whose `synced_through` covers the broken one proves damage (R6).
fn refuse_if_acked(
    files: &[JournalFile],
    run: Run,
    first_generation: u64,
    last: u64,
    replayed: &Replayed,
) -> Result<(), ReplayError> {
    let mut proof = None;
    let mut follower: Option<(u64, u64, &JournalFile)> = None;
    for file in files {
        let mut position = 0;
        while position + (BLOCK_BYTES as u64) <= file.bytes.len() as u64 {
            if let Ok(Some((head, _))) = header_at(file, position)
                && head.run == run.id
                && head.generation >= first_generation
                && head.sequence > last
            {
                if head.synced_through > last {
                    proof = proof.or(Some((head.sequence, file)));
                }
                if follower.is_none_or(|(sequence, ..)| head.sequence < sequence) {
                    follower = Some((head.sequence, position, file));
                }
            }
            position += BLOCK_BYTES as u64;
        }
    }
    let Some((proof, file)) = proof else { return Ok(()) };
    let (path, position) = replayed.cut.clone().unwrap_or_else(|| (file.path.clone(), 0));
    // In which file the chain should have gone on is told by the next commit that is whole, unless that begins its file.
    let (path, position) = match follower {
        Some((_, at, file)) if at > 0 && file.path != path => (file.path.clone(), 0),
        _ => (path, position),
    };
    Err(ReplayError::Damaged { path, position, sequence: last + 1, proof })
}

fn header_at(file: &JournalFile, position: u64) -> Result<Option<(CommitHeader, u32)>, ReplayError> {
    let from = usize::try_from(position).unwrap_or(usize::MAX).min(file.bytes.len());
    CommitHeader::decode(&file.bytes[from..]).map_err(|source| ReplayError::Format {
        path: file.path.clone(),
        position,
        source,
    })
}

fn entries_at(file: &JournalFile, position: u64, head: &CommitHeader) -> Result<Option<Vec<Entry>>, ReplayError> {
    let found = body_of(file, position, head).map(entries).transpose();
    found.map_err(|source| ReplayError::Format { path: file.path.clone(), position, source })
}

fn body_of(file: &JournalFile, position: u64, head: &CommitHeader) -> Option<Bytes> {
    let from = usize::try_from(position).ok()? + HEADER_BYTES;
    let to = from.checked_add(head.body_bytes as usize).filter(|to| *to <= file.bytes.len())?;
    let body = file.bytes.slice(from..to);
    (crc32c(&body) == head.body_crc || is_planted(PlantedFault::ReplayIgnoresChecksum)).then_some(body)
}

async fn read_files<R: Runtime>(rt: &R, dir: &Path, run: Run) -> Result<Vec<JournalFile>, ReplayError> {
    let names = match rt.read_dir(dir).await {
        Ok(names) => names,
        Err(source) => return Err(ReplayError::Io { path: dir.to_owned(), source }),
    };
    let mut files = Vec::new();
    for name in names {
        if run_of(&name.name) != Some(run.number) {
            continue;
        }
        let path = dir.join(&name.name);
        match read_file(rt, &path, name.len).await {
            Ok(bytes) => files.push(JournalFile { path, bytes }),
            Err(source) => return Err(ReplayError::Io { path, source }),
        }
    }
    Ok(files)
}

async fn read_file<R: Runtime>(rt: &R, path: &Path, len: u64) -> io::Result<Bytes> {
    let file = rt.open(path, OpenMode::Write).await?;
    // What the last run wrote but did not sync may be in the device's cache only: sync before anything is believed (R7).
    file.sync().await?;
    let mut all = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
    let mut at = 0;
    while at < len {
        let want = READ_BYTES.min((len - at).next_multiple_of(BLOCK_BYTES as u64));
        let got = file.read(at, want as usize).await?;
        if got.is_empty() {
            break;
        }
        at += got.len() as u64;
        all.extend_from_slice(&got);
    }
    file.close().await?;
    Ok(all.freeze())
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
