//! The disk of one simulated host: names, files, space and faults. Invariant: a name is sure to survive a power cut only
//! after its directory was synced, content only after its file was; neither implies the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path};
use std::time::Duration;

use rustix::io::Errno;

use super::content::{FileState, SyncPoint};
use super::random::Random;
use crate::runtime::{BLOCK_BYTES, DirEntry, NAME_BYTES_MAX, Space};

pub(super) type InodeId = u64;
const ROOT: InodeId = 0;

/// What a fault can hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    Read,
    Write,
    Sync,
    /// Opening, for want of a descriptor: EMFILE.
    Open,
    /// Opening, and all that changes names or lengths.
    Other,
}

/// Operations of one kind on paths that contain a text fail, with EIO unless the kind says otherwise.
#[derive(Clone, Debug)]
pub struct Fault {
    pub op: DiskOp,
    pub path_contains: String,
    /// How many operations pass before it strikes.
    pub after: u64,
    /// How many then fail; `u64::MAX` is all.
    pub times: u64,
}

/// How long operations take, in the usual case.
#[derive(Clone, Debug)]
pub struct DiskSpeed {
    pub read: Range<Duration>,
    pub write: Range<Duration>,
    pub sync: Range<Duration>,
}

impl Default for DiskSpeed {
    fn default() -> DiskSpeed {
        let us = Duration::from_micros;
        DiskSpeed { read: us(20)..us(300), write: us(20)..us(400), sync: us(40)..us(1_000) }
    }
}

pub(super) struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    next_inode: InodeId,
    /// Changes of names that no sync has made sure yet, in order.
    unsure: Vec<NameChange>,
    changes: u64,
    used_blocks: u64,
    capacity_blocks: u64,
    inodes_max: usize,
    pub(super) speed: DiskSpeed,
    faults: Vec<Fault>,
    /// Syncs of files under way.
    syncing: usize,
    syncs_at_once: usize,
    syncs_of_files: u64,
}

enum Inode {
    File { state: FileState, open: u64, linked: bool },
    Dir { live: BTreeMap<String, InodeId>, durable: BTreeMap<String, InodeId> },
}

/// Happens whole or not at all.
struct NameChange {
    id: u64,
    edits: Vec<Edit>,
}

enum Edit {
    Link {
        dir: InodeId,
        name: String,
        inode: InodeId,
    },
    /// Only if the name still means that inode.
    Unlink {
        dir: InodeId,
        name: String,
        inode: InodeId,
    },
}

impl Edit {
    fn dir(&self) -> InodeId {
        match self {
            Edit::Link { dir, .. } | Edit::Unlink { dir, .. } => *dir,
        }
    }

    fn inode(&self) -> InodeId {
        match self {
            Edit::Link { inode, .. } | Edit::Unlink { inode, .. } => *inode,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, InodeId>) {
        match self {
            Edit::Link { name, inode, .. } => {
                names.insert(name.clone(), *inode);
            }
            Edit::Unlink { name, inode, .. } => {
                if names.get(name) == Some(inode) {
                    names.remove(name);
                }
            }
        }
    }
}

/// Marks the changes of names that one directory sync covers.
#[derive(Clone, Copy)]
pub(super) struct DirSyncPoint {
    dir: InodeId,
    upto: u64,
}

/// Marks the changes that one sync of all below a directory covers.
pub(super) struct SyncOfAllPoint {
    dirs: BTreeSet<InodeId>,
    upto: u64,
    files: Vec<(InodeId, SyncPoint)>,
}

impl Default for Disk {
    fn default() -> Disk {
        let root = Inode::Dir { live: BTreeMap::new(), durable: BTreeMap::new() };
        Disk {
            inodes: BTreeMap::from([(ROOT, root)]),
            next_inode: ROOT + 1,
            unsure: Vec::new(),
            changes: 0,
            used_blocks: 0,
            capacity_blocks: u64::MAX,
            inodes_max: usize::MAX,
            speed: DiskSpeed::default(),
            faults: Vec::new(),
            syncing: 0,
            syncs_at_once: 0,
            syncs_of_files: 0,
        }
    }
}

impl Disk {
    pub(super) fn set_capacity(&mut self, bytes: u64) {
        self.capacity_blocks = bytes / BLOCK_BYTES as u64;
    }

    /// So many more files and directories can be made.
    pub(super) fn set_free_inodes(&mut self, more: usize) {
        self.inodes_max = self.inodes.len().saturating_add(more);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_blocks * BLOCK_BYTES as u64
    }

