//! Starts one executor on a thread of its own. Everything that can be wrong with the machine is found here, before any
//! task runs, and has its own error with its own cure.

use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::io::DmaFile;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use rustix::io_uring::{self, IoringEnterFlags, IoringRegisterOp};
use rustix::process::{Resource, Rlimit};

use super::file::{PROC_DESCRIPTORS, by_descriptor, io_error};
use super::guard::{guarded, stop_process};
use super::{Core, UringRuntime};
use crate::runtime::{BLOCK_BYTES, is_full};

/// Locked memory that glommio asks for, in bytes.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// The oldest kernel that has every operation glommio uses.
const KERNEL_MIN: (u32, u32) = (5, 8);
/// Threads for calls that have no place in the ring; on no particular CPU, so that they leave the pinned one alone.
const BLOCKING_THREADS: usize = 2;

/// One executor's settings.
#[derive(Clone, Debug)]
pub struct UringConfig {
    /// Name of the thread, such as `shard-0`.
    pub name: String,
    /// An existing directory on the device that will hold the data.
    pub data_dir: PathBuf,
    /// How long to look for work before sleeping. Only a pinned executor spins.
    pub spin_before_park: Duration,
    /// Memory registered with io_uring, in bytes. What does not fit comes from the heap.
    pub io_memory_bytes: usize,
}

/// Why an executor could not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(
        "this kernel has no io_uring (it is Linux {release}): corelog needs Linux {}.{} or newer, built with io_uring; boot one \
         (those of Debian 11, Ubuntu 22.04, RHEL 9 and later do)",
        KERNEL_MIN.0,
        KERNEL_MIN.1
    )]
    NoIoUring { release: String },
    #[error(
        "this is Linux {release}: corelog needs {}.{} or newer; boot a newer kernel (Debian 11, Ubuntu 22.04, RHEL 9 and later \
         have one)",
        KERNEL_MIN.0,
        KERNEL_MIN.1
    )]
    KernelTooOld { release: String },
    #[error(
        "io_uring is switched off by the sysctl kernel.io_uring_disabled = {value}: allow it with \
         `sysctl -w kernel.io_uring_disabled=0`, and in /etc/sysctl.d to keep it"
    )]
    DisabledBySysctl { value: String },
    #[error(
        "{call} is forbidden to this process, most likely by a container's seccomp profile: run with one that allows \
         io_uring_setup, io_uring_enter and io_uring_register (Docker: `--security-opt seccomp=unconfined`)"
    )]
    ForbiddenBySeccomp { call: &'static str },
    #[error(
        "the limit of locked memory is {limit_bytes} bytes: corelog needs at least {MEMLOCK_BYTES_MIN} per process; raise it \
         with `ulimit -l unlimited`, `LimitMEMLOCK=infinity` (systemd) or `--ulimit memlock=-1` (Docker)"
    )]
    LockedMemory { limit_bytes: u64 },
    #[error("CPU {cpu} is not among those that this process may use: choose others, or widen its affinity or cpuset")]
    CpuNotAllowed { cpu: usize },
    #[error("no direct I/O in {}: {source}", dir.display())]
    DataDir { dir: PathBuf, source: io::Error },
    #[error("{}: {source}: a start needs some MiB for each shard: make space on this disk, then start again", dir.display())]
    DiskFull { dir: PathBuf, source: io::Error },
    #[error("/proc is not mounted here: corelog opens its files by descriptor, through /proc/self/fd")]
    NoProc,
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
    #[error("io_uring could not be set up: {0}")]
    IoUring(io::Error),
}

/// A running executor. Ends when its main task does.
pub struct Executor<T> {
    thread: JoinHandle<Option<T>>,
}

impl<T> Executor<T> {
    /// Waits for the main task's result. Tasks that still run then are dropped.
    pub fn join(self) -> T {
        let ended = self.thread.join().unwrap_or_else(|panic| stop_process(&*panic));
        ended.expect("an executor that has started runs its main task to the end")
    }
}

/// Starts an executor, pinned to `cpu` or not, and `main` on it. Returns once the executor is known to work.
pub fn launch<T, Main, Task>(config: UringConfig, cpu: Option<usize>, main: Main) -> Result<Executor<T>, LaunchError>
where
    T: Send + 'static,
    Main: FnOnce(UringRuntime) -> Task + Send + 'static,
    Task: Future<Output = T> + 'static,
{
    check_io_uring()?;
    raise_locked_memory()?;
    if !Path::new(PROC_DESCRIPTORS).is_dir() {
        return Err(LaunchError::NoProc);
    }
    if let Some(cpu) = cpu {
        check_cpu(cpu)?;
    }
    let (report, outcome) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name(config.name.clone())
        .spawn(move || {
            catch_unwind(AssertUnwindSafe(|| run(&config, cpu, &report, main)))
                .unwrap_or_else(|panic| stop_process(&*panic))
        })
        .map_err(LaunchError::Thread)?;
    match outcome.recv() {
        Ok(Ok(())) => Ok(Executor { thread }),
        Ok(Err(e)) => Err(e),
        Err(_) => Err(LaunchError::IoUring(io::Error::other("the executor ended before it had started"))),
    }
}

