//! ListPartitionReassignments (key 46): moves of partitions that are under way (KIP-455).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ListPartitionReassignmentsRequest, key 46, versions 0..=0, flexible 0..;
    timeout_ms: i32 (0.., or 60_000),
    /// Null: all of them.
    topics: [ListPartitionReassignmentsTopics] { name: str, partition_indexes: [i32] } (0.., null 0.., or None),
}

message! {
    ListPartitionReassignmentsResponse, key 46, versions 0..=0, flexible 0..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0..),
    topics: [OngoingTopicReassignment] {
        name: str,
        partitions: [OngoingPartitionReassignment] {
            partition_index: i32,
            replicas: [i32],
            adding_replicas: [i32],
            removing_replicas: [i32],
        },
    },
}
