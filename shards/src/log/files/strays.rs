//! Files in a partition's directory that its log does not know. Owning core only.
//!
//! A rename or an unlink is not synced, so a power cut may take it back when a checkpoint has long forgotten the segment; and a process
//! may end between that checkpoint and the unlink. Nobody else would ever come to remove such a file.
//!
//! Invariant: what may still become part of the log, or of a log that cannot be read, stays; and so does what is not ours.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use super::{At, FileKind, Files, METADATA_FILE, PartitionDir, StoreError, ignore_missing, metadata_text};
use crate::log::state::KnownSegments;
use crate::runtime::Runtime;
use crate::types::Offset;

impl<R: Runtime> Files<R> {
    /// Removes files of segments that the log does not have, and what is left of half-done renames; or the directory, if it is another
    /// topic's and nothing of this log is in files. `log` is what it had at any time before this call. Returns whether there was any
    /// of it.
    pub async fn remove_strays(&self, dir: &PartitionDir, log: &KnownSegments) -> Result<bool, StoreError> {
        let path = self.root.join(dir.name());
        let metadata = path.join(METADATA_FILE);
        let inside = self.enter(dir).await;
        if self.removed.contains(dir.id) {
            return Ok(false);
        }
        match self.rt.read_whole(&metadata).await {
            Ok(found) if found == metadata_text(dir.id.topic).as_bytes() => {}
            // A topic of the same name was deleted, and a power cut took that back.
            Ok(_) if log.is_empty() => {
                let aside = self.move_aside(dir, &path).await?;
                drop(inside);
                ignore_missing(self.rt.remove_dir_all(&aside).await).at(&aside)?;
                return Ok(true);
            }
            // Or it is damaged: the next write tells, and sees to it.
            Ok(_) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).at(&metadata),
        }
        let had_leftovers = self.remove_leftovers(dir, &path).await?;
        let names = self.rt.read_dir(&path).await.at(&path)?;
        let files = names.iter().filter(|entry| !entry.is_dir);
        let bases = files.filter_map(|entry| FileKind::of(&entry.name)).map(|(_, base)| base);
        let strays: BTreeSet<Offset> = bases.filter(|base| log.lacks(*base)).collect();
        drop(inside);
        for base in &strays {
            self.remove_files(dir, *base, Duration::ZERO).await?;
        }
        Ok(had_leftovers || !strays.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::types::{PartitionId, TopicId};

    #[test]
    fn an_index_that_was_rebuilt_for_a_segment_that_went_meanwhile_is_not_stored() {
        let sim = crate::runtime::sim::Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            let id = PartitionId { topic: TopicId([1; 16]), index: 0 };
            let dir = PartitionDir { id, topic_name: "t".into() };
            let path = std::path::Path::new("/data").join(dir.name());
            rt.create_dir_all(&path).await.expect("made");
            let files = Files::new(rt.clone(), "/data".into(), 4, Arc::default());
            for base in [0, 5] {
                files.for_writing(&dir, Offset(base), FileKind::Log, true).await.expect("made");
            }
            files.remove_segments(&dir, &[Offset(0)], Duration::ZERO).await.expect("removed");
            for base in [0, 5] {
                files.replace_index(&dir, Offset(base), 0, b"index").await.expect("stored, or not");
            }
            let names: Vec<String> = rt.read_dir(&path).await.expect("read").into_iter().map(|e| e.name).collect();
            assert_eq!(names, ["00000000000000000005.index", "00000000000000000005.log"]);
        });
    }
}
