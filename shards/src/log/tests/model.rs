//! The log on a simulated disk, against a list of batches. Tests only.
//!
//! Invariant under test: whatever the order of appends, syncs, writes, evictions and journal turns, every read gives the
//! bytes that were appended, no job holds an unsynced byte, and after a power cut the checkpoint and the journal give back
//! all that was synced.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{batch, dir, found, place, rules, store, write_all};
use crate::log::*;
use crate::planted::{PlantedFault, planted};
use crate::runtime::sim::{Sim, SimRuntime};
use crate::types::{FilePos, Listed, Offset};

#[derive(Clone, Debug)]
enum Op {
    Append { records: usize, value_bytes: usize, timestamp_ms: i64 },
    Freeze,
    Sync,
    StartWrite { everything: bool },
    EndWrite,
    Evict { back: u64 },
    Read { at: u16, max_bytes: u32, at_least_one: bool },
    Search { timestamp_ms: i64 },
    Turn,
    Trim { at: u16 },
}

fn op() -> impl Strategy<Value = Op> {
    let sizes = prop_oneof![4 => 0usize..300, 2 => 300usize..5_000, 1 => 5_000usize..40_000];
    prop_oneof![
        6 => (1usize..4, sizes, 0i64..1_000).prop_map(|(records, value_bytes, timestamp_ms)| {
            Op::Append { records, value_bytes, timestamp_ms }
        }),
        3 => Just(Op::Freeze),
        3 => Just(Op::Sync),
        2 => any::<bool>().prop_map(|everything| Op::StartWrite { everything }),
        2 => Just(Op::EndWrite),
        2 => (0u64..3).prop_map(|back| Op::Evict { back }),
        4 => (any::<u16>(), 0u32..60_000, any::<bool>()).prop_map(|(at, max_bytes, at_least_one)| {
            Op::Read { at, max_bytes, at_least_one }
        }),
        1 => (0i64..1_010).prop_map(|timestamp_ms| Op::Search { timestamp_ms }),
        3 => Just(Op::Turn),
        1 => any::<u16>().prop_map(|at| Op::Trim { at }),
    ]
}

struct Known {
    base: Offset,
    last: Offset,
    segment: Offset,
    end: u64,
    timestamp_ms: i64,
    bytes: Bytes,
}

#[derive(Clone)]
enum Redo {
    Data(Offset, FilePos, Bytes),
    Seal(Offset, FilePos),
    LogStart(Offset),
}

/// A shard's part, as plain as can be, and the truth.
struct Rig {
    log: PartitionLog,
    segment_bytes: u64,
    known: Vec<Known>,
    segments: BTreeMap<Offset, Vec<u8>>,
    open_commit: u64,
    synced_commit: u64,
    pending: Vec<Piece>,
    journal: Vec<(u64, Redo)>,
    checkpoint: LogSnapshot,
    job: Option<WriteJob>,
    turn: u8,
    turn_mark: u64,
    sync_job: Option<SyncJob>,
}

type TestStore = Store<SimRuntime>;

impl Rig {
    fn new(segment_bytes: u64) -> Rig {
        Rig {
            log: PartitionLog::new(),
            segment_bytes,
            known: Vec::new(),
            segments: BTreeMap::new(),
            open_commit: 1,
            synced_commit: 0,
            pending: Vec::new(),
            journal: Vec::new(),
            checkpoint: LogSnapshot::default(),
            job: None,
            turn: 0,
            turn_mark: 0,
            sync_job: None,
        }
    }

    async fn step(&mut self, store: &TestStore, op: &Op) {
        match *op {
            Op::Append { records, value_bytes, timestamp_ms } => {
                self.append(store, &batch(records, value_bytes, timestamp_ms)).await;
            }
            Op::Freeze => self.freeze(),
            Op::Sync => self.sync(),
            Op::StartWrite { everything } => {
                self.start_write(if everything { WriteKind::Everything } else { WriteKind::WholeBlocks });
            }
            Op::EndWrite => self.end_write(store).await,
            Op::Evict { back } => {
                self.log.evict_through(self.synced_commit.saturating_sub(back));
            }
            Op::Read { at, max_bytes, at_least_one } => {
                let (start, end) = (self.log.log_start().0, self.log.durable_end().0);
                let from = Offset(start + (end - start) * i64::from(at) / 65_536);
                self.read(store, from, max_bytes, at_least_one).await;
            }
            Op::Search { timestamp_ms } => self.search(store, timestamp_ms).await,
            Op::Turn => self.turn(store).await,
            Op::Trim { at } => self.trim(store, at).await,
        }
    }

