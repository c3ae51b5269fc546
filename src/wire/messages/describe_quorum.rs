//! DescribeQuorum (key 55): who leads, votes on and follows the metadata log (KIP-595, KIP-853).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeQuorumRequest, key 55, versions 0..=2, flexible 0..;
    topics: [TopicAsked] { topic_name: str, partitions: [PartitionAsked] { partition_index: i32 } },
}

message! {
    DescribeQuorumResponse, key 55, versions 0..=2, flexible 0..;
    error_code: ErrorCode,
    error_message: str (2.., null 2.., ignorable),
    topics: [TopicData] {
        topic_name: str,
        partitions: [PartitionData] {
            partition_index: i32,
            error_code: ErrorCode,
            error_message: str (2.., null 2.., ignorable),
            leader_id: i32,
            leader_epoch: i32,
            high_watermark: i64,
            current_voters: [ReplicaState] {
                replica_id: i32,
                replica_directory_id: uuid (2..),
                log_end_offset: i64,
                last_fetch_timestamp: i64 (1.., or -1, ignorable),
                last_caught_up_timestamp: i64 (1.., or -1, ignorable),
            },
            observers: [ReplicaState],
        },
    },
    nodes: [Node] {
        node_id: i32 (2..),
        listeners: [Listener] { name: str (2..), host: str (2..), port: u16 (2..) } (2..),
    } (2..),
}
