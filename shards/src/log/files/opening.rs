//! Opens segment files and keeps them open. Owning core only.
//!
//! Invariant: for want of a descriptor nothing fails at once: the files that are kept open give theirs up, the one used least
//! lately first. Whoever comes from elsewhere, such as a connection, may be faster: so there are several tries.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{At, FileKind, Files, Key, PartitionDir, StoreError, Unsynced};
use crate::runtime::{File, OpenMode, Runtime, is_out_of_descriptors};
use crate::types::Offset;

/// For want of a descriptor a file is tried to be opened so often, and so far apart: for two seconds, as a full disk is tried.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

impl<R: Runtime> Files<R> {
    /// For reading; must exist. A handle stays good after the file is renamed or unlinked.
    pub async fn for_reading(
        &self,
        dir: &PartitionDir,
        base: Offset,
        cleaning: u64,
        kind: FileKind,
    ) -> Result<Rc<R::File>, StoreError> {
        let path = self.path(dir, base, kind);
        for writable in [true, false] {
            let found = self.open.borrow_mut().get(&(dir.id, base, kind, cleaning, writable));
            if let Some(file) = found {
                return Ok(file);
            }
        }
        let file = Rc::new(self.open_at(&path, OpenMode::Read).await.at(&path)?);
        self.refuse_removed(dir, &path)?;
        self.keep((dir.id, base, kind, cleaning, false), &file).await;
        Ok(file)
    }

    /// For writing; made if `create`, in a directory that must be there.
    pub async fn for_writing(
        &self,
        dir: &PartitionDir,
        base: Offset,
        kind: FileKind,
        create: bool,
    ) -> Result<Rc<R::File>, StoreError> {
        let key = (dir.id, base, kind, 0, true);
        let found = self.open.borrow_mut().get(&key);
        if let Some(file) = found {
            return Ok(file);
        }
        let path = self.path(dir, base, kind);
        let file = if create {
            let _inside = self.enter(dir).await;
            self.refuse_removed(dir, &path)?;
            let file = self.open_at(&path, OpenMode::Create).await.at(&path)?;
            let change = self.next_change();
            self.unsynced.borrow_mut().entry(dir.id).or_insert((Unsynced::Names, change)).1 = change;
            file
        } else {
            self.open_at(&path, OpenMode::Write).await.at(&path)?
        };
        self.refuse_removed(dir, &path)?;
        let file = Rc::new(file);
        self.keep(key, &file).await;
        Ok(file)
    }

    /// Opens a file that is not kept; see the invariant above.
    pub async fn open_at(&self, path: &Path, mode: OpenMode) -> io::Result<R::File> {
        for attempt in 0..TRIES {
            match self.rt.open(path, mode).await {
                Err(error) if is_out_of_descriptors(&error) => {}
                opened => return opened,
            }
            let oldest = self.open.borrow_mut().pop_oldest();
            if oldest.is_none() || attempt > 0 {
                self.rt.sleep_until(self.rt.now().after(PAUSE)).await;
            }
            self.let_go(oldest.into_iter().collect()).await;
        }
        self.rt.open(path, mode).await
    }

    async fn keep(&self, key: Key, file: &Rc<R::File>) {
        let gone = self.open.borrow_mut().insert(key, file.clone(), 1);
        self.let_go(gone).await;
    }

    pub(super) async fn let_go(&self, files: Vec<Rc<R::File>>) {
        for file in files {
            // Who still uses it lets go of it last.
            if let Some(file) = Rc::into_inner(file)
                && let Err(error) = file.close().await
            {
                tracing::warn!(%error, "a segment file could not be closed");
            }
        }
    }
}
