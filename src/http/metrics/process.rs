//! What the kernel says of this process, under the names that every Prometheus client uses, and the CPU time of each
//! shard's thread. Reads `/proc`; what cannot be read is left out.

use std::collections::BTreeMap;
use std::fs;

use rustix::param::clock_ticks_per_second;

use super::Kind::{Counter, Gauge};
use super::text::Text;

pub fn write(text: &mut Text) {
    let ticks = clock_ticks_per_second() as f64;
    if let Some(stat) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::of) {
        let name = "process_cpu_seconds_total";
        text.family(name, Counter, "CPU time, user and system, seconds.").sample(&[], stat.cpu_ticks as f64 / ticks);
        text.family("process_threads", Gauge, "Threads.").sample(&[], stat.threads);
        let resident = stat.resident_pages.saturating_mul(rustix::param::page_size() as u64);
        text.family("process_resident_memory_bytes", Gauge, "Resident memory.").sample(&[], resident);
        if let Some(booted) = boot_time() {
            let name = "process_start_time_seconds";
            text.family(name, Gauge, "Start, seconds since 1970.")
                .sample(&[], booted + stat.start_ticks as f64 / ticks);
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        text.family("process_open_fds", Gauge, "Open descriptors.").sample(&[], open.count().saturating_sub(1));
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        text.family("process_max_fds", Gauge, "Descriptors that may be open.").sample(&[], limit);
    }
    let help = "CPU time of the shard's threads, user and system, seconds.";
    let mut family = text.family("corelog_shard_cpu_seconds_total", Counter, help);
    for (shard, cpu_ticks) in by_shard() {
        family.sample(&[("shard", &shard)], cpu_ticks as f64 / ticks);
    }
}

/// CPU time of the threads that carry a shard's name.
fn by_shard() -> BTreeMap<u32, u64> {
    let mut sums = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        // Threads come and go.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let Some(stat) = Stat::of(&stat) else { continue };
        if let Some(shard) = stat.name.strip_prefix("shard-").and_then(|number| number.parse().ok()) {
            *sums.entry(shard).or_default() += stat.cpu_ticks;
        }
    }
    sums
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// What is of use here in a `stat` of `/proc`.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    name: &'a str,
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    resident_pages: u64,
}

impl Stat<'_> {
    /// The name may hold anything, parentheses and spaces too.
    fn of(text: &str) -> Option<Stat<'_>> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        // proc(5) numbers them from 1; the state, which comes first here, is 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            name,
            cpu_ticks: field(14)?.checked_add(field(15)?)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_behind_a_name_that_looks_like_fields() {
        let text = "7 (a) 1 (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1000 9999 42 18446744073709551615";
        let wanted = Stat { name: "a) 1 (b", cpu_ticks: 300, threads: 3, start_ticks: 1000, resident_pages: 42 };
        assert_eq!(Stat::of(text), Some(wanted));
        assert_eq!(Stat::of("7 (a) S 1 7"), None);
        assert_eq!(Stat::of(""), None);
    }

    #[test]
    fn this_process_is_told() {
        let mut text = Text::default();
        write(&mut text);
        let page = text.finish();
        for name in ["process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_start_time_seconds "] {
            assert!(page.lines().any(|line| line.starts_with(name)), "{name} is missing: {page}");
        }
    }
}
