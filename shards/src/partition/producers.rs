//! The last five batches of each producer, to tell a retry from a gap (KIP-98). Owning core only; no clock, no I/O.
//!
//! Invariant: for a producer, sequences are contiguous from the oldest batch kept to the newest, and all of one epoch.
//!
//! A batch is recorded when it is appended, not when it is durable: a retry that comes in between is a duplicate too, and
//! its reply waits, like the original's, until [`Verdict::Duplicate::last_offset`] is durable (R1).

use std::time::Duration;

use hashbrown::HashMap;
use smallvec::SmallVec;
use thiserror::Error;

use crate::request::AppendError;
use crate::types::{Mono, Offset, ProducerId};

/// Batches kept for a producer: Kafka's clients have at most five requests in flight.
pub const BATCHES_KEPT: usize = 5;
/// Refusals for want of room are told no more often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What of a batch counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    pub producer: ProducerId,
    pub epoch: i16,
    /// Sequence of the first record.
    pub first: i32,
    /// Records in the batch, at least one.
    pub count: i32,
    /// As the log holds it: after a LogAppendTime topic has put its own.
    pub max_timestamp_ms: i64,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Append,
    /// It is in the log already: answer with these, once `last_offset` is durable.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        timestamp_ms: i64,
    },
}

/// Producers that a core may keep, over all of its partitions.
#[derive(Debug, Clone, Copy)]
pub struct ProducerRoom {
    used: u32,
    max: u32,
    /// When it was last told that there is none left.
    told_at: Option<Mono>,
}

impl ProducerRoom {
    pub fn new(max: u32) -> ProducerRoom {
        ProducerRoom { used: 0, max, told_at: None }
    }

    pub fn used(&self) -> u32 {
        self.used
    }

    pub fn max(&self) -> u32 {
        self.max
    }

    /// Says that a producer was refused, now and then.
    pub fn tell(&mut self, now: Mono) {
        if self.told_at.is_none_or(|at| now.since(at) >= TOLD_EVERY) {
            self.told_at = Some(now);
            tracing::warn!(max = self.max, "refused: no room for another idempotent producer; raise producer.ids.max");
        }
    }

    fn give_back(&mut self, producers: usize) {
        let producers = u32::try_from(producers).unwrap_or(u32::MAX);
        assert!(producers <= self.used, "{producers} producers leave, and {} were counted", self.used);
        self.used -= producers;
    }
}

/// The producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    /// Boxed: a table that has just grown is half empty, and its slots should be small.
    by_id: HashMap<ProducerId, Box<Producer>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    /// Oldest first; the first `kept` count, the others are blank.
    batches: [BatchMark; BATCHES_KEPT],
    /// Wall clock of the last append.
    seen_ms: i64,
    epoch: i16,
    kept: u8,
}

/// One batch as it is kept, here and in a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchMark {
    pub base_offset: Offset,
    pub timestamp_ms: i64,
    pub first: i32,
    pub count: i32,
}

/// A producer as a checkpoint holds it. `batches`: oldest first, one to five.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSnapshot {
    pub producer: ProducerId,
    pub epoch: i16,
    pub seen_ms: i64,
    pub batches: SmallVec<[BatchMark; BATCHES_KEPT]>,
}

/// A checkpoint that cannot be ours.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("producer {producer:?} in a checkpoint: {why}")]
pub struct BadSnapshot {
    pub producer: ProducerId,
    pub why: &'static str,
}

const _: () = assert!(size_of::<Producer>() <= 136, "a producer should fit into 200 bytes with its slot in the table");

impl Producers {
    /// Decides on a batch and changes nothing. Sequences count only for batches that have a producer.
    pub fn check(&self, batch: &Sequenced, room: &ProducerRoom) -> Result<Verdict, AppendError> {
        let producer_id = batch.producer;
        if producer_id == ProducerId::NONE {
            return Ok(Verdict::Append);
        }
        let Some(known) = self.by_id.get(&producer_id) else {
            // Expired, or its records were deleted: nothing to compare with, so any sequence will do.
            return if room.used < room.max {
                Ok(Verdict::Append)
            } else {
                Err(AppendError::TooManyProducers { max: room.max })
            };
        };
        let current = known.epoch;
        if batch.epoch < current {
            return Err(AppendError::OldProducerEpoch { producer_id, got: batch.epoch, current });
        }
        let expected = if batch.epoch > current {
            0
        } else {
            if let Some(mark) = known.kept().iter().find(|mark| (mark.first, mark.count) == (batch.first, batch.count))
            {
                return Ok(mark.duplicate());
            }
            known.next()
        };
        if batch.first == expected {
            return Ok(Verdict::Append);
        }
        // Older than what is kept, overlapping, or from ahead: Kafka answers 45 to all of them.
        Err(AppendError::OutOfOrderSequence { producer_id, got: batch.first, expected })
    }

