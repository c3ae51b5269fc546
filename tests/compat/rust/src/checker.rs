//! Judges a history of writes, acks and reads, in the manner of Jepsen's Kafka workload. Pure: events in, faults out.
//!
//! Invariant: events come in an order in which they may have happened: a write before its ack and before any read of it.
//! A write without an ack is unknown: it may be in the log or not, once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::payload::{Found, Value};

/// Faults kept; a run with more says how many there were.
const FAULTS_KEPT_MAX: usize = 50;

/// One step of a history, for one partition.
#[derive(Clone, Debug)]
pub enum Event {
    /// About to be sent. Each producer counts its values from 0, without gaps.
    Invoked(Value),
    /// Acked with acks=all. The offset is unknown when the broker said "duplicate" without one.
    Acked {
        value: Value,
        offset: Option<i64>,
    },
    /// A reader is about to ask for the end of the log.
    EndAsked {
        reader: u32,
    },
    /// The answer to `EndAsked`; the reader will read `from..end`.
    ReadStarted {
        reader: u32,
        from: i64,
        end: i64,
    },
    /// A reader that follows the log starts at `from`; it has no end.
    TailStarted {
        reader: u32,
        from: i64,
    },
    Polled {
        reader: u32,
        offset: i64,
        found: Found,
    },
    /// A reader with an end has got all that it will get.
    ReadEnded {
        reader: u32,
    },
}

/// What must never be in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Acked at this offset, or read there before, and no longer in the log.
    Lost {
        value: Value,
        offset: Option<i64>,
    },
    /// One value at two offsets.
    Duplicate {
        value: Value,
        offsets: [i64; 2],
    },
    /// A producer's value before an earlier one of the same producer.
    Reordered {
        earlier: Value,
        later: Value,
        offset: i64,
    },
    /// In the log, but nobody sent it.
    Phantom {
        value: Value,
        offset: i64,
    },
    WrongBytes {
        offset: i64,
        how: String,
    },
    /// The ack named one offset, the log has it at another.
    Moved {
        value: Value,
        acked: i64,
        found: i64,
    },
    /// Two reads of one offset found different records.
    Changed {
        offset: i64,
        before: Value,
        now: Value,
    },
    /// The reader was handed an offset that does not follow the one before.
    NotNext {
        reader: u32,
        expected: i64,
        got: i64,
    },
    /// The end of the log lies below an offset that was acked or read before.
    EndWentBack {
        end: i64,
        floor: i64,
    },
    /// The reader got less than the log's end promised.
    Short {
        reader: u32,
        end: i64,
        got: i64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost { value, offset: Some(at) } => write!(f, "lost: {value:?}, acked or read at offset {at}"),
            Fault::Lost { value, offset: None } => write!(f, "lost: {value:?}, acked as a duplicate"),
            Fault::Duplicate { value, offsets: [a, b] } => write!(f, "duplicate: {value:?} at offsets {a} and {b}"),
            Fault::Reordered { earlier, later, offset } => {
                write!(f, "reordered: {earlier:?} at offset {offset}, after {later:?}")
            }
            Fault::Phantom { value, offset } => write!(f, "phantom: {value:?} at offset {offset} was never sent"),
            Fault::WrongBytes { offset, how } => write!(f, "wrong bytes at offset {offset}: {how}"),
            Fault::Moved { value, acked, found } => {
                write!(f, "moved: {value:?} acked at offset {acked}, found at {found}")
            }
            Fault::Changed { offset, before, now } => {
                write!(f, "changed: offset {offset} held {before:?}, now {now:?}")
            }
            Fault::NotNext { reader, expected, got } => {
                write!(f, "reader {reader} got offset {got} where {expected} comes next")
            }
            Fault::EndWentBack { end, floor } => {
                write!(f, "the log ends at {end}, but offsets below {floor} were acked or read")
            }
            Fault::Short { reader, end, got } => {
                write!(f, "reader {reader} got up to {got} of a log that ends at {end}")
            }
        }
    }
}

/// Counts of one history, to tell a run that proved something from one that did nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub invoked: u64,
    pub acked: u64,
    /// Distinct offsets that some reader saw.
    pub read: u64,
    /// Never acked, in the log all the same.
    pub unknown_found: u64,
}

#[derive(Debug)]
struct Reading {
    next: i64,
    from: i64,
    end: Option<i64>,
}

/// The state of one partition's history.
#[derive(Debug, Default)]
pub struct Checker {
    invoked: HashMap<u32, u64>,
    acked: BTreeMap<i64, Value>,
    acked_somewhere: Vec<Value>,
    log: BTreeMap<i64, Value>,
    places: HashMap<Value, i64>,
    /// For each reader that asked for the end: one above the highest offset acked or read by then.
    floors: HashMap<u32, i64>,
    readings: HashMap<u32, Reading>,
    faults: Vec<Fault>,
    faults_total: usize,
}

