//! OffsetCommit (key 8): stores offsets for a group.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    OffsetCommitRequest, key 8, versions 2..=10, flexible 8..;
    group_id: str,
    /// -1: not a member; then the group must be empty.
    generation_id_or_member_epoch: i32 (0.., or -1, ignorable),
    member_id: str (0.., ignorable),
    group_instance_id: str (7.., null 7.., or None),
    /// -1: as the broker keeps offsets.
    retention_time_ms: i64 (2..=4, or -1, ignorable),
    topics: [OffsetCommitRequestTopic] {
        name: str (0..=9, ignorable),
        topic_id: topic_id (10.., ignorable),
        partitions: [OffsetCommitRequestPartition] {
            partition_index: i32,
            committed_offset: i64,
            committed_leader_epoch: i32 (6.., or -1, ignorable),
            committed_metadata: str (0.., null 0..),
        },
    },
}

message! {
    OffsetCommitResponse, key 8, versions 2..=10, flexible 8..;
    throttle_time_ms: i32 (3.., ignorable),
    topics: [OffsetCommitResponseTopic] {
        name: str (0..=9, ignorable),
        topic_id: topic_id (10.., ignorable),
        partitions: [OffsetCommitResponsePartition] { partition_index: i32, error_code: ErrorCode },
    },
}
