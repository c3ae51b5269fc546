//! FindCoordinator (key 10): the broker that coordinates a group, transaction or share group.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    FindCoordinatorRequest, key 10, versions 0..=6, flexible 3..;
    key: str (0..=3),
    /// 0 group, 1 transaction, 2 share group.
    key_type: i8 (1..),
    /// Instead of `key`.
    coordinator_keys: [str] (4..),
}

message! {
    FindCoordinatorResponse, key 10, versions 0..=6, flexible 3..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode (0..=3),
    error_message: str (1..=3, null 1.., ignorable),
    node_id: i32 (0..=3),
    host: str (0..=3),
    port: i32 (0..=3),
    coordinators: [Coordinator] {
        key: str (4..),
        node_id: i32 (4..),
        host: str (4..),
        port: i32 (4..),
        error_code: ErrorCode (4..),
        error_message: str (4.., null 4.., ignorable),
    } (4..),
}
