//! ConsumerGroupDescribe (key 69): members and state of groups whose assignment is the broker's (KIP-848).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ConsumerGroupDescribeRequest, key 69, versions 0..=1, flexible 0..;
    group_ids: [str],
    include_authorized_operations: bool,
}

message! {
    ConsumerGroupDescribeResponse, key 69, versions 0..=1, flexible 0..;
    throttle_time_ms: i32,
    groups: [DescribedGroup] {
        error_code: ErrorCode,
        error_message: str (0.., null 0.., or None),
        group_id: str,
        group_state: str,
        group_epoch: i32,
        assignment_epoch: i32,
        assignor_name: str,
        members: [Member] {
            member_id: str,
            instance_id: str (0.., null 0.., or None),
            rack_id: str (0.., null 0.., or None),
            member_epoch: i32,
            client_id: str,
            client_host: str,
            subscribed_topic_names: [str],
            subscribed_topic_regex: str (0.., null 0.., or None),
            assignment: Assignment {
                topic_partitions: [TopicPartitions] {
                    topic_id: topic_id,
                    topic_name: str,
                    partitions: [i32],
                },
            },
            target_assignment: Assignment,
            /// -1 unknown, 0 classic, 1 consumer.
            member_type: i8 (1.., or -1, ignorable),
        },
        authorized_operations: i32 (0.., or i32::MIN),
    },
}
