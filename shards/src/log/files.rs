//! Names of a partition's files, and the open ones. Owning core only.
//!
//! Invariant: at most as many files are open here as the limit says, but for those that are in use at the moment. What is
//! removed is never made again under its id.

mod cleaned;
mod gates;
mod opening;
mod removed;
mod strays;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::gates::Gate;
pub use self::gates::Gates;
use self::gates::Inside;
pub use self::removed::Removed;
use self::waiting::{Aside, NOT_REPLACED, Waiting};
use super::lru::Lru;
use crate::runtime::{DirEntry, File, NAME_BYTES_MAX, OpenMode, Runtime};
use crate::types::{Offset, PartitionId, TopicId, base64_url};

/// Says whose the directory is, as Kafka's does.
pub const METADATA_FILE: &str = "partition.metadata";
/// How the name of a directory ends that is being removed, as Kafka's.
pub const GOES: &str = "-delete";
/// Ends the name of a segment's file that is to be unlinked, as in Kafka.
const DELETED: &str = ".deleted";
/// Ends the name of a file that is to replace another.
const BESIDE: &str = ".new";
/// Ends the name of a file that compaction makes.
const CLEANED: &str = ".cleaned";

/// Where a partition's segments are: `<topic>-<index>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    pub id: PartitionId,
    pub topic_name: Arc<str>,
}

impl PartitionDir {
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic_name, self.id.index)
    }
}

/// Files of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    Log,
    Index,
}

impl FileKind {
    /// What a file of this name is: its kind and its segment's base.
    pub fn of(name: &str) -> Option<(FileKind, Offset)> {
        let (base, ending) = name.split_once('.')?;
        let base = Offset(base.parse().ok()?);
        [FileKind::Log, FileKind::Index]
            .into_iter()
            .find(|kind| kind.name(base) == name && !ending.is_empty())
            .map(|kind| (kind, base))
    }

    pub fn name(self, base: Offset) -> String {
        let ending = match self {
            FileKind::Log => "log",
            FileKind::Index => "index",
        };
        format!("{:020}.{ending}", base.0)
    }

    /// The file that cleaning `number` puts in the place of that one. The number tells it from what a crash left of others.
    pub(super) fn cleaned_name(self, base: Offset, number: u64) -> String {
        format!("{}.{number}{CLEANED}", self.name(base))
    }
}

/// An operation on a file or directory failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct StoreError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Says which path an error is about.
pub trait At<T> {
    fn at(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError { path: path.to_owned(), source })
    }
}

/// With the cleaning that made the segment's file (0 for writers: those come before any), and whether it can be written to.
type Key = (PartitionId, Offset, FileKind, u64, bool);

pub struct Files<R: Runtime> {
    rt: R,
    root: PathBuf,
    open: RefCell<Lru<Key, Rc<R::File>>>,
    /// Directories that a power cut could still change, and the last change of each.
    unsynced: RefCell<BTreeMap<PartitionId, (Unsynced, Change)>>,
    /// The last change of a name in the root, unless it is synced.
    root_unsynced: Cell<Option<Change>>,
    last_change: Cell<Change>,
    removed: Removed,
    waiting: RefCell<Waiting>,
    /// Cleanings whose files are being made.
    cleaning: RefCell<BTreeMap<PartitionId, u64>>,
    /// The cleaning that replaced a segment's file in this run; `u64::MAX` where it was joined to the segment before.
    replaced: RefCell<BTreeMap<(PartitionId, Offset), u64>>,
    gates: Arc<Gates>,
    /// Jobs of this core that are inside a gate or wait for it.
    at_gates: Cell<usize>,
    is_closed: Cell<bool>,
    root_gate: Gate,
}

/// What of a partition's directory is not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsynced {
    /// Names of files in it.
    Names,
    /// It was made since: its own name and `partition.metadata`, too.
    NamesAndMetadata,
}

/// Numbers the changes of names, so that a sync of everything knows which came before it.
type Change = u64;

/// How soon to look again whether all jobs have left the gates.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// One job of this core in a gate.
struct Entered<'a> {
    _inside: Inside<'a>,
    _counted: Counted<'a>,
}