    /// Notes an appended batch; the same live and at replay. `now_ms`: wall clock, for expiry.
    pub fn record(&mut self, batch: &Sequenced, base_offset: Offset, now_ms: i64, room: &mut ProducerRoom) {
        if batch.producer == ProducerId::NONE {
            return;
        }
        let mark =
            BatchMark { base_offset, timestamp_ms: batch.max_timestamp_ms, first: batch.first, count: batch.count };
        let known = self.by_id.entry(batch.producer).or_insert_with(|| {
            room.used += 1;
            Box::new(Producer { batches: Default::default(), seen_ms: now_ms, epoch: batch.epoch, kept: 0 })
        });
        // A gap within an epoch comes only from replay: live, the state had expired in between.
        if known.epoch != batch.epoch || (known.kept > 0 && known.next() != batch.first) {
            known.kept = 0;
            known.batches = Default::default();
        }
        known.epoch = batch.epoch;
        known.seen_ms = known.seen_ms.max(now_ms);
        known.push(mark);
    }

    /// Forgets the producers that have appended nothing for `expiration_ms` (`producer.id.expiration.ms`).
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64, room: &mut ProducerRoom) {
        let before = self.by_id.len();
        self.by_id.retain(|_, known| now_ms.saturating_sub(known.seen_ms) < expiration_ms);
        room.give_back(before - self.by_id.len());
        if self.by_id.is_empty() {
            self.by_id = HashMap::new();
        }
    }

    /// Forgets all, when the partition goes.
    pub fn clear(&mut self, room: &mut ProducerRoom) {
        room.give_back(self.by_id.len());
        self.by_id = HashMap::new();
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether the batch at `base_offset` is the last of this producer.
    pub fn is_last(&self, producer: ProducerId, base_offset: Offset) -> bool {
        let last = self.by_id.get(&producer).and_then(|known| known.kept().last());
        last.is_some_and(|mark| mark.base_offset == base_offset)
    }

    /// Everything that a checkpoint must hold, sorted by producer.
    pub fn snapshot(&self) -> Vec<ProducerSnapshot> {
        let producers = self.by_id.iter().map(|(&producer, known)| ProducerSnapshot {
            producer,
            epoch: known.epoch,
            seen_ms: known.seen_ms,
            batches: SmallVec::from_slice(known.kept()),
        });
        let mut producers: Vec<ProducerSnapshot> = producers.collect();
        producers.sort_unstable_by_key(|snapshot| snapshot.producer);
        producers
    }

    /// Takes a producer over from a checkpoint; replay goes on from there. The bound of the core does not refuse what
    /// was let in before it was lowered.
    pub fn restore(&mut self, snapshot: &ProducerSnapshot, room: &mut ProducerRoom) -> Result<(), BadSnapshot> {
        let producer = snapshot.producer;
        let bad = |why| Err(BadSnapshot { producer, why });
        let kept = snapshot.batches.len();
        if !(1..=BATCHES_KEPT).contains(&kept) {
            return bad("it has no batch, or over five");
        }
        if snapshot.batches.iter().any(|mark| mark.first < 0 || mark.count < 1) {
            return bad("a batch is empty, or its sequence negative");
        }
        if snapshot.batches.iter().zip(snapshot.batches.iter().skip(1)).any(|(a, b)| a.next() != b.first) {
            return bad("its batches are not contiguous");
        }
        if producer == ProducerId::NONE || self.by_id.contains_key(&producer) {
            return bad("it comes twice, or has no id");
        }
        let mut known =
            Producer { batches: Default::default(), seen_ms: snapshot.seen_ms, epoch: snapshot.epoch, kept: 0 };
        snapshot.batches.iter().for_each(|&mark| known.push(mark));
        self.by_id.insert(producer, Box::new(known));
        room.used += 1;
        Ok(())
    }
}

impl Producer {
    fn kept(&self) -> &[BatchMark] {
        &self.batches[..usize::from(self.kept)]
    }

    /// The sequence that comes next in this epoch.
    fn next(&self) -> i32 {
        self.kept().last().map_or(0, BatchMark::next)
    }

    fn push(&mut self, mark: BatchMark) {
        let mut at = usize::from(self.kept);
        if at == BATCHES_KEPT {
            self.batches.rotate_left(1);
            at -= 1;
        }
        self.batches[at] = mark;
        self.kept = at as u8 + 1;
    }
}

impl BatchMark {
    fn next(&self) -> i32 {
        sequence_after(self.first, self.count)
    }

    fn duplicate(&self) -> Verdict {
        Verdict::Duplicate {
            base_offset: self.base_offset,
            last_offset: self.base_offset.plus(i64::from(self.count) - 1),
            timestamp_ms: self.timestamp_ms,
        }
    }
}

/// Sequences run from 0 to `i32::MAX` and start over.
fn sequence_after(sequence: i32, steps: i32) -> i32 {
    const SEQUENCES: i64 = i32::MAX as i64 + 1;
    ((i64::from(sequence) + i64::from(steps)).rem_euclid(SEQUENCES)) as i32
}

#[cfg(test)]
#[path = "producers_tests.rs"]
mod tests;
