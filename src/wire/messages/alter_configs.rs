//! AlterConfigs (key 33): replaces all configs of a resource. Deprecated by IncrementalAlterConfigs, still called.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    AlterConfigsRequest, key 33, versions 0..=2, flexible 2..;
    resources: [AlterConfigsResource] {
        resource_type: i8,
        resource_name: str,
        configs: [AlterableConfig] { name: str, value: str (0.., null 0..) },
    },
    validate_only: bool,
}

message! {
    AlterConfigsResponse, key 33, versions 0..=2, flexible 2..;
    throttle_time_ms: i32,
    responses: [AlterConfigsResourceResponse] {
        error_code: ErrorCode,
        error_message: str (0.., null 0..),
        resource_type: i8,
        resource_name: str,
    },
}
