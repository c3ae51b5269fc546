//! File systems of a test's own, on loop devices. They need root; a machine that cannot have them skips the test, and says
//! so. Invariant: what a value here has mounted or attached is gone with it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::told::skipped;

const DAEMON_START: Duration = Duration::from_secs(10);
const UNMOUNTED: Duration = Duration::from_secs(10);

/// A file system that is mounted.
pub struct Mounted {
    // Dropped before the directory that it lies in.
    mount: UnmountedAtEnd,
    _dir: Option<TempDir>,
}

impl Mounted {
    /// A new ext4 of so many MiB; `None`, with a word on stderr, when this machine cannot mount one.
    pub fn new(mib: u64) -> Option<Self> {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        let image = dir.path().join("image");
        new_ext4(&image, mib)?;
        let Self { mount, .. } = Self::image(&image, &dir.path().join("mounted"))?;
        Some(Self { mount, _dir: Some(dir) })
    }

    /// The file system in an image, at a directory that is made if it is missing.
    pub fn image(image: &Path, at: &Path) -> Option<Self> {
        mount(image, at, &["-o", "loop"])?;
        Some(Self { mount: UnmountedAtEnd(at.to_owned()), _dir: None })
    }

    /// A new file system in memory, of at most so many MiB.
    pub fn memory(mib: u64) -> Option<Self> {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        let at = dir.path().join("mounted");
        mount(Path::new("none"), &at, &["-t", "tmpfs", "-o", &format!("size={mib}m")])?;
        Some(Self { mount: UnmountedAtEnd(at), _dir: Some(dir) })
    }

    pub fn path(&self) -> &Path {
        &self.mount.0
    }
}

