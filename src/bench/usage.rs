//! What the broker's process spends of the processors, by its id, from `/proc`.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

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
    fn shares_are_of_what_was_acked_meanwhile() {
        let usage =
            Usage { cpu: Duration::from_secs(4), over: Duration::from_secs(8), records: 2_000_000, bytes: 2 << 30 };
        assert_eq!((usage.cores(), usage.cpu_s_per_gib(), usage.cpu_us_per_record()), (0.5, 2.0, 2.0));
    }
}
