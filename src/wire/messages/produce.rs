//! Produce (key 0): appends batches. Versions 0–2 are refused, though ApiVersions says 0 (KAFKA-18659).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ProduceRequest, key 0, versions 3..=13, flexible 9..;
    transactional_id: str (3.., null 3.., or None),
    /// -1 all in-sync replicas, 1 the leader, 0 none, and no reply either.
    acks: i16,
    timeout_ms: i32,
    topic_data: [TopicProduceData] {
        name: str (0..=12, ignorable),
        /// From version 13 in the place of the name (KIP-516).
        topic_id: topic_id (13.., ignorable),
        partition_data: [PartitionProduceData] {
            index: i32,
            records: records (0.., null 0..),
        },
    },
}

message! {
    ProduceResponse, key 0, versions 3..=13, flexible 9..;
    responses: [TopicProduceResponse] {
        name: str (0..=12, ignorable),
        topic_id: topic_id (13.., ignorable),
        partition_responses: [PartitionProduceResponse] {
            index: i32,
            error_code: ErrorCode,
            base_offset: i64,
            /// -1 unless the topic stamps its records with the time of the append, or the batch was a duplicate.
            log_append_time_ms: i64 (2.., or -1, ignorable),
            log_start_offset: i64 (5.., or -1, ignorable),
            /// The records that made the batch fail (KIP-467).
            record_errors: [BatchIndexAndErrorMessage] {
                batch_index: i32 (8..),
                batch_index_error_message: str (8.., null 8.., or None),
            } (8.., ignorable),
            error_message: str (8.., null 8.., or None, ignorable),
            /// The leader to turn to (KIP-951).
            current_leader: LeaderIdAndEpoch {
                leader_id: i32 (10.., or -1),
                leader_epoch: i32 (10.., or -1),
            } (10.., tag 0),
        },
    },
    throttle_time_ms: i32 (1.., ignorable),
    node_endpoints: [NodeEndpoint] {
        node_id: i32 (10..),
        host: str (10..),
        port: i32 (10..),
        rack: str (10.., null 10.., or None),
    } (10.., tag 0),
}