/// The executor's thread. `None` when it could not start, which `report` then says.
fn run<T, Main, Task>(
    config: &UringConfig,
    cpu: Option<usize>,
    report: &SyncSender<Result<(), LaunchError>>,
    main: Main,
) -> Option<T>
where
    Main: FnOnce(UringRuntime) -> Task,
    Task: Future<Output = T>,
{
    let tell = |outcome| report.send(outcome).expect("the launching thread waits for the outcome");
    let executor = match build(config, cpu) {
        Ok(executor) => executor,
        Err(e) => {
            tell(Err(e));
            return None;
        }
    };
    let core = Rc::new(Core::new());
    let result = executor.run(guarded(async {
        if let Err(source) = probe_direct_io(&config.data_dir, &config.name).await {
            let dir = config.data_dir.clone();
            // Another core may have taken what space there was.
            let full = is_full(&source);
            tell(Err(if full { LaunchError::DiskFull { dir, source } } else { LaunchError::DataDir { dir, source } }));
            return None;
        }
        tell(Ok(()));
        Some(main(UringRuntime { core: core.clone() }).await)
    }));
    // One more turn of the reactor: it closes the descriptors of what was dropped last. Tasks have theirs in it, too.
    executor.run(async {});
    executor.run(super::blocking::ended());
    result
}

fn build(config: &UringConfig, cpu: Option<usize>) -> Result<LocalExecutor, LaunchError> {
    // The preemption timer keeps its default: with a short one an executor that has work may go to sleep.
    LocalExecutorBuilder::new(cpu.map_or(Placement::Unbound, Placement::Fixed))
        .name(&config.name)
        .spin_before_park(config.spin_before_park)
        .io_memory(config.io_memory_bytes)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(BLOCKING_THREADS))
        .make()
        .map_err(|e| LaunchError::IoUring(io_error(e)))
}

/// glommio tries once per device whether completions can be polled for. On an empty file that wrongly seems to work,
/// and later reads fail: so the first file that an executor opens has a block in it and is read only.
async fn probe_direct_io(data_dir: &Path, name: &str) -> io::Result<()> {
    let held = match block_on_device(&data_dir.join(format!(".probe-{name}"))) {
        // A broker must start on a full disk: only then can space be made.
        Err(e) if is_full(&e) => existing_block(data_dir)?.ok_or(e)?,
        made => made?,
    };
    let file = DmaFile::open(by_descriptor(&held)).await.map_err(io_error)?;
    let read = file.read_at_aligned(0, BLOCK_BYTES).await.map_err(io_error)?;
    if read.len() != BLOCK_BYTES {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a block that is there was read short"));
    }
    file.close().await.map_err(io_error)
}

/// A file of one block that has no name any more.
fn block_on_device(path: &Path) -> io::Result<fs::File> {
    let mut file = fs::File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let written = file.write_all(&[0; BLOCK_BYTES]).and_then(|()| file.sync_data());
    fs::remove_file(path)?;
    written.map(|()| file)
}

/// Any file below `dir` that begins with a block that was written: reserved space and holes are read without the device.
fn existing_block(dir: &Path) -> io::Result<Option<fs::File>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            if let Some(file) = existing_block(&entry.path())? {
                return Ok(Some(file));
            }
        } else if metadata.is_file() && metadata.len() >= BLOCK_BYTES as u64 {
            let file = fs::File::open(entry.path())?;
            if rustix::fs::seek(&file, SeekFrom::Data(0)) == Ok(0) {
                return Ok(Some(file));
            }
        }
    }
    Ok(None)
}

fn check_io_uring() -> Result<(), LaunchError> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if kernel_version(&release).is_some_and(|version| version < KERNEL_MIN) {
        return Err(LaunchError::KernelTooOld { release });
    }
    let mut params = io_uring::io_uring_params::default();
    // SAFETY: a ring of one entry, with default parameters that point nowhere; its descriptor is closed at once.
    match unsafe { io_uring::io_uring_setup(1, &mut params) } {
        Ok(ring) => check_ring(&ring),
        Err(Errno::NOSYS) => Err(LaunchError::NoIoUring { release }),
        Err(Errno::PERM | Errno::ACCESS) => Err(match disabled_by_sysctl() {
            Some(value) => LaunchError::DisabledBySysctl { value },
            None => LaunchError::ForbiddenBySeccomp { call: "io_uring_setup" },
        }),
        Err(Errno::NOMEM) => {
            Err(LaunchError::LockedMemory { limit_bytes: locked_memory().current.unwrap_or(u64::MAX) })
        }
        Err(e) => Err(LaunchError::IoUring(e.into())),
    }
}

