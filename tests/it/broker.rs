//! The real binary as a test sees it: started on a data directory of its own and a free port, killed or stopped, started
//! again. Everything lies below the target directory, which is on a file system that takes direct I/O.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Generous: the machine may be busy with other tests.
const READY: Duration = Duration::from_secs(30);
/// A stop drains for five seconds at most.
const STOP: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(20);

/// Tests run many brokers at once, and their HTTP has one port by default. A test that wants it chooses another, later.
pub const NO_HTTP: [&str; 2] = ["--set", "admin.listen="];

/// A place for a broker: a data directory and an address that outlive its processes.
pub struct Home {
    dir: TempDir,
    pub data: PathBuf,
    pub address: SocketAddr,
    /// Brokers run in this one, if any.
    pub cgroup: Option<PathBuf>,
    /// Words before the broker's, of a program that runs it in other circumstances.
    pub wrapper: Vec<&'static str>,
    /// All of a broker's environment.
    pub env: Vec<(&'static str, PathBuf)>,
}

/// A running broker. Dropping it kills the process.
pub struct Broker {
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    stderr: PathBuf,
    pub address: SocketAddr,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Left {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        // Free now; the broker binds it in a moment.
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = probe.local_addr().expect("its address");
        Self { data: dir.path().join("data"), dir, address, cgroup: None, wrapper: Vec::new(), env: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `corelog dev` on this directory and address, with more flags, as in `["--set", "shards=2"]`.
    pub fn dev(&self, flags: &[&str]) -> Broker {
        self.start(&self.dev_args(flags)).unwrap_or_else(|left| panic!("the broker did not start: {left:#?}"))
    }

    /// `corelog dev`, which may refuse to start.
    pub fn try_dev(&self, flags: &[&str]) -> Result<Broker, Left> {
        self.start(&self.dev_args(flags))
    }

    /// `corelog dev` with its stderr elsewhere.
    pub fn dev_with_stderr(&self, flags: &[&str], stderr: Stdio) -> Broker {
        let started = self.start_with_stderr(&self.dev_args(flags), stderr);
        started.unwrap_or_else(|left| panic!("the broker did not start: {left:#?}"))
    }

    /// `corelog dev`, which is expected to refuse to start.
    pub fn dev_refused(&self, flags: &[&str]) -> Left {
        match self.start(&self.dev_args(flags)) {
            Err(left) => left,
            Ok(_) => panic!("the broker started with {flags:?}"),
        }
    }

    /// `corelog serve` with a config file of this text. The file must name directory and listener.
    pub fn serve(&self, config: &str, flags: &[&str]) -> Result<Broker, Left> {
        let file = self.path().join("corelog.toml");
        fs::write(&file, config).expect("the config file");
        let args = ["serve", "--config", file.to_str().expect("a UTF-8 path")];
        self.start(&args.iter().chain(&NO_HTTP).chain(flags).map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    fn dev_args(&self, flags: &[&str]) -> Vec<String> {
        let data = self.data.to_str().expect("a UTF-8 path").to_owned();
        let own = ["dev", "--data-dir", &data, "--listen", &self.address.to_string()].map(str::to_owned);
        let given = flags.iter().map(|flag| (*flag).to_owned());
        own.into_iter().chain(NO_HTTP.map(str::to_owned)).chain(given).collect()
    }

    /// The binary, without arguments.
    fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_corelog");
        if let Some((program, words)) = self.wrapper.split_first() {
            let mut command = Command::new(program);
            command.args(words).arg(binary);
            return command;
        }
        let Some(cgroup) = &self.cgroup else { return Command::new(binary) };
        // A shell enters the cgroup and becomes the broker: all of its memory counts.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]).arg(cgroup.join("cgroup.procs")).arg(binary);
        command
    }

    /// Waits until the process says `ready`, or ends.
    fn start(&self, args: &[String]) -> Result<Broker, Left> {
        self.start_with_stderr(args, File::create(self.stderr()).expect("a file for stderr").into())
    }

    fn stderr(&self) -> PathBuf {
        self.path().join("stderr")
    }

    fn start_with_stderr(&self, args: &[String], stderr: Stdio) -> Result<Broker, Left> {
        let mut child = self
            .command()
            .args(args)
            // A developer's own settings must not reach the tests.
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the binary runs");
        let stdout = child.stdout.take().expect("a pipe");
        let (lines_in, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A test that has ended reads no more; the pipe is emptied all the same.
                let _unread = lines_in.send(line);
            }
        });
        let mut broker = Broker { child, lines, printed: Vec::new(), stderr: self.stderr(), address: self.address };
        let deadline = Instant::now() + READY;
        loop {
            match broker.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let ready = line.contains("ready") && line.contains(&self.address.to_string());
                    broker.printed.push(line);
                    if ready {
                        return Ok(broker);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(broker.left()),
                Err(RecvTimeoutError::Timeout) => panic!("not ready in {READY:?}: {}", broker.stderr()),
            }
        }
    }
}

impl Broker {
    /// SIGKILL.
    pub fn kill(mut self) -> Left {
        self.child.kill().expect("the process runs");
        self.left()
    }

