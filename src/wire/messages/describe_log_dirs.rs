//! DescribeLogDirs (key 35): sizes of partitions on disk, by log directory.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeLogDirsRequest, key 35, versions 1..=5, flexible 2..;
    /// Null: all topics.
    topics: [DescribableLogDirTopic] { topic: str, partitions: [i32] } (0.., null 0..),
}

message! {
    DescribeLogDirsResponse, key 35, versions 1..=5, flexible 2..;
    throttle_time_ms: i32,
    error_code: ErrorCode (3.., ignorable),
    results: [DescribeLogDirsResult] {
        error_code: ErrorCode,
        log_dir: str,
        topics: [DescribeLogDirsTopic] {
            name: str,
            partitions: [DescribeLogDirsPartition] {
                partition_index: i32,
                /// Bytes.
                partition_size: i64,
                offset_lag: i64,
                is_future_key: bool,
            },
        },
        total_bytes: i64 (4.., or -1, ignorable),
        usable_bytes: i64 (4.., or -1, ignorable),
        is_cordoned: bool (5.., ignorable),
    },
}
