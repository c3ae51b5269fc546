//! The files that compaction makes, from their first byte until they have a segment's name. Owning core only.
//!
//! A cleaned file is whole and its name durable before the journal says that it replaces others; from then on the replacement is
//! carried out, by this run or by the next start.
//!
//! Invariant: a segment's name leads to the old file or to the new one, whole, or, where the old one is kept for a while, for a moment
//! to nothing; its index is the one of that file, or missing.

use std::path::PathBuf;
use std::time::Duration;

use super::{Aside, At, FileKind, Files, PartitionDir, StoreError, ignore_missing};
use crate::runtime::{OpenMode, Runtime};
use crate::types::Offset;

impl<R: Runtime> Files<R> {
    pub fn cleaned_path(&self, dir: &PartitionDir, base: Offset, number: u64, kind: FileKind) -> PathBuf {
        self.root.join(dir.name()).join(kind.cleaned_name(base, number))
    }

    /// A new file that is to replace the segment's. What crashes left of earlier ones goes.
    pub async fn begin_cleaned(&self, dir: &PartitionDir, base: Offset, number: u64) -> Result<R::File, StoreError> {
        let path = self.cleaned_path(dir, base, number, FileKind::Log);
        let _inside = self.enter(dir).await;
        self.refuse_removed(dir, &path)?;
        self.cleaning.borrow_mut().remove(&dir.id);
        self.remove_leftovers(dir, &self.root.join(dir.name())).await?;
        self.cleaning.borrow_mut().insert(dir.id, number);
        self.open_at(&path, OpenMode::Create).await.at(&path)
    }

    /// The cleaned file is whole and synced: puts the index beside it and makes both names durable.
    pub async fn end_cleaned(
        &self,
        dir: &PartitionDir,
        base: Offset,
        number: u64,
        index: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.cleaned_path(dir, base, number, FileKind::Index);
        let _inside = self.enter(dir).await;
        self.refuse_removed(dir, &path)?;
        self.rt.write_whole(&path, index.to_vec()).await.at(&path)?;
        let path = self.root.join(dir.name());
        self.rt.sync_dir(&path).await.at(&path)
    }

    /// The cleaned file is not needed after all.
    pub async fn drop_cleaned(&self, dir: &PartitionDir, base: Offset, number: u64) -> Result<(), StoreError> {
        self.cleaning.borrow_mut().remove(&dir.id);
        let _inside = self.enter(dir).await;
        for kind in [FileKind::Log, FileKind::Index] {
            let path = self.cleaned_path(dir, base, number, kind);
            if !self.removed.contains(dir.id) {
                ignore_missing(self.rt.remove_file(&path).await).at(&path)?;
            }
        }
        Ok(())
    }

    /// Puts the files of cleaning `number` in place of the segment `base`; those that were there, and those of the segments `joined`
    /// to it, go after `delay`. May be repeated after a crash at any point: what is in place already stays. At no point is there an
    /// index of another file.
    pub async fn install_cleaned(
        &self,
        dir: &PartitionDir,
        base: Offset,
        number: u64,
        joined: &[Offset],
        delay: Duration,
    ) -> Result<(), StoreError> {
        let (log, index) = (self.path(dir, base, FileKind::Log), self.path(dir, base, FileKind::Index));
        let cleaned_log = self.cleaned_path(dir, base, number, FileKind::Log);
        let cleaned_index = self.cleaned_path(dir, base, number, FileKind::Index);
        let path = self.root.join(dir.name());
        let inside = self.enter(dir).await;
        self.refuse_removed(dir, &log)?;
        // From here on nobody stores an index of what was there before.
        self.replaced.borrow_mut().insert((dir.id, base), number);
        self.replaced.borrow_mut().extend(joined.iter().map(|base| ((dir.id, *base), u64::MAX)));
        let names = self.rt.read_dir(&path).await.at(&path)?;
        if names.iter().any(|entry| entry.name == FileKind::Log.cleaned_name(base, number)) {
            self.replace_by(dir, base, FileKind::Index, number, delay).await?;
            self.rt.sync_dir(&path).await.at(&path)?;
            if !delay.is_zero() {
                // Until the next rename the name leads to nothing: readers wait for the end of this, and a start goes on with it.
                self.replace_by(dir, base, FileKind::Log, number, delay).await?;
            }
            self.rt.rename(&cleaned_log, &log).await.at(&log)?;
            self.rt.sync_dir(&path).await.at(&path)?;
        }
        ignore_missing(self.rt.rename(&cleaned_index, &index).await).at(&index)?;
        for base in joined {
            for kind in [FileKind::Log, FileKind::Index] {
                self.replace_by(dir, *base, kind, number, delay).await?;
            }
        }
        self.rt.sync_dir(&path).await.at(&path)?;
        for base in std::iter::once(&base).chain(joined) {
            self.forget(dir.id, *base, FileKind::Log).await;
            self.forget(dir.id, *base, FileKind::Index).await;
        }
        self.cleaning.borrow_mut().remove(&dir.id);
        drop(inside);
        // A try before this one may have set files aside, and found no space for the next step: now they are not to wait.
        let was_tried = names.iter().any(|entry| entry.name == FileKind::Log.deleted_name(base, number));
        if !delay.is_zero() || was_tried {
            for base in std::iter::once(&base).chain(joined) {
                let aside = Aside::Segment { dir: dir.clone(), base: *base, cleaning: number };
                if let Err(error) = self.let_wait(aside, delay).await {
                    // What had to go for it, and the replacement is done.
                    tracing::warn!(path = %error.path.display(), error = %error.source, "could not be removed");
                }
            }
        }
        Ok(())
    }

    /// Takes a file out of service that cleaning `number` replaces: it goes, or gets the name under which it waits.
    async fn replace_by(
        &self,
        dir: &PartitionDir,
        base: Offset,
        kind: FileKind,
        number: u64,
        delay: Duration,
    ) -> Result<(), StoreError> {
        let path = self.path(dir, base, kind);
        let gone = if delay.is_zero() {
            self.rt.remove_file(&path).await
        } else {
            self.rt.rename(&path, &path.with_file_name(kind.deleted_name(base, number))).await
        };
        ignore_missing(gone).at(&path)
    }
}
