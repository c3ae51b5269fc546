//! LeaveGroup (key 13): members leave a classic group; one before version 3.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    LeaveGroupRequest, key 13, versions 0..=5, flexible 4..;
    group_id: str,
    member_id: str (0..=2),
    members: [MemberIdentity] {
        member_id: str (3..),
        group_instance_id: str (3.., null 3.., or None),
        reason: str (5.., null 5.., or None, ignorable),
    } (3..),
}

message! {
    LeaveGroupResponse, key 13, versions 0..=5, flexible 4..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode,
    members: [MemberResponse] {
        member_id: str (3..),
        group_instance_id: str (3.., null 3..),
        error_code: ErrorCode (3..),
    } (3..),
}
