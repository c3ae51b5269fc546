//! The broker's process: started on one data directory and port, killed, started again with other cores.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::report::Failure;

/// A start replays at most the journals; more than this is a fault of its own.
const READY: Duration = Duration::from_secs(30);
/// A clean stop drains for five seconds at most.
const STOP: Duration = Duration::from_secs(20);

/// How many executors there are, and how many cores they may use. May change from start to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub shards: u64,
    pub cores: u64,
}

/// One broker, running or not. Dropping it kills the process.
#[derive(Debug)]
pub struct Broker {
    binary: PathBuf,
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Option<Child>,
}

impl Broker {
    /// A broker with its data below `dir`, on a port that is free now. `settings` are `key=value`.
    pub fn new(binary: &Path, dir: &Path, settings: &[String]) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { binary: binary.into(), dir: dir.into(), port, settings: settings.into(), running: None })
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts the process and waits until it says `ready`; gives the time that took.
    pub fn start(&mut self, shape: Shape) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let mut child = self.spawn(shape)?;
        let stdout = child.stdout.take().ok_or("the process has no stdout")?;
        self.running = Some(child);
        let (lines_in, lines) = channel();
        // Reads on after `ready`, so that the broker never waits for a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _nobody_waits_any_more = lines_in.send(line);
            }
        });
        loop {
            let left = READY.saturating_sub(begun.elapsed());
            let line = lines.recv_timeout(left).map_err(|_| self.tell("was not ready in time, or ended"))?;
            if line.contains("ready") {
                return Ok(begun.elapsed());
            }
        }
    }

    /// Starts the process and kills it `after` that long, wherever its start stands.
    pub fn start_and_kill(&mut self, shape: Shape, after: Duration) -> Result<(), Failure> {
        self.running = Some(self.spawn(shape)?);
        std::thread::sleep(after);
        self.kill()
    }

    /// SIGKILL: nothing in the process can do anything about it.
    pub fn kill(&mut self) -> Result<(), Failure> {
        let mut child = self.running.take().ok_or("no process to kill")?;
        if let Some(status) = child.try_wait()? {
            return Err(self.tell(&format!("ended by itself with {status}")));
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM: the broker drains and leaves by itself, with success.
    pub fn stop(&mut self) -> Result<(), Failure> {
        let child = self.running.as_mut().ok_or("no process to stop")?;
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let deadline = Instant::now() + STOP;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => return Err(self.tell("does not stop")),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.running = None;
        if status.success() { Ok(()) } else { Err(self.tell(&format!("stopped with {status}"))) }
    }

    /// Keeps a copy of the data of the broker, which must not run.
    pub fn keep_data(&self) -> Result<(), Failure> {
        copy(&self.data(), &self.dir.join("kept"))
    }

    /// Puts the copy in the data's place: all that was acked since then is lost.
    pub fn roll_back(&self) -> Result<(), Failure> {
        std::fs::remove_dir_all(self.data())?;
        copy(&self.dir.join("kept"), &self.data())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn spawn(&self, shape: Shape) -> Result<Child, Failure> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.binary);
        command.arg("dev").arg("--data-dir").arg(self.data());
        command.arg("--listen").arg(self.bootstrap()).arg("--cores").arg(shape.cores.to_string());
        command.arg("--set").arg(format!("shards={}", shape.shards)).arg("--set").arg("admin.listen=");
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?)
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("stderr")
    }

    /// What happened, with the last lines that the broker wrote.
    fn tell(&self, what: &str) -> Failure {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n    ");
        format!("the broker {what}; its last lines:\n    {tail}").into()
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(format!("copying {} failed", from.display()).into()) }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            // Already gone is as good as killed.
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}
