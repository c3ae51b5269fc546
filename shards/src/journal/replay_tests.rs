//! Journals as bytes: what a chain yields, where it is cut, what is refused (R5, R6). Planted damage must be found.

use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::journal::format::{CommitHeader, HEADER_BYTES, RunId};
use crate::journal::open::{Closing, OpenCommit, Place};
use crate::runtime::buf::IoBuf;
use crate::runtime::sim::Sim;
use crate::types::{FilePos, LeaderEpoch, Offset, PartitionId, TopicId};

const RUN: Run = Run { number: 3, id: RunId(77), shards: 1 };
const FILE_BYTES: usize = 16 * BLOCK_BYTES;

/// Writes commits as the commit loop does, each synced before the next.
struct Writer {
    files: Vec<Vec<u8>>,
    sequence: u64,
    previous_crc: u32,
}

impl Writer {
    fn new() -> Writer {
        Writer { files: Vec::new(), sequence: 0, previous_crc: 0 }
    }

    fn open_file(&mut self) {
        self.files.push(Vec::new());
    }

    fn commit(&mut self, payload: &[u8]) {
        self.commit_of(RUN.id, payload);
    }

    fn commit_of(&mut self, run: RunId, payload: &[u8]) {
        let generation = self.files.len() as u64;
        let file = self.files.last_mut().expect("a file");
        let mut open = OpenCommit::new(IoBuf::heap(FILE_BYTES));
        let place = Place {
            partition: PartitionId { topic: TopicId([9; 16]), index: 4 },
            epoch: LeaderEpoch(2),
            segment_base: Offset(10),
            position: FilePos(self.sequence * 100),
        };
        open.push_batch(place, payload, |_| {});
        self.sequence += 1;
        let closing = Closing {
            run,
            generation,
            position: file.len() as u64,
            sequence: self.sequence,
            synced_through: self.sequence - 1,
            previous_crc: self.previous_crc,
        };
        let (frozen, crc) = open.close(closing);
        self.previous_crc = crc;
        file.extend_from_slice(&frozen.bytes());
    }

    /// All that was written, in files of their whole length.
    fn whole_files(&self) -> Vec<JournalFile> {
        let whole = |(n, bytes): (usize, &Vec<u8>)| {
            let mut bytes = bytes.clone();
            bytes.resize(FILE_BYTES.max(bytes.len()), 0);
            JournalFile { path: PathBuf::from(format!("3-{n}.journal")), bytes: Bytes::from(bytes) }
        };
        self.files.iter().enumerate().map(whole).collect()
    }

    /// As a start reads it, from a disk.
    fn replay(&self) -> Result<Replayed, ReplayError> {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        let files = self.whole_files();
        sim.block_on(host, |rt| async move {
            let dir = Path::new("/journal");
            rt.create_dir_all(dir).await.expect("made");
            for JournalFile { path, bytes } in files {
                rt.write_whole(&dir.join(path), bytes).await.expect("written");
            }
            replay(&rt, dir, RUN, 1).await
        })
    }

    /// As a start reads it from a disk on which nothing is sure yet, and again after the power was cut.
    fn replay_around_a_power_cut(&self) -> [usize; 2] {
        let sim = Sim::new(1);
        let host = sim.add_host("a");
        let dir = Path::new("/journal");
        let files = self.whole_files();
        let first = sim.block_on(host, |rt| async move {
            rt.create_dir_all(dir).await.expect("made");
            rt.sync_dir(Path::new("/")).await.expect("synced");
            for JournalFile { path, bytes } in files {
                let file = rt.open(&dir.join(path), OpenMode::Create).await.expect("made");
                let mut block = IoBuf::heap(bytes.len());
                block.extend_from_slice(&bytes);
                file.write(0, &block.freeze()).await.expect("written");
            }
            rt.sync_dir(dir).await.expect("synced");
            replay(&rt, dir, RUN, 1).await
        });
        sim.crash(host);
        let again = sim.block_on(host, |rt| async move { replay(&rt, dir, RUN, 1).await });
        [first, again].map(|replayed| replayed.expect("whole").entries.len())
    }

    fn read(&self, first_generation: u64) -> Result<Vec<Vec<u8>>, ReplayError> {
        let replayed = chain(&self.whole_files(), RUN, first_generation)?;
        let payload = |entry: Entry| match entry.kind {
            crate::journal::format::EntryKind::Data(bytes) => bytes.to_vec(),
            other => panic!("only data was written: {other:?}"),
        };
        Ok(replayed.entries.into_iter().map(payload).collect())
    }
}

fn three_commits() -> Writer {
    let mut writer = Writer::new();
    writer.open_file();
    writer.commit(b"one");
    writer.commit(b"two");
    writer.open_file();
    writer.commit(b"three");
    writer
}

