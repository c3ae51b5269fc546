//! ListConfigResources (key 74): what has configs that can be described (KIP-1142).

use shards::codec::message;

use crate::wire::ErrorCode;

/// What version 0 lists without saying so: client metrics.
pub const CLIENT_METRICS: i8 = 16;

message! {
    ListConfigResourcesRequest, key 74, versions 0..=1, flexible 0..;
    /// Empty: every type.
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
