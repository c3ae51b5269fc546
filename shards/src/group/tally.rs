//! How many members say each of the names that they say. Plain state.
//!
//! Invariant: no name that nobody says.

use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<Arc<str>, usize>,
}

impl Tally {
    /// A member comes with it, with 1, or goes with it, with -1.
    pub fn add(&mut self, name: &Arc<str>, by: isize) {
        match self.counts.get_mut(name) {
            Some(count) => {
                *count = count.saturating_add_signed(by);
                if *count == 0 {
                    self.counts.remove(name);
                }
            }
            None if by > 0 => drop(self.counts.insert(name.clone(), by.unsigned_abs())),
            None => {}
        }
    }

    pub fn of(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or(0)
    }

    pub fn has(&self, name: &str) -> bool {
        self.counts.contains_key(name)
    }

    /// In their order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.counts.keys()
    }
}
