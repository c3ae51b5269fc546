//! JoinGroup (key 11): enters a classic group, or a new generation of it.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    JoinGroupRequest, key 11, versions 0..=9, flexible 6..;
    group_id: str,
    session_timeout_ms: i32,
    /// How long others wait for this member in a rebalance; version 0 means the session time-out.
    rebalance_timeout_ms: i32 (1.., or -1, ignorable),
    /// Empty at the first join.
    member_id: str,
    /// Of a static member (KIP-345).
    group_instance_id: str (5.., null 5.., or None),
    protocol_type: str,
    protocols: [JoinGroupRequestProtocol] { name: str, metadata: bytes },
    /// For the log (KIP-800).
    reason: str (8.., null 8.., or None, ignorable),
}

message! {
    JoinGroupResponse, key 11, versions 0..=9, flexible 6..;
    throttle_time_ms: i32 (2.., ignorable),
    error_code: ErrorCode,
    generation_id: i32 (0.., or -1),
    protocol_type: str (7.., null 7.., or None, ignorable),
    protocol_name: str (0.., null 7..),
    leader: str,
    /// The leader has nothing to assign: the generation goes on as it is.
    skip_assignment: bool (9..),
    member_id: str,
    /// For the leader only; empty for the others.
    members: [JoinGroupResponseMember] {
        member_id: str,
        group_instance_id: str (5.., null 5.., or None, ignorable),
        metadata: bytes,
    },
}
