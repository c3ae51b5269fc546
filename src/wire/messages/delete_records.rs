//! DeleteRecords (key 21): moves the log start of partitions forward.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DeleteRecordsRequest, key 21, versions 0..=2, flexible 2..;
    topics: [DeleteRecordsTopic] {
        name: str,
        /// Offset -1: up to the high watermark.
        partitions: [DeleteRecordsPartition] { partition_index: i32, offset: i64 },
    },
    timeout_ms: i32,
}

message! {
    DeleteRecordsResponse, key 21, versions 0..=2, flexible 2..;
    throttle_time_ms: i32,
    topics: [DeleteRecordsTopicResult] {
        name: str,
        partitions: [DeleteRecordsPartitionResult] {
            partition_index: i32,
            low_watermark: i64,
            error_code: ErrorCode,
        },
    },
}
