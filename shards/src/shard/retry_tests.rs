//! Retries of batches that are safe already, on one simulated shard: they are acked once more, but not behind the fence.

use super::room_tests::{SMALL, with_shard};
use crate::batch::{BatchBuilder, NewRecord, ValidBatch};
use crate::types::Offset;

/// The first batch of a producer.
fn first_of_producer() -> ValidBatch {
    let mut builder = BatchBuilder::new(1_780_000_000_000).producer(7, 0, 0);
    builder.push(&NewRecord { timestamp_ms: 1_780_000_000_000, value: Some(b"one"), ..NewRecord::default() });
    ValidBatch::parse(builder.finish().expect("no codec, no error")).expect("a sound batch")
}

#[test]
fn a_retry_of_what_is_safe_is_acked_until_the_fence_trips() {
    with_shard(|bench| async move {
        for _ in 0..2 {
            assert_eq!(bench.soon(bench.append(SMALL, first_of_producer())).await, Some(Some(Offset(1))));
        }
        bench.started.shard.fence().trip("a write failed".to_owned());
        assert_eq!(bench.soon(bench.append(SMALL, first_of_producer())).await, None, "nothing is told any more");
    });
}
