//! What must be right before anything starts: the clock, the limit of open files, direct I/O where the data is, and the
//! addresses. Each problem has its own message with its cure. What is wrong with io_uring is found by the executors.
//!
//! Invariant: nothing is left behind where the data is.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use shards::shard::settings::Layout;

use super::port;

/// 2020-01-01T00:00:00Z. No machine that runs this has lived before.
const CLOCK_MIN: Duration = Duration::from_secs(1_577_836_800);
/// So far a clock may be behind without a word: files that are copied, and clocks that are set, may be off by hours.
const BEHIND_MAX: Duration = Duration::from_secs(24 * 3600);
/// Descriptors that a process needs without any shard: 64 connections of its HTTP, and what it starts with.
const DESCRIPTORS_BASE: u64 = 128;
/// … and what each shard needs besides segments and connections: rings, listeners, the journal, the checkpoint, directories
/// that are synced, and files in use that are not among those held open any more.
const DESCRIPTORS_PER_SHARD: u64 = 64;
/// Segment files that a shard holds open, at least and at most, where nothing is set.
const SEGMENTS_MIN: u64 = 16;
const SEGMENTS_MOST: u64 = 1000;
/// Connections for which there must be room, for each shard.
const CONNECTIONS_MIN: u64 = 16;

/// What keeps a broker from starting here.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(
        "the clock says that it is {said}, before 2020: records would get wrong times and be deleted too late; set it \
         (`timedatectl set-ntp true`, or `date -s`), then start again"
    )]
    Clock { said: String },
    #[error(
        "the limit of open files is {limit}, and a broker with {shards} as `shards` and {segments} as segment.files.open.max needs \
         {needed}: raise it with `ulimit -n {needed}` or more, `LimitNOFILE=1048576` (systemd) or `--ulimit nofile=1048576` \
         (Docker), or lower `shards` or segment.files.open.max"
    )]
    OpenFiles { limit: u64, needed: u64, shards: u64, segments: u64 },
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

/// By how much the clock is behind what the last run left, where that is over [`BEHIND_MAX`]: it is wrong now, or was then.
pub fn clock_behind(layout: &Layout, now: SystemTime) -> Option<Duration> {
    // What cannot be looked at the start itself tells of.
    let checkpoints =
        fs::read_dir(layout.checkpoints()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let written = |path: PathBuf| fs::metadata(path).ok()?.modified().ok();
    let last = checkpoints.chain([layout.root.join("run")]).filter_map(written).max()?;
    last.duration_since(now).ok().filter(|behind| *behind > BEHIND_MAX)
}

/// What the limit of open files is for. Its parts and the fixed needs come to the limit at most, so that no peer can take what
/// the disk needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Segment files that each shard holds open.
    pub segments: u64,
    /// Connections of all shards together.
    pub connections: u64,
}

impl Descriptors {
    /// `limit`: how many files this process may open, after raising it as far as it goes. `segments`: what was set for each
    /// shard, if anything.
    ///
    /// # Errors
    /// The limit is too low for that.
    pub fn part(limit: u64, shards: u64, segments: Option<u64>) -> Result<Descriptors, PreflightError> {
        let fixed = DESCRIPTORS_BASE + DESCRIPTORS_PER_SHARD * shards;
        let half = limit.saturating_sub(fixed) / 2 / shards;
        let segments = segments.unwrap_or_else(|| half.clamp(SEGMENTS_MIN, SEGMENTS_MOST));
        let held = fixed + segments * shards;
        let needed = held + CONNECTIONS_MIN * shards;
        if limit < needed {
            return Err(PreflightError::OpenFiles { limit, needed, shards, segments });
        }
        Ok(Descriptors { segments, connections: limit - held })
    }

    /// The limit of open files with which there is room for so many connections.
    pub fn limit_for(&self, connections: u64, limit: u64) -> u64 {
        limit.saturating_add(connections.saturating_sub(self.connections))
    }
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
    /// Bound, and never listens. Sockets that share the port may be bound beside it; a probe may not, at this address or one that
    /// covers it.
    _placeholder: OwnedFd,
}

/// A broker that was killed a moment ago still has its sockets, and one that starts beside us the right to ask first: so long it
/// is tried again.
const TAKE_MAX: Duration = Duration::from_secs(2);
const TAKE_PAUSE: Duration = Duration::from_millis(50);

/// Sees that nobody listens there, nor at an address that covers it, and keeps other brokers off: SO_REUSEPORT would let a second
/// one share the port in silence, or take the more particular address from the one that listens on all.
pub fn take_address(addr: SocketAddr) -> Result<AddressLock, PreflightError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => PreflightError::AddressTaken { addr, holder: port::holder(addr) },
        io::ErrorKind::AddrNotAvailable => PreflightError::AddressNotHere { addr },
        io::ErrorKind::PermissionDenied => PreflightError::AddressDenied { addr },
        _ => PreflightError::Address { addr, source },
    };
    // Brokers that start at once ask one after the other. A name in the network namespace that the port is in; it goes with the
    // process.
    let name = UnixAddr::from_abstract_name(format!("corelog port {}", addr.port())).map_err(failed)?;
    let _turn = again_while_taken(|| UnixListener::bind_addr(&name)).map_err(failed)?;
    let placeholder = again_while_taken(|| {
        drop(bound(addr, Sharing::Nobody)?);
        bound(addr, Sharing::Ours)
    });
    Ok(AddressLock { _placeholder: placeholder.map_err(failed)? })
}

fn again_while_taken<T>(take: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let tries = TAKE_MAX.as_millis() / TAKE_PAUSE.as_millis();
    for _ in 0..tries {
        match take() {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(TAKE_PAUSE),
            taken => return taken,
        }
    }
    take()
}

