//! The `meta` file of a data directory: which format, which cluster, which node. And the lock that keeps others out.
//!
//! Invariant: a directory of another format, or of another node, is refused before anything in it is touched; one that is
//! being filled has no `meta` until it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Format of the whole directory. A build opens this one and says so about any other.
pub const FORMAT: u32 = 1;
const META: &str = "meta";
/// The same content under this name, while the directory is being filled.
const FILLING: &str = "meta.importing";

#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    #[error("{}: user {uid} may not write there: `{cure}`, or choose another directory (--data-dir)", path.display())]
    Denied { path: PathBuf, uid: u32, cure: String },
    #[error(
        "{} is on a file system that is mounted read-only: `mount -o remount,rw` it, or choose another directory (--data-dir)",
        path.display()
    )]
    ReadOnly { path: PathBuf },
    #[error("{}: {source}; choose another directory (--data-dir)", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is in use by another corelog: stop that one first, or choose another directory (--data-dir)", dir.display())]
    Locked { dir: PathBuf },
    #[error(
        "{} is not empty and not a data directory of corelog (it holds {found}): nothing was changed; choose an empty one{}",
        dir.display(),
        if dir.join("meta.properties").exists() { ", and take Kafka's topics over with `corelog log import`" } else { "" }
    )]
    Foreign { dir: PathBuf, found: String },
    #[error("{} has format {format}; this build knows format {FORMAT}. Nothing was changed; run the version that wrote it", path.display())]
    Format { path: PathBuf, format: u32 },
    #[error("{} is damaged: {what}; nothing was changed: put the file back from a copy of the directory", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{} is in use by a running broker: stop it first, or work on a copy of the directory", dir.display())]
    InUse { dir: PathBuf },
    #[error("{} is not a data directory of corelog: there is no file {} in it", dir.display(), META)]
    NotOurs { dir: PathBuf },
    #[error(
        "an import into {} has not ended, so no broker may run on it: run `corelog log import` again, which begins anew, or \
         delete the directory", dir.display()
    )]
    Unfinished { dir: PathBuf },
    #[error("{} holds data of corelog already: nothing was changed; choose a new or empty directory", dir.display())]
    Occupied { dir: PathBuf },
    #[error("{}: {what}. Nothing was changed; run the version that wrote it", path.display())]
    Newer { path: PathBuf, what: String },
    #[error(
        "{} cannot be read: {source}{}", path.display(),
        if source.kind() == io::ErrorKind::PermissionDenied { "; run this as the broker's user, or as root" } else { "" }
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} belongs to node {theirs}, and node.id is {ours}: set node.id = {theirs}, or choose another directory", path.display())]
    OtherNode { path: PathBuf, theirs: i32, ours: i32 },
}

impl MetaError {
    /// What is wrong with `path`, which is `dir` or in it.
    fn at(dir: &Path, path: &Path, source: io::Error) -> MetaError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => {
                let (uid, place) = (rustix::process::geteuid().as_raw(), dir.display());
                let cure = if dir.exists() {
                    format!("sudo chown -R {uid} {place}")
                } else {
                    format!("sudo install -d -o {uid} {place}")
                };
                MetaError::Denied { path, uid, cure }
            }
            io::ErrorKind::ReadOnlyFilesystem => MetaError::ReadOnly { path },
            _ => MetaError::Io { path, source },
        }
    }
}

/// Identity of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub cluster_id: String,
    pub node_id: i32,
}

/// A data directory that is ours while this lives.
#[derive(Debug)]
pub struct DataDir {
    pub path: PathBuf,
    pub meta: Meta,
    lock: Lock,
}

