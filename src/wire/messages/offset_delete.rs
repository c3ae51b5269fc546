//! OffsetDelete (key 47): removes stored offsets of topics that nobody of the group reads.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    OffsetDeleteRequest, key 47, versions 0..=0, flexible 1..;
    group_id: str,
    topics: [OffsetDeleteRequestTopic] {
        name: str,
        partitions: [OffsetDeleteRequestPartition] { partition_index: i32 },
    },
}

message! {
    OffsetDeleteResponse, key 47, versions 0..=0, flexible 1..;
    error_code: ErrorCode,
    throttle_time_ms: i32 (0.., ignorable),
    topics: [OffsetDeleteResponseTopic] {
        name: str,
        partitions: [OffsetDeleteResponsePartition] { partition_index: i32, error_code: ErrorCode },
    },
}
