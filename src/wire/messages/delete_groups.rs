//! DeleteGroups (key 42): removes empty groups and their offsets.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    DeleteGroupsRequest, key 42, versions 0..=2, flexible 2..;
    groups_names: [str],
}

message! {
    DeleteGroupsResponse, key 42, versions 0..=2, flexible 2..;
    throttle_time_ms: i32,
    results: [DeletableGroupResult] { group_id: str, error_code: ErrorCode },
}
