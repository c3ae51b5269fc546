//! DescribeTopicPartitions (key 75): Metadata of topics in pages (KIP-966).

use shards::codec::message;

use crate::wire::ErrorCode;
use crate::wire::messages::metadata::OPERATIONS_NOT_ASKED;

message! {
    DescribeTopicPartitionsRequest, key 75, versions 0..=0, flexible 0..;
    topics: [TopicRequest] { name: str },
    response_partition_limit: i32 (0.., or 2_000),
    /// Where to go on, as the last page said.
    cursor: Cursor { topic_name: str, partition_index: i32 } (0.., null 0.., or None),
}

message! {
    DescribeTopicPartitionsResponse, key 75, versions 0..=0, flexible 0..;
    throttle_time_ms: i32 (0.., ignorable),
    topics: [DescribeTopicPartitionsResponseTopic] {
        error_code: ErrorCode,
        name: str (0.., null 0..),
        topic_id: topic_id (0.., ignorable),
        is_internal: bool (0.., ignorable),
        partitions: [DescribeTopicPartitionsResponsePartition] {
            error_code: ErrorCode,
            partition_index: i32,
            leader_id: i32,
            leader_epoch: i32 (0.., or -1, ignorable),
            replica_nodes: [i32],
            isr_nodes: [i32],
            eligible_leader_replicas: [i32] (0.., null 0.., or None),
            last_known_elr: [i32] (0.., null 0.., or None),
            offline_replicas: [i32] (0.., ignorable),
        },
        topic_authorized_operations: i32 (0.., or OPERATIONS_NOT_ASKED),
    },
    /// Null on the last page.
    next_cursor: Cursor (0.., null 0.., or None),
}
