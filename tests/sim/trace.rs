//! The same seed is the same run, to the last byte, in whatever process: nothing depends on addresses, hashes or threads.

use std::process::Command;

use crate::crashes::power_cuts;
use crate::disks::{io_errors, slow_disk};
use crate::mixed::mixed;
use crate::scenario::Scenario;

/// Makes a child of the test say the traces, and nothing else.
const CHILD: &str = "CORELOG_SIM_TELL_TRACES";
const NAME: &str = "trace::the_same_seed_gives_the_same_trace_in_two_processes";
const SCENARIOS: [(&str, Scenario); 4] =
    [("mixed", mixed), ("power_cuts", power_cuts), ("slow_disk", slow_disk), ("io_errors", io_errors)];
const SEEDS: [u64; 2] = [3, 4];

/// One line for each run.
fn traces() -> Vec<String> {
    let mut lines = Vec::new();
    for (name, scenario) in SCENARIOS {
        for seed in SEEDS {
            let outcome = scenario(seed);
            lines.push(format!("trace of {name} {seed}: {:016x}, {} acks", outcome.trace, outcome.acks));
        }
    }
    lines
}

#[test]
fn the_same_seed_gives_the_same_trace_in_two_processes() {
    let here = traces();
    if std::env::var_os(CHILD).is_some() {
        here.iter().for_each(|line| println!("\n{line}"));
        return;
    }
    let program = std::env::current_exe().expect("the test's own program");
    let child = Command::new(program).args(["--exact", NAME, "--nocapture"]).env(CHILD, "1").output();
    let child = child.expect("the test runs once more");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    let there: Vec<&str> = said.lines().filter(|line| line.starts_with("trace of ")).collect();
    assert_eq!(there, here);
    let mut different = here.clone();
    different.sort_unstable_by_key(|line| line.rsplit(": ").next().map(str::to_owned));
    different.dedup_by_key(|line| line.rsplit(": ").next().map(str::to_owned));
    assert_eq!(different.len(), here.len(), "another seed is another run");
}
