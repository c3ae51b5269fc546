//! SyncGroup (key 14): the leader brings the assignment of a generation, every member takes its part.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    SyncGroupRequest, key 14, versions 0..=5, flexible 4..;
    group_id: str,
    generation_id: i32,
    member_id: str,
    group_instance_id: str (3.., null 3.., or None),
    protocol_type: str (5.., null 5.., or None, ignorable),
    protocol_name: str (5.., null 5.., or None, ignorable),
    /// From the leader only.
    assignments: [SyncGroupRequestAssignment] { member_id: str, assignment: bytes },
}

message! {
    SyncGroupResponse, key 14, versions 0..=5, flexible 4..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode,
    protocol_type: str (5.., null 5.., or None, ignorable),
    protocol_name: str (5.., null 5.., or None, ignorable),
    assignment: bytes,
}
