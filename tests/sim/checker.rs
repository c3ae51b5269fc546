//! Judges a history: what must hold for every client whatever the disk, the power and the process did. Pure.
//!
//! Invariant: a request without an answer is unknown, never failed: its records may be in the log, once, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use shards::types::{Mono, TopicId};

use crate::history::{At, Event, Found, MayLose, Part, Setting, Value};
use crate::payload::{is_tombstone, key_of};

/// What the checker holds the broker to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// What was acked or read once is there in every later read that covers it.
    AckedIsReadable,
    /// A power cut takes no more of a relaxed log than `flush.messages` and `flush.ms` allow.
    LossesAreBounded,
    /// Of a compacted log: a record goes only for a newer one of its key, or when it deletes the key.
    NewestIsKept,
    /// An offset means the same record, of the same epoch, for ever.
    OffsetsStable,
    /// Nothing is in a log that nobody sent to it.
    NothingPhantom,
    /// Idempotence: a value is in the log once.
    NoDuplicate,
    /// Values of one producer are in a partition in the order in which it sent them.
    InOrder,
    HighWatermarkNeverBack,
    LogStartNeverBack,
    /// A log start moves for a deletion that was asked for, or by retention.
    OnlyTheDeletedIsGone,
    /// Nothing below a log start is read again.
    DeletedStaysGone,
    LeaderEpochGrowsByOnePerStart,
    /// Epochs of batches never fall along the log.
    EpochsAscend,
    /// What a segment holds was synced in the journal before, and is there after any crash (R9).
    SegmentsHoldTheSynced,
    ReadsStopAtHighWatermark,
    NothingAckedAfterTheFence,
    /// A topic is there from its creation to its deletion, and then no more.
    TopicsAreKept,
    /// No two producers get the same id.
    ProducerIdsAreUnique,
    /// A change of a topic that was told stays, and nothing that nobody asked for comes.
    ChangesAreKept,
    /// After the last fault every append and fetch is answered.
    EverybodyGetsOn,
    /// A fetch brings what comes next, if there is something.
    FetchesSkipNothing,
    /// What was deleted or replaced is gone from the disk in the end.
    SpaceComesBack,
    /// Every answer is one that this broker may give.
    AnswersAreExpected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub property: Property,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.what)
    }
}

/// Violations of each property that are listed; one is enough to fail, and no property hides another.
const LISTED_MAX: usize = 4;

/// Everything in the history that must not be.
pub fn check(events: &[Event]) -> Vec<Violation> {
    let mut checker = Checker::default();
    for (at, event) in events.iter().enumerate() {
        checker.take(at, event);
    }
    checker.end();
    let mut listed: BTreeMap<Property, usize> = BTreeMap::new();
    checker.violations.retain(|violation| {
        let listed = listed.entry(violation.property).or_default();
        *listed += 1;
        *listed <= LISTED_MAX
    });
    checker.violations
}

#[derive(Default)]
struct Checker {
    violations: Vec<Violation>,
    parts: BTreeMap<Part, PartState>,
    topics: BTreeMap<TopicId, TopicState>,
    settings: BTreeMap<(TopicId, Setting), SettingState>,
    sent: BTreeMap<Value, Sent>,
    producer_ids: BTreeSet<i64>,
    starts: i32,
    fenced: Option<Mono>,
    /// The last start was surveyed, and its process is there and writes.
    is_alive: bool,
    /// When the last of such processes ended.
    died: Option<Mono>,
    /// An orderly stop synced everything, and nothing ran since.
    stopped: bool,
}

#[derive(Clone, Copy)]
struct Sent {
    part: Part,
    producer: u64,
}

#[derive(Default)]
struct TopicState {
    created: bool,
    may_lose: Option<MayLose>,
    compacted: bool,
    expires: bool,
    delete_asked: bool,
    deleted: bool,
}

#[derive(Default)]
struct SettingState {
    told: i64,
    /// Asked for since then, without an answer.
    perhaps: Vec<i64>,
}