impl Checker {
    /// Takes the history one step further.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Invoked(value) => {
                let sent = self.invoked.entry(value.producer).or_default();
                assert_eq!(value.n, *sent, "producer {} skips or repeats a value", value.producer);
                *sent += 1;
            }
            Event::Acked { value, offset: Some(offset) } => self.ack(value, offset),
            Event::Acked { value, offset: None } => self.acked_somewhere.push(value),
            Event::EndAsked { reader } => {
                self.floors.insert(reader, self.floor());
            }
            Event::ReadStarted { reader, from, end } => {
                self.check_end(reader, end);
                self.readings.insert(reader, Reading { next: from, from, end: Some(end) });
            }
            Event::TailStarted { reader, from } => {
                self.readings.insert(reader, Reading { next: from, from, end: None });
            }
            Event::Polled { reader, offset, found } => self.poll(reader, offset, found),
            Event::ReadEnded { reader } => self.end_read(reader),
        }
    }

    /// The faults so far (the first fifty), and how many there were.
    pub fn faults(&self) -> (&[Fault], usize) {
        (&self.faults, self.faults_total)
    }

    pub fn counts(&self) -> Counts {
        let acked: std::collections::HashSet<&Value> = self.acked.values().chain(&self.acked_somewhere).collect();
        Counts {
            invoked: self.invoked.values().sum(),
            acked: acked.len() as u64,
            read: self.log.len() as u64,
            unknown_found: self.places.keys().filter(|v| !acked.contains(v)).count() as u64,
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_KEPT_MAX {
            self.faults.push(fault);
        }
    }

    /// One above the highest offset that was acked or read.
    fn floor(&self) -> i64 {
        let acked = self.acked.last_key_value().map_or(0, |(at, _)| at + 1);
        let read = self.log.last_key_value().map_or(0, |(at, _)| at + 1);
        acked.max(read)
    }

    fn ack(&mut self, value: Value, offset: i64) {
        if value.n >= self.invoked.get(&value.producer).copied().unwrap_or(0) {
            self.fault(Fault::Phantom { value, offset });
        }
        // Two acks for one offset: one of the two values cannot be there.
        if let Some(before) = self.acked.insert(offset, value).filter(|before| *before != value) {
            self.fault(Fault::Changed { offset, before, now: value });
        }
    }

    fn check_end(&mut self, reader: u32, end: i64) {
        let floor = self.floors.remove(&reader).unwrap_or(0);
        if end >= floor {
            return;
        }
        self.fault(Fault::EndWentBack { end, floor });
        let mut gone: BTreeMap<i64, Value> = self.log.range(end..floor).map(|(at, v)| (*at, *v)).collect();
        gone.extend(self.acked.range(end..floor).map(|(at, v)| (*at, *v)));
        for (offset, value) in gone {
            self.fault(Fault::Lost { value, offset: Some(offset) });
        }
    }

    fn poll(&mut self, reader: u32, offset: i64, found: Found) {
        let reading = self.readings.get_mut(&reader).expect("a reader starts before it polls");
        let expected = reading.next;
        reading.next = offset + 1;
        if offset != expected {
            self.fault(Fault::NotNext { reader, expected, got: offset });
        }
        let value = match found {
            Found::Value(value) => value,
            Found::Wrong(how) => return self.fault(Fault::WrongBytes { offset, how }),
        };
        if value.n >= self.invoked.get(&value.producer).copied().unwrap_or(0) {
            self.fault(Fault::Phantom { value, offset });
        }
        match self.log.insert(offset, value) {
            // Read before, and judged then.
            Some(before) if before == value => return,
            Some(before) => self.fault(Fault::Changed { offset, before, now: value }),
            None => {}
        }
        match self.places.get(&value) {
            Some(&first) => self.fault(Fault::Duplicate { value, offsets: [first, offset] }),
            None => {
                self.places.insert(value, offset);
            }
        }
    }

    fn end_read(&mut self, reader: u32) {
        let Reading { next, from, end } = self.readings.remove(&reader).expect("a reader starts before it ends");
        let end = end.expect("only a reader with an end ends");
        if next < end {
            self.fault(Fault::Short { reader, end, got: next });
        }
        // A log that went back may end below where the read was to begin.
        self.check_acks(from, end.max(from));
        self.check_order(from, end.max(from));
    }

    /// Every ack of an offset in `from..end` has its record there.
    fn check_acks(&mut self, from: i64, end: i64) {
        let mut faults = Vec::new();
        for (&offset, &value) in self.acked.range(from..end) {
            match (self.log.get(&offset), self.places.get(&value)) {
                (Some(found), _) if *found == value => {}
                (_, Some(&found)) => faults.push(Fault::Moved { value, acked: offset, found }),
                (_, None) => faults.push(Fault::Lost { value, offset: Some(offset) }),
            }
        }
        if from == 0 {
            // An ack without an offset can only be judged by a reader of the whole log; later ones may lie above its end.
            let unseen = |v: &&Value| !self.places.contains_key(v) && self.has_later_in_log(v);
            faults.extend(self.acked_somewhere.iter().filter(unseen).map(|&value| Fault::Lost { value, offset: None }));
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }

    /// True if a later value of the same producer was read: then this one's place was read too.
    fn has_later_in_log(&self, value: &Value) -> bool {
        self.places.keys().any(|other| other.producer == value.producer && other.n > value.n)
    }

    /// Each producer's values stand in the order in which they were sent.
    fn check_order(&mut self, from: i64, end: i64) {
        let mut last: HashMap<u32, Value> = HashMap::new();
        let mut faults = Vec::new();
        for (&offset, &value) in self.log.range(from..end) {
            match last.get(&value.producer) {
                Some(&later) if later.n > value.n => faults.push(Fault::Reordered { earlier: value, later, offset }),
                _ => {
                    last.insert(value.producer, value);
                }
            }
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
