//! Where a run was made: what the figures of another machine differ by. Read from `/proc` and the kernel.

use std::fs;

use rustix::system::uname;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub host: String,
    pub kernel: String,
    pub architecture: String,
    /// As the kernel names it; empty where it does not.
    pub processor: String,
    pub processors: usize,
    pub memory_bytes: u64,
    /// Of corelog, whose generator it was.
    pub version: String,
    /// The generator was built without optimisation, and its own cost says little.
    pub unoptimised: bool,
}

impl Machine {
    pub fn here() -> Machine {
        let name = uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Machine {
            host: text(name.nodename()),
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            architecture: text(name.machine()),
            processor: field(&processors, "model name").unwrap_or_default().to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes.unwrap_or(0) << 10,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            unoptimised: cfg!(debug_assertions),
        }
    }
}

/// What follows `name:` on a line of its own.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_found_whatever_stands_between_name_and_value() {
        let text = "processor\t: 0\nmodel name\t: Xeon @ 2 GHz\nMemTotal:       16384 kB\n";
        assert_eq!(field(text, "model name"), Some("Xeon @ 2 GHz"));
        assert_eq!(field(text, "MemTotal"), Some("16384 kB"));
        assert_eq!(field(text, "flags"), None);
    }
}
