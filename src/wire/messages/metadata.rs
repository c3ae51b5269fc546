//! Metadata (key 3): brokers, topics, and who leads what.

use shards::codec::message;

use crate::wire::ErrorCode;

/// "Not asked": what a field of authorised operations holds then.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

message! {
    MetadataRequest, key 3, versions 0..=13, flexible 9..;
    /// Version 0: empty means all. Later: null means all, empty means none.
    topics: [MetadataRequestTopic] {
        topic_id: topic_id (10.., ignorable),
        name: str (0.., null 10..),
    } (0.., null 1..),
    allow_auto_topic_creation: bool (4.., or true),
    include_cluster_authorized_operations: bool (8..=10),
    include_topic_authorized_operations: bool (8..),
}

message! {
    MetadataResponse, key 3, versions 0..=13, flexible 9..;
    throttle_time_ms: i32 (3.., ignorable),
    brokers: [MetadataResponseBroker] {
        node_id: i32,
        host: str,
        port: i32,
        rack: str (1.., null 1.., or None, ignorable),
    },
    cluster_id: str (2.., null 2.., or None, ignorable),
    controller_id: i32 (1.., or -1, ignorable),
    topics: [MetadataResponseTopic] {
        error_code: ErrorCode,
        name: str (0.., null 12..),
        topic_id: topic_id (10.., ignorable),
        is_internal: bool (1.., ignorable),
        partitions: [MetadataResponsePartition] {
            error_code: ErrorCode,
            partition_index: i32,
            leader_id: i32,
            leader_epoch: i32 (7.., or -1, ignorable),
            replica_nodes: [i32],
            isr_nodes: [i32],
            offline_replicas: [i32] (5.., ignorable),
        },
        topic_authorized_operations: i32 (8.., or OPERATIONS_NOT_ASKED),
    },
    cluster_authorized_operations: i32 (8..=10, or OPERATIONS_NOT_ASKED),
    error_code: ErrorCode (13.., ignorable),
}
