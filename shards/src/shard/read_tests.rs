//! What one fetch makes a core do, on one simulated shard.

use std::time::Duration;

use futures_lite::future::poll_once;

use super::*;
use crate::router::oneshot::{Asked, oneshot};
use crate::runtime::Runtime;
use crate::shard::room_tests::{BIG, Bench, batch_of, with_shard};

/// Of one partition in one request.
const PARTS: usize = 1_000;

fn parked(bench: &Bench, id: u64, seen: &[(PartitionId, Offset)], missing_bytes: u32) -> Asked<()> {
    let (reply, asked) = oneshot();
    bench.started.shard.step(|core, _, _| {
        core.watch(WatchId(id), seen, Isolation::ReadUncommitted, missing_bytes, Mono::FAR, reply);
    });
    asked
}

#[test]
fn a_fetch_that_names_a_partition_often_waits_there_once() {
    with_shard(|bench| async move {
        let batch = batch_of(200);
        let bytes = u32::try_from(batch.bytes().len()).expect("small");
        let mut asked = parked(&bench, 1, &[(BIG, Offset(0)); PARTS], bytes + 1);
        let standing = || {
            let slot = |core: &ShardCore| core.slot_of(BIG).and_then(|slot| core.get(slot)).map(|p| p.watches.len());
            bench.started.shard.step(|core, _, _| slot(core)).expect("it is known")
        };
        assert_eq!(standing(), 1);
        assert_eq!(bench.append(BIG, batch.clone()).await, Some(Offset(0)));
        assert!(poll_once(&mut asked).await.is_none(), "one byte is missing");
        assert_eq!(bench.append(BIG, batch).await, Some(Offset(1)));
        assert_eq!(bench.soon(&mut asked).await, Some(Some(())));
        assert_eq!(standing(), 0);
    });
}

#[test]
fn waits_that_are_over_are_forgotten_by_and_by() {
    with_shard(|bench| async move {
        for id in 0..PARTS as u64 {
            drop(parked(&bench, id, &[(BIG, Offset(0))], 1));
            bench.started.shard.step(|core, _, _| core.watches.cancel(WatchId(id)));
        }
        let standing = bench.started.shard.step(|core, _, _| {
            core.slot_of(BIG).and_then(|slot| core.get(slot)).map(|partition| partition.watches.len())
        });
        assert!(standing.is_some_and(|count| count < 16), "{standing:?}");
    });
}

#[test]
fn a_fetch_reads_no_more_whole_batches_from_disk_than_it_could_give() {
    with_shard(|bench| async move {
        bench.started.shard.step(|core, _, _| {
            let slot = core.slot_of(BIG).expect("it is known");
            let partition = core.get_mut(slot).expect("it is there");
            let mut config = (*partition.config).clone();
            config.max_message_bytes = 1 << 20;
            partition.config = std::sync::Arc::new(config);
        });
        assert_eq!(bench.append(BIG, batch_of(100_000)).await, Some(Offset(0)));
        bench.started.shard.step(|core, _, _| core.want_drained());
        bench.rt.sleep_until(bench.rt.now().after(Duration::from_secs(5))).await;
        let (reply, asked) = oneshot();
        let queued = bench.started.shard.step(|core, _, _| {
            let slot = core.slot_of(BIG).expect("it is known");
            assert!(core.get_mut(slot).expect("it is there").log.evict_through(u64::MAX) > 0);
            let (offset, none) = (Offset(0), None);
            let part =
                FetchPart { partition: BIG, offset, max_bytes: 1, current_epoch: none, last_fetched_epoch: none };
            core.read(&vec![part; PARTS], Isolation::ReadUncommitted, Some(10 << 20), reply);
            core.disk_jobs.len()
        });
        // Of batches of up to 1 MiB.
        assert_eq!(queued, 10);
        let answers = bench.soon(asked).await.flatten().expect("answered");
        let given: usize = answers.iter().map(|answer| answer.as_ref().map_or(0, Fetched::bytes)).sum();
        assert_eq!(given, 100_000, "the first of all may be larger than its limit");
    });
}
