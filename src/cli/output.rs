//! Lines to stdout and stderr, and the log. A reader that has gone is no reason to stop.
//!
//! Invariant: nothing here panics on a closed pipe, as `println!` would.

use std::io::{IsTerminal, Write, stderr, stdout};

use tracing::level_filters::LevelFilter;

/// A line on stdout: an answer.
pub fn say(line: &str) {
    // Nobody reads it any more: the broker goes on all the same.
    let _closed = writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
}

/// A line on stderr: for a person.
pub fn note(line: &str) {
    let _closed = writeln!(stderr(), "{line}");
}

/// The log goes to stderr: for eyes on a terminal, JSON otherwise.
pub fn start_log(level: LevelFilter) {
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr).with_target(false);
    if stderr().is_terminal() { log.init() } else { log.json().init() }
}
