//! What an orderly stop waits for, on one simulated shard.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::room_tests::with_shard;
use crate::runtime::Runtime;

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
