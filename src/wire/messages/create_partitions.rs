//! CreatePartitions (key 37): grows topics.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    CreatePartitionsRequest, key 37, versions 0..=3, flexible 2..;
    topics: [CreatePartitionsTopic] {
        name: str,
        /// Partitions afterwards, not added.
        count: i32,
        assignments: [CreatePartitionsAssignment] { broker_ids: [i32] } (0.., null 0..),
    },
    timeout_ms: i32,
    validate_only: bool,
}

message! {
    CreatePartitionsResponse, key 37, versions 0..=3, flexible 2..;
    throttle_time_ms: i32,
    results: [CreatePartitionsTopicResult] {
        name: str,
        error_code: ErrorCode,
        error_message: str (0.., null 0.., or None),
    },
}
