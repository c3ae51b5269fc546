//! How many instructions the hot paths take, held against `benches/limits.tsv`: `cargo test --test counts`.
//!
//! Counted by valgrind, so that the figures are the same on an idle machine and on a busy one; built as the tests are, so
//! that nothing is built for it alone: what makes an optimised build do more work makes this one do more. The program runs
//! itself, once for each path and number of rounds; what the rounds differ in is free of start, set-up and end.

mod limits;
mod paths;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use limits::{Limits, Verdict};

/// Rounds of the shorter run; the longer one has as many more. The shorter one fills what is filled only once.
const ROUNDS: u64 = 200;

/// Whether the limits are for this processor.
const COMPARABLE: bool = cfg!(target_arch = "x86_64");

const LIMITS: &str = "benches/limits.tsv";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [word, path, rounds] if word == "run" => {
            let rounds = rounds.parse().expect("a number of rounds");
            paths::all().into_iter().find(|known| known.name == path).expect("a known path").run(rounds);
            ExitCode::SUCCESS
        }
        _ => guard(),
    }
}

/// Counts all paths and says how each stands to its limit.
fn guard() -> ExitCode {
    let skipped = match Command::new("valgrind").arg("--version").output() {
        _ if !COMPARABLE => Some("the limits are for x86_64"),
        Err(_) => Some("valgrind is not installed"),
        Ok(_) => None,
    };
    limits::checked();
    if let Some(why) = skipped {
        println!("skipped: instructions are not counted: {why}");
        return ExitCode::SUCCESS;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIMITS);
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{LIMITS}: {e}"));
    let limits = Limits::parse(&text).unwrap_or_else(|e| panic!("{LIMITS}: {e}"));
    let names: Vec<&str> = paths::all().iter().map(|path| path.name).collect();
    let mut complaints: Vec<String> = limits.names().filter(|name| !names.contains(name)).map(unknown).collect();
    let mut passed = 0;
    for (name, counted) in names.iter().zip(counted(&names)) {
        let (limit, verdict) = limits.judge(name, counted);
        let limit = limit.map_or("none".to_owned(), |limit| limit.to_string());
        println!("{name:<22} {counted:>9} instructions, limit {limit:>9}: {verdict}");
        match verdict {
            Verdict::Within | Verdict::Less => passed += 1,
            Verdict::Over | Verdict::NoLimit => complaints.push(format!("{name}: {verdict}")),
        }
    }
    for complaint in &complaints {
        println!("{complaint}");
    }
    let (word, failed) = (if complaints.is_empty() { "ok" } else { "FAILED" }, complaints.len());
    // As the harness of other tests closes, for what counts them.
    println!("\ntest result: {word}. {passed} passed; {failed} failed");
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unknown(name: &str) -> String {
    format!("{name}: {LIMITS} has a limit for it, and there is no such path")
}

/// Instructions of one round of each path. Two are counted at a time.
fn counted(names: &[&str]) -> Vec<u64> {
    let one = |name: &str| {
        thread::scope(|scope| {
            let longer = scope.spawn(|| instructions(name, 2 * ROUNDS));
            let shorter = instructions(name, ROUNDS);
            (longer.join().expect("valgrind counts") - shorter) / ROUNDS
        })
    };
    names.iter().map(|name| one(name)).collect()
}

/// Of a whole process that runs a path so many times.
fn instructions(path: &str, rounds: u64) -> u64 {
    let this = std::env::current_exe().expect("the program has a path");
    let done = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--branch-sim=no", "--cachegrind-out-file=/dev/null"])
        // The C library chooses its copies by the processor; these are what every x86_64 has.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX512F,-ERMS,-FSRM")
        .arg(this)
        .args(["run", path, &rounds.to_string()])
        .output()
        .expect("valgrind runs");
    let said = String::from_utf8_lossy(&done.stderr);
    let count = said
        .lines()
        .find_map(|line| line.split_once("I").and_then(|(_, rest)| rest.trim_start().strip_prefix("refs:")));
    let digits: String = count.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    assert!(done.status.success() && !digits.is_empty(), "{path} under valgrind: {said}");
    digits.parse().expect("fewer than 2^64")
}
