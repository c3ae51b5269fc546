//! DescribeGroups (key 15): members and state of classic groups.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DescribeGroupsRequest, key 15, versions 0..=6, flexible 5..;
    groups: [str],
    include_authorized_operations: bool (3..),
}

message! {
    DescribeGroupsResponse, key 15, versions 0..=6, flexible 5..;
    throttle_time_ms: i32 (1.., ignorable),
    groups: [DescribedGroup] {
        error_code: ErrorCode,
        error_message: str (6.., null 6.., or None),
        group_id: str,
        group_state: str,
        protocol_type: str,
        protocol_data: str,
        members: [DescribedGroupMember] {
            member_id: str,
            group_instance_id: str (4.., null 4.., or None, ignorable),
            client_id: str,
            client_host: str,
            member_metadata: bytes,
            member_assignment: bytes,
        },
        /// `i32::MIN`: not asked.
        authorized_operations: i32 (3.., or i32::MIN),
    },
}
