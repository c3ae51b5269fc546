//! ListGroups (key 16): the groups of a broker, by state and by type.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ListGroupsRequest, key 16, versions 0..=5, flexible 3..;
    /// Both filters: empty for all; without case.
    states_filter: [str] (4..),
    types_filter: [str] (5..),
}

message! {
    ListGroupsResponse, key 16, versions 0..=5, flexible 3..;
    throttle_time_ms: i32 (1.., ignorable),
    error_code: ErrorCode,
    groups: [ListedGroup] {
        group_id: str,
        protocol_type: str,
        group_state: str (4.., ignorable),
        group_type: str (5.., ignorable),
    },
}