impl DataDir {
    /// Locks the directory, and makes it one of corelog's if it is empty.
    pub fn open(path: &Path, node_id: i32, new_cluster_id: impl FnOnce() -> String) -> Result<DataDir, MetaError> {
        create_durably(path).map_err(|e| MetaError::at(path, path, e))?;
        let meta_path = path.join(META);
        is_known(path)?;
        let lock = lock(path)?;
        // Whoever had the lock may have ended meanwhile, with a directory that is no longer empty.
        let meta = if is_known(path)? {
            read(path, &meta_path)?
        } else {
            let meta = Meta { cluster_id: new_cluster_id(), node_id };
            write(path, &meta_path, &meta).map_err(|e| MetaError::at(path, &meta_path, e))?;
            // Where a disk was meant to be mounted, this is how it shows.
            tracing::info!(data_dir = %path.display(), cluster_id = meta.cluster_id, "a new data directory");
            meta
        };
        if meta.node_id != node_id {
            return Err(MetaError::OtherNode { path: meta_path, theirs: meta.node_id, ours: node_id });
        }
        Ok(DataDir { path: path.to_owned(), meta, lock })
    }

    /// Whether the directory that is locked is still the one that files are opened in, by its path.
    pub fn is_in_place(&self) -> bool {
        let same = |ours: fs::Metadata, there: fs::Metadata| (ours.dev(), ours.ino()) == (there.dev(), there.ino());
        match (self.lock.dir.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => same(ours, there),
            (_, Err(e)) => e.kind() != io::ErrorKind::NotFound,
            // Of a disk that fails the shards will tell.
            (Err(_), Ok(_)) => true,
        }
    }
}

/// A directory that is being filled, by another hand than a broker's. No broker takes it, neither while this lives nor when it
/// was left unfinished.
#[derive(Debug)]
pub struct Filling {
    path: PathBuf,
    _lock: Lock,
}

impl Filling {
    /// Takes a new or empty directory, or one whose filling was cut short; `parts` are the entries that may be there then, and
    /// go away.
    ///
    /// # Errors
    /// It is in use, holds data, or cannot be written.
    pub fn take(path: &Path, meta: &Meta, parts: &[&str]) -> Result<Filling, MetaError> {
        create_durably(path).map_err(|e| MetaError::at(path, path, e))?;
        let filling = path.join(FILLING);
        let begun = filling.exists();
        if path.join(META).exists() {
            return Err(MetaError::Occupied { dir: path.to_owned() });
        }
        if !begun {
            refuse_foreign(path)?;
        }
        let lock = lock(path)?;
        // Whoever had the lock may have ended meanwhile.
        if path.join(META).exists() {
            return Err(MetaError::Occupied { dir: path.to_owned() });
        }
        for part in parts.iter().filter(|_| begun).map(|part| path.join(part)) {
            let removed = if part.is_dir() { fs::remove_dir_all(&part) } else { fs::remove_file(&part) };
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(MetaError::at(path, &part, e)),
                _ => {}
            }
        }
        // Only now: what was there may have filled the disk.
        write(path, &filling, meta).map_err(|e| MetaError::at(path, &filling, e))?;
        Ok(Filling { path: path.to_owned(), _lock: lock })
    }

    /// All that was put into it is synced: from now on it is a data directory.
    pub fn finish(self) -> Result<(), MetaError> {
        let meta = self.path.join(META);
        let named = fs::rename(self.path.join(FILLING), &meta).and_then(|()| File::open(&self.path)?.sync_all());
        named.map_err(|e| MetaError::at(&self.path, &meta, e))
    }
}

/// A data directory for a tool: no broker takes it while this lives.
#[derive(Debug)]
pub struct AtRest {
    /// Or what is wrong with the file.
    pub meta: Result<Meta, MetaError>,
    _lock: Lock,
}

