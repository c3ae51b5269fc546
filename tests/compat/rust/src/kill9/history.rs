//! The history of one topic: a checker for each partition, shared by the threads that write to it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checker::{Checker, Counts, Event};

/// All partitions of one topic.
#[derive(Debug)]
pub struct History {
    partitions: Vec<Mutex<Checker>>,
    acked_bytes: AtomicU64,
}

impl History {
    pub fn new(partitions: i32) -> Self {
        Self { partitions: (0..partitions).map(|_| Mutex::default()).collect(), acked_bytes: AtomicU64::new(0) }
    }

    pub fn apply(&self, partition: i32, event: Event) {
        let at = usize::try_from(partition).expect("partitions count from 0");
        self.partitions[at].lock().expect("a checker panicked").apply(event);
    }

    /// Bytes of values that were acked, since the start.
    pub fn acked_bytes(&self) -> u64 {
        self.acked_bytes.load(Ordering::Relaxed)
    }

    pub fn add_acked_bytes(&self, bytes: u64) {
        self.acked_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Every fault kept, told for a person, and the number of all.
    pub fn faults(&self) -> (Vec<String>, usize) {
        let (mut told, mut total) = (Vec::new(), 0);
        for (partition, checker) in self.partitions.iter().enumerate() {
            let checker = checker.lock().expect("a checker panicked");
            let (faults, count) = checker.faults();
            told.extend(faults.iter().map(|fault| format!("partition {partition}: {fault}")));
            total += count;
        }
        (told, total)
    }

    pub fn counts(&self) -> Counts {
        self.partitions.iter().fold(Counts::default(), |sum, checker| {
            let one = checker.lock().expect("a checker panicked").counts();
            Counts {
                invoked: sum.invoked + one.invoked,
                acked: sum.acked + one.acked,
                read: sum.read + one.read,
                unknown_found: sum.unknown_found + one.unknown_found,
            }
        })
    }
}
