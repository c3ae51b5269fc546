//! Reads back what a run left in one core's journal: the longest unbroken chain of commits (R6). At start only.
//!
//! Invariant: nothing is written; a chain that breaks below data that was acked is refused, not cut.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::files::run_of;
use super::format::{CommitHeader, Entry, EntryKind, FormatError, HEADER_BYTES, entries};
use super::run::Run;
use crate::batch::crc::crc32c;
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::{BLOCK_BYTES, File, OpenMode, Runtime};
use crate::types::PartitionId;

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
         acked. Nothing was changed. Put this file back from a copy of the disk; `corelog log verify DIR` on the data directory \
         says what is lost without it",
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

/// Replays the journal of `run` in `dir`, from `first_generation` on (older files are retired). One file at a time is in memory;
/// what the entries hold are copies.
///
/// # Errors
/// A missing directory is one: the run made it before its first checkpoint, so what was acked is gone with it.
pub async fn replay<R: Runtime>(rt: &R, dir: &Path, run: Run, first_generation: u64) -> Result<Replayed, ReplayError> {
    let mut chain = Chain::new(run, first_generation);
    let mut ordered = Vec::new();
    for (path, len) in files_of(rt, dir, run).await? {
        // What the last run wrote but did not sync may be in the device's cache only: sync before anything is believed (R7).
        sync_file(rt, &path).await.map_err(at(&path))?;
        let head = read_file(rt, &path, len.min(BLOCK_BYTES as u64)).await.map_err(at(&path))?;
        let generation = chain.generation_of(&JournalFile { path: path.clone(), bytes: head })?;
        ordered.push((generation, path, len));
    }
    // Those that no generation of this run begins come first.
    ordered.sort();
    for (generation, path, len) in ordered {
        match generation.filter(|_| !chain.has_ended) {
            Some(generation) => {
                let bytes = read_file(rt, &path, len).await.map_err(at(&path))?;
                let file = JournalFile { path, bytes };
                let before = chain.replayed.entries.len();
                chain.follow(generation, &file)?;
                own(&mut chain.replayed.entries[before..]);
                chain.look_beyond(&file.path, 0, &file.bytes);
            }
            None => look_through(rt, &path, len, &mut chain).await.map_err(at(&path))?,
        }
    }
    chain.finish()
}

/// The same out of files that were read before: all of one core's of that run, in any order. The entries share their bytes.
pub fn chain(files: &[JournalFile], run: Run, first_generation: u64) -> Result<Replayed, ReplayError> {
    let mut chain = Chain::new(run, first_generation);
    let mut ordered: Vec<(u64, &JournalFile)> = Vec::new();
    for file in files {
        if let Some(generation) = chain.generation_of(file)? {
            ordered.push((generation, file));
        }
    }
    ordered.sort_by_key(|(generation, _)| *generation);
    for (generation, file) in ordered {
        chain.follow(generation, file)?;
    }
    for file in files {
        chain.look_beyond(&file.path, 0, &file.bytes);
    }
    chain.finish()
}

/// The chain as far as it was followed.
struct Chain {
    run: Run,
    first_generation: u64,
    replayed: Replayed,
    /// Sequence and CRC of the last commit's header.
    previous: Option<(u64, u32)>,
    /// Of the file that goes on with it.
    next_generation: u64,
    has_ended: bool,
    beyond: Vec<Beyond>,
}

/// A commit of this run that was found when the chain had not come so far.
struct Beyond {
    sequence: u64,
    synced_through: u64,
    path: PathBuf,
    position: u64,
}

impl Chain {
    fn new(run: Run, first_generation: u64) -> Chain {
        Chain {
            run,
            first_generation,
            replayed: Replayed::default(),
            previous: None,
            next_generation: first_generation.max(1),
            has_ended: false,
            beyond: Vec::new(),
        }
    }

    fn counts(&self, head: &CommitHeader) -> bool {
        head.run == self.run.id && head.generation >= self.first_generation
    }

    /// Which use of a file this is, by its first block; `None` if it does not count.
    fn generation_of(&self, file: &JournalFile) -> Result<Option<u64>, ReplayError> {
        let head = header_at(file, 0)?.filter(|(head, _)| self.counts(head));
        Ok(head.map(|(head, _)| head.generation))
    }

    /// Goes on through the file of that generation; files come in this order.
    fn follow(&mut self, generation: u64, file: &JournalFile) -> Result<(), ReplayError> {
        self.has_ended |= generation != self.next_generation;
        if self.has_ended {
            return Ok(());
        }
        self.next_generation += 1;
        let before = self.replayed.commits;
        let mut position = 0;
        while position + (HEADER_BYTES as u64) < file.bytes.len() as u64 {
            let Some((head, crc)) = header_at(file, position)? else { break };
            let any = is_planted(PlantedFault::ReplayIgnoresChain);
            if !any && (head.run != self.run.id || head.generation != generation || head.position != position) {
                break;
            }
            if let Some((sequence, previous_crc)) = self.previous
                && !any
                && (head.sequence != sequence + 1 || head.previous_crc != previous_crc)
            {
                break;
            }
            let Some(found) = entries_at(file, position, &head)? else { break };
            self.replayed.entries.extend(found);
            self.replayed.commits += 1;
            self.previous = Some((head.sequence, crc));
            position += head.padded_bytes();
        }
        // A file that continues nothing ends the chain: whatever is behind it does not count.
        if self.replayed.commits > before || self.replayed.cut.is_none() {
            self.replayed.cut = Some((file.path.clone(), position));
        }
        self.has_ended = self.replayed.commits == before;
        Ok(())
    }