impl AtRest {
    /// Keeps brokers out, and other tools too if it is to be `changed`. Nothing is written or made: a copy without the file
    /// that is locked is nobody's.
    ///
    /// # Errors
    /// A broker has it, it is of another format, or none of corelog's at all.
    pub fn hold(path: &Path, changed: bool) -> Result<AtRest, MetaError> {
        let meta_path = path.join(META);
        if !meta_path.exists() {
            refuse_unfinished(path)?;
        }
        if !meta_path.exists() && !path.join("run").exists() {
            return Err(MetaError::NotOurs { dir: path.to_owned() });
        }
        let lock_path = path.join("lock");
        let file = match File::open(&lock_path) {
            Ok(lock) => Some(lock),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(MetaError::Unreadable { path: lock_path, source }),
        };
        let how =
            if changed { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::NonBlockingLockShared };
        let dir = File::open(path).map_err(|source| MetaError::Unreadable { path: path.to_owned(), source })?;
        for (taken, at) in file.iter().map(|file| (file, lock_path.as_path())).chain([(&dir, path)]) {
            match flock(taken, how) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(MetaError::InUse { dir: path.to_owned() }),
                Err(e) => return Err(MetaError::Unreadable { path: at.to_owned(), source: e.into() }),
            }
        }
        let lock = Lock { dir, _file: file };
        let meta = match File::open(&meta_path) {
            Ok(_) => read(path, &meta_path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(MetaError::Damaged { path: meta_path, what: "it is missing".to_owned() })
            }
            Err(source) => return Err(MetaError::Unreadable { path: meta_path, source }),
        };
        match meta {
            Err(format @ MetaError::Format { .. }) => Err(format),
            meta => Ok(AtRest { meta, _lock: lock }),
        }
    }
}

