//! DescribeAcls (key 29): the access rules that match a filter.

use shards::codec::message;

use crate::wire::ErrorCode;

/// A pattern type: the rule names its resource literally.
pub const LITERAL: i8 = 3;

message! {
    DescribeAclsRequest, key 29, versions 1..=3, flexible 2..;
    resource_type_filter: i8,
    resource_name_filter: str (0.., null 0..),
    pattern_type_filter: i8 (1.., or LITERAL),
    principal_filter: str (0.., null 0..),
    host_filter: str (0.., null 0..),
    operation: i8,
    permission_type: i8,
}

message! {
    DescribeAclsResponse, key 29, versions 1..=3, flexible 2..;
    throttle_time_ms: i32,
    error_code: ErrorCode,
    error_message: str (0.., null 0..),
    resources: [DescribeAclsResource] {
        resource_type: i8,
        resource_name: str,
        pattern_type: i8 (1.., or LITERAL),
        acls: [AclDescription] { principal: str, host: str, operation: i8, permission_type: i8 },
    },
}