struct Counted<'a>(&'a Cell<usize>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<R: Runtime> Files<R> {
    /// `gates` are those of all cores that have partitions in `root`.
    pub fn new(rt: R, root: PathBuf, open_max: usize, gates: Arc<Gates>) -> Files<R> {
        Files {
            rt,
            root,
            open: RefCell::new(Lru::new(open_max.max(1))),
            unsynced: RefCell::default(),
            root_unsynced: Cell::new(None),
            last_change: Cell::new(0),
            removed: Removed::default(),
            waiting: RefCell::default(),
            cleaning: RefCell::default(),
            replaced: RefCell::default(),
            gates,
            at_gates: Cell::new(0),
            is_closed: Cell::new(false),
            root_gate: Gate::new(),
        }
    }

    pub fn path(&self, dir: &PartitionDir, base: Offset, kind: FileKind) -> PathBuf {
        self.root.join(dir.name()).join(kind.name(base))
    }

    /// Whom nobody may touch the files of by name any more.
    pub fn removed(&self) -> &Removed {
        &self.removed
    }

    /// A topic that was deleted and made again has the same names. The id counts as removed before they change hands, so
    /// this tells after an open whether it was the right file.
    fn refuse_removed(&self, dir: &PartitionDir, path: &Path) -> Result<(), StoreError> {
        if self.removed.contains(dir.id) {
            return Err(io::Error::from(io::ErrorKind::NotFound)).at(path);
        }
        Ok(())
    }

