//! The checkpoint of one shard: where each partition's segments stand, so that a start reads no segment (R13).
//!
//! Invariant: it exists in two synced copies, each put in place by rename; it says nothing that is not synced. Versioned
//! and checksummed; integers are little-endian.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::run::Run;
use crate::batch::crc::Crc32c;
use crate::log::{LogSnapshot, StoreError};
use crate::partition::epochs::EpochStart;
use crate::partition::producers::ProducerSnapshot;
use crate::runtime::Runtime;
use crate::types::PartitionId;

mod codec;

pub use codec::DecodeError;
use codec::Encoder;

/// Both copies' endings.
const COPIES: [&str; 2] = ["a", "b"];

#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "both copies of the checkpoint {} are damaged or missing ({why}): which data is whole cannot be told. Nothing was \
         changed. Put one of them back from a copy of the disk; `corelog log verify DIR` on the data directory says what else is \
         whole",
        path.display()
    )]
    Damaged { path: PathBuf, why: String },
    #[error("{}: checkpoint format version {version} is not known to this build", path.display())]
    Version { path: PathBuf, version: u16 },
}

/// One partition's line in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionCheckpoint {
    pub id: PartitionId,
    pub log: LogSnapshot,
    pub epochs: Vec<EpochStart>,
    pub producers: Vec<ProducerSnapshot>,
    /// Why it could not be put together: all else is what was known before, and its files must stay.
    pub offline: Option<Arc<str>>,
}

/// All partitions of one shard, and where its journal's replay starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub run: Run,
    pub shard: u32,
    /// Journal files before this generation are not needed.
    pub first_generation: u64,
    pub partitions: Vec<PartitionCheckpoint>,
}

impl Checkpoint {
    /// Replaces this shard's checkpoint of this run. Returns the bytes of a copy.
    ///
    /// # Errors
    /// Those of the disk, with the file. A full disk leaves the checkpoint before this one in place.
    pub async fn store<R: Runtime>(&self, rt: &R, dir: &Path) -> Result<u64, StoreError> {
        EncodedCheckpoint { run: self.run, shard: self.shard, bytes: self.encode().into() }.store(rt, dir).await
    }

    /// Reads what shard `shard` wrote in `run`, from whichever copy is whole; the newer one if both are.
    pub async fn load<R: Runtime>(rt: &R, dir: &Path, run: Run, shard: u32) -> Result<Checkpoint, CheckpointError> {
        let mut why = String::new();
        let (mut unreadable, mut damaged) = (None, None);
        for copy in COPIES {
            let path = path(dir, run.number, shard, copy);
            let bytes = match rt.read_whole(&path).await {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    why = format!("{} is missing", path.display());
                    continue;
                }
                // A disk tells a bad sector so: what the other copy is for.
                Err(source) => {
                    unreadable.get_or_insert(CheckpointError::Io { path, source });
                    continue;
                }
            };
            match Checkpoint::decode(&bytes) {
                Ok(checkpoint) if checkpoint.run == run && checkpoint.shard == shard => {
                    if let Some(first) = unreadable.as_ref().map(ToString::to_string).or(damaged) {
                        tracing::warn!(
                            first,
                            "a copy of the checkpoint is damaged: nothing is lost, as the other one is whole"
                        );
                    }
                    return Ok(checkpoint);
                }
                Ok(_) => why = format!("{} belongs to another run", path.display()),
                Err(DecodeError::Version(version)) => return Err(CheckpointError::Version { path, version }),
                Err(DecodeError::Damaged(what)) => {
                    why = format!("{}: {what}", path.display());
                    damaged = Some(why.clone());
                }
            }
        }
        Err(unreadable.unwrap_or_else(|| CheckpointError::Damaged { path: path(dir, run.number, shard, "a"), why }))
    }

    /// A copy's bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a copy's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, DecodeError> {
        codec::decode(bytes)
    }

    /// Both copies of a shard's checkpoint, which are the same unless a crash came between their writes.
    pub fn copies(dir: &Path, run: u64, shard: u32) -> [PathBuf; 2] {
        COPIES.map(|copy| path(dir, run, shard, copy))
    }

    /// Run number of a checkpoint file's name, or of one that was to become its content.
    pub fn run_of(name: &str) -> Option<u64> {
        let (run, rest) = name.split_once('-')?;
        let (shard, copy) = rest.split_once('.')?;
        let copy = copy.strip_suffix(".new").unwrap_or(copy);
        shard.parse::<u32>().ok().filter(|_| COPIES.contains(&copy))?;
        run.parse().ok()
    }
}

/// A checkpoint that is put together partition by partition, so that nothing else on the core waits for all of it.
pub struct CheckpointEncoder {
    run: Run,
    shard: u32,
    encoder: Encoder,
}

impl CheckpointEncoder {
    /// As [`Checkpoint`]; `bytes_before` is what the one before it had.
    pub fn new(run: Run, shard: u32, first_generation: u64, bytes_before: u64) -> CheckpointEncoder {
        let bytes = usize::try_from(bytes_before + bytes_before / 8).unwrap_or(0);
        CheckpointEncoder { run, shard, encoder: Encoder::new(run, shard, first_generation, bytes, codec::VERSION) }
    }

    pub fn push(&mut self, partition: &PartitionCheckpoint) {
        self.encoder.push(partition);
    }

    pub async fn finish<R: Runtime>(self, rt: &R) -> EncodedCheckpoint {
        let mut crc = Crc32c::new();
        for piece in self.encoder.pieces() {
            crc.update(piece);
            rt.quantum().await;
        }
        EncodedCheckpoint { run: self.run, shard: self.shard, bytes: self.encoder.finish(&crc).into() }
    }
}

/// A checkpoint as it lies in its files.
pub struct EncodedCheckpoint {
    run: Run,
    shard: u32,
    bytes: Bytes,
}

impl EncodedCheckpoint {
    /// As [`Checkpoint::store`].
    pub async fn store<R: Runtime>(&self, rt: &R, dir: &Path) -> Result<u64, StoreError> {
        for copy in COPIES {
            let path = path(dir, self.run.number, self.shard, copy);
            let stored = async {
                let beside = path.with_extension(format!("{copy}.new"));
                rt.write_whole(&beside, self.bytes.clone()).await?;
                rt.rename(&beside, &path).await?;
                rt.sync_dir(dir).await
            };
            stored.await.map_err(|source| StoreError { path, source })?;
        }
        Ok(self.bytes.len() as u64)
    }
}

fn path(dir: &Path, run: u64, shard: u32, copy: &str) -> PathBuf {
    dir.join(format!("{run}-{shard}.{copy}"))
}
