//! What tests say whether they pass or not.

use std::io::{Write, stderr};

/// Says a line on stderr. What is printed by macros is kept back of a test that passes.
pub fn aloud(line: &str) {
    writeln!(stderr(), "\n{line}").expect("stderr takes it");
}

/// Says what this machine lacks for the test, or for a part of it: `tests/run` counts these lines.
pub fn skipped(why: &str) {
    aloud(&format!("skipped: {why}"));
}
