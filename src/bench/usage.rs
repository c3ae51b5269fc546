//! What the broker's process spends of the processors, by its id from `/proc`, or as it says itself: two looks, on a thread of
//! their own, so that they come when the measurement begins and when it ends.

use std::fs;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use super::clock::{ended_before, now_ns};
use super::writer::Times;

/// The kernel counts in hundredths of a second: of less than ten of them nothing can be said.
const OVER_MIN: Duration = Duration::from_millis(100);

/// Between two moments of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu: Duration,
    pub over: Duration,
    /// Acked meanwhile.
    pub records: u64,
    pub bytes: u64,
}

impl Usage {
    pub fn cores(&self) -> f64 {
        self.cpu.as_secs_f64() / self.over.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub fn cpu_s_per_gib(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes.max(1) as f64) * f64::from(1 << 30)
    }

    pub fn cpu_us_per_record(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.records.max(1) as f64
    }
}

/// What a process spends of the processors while it is measured, and for how long that was looked at; `read` tells what it has
/// spent since it began. `None`: it is not known, as the process or the run ended too soon, or the process is another now.
pub fn watch(read: impl Fn() -> Option<Duration>, times: Times, over: &Receiver<()>) -> Option<(Duration, Duration)> {
    if ended_before(times.warm_ns, over) {
        return None;
    }
    let (began_ns, before) = (now_ns(), read()?);
    let _early = ended_before(times.end_ns, over);
    let (ended_ns, after) = (now_ns(), read()?);
    enough(after.checked_sub(before)?, Duration::from_nanos(ended_ns - began_ns))
}

fn enough(cpu: Duration, over: Duration) -> Option<(Duration, Duration)> {
    (over >= OVER_MIN).then_some((cpu, over))
}

/// Of all threads of a process since it began; `None`: there is no such process.
pub fn process_cpu(pid: u32) -> Option<Duration> {
    let ticks = cpu_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// User and system time. The name before them may hold anything, parentheses and spaces too.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_a_name_that_looks_like_fields() {
        let stat = "7 (a) 1 2 (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a) S 1 7"), None);
        assert!(process_cpu(std::process::id()).is_some());
        assert_eq!(process_cpu(u32::MAX), None);
    }

    #[test]
    fn it_is_looked_at_from_the_end_of_the_warm_up_to_the_end_and_of_too_little_nothing_is_said() {
        let of = |pid: u32| move || process_cpu(pid);
        let own = of(std::process::id());
        let times = |warm_ms: u64, end_ms: u64| {
            let start_ns = now_ns();
            Times { start_ns, warm_ns: start_ns + warm_ms * 1_000_000, end_ns: start_ns + end_ms * 1_000_000 }
        };
        let (on, over) = std::sync::mpsc::channel();
        let began_ns = now_ns();
        let (_, took) = watch(own, times(50, 200), &over).expect("it is known");
        let all = Duration::from_nanos(now_ns() - began_ns);
        assert!(took >= OVER_MIN && took <= all - Duration::from_millis(50), "{took:?} of {all:?}");
        assert_eq!(enough(Duration::from_millis(20), Duration::from_millis(99)), None);
        assert_eq!(watch(of(u32::MAX), times(0, 200), &over), None);
        let less = std::cell::Cell::new(Duration::from_secs(9));
        let began_anew = || Some(less.replace(Duration::from_secs(1)));
        assert_eq!(watch(began_anew, times(0, 200), &over), None, "what is less than before is another process's");
        drop(on);
        assert_eq!(watch(own, times(0, 60_000), &over), None, "the run ended at once");
    }

    #[test]
    fn shares_are_of_what_was_acked_meanwhile() {
        let usage =
            Usage { cpu: Duration::from_secs(4), over: Duration::from_secs(8), records: 2_000_000, bytes: 2 << 30 };
        assert_eq!((usage.cores(), usage.cpu_s_per_gib(), usage.cpu_us_per_record()), (0.5, 2.0, 2.0));
    }
}