    async fn enter(&self, dir: &PartitionDir) -> Entered<'_> {
        if self.is_closed.get() {
            // What the core has not begun is for the next start.
            return std::future::pending().await;
        }
        self.at_gates.set(self.at_gates.get() + 1);
        let counted = Counted(&self.at_gates);
        Entered { _inside: self.gates.enter(dir).await, _counted: counted }
    }

    /// The core stops: waits until none of its jobs is at a gate, and lets none come there. A job that ends with its executor would
    /// keep other cores out for ever.
    pub async fn close(&self) {
        self.is_closed.set(true);
        while self.at_gates.get() > 0 {
            self.rt.sleep_until(self.rt.now().after(LOOK_AGAIN)).await;
        }
    }

    /// Makes the partition's directory and says in it whose it is, as Kafka does. What another topic of the same name left
    /// there moves aside and goes. A directory that holds files of this partition says something else only if it is damaged.
    pub async fn make_directory(&self, dir: &PartitionDir, holds_files: bool) -> Result<(), StoreError> {
        let path = self.root.join(dir.name());
        let metadata = path.join(METADATA_FILE);
        let inside = self.enter(dir).await;
        self.refuse_removed(dir, &path)?;
        let ours = metadata_text(dir.id.topic);
        let mut others = Vec::new();
        // Whatever a power cut takes of it before it is synced, the journal still has all of the partition.
        while !self.rt.make_dir_with(&path, METADATA_FILE, ours.as_bytes()).await.at(&path)? {
            match self.rt.read_whole(&metadata).await {
                Ok(found) if found == ours.as_bytes() => {
                    self.remove_leftovers(dir, &path).await?;
                    break;
                }
                // A plain file of that name is in the way.
                Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(e).at(&metadata);
                }
                _ if holds_files => {
                    tracing::warn!(path = %metadata.display(), "damaged: it is written anew");
                    self.rt.write_whole(&metadata, ours.clone()).await.at(&metadata)?;
                    break;
                }
                _ => match self.move_aside(dir, &path).await {
                    // Gone by itself: there is room for this one.
                    Err(e) if e.source.kind() == io::ErrorKind::NotFound => {}
                    moved => others.push(moved?),
                },
            }
        }
        let change = self.next_change();
        self.unsynced.borrow_mut().insert(dir.id, (Unsynced::NamesAndMetadata, change));
        self.root_unsynced.set(Some(change));
        drop(inside);
        for aside in others {
            // Its own core finds nothing under the name any more.
            match self.remove_if_ours(&aside).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(
                    path = %aside.display(), "was in the way of a partition and not made by a broker: it was moved here and is left alone"
                ),
                Err(error) => tracing::warn!(path = %aside.display(), %error, "not removed: the next start does it"),
            }
        }
        Ok(())
    }

    /// Removes a directory that was moved aside, if it was a partition's.
    async fn remove_if_ours(&self, aside: &Path) -> io::Result<bool> {
        let inside = match self.rt.read_dir(aside).await {
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(false),
            read => read?,
        };
        if is_a_partitions(&inside) {
            ignore_missing(self.rt.remove_dir_all(aside).await)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Removes what an earlier run left between a rename and its unlink, and of files that were to replace others. Whether there was any.
    async fn remove_leftovers(&self, dir: &PartitionDir, path: &Path) -> Result<bool, StoreError> {
        let mut had_any = false;
        let under_way = self.cleaning.borrow().get(&dir.id).map(|number| format!(".{number}{CLEANED}"));
        for entry in self.rt.read_dir(path).await.at(path)? {
            let is_leftover = !entry.is_dir
                && (files_segment(&entry.name) || entry.name.starts_with(METADATA_FILE))
                && [DELETED, BESIDE, CLEANED].iter().any(|ending| entry.name.ends_with(ending));
            let is_needed = under_way.as_ref().is_some_and(|ending| entry.name.ends_with(ending));
            let waits = self.waiting.borrow().has(dir.id, &entry.name);
            if is_leftover && !is_needed && !waits {
                let leftover = path.join(entry.name);
                ignore_missing(self.rt.remove_file(&leftover).await).at(&leftover)?;
                had_any = true;
            }
        }
        Ok(had_any)
    }

    /// Makes the names in a partition's directory durable, and its own, if anything changed.
    pub async fn sync_directory(&self, dir: &PartitionDir) -> Result<(), StoreError> {
        if !self.unsynced.borrow().contains_key(&dir.id) {
            return Ok(());
        }
        let path = self.root.join(dir.name());
        let _inside = self.enter(dir).await;
        let names = self.unsynced.borrow().get(&dir.id).map(|(what, _)| *what);
        if names == Some(Unsynced::NamesAndMetadata) {
            let metadata = path.join(METADATA_FILE);
            self.rt.sync_file(&metadata).await.at(&metadata)?;
        }
        if names.is_some() {
            self.rt.sync_dir(&path).await.at(&path)?;
        }
        // Who finds it synced must not be told so before it is.
        let _root = self.root_gate.enter().await;
        if let Some(change) = self.root_unsynced.take() {
            let still = |_: &StoreError| self.root_unsynced.set(self.root_unsynced.get().max(Some(change)));
            self.rt.sync_dir(&self.root).await.at(&self.root).inspect_err(still)?;
        }
        // At the very end, for the same reason; and a sync that failed is tried again. Whoever makes names goes through the gate.
        self.unsynced.borrow_mut().remove(&dir.id);
        Ok(())
    }

    /// Makes all contents and names durable, those of other partitions too.
    pub async fn sync_all(&self) -> Result<(), StoreError> {
        // As `sync_directory` has it: nobody finds the root synced before it is.
        let _root = self.root_gate.enter().await;
        let upto = self.last_change.get();
        self.rt.sync_all(&self.root).await.at(&self.root)?;
        let is_later = |change: &Change| *change > upto;
        self.unsynced.borrow_mut().retain(|_, (_, change)| is_later(change));
        self.root_unsynced.set(self.root_unsynced.get().filter(is_later));
        Ok(())
    }

    /// To be called once the change is made.
    fn next_change(&self) -> Change {
        self.last_change.set(self.last_change.get() + 1);
        self.last_change.get()
    }

    /// Renames the files of segments, and unlinks them after `delay` (R8). Those that are not there are gone already; those of a
    /// partition that is removed go with its directory.
    pub async fn remove_segments(
        &self,
        dir: &PartitionDir,
        bases: &[Offset],
        delay: Duration,
    ) -> Result<(), StoreError> {
        for base in bases {
            // Those that were joined to segments before it are older news.
            self.forget_replaced(dir.id, *base);
            self.remove_files(dir, *base, delay).await?;
        }
        Ok(())
    }

    /// The batches go before their index: see `replace_index`.
    async fn remove_files(&self, dir: &PartitionDir, base: Offset, delay: Duration) -> Result<(), StoreError> {
        for kind in [FileKind::Log, FileKind::Index] {
            self.forget(dir.id, base, kind).await;
            let path = self.path(dir, base, kind);
            let aside = path.with_file_name(kind.deleted_name(base, NOT_REPLACED));
            let _inside = self.enter(dir).await;
            // The one before may have taken long. By now the name may be that of another topic, with segments of the same names.
            if self.removed.contains(dir.id) {
                return Ok(());
            }
            ignore_missing(self.rt.rename(&path, &aside).await).at(&path)?;
        }
        self.let_wait(Aside::Segment { dir: dir.clone(), base, cleaning: NOT_REPLACED }, delay).await
    }

    /// Forgets what compaction has replaced of a partition, up to the segment `upto`.
    fn forget_replaced(&self, id: PartitionId, upto: Offset) {
        let mut replaced = self.replaced.borrow_mut();
        while let Some((key, _)) = replaced.range((id, Offset(i64::MIN))..=(id, upto)).next() {
            let key = *key;
            replaced.remove(&key);
        }
    }

    /// Puts the index that belongs to the file of cleaning `cleaning` in place, by a rename; not if that file was replaced or removed:
    /// nobody would remove an index that comes behind it.
    pub async fn replace_index(
        &self,
        dir: &PartitionDir,
        base: Offset,
        cleaning: u64,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.path(dir, base, FileKind::Index);
        let _inside = self.enter(dir).await;
        let is_replaced = self.replaced.borrow().get(&(dir.id, base)).is_some_and(|newest| *newest != cleaning);
        if self.removed.contains(dir.id) || is_replaced {
            return Ok(());
        }
        let log = self.path(dir, base, FileKind::Log);
        match self.open_at(&log, OpenMode::Read).await {
            Ok(file) => file.close().await.at(&log)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e).at(&log),
        }
        self.forget(dir.id, base, FileKind::Index).await;
        let mut beside = path.clone().into_os_string();
        beside.push(BESIDE);
        let beside = PathBuf::from(beside);
        self.rt.write_whole(&beside, content.to_vec()).await.at(&beside)?;
        self.rt.rename(&beside, &path).await.at(&path)
    }

    async fn forget(&self, id: PartitionId, base: Offset, kind: FileKind) {
        let gone = self.open.borrow_mut().remove_range((id, base, kind, 0, false)..=(id, base, kind, u64::MAX, true));
        self.let_go(gone).await;
    }

    /// Renames a partition's directory, and removes it after `delay`. Writes to it that are still under way fail with `NotFound`.
    pub async fn remove_partition(&self, dir: &PartitionDir, delay: Duration) -> Result<(), StoreError> {
        self.removed.add(dir.id);
        self.waiting.borrow_mut().forget(dir.id);
        self.forget_replaced(dir.id, Offset(i64::MAX));
        self.cleaning.borrow_mut().remove(&dir.id);
        let first = (dir.id, Offset(i64::MIN), FileKind::Log, 0, false);
        let last = (dir.id, Offset(i64::MAX), FileKind::Index, u64::MAX, true);
        let gone = self.open.borrow_mut().remove_range(first..=last);
        self.let_go(gone).await;
        let path = self.root.join(dir.name());
        let metadata = path.join(METADATA_FILE);
        let inside = self.enter(dir).await;
        self.unsynced.borrow_mut().remove(&dir.id);
        let aside = match self.rt.read_whole(&metadata).await {
            Ok(found) if found == metadata_text(dir.id.topic).as_bytes() => self.move_aside(dir, &path).await?,
            // Another topic's by now: ours was moved aside then.
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e).at(&metadata),
        };
        drop(inside);
        self.let_wait(Aside::Directory { path: aside }, delay).await
    }

    /// Renames a directory as Kafka names those that wait for their removal.
    async fn move_aside(&self, dir: &PartitionDir, path: &Path) -> Result<PathBuf, StoreError> {
        let aside = self.root.join(aside_name(&self.rt, &dir.name()));
        self.rt.rename(path, &aside).await.at(path)?;
        Ok(aside)
    }
}

