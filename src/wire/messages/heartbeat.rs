//! Heartbeat (key 12): a member of a classic group says that it lives.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    HeartbeatRequest, key 12, versions 0..=4, flexible 4..;
    group_id: str,
    generation_id: i32,
    member_id: str,
    group_instance_id: str (3.., null 3.., or None),
}

message! {
    HeartbeatResponse, key 12, versions 0..=4, flexible 4..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode,
}