#[derive(Default)]
struct PartState {
    known: BTreeMap<i64, Known>,
    offsets: BTreeMap<Value, i64>,
    high_watermark: Rising,
    log_start: Rising,
    /// The furthest that anybody asked to delete.
    deletable: i64,
    /// Requests to delete all that have no answer: nobody knows how far they go.
    boundless: usize,
    /// And how many starts had been begun by then.
    epoch: Option<(i32, i32)>,
    /// Power was cut since the last survey.
    uncertain: bool,
    /// Where the batches end that the power cut left in segments.
    in_segments: i64,
}

#[derive(Clone, Copy)]
struct Known {
    value: Value,
    epoch: Option<i32>,
    since: At,
    /// When its ack was there.
    acked: Option<Mono>,
}

/// A number that must not fall, and since when each of its values is known.
#[derive(Default)]
struct Rising(Vec<(At, i64)>);

impl Rising {
    fn raise(&mut self, at: At, to: i64) {
        if self.0.last().is_none_or(|(_, last)| *last < to) {
            self.0.push((at, to));
        }
    }

    fn before(&self, at: At) -> i64 {
        let count = self.0.partition_point(|(since, _)| *since < at);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    fn reset(&mut self, at: At, to: i64) {
        self.0 = vec![(at, to)];
    }
}

impl Checker {
    fn fault(&mut self, property: Property, what: String) {
        self.violations.push(Violation { property, what });
    }

    fn take(&mut self, at: At, event: &Event) {
        match event {
            Event::Created { topic, may_lose, compacted, expires } => {
                let (may_lose, compacted, expires) = (*may_lose, *compacted, *expires);
                let state = TopicState { created: true, may_lose, compacted, expires, ..TopicState::default() };
                if self.topics.insert(*topic, state).is_some() {
                    self.fault(Property::TopicsAreKept, format!("the id {topic:?} was used before"));
                }
            }
            Event::DeleteAsked { topic } => self.topics.entry(*topic).or_default().delete_asked = true,
            Event::Deleted { topic } => self.topics.entry(*topic).or_default().deleted = true,
            Event::ProducerId { id } => {
                if !self.producer_ids.insert(*id) {
                    self.fault(Property::ProducerIdsAreUnique, format!("{id} was given before"));
                }
            }
            Event::ChangeAsked { topic, setting, value } => {
                self.settings.entry((*topic, *setting)).or_default().perhaps.push(*value);
            }
            Event::Changed { topic, setting, value } => {
                self.settings.insert((*topic, *setting), SettingState { told: *value, perhaps: Vec::new() });
            }
            Event::HasNow { topic, setting, value } => self.has_now(*topic, *setting, *value),
            Event::Sent { part, producer, value } => {
                self.sent.insert(*value, Sent { part: *part, producer: *producer });
            }
            Event::Acked { part, value, offset, sent, when } => {
                self.acked(at, *part, *value, *offset, *sent, *when);
            }
            Event::Read { part, asked, found, high_watermark } => {
                let gone = self.parts.entry(*part).or_default().log_start.before(*asked);
                if found.offset < gone {
                    let what = format!("{part:?} gave offset {}, and starts at {gone}", found.offset);
                    self.fault(Property::DeletedStaysGone, what);
                }
                if found.offset >= *high_watermark {
                    let what = format!("{part:?} gave offset {} below {high_watermark}", found.offset);
                    self.fault(Property::ReadsStopAtHighWatermark, what);
                }
                self.found(at, *part, *found);
            }
            Event::Scanned { part, asked, from, end, found } => self.scanned(at, *part, *asked, *from..*end, found),
            Event::Answered { part, asked, high_watermark, log_start } => {
                self.answered(at, *part, *asked, *high_watermark, *log_start);
            }
            Event::DeletionAsked { part, upto } => {
                let state = self.parts.entry(*part).or_default();
                match upto {
                    Some(upto) => state.deletable = state.deletable.max(*upto),
                    None => state.boundless += 1,
                }
            }
            Event::AllDeleted { part, log_start } => {
                let state = self.parts.entry(*part).or_default();
                state.deletable = state.deletable.max(*log_start);
                state.boundless = state.boundless.saturating_sub(1);
            }
            Event::Starts { part, asked, log_start } => self.starts_at(at, *part, *asked, *log_start),
            Event::Surveyed { part, high_watermark, epoch } => self.surveyed(at, *part, *high_watermark, *epoch),
            Event::InSegments { part, end } => self.parts.entry(*part).or_default().in_segments = *end,
            Event::Topics { ids } => {
                self.is_alive = true;
                self.topics(ids);
            }
            Event::Starting => {
                self.starts += 1;
                (self.fenced, self.stopped) = (None, false);
            }
            Event::Stopped => self.stopped = true,
            Event::Killed { when } => self.died(*when),
            Event::PowerCut { when } => {
                self.died(*when);
                let uncertain = !self.stopped;
                self.parts.values_mut().for_each(|part| part.uncertain |= uncertain);
            }
            Event::Fenced { when } => {
                self.fenced = Some(*when);
                self.died(*when);
            }
            Event::Unexpected { what } => self.fault(Property::AnswersAreExpected, what.clone()),
            Event::Stuck { what } => self.fault(Property::EverybodyGetsOn, what.clone()),
            Event::Skipped { what } => self.fault(Property::FetchesSkipNothing, what.clone()),
            Event::SpaceKept { what } => self.fault(Property::SpaceComesBack, what.clone()),
        }
    }

