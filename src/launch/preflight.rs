//! What must be right before anything starts: the clock, the limit of open files, direct I/O where the data is, and the
//! addresses. Each problem has its own message with its cure. What is wrong with io_uring is found by the executors.
//!
//! Invariant: nothing is left behind where the data is.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, sockopt};

use super::port;

/// 2020-01-01T00:00:00Z. No machine that runs this has lived before.
const CLOCK_MIN: Duration = Duration::from_secs(1_577_836_800);
/// Files that a process has open without any data: sockets, rings, the journal.
const OPEN_FILES_BASE: u64 = 64;
/// … and what each shard needs besides.
const OPEN_FILES_PER_SHARD: u64 = 64;

/// What keeps a broker from starting here.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(
        "the clock says that it is {said}, before 2020: records would get wrong times and be deleted too late; set it \
         (`timedatectl set-ntp true`, or `date -s`), then start again"
    )]
    Clock { said: String },
    #[error(
        "the limit of open files is {limit}, and a broker with {shards} as `shards` needs {needed}: raise it with `ulimit -n {needed}` or more, \
         `LimitNOFILE=1048576` (systemd) or `--ulimit nofile=1048576` (Docker), or lower `shards`"
    )]
    OpenFiles { limit: u64, needed: u64, shards: u64 },
    #[error(
        "{} is on {file_system}, which has no direct I/O (O_DIRECT): set data_dir (or --data-dir) to a directory on ext4, \
         XFS or Btrfs", dir.display()
    )]
    NoDirectIo { dir: PathBuf, file_system: String },
    #[error("{}: {source}; the directory must be writable to this user, on a disk that is not full", path.display())]
    Probe { path: PathBuf, source: io::Error },
    #[error(
        "{addr} is taken by {holder}: stop it, or listen elsewhere (--listen HOST:PORT, or `listeners` in the file)"
    )]
    AddressTaken { addr: SocketAddr, holder: String },
    #[error(
        "{addr} is no address of this machine: `ip addr` lists those it has; listen on one of them or on 0.0.0.0, and tell \
         clients another with advertised.listeners"
    )]
    AddressNotHere { addr: SocketAddr },
    #[error(
        "port {} of {addr} is for privileged users only: listen on one from 1024 up, or give the process \
         CAP_NET_BIND_SERVICE (`AmbientCapabilities=CAP_NET_BIND_SERVICE` in systemd)", addr.port()
    )]
    AddressDenied { addr: SocketAddr },
    #[error(
        "{addr} cannot be listened on: {source}; listen elsewhere (--listen HOST:PORT, or `listeners` in the file)"
    )]
    Address { addr: SocketAddr, source: io::Error },
}

/// A clock before 2020 was never set.
pub fn check_clock(now: SystemTime) -> Result<(), PreflightError> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if since >= CLOCK_MIN {
        return Ok(());
    }
    let year = 1970 + since.as_secs() / (365 * 24 * 3600 + 6 * 3600);
    Err(PreflightError::Clock { said: year.to_string() })
}

/// `limit`: how many files this process may open, after raising it as far as it goes.
pub fn check_open_files(limit: u64, shards: u64) -> Result<(), PreflightError> {
    let needed = OPEN_FILES_BASE + OPEN_FILES_PER_SHARD * shards;
    if limit < needed { Err(PreflightError::OpenFiles { limit, needed, shards }) } else { Ok(()) }
}

/// Opens a file of this directory past the page cache. Only for who holds the directory's lock.
pub fn check_direct_io(dir: &Path) -> Result<(), PreflightError> {
    let path = dir.join(".probe-direct");
    let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_else(|_| unreachable!("a flag of open"));
    let opened = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(&path);
    // It may be there although it could not be opened.
    let removed = fs::remove_file(&path);
    match opened {
        Ok(_) => removed.map_err(|source| PreflightError::Probe { path, source }),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            Err(PreflightError::NoDirectIo { dir: dir.to_owned(), file_system: file_system(dir) })
        }
        // A broker must start on a full disk: only then can space be made.
        Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
        Err(source) => Err(PreflightError::Probe { path, source }),
    }
}

/// The type of the file system that a path is on, as the kernel calls it.
fn file_system(path: &Path) -> String {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    // The later of two mounts on one place hides the earlier.
    let place = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind) = (fields.next()?.replace("\\040", " "), fields.next()?.to_owned());
        real.starts_with(&at).then_some((at.len(), kind))
    };
    let found = mounts.lines().filter_map(place).max_by_key(|(depth, _)| *depth);
    found.map_or_else(|| "a file system".to_owned(), |(_, kind)| kind)
}

/// An address that is ours while this lives.
#[derive(Debug)]
pub struct AddressLock {
    _name: UnixListener,
}

/// Sees that nobody listens there, and keeps other brokers off: SO_REUSEPORT would let a second one share the port in
/// silence. The lock is a name in the network namespace that the port is in; it goes with the process.
pub fn take_address(addr: SocketAddr) -> Result<AddressLock, PreflightError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => PreflightError::AddressTaken { addr, holder: port::holder(addr) },
        io::ErrorKind::AddrNotAvailable => PreflightError::AddressNotHere { addr },
        io::ErrorKind::PermissionDenied => PreflightError::AddressDenied { addr },
        _ => PreflightError::Address { addr, source },
    };
    let name = UnixAddr::from_abstract_name(format!("corelog {addr}")).map_err(failed)?;
    let lock = UnixListener::bind_addr(&name).map_err(failed)?;
    bind_shared(addr).map_err(|e| failed(e.into()))?;
    Ok(AddressLock { _name: lock })
}

/// Binds as the shards will, and lets go. Shared: the kernel may still be closing the sockets of a broker that was
/// killed a moment ago.
fn bind_shared(addr: SocketAddr) -> Result<(), Errno> {
    let socket =
        net::socket(if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &addr)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_clock_before_2020_is_refused_with_what_it_says() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(check_clock(at(1_577_836_800)).is_ok());
        let said = |seconds| check_clock(at(seconds)).expect_err("too early").to_string();
        assert!(said(1_577_836_799).contains("2019") && said(0).contains("1970"), "{}", said(0));
        assert!(said(0).contains("timedatectl set-ntp true"));
        assert!(check_clock(UNIX_EPOCH - Duration::from_secs(1)).is_err());
    }

    #[test]
    fn each_shard_needs_its_share_of_open_files() {
        assert!(check_open_files(128, 1).is_ok() && check_open_files(1024, 8).is_ok());
        let refused = check_open_files(127, 1).expect_err("too few").to_string();
        assert!(refused.contains("is 127") && refused.contains("`ulimit -n 128`"), "{refused}");
    }

    #[test]
    fn a_probe_leaves_nothing_and_a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        check_direct_io(dir.path()).expect("direct I/O");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
        assert!(matches!(check_direct_io(&dir.path().join("none")), Err(PreflightError::Probe { .. })));
        assert_ne!(file_system(dir.path()), "a file system");
    }

    #[test]
    fn an_address_is_taken_once_and_free_again_after() {
        let addr = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port");
        let lock = take_address(addr).expect("free");
        assert!(matches!(take_address(addr), Err(PreflightError::AddressTaken { .. })));
        drop(lock);
        let _listener = TcpListener::bind(addr).expect("free again");
        let taken = take_address(addr).expect_err("someone else listens").to_string();
        assert!(taken.contains(&format!("(process {})", std::process::id())), "{taken}");
        let elsewhere = "192.0.2.1:9092".parse().expect("an address that nobody has");
        assert!(matches!(take_address(elsewhere), Err(PreflightError::AddressNotHere { .. })));
    }
}
