//! CreateTopics (key 19).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    CreateTopicsRequest, key 19, versions 2..=7, flexible 5..;
    topics: [CreatableTopic] {
        name: str,
        /// -1 for the broker's default, or if there are assignments.
        num_partitions: i32,
        /// -1 for the broker's default, or if there are assignments.
        replication_factor: i16,
        assignments: [CreatableReplicaAssignment] { partition_index: i32, broker_ids: [i32] },
        configs: [CreatableTopicConfig] { name: str, value: str (0.., null 0..) },
    },
    timeout_ms: i32 (0.., or 60_000),
    validate_only: bool (1..),
}

message! {
    CreateTopicsResponse, key 19, versions 2..=7, flexible 5..;
    throttle_time_ms: i32 (2.., ignorable),
    topics: [CreatableTopicResult] {
        name: str,
        topic_id: topic_id (7.., ignorable),
        error_code: ErrorCode,
        error_message: str (1.., null 0.., ignorable),
        /// Why the configs are not told, if they are not.
        topic_config_error_code: ErrorCode (5.., tag 0, ignorable),
        num_partitions: i32 (5.., or -1, ignorable),
        replication_factor: i16 (5.., or -1, ignorable),
        configs: [CreatableTopicConfigs] {
            name: str (5..),
            value: str (5.., null 5..),
            read_only: bool (5..),
            config_source: i8 (5.., or -1, ignorable),
            is_sensitive: bool (5..),
        } (5.., null 5.., ignorable),
    },
}
