//! Makes anew what is derived from something else that is whole: indexes, a second copy, the name of a directory's owner.
//!
//! Invariant: a file is replaced by rename, after all of the new one is synced; nothing else is ever written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shards::log::{FileKind, PartitionDir, SegmentAtRest, WalkError, metadata_text};
use shards::types::TopicId;

use super::directory::Directory;
use super::files::read_at;

/// One file that can be made anew, and from what.
#[derive(Clone, Debug)]
pub enum Repair {
    /// The copy at `path`, from the other one.
    Copy { path: PathBuf, of: PathBuf },
    /// A sealed segment's index, from its log.
    Index { dir: PartitionDir, segment: SegmentAtRest },
    /// What says whose a partition's directory is, from the catalog.
    Owner { path: PathBuf, topic: TopicId },
}

impl Repair {
    /// Makes it; the file's path in the directory.
    pub fn carry_out(&self, directory: &Directory) -> Result<PathBuf, (PathBuf, io::Error)> {
        let path = self.path(directory);
        let done = self.content(directory).and_then(|content| replace(&path, &content));
        match done {
            Ok(()) => Ok(directory.inside(&path)),
            Err(e) => Err((path, e)),
        }
    }

    fn path(&self, directory: &Directory) -> PathBuf {
        match self {
            Repair::Copy { path, .. } | Repair::Owner { path, .. } => path.clone(),
            Repair::Index { dir, segment } => directory.segment_path(dir, segment, FileKind::Index),
        }
    }

    fn content(&self, directory: &Directory) -> io::Result<Vec<u8>> {
        match self {
            Repair::Copy { of, .. } => fs::read(of),
            Repair::Owner { topic, .. } => Ok(metadata_text(*topic).into_bytes()),
            Repair::Index { dir, segment } => {
                let file = directory.open_segment(dir, segment)?;
                let read = |position, bytes| file.as_ref().map_or(Ok(Bytes::new()), |f| read_at(f, position, bytes));
                segment.sidecar(read).map_err(|error| match error {
                    WalkError::Read(e) => e,
                    flaw @ WalkError::Flaw { .. } => io::Error::new(io::ErrorKind::InvalidData, flaw.to_string()),
                })
            }
        }
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // Whatever an earlier repair left. A link that somebody put there is not followed.
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = File::create_new(&beside)?;
    // Root repairs what the broker's own user must be able to write.
    if let Ok(owned) = path.parent().map_or_else(|| fs::metadata(path), fs::metadata) {
        std::os::unix::fs::fchown(&file, Some(owned.uid()), Some(owned.gid()))?;
    }
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())
}