/// Beside whom a socket is bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Not beside anybody who listens, whatever they share; connections that are still being closed do not count.
    Nobody,
    /// Beside the shards' sockets. Whoever shares with nobody is kept off, though this one does not listen.
    Ours,
}

fn bound(addr: SocketAddr, sharing: Sharing) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    match sharing {
        Sharing::Nobody => sockopt::set_socket_reuseaddr(&socket, true)?,
        Sharing::Ours => sockopt::set_socket_reuseport(&socket, true)?,
    }
    if addr.is_ipv6() {
        // As the shards' sockets.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    net::bind(&socket, &addr)?;
    Ok(socket)
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
    fn a_clock_is_behind_by_what_the_newest_file_of_the_last_run_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = Layout { root: dir.path().to_owned() };
        let now = SystemTime::now();
        assert_eq!(clock_behind(&layout, UNIX_EPOCH), None, "there was no run yet");
        let write = |path: PathBuf, at: SystemTime| {
            let file = fs::File::create(path).expect("made");
            file.set_modified(at).expect("set");
        };
        write(dir.path().join("run"), now);
        fs::create_dir(layout.checkpoints()).expect("made");
        write(layout.checkpoints().join("0-1"), now + BEHIND_MAX);
        assert_eq!(clock_behind(&layout, now), None);
        assert_eq!(clock_behind(&layout, now - BEHIND_MAX), Some(2 * BEHIND_MAX));
    }

    #[test]
    fn each_shard_needs_its_share_of_open_files() {
        assert!(Descriptors::part(224, 1, None).is_ok() && Descriptors::part(1024, 8, None).is_ok());
        let refused = Descriptors::part(223, 1, None).expect_err("too few").to_string();
        assert!(refused.contains("is 223") && refused.contains("`ulimit -n 224`"), "{refused}");
    }

    #[test]
    fn segments_and_connections_leave_the_shards_what_the_disk_needs() {
        for (limit, shards) in [(224, 1), (1024, 1), (1024, 7), (4096, 8), (65_536, 64), (1 << 20, 2)] {
            let Descriptors { segments, connections } = Descriptors::part(limit, shards, None).expect("enough");
            assert_eq!(DESCRIPTORS_BASE + (DESCRIPTORS_PER_SHARD + segments) * shards + connections, limit);
            assert!((16..=1000).contains(&segments) && connections >= 16 * shards, "{segments}, {connections}");
        }
        let given = Descriptors::part(4096, 2, Some(1500)).expect("it fits");
        assert_eq!((given.segments, given.connections), (1500, 4096 - 128 - 2 * 1564));
        assert_eq!(given.limit_for(10_000, 4096), 128 + 2 * 1564 + 10_000);
    }

    #[test]
    fn more_segment_files_than_the_limit_has_room_for_are_refused_with_the_limit_for_them() {
        let refused = Descriptors::part(4096, 1, Some(100_000)).expect_err("too many").to_string();
        assert!(refused.contains("100000 as segment.files.open.max"), "{refused}");
        assert!(refused.contains("`ulimit -n 100208`") && refused.contains("LimitNOFILE="), "{refused}");
    }

    #[test]
    fn a_probe_leaves_nothing_and_a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        check_direct_io(dir.path()).expect("direct I/O");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
        assert!(matches!(check_direct_io(&dir.path().join("none")), Err(PreflightError::Probe { .. })));
        assert_ne!(file_system(dir.path()), "a file system");
    }

    fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port")
    }

    /// As the shards listen.
    fn listen(addr: SocketAddr) -> OwnedFd {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("set");
        sockopt::set_socket_reuseport(&socket, true).expect("set");
        net::bind(&socket, &addr).and_then(|()| net::listen(&socket, 16)).expect("it is ours");
        socket
    }

    fn is_taken(addr: SocketAddr) -> bool {
        matches!(take_address(addr), Err(PreflightError::AddressTaken { .. }))
    }

    #[test]
    fn an_address_is_taken_once_and_free_again_after() {
        let addr = free();
        let lock = take_address(addr).expect("free");
        assert!(is_taken(addr));
        drop(lock);
        let _listener = TcpListener::bind(addr).expect("free again");
        let taken = take_address(addr).expect_err("someone else listens").to_string();
        assert!(taken.contains(&format!("(process {})", std::process::id())), "{taken}");
        let elsewhere = "192.0.2.1:9092".parse().expect("an address that nobody has");
        assert!(matches!(take_address(elsewhere), Err(PreflightError::AddressNotHere { .. })));
    }

    #[test]
    fn an_address_is_taken_where_somebody_listens_on_all_and_all_where_somebody_has_one() {
        let addr = free();
        let all = SocketAddr::from(([0, 0, 0, 0], addr.port()));
        for (first, second) in [(all, addr), (addr, all)] {
            let lock = take_address(first).expect("free");
            assert!(is_taken(second), "{second} beside {first}, before it listens");
            let shards = [listen(first), listen(first)];
            assert!(is_taken(second), "{second} beside {first}");
            drop(lock);
            assert!(is_taken(second), "{second} beside a program that shares its port");
            drop(shards);
        }
        assert!(take_address(addr).is_ok());
    }

    #[test]
    fn addresses_of_one_port_that_do_not_meet_are_two() {
        let addr = free();
        let _first = take_address(addr).expect("free");
        let other = SocketAddr::from(([127, 0, 0, 2], addr.port()));
        let _second = take_address(other).expect("another address");
        let _shards = [listen(addr), listen(other)];
    }
}