/// What a partition's directory is called while it goes: its topic's name, cut where the whole would be longer than the file system
/// takes, its index, a number that no other has, and [`GOES`].
pub fn aside_name<R: Runtime>(rt: &R, dir: &str) -> String {
    let unique = u128::from(rt.random()) << 64 | u128::from(rt.random());
    let (topic, index) = dir.rsplit_once('-').unwrap_or((dir, "0"));
    let ending = format!("-{index}.{unique:032x}{GOES}");
    let kept = topic.floor_char_boundary(NAME_BYTES_MAX.saturating_sub(ending.len()));
    format!("{}{ending}", topic.split_at(kept).0)
}

/// A segment's file by its name, whatever it was to become or to give way to.
fn files_segment(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default();
    base.len() == 20 && base.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a directory with this content was made for a partition. A power cut may have taken what says so, or have come while it
/// was being removed: then there is nothing else in it than what a partition has.
pub fn is_a_partitions(inside: &[DirEntry]) -> bool {
    inside.iter().any(|entry| entry.name == METADATA_FILE)
        || inside.iter().all(|entry| !entry.is_dir && files_segment(&entry.name))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Kafka's `partition.metadata`: the topic id in URL-safe base 64 without padding.
pub fn metadata_text(topic: TopicId) -> String {
    format!("version: 0\ntopic_id: {}\n", base64_url(topic.0))
}

#[cfg(test)]
mod tests {
    use futures_lite::future::poll_once;

    use super::*;

    #[test]
    fn segment_files_are_named_as_kafka_names_them() {
        assert_eq!(FileKind::Log.name(Offset(368_769)), "00000000000000368769.log");
        assert_eq!(FileKind::Index.name(Offset(0)), "00000000000000000000.index");
    }

    #[test]
    fn what_compaction_has_replaced_is_forgotten_with_the_segments_and_with_the_partition() {
        let sim = crate::runtime::sim::Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            rt.create_dir_all(Path::new("/data")).await.expect("made");
            let files = Files::new(rt, "/data".into(), 4, Arc::default());
            let [first, second] = [1, 2].map(|topic| PartitionDir {
                id: PartitionId { topic: TopicId([topic; 16]), index: 0 },
                topic_name: "t".into(),
            });
            for dir in [&first, &second] {
                files.cleaning.borrow_mut().insert(dir.id, 7);
                files.replaced.borrow_mut().extend((0..4).map(|base| ((dir.id, Offset(base)), 6)));
            }
            let bases = || files.replaced.borrow().keys().map(|(id, base)| (id.topic.0[0], base.0)).collect::<Vec<_>>();
            files.remove_segments(&first, &[Offset(1)], Duration::ZERO).await.expect("removed");
            assert_eq!(bases(), [(1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)]);
            files.remove_partition(&second, Duration::ZERO).await.expect("removed");
            assert_eq!(bases(), [(1, 2), (1, 3)]);
            assert_eq!(files.cleaning.borrow().len(), 1);
        });
    }

    #[test]
    fn nobody_is_told_that_a_directory_is_synced_while_another_still_syncs_it() {
        let sim = crate::runtime::sim::Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            let id = PartitionId { topic: TopicId([1; 16]), index: 0 };
            let dir = PartitionDir { id, topic_name: "t".into() };
            rt.create_dir_all(&Path::new("/data").join(dir.name())).await.expect("made");
            let files = Files::new(rt, "/data".into(), 4, Arc::default());
            files.for_writing(&dir, Offset(0), FileKind::Log, true).await.expect("made");
            let mut first = std::pin::pin!(files.sync_directory(&dir));
            assert!(poll_once(first.as_mut()).await.is_none(), "the disk takes its time");
            let mut second = std::pin::pin!(files.sync_directory(&dir));
            assert!(poll_once(second.as_mut()).await.is_none(), "the first has not ended");
            first.await.expect("synced");
            second.await.expect("synced");
            assert!(files.unsynced.borrow().is_empty());
        });
    }

    #[test]
    fn what_is_made_while_all_is_synced_is_not_synced_by_it() {
        let sim = crate::runtime::sim::Sim::new(1);
        let host = sim.add_host("a");
        sim.block_on(host, |rt| async move {
            rt.create_dir_all(Path::new("/data")).await.expect("made");
            let dir =
                |index| PartitionDir { id: PartitionId { topic: TopicId([1; 16]), index }, topic_name: "t".into() };
            let files = Files::new(rt, "/data".into(), 4, Arc::default());
            for index in 0..2 {
                files.make_directory(&dir(index), false).await.expect("made");
            }
            let mut all = std::pin::pin!(files.sync_all());
            assert!(poll_once(all.as_mut()).await.is_none(), "the disk takes its time");
            assert_eq!(files.unsynced.borrow().len(), 2, "it has not ended");
            files.for_writing(&dir(1), Offset(0), FileKind::Log, true).await.expect("made");
            files.make_directory(&dir(2), false).await.expect("made");
            all.await.expect("synced");
            let left: Vec<i32> = files.unsynced.borrow().keys().map(|id| id.index).collect();
            assert_eq!(left, [1, 2]);
            assert!(files.root_unsynced.get().is_some());
            files.sync_all().await.expect("synced");
            assert!(files.unsynced.borrow().is_empty() && files.root_unsynced.get().is_none());
        });
    }

    #[test]
    fn partition_metadata_is_as_kafka_writes_it() {
        assert_eq!(metadata_text(TopicId::METADATA), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n");
        let id = TopicId([0xfb, 0xff, 0xfe, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(metadata_text(id), "version: 0\ntopic_id: -__-AwQFBgcICQoLDA0O_w\n");
    }
}
