//! ListOffsets (key 2): offsets by timestamp, or by one of the sentinels below 0.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ListOffsetsRequest, key 2, versions 1..=11, flexible 6..;
    replica_id: i32,
    /// 0 read uncommitted, 1 read committed.
    isolation_level: i8 (2..),
    topics: [ListOffsetsTopic] {
        name: str,
        partitions: [ListOffsetsPartition] {
            partition_index: i32,
            current_leader_epoch: i32 (4.., or -1, ignorable),
            /// Milliseconds, or -1 latest, -2 earliest, -3 largest timestamp (7+), -4 local start (8+), -5 and -6 tiered.
            timestamp: i64,
        },
    },
    timeout_ms: i32 (10.., ignorable),
}

message! {
    ListOffsetsResponse, key 2, versions 1..=11, flexible 6..;
    throttle_time_ms: i32 (2.., ignorable),
    topics: [ListOffsetsTopicResponse] {
        name: str,
        partitions: [ListOffsetsPartitionResponse] {
            partition_index: i32,
            error_code: ErrorCode,
            timestamp: i64 (1.., or -1),
            offset: i64 (1.., or -1),
            leader_epoch: i32 (4.., or -1),
        },
    },
}
