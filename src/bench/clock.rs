//! The clock of a run: nanoseconds of the machine's monotonic clock, so that all threads and processes share it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

pub fn now_ns() -> u64 {
    nanos(&clock_gettime(ClockId::Monotonic))
}

/// What this thread has spent of a processor so far, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    nanos(&clock_gettime(ClockId::ThreadCPUTime))
}

pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits until then, or until nobody holds the other end of `over` any more. Whether that came first.
pub fn ended_before(until_ns: u64, over: &Receiver<()>) -> bool {
    let wait = Duration::from_nanos(until_ns.saturating_sub(now_ns()));
    !matches!(over.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

/// For the kernel: how long from `now` to `until`.
pub fn time_left(now_ns: u64, until_ns: u64) -> Timespec {
    let left = until_ns.saturating_sub(now_ns);
    let part = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    Timespec { tv_sec: part(left / NANOS_PER_SECOND), tv_nsec: part(left % NANOS_PER_SECOND) }
}

fn nanos(time: &Timespec) -> u64 {
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(time.tv_sec).saturating_mul(NANOS_PER_SECOND).saturating_add(part(time.tv_nsec))
}