    /// SIGTERM; the broker drains and leaves.
    pub fn terminate(self) -> Left {
        self.signal(Signal::TERM)
    }

    /// A signal that the broker leaves at.
    pub fn signal(self, signal: Signal) -> Left {
        kill_process(self.pid(), signal).expect("the process runs");
        self.left()
    }

    /// What the process has written to stderr so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The most memory that the process had resident so far.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// The memory that the process has resident now.
    pub fn resident_memory_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    fn memory_bytes(&self, name: &str) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// The lines on stdout up to the one that says `ready`.
    pub fn greeting(&self) -> &[String] {
        &self.printed
    }

    pub fn connect(&self) -> Connection {
        Connection::to(self.address)
    }

    /// A connection whose answers may take longer than others'.
    pub fn connect_patiently(&self) -> Connection {
        let connection = self.connect();
        connection.0.set_read_timeout(Some(3 * ANSWER)).expect("a timeout");
        connection
    }

    /// Waits until the process ends by itself.
    pub fn wait(self) -> Left {
        self.left()
    }

    fn left(mut self) -> Left {
        let deadline = Instant::now() + STOP;
        let status = loop {
            match self.child.try_wait().expect("our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it does not end: {}", self.stderr()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut stdout = std::mem::take(&mut self.printed);
        stdout.extend(self.lines.iter());
        Left { status, stdout: stdout.join("\n"), stderr: self.stderr() }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A connection that speaks frames: four bytes of length, then a request or reply.
pub struct Connection(TcpStream);

impl Connection {
    pub fn to(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
        Connection(stream)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the broker reads");
    }

    /// False when the broker has closed the connection.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    pub fn send(&mut self, body: &[u8]) {
        let len = u32::try_from(body.len()).expect("a small frame");
        self.send_bytes(&[&len.to_be_bytes()[..], body].concat());
    }

    /// The next reply; `None` when the broker has closed the connection.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        match self.0.read(&mut len[..1]) {
            Ok(0) => return None,
            // What was still unread when the broker closed comes back as a reset.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(e) => panic!("no reply: {e}"),
            Ok(_) => self.0.read_exact(&mut len[1..]).expect("a whole length"),
        }
        let mut body = vec![0; u32::from_be_bytes(len) as usize];
        self.0.read_exact(&mut body).expect("a whole reply");
        Some(body)
    }

    /// Whether nothing comes for so long.
    pub fn is_silent_for(&mut self, wait: Duration) -> bool {
        self.0.set_read_timeout(Some(wait)).expect("a timeout");
        let came = self.0.peek(&mut [0]);
        self.0.set_read_timeout(Some(ANSWER)).expect("a timeout");
        came.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Sends ApiVersions v0 and checks that its reply is sound: the shortest proof of a connection that is served.
    pub fn check_served(&mut self) {
        const CORRELATION_ID: u32 = 0x00C0_FFEE;
        let request = [&[0, 18, 0, 0][..], &CORRELATION_ID.to_be_bytes(), &[0xff, 0xff]].concat();
        self.send(&request);
        let reply = self.receive().expect("a reply, not the end of the connection");
        assert_eq!(reply[..4], CORRELATION_ID.to_be_bytes());
        assert_eq!(reply[4..6], [0, 0], "ApiVersions v0 is served without error");
    }
}

/// A directory with all that is below it.
pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Generous: the machine may be busy with other tests.
const DONE: Duration = Duration::from_secs(60);

/// Looks again and again until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DONE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {DONE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
