//! ListConfigResources (key 74): names of what has configs of its own (KIP-1142). Version 0 lists client metrics only.

use shards::codec::message;

use crate::wire::ErrorCode;

/// The resource type of version 0.
pub const CLIENT_METRICS: i8 = 16;

message! {
    ListConfigResourcesRequest, key 74, versions 0..=1, flexible 0..;
    /// Empty: all types.
    resource_types: [i8] (1..),
}

message! {
    ListConfigResourcesResponse, key 74, versions 0..=1, flexible 0..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    config_resources: [ConfigResource] {
        resource_name: str,
        resource_type: i8 (1.., or CLIENT_METRICS, ignorable),
    },
}
