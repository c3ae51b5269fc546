//! IncrementalAlterConfigs (key 44): changes some configs of a resource (KIP-339).

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    IncrementalAlterConfigsRequest, key 44, versions 0..=1, flexible 1..;
    resources: [AlterConfigsResource] {
        resource_type: i8,
        resource_name: str,
        configs: [AlterableConfig] {
            name: str,
            /// 0 set, 1 delete, 2 append, 3 subtract.
            config_operation: i8,
            value: str (0.., null 0..),
        },
    },
    validate_only: bool,
}

message! {
    IncrementalAlterConfigsResponse, key 44, versions 0..=1, flexible 1..;
    throttle_time_ms: i32,
    responses: [AlterConfigsResourceResponse] {
        error_code: ErrorCode,
        error_message: str (0.., null 0..),
        resource_type: i8,
        resource_name: str,
    },
}
