//! DeleteAcls (key 31): removes the access rules that match filters.

use shards::codec::message;

use super::describe_acls::LITERAL;
use crate::wire::ErrorCode;

message! {
    DeleteAclsRequest, key 31, versions 1..=3, flexible 2..;
    filters: [DeleteAclsFilter] {
        resource_type_filter: i8,
        resource_name_filter: str (0.., null 0..),
        pattern_type_filter: i8 (1.., or LITERAL),
        principal_filter: str (0.., null 0..),
        host_filter: str (0.., null 0..),
        operation: i8,
        permission_type: i8,
    },
}

message! {
    DeleteAclsResponse, key 31, versions 1..=3, flexible 2..;
    throttle_time_ms: i32,
    filter_results: [DeleteAclsFilterResult] {
        error_code: ErrorCode,
        error_message: str (0.., null 0..),
        matching_acls: [DeleteAclsMatchingAcl] {
            error_code: ErrorCode,
            error_message: str (0.., null 0..),
            resource_type: i8,
            resource_name: str,
            pattern_type: i8 (1.., or LITERAL),
            principal: str,
            host: str,
            operation: i8,
            permission_type: i8,
        },
    },
}
