//! ConsumerGroupHeartbeat (key 68): joins, keeps and leaves a group whose assignment is the broker's (KIP-848).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ConsumerGroupHeartbeatRequest, key 68, versions 0..=1, flexible 0..;
    group_id: str,
    member_id: str,
    /// 0 joins, -1 leaves, -2 leaves for a short while as a static member.
    member_epoch: i32,
    instance_id: str (0.., null 0.., or None),
    rack_id: str (0.., null 0.., or None),
    rebalance_timeout_ms: i32 (0.., or -1),
    /// Null here and below: as said before.
    subscribed_topic_names: [str] (0.., null 0.., or None),
    subscribed_topic_regex: str (1.., null 1.., or None),
    server_assignor: str (0.., null 0.., or None),
    topic_partitions: [TopicPartitions] { topic_id: topic_id, partitions: [i32] } (0.., null 0.., or None),
}

message! {
    ConsumerGroupHeartbeatResponse, key 68, versions 0..=1, flexible 0..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0.., or None),
    member_id: str (0.., null 0.., or None),
    member_epoch: i32,
    heartbeat_interval_ms: i32,
    assignment: Assignment {
        topic_partitions: [TopicPartitions],
    } (0.., null 0.., or None),
}
