//! A progress bar on stderr for work that takes long. Shown on a terminal only.
//!
//! Invariant: nothing of it is left on the screen when the work is done.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work that is done sooner needs no bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

pub struct Progress {
    /// How much there is to do, if that is known.
    total: Option<u64>,
    done: u64,
    records: u64,
    began: Instant,
    /// `None` until it is worth showing.
    bar: Option<ProgressBar>,
    wanted: bool,
}

impl Progress {
    /// Work of `total` steps; `wanted` is false where a bar would get in the way of what else is on the terminal.
    pub fn new(total: Option<u64>, wanted: bool) -> Progress {
        let wanted = wanted && stderr().is_terminal();
        Progress { total, done: 0, records: 0, began: Instant::now(), bar: None, wanted }
    }

    /// So many more steps and records are done.
    pub fn advance(&mut self, steps: u64, records: u64) {
        self.done += steps;
        self.records += records;
        if !self.wanted || self.began.elapsed() < SHOWN_AFTER {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.total));
        bar.set_position(self.done);
        let rate = self.records as f64 / self.began.elapsed().as_secs_f64();
        bar.set_message(format!("{} records, {rate:.0}/s", self.records));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(wrong) => unreachable!("{template}: {wrong}"),
    }
}
