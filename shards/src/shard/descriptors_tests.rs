//! A process without descriptors, on one simulated shard: no disk is broken by that, so nothing is fenced and nothing goes
//! offline; who must write waits, who reads is refused for now.

use std::path::Path;

use super::room_tests::{Bench, SMALL, batch_of, with_shard};
use super::turn::write_checkpoint;
use super::write_behind::write_out;
use crate::log::WriteKind;
use crate::request::{FetchPart, Isolation, ReadError};
use crate::router::oneshot::oneshot;
use crate::runtime::sim::{DiskOp, Fault};
use crate::runtime::{OpenMode, is_out_of_descriptors};
use crate::types::Offset;

/// More than what is tried before a reader is told.
const TRIES: u64 = 60;

/// So many opens of what has this text in its path fail from now on.
fn no_descriptors(bench: &Bench, path: &str, times: u64) {
    bench.rt.disk().add_fault(Fault { op: DiskOp::Open, path_contains: path.into(), after: 0, times });
}

/// The second partition is in its file, all of it, and no file is open.
async fn rest(bench: &Bench) {
    let shard = &bench.started.shard;
    write_out(shard, [bench.small].into(), WriteKind::Everything).await;
    shard.step(|core, _, _| core.get_mut(bench.small).expect("it is there").log.evict_through(u64::MAX));
    no_descriptors(bench, "nowhere", u64::MAX);
    let tried = shard.store().open_at(Path::new("/broker/nowhere"), OpenMode::Read).await;
    assert!(tried.is_err_and(|error| is_out_of_descriptors(&error)), "what is kept open has given way");
}

fn is_sound(bench: &Bench) -> bool {
    let shard = &bench.started.shard;
    shard.fence().why().is_none()
        && shard.step(|core, _, _| core.get(bench.small).is_some_and(|known| known.offline.is_none()))
}

async fn read(bench: &Bench) -> Result<bool, ReadError> {
    let (partition, offset) = (SMALL, Offset(0));
    let part = FetchPart { partition, offset, max_bytes: 1 << 20, current_epoch: None, last_fetched_epoch: None };
    let (reply, fetched) = oneshot();
    bench.started.shard.step(|core, _, _| core.read(&[part], Isolation::ReadUncommitted, Some(1 << 20), reply));
    let mut one = bench.soon(fetched).await.flatten().expect("an answer");
    one.pop().expect("of one partition").map(|fetched| !fetched.records.is_empty())
}

#[test]
fn a_segment_that_cannot_be_opened_for_writing_waits_for_a_descriptor() {
    with_shard(|bench| async move {
        no_descriptors(&bench, "/t-1/", TRIES);
        let shard = &bench.started.shard;
        let written = write_out(shard, [bench.small].into(), WriteKind::Everything);
        assert_eq!(bench.soon(written).await, Some(()));
        assert!(is_sound(&bench), "{:?}", shard.fence().why());
        assert!(shard.step(|core, _, _| core.get(bench.small).is_some_and(|known| known.log.tail_is_cold())));
    });
}

#[test]
fn a_checkpoint_waits_for_a_descriptor() {
    with_shard(|bench| async move {
        no_descriptors(&bench, "/checkpoint/", TRIES);
        assert_eq!(bench.soon(write_checkpoint(&bench.started.shard, 1)).await, Some(Ok(())));
    });
}

#[test]
fn a_read_without_a_descriptor_is_refused_for_now_and_takes_nothing_offline() {
    with_shard(|bench| async move {
        rest(&bench).await;
        no_descriptors(&bench, "/t-1/", u64::MAX);
        let refused = read(&bench).await;
        assert!(matches!(refused, Err(ReadError::Unopened { .. })), "{refused:?}");
        assert!(is_sound(&bench));
        bench.rt.disk().clear_faults();
        assert_eq!(read(&bench).await, Ok(true));
    });
}

#[test]
fn an_append_waits_until_its_cold_tail_can_be_opened() {
    with_shard(|bench| async move {
        rest(&bench).await;
        no_descriptors(&bench, "/t-1/", TRIES);
        assert_eq!(bench.soon(bench.append(SMALL, batch_of(200))).await, Some(Some(Offset(1))));
        assert!(is_sound(&bench));
    });
}

#[test]
fn a_stop_waits_until_what_was_written_can_be_opened_for_its_sync() {
    with_shard(|bench| async move {
        rest(&bench).await;
        // The segment first, then the file that says whose the directory is.
        no_descriptors(&bench, "/t-1/0", TRIES / 2);
        no_descriptors(&bench, "/t-1/partition.metadata", TRIES / 20);
        assert_eq!(bench.soon(bench.started.shard.stop()).await, Some(true), "a clean stop");
        assert!(is_sound(&bench));
    });
}
