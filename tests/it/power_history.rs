//! Load for a broker whose disk keeps a log of its writes, and what the broker answered at which position of that log.
//!
//! Invariant: a position is read after the answer that it stands beside, so what was answered is on the disk once the log has
//! come so far. Where it is read before a request, nothing of that request is on the disk before.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use corelog::wire::messages::metadata::MetadataResponseTopic;
use corelog::wire::{ErrorCode, TopicId};

use crate::broker::{Broker, Connection};
use crate::full_disk::delete_records;
use crate::groups::{commit, committed, find, state};
use crate::ledger::{Appended, Ledger};
use crate::peer::batch;

/// Deleted and made again under the same name, all the time.
const AGAIN: &str = "again";
const GROUP: &str = "readers";
/// Records of a topic before it is deleted.
const RECORDS_OF_A_GENERATION: usize = 10;

/// The block log's end, in bytes.
#[derive(Clone)]
pub struct LogEnd(pub PathBuf);

impl LogEnd {
    fn now(&self) -> u64 {
        self.0.metadata().expect("the block log").len()
    }
}

/// A topic with one producer.
pub struct Trail {
    pub ledger: Ledger,
    created_at: u64,
    /// Of each ack, in their order, which is that of offsets.
    acked_at: Vec<u64>,
    /// Where its log was said to begin.
    starts: Vec<(u64, i64)>,
    /// How many records are left when the older ones are deleted.
    kept: Option<i64>,
}

impl Trail {
    pub fn create(ledger: Ledger, configs: &[(&str, &str)], peer: &mut Connection, log: &LogEnd) -> Self {
        assert_eq!(peer.create_with(&ledger.topic, 1, configs), ErrorCode::None);
        let is_shrinking = configs.iter().any(|(key, _)| key.starts_with("retention"));
        let ledger = if is_shrinking { ledger.shrinking() } else { ledger };
        Self { ledger, created_at: log.now(), acked_at: Vec::new(), starts: Vec::new(), kept: None }
    }

    /// Its older records are deleted now and then, so that about so many are left.
    pub fn keeping(self, records: i64) -> Self {
        Self { kept: Some(records), ledger: self.ledger.shrinking(), ..self }
    }

    fn append(&mut self, peer: &mut Connection, log: &LogEnd) {
        assert_eq!(self.ledger.append(peer), Appended::Acked);
        self.acked_at.push(log.now());
    }

    fn load(&mut self, mut peer: Connection, log: &LogEnd, ended: &AtomicBool) {
        while !ended.load(Ordering::Relaxed) {
            self.append(&mut peer, log);
            if self.acked_at.len().is_multiple_of(16) {
                let start = self.start(&mut peer);
                self.starts.push((log.now(), start));
            }
        }
    }

    /// Where its log begins, perhaps behind records that were just deleted.
    fn start(&self, peer: &mut Connection) -> i64 {
        let topic = &self.ledger.topic;
        let (error, start) = match self.kept {
            Some(kept) => {
                let end = peer.list_offset(topic, -1, 5).1;
                delete_records(peer, topic, (end - kept).max(0))
            }
            None => peer.list_offset(topic, -2, 5),
        };
        assert_eq!(error, ErrorCode::None, "where {topic} begins");
        start
    }

    /// Records that were acked when the log had come so far, and where they said that the log begins.
    fn told_at(&self, position: u64) -> (usize, i64) {
        let acked = self.acked_at.partition_point(|at| *at <= position);
        let starts = self.starts.partition_point(|(at, _)| *at <= position);
        (acked, starts.checked_sub(1).map_or(0, |last| self.starts[last].1))
    }

    /// Positions between which record `nth` was sent and acked.
    pub fn span(&self, nth: usize) -> std::ops::Range<u64> {
        nth.checked_sub(1).map_or(self.created_at, |before| self.acked_at[before])..self.acked_at[nth]
    }

    fn check(&self, peer: &mut Connection, position: u64) {
        let topic = &self.ledger.topic;
        let found = peer.topic(topic, false);
        if found.error_code == ErrorCode::UnknownTopicOrPartition {
            assert!(position < self.created_at, "{topic} is gone");
            return;
        }
        let (acked, start) = self.told_at(position);
        let offsets = self.ledger.check_first(peer, acked);
        let offsets = offsets.unwrap_or_else(|code| panic!("{topic} answers {code:?}"));
        let last_start = self.starts.last().map_or(0, |(_, start)| *start);
        assert!(
            (start..=last_start).contains(&offsets.start),
            "{topic} began at {start}, begins at {} and never began behind {last_start}",
            offsets.start
        );
        if acked > 0 && self.ledger.is_idempotent() {
            self.ledger.check_retry(peer, acked - 1);
        }
        if !self.ledger.is_compacted() {
            assert_eq!(peer.append(topic, &batch(&[b"more"], None)), (ErrorCode::None, offsets.end));
        }
    }
}