    fn died(&mut self, when: Mono) {
        if std::mem::take(&mut self.is_alive) {
            self.died = Some(when);
        }
    }

    fn acked(&mut self, at: At, part: Part, value: Value, offset: Option<i64>, sent: Mono, when: Mono) {
        if self.fenced.is_some_and(|fenced| sent > fenced) {
            self.fault(Property::NothingAckedAfterTheFence, format!("{part:?}: value {value}"));
        }
        if let Some(offset) = offset {
            self.know(at, part, offset, value, None);
            let known = self.parts.get_mut(&part).and_then(|state| state.known.get_mut(&offset));
            if let Some(known) = known {
                known.acked = Some(when);
            }
        }
    }

    fn found(&mut self, at: At, part: Part, found: Found) {
        self.know(at, part, found.offset, found.value, Some(found.epoch));
    }

    fn know(&mut self, at: At, part: Part, offset: i64, value: Value, epoch: Option<i32>) {
        if self.sent.get(&value).is_none_or(|sent| sent.part != part) {
            self.fault(
                Property::NothingPhantom,
                format!("{part:?}, offset {offset}: value {value} was not sent there"),
            );
            return;
        }
        let state = self.parts.entry(part).or_default();
        let known = state.known.entry(offset).or_insert(Known { value, epoch, since: at, acked: None });
        let before = *known;
        known.epoch = known.epoch.or(epoch);
        let elsewhere = *state.offsets.entry(value).or_insert(offset);
        state.high_watermark.raise(at, offset + 1);
        if before.value != value {
            let what = format!("{part:?}, offset {offset}: first value {}, then {value}", before.value);
            self.fault(Property::OffsetsStable, what);
        } else if before.epoch.is_some_and(|old| epoch.is_some_and(|new| new != old)) {
            let what = format!("{part:?}, offset {offset}: first epoch {:?}, then {epoch:?}", before.epoch);
            self.fault(Property::OffsetsStable, what);
        }
        if elsewhere != offset {
            let what = format!("{part:?}: value {value} at offset {elsewhere} and at {offset}");
            self.fault(Property::NoDuplicate, what);
        }
    }

    fn scanned(&mut self, at: At, part: Part, asked: At, range: Range<i64>, found: &[Found]) {
        let there: BTreeSet<i64> = found.iter().map(|f| f.offset).collect();
        if self.topics.get(&part.topic).is_some_and(|topic| topic.compacted) {
            self.superseded(part, range.clone(), found);
        } else if let Some(hole) = range.clone().find(|offset| !there.contains(offset)) {
            self.fault(Property::AckedIsReadable, format!("{part:?} has nothing at offset {hole} of {range:?}"));
        }
        self.starts_at(at, part, asked, range.start);
        let state = self.parts.entry(part).or_default();
        let beyond = state.known.range(range.end..).find(|(_, known)| known.since < asked);
        if let Some((offset, known)) = beyond {
            let what = format!("{part:?}: offset {offset}, value {}, is beyond the end {}", known.value, range.end);
            self.fault(Property::AckedIsReadable, what);
        }
        for found in found {
            self.found(at, part, *found);
        }
    }

