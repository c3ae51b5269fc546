//! What an orderly stop waits for, on one simulated shard.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::room_tests::{BIG, batch_of, with_shard};
use super::write_behind::drain_all;
use crate::runtime::Runtime;
use crate::types::Offset;

#[test]
fn a_stop_waits_for_the_file_that_compaction_is_putting_in_place() {
    with_shard(|bench| async move {
        let shard = bench.started.shard.clone();
        shard.step(|core, _, _| core.is_replacing = true);
        let (task, is_in_place) = (shard.clone(), Rc::new(Cell::new(false)));
        let tell = is_in_place.clone();
        bench.rt.spawn(async move {
            task.rt().sleep_until(task.now().after(Duration::from_millis(300))).await;
            task.step(|core, _, _| core.is_replacing = false);
            tell.set(true);
        });
        assert_eq!(bench.soon(shard.stop()).await, Some(true), "a clean stop");
        assert!(is_in_place.get(), "the stop is over before the file is in place");
    });
}

#[test]
fn what_a_stop_has_to_write_is_known_before_it_is_written() {
    with_shard(|bench| async move {
        let shard = &bench.started.shard;
        let before = shard.partitions_to_write();
        assert_eq!(bench.soon(bench.append(BIG, batch_of(9_000))).await, Some(Some(Offset(0))));
        assert_eq!(shard.partitions_to_write(), before + 1, "two blocks of it");
        assert!(bench.soon(drain_all(shard)).await.is_some());
        assert_eq!(shard.partitions_to_write(), before + 1, "they are not synced yet");
        assert_eq!(bench.soon(shard.stop()).await, Some(true), "a clean stop");
        assert_eq!(shard.partitions_to_write(), 0, "less than a block of each is left");
    });
}