/// One of the topics that had the same name.
struct Generation {
    trail: Trail,
    id: TopicId,
    /// Before it was asked for, and after it was answered.
    deleted: std::ops::Range<u64>,
}

/// What a broker did for its clients, and when.
pub struct History {
    pub trails: Vec<Trail>,
    generations: Vec<Generation>,
    /// Offset n of a group was stored by then.
    commits: Vec<u64>,
}

impl History {
    pub fn new(trails: Vec<Trail>) -> Self {
        Self { trails, generations: Vec::new(), commits: Vec::new() }
    }

    /// Loads the broker from a connection for each topic, one that makes and deletes topics and one of a group, until `wait`
    /// returns.
    pub fn load(&mut self, broker: &Broker, log: &LogEnd, wait: impl FnOnce()) {
        let ended = AtomicBool::new(false);
        let Self { trails, generations, commits } = self;
        let topic = trails[0].ledger.topic.clone();
        let (mut makes, mut reads) = (broker.connect(), broker.connect());
        std::thread::scope(|threads| {
            // Also when the wait or a connection fails: the scope waits for all.
            let _end = EndedAtEnd(&ended);
            for trail in trails {
                let peer = broker.connect();
                threads.spawn(|| trail.load(peer, log, &ended));
            }
            threads.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    generations.push(Generation::live(generations.len(), &mut makes, log));
                }
            });
            threads.spawn(|| {
                find(&mut reads, GROUP);
                state(&mut reads, GROUP);
                while !ended.load(Ordering::Relaxed) {
                    let offset = i64::try_from(commits.len()).expect("a small number");
                    assert_eq!(commit(&mut reads, GROUP, &topic, offset, None), ErrorCode::None);
                    commits.push(log.now());
                }
            });
            wait();
        });
    }

    /// Takes down where the logs begin at last, and checks that nothing is missing now.
    pub fn close(&mut self, peer: &mut Connection, log: &LogEnd) {
        for trail in &mut self.trails {
            trail.ledger.check(peer);
            let (error, start) = peer.list_offset(&trail.ledger.topic, -2, 5);
            assert_eq!(error, ErrorCode::None);
            trail.starts.push((log.now(), start));
        }
    }

    /// How many topics were made and deleted under one name.
    pub fn generations(&self) -> usize {
        self.generations.len()
    }

    /// Checks what a broker has after a power cut when the log had come so far.
    pub fn check(&self, peer: &mut Connection, position: u64) {
        for trail in &self.trails {
            trail.check(peer, position);
        }
        self.check_again(peer, position);
        let stored = self.commits.partition_point(|at| *at <= position);
        if stored > 0 {
            state(peer, GROUP);
            let found = committed(peer, GROUP, &self.trails[0].ledger.topic);
            let may_be = stored as i64 - 1..self.commits.len() as i64;
            assert!(may_be.contains(&found), "offset {found} is stored, none of {may_be:?}");
        }
        let mut new = Ledger::new("new", 1_000);
        assert_eq!(peer.create(&new.topic, 1), ErrorCode::None);
        for _ in 0..3 {
            assert_eq!(new.append(peer), Appended::Acked);
        }
        new.check(peer);
    }

    fn check_again(&self, peer: &mut Connection, position: u64) {
        let MetadataResponseTopic { error_code, topic_id, .. } = peer.topic(AGAIN, false);
        let mut generations = self.generations.iter();
        if error_code == ErrorCode::UnknownTopicOrPartition {
            let alive = |g: &Generation| g.trail.created_at <= position && position <= g.deleted.start;
            let lost = generations.position(alive);
            assert_eq!(lost, None, "the topic of this generation is gone and was never deleted");
            return;
        }
        assert_eq!(error_code, ErrorCode::None);
        let found = generations.find(|g| g.id == topic_id).expect("a topic that was made");
        assert!(position < found.deleted.end, "a deleted topic is back");
        found.trail.check(peer, position);
    }
}

impl Generation {
    /// From its creation to its deletion.
    fn live(number: usize, peer: &mut Connection, log: &LogEnd) -> Self {
        // Values of another length than in any generation before it: a record of one of those is none of this one.
        let ledger = Ledger::new(AGAIN, 500 + number);
        let mut trail = Trail::create(ledger, &[], peer, log);
        let id = peer.topic(AGAIN, false).topic_id;
        for _ in 0..RECORDS_OF_A_GENERATION {
            trail.append(peer, log);
        }
        let asked = log.now();
        assert_eq!(peer.delete(AGAIN), ErrorCode::None);
        Self { trail, id, deleted: asked..log.now() }
    }
}

struct EndedAtEnd<'a>(&'a AtomicBool);

impl Drop for EndedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