    /// What a compacted log lacks has a newer record of its key, which is there unless it deletes the key; and nothing older is.
    fn superseded(&mut self, part: Part, range: Range<i64>, found: &[Found]) {
        let there: BTreeMap<i64, Value> = found.iter().map(|f| (f.offset, f.value)).collect();
        let Some(state) = self.parts.get(&part) else { return };
        // Nobody knows whether and where these were appended.
        let unplaced = |value: &Value| is_tombstone(*value) && !state.offsets.contains_key(value);
        let sent = self.sent.iter().filter(|(_, sent)| sent.part == part).map(|(value, _)| value);
        let perhaps_deleted: BTreeSet<u64> = sent.filter(|value| unplaced(value)).map(|value| key_of(*value)).collect();
        let mut newest: BTreeMap<u64, (i64, Value)> = BTreeMap::new();
        let mut newest_gone: BTreeMap<u64, i64> = BTreeMap::new();
        let known = state.known.range(range).map(|(offset, known)| (*offset, known.value));
        let all: BTreeMap<i64, Value> = known.chain(there.clone()).collect();
        for (offset, value) in all {
            newest.insert(key_of(value), (offset, value));
            if !there.contains_key(&offset) {
                newest_gone.insert(key_of(value), offset);
            }
        }
        let is_lost = |key: &u64, offset: &i64, value: &Value| {
            !there.contains_key(offset) && !is_tombstone(*value) && !perhaps_deleted.contains(key)
        };
        let lost = newest.iter().find(|(key, (offset, value))| is_lost(key, offset, value));
        let lost = lost.map(|(_, (offset, value))| {
            format!("{part:?}: offset {offset}, value {value}, is gone and nothing newer has its key")
        });
        let left = there.iter().find_map(|(offset, value)| {
            let gone = newest_gone.get(&key_of(*value)).filter(|gone| *gone > offset)?;
            Some(format!("{part:?}: offset {offset}, value {value}, is there, and what replaced it at {gone} is not"))
        });
        if let Some(what) = lost {
            self.fault(Property::NewestIsKept, what);
        }
        if let Some(what) = left {
            self.fault(Property::DeletedStaysGone, what);
        }
    }

    fn answered(&mut self, at: At, part: Part, asked: At, high_watermark: i64, log_start: i64) {
        let state = self.parts.entry(part).or_default();
        let hw_before = state.high_watermark.before(asked);
        state.high_watermark.raise(at, high_watermark);
        if high_watermark < hw_before {
            let what = format!("{part:?}: {high_watermark} after {hw_before}");
            self.fault(Property::HighWatermarkNeverBack, what);
        }
        self.starts_at(at, part, asked, log_start);
    }

    fn starts_at(&mut self, at: At, part: Part, asked: At, log_start: i64) {
        let expires = self.topics.get(&part.topic).is_some_and(|topic| topic.expires);
        let state = self.parts.entry(part).or_default();
        let before = state.log_start.before(asked);
        let deletable = if state.boundless > 0 { i64::MAX } else { state.deletable };
        state.log_start.raise(at, log_start);
        if log_start < before {
            self.fault(Property::LogStartNeverBack, format!("{part:?}: {log_start} after {before}"));
        }
        if log_start > deletable && !expires {
            let what = format!("{part:?} starts at {log_start}, and nothing above {deletable} was to be deleted");
            self.fault(Property::OnlyTheDeletedIsGone, what);
        }
    }