#[test]
fn a_chain_over_two_files_reads_back_in_order() {
    let read = three_commits().read(1).expect("whole");
    assert_eq!(read, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn what_a_start_has_read_outlives_a_power_cut() {
    // What it was started for may be told to somebody, and the run that wrote it was killed before its sync.
    assert_eq!(three_commits().replay_around_a_power_cut(), [3, 3]);
}

#[test]
fn retired_files_are_not_read() {
    assert_eq!(three_commits().read(2).expect("whole"), [b"three".to_vec()]);
}

#[test]
fn a_torn_last_commit_is_cut() {
    let mut writer = three_commits();
    let last = writer.files.last_mut().expect("a file");
    last[HEADER_BYTES + 5] ^= 1;
    assert_eq!(writer.read(1).expect("cut"), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn damage_below_a_synced_commit_is_refused_and_named() {
    let mut writer = three_commits();
    // The second commit's body: the third says that it was synced.
    writer.files[0][BLOCK_BYTES + HEADER_BYTES + 5] ^= 1;
    match writer.read(1) {
        Err(ReplayError::Damaged { sequence: 2, proof: 3, position, .. }) => assert_eq!(position, BLOCK_BYTES as u64),
        other => panic!("the loss of an acked commit must be refused: {other:?}"),
    }
}

#[test]
fn damage_at_the_begin_of_a_file_names_that_file() {
    let mut writer = three_commits();
    writer.commit(b"four");
    writer.commit(b"five");
    for byte in [0, HEADER_BYTES + 5] {
        writer.files[1][byte] ^= 1;
        match writer.read(1) {
            Err(ReplayError::Damaged { sequence: 3, path, position: 0, .. }) => {
                assert_eq!(path, PathBuf::from("3-1.journal"), "byte {byte}");
            }
            other => panic!("byte {byte}: {other:?}"),
        }
        writer.files[1][byte] ^= 1;
    }
}

#[test]
fn a_lost_first_file_is_refused() {
    let mut writer = three_commits();
    writer.files[0].fill(0);
    assert!(matches!(writer.read(1), Err(ReplayError::Damaged { sequence: 1, .. })));
}

#[test]
fn commits_of_another_run_end_the_chain() {
    let mut writer = Writer::new();
    writer.open_file();
    writer.commit(b"ours");
    writer.commit_of(RunId(5), b"theirs");
    assert_eq!(writer.read(1).expect("cut"), [b"ours".to_vec()]);
}

#[test]
fn older_bytes_of_a_recycled_file_are_no_commits() {
    let mut writer = three_commits();
    // The file was used before: behind the newest commit stand whole commits of its earlier use.
    let old = writer.files[0].clone();
    writer.files[1].extend_from_slice(&old[BLOCK_BYTES..]);
    assert_eq!(writer.read(1).expect("cut").len(), 3);
}

#[test]
fn an_unknown_version_is_refused() {
    let mut writer = three_commits();
    let head = &mut writer.files[0][..HEADER_BYTES];
    head[4] = 9;
    let crc = crc32c(&head[..HEADER_BYTES - 4]);
    head[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(writer.read(1), Err(ReplayError::Format { source: FormatError::Version { version: 9 }, .. })));
}

#[test]
fn an_entry_of_an_unknown_kind_is_refused() {
    let mut writer = three_commits();
    let (header, _) = CommitHeader::decode(&writer.files[0]).expect("known").expect("a header");
    let body = HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize;
    writer.files[0][body.start] = 99;
    let body_crc = crc32c(&writer.files[0][body]);
    CommitHeader { body_crc, ..header }.encode(&mut writer.files[0]);
    assert!(matches!(writer.read(1), Err(ReplayError::Format { source: FormatError::Kind { kind: 99 }, .. })));
}

#[test]
fn every_flipped_bit_of_an_acked_commit_is_noticed() {
    let clean = three_commits();
    let whole = clean.read(1).expect("whole");
    let used = HEADER_BYTES + crate::journal::format::ENTRY_BYTES + 3;
    for bit in 0..used * 8 {
        let mut writer = three_commits();
        writer.files[0][bit / 8] ^= 1 << (bit % 8);
        // Refused: the later commits prove that the first one was acked.
        let read = writer.read(1);
        assert!(read.is_err(), "bit {bit}: {read:?} instead of {whole:?}");
    }
}

#[test]
fn a_start_reads_from_the_disk_what_lies_in_the_files() {
    let (writer, payload) = (three_commits(), |entry: &Entry| entry.kind.clone());
    let read: Vec<EntryKind> = writer.replay().expect("whole").entries.iter().map(payload).collect();
    let expected = chain(&writer.whole_files(), RUN, 1).expect("whole");
    assert_eq!(read, expected.entries.iter().map(payload).collect::<Vec<_>>());
}

#[test]
fn an_entry_that_is_kept_longer_keeps_no_file_in_memory() {
    let entries = three_commits().replay().expect("whole").entries;
    let kept = entries.into_iter().next().expect("the first one");
    let EntryKind::Data(bytes) = kept.kind else { panic!("only data was written") };
    let memory = bytes.try_into_mut().expect("all others are gone").capacity();
    assert!(memory < BLOCK_BYTES, "{memory} bytes are held for a few");
}

#[test]
fn a_file_whose_first_block_is_of_an_earlier_use_still_proves_what_was_synced_in_it() {
    let mut writer = three_commits();
    writer.commit(b"four");
    // The first commit of the file's second use never came to the disk, and the fourth says that it was synced.
    let mut earlier = Writer::new();
    earlier.open_file();
    earlier.commit_of(RunId(5), b"of the run before");
    for first in [earlier.files[0].clone(), vec![0; BLOCK_BYTES]] {
        writer.files[1][..BLOCK_BYTES].copy_from_slice(&first);
        let refused = writer.replay();
        assert!(matches!(refused, Err(ReplayError::Damaged { sequence: 3, proof: 4, .. })), "{refused:?}");
    }
}