/// The two other calls, each in a way that does nothing: a profile may allow one and forbid another.
fn check_ring(ring: &OwnedFd) -> Result<(), LaunchError> {
    // What is asked of the kernel's operations: of none.
    let mut probe = io_uring::io_uring_probe::default();
    // SAFETY: with room for no operation the kernel reads and writes the head alone, and `probe` is one.
    let registered =
        unsafe { io_uring::io_uring_register(ring, IoringRegisterOp::RegisterProbe, (&raw mut probe).cast(), 0) };
    // SAFETY: nothing is submitted and nothing waited for.
    let entered = unsafe { io_uring::io_uring_enter(ring, 0, 0, IoringEnterFlags::empty()) };
    for (call, done) in [("io_uring_register", registered), ("io_uring_enter", entered)] {
        match done {
            Ok(_) => {}
            // Where there is a ring, there is the call.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS) => return Err(LaunchError::ForbiddenBySeccomp { call }),
            Err(e) => return Err(LaunchError::IoUring(e.into())),
        }
    }
    Ok(())
}

/// 1 keeps io_uring from processes without privileges only, 2 from all.
fn disabled_by_sysctl() -> Option<String> {
    let value = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    let value = value.trim();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ours = value == "2" || (value == "1" && !may_administer(&status));
    ours.then(|| value.to_owned())
}

/// Whether a process with this `/proc/PID/status` has CAP_SYS_ADMIN in effect.
fn may_administer(status: &str) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|capabilities| capabilities >> CAP_SYS_ADMIN & 1 == 1)
}

/// `(6, 18)` of `6.18.44-amd64`; `None` for a release named in some other way, which is then tried.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn locked_memory() -> Rlimit {
    rustix::process::getrlimit(Resource::Memlock)
}

/// Raises the soft limit to the hard one.
fn raise_locked_memory() -> Result<(), LaunchError> {
    let limit = locked_memory();
    let hard_bytes = limit.maximum.unwrap_or(u64::MAX);
    if hard_bytes < MEMLOCK_BYTES_MIN {
        return Err(LaunchError::LockedMemory { limit_bytes: hard_bytes });
    }
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(e) = rustix::process::setrlimit(Resource::Memlock, raised) {
            let enough = limit.current.is_none_or(|soft_bytes| soft_bytes >= MEMLOCK_BYTES_MIN);
            if !enough {
                return Err(LaunchError::LockedMemory { limit_bytes: limit.current.unwrap_or(u64::MAX) });
            }
            tracing::debug!(error = %e, "the limit of locked memory stays as it is");
        }
    }
    Ok(())
}

/// glommio lists the CPUs of the machine; a cpuset or an affinity mask may allow fewer.
fn check_cpu(cpu: usize) -> Result<(), LaunchError> {
    let allowed = rustix::thread::sched_getaffinity(None).map_err(|e| LaunchError::Thread(e.into()))?;
    if cpu < rustix::thread::CpuSet::MAX_CPU && allowed.is_set(cpu) {
        Ok(())
    } else {
        Err(LaunchError::CpuNotAllowed { cpu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_as_numbers() {
        for (release, version) in [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.8", Some((5, 8))),
            ("5.10.0-28-amd64", Some((5, 10))),
            ("5.4-rc1", Some((5, 4))),
            ("unknown", None),
            ("", None),
        ] {
            assert_eq!(kernel_version(release), version, "{release}");
        }
        assert!((5, 4) < KERNEL_MIN && (5, 10) > KERNEL_MIN);
    }

    #[test]
    fn reserved_space_and_holes_are_no_block_to_probe_with() {
        let dir = tempfile::TempDir::new().unwrap();
        let hole = fs::File::create(dir.path().join("hole")).unwrap();
        hole.set_len(1 << 20).unwrap();
        assert!(existing_block(dir.path()).unwrap().is_none());
        fs::write(dir.path().join("whole"), [1; BLOCK_BYTES]).unwrap();
        let found = existing_block(dir.path()).unwrap().expect("a file");
        assert_eq!(found.metadata().unwrap().len(), BLOCK_BYTES as u64);
    }

    #[test]
    fn privileges_are_read_from_the_process_status() {
        assert!(may_administer("Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000001ffffffffff\n"));
        assert!(may_administer("CapEff:\t0000000000200000"));
        assert!(!may_administer("CapEff:\t00000000ffdfffff") && !may_administer("CapEff:\t0") && !may_administer(""));
    }

    #[test]
    fn a_block_is_found_below_the_directory_or_not_at_all() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::write(dir.path().join("short"), [1; BLOCK_BYTES - 1]).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        assert!(existing_block(dir.path()).unwrap().is_none());
        fs::write(dir.path().join("a/b/long"), [1; BLOCK_BYTES]).unwrap();
        assert_eq!(existing_block(dir.path()).unwrap().unwrap().metadata().unwrap().len(), BLOCK_BYTES as u64);
    }

    #[test]
    fn every_reason_names_its_own_cure() {
        let said = |e: LaunchError| e.to_string();
        assert!(said(LaunchError::DisabledBySysctl { value: "2".into() }).contains("sysctl -w"));
        assert!(said(LaunchError::ForbiddenBySeccomp { call: "io_uring_enter" }).contains("seccomp"));
        assert!(said(LaunchError::LockedMemory { limit_bytes: 65_536 }).contains("LimitMEMLOCK"));
        assert!(said(LaunchError::KernelTooOld { release: "4.4".into() }).contains("5.8 or newer"));
    }
}