    pub(super) fn space(&self) -> Space {
        let bytes = |blocks: u64| blocks.saturating_mul(BLOCK_BYTES as u64);
        let free_blocks = self.capacity_blocks.saturating_sub(self.used_blocks);
        Space { total_bytes: bytes(self.capacity_blocks), free_bytes: bytes(free_blocks) }
    }

    pub(super) fn add_fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub(super) fn sync_begins(&mut self) {
        self.syncing += 1;
        self.syncs_of_files += 1;
        self.syncs_at_once = self.syncs_at_once.max(self.syncing);
    }

    pub(super) fn sync_ends(&mut self) {
        self.syncing -= 1;
    }

    pub(super) fn syncs_of_files(&self) -> u64 {
        self.syncs_of_files
    }

    /// Most syncs of files that were under way at one time.
    pub(super) fn syncs_at_once(&self) -> usize {
        self.syncs_at_once
    }

    /// The error that a fault has in store for this operation.
    pub(super) fn strike(&mut self, op: DiskOp, path: &Path) -> Result<(), Errno> {
        let path = path.to_string_lossy();
        let mut struck = false;
        for fault in self.faults.iter_mut().filter(|fault| fault.op == op && path.contains(&fault.path_contains)) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                struck = true;
            }
        }
        match (struck, op) {
            (false, _) => Ok(()),
            (true, DiskOp::Open) => Err(Errno::MFILE),
            (true, _) => Err(Errno::IO),
        }
    }

    // ---- names

    fn names(&self, dir: InodeId) -> Result<&BTreeMap<String, InodeId>, Errno> {
        match &self.inodes[&dir] {
            Inode::Dir { live, .. } => Ok(live),
            Inode::File { .. } => Err(Errno::NOTDIR),
        }
    }

    fn is_dir(&self, inode: InodeId) -> bool {
        matches!(self.inodes[&inode], Inode::Dir { .. })
    }

    pub(super) fn resolve(&self, path: &Path) -> Result<InodeId, Errno> {
        components(path).try_fold(ROOT, |dir, name| {
            let names = self.names(dir)?;
            if name.len() > NAME_BYTES_MAX {
                return Err(Errno::NAMETOOLONG);
            }
            names.get(&name).copied().ok_or(Errno::NOENT)
        })
    }

    /// The directory that holds the path's last name, and that name.
    fn parent(&self, path: &Path) -> Result<(InodeId, String), Errno> {
        let name = components(path).last().ok_or(Errno::BUSY)?;
        let dir = self.resolve(path.parent().ok_or(Errno::BUSY)?)?;
        self.names(dir)?;
        if name.len() > NAME_BYTES_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        Ok((dir, name))
    }

    fn add(&mut self, inode: Inode) -> Result<InodeId, Errno> {
        if self.inodes.len() >= self.inodes_max {
            return Err(Errno::NOSPC);
        }
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        Ok(id)
    }

    fn change_names(&mut self, edits: Vec<Edit>) {
        for edit in &edits {
            if let Some(Inode::Dir { live, .. }) = self.inodes.get_mut(&edit.dir()) {
                edit.apply(live);
            }
        }
        let linked_after =
            |inode| edits.iter().any(|edit| matches!(edit, Edit::Link { inode: to, .. } if *to == inode));
        let touched: Vec<_> = edits.iter().map(|edit| (edit.inode(), linked_after(edit.inode()))).collect();
        self.changes += 1;
        self.unsure.push(NameChange { id: self.changes, edits });
        for (inode, now) in touched {
            if let Some(Inode::File { linked, .. }) = self.inodes.get_mut(&inode)
                && std::mem::replace(linked, now) != now
            {
                self.release(inode);
            }
        }
    }

    /// Gives back the space of a file that nobody can reach any more.
    fn release(&mut self, inode: InodeId) {
        if let Some(Inode::File { state, open: 0, linked: false }) = self.inodes.get(&inode) {
            self.used_blocks -= state.live.used_blocks();
            self.orphan(inode);
        }
    }

    fn orphan(&mut self, inode: InodeId) {
        let needed = self.unsure.iter().flat_map(|change| &change.edits).any(|edit| edit.inode() == inode)
            || self.inodes.values().any(|other| match other {
                Inode::Dir { durable, .. } => durable.values().any(|named| *named == inode),
                Inode::File { .. } => false,
            });
        // A power cut may bring the name back. The state then must be there; its space is counted anew.
        if !needed {
            self.inodes.remove(&inode);
        }
    }

    pub(super) fn open(&mut self, path: &Path, create: bool) -> Result<InodeId, Errno> {
        let inode = match self.resolve(path) {
            Ok(inode) if self.is_dir(inode) => return Err(Errno::ISDIR),
            Ok(inode) => inode,
            Err(Errno::NOENT) if create => {
                let (dir, name) = self.parent(path)?;
                let inode = self.add(Inode::File { state: FileState::default(), open: 0, linked: true })?;
                self.change_names(vec![Edit::Link { dir, name, inode }]);
                inode
            }
            Err(e) => return Err(e),
        };
        if let Some(Inode::File { open, .. }) = self.inodes.get_mut(&inode) {
            *open += 1;
        }
        Ok(inode)
    }

    pub(super) fn close(&mut self, inode: InodeId) {
        if let Some(Inode::File { open, .. }) = self.inodes.get_mut(&inode) {
            *open -= 1;
            self.release(inode);
        }
    }

    pub(super) fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, Errno> {
        let names = self.names(self.resolve(path)?)?;
        let entry = |(name, inode): (&String, &InodeId)| match &self.inodes[inode] {
            Inode::File { state, .. } => DirEntry { name: name.clone(), is_dir: false, len: state.live.len() },
            Inode::Dir { .. } => DirEntry { name: name.clone(), is_dir: true, len: 0 },
        };
        Ok(names.iter().map(entry).collect())
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> Result<(), Errno> {
        let mut dir = ROOT;
        let names: Vec<String> = components(path).collect();
        for (index, name) in names.iter().enumerate() {
            let found = self.names(dir)?.get(name).copied();
            dir = match found {
                Some(inode) if index + 1 == names.len() && !self.is_dir(inode) => return Err(Errno::EXIST),
                Some(inode) => inode,
                None => {
                    let inode = self.add(Inode::Dir { live: BTreeMap::new(), durable: BTreeMap::new() })?;
                    self.change_names(vec![Edit::Link { dir, name: name.clone(), inode }]);
                    inode
                }
            };
        }
        Ok(())
    }

    /// `false` if there is something of this name.
    pub(super) fn create_dir(&mut self, path: &Path) -> Result<bool, Errno> {
        let (dir, name) = self.parent(path)?;
        if self.names(dir)?.contains_key(&name) {
            return Ok(false);
        }
        let inode = self.add(Inode::Dir { live: BTreeMap::new(), durable: BTreeMap::new() })?;
        self.change_names(vec![Edit::Link { dir, name, inode }]);
        Ok(true)
    }

    pub(super) fn begin_dir_sync(&self, path: &Path) -> Result<DirSyncPoint, Errno> {
        let dir = self.resolve(path)?;
        self.names(dir)?;
        Ok(DirSyncPoint { dir, upto: self.changes })
    }

    pub(super) fn finish_dir_sync(&mut self, point: DirSyncPoint) {
        let (sure, unsure): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unsure)
            .into_iter()
            .partition(|change| change.id <= point.upto && change.edits.iter().any(|edit| edit.dir() == point.dir));
        self.unsure = unsure;
        for change in sure {
            self.make_sure(&change);
        }
    }

    /// Of what is below the directory and of nothing else: nobody may count on more.
    pub(super) fn begin_sync_of_all(&self, path: &Path) -> Result<SyncOfAllPoint, Errno> {
        let DirSyncPoint { dir, upto } = self.begin_dir_sync(path)?;
        let mut point = SyncOfAllPoint { dirs: BTreeSet::new(), upto, files: Vec::new() };
        let mut left = vec![dir];
        while let Some(inode) = left.pop() {
            match &self.inodes[&inode] {
                Inode::File { state, .. } => point.files.push((inode, state.begin_sync())),
                Inode::Dir { live, .. } => {
                    point.dirs.insert(inode);
                    left.extend(live.values());
                }
            }
        }
        Ok(point)
    }

    pub(super) fn finish_sync_of_all(&mut self, point: SyncOfAllPoint) {
        for (inode, upto) in point.files {
            // It may be gone.
            if let Some(Inode::File { state, .. }) = self.inodes.get_mut(&inode) {
                state.finish_sync(upto);
            }
        }
        for dir in point.dirs {
            self.finish_dir_sync(DirSyncPoint { dir, upto: point.upto });
        }
    }

    fn make_sure(&mut self, change: &NameChange) {
        for edit in &change.edits {
            if let Some(Inode::Dir { durable, .. }) = self.inodes.get_mut(&edit.dir()) {
                edit.apply(durable);
            }
        }
        for edit in &change.edits {
            if let Some(Inode::File { open: 0, linked: false, .. }) = self.inodes.get(&edit.inode()) {
                self.orphan(edit.inode());
            }
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let inode = self.resolve(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let target = self.names(to_dir)?.get(&to_name).copied();
        match target {
            Some(target) if target == inode => return Ok(()),
            Some(target) => match (self.is_dir(inode), self.is_dir(target)) {
                (true, false) => return Err(Errno::NOTDIR),
                (false, true) => return Err(Errno::ISDIR),
                (true, true) if !self.names(target)?.is_empty() => return Err(Errno::NOTEMPTY),
                _ => {}
            },
            None => {}
        }
        let replaced = target.map(|target| Edit::Unlink { dir: to_dir, name: to_name.clone(), inode: target });
        let moved =
            [Edit::Unlink { dir: from_dir, name: from_name, inode }, Edit::Link { dir: to_dir, name: to_name, inode }];
        self.change_names(replaced.into_iter().chain(moved).collect());
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> Result<(), Errno> {
        let inode = self.resolve(path)?;
        if self.is_dir(inode) {
            return Err(Errno::ISDIR);
        }
        let (dir, name) = self.parent(path)?;
        self.change_names(vec![Edit::Unlink { dir, name, inode }]);
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> Result<(), Errno> {
        let inode = self.resolve(path)?;
        for name in self.names(inode)?.keys().cloned().collect::<Vec<_>>() {
            let below = path.join(&name);
            if self.is_dir(self.resolve(&below)?) { self.remove_dir_all(&below)? } else { self.remove_file(&below)? }
        }
        let (dir, name) = self.parent(path)?;
        self.change_names(vec![Edit::Unlink { dir, name, inode }]);
        Ok(())
    }

    // ---- files

    /// The file behind an inode that is open or was just resolved.
    pub(super) fn file(&mut self, inode: InodeId) -> Result<&mut FileState, Errno> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File { state, .. }) => Ok(state),
            Some(Inode::Dir { .. }) => Err(Errno::ISDIR),
            None => Err(Errno::BADF),
        }
    }

    /// Refuses what does not fit.
    pub(super) fn admit(&mut self, inode: InodeId, pos: u64, len: usize) -> Result<(), Errno> {
        let free = self.capacity_blocks.saturating_sub(self.used_blocks);
        if self.file(inode)?.live.blocks_needed(pos, len) > free { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// Runs a change of a file, and keeps the account of space.
    pub(super) fn accounted(&mut self, inode: InodeId, change: impl FnOnce(&mut FileState)) -> Result<(), Errno> {
        // A file that nobody can reach has given its space back already.
        let counted = !matches!(self.inodes.get(&inode), Some(Inode::File { open: 0, linked: false, .. }));
        let file = self.file(inode)?;
        let before = file.live.used_blocks();
        change(file);
        let after = file.live.used_blocks();
        if counted {
            self.used_blocks = self.used_blocks + after - before;
        }
        Ok(())
    }

    // ---- crashes

    /// A random part of what is not sure survives: at times a prefix, as journaling file systems keep it, at times any.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        self.syncing = 0;
        let unsure = std::mem::take(&mut self.unsure);
        let prefix = random.one_in(2).then(|| random.index(unsure.len() + 1));
        for (index, change) in unsure.iter().enumerate() {
            if prefix.map_or_else(|| random.one_in(2), |len| index < len) {
                self.make_sure(change);
            }
        }
        let mut reached = vec![ROOT];
        let mut next = 0;
        while let Some(inode) = reached.get(next) {
            next += 1;
            match self.inodes.get_mut(inode) {
                Some(Inode::Dir { live, durable }) => {
                    live.clone_from(durable);
                    reached.extend(live.values());
                }
                Some(Inode::File { state, open, linked }) => {
                    state.power_cut(random);
                    (*open, *linked) = (0, true);
                }
                None => {}
            }
        }
        reached.sort_unstable();
        self.inodes.retain(|inode, _| reached.binary_search(inode).is_ok());
        self.used_blocks = self.count_blocks();
    }

    /// Only the process ends: names and finished writes stay.
    pub(super) fn process_killed(&mut self, random: &mut Random) {
        self.syncing = 0;
        let files: Vec<InodeId> = self.inodes.keys().copied().collect();
        for inode in files {
            if let Some(Inode::File { state, open, .. }) = self.inodes.get_mut(&inode) {
                *open = 0;
                state.process_killed(random);
            }
        }
        self.used_blocks = self.count_blocks();
    }

    fn count_blocks(&self) -> u64 {
        let blocks = |inode: &Inode| match inode {
            Inode::File { state, linked: true, .. } => state.live.used_blocks(),
            _ => 0,
        };
        self.inodes.values().map(blocks).sum()
    }
}

/// The names of an absolute path.
fn components(path: &Path) -> impl Iterator<Item = String> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    })
}