/// Runs a command that a machine without root or the package may not have: its stdout, or the word on why to skip.
fn attempt(program: &str, args: &[&str]) -> Option<String> {
    let why = match Command::new(program).args(args).output() {
        Ok(done) if done.status.success() => return Some(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    skipped(&format!("`{program} {}`: {why}", args.join(" ")));
    None
}

/// In a new sparse file of so many MiB.
fn new_ext4(image: &Path, mib: u64) -> Option<String> {
    let sized = File::create(image).and_then(|file| file.set_len(mib << 20));
    sized.expect("a sparse file");
    attempt(
        "mkfs.ext4",
        &[
            "-q",
            "-F",
            "-b",
            "4096",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
            image.to_str().expect("a UTF-8 path"),
        ],
    )
}

fn mount(device: &Path, at: &Path, flags: &[&str]) -> Option<String> {
    fs::create_dir_all(at).expect("a directory to mount at");
    let paths = [device.to_str().expect("a UTF-8 path"), at.to_str().expect("a UTF-8 path")];
    attempt("mount", &[flags, &paths].concat())
}

/// Also when something still holds a file of it. The ring of a broker that was killed does for a moment longer than the process lives,
/// and whoever writes the image anew meanwhile damages the file system below it.
fn unmount(at: &Path) {
    let is_unmounted =
        || Command::new("umount").arg(at).stderr(Stdio::null()).status().is_ok_and(|done| done.success());
    let deadline = Instant::now() + UNMOUNTED;
    while !is_unmounted() {
        if Instant::now() > deadline {
            attempt("umount", &["--lazy", at.to_str().expect("a UTF-8 path")]);
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An image with an ext4 file system that outlives the daemon serving it.
pub struct StorageImage {
    dir: TempDir,
}

/// The image behind `qemu-storage-daemon`, a FUSE export and a loop device, mounted: what fails in the daemon fails below
/// the file system, where no other way of injecting reaches io_uring.
pub struct Storage {
    // Fields are dropped in this order: the mount before the device before the daemon.
    _mount: UnmountedAtEnd,
    _device: DetachedAtEnd,
    daemon: Daemon,
    path: PathBuf,
}

impl StorageImage {
    /// Of so many MiB; `None`, with a word on stderr, when this machine lacks root, FUSE or the daemon.
    pub fn new(mib: u64) -> Option<Self> {
        attempt("qemu-storage-daemon", &["--version"])?;
        if !Path::new("/dev/fuse").exists() {
            skipped("there is no /dev/fuse");
            return None;
        }
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        let image = Self { dir };
        new_ext4(&image.path(), mib)?;
        Some(image)
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// What an earlier fault has done to the file system is repaired first, as far as its own journal could not.
    pub fn attach(&self) -> Option<Storage> {
        let repaired = Command::new("e2fsck").args(["-f", "-y"]).arg(self.path()).output();
        let repaired = repaired.expect("it came with mkfs.ext4");
        // 1 and 2 say that something was repaired.
        assert!(repaired.status.code().is_some_and(|code| code <= 2), "{repaired:?}");
        self.serve(None)
    }

    /// As it is, and every write and flush from now on is written down in a new file of dm-log-writes' format.
    pub fn attach_logged(&self, log: &Path) -> Option<Storage> {
        self.serve(Some(log))
    }

    fn serve(&self, log: Option<&Path>) -> Option<Storage> {
        let daemon = Daemon::start(self.dir.path(), log)?;
        let export = daemon.export.to_str().expect("a UTF-8 path");
        // Without direct I/O the device sends one write at a time: QEMU 7.2 mixes up the content of those that come together.
        let device = DetachedAtEnd(attempt("losetup", &["--direct-io=off", "--find", "--show", export])?);
        let path = self.dir.path().join("mounted");
        mount(Path::new(&device.0), &path, &["-o", "noinit_itable"])?;
        Some(Storage { _mount: UnmountedAtEnd(path.clone()), _device: device, daemon, path })
    }
}

impl Storage {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on every `operation` ("write" or "flush") fails with EIO.
    pub fn fail(&self, operation: &str) {
        self.daemon.tell(&[
            &format!(
                r#"{{"execute":"blockdev-add","arguments":{{"driver":"blkdebug","node-name":"faulty","image":"file",
                "inject-error":[{{"event":"none","iotype":"{operation}","errno":5,"once":false}}]}}}}"#
            ),
            r#"{"execute":"blockdev-reopen","arguments":{"options":[{"driver":"raw","node-name":"top","file":"faulty"}]}}"#,
        ]);
    }

    /// Nothing completes until [`Storage::resume`].
    pub fn hang(&self) {
        self.daemon.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.daemon.signal(Signal::CONT);
    }
}

struct Daemon {
    process: Child,
    export: PathBuf,
    control: PathBuf,
}

impl Daemon {
    fn start(dir: &Path, log: Option<&Path>) -> Option<Self> {
        let (export, control) = (dir.join("export"), dir.join("control"));
        File::create(&export).expect("a file to export over");
        // One that the last daemon has left.
        let _missing = fs::remove_file(&control);
        let at = |name: &Path| name.to_str().expect("a UTF-8 path").to_owned();
        let mut command = Command::new("qemu-storage-daemon");
        command.args([
            "--blockdev",
            &format!("driver=file,node-name=file,filename={},cache.direct=on", at(&dir.join("image"))),
        ]);
        if let Some(log) = log {
            File::create(log).expect("a file for the log");
            // No power is cut here: the log need not be synced with what it tells of.
            command
                .args(["--blockdev", &format!("driver=file,node-name=log,filename={},cache.no-flush=on", at(log))])
                .args(["--blockdev", "driver=blklogwrites,node-name=top,file=file,log=log"]);
        } else {
            command.args(["--blockdev", "driver=raw,node-name=top,file=file"]);
        }
        let process = command
            .args(["--export", &format!("type=fuse,id=export,node-name=top,mountpoint={},writable=on", at(&export))])
            .args(["--chardev", &format!("socket,id=control,path={},server=on,wait=off", at(&control))])
            .args(["--monitor", "chardev=control"])
            .stdin(Stdio::null())
            .spawn()
            .expect("it has a version, so it runs");
        let mut daemon = Self { process, export, control };
        let deadline = Instant::now() + DAEMON_START;
        while !daemon.control.exists() || daemon.export.metadata().is_ok_and(|file| file.len() == 0) {
            let gone = daemon.process.try_wait().expect("our child").is_some();
            if gone || Instant::now() > deadline {
                skipped("qemu-storage-daemon exports nothing");
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(daemon)
    }

    /// Gives these commands of QMP; each must succeed.
    fn tell(&self, commands: &[&str]) {
        let socket = UnixStream::connect(&self.control).expect("the daemon listens");
        let mut answers = BufReader::new(&socket).lines();
        answers.next();
        for command in [r#"{"execute":"qmp_capabilities"}"#].iter().chain(commands) {
            (&socket).write_all(command.as_bytes()).expect("the daemon reads");
            let answer = answers.next().expect("an answer").expect("a line");
            assert!(answer.contains("\"return\""), "{command}: {answer}");
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("the daemon runs");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A daemon that was stopped must go on to be ended, and one that is gone needs neither.
        for signal in [Signal::CONT, Signal::TERM] {
            let _gone = kill_process(Pid::from_child(&self.process), signal);
        }
        let _reaped = self.process.wait();
    }
}

struct UnmountedAtEnd(PathBuf);

impl Drop for UnmountedAtEnd {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

struct DetachedAtEnd(String);

impl Drop for DetachedAtEnd {
    fn drop(&mut self) {
        attempt("losetup", &["--detach", &self.0]);
    }
}
