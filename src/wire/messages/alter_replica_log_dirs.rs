//! AlterReplicaLogDirs (key 34): moves replicas between the log directories of one broker.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    AlterReplicaLogDirsRequest, key 34, versions 1..=2, flexible 2..;
    dirs: [AlterReplicaLogDir] {
        path: str,
        topics: [AlterReplicaLogDirTopic] { name: str, partitions: [i32] },
    },
}

message! {
    AlterReplicaLogDirsResponse, key 34, versions 1..=2, flexible 2..;
    throttle_time_ms: i32,
    results: [AlterReplicaLogDirTopicResult] {
        topic_name: str,
        partitions: [AlterReplicaLogDirPartitionResult] {
            partition_index: i32,
            error_code: ErrorCode,
        },
    },
}
