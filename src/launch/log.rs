//! The way to stderr. The log goes by a thread of its own, so that no core waits for whoever reads it; what a person or a supervisor
//! must see of an end goes directly.
//!
//! Invariant: nobody waits for stderr longer than [`WAIT_MAX`], and none of it panics: a reader that has gone, a pipe that is full or
//! a disk that fails is no reason to stand still, least of all for a process that must end.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write, stderr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait for the thread, in bytes; a line beyond it is left out.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// … and in lines.
const WAITING_LINES_MAX: usize = 8192;
/// How long anybody waits for stderr.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Somebody waited for stderr in vain, and it has not moved since: nobody waits again.
static STALLED: AtomicBool = AtomicBool::new(false);
/// The log of this process, once it has begun.
static LOG: OnceLock<Log> = OnceLock::new();

/// Takes lines and never waits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    parts: flume::Sender<Part>,
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    left_out: AtomicUsize,
}

#[derive(Debug)]
enum Part {
    Line(Vec<u8>),
    /// Answered once everything before it is out.
    Flush(flume::Sender<()>),
}

impl Log {
    /// Starts the thread that writes the log to stderr; the panics of this process are told there, too.
    pub fn to_stderr() -> Log {
        let log = Log::to(stderr());
        if LOG.set(log.clone()).is_ok() {
            std::panic::set_hook(Box::new(|panic| {
                let trace = Backtrace::capture();
                let is_wanted = trace.status() == BacktraceStatus::Captured;
                tell(&if is_wanted { format!("{panic}\n{trace}") } else { panic.to_string() });
            }));
        }
        log
    }

    /// Starts a thread that writes to `out`. It ends with the last clone.
    fn to(out: impl Write + Send + 'static) -> Log {
        let (parts, written) = flume::bounded(WAITING_LINES_MAX);
        let waiting = Arc::<Waiting>::default();
        let of_thread = waiting.clone();
        let thread = std::thread::Builder::new().name("log".to_owned());
        if let Err(error) = thread.spawn(move || write_out(out, &written, &of_thread)) {
            tell(&format!("corelog: there is no log: its thread could not be started: {error}"));
        }
        Log { parts, waiting }
    }

    fn take(&self, line: &[u8]) {
        let before = self.waiting.bytes.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() > WAITING_BYTES_MAX || self.parts.try_send(Part::Line(line.to_vec())).is_err() {
            self.waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.waiting.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was logged so far is out, or nobody takes it.
    fn flush(&self) {
        let (done, written) = flume::bounded(1);
        if self.parts.send_timeout(Part::Flush(done), WAIT_MAX).is_ok() {
            let _stalled = written.recv_timeout(WAIT_MAX);
        }
    }
}

fn write_out(mut out: impl Write, parts: &flume::Receiver<Part>, waiting: &Waiting) {
    while let Ok(part) = parts.recv() {
        let line = match part {
            Part::Line(line) => line,
            Part::Flush(done) => {
                // Whoever asked may have given up.
                let _gone = done.try_send(());
                continue;
            }
        };
        // Nobody reads it any more: the broker goes on all the same.
        let _closed = out.write_all(&line);
        let left = waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed) - line.len();
        // Said once there is room for it again, behind what was there before.
        if left < WAITING_BYTES_MAX / 2 && parts.len() < WAITING_LINES_MAX / 2 {
            let left_out = waiting.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                tracing::warn!(lines_left_out = left_out, "the log was not read: lines were left out");
            }
        }
    }
}

impl Write for Log {
    /// The log comes in whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// Lets out what was logged so far; before an end, or what was logged last would not be seen.
pub fn flush() {
    if let Some(log) = LOG.get().filter(|_| !STALLED.load(Ordering::Relaxed)) {
        log.flush();
    }
}

/// A line on stderr, behind what was logged before it.
pub fn tell(text: &str) {
    flush();
    let (done, written) = flume::bounded(1);
    let line = format!("{text}\n");
    let write = move || {
        let _closed = stderr().write_all(line.as_bytes());
        STALLED.store(false, Ordering::Relaxed);
        let _gone = done.try_send(());
    };
    // Without a thread for it nothing is said: an end matters more.
    let spawned = std::thread::Builder::new().name("stderr".to_owned()).spawn(write);
    let patience = if STALLED.load(Ordering::Relaxed) { Duration::ZERO } else { WAIT_MAX };
    if spawned.is_ok() && written.recv_timeout(patience).is_err() {
        STALLED.store(true, Ordering::Relaxed);
    }
}

/// Says why, and ends the process without another word.
pub fn leave(why: &str, status: i32) -> ! {
    tell(why);
    std::process::exit(status)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes what is written once it may.
    #[derive(Clone, Default)]
    struct Slow {
        taken: Arc<Mutex<Vec<u8>>>,
        shut: Arc<Mutex<()>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.shut.lock());
            self.taken.lock().expect("sound").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_logged_is_out_after_a_flush_and_in_order() {
        let out = Slow::default();
        let mut log = Log::to(out.clone());
        for n in 0..1000 {
            writeln!(log, "{n}").expect("it never fails");
        }
        log.flush();
        let taken = String::from_utf8(out.taken.lock().expect("sound").clone()).expect("text");
        assert!(taken.lines().map(|line| line.parse::<usize>().expect("a number")).eq(0..1000));
    }

    #[test]
    fn lines_that_nobody_reads_stop_nobody_and_are_counted() {
        let out = Slow::default();
        let log = Log::to(out.clone());
        let line = [b'x'; 1024];
        let shut = out.shut.lock().expect("sound");
        for _ in 0..3000 {
            log.take(&line);
        }
        let left_out = log.waiting.left_out.load(Ordering::Relaxed);
        assert!((1900..=2000).contains(&left_out), "{left_out}");
        log.flush();
        drop(shut);
        log.flush();
        assert_eq!(out.taken.lock().expect("sound").len(), (3000 - left_out) * line.len());
        assert_eq!((log.waiting.left_out.load(Ordering::Relaxed), log.waiting.bytes.load(Ordering::Relaxed)), (0, 0));
    }
}
