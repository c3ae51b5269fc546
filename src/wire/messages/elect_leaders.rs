//! ElectLeaders (key 43): asks for another leader of partitions.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ElectLeadersRequest, key 43, versions 0..=2, flexible 2..;
    /// 0 preferred, 1 unclean.
    election_type: i8 (1..),
    /// Null: all partitions.
    topic_partitions: [TopicPartitions] { topic: str, partitions: [i32] } (0.., null 0..),
    timeout_ms: i32 (0.., or 60_000),
}

message! {
    ElectLeadersResponse, key 43, versions 0..=2, flexible 2..;
    throttle_time_ms: i32,
    error_code: ErrorCode (1..),
    replica_election_results: [ReplicaElectionResult] {
        topic: str,
        partition_result: [PartitionResult] {
            partition_id: i32,
            error_code: ErrorCode,
            error_message: str (0.., null 0..),
        },
    },
}
