//! Lines to stdout and stderr, colours, and the log. A reader that has gone is no reason to stop.
//!
//! Invariant: nothing here panics on a closed pipe, as `println!` would; colours go to a terminal only, and to none
//! where NO_COLOR is set.

use std::io::{IsTerminal, Write, stderr, stdout};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::http::LogLevel;
use crate::launch::log::{self, Log};

/// A line on stdout: an answer.
pub fn say(line: &str) {
    // Nobody reads it any more: the broker goes on all the same.
    let _closed = writeln!(stdout(), "{line}").and_then(|()| stdout().flush());
}

/// A line on stderr: for a person.
pub fn note(line: &str) {
    let _closed = writeln!(stderr(), "{line}");
}

/// What ended a command, on stderr.
pub fn complain(what: &str) {
    let name = if stderr().is_terminal() && colours_wanted() { "\x1b[1;31mcorelog:\x1b[0m" } else { "corelog:" };
    log::tell(&format!("{name} {what}"));
}

/// A text of an answer that stands out on a terminal.
pub fn strong(text: &str) -> String {
    if stdout().is_terminal() && colours_wanted() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

/// See no-color.org: set to anything but nothing, it means no.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The log goes to stderr, by a thread of its own: for eyes on a terminal, JSON otherwise. Answers what changes its level.
pub fn start_log(level: LevelFilter) -> LogLevel {
    let (filter, level) = LogLevel::filter(level);
    let log = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(Log::to_stderr()).with_target(false);
    if stderr().is_terminal() {
        log.with(lines.with_ansi(colours_wanted())).init();
    } else {
        log.with(lines.json()).init();
    }
    level
}