/// Makes the directory and those above it that are missing; their names outlive a power cut.
fn create_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(path)?;
    for dir in missing {
        let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

/// The directory and a file in it are locked: the file can be removed, and the next one is another file; tools of others look at it.
#[derive(Debug)]
struct Lock {
    dir: File,
    _file: Option<File>,
}

fn lock(dir: &Path) -> Result<Lock, MetaError> {
    let path = dir.join("lock");
    let take = |file: io::Result<File>, path: &Path| {
        let file = file.map_err(|e| MetaError::at(dir, path, e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(MetaError::Locked { dir: dir.to_owned() }),
            Err(error) => Err(MetaError::at(dir, path, error.into())),
        }
    };
    let file = take(OpenOptions::new().create(true).truncate(false).write(true).open(&path), &path)?;
    Ok(Lock { dir: take(File::open(dir), dir)?, _file: Some(file) })
}

/// Whether the directory is one of corelog's; if not, it is empty.
fn is_known(dir: &Path) -> Result<bool, MetaError> {
    let known = dir.join(META).exists();
    if !known {
        refuse_unfinished(dir)?;
        refuse_foreign(dir)?;
    }
    Ok(known)
}

fn refuse_unfinished(dir: &Path) -> Result<(), MetaError> {
    if dir.join(FILLING).exists() { Err(MetaError::Unfinished { dir: dir.to_owned() }) } else { Ok(()) }
}

fn refuse_foreign(dir: &Path) -> Result<(), MetaError> {
    let io = |source| MetaError::at(dir, dir, source);
    for entry in fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        // A first start that crashed leaves these; a file system's own directory is nobody's data.
        if !["lock", "meta.new", "lost+found"].contains(&name.as_str()) {
            return Err(MetaError::Foreign { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}

fn write(dir: &Path, path: &Path, meta: &Meta) -> io::Result<()> {
    let beside = dir.join("meta.new");
    let mut file = File::create(&beside)?;
    let body = format!("format={FORMAT}\ncluster.id={}\nnode.id={}\n", meta.cluster_id, meta.node_id);
    let crc = shards::batch::crc::crc32c(body.as_bytes());
    file.write_all(format!("{body}crc32c={crc:08x}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(dir)?.sync_all()
}

fn read(dir: &Path, path: &Path) -> Result<Meta, MetaError> {
    let damaged = |what: &str| MetaError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let text = fs::read_to_string(path).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => damaged("it is no text"),
        _ => MetaError::at(dir, path, e),
    })?;
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
    let format = value("format").and_then(|v| v.parse().ok()).ok_or_else(|| damaged("it names no format"))?;
    if format != FORMAT {
        return Err(MetaError::Format { path: path.to_owned(), format });
    }
    let (body, crc) = text.split_once("crc32c=").ok_or_else(|| damaged("it has no checksum"))?;
    if u32::from_str_radix(crc.trim(), 16).ok() != Some(shards::batch::crc::crc32c(body.as_bytes())) {
        return Err(damaged("its checksum does not match"));
    }
    let cluster_id = value("cluster.id").ok_or_else(|| damaged("it names no cluster"))?.to_owned();
    let node_id = value("node.id").and_then(|v| v.parse().ok()).ok_or_else(|| damaged("it names no node"))?;
    Ok(Meta { cluster_id, node_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, node: i32) -> Result<DataDir, MetaError> {
        DataDir::open(dir, node, || "a-cluster".to_owned())
    }

    #[test]
    fn a_directory_keeps_its_identity() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = open(dir.path(), 1).expect("made").meta.clone();
        assert_eq!(open(dir.path(), 1).expect("opened again").meta, first);
        assert!(matches!(open(dir.path(), 2), Err(MetaError::OtherNode { theirs: 1, ours: 2, .. })));
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let _held = open(dir.path(), 1).expect("made");
        assert!(matches!(open(dir.path(), 1), Err(MetaError::Locked { .. })));
    }

    #[test]
    fn a_tool_keeps_brokers_out_and_a_broker_keeps_tools_out() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(AtRest::hold(dir.path(), false), Err(MetaError::NotOurs { .. })));
        let broker = open(dir.path(), 1).expect("made");
        assert!(matches!(AtRest::hold(dir.path(), false), Err(MetaError::InUse { .. })));
        drop(broker);
        let tools = [false, false].map(|changed| AtRest::hold(dir.path(), changed).expect("held"));
        assert_eq!(tools[0].meta.as_ref().expect("whole").node_id, 1);
        assert!(matches!(AtRest::hold(dir.path(), true), Err(MetaError::InUse { .. })));
        assert!(matches!(open(dir.path(), 1), Err(MetaError::Locked { .. })));
    }

    #[test]
    fn a_directory_whose_filling_was_cut_short_serves_nobody_and_can_be_filled_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let meta = Meta { cluster_id: "theirs".to_owned(), node_id: 7 };
        let take = || Filling::take(dir.path(), &meta, &["data", "run"]);
        let cut = take().expect("taken");
        fs::create_dir_all(dir.path().join("data/orders-0")).expect("made");
        assert!(matches!(take(), Err(MetaError::Locked { .. })));
        drop(cut);
        assert!(matches!(open(dir.path(), 7), Err(MetaError::Unfinished { .. })));
        assert!(matches!(AtRest::hold(dir.path(), false), Err(MetaError::Unfinished { .. })));
        let again = take().expect("taken again");
        assert!(!dir.path().join("data").exists());
        again.finish().expect("finished");
        assert_eq!(open(dir.path(), 7).expect("opened").meta, meta);
        assert!(matches!(take(), Err(MetaError::Occupied { .. })));
    }

    #[test]
    fn a_foreign_or_newer_or_damaged_directory_is_refused_untouched() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("thesis.txt"), "years of work").expect("written");
        assert!(matches!(open(dir.path(), 1), Err(MetaError::Foreign { .. })));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);

        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path(), 1).expect("made"));
        let path = dir.path().join("meta");
        let text = fs::read_to_string(&path).expect("read");
        fs::write(&path, text.replace("format=1", "format=9")).expect("written");
        assert!(matches!(open(dir.path(), 1), Err(MetaError::Format { format: 9, .. })));
        fs::write(&path, text.replace("a-cluster", "b-cluster")).expect("written");
        assert!(matches!(open(dir.path(), 1), Err(MetaError::Damaged { .. })));
    }
}