    fn surveyed(&mut self, at: At, part: Part, high_watermark: i64, epoch: i32) {
        let may_lose = self.topics.get(&part.topic).and_then(|topic| topic.may_lose);
        let (starts, died) = (self.starts, self.died);
        let state = self.parts.entry(part).or_default();
        let before = state.epoch.replace((epoch, starts));
        let lost_from = state.known.range(high_watermark..).next().map(|(offset, known)| (*offset, known.value));
        let known_end = state.high_watermark.before(at);
        let in_segments = std::mem::take(&mut state.in_segments);
        if std::mem::take(&mut state.boundless) > 0 {
            // What had no answer was carried out by the last process, or never will be.
            state.deletable = state.deletable.max(high_watermark);
        }
        let is_uncertain = std::mem::take(&mut state.uncertain);
        if let Some(may_lose) = may_lose.filter(|_| is_uncertain) {
            let gone = state.known.split_off(&high_watermark);
            for known in gone.values() {
                state.offsets.remove(&known.value);
            }
            state.high_watermark.reset(at, high_watermark);
            self.losses(part, may_lose, &gone, died);
        } else if let Some((offset, value)) = lost_from {
            let what = format!("{part:?}: offset {offset}, value {value}, is gone: the log ends at {high_watermark}");
            self.fault(Property::AckedIsReadable, what);
        } else if high_watermark < known_end {
            let what = format!("{part:?}: {high_watermark} after {known_end}, over a start");
            self.fault(Property::HighWatermarkNeverBack, what);
        }
        if in_segments > high_watermark {
            let what = format!("{part:?}: segments held all up to {in_segments}, and the log ends at {high_watermark}");
            self.fault(Property::SegmentsHoldTheSynced, what);
        }
        if let Some((old, then)) = before
            && !(old + 1..=old + (starts - then)).contains(&epoch)
            && !(starts == then && epoch == old)
        {
            let what = format!("{part:?}: epoch {epoch} after {old}, with {} starts between", starts - then);
            self.fault(Property::LeaderEpochGrowsByOnePerStart, what);
        }
    }

    /// What a power cut took from a relaxed log.
    fn losses(&mut self, part: Part, may_lose: MayLose, gone: &BTreeMap<i64, Known>, died: Option<Mono>) {
        let acked = gone.iter().filter_map(|(offset, known)| Some((*offset, known.acked?)));
        let count = acked.clone().count();
        if count > may_lose.records_max {
            let what = format!("{part:?} lost {count} acked records, and may lose {}", may_lose.records_max);
            self.fault(Property::LossesAreBounded, what);
        }
        let Some((age_max, died)) = may_lose.age_max.zip(died) else { return };
        let oldest = acked.map(|(offset, when)| (died.since(when), offset)).max();
        if let Some((age, offset)) = oldest.filter(|(age, _)| *age > age_max) {
            let what =
                format!("{part:?} lost offset {offset}, acked for {age:?}, which is to be synced after {age_max:?}");
            self.fault(Property::LossesAreBounded, what);
        }
    }

    fn has_now(&mut self, topic: TopicId, setting: Setting, value: i64) {
        // What had no answer was carried out by the last process, or never will be.
        let now = SettingState { told: value, perhaps: Vec::new() };
        let before = self.settings.insert((topic, setting), now).unwrap_or_default();
        if value != before.told && !before.perhaps.contains(&value) {
            let SettingState { told, perhaps } = before;
            let what = format!("{setting:?} of {topic:?} is {value} after {told}, and {perhaps:?} were asked for");
            self.fault(Property::ChangesAreKept, what);
        }
    }

    fn topics(&mut self, ids: &[TopicId]) {
        let mut faults = Vec::new();
        for (id, topic) in &self.topics {
            let there = ids.contains(id);
            if topic.created && !topic.delete_asked && !there {
                faults.push(format!("{id:?} was created and is gone"));
            }
            if topic.deleted && there {
                faults.push(format!("{id:?} was deleted and is back"));
            }
        }
        for what in faults {
            self.fault(Property::TopicsAreKept, what);
        }
    }

    /// What can be said only of all that is known of a log.
    fn end(&mut self) {
        let mut faults = Vec::new();
        for (part, state) in &self.parts {
            let mut last_of: BTreeMap<u64, Value> = BTreeMap::new();
            let mut last_epoch = i32::MIN;
            for (offset, known) in &state.known {
                if let Some(sent) = self.sent.get(&known.value)
                    && let Some(last) = last_of.insert(sent.producer, known.value)
                    && last > known.value
                {
                    let what = format!("{part:?}, offset {offset}: value {} after {last}", known.value);
                    faults.push((Property::InOrder, what));
                }
                if let Some(epoch) = known.epoch {
                    if epoch < last_epoch {
                        let what = format!("{part:?}, offset {offset}: epoch {epoch} after {last_epoch}");
                        faults.push((Property::EpochsAscend, what));
                    }
                    last_epoch = last_epoch.max(epoch);
                }
            }
        }
        for (property, what) in faults {
            self.fault(property, what);
        }
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