    async fn append(&mut self, store: &TestStore, batch: &Bytes) {
        if let Some(cold) = self.log.cold_tail() {
            assert!(self.log.tail_is_cold());
            if self.job.is_some() {
                self.end_write(store).await;
            }
            let bytes = store.read_tail(&dir(), cold).await.expect("the tail is there");
            self.log.warm_tail(bytes);
            self.carry();
        }
        let (placement, mut piece) = place(&mut self.log, batch, &rules(self.segment_bytes));
        if let Some(seal) = placement.seal {
            self.journal.push((self.open_commit, Redo::Seal(seal.base, seal.size)));
        }
        piece.commit = self.open_commit;
        self.journal.push((self.open_commit, Redo::Data(piece.segment_base, piece.position, piece.bytes.clone())));
        let content = self.segments.entry(piece.segment_base).or_default();
        assert_eq!(content.len() as u64, piece.position.0);
        content.extend_from_slice(&piece.bytes);
        self.known.push(Known {
            base: piece.base_offset,
            last: piece.last_offset,
            segment: piece.segment_base,
            end: content.len() as u64,
            timestamp_ms: piece.max_timestamp,
            bytes: piece.bytes.clone(),
        });
        self.pending.push(piece);
    }

    fn freeze(&mut self) {
        for piece in self.pending.drain(..) {
            self.log.attach(piece);
        }
        self.open_commit += 1;
    }

    fn sync(&mut self) {
        self.synced_commit = self.open_commit - 1;
        let end = self.pending.first().map_or(self.log.log_end(), |piece| piece.base_offset);
        self.log.synced(end);
        assert_eq!(self.log.durable_end(), end);
    }

    fn carry(&mut self) {
        let Some(carry) = self.log.carry() else { return };
        assert!(carry.position.0.is_multiple_of(4096));
        let bytes = carry.bytes.concat();
        assert!(bytes.len() <= 4096);
        let from = carry.position.0 as usize;
        assert_eq!(bytes, self.segments[&carry.segment_base][from..from + bytes.len()]);
        self.journal.push((self.open_commit, Redo::Data(carry.segment_base, carry.position, bytes.into())));
    }

    fn start_write(&mut self, kind: WriteKind) {
        let Some(job) = self.log.next_write(kind, WRITE_JOB_BYTES_MAX) else { return };
        assert!(self.job.is_none(), "one write at a time");
        let (from, upto) = (job.from.0 as usize, job.upto.0 as usize);
        assert_eq!(job.pieces.concat(), self.segments[&job.segment_base][from..upto]);
        let synced = self.known.iter().filter(|k| k.segment == job.segment_base && k.last < self.log.durable_end());
        assert!(job.upto.0 <= synced.map(|k| k.end).max().unwrap_or(0), "only synced bytes are written");
        assert!(job.seal.is_some() || kind == WriteKind::Everything || !job.pad(), "whole blocks");
        self.job = Some(job);
    }

    async fn end_write(&mut self, store: &TestStore) {
        if let Some(job) = self.job.take() {
            store.write(&dir(), &job).await.expect("the disk takes it");
            self.log.written(&job);
        }
    }

    async fn turn(&mut self, store: &TestStore) {
        match self.turn {
            0 => {
                self.freeze();
                self.sync();
                self.turn_mark = self.synced_commit;
                self.end_write(store).await;
                write_all(store, &mut self.log, WriteKind::WholeBlocks).await;
            }
            1 => self.sync_job = self.log.needs_file_sync(),
            2 => {
                if let Some(job) = self.sync_job.take() {
                    let outcome = store.sync(&dir(), &job).await;
                    if self.log.has_segment(job.segment_base) {
                        outcome.expect("the disk syncs");
                    }
                    self.log.file_synced(&job);
                }
            }
            3 => {
                self.carry();
                self.freeze();
                self.sync();
            }
            _ => {
                self.checkpoint = self.log.snapshot();
                let mark = self.turn_mark;
                self.journal.retain(|(commit, _)| *commit > mark);
            }
        }
        self.turn = (self.turn + 1) % 5;
    }

    async fn trim(&mut self, store: &TestStore, at: u16) {
        let (start, end) = (self.log.log_start().0, self.log.durable_end().0);
        let to = Offset(start + (end - start) * i64::from(at) / 65_536 / 4);
        self.log.move_log_start(to);
        self.journal.push((self.open_commit, Redo::LogStart(to)));
        self.freeze();
        self.sync();
        let bases = self.log.take_dropped(to);
        store.remove_segments(&dir(), &bases, Duration::ZERO).await.expect("files go");
    }

    async fn read(&mut self, store: &TestStore, from: Offset, max_bytes: u32, at_least_one: bool) -> usize {
        let upto = self.log.durable_end();
        let bytes = match self.log.plan_read(from, max_bytes, upto, at_least_one) {
            ReadPlan::Empty => Vec::new(),
            ReadPlan::Memory(found) => found.concat(),
            ReadPlan::Disk(read) => found(store.read(&dir(), &read).await.expect("the disk is whole")).concat(),
        };
        let mut rest = bytes.as_slice();
        let mut count = 0;
        let first = self.known.partition_point(|k| k.last < from);
        for known in &self.known[first..] {
            if rest.is_empty() {
                break;
            }
            assert!(known.last < upto, "nothing unsynced is read");
            rest = rest.strip_prefix(known.bytes.as_ref()).expect("the bytes that were appended, whole batches");
            count += 1;
        }
        assert!(rest.is_empty());
        assert!(bytes.len() <= max_bytes as usize || (at_least_one && count == 1));
        assert!(count > 0 || !at_least_one || from >= upto, "at least one batch, if there is one");
        count
    }

