//! Finds what a broker lost, gave twice or gave out of order. Pure.
//!
//! Each client numbers what it sends to each partition; the records of one such stream must come in that order.

use std::collections::BTreeMap;

/// What became of the records that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records of this run, each counted once.
    pub seen: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after a later one of their stream.
    pub reordered: u64,
}

/// How a record came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    InOrder,
    /// A later one of its stream came first.
    Late,
    Again,
    /// No client of this run sends to such a stream.
    Stray,
}

#[derive(Debug)]
pub struct Checker {
    partitions: usize,
    /// By client, then by partition.
    streams: Vec<Stream>,
    findings: Findings,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    next: u64,
    /// Below `next` and not seen: first to the one after the last.
    gaps: BTreeMap<u64, u64>,
}

impl Checker {
    pub fn new(clients: usize, partitions: usize) -> Checker {
        let streams = vec![Stream::default(); clients * partitions];
        Checker { partitions, streams, findings: Findings::default() }
    }

    pub fn see(&mut self, client: u32, partition: usize, sequence: u64) -> Seen {
        let at =
            usize::try_from(client).unwrap_or(usize::MAX).saturating_mul(self.partitions).saturating_add(partition);
        let stream = self.streams.get_mut(at).filter(|_| partition < self.partitions);
        let Some(stream) = stream else { return Seen::Stray };
        let seen = stream.see(sequence);
        match seen {
            Seen::InOrder => self.findings.seen += 1,
            Seen::Late => {
                self.findings.seen += 1;
                self.findings.reordered += 1;
            }
            Seen::Again | Seen::Stray => self.findings.duplicated += 1,
        }
        seen
    }

    pub fn findings(&self) -> Findings {
        self.findings
    }

    /// How many of the first so many records of each of a client's streams have not come.
    pub fn lost(&self, client: u32, acked: &[u64]) -> u64 {
        let first = usize::try_from(client).unwrap_or(usize::MAX).saturating_mul(self.partitions);
        let streams = self.streams.get(first..).unwrap_or_default();
        streams.iter().zip(acked).map(|(stream, &acked)| stream.lost(acked)).sum()
    }
}

impl Stream {
    fn see(&mut self, sequence: u64) -> Seen {
        if sequence == self.next {
            self.next += 1;
            return Seen::InOrder;
        }
        if sequence > self.next {
            // Whether these are lost or late shows later.
            self.gaps.insert(self.next, sequence);
            self.next = sequence + 1;
            return Seen::InOrder;
        }
        let gap = self.gaps.range(..=sequence).next_back().map(|(&from, &to)| (from, to));
        let Some((from, to)) = gap.filter(|(_, to)| sequence < *to) else { return Seen::Again };
        self.gaps.remove(&from);
        if from < sequence {
            self.gaps.insert(from, sequence);
        }
        if sequence + 1 < to {
            self.gaps.insert(sequence + 1, to);
        }
        Seen::Late
    }

    fn lost(&self, acked: u64) -> u64 {
        let in_gaps = self.gaps.range(..acked).map(|(&from, &to)| to.min(acked) - from);
        in_gaps.sum::<u64>() + acked.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sequences: &[u64]) -> (Checker, Findings) {
        let mut checker = Checker::new(2, 3);
        for &sequence in sequences {
            assert_ne!(checker.see(1, 2, sequence), Seen::Stray);
        }
        let findings = checker.findings();
        (checker, findings)
    }

    #[test]
    fn records_in_order_are_no_finding() {
        let (checker, findings) = after(&[0, 1, 2, 3]);
        assert_eq!(findings, Findings { seen: 4, ..Findings::default() });
        assert_eq!(checker.lost(1, &[0, 0, 4]), 0);
    }

    #[test]
    fn a_lost_record_is_found_in_the_middle_and_at_the_end() {
        let (checker, findings) = after(&[0, 1, 3, 6]);
        assert_eq!(findings, Findings { seen: 4, ..Findings::default() });
        assert_eq!(checker.lost(1, &[0, 0, 7]), 3);
        assert_eq!(checker.lost(1, &[0, 0, 10]), 6, "and 7, 8, 9");
        assert_eq!(checker.lost(1, &[0, 0, 5]), 2, "5 was never acked");
        assert_eq!(checker.lost(0, &[1, 1, 1]), 3, "nothing of the other client came");
    }

    #[test]
    fn a_record_that_comes_twice_is_found() {
        let (checker, findings) = after(&[0, 1, 1, 2, 0]);
        assert_eq!(findings, Findings { seen: 3, duplicated: 2, ..Findings::default() });
        assert_eq!(checker.lost(1, &[0, 0, 3]), 0);
    }

    #[test]
    fn records_out_of_order_are_found_and_not_taken_for_lost_ones() {
        let (checker, findings) = after(&[0, 4, 2, 1, 3, 2]);
        assert_eq!(findings, Findings { seen: 5, duplicated: 1, reordered: 3 });
        assert_eq!(checker.lost(1, &[0, 0, 5]), 0);
    }

    #[test]
    fn a_record_of_no_stream_is_a_stray() {
        let mut checker = Checker::new(2, 3);
        assert_eq!(checker.see(2, 0, 0), Seen::Stray);
        assert_eq!(checker.see(0, 3, 0), Seen::Stray);
        assert_eq!(checker.see(u32::MAX, 0, 0), Seen::Stray);
    }
}
