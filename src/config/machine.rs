//! What the machine gives this process: CPUs of the affinity mask, the cgroup's quota, memory, open files. At start only.
//!
//! Invariant: what cannot be found out limits nothing.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, Rlimit};
use rustix::thread::CpuSet;

/// What there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// CPUs of the affinity mask, ascending.
    pub cpus: Vec<usize>,
    /// CPUs' worth of time that the cgroup grants.
    pub quota: Option<f64>,
    /// Of the cgroup or, if less, the machine, in bytes.
    pub memory_bytes: u64,
}

/// Limits of the cgroups that a process is in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Limits {
    cpus: Option<f64>,
    memory_bytes: Option<u64>,
}

impl Machine {
    pub fn look() -> Machine {
        let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let limits = limits(&cgroup, Path::new("/sys/fs/cgroup"));
        let info = rustix::system::sysinfo();
        let total = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
        Machine {
            cpus: allowed_cpus(),
            quota: limits.cpus,
            memory_bytes: limits.memory_bytes.map_or(total, |limit| limit.min(total)),
        }
    }
}

fn allowed_cpus() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    }
}

/// Raises the limit of open files as far as this user may, and gives what holds then.
pub fn raise_open_files() -> u64 {
    let now = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    let current = match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => now.maximum,
        Err(_) => now.current,
    };
    current.unwrap_or(u64::MAX)
}

/// The tightest limits on the way from the cgroups of `/proc/self/cgroup` up to their roots, versions 2 and 1.
fn limits(cgroup: &str, root: &Path) -> Limits {
    let mut found = Limits::default();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let has = |name: &str| controllers.split(',').any(|controller| controller == name);
        let inside = Path::new(path.trim_start_matches('/'));
        // In a container the path may be the host's; then the root is what we see of our own group.
        for step in inside.ancestors() {
            if controllers.is_empty() {
                let dir = root.join(step);
                found.tighten(v2_cpus(&read(&dir.join("cpu.max"))), number(&read(&dir.join("memory.max"))));
            } else if has("cpu") {
                let dir = root.join("cpu").join(step);
                let [quota, period] =
                    ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(|file| number(&read(&dir.join(file))));
                found.tighten(share(quota, period), None);
            } else if has("memory") {
                found.tighten(None, number(&read(&root.join("memory").join(step).join("memory.limit_in_bytes"))));
            }
        }
    }
    found
}

impl Limits {
    fn tighten(&mut self, cpus: Option<f64>, memory_bytes: Option<u64>) {
        self.cpus = self.cpus.into_iter().chain(cpus).reduce(f64::min);
        self.memory_bytes = self.memory_bytes.into_iter().chain(memory_bytes).min();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// `max` and `-1`, both words for no limit, are no numbers.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `QUOTA PERIOD`, in µs.
fn v2_cpus(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    share(number(quota), number(period))
}

fn share(quota: Option<u64>, period: Option<u64>) -> Option<f64> {
    let (quota, period) = (quota?, period.filter(|period| *period > 0)?);
    Some(quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        dir
    }

    #[test]
    fn version_2_limits_are_the_tightest_up_to_the_root() {
        let dir = tree(&[
            ("a/cpu.max", "150000 100000\n"),
            ("a/b/cpu.max", "max 100000\n"),
            ("a/memory.max", "max\n"),
            ("a/b/memory.max", "1000\n"),
        ]);
        let found = limits("0::/a/b\n", dir.path());
        assert_eq!(found, Limits { cpus: Some(1.5), memory_bytes: Some(1000) });
    }

    #[test]
    fn version_1_limits_stand_by_controller_and_a_hosts_path_falls_back_to_the_root() {
        let dir = tree(&[
            ("cpu/cpu.cfs_quota_us", "200000\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/x/memory.limit_in_bytes", "5000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let found = limits("4:cpu,cpuacct:/docker/1\n7:memory:/x\n1:name=systemd:/\n", dir.path());
        assert_eq!(found, Limits { cpus: Some(2.0), memory_bytes: Some(5000) });
    }

    #[test]
    fn no_limit_and_no_cgroup_limit_nothing() {
        let dir =
            tree(&[("cpu/cpu.cfs_quota_us", "-1\n"), ("cpu/cpu.cfs_period_us", "100000\n"), ("cpu.max", "max 100000")]);
        assert_eq!(limits("4:cpu:/\n0::/\n", dir.path()), Limits::default());
        assert_eq!(limits("", dir.path()), Limits::default());
    }

    #[test]
    fn this_machine_has_cpus_and_memory() {
        let machine = Machine::look();
        assert!(!machine.cpus.is_empty() && machine.memory_bytes > 1 << 20, "{machine:?}");
    }
}