    /// Notes the commits in whole blocks of a file, from byte `from` of it on, that the chain has not come to.
    fn look_beyond(&mut self, path: &Path, from: u64, blocks: &[u8]) {
        let last = self.last_sequence();
        for (n, block) in (0u64..).zip(blocks.chunks_exact(BLOCK_BYTES)) {
            if let Ok(Some((head, _))) = CommitHeader::decode(block)
                && self.counts(&head)
                && head.sequence > last
            {
                self.beyond.push(Beyond {
                    sequence: head.sequence,
                    synced_through: head.synced_through,
                    path: path.to_owned(),
                    position: from + n * BLOCK_BYTES as u64,
                });
            }
        }
    }

    fn last_sequence(&self) -> u64 {
        self.previous.map_or(0, |(sequence, _)| sequence)
    }

    /// A commit of this run beyond the break whose `synced_through` covers the broken one proves damage (R6).
    fn finish(self) -> Result<Replayed, ReplayError> {
        let last = self.last_sequence();
        let beyond = || self.beyond.iter().filter(|commit| commit.sequence > last);
        let Some(proof) = beyond().find(|commit| commit.synced_through > last) else { return Ok(self.replayed) };
        let (path, position) = self.replayed.cut.clone().unwrap_or_else(|| (proof.path.clone(), 0));
        // In which file the chain should have gone on is told by the next commit that is whole, unless that begins its file.
        let follower = beyond().filter(|commit| commit.sequence > last + 1).min_by_key(|commit| commit.sequence);
        let (path, position) = match follower {
            Some(follower) if follower.position > 0 && follower.path != path => (follower.path.clone(), 0),
            _ => (path, position),
        };
        Err(ReplayError::Damaged { path, position, sequence: last + 1, proof: proof.sequence })
    }
}

/// Copies what a file's entries hold, all of one partition together: whoever needs some of it longer than others does not
/// keep the whole file in memory.
fn own(entries: &mut [Entry]) {
    let mut held: BTreeMap<PartitionId, usize> = BTreeMap::new();
    let data = |entry: &Entry| match &entry.kind {
        EntryKind::Data(bytes) => Some(bytes.len()),
        _ => None,
    };
    for (entry, bytes) in entries.iter().filter_map(|entry| Some((entry, data(entry)?))) {
        *held.entry(entry.partition).or_default() += bytes;
    }
    let mut copies: BTreeMap<PartitionId, BytesMut> =
        held.into_iter().map(|(id, bytes)| (id, BytesMut::with_capacity(bytes))).collect();
    for entry in entries {
        if let EntryKind::Data(bytes) = &mut entry.kind
            && let Some(copy) = copies.get_mut(&entry.partition)
        {
            copy.extend_from_slice(bytes);
            *bytes = copy.split().freeze();
        }
    }
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

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReplayError + use<> {
    let path = path.to_owned();
    move |source| ReplayError::Io { path, source }
}

/// The journal files of a run, with their lengths.
async fn files_of<R: Runtime>(rt: &R, dir: &Path, run: Run) -> Result<Vec<(PathBuf, u64)>, ReplayError> {
    let names = rt.read_dir(dir).await.map_err(at(dir))?;
    let ours = names.into_iter().filter(|name| run_of(&name.name) == Some(run.number));
    Ok(ours.map(|name| (dir.join(&name.name), name.len)).collect())
}

async fn sync_file<R: Runtime>(rt: &R, path: &Path) -> io::Result<()> {
    let file = rt.open(path, OpenMode::Write).await?;
    file.sync().await?;
    file.close().await
}

async fn read_file<R: Runtime>(rt: &R, path: &Path, len: u64) -> io::Result<Bytes> {
    let mut all = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
    read_pieces(rt, path, len, |_, piece| all.extend_from_slice(piece)).await?;
    Ok(all.freeze())
}

/// Looks at a file that the chain does not go through: were the first block of one that it should go through lost, only what
/// comes behind that tells of it. Nothing of it stays in memory.
async fn look_through<R: Runtime>(rt: &R, path: &Path, len: u64, chain: &mut Chain) -> io::Result<()> {
    read_pieces(rt, path, len, |from, piece| chain.look_beyond(path, from, piece)).await
}

/// Reads the first `len` bytes of a file, or as many as there are, piece by piece.
async fn read_pieces<R: Runtime>(rt: &R, path: &Path, len: u64, mut take: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let file = rt.open(path, OpenMode::Read).await?;
    let mut at = 0;
    while at < len {
        let want = READ_BYTES.min((len - at).next_multiple_of(BLOCK_BYTES as u64));
        let got = file.read(at, want as usize).await?;
        if got.is_empty() {
            break;
        }
        take(at, &got);
        at += got.len() as u64;
    }
    file.close().await
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
