//! OffsetForLeaderEpoch (key 23): where an epoch ends, so that a reader finds where logs part (KIP-101, KIP-320).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    OffsetForLeaderEpochRequest, key 23, versions 2..=4, flexible 4..;
    replica_id: i32 (3.., or -2, ignorable),
    topics: [OffsetForLeaderTopic] {
        topic: str,
        partitions: [OffsetForLeaderPartition] {
            partition: i32,
            current_leader_epoch: i32 (2.., or -1, ignorable),
            leader_epoch: i32,
        },
    },
}

message! {
    OffsetForLeaderEpochResponse, key 23, versions 2..=4, flexible 4..;
    throttle_time_ms: i32 (2.., ignorable),
    topics: [OffsetForLeaderTopicResult] {
        topic: str,
        partitions: [EpochEndOffset] {
            error_code: ErrorCode,
            partition: i32,
            leader_epoch: i32 (1.., or -1, ignorable),
            end_offset: i64 (0.., or -1),
        },
    },
}
