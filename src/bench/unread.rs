//! Since when what a thread reads may have lain there unread. Pure: time is an argument.

/// A wait that ends sooner had something to tell when it began.
const AT_ONCE_NS: u64 = 50_000;

#[derive(Debug)]
pub struct Unread {
    /// When the last wait ended.
    looked_ns: u64,
}

impl Unread {
    pub fn new(now_ns: u64) -> Unread {
        Unread { looked_ns: now_ns }
    }

    /// A wait is over that began at `asked_ns` and was to end at `wake_ns` at the latest. What it tells of is not older than
    /// what this returns.
    pub fn since(&mut self, asked_ns: u64, wake_ns: u64, now_ns: u64) -> u64 {
        let slept = wake_ns > asked_ns && now_ns.saturating_sub(asked_ns) >= AT_ONCE_NS;
        // What ends a sleep has just come, unless the thread was woken too late for any of it.
        let since_ns = if slept { now_ns.min(wake_ns) } else { self.looked_ns };
        self.looked_ns = now_ns;
        since_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_a_thread_finds_after_it_was_busy_may_be_as_old_as_its_last_look() {
        let mut unread = Unread::new(10 * MS);
        assert_eq!(unread.since(50 * MS, 60 * MS, 50 * MS + 5000), 10 * MS, "it came while the thread was busy");
        assert_eq!(unread.since(51 * MS, 60 * MS, 55 * MS), 55 * MS, "it came in the sleep, and ended it");
        assert_eq!(unread.since(55 * MS, 60 * MS, 90 * MS), 60 * MS, "the machine let it sleep for too long");
        assert_eq!(unread.since(95 * MS, 60 * MS, 96 * MS), 90 * MS, "it did not mean to sleep");
    }
}
