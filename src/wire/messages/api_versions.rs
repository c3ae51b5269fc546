//! ApiVersions (key 18): what the broker serves. Its reply's header is version 0, whatever the request's version.

use shards::codec::message;

use crate::wire::ErrorCode;

message! {
    ApiVersionsRequest, key 18, versions 0..=4, flexible 3..;
    client_software_name: str (3.., ignorable),
    client_software_version: str (3.., ignorable),
}

message! {
    ApiVersionsResponse, key 18, versions 0..=4, flexible 3..;
    error_code: ErrorCode,
    api_keys: [ApiVersion] { api_key: i16, min_version: i16, max_version: i16 },
    throttle_time_ms: i32 (1.., ignorable),
    /// Up to version 3 without the features whose minimum is 0: older clients reject them.
    supported_features: [SupportedFeatureKey] {
        name: str (3..),
        min_version: i16 (3..),
        max_version: i16 (3..),
    } (3.., tag 0, ignorable),
    finalized_features_epoch: i64 (3.., or -1, tag 1, ignorable),
    finalized_features: [FinalizedFeatureKey] {
        name: str (3..),
        max_version_level: i16 (3..),
        min_version_level: i16 (3..),
    } (3.., tag 2, ignorable),
    zk_migration_ready: bool (3.., tag 3, ignorable),
}