    async fn search(&mut self, store: &TestStore, timestamp_ms: i64) {
        let upto = self.log.durable_end();
        let found = match self.log.plan_timestamp(timestamp_ms, upto) {
            TimestampPlan::Found(found) => found,
            TimestampPlan::Search(search) => store.search(&dir(), &search).await.expect("the disk is whole"),
        };
        let start = self.log.log_start();
        let mut records = self.known.iter().filter(|k| k.last < upto).flat_map(|k| {
            let first_ms = k.timestamp_ms - (k.last.0 - k.base.0);
            (k.base.0..=k.last.0).map(move |offset| (Offset(offset), first_ms + offset - k.base.0))
        });
        let wanted = records.find(|(offset, ms)| *offset >= start && *ms >= timestamp_ms);
        let (offset, ms) = wanted.unwrap_or((Offset::UNKNOWN, -1));
        let Listed { offset: found_offset, timestamp_ms: found_ms, .. } = found;
        assert_eq!((found_offset, found_ms), (offset, ms));
    }

    async fn read_all(&mut self, store: &TestStore) {
        let mut at = self.log.log_start();
        while at < self.log.durable_end() {
            let first = self.known.partition_point(|k| k.last < at);
            let count = self.read(store, at, 50_000, true).await;
            at = self.known[first + count - 1].last.plus(1);
        }
    }

    /// Power comes back: all synced commits are there, and `luck` of those that were not.
    async fn restart(mut self, store: &TestStore, luck: u64) -> Rig {
        let survived = (self.synced_commit + luck).min(self.open_commit - 1);
        let mut replay = Replay::new(self.checkpoint.clone());
        for (_, redo) in self.journal.iter().filter(|(commit, _)| *commit <= survived) {
            match redo.clone() {
                Redo::Data(base, position, bytes) => replay.data(base, position, bytes),
                Redo::Seal(base, size) => replay.seal(base, size),
                Redo::LogStart(start) => replay.log_start(start),
            }
        }
        let durable = self.log.durable_end();
        let Replayed { mut log, batches } = replay.finish(2_000).expect("what was synced is whole");
        assert!(log.log_end() >= durable, "all that was synced is there");
        assert!(log.log_end() <= self.log.log_end());
        assert_eq!(log.log_end(), log.durable_end());
        let above: Vec<Bytes> = self
            .known
            .iter()
            .filter(|k| k.base >= self.checkpoint.log_end && k.last < log.log_end())
            .map(|k| k.bytes.clone())
            .collect();
        assert_eq!(batches, above, "producers see every batch above the checkpoint once");
        store.remove_segments(&dir(), &log.take_dropped(log.log_start()), Duration::ZERO).await.expect("files go");
        let mut rig = Rig::new(self.segment_bytes);
        self.known.retain(|k| k.last < log.log_end());
        for known in &self.known {
            rig.segments.entry(known.segment).or_default().extend_from_slice(&known.bytes);
        }
        rig.known = self.known;
        rig.log = log;
        rig.read_all(store).await;
        write_all(store, &mut rig.log, WriteKind::Everything).await;
        if let Some(job) = rig.log.needs_file_sync() {
            store.sync(&dir(), &job).await.expect("the disk syncs");
            rig.log.file_synced(&job);
        }
        rig.log.evict_through(u64::MAX);
        assert!(rig.log.carry().is_none(), "after a start all is in synced files");
        rig.checkpoint = rig.log.snapshot();
        rig.read_all(store).await;
        rig
    }
}

#[test]
#[should_panic(expected = "only synced bytes are written")]
fn r9_an_unsynced_byte_in_a_segment_is_caught() {
    let sim = Sim::new(0);
    let host = sim.add_host("a");
    sim.block_on(host, |rt| async move {
        let store = store(&rt).await;
        let mut rig = Rig::new(1 << 20);
        rig.append(&store, &batch(1, 10_000, 0)).await;
        rig.freeze();
        let _mended = planted(PlantedFault::UnsyncedInSegment);
        rig.start_write(WriteKind::WholeBlocks);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_steps_reads_what_was_appended_and_a_crash_loses_only_unsynced(
        seed in any::<u64>(),
        segment_bytes in prop_oneof![5_000u64..30_000, 60_000u64..400_000],
        lives in proptest::collection::vec((proptest::collection::vec(op(), 1..120), 0u64..3), 1..4),
    ) {
        let sim = Sim::new(seed);
        let host = sim.add_host("a");
        let mut rig = Rig::new(segment_bytes);
        for (ops, luck) in lives {
            rig = sim.block_on(host, |rt| async move {
                let store = store(&rt).await;
                for op in &ops {
                    rig.step(&store, op).await;
                }
                rig
            });
            sim.crash(host);
            rig = sim.block_on(host, |rt| async move {
                let store = store(&rt).await;
                rig.restart(&store, luck).await
            });
        }
    }
}

/// More with `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}
