//! AlterPartitionReassignments (key 45): moves partitions to other brokers, or stops such a move (KIP-455).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    AlterPartitionReassignmentsRequest, key 45, versions 0..=1, flexible 0..;
    timeout_ms: i32 (0.., or 60_000),
    allow_replication_factor_change: bool (1.., or true),
    topics: [ReassignableTopic] {
        name: str,
        /// Null replicas: stops the move under way.
        partitions: [ReassignablePartition] { partition_index: i32, replicas: [i32] (0.., null 0.., or None) },
    },
}

message! {
    AlterPartitionReassignmentsResponse, key 45, versions 0..=1, flexible 0..;
    throttle_time_ms: i32,
    allow_replication_factor_change: bool (1.., or true, ignorable),
    error_code: ErrorCode,
    error_message: str (0.., null 0..),
    responses: [ReassignableTopicResponse] {
        name: str,
        partitions: [ReassignablePartitionResponse] {
            partition_index: i32,
            error_code: ErrorCode,
            error_message: str (0.., null 0..),
        },
    },
}
